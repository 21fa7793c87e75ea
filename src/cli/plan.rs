//! `plan`: what accounts may use, as an operator sets it.

use std::sync::Arc;

use clap::{Args, Subcommand};
use serde_json::json;

use super::admin::{operator, show};
use crate::{
    app::App,
    domain::{
        Result,
        account::{Plan, PlanChange},
    },
    service::plans,
};

#[derive(Subcommand)]
pub(super) enum PlanCommand {
    /// List all plans
    List,
    /// Add a plan; what is not named is as in the plan `free`
    Create {
        /// A short name such as enterprise
        id: String,
        #[command(flatten)]
        grants: Grants,
    },
    /// Change a plan for every account that is on it
    Set {
        id: String,
        #[command(flatten)]
        grants: Grants,
    },
}

#[derive(Args)]
pub(super) struct Grants {
    /// Calls in any span of a minute
    #[arg(long, value_name = "N")]
    requests_per_minute: Option<i32>,
    /// Live API keys
    #[arg(long, value_name = "N")]
    max_api_keys: Option<i32>,
    /// Realms
    #[arg(long, value_name = "N")]
    max_realms: Option<i32>,
    /// Members
    #[arg(long, value_name = "N")]
    max_members: Option<i32>,
    /// Webhook endpoints
    #[arg(long, value_name = "N")]
    max_webhooks: Option<i32>,
}

pub(super) async fn run(app: &Arc<App>, command: PlanCommand, json: bool) -> Result<()> {
    let ctx = operator(app, None).await?;
    let plans = match command {
        PlanCommand::List => plans::list(app, &ctx).await?,
        PlanCommand::Create { id, grants } => {
            let plan = Plan {
                id,
                requests_per_minute: grants.requests_per_minute.unwrap_or(100),
                max_api_keys: grants.max_api_keys.unwrap_or(5),
                max_realms: grants.max_realms.unwrap_or(1),
                max_members: grants.max_members.unwrap_or(3),
                max_webhooks: grants.max_webhooks.unwrap_or(1),
            };
            vec![plans::create(app, &ctx, plan).await?]
        }
        PlanCommand::Set { id, grants } => {
            let change = PlanChange {
                requests_per_minute: grants.requests_per_minute,
                max_api_keys: grants.max_api_keys,
                max_realms: grants.max_realms,
                max_members: grants.max_members,
                max_webhooks: grants.max_webhooks,
            };
            vec![plans::change(app, &ctx, &id, change).await?]
        }
    };
    let line = |plan: &Plan| {
        json!({
            "id": plan.id, "requestsPerMinute": plan.requests_per_minute, "maxApiKeys": plan.max_api_keys,
            "maxRealms": plan.max_realms, "maxMembers": plan.max_members, "maxWebhooks": plan.max_webhooks,
        })
    };
    show(plans.iter().map(line), &["id", "requestsPerMinute", "maxApiKeys", "maxRealms", "maxMembers", "maxWebhooks"], json);
    Ok(())
}

//! `member`: who belongs to an account, as an operator sets it: without an invitation, for who has a user already.

use std::sync::Arc;

use clap::Subcommand;
use serde_json::{Value, json};

use super::admin;
use crate::{
    app::App,
    domain::{
        Error, Result,
        id::{AccountId, UserId},
        page::PageRequest,
        user::Member,
    },
    service::{Ctx, members, users},
};

#[derive(Subcommand)]
pub(super) enum MemberCommand {
    /// List an account's members
    List {
        #[command(flatten)]
        account: OfAccount,
        /// Only those whose user was made after this one
        #[arg(long, value_name = "ID")]
        after: Option<String>,
        #[arg(long, default_value_t = 100)]
        limit: u64,
    },
    /// Give a user a place in an account
    Add {
        /// The user's address
        email: String,
        /// owner, admin or member
        role: String,
        #[command(flatten)]
        account: OfAccount,
        /// The user's realm [default: the root realm]
        #[arg(long)]
        realm: Option<String>,
    },
    /// Make a member something else
    SetRole {
        /// The member's address
        email: String,
        /// owner, admin or member
        role: String,
        #[command(flatten)]
        account: OfAccount,
        /// The user's realm [default: the root realm]
        #[arg(long)]
        realm: Option<String>,
    },
    /// Take a member's place away
    Remove {
        /// The member's address
        email: String,
        #[command(flatten)]
        account: OfAccount,
        /// The user's realm [default: the root realm]
        #[arg(long)]
        realm: Option<String>,
    },
}

#[derive(clap::Args)]
pub(super) struct OfAccount {
    /// Id of the account [default: the root account]
    #[arg(long, value_name = "ID")]
    account: Option<String>,
}

impl OfAccount {
    fn id(&self, app: &App) -> Result<AccountId> {
        admin::account_id(self.account.as_ref())?.map_or_else(|| app.root().map(|root| root.account), Ok)
    }
}

pub(super) async fn run(app: &Arc<App>, command: MemberCommand, json: bool) -> Result<()> {
    let people = match command {
        MemberCommand::List { account, after, limit } => {
            let ctx = admin::operator(app, None).await?;
            let wrong = |_| Error::invalid("after", "invalid", "must be a user's id");
            let after = after.map(|id| id.parse().map_err(wrong)).transpose()?;
            members::list(app, &ctx, account.id(app)?, PageRequest { limit, after }).await?.items
        }
        MemberCommand::Add { email, role, account, realm } => {
            let (ctx, user) = person(app, realm.as_deref(), &email).await?;
            vec![members::add(app, &ctx, account.id(app)?, user, &role).await?]
        }
        MemberCommand::SetRole { email, role, account, realm } => {
            let (ctx, user) = person(app, realm.as_deref(), &email).await?;
            vec![members::set_role(app, &ctx, account.id(app)?, user, &role).await?]
        }
        MemberCommand::Remove { email, account, realm } => {
            let (ctx, user) = person(app, realm.as_deref(), &email).await?;
            members::remove(app, &ctx, account.id(app)?, user).await?;
            Vec::new()
        }
    };
    admin::show(people.iter().map(line), &["userId", "role", "email", "name"], json);
    Ok(())
}

/// The operator in a realm, and that realm's user.
async fn person(app: &App, realm: Option<&str>, email: &str) -> Result<(Ctx, UserId)> {
    let ctx = admin::operator(app, realm).await?;
    let user = users::find(app, &ctx, email).await?;
    Ok((ctx, user.id))
}

fn line(member: &Member) -> Value {
    json!({
        "userId": member.user_id, "email": member.email, "name": member.name, "realm": member.realm, "role": member.role.as_str(),
        "joinedAt": member.joined_at,
    })
}

//! `/accounts/{id}/limits` and `/plans…`: what is left of an account's limits, and what plans grant.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::{OpenApi, param::Path};

use super::{
    Group,
    account_wire::AccountOut,
    accounts::account_id,
    limit_wire::{AccountPlanIn, LimitsOut, NewPlanIn, PlanIn, PlanOut, PlansOut},
};
use crate::{
    app::App,
    http::{
        context::{Session, StepUp, Uncounted},
        payload::{Created, Json, Reply},
        problem::{ApiErr, E400, E401, E403, E404, E409, E413, E415, E422, E503},
    },
    service::{accounts, limits, plans},
};

pub(super) struct LimitsApi;

const READ: u32 = E401 | E403 | E404 | E503;
const WRITE: u32 = READ | E400 | E413 | E415 | E422;

#[OpenApi]
impl LimitsApi {
    /// See what is left of the limits
    ///
    /// Every bucket of the account: its own, and that of each live key with a limit of its own. Takes no unit of the account;
    /// the call counts against the client's address.
    #[oai(path = "/accounts/:id/limits", method = "get", operation_id = "get_account_limits", tag = "Group::Accounts")]
    async fn limits(
        &self,
        app: Data<&Arc<App>>,
        ctx: Uncounted,
        /// The account's id.
        id: Path<String>,
    ) -> Result<Reply<LimitsOut>, ApiErr<READ>> {
        let buckets = limits::buckets(&app, &ctx.0, account_id(&id.0)?).await?;
        Ok(Reply(LimitsOut::of(buckets, app.clock.now())))
    }

    /// Move an account to another plan
    ///
    /// For operators: owners and admins of the root account who signed in within the last ten minutes.
    #[oai(path = "/accounts/:id/plan", method = "put", operation_id = "set_account_plan", tag = "Group::Plans")]
    async fn set_plan(
        &self,
        app: Data<&Arc<App>>,
        ctx: StepUp,
        /// The account's id.
        id: Path<String>,
        body: Json<AccountPlanIn>,
    ) -> Result<Reply<AccountOut>, ApiErr<WRITE>> {
        Ok(Reply(accounts::set_plan(&app, &ctx.0, account_id(&id.0)?, &body.0.plan).await?.into()))
    }

    /// List the plans
    ///
    /// For everybody who is signed in, smallest first.
    #[oai(path = "/plans", method = "get", operation_id = "list_plans", tag = "Group::Plans")]
    async fn list(&self, app: Data<&Arc<App>>, ctx: Session) -> Result<Reply<PlansOut>, ApiErr<READ>> {
        Ok(Reply(PlansOut { items: plans::list(&app, &ctx.0).await?.into_iter().map(Into::into).collect(), next_cursor: None }))
    }

    /// Add a plan
    ///
    /// For operators. The id can't be changed later, and plans are never deleted.
    #[oai(path = "/plans", method = "post", operation_id = "create_plan", tag = "Group::Plans")]
    async fn create(&self, app: Data<&Arc<App>>, ctx: StepUp, body: Json<NewPlanIn>) -> Result<Created<PlanOut>, ApiErr<{ WRITE | E409 }>> {
        Ok(Created(plans::create(&app, &ctx.0, body.0.into()).await?.into()))
    }

    /// Change a plan
    ///
    /// For operators. Counts within a second for every account that is on it; fields left out stay as they are.
    #[oai(path = "/plans/:id", method = "patch", operation_id = "update_plan", tag = "Group::Plans")]
    async fn change(
        &self,
        app: Data<&Arc<App>>,
        ctx: StepUp,
        /// The plan's id.
        id: Path<String>,
        body: Json<PlanIn>,
    ) -> Result<Reply<PlanOut>, ApiErr<WRITE>> {
        Ok(Reply(plans::change(&app, &ctx.0, &id.0, body.0.into()).await?.into()))
    }
}

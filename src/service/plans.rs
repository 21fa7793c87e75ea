//! Plans, as an operator handles them: what an account may use.

use super::{Ctx, Principal, access};
use crate::{
    app::App,
    domain::{
        Error, FieldError, Result,
        account::{Plan, PlanChange},
        event::Action,
        id::EventId,
    },
    store::{self, Connection, revocations::RevocationKind, write_tx},
};

/// All plans, smallest first: for operators, and for people to choose from.
///
/// # Errors
/// [`Error::MissingCredential`] for strangers.
pub async fn list(app: &App, ctx: &Ctx) -> Result<Vec<Plan>> {
    if !matches!(ctx.principal, Principal::Operator) {
        ctx.signed_in()?;
    }
    store::accounts::plans(&app.db.read).await
}

/// Adds a plan.
///
/// # Errors
/// [`Error::NotPermitted`] for everybody but operators, [`Error::Invalid`] naming each bad field, [`Error::Taken`] for an id in
/// use.
pub async fn create(app: &App, ctx: &Ctx, plan: Plan) -> Result<Plan> {
    access::operates(app, ctx).await?;
    plan.check()?;
    write_tx!(&app.db, |tx| {
        if !store::accounts::insert_plan_if_absent(tx, &plan).await? {
            return Err(Error::Taken { field: "id" });
        }
        audit(app, ctx, tx, Action::PlanCreated).await
    })?;
    Ok(plan)
}

/// Changes a plan. It counts at once here and within a second on every other node, for every account that is on it.
///
/// # Errors
/// [`Error::NotPermitted`] for everybody but operators, [`Error::NotFound`], [`Error::Invalid`] naming each bad field.
pub async fn change(app: &App, ctx: &Ctx, id: &str, change: PlanChange) -> Result<Plan> {
    access::operates(app, ctx).await?;
    if change == PlanChange::default() {
        return Err(Error::Invalid(vec![FieldError::new("", "required", "name at least one thing to change")]));
    }
    let now = app.clock.now();
    let plan = write_tx!(&app.db, |tx| {
        let plan = store::accounts::change_plan(tx, id, &change).await?.ok_or(Error::NotFound)?;
        plan.check()?;
        store::revocations::insert(tx, app.root()?.realm, RevocationKind::Plan, app.root()?.account.0, "changed", now).await?;
        audit(app, ctx, tx, Action::PlanChanged).await?;
        Ok(plan)
    })?;
    app.caches.forget_plans();
    app.bell.ring();
    Ok(plan)
}

async fn audit(app: &App, ctx: &Ctx, db: &impl Connection, action: Action) -> Result<()> {
    let now = app.clock.now();
    store::audit::insert(db, EventId::new(now, app.entropy.as_ref()), &ctx.event(action, None), now).await
}

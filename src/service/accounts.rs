//! Accounts, as an operator handles them.

use super::Ctx;
use crate::{
    app::App,
    domain::{
        Error, Result,
        account::{Account, AccountStatus, DEFAULT_PLAN, Plan},
        event::Action,
        id::{AccountId, EventId},
        text,
    },
    store::{self, Connection, write_tx},
};

/// Creates an account below `parent` (the root account if not given).
///
/// # Errors
/// [`Error::Invalid`] for a bad name or an unknown plan, [`Error::NotFound`] for an unknown parent.
pub async fn create(app: &App, ctx: &Ctx, name: &str, parent: Option<AccountId>, plan: Option<&str>) -> Result<Account> {
    ctx.require_operator()?;
    let now = app.clock.now();
    let account = Account {
        id: AccountId::new(now, app.entropy.as_ref()),
        parent_id: Some(parent.map_or_else(|| app.root().map(|root| root.account), Ok)?),
        name: text::name("name", name)?,
        plan_id: plan.unwrap_or(DEFAULT_PLAN).to_owned(),
        status: AccountStatus::Active,
        created_at: now,
    };
    write_tx!(&app.db, |tx| {
        known_plan(tx, &account.plan_id).await?;
        if let Some(parent) = account.parent_id {
            store::accounts::find(tx, parent).await?.ok_or(Error::NotFound)?;
        }
        store::accounts::create(tx, &account, now).await?;
        audit(app, ctx, tx, Action::AccountCreated, account.id).await
    })?;
    Ok(account)
}

/// Moves an account to another plan.
///
/// # Errors
/// [`Error::Invalid`] for an unknown plan, [`Error::NotFound`].
pub async fn set_plan(app: &App, ctx: &Ctx, id: AccountId, plan: &str) -> Result<Account> {
    ctx.require_operator()?;
    write_tx!(&app.db, |tx| {
        known_plan(tx, plan).await?;
        if !store::accounts::set_plan(tx, id, plan).await? {
            return Err(Error::NotFound);
        }
        audit(app, ctx, tx, Action::AccountPlanChanged, id).await?;
        store::accounts::find(tx, id).await?.ok_or(Error::NotFound)
    })
}

/// All accounts, or one and its descendants.
///
/// # Errors
/// [`Error::NotPermitted`] for everybody but the operator.
pub async fn list(app: &App, ctx: &Ctx, below: Option<AccountId>) -> Result<Vec<Account>> {
    ctx.require_operator()?;
    store::accounts::list(&app.db.read, below).await
}

async fn known_plan(db: &impl Connection, plan: &str) -> Result<Plan> {
    if let Some(plan) = store::accounts::find_plan(db, plan).await? {
        return Ok(plan);
    }
    let plans: Vec<_> = store::accounts::plans(db).await?.into_iter().map(|plan| plan.id).collect();
    Err(Error::invalid("plan", "unknown_plan", format!("must be one of {}", plans.join(", "))))
}

async fn audit(app: &App, ctx: &Ctx, db: &impl Connection, action: Action, account: AccountId) -> Result<()> {
    let now = app.clock.now();
    let mut event = ctx.event(action, None);
    event.account_id = Some(account);
    store::audit::insert(db, EventId::new(now, app.entropy.as_ref()), &event, now).await
}

//! Accounts: as an operator handles them, and as their own people do.

use super::{Ctx, access};
use crate::{
    app::App,
    domain::{
        Error, Result,
        account::{Account, AccountStatus, DEFAULT_PLAN, Plan},
        event::Action,
        id::{AccountId, EventId},
        page::{Page, PageRequest},
        text,
    },
    store::{self, Connection, revocations::RevocationKind, write_tx},
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
    access::operates(app, ctx).await?;
    let account = write_tx!(&app.db, |tx| {
        known_plan(tx, plan).await?;
        if !store::accounts::set_plan(tx, id, plan).await? {
            return Err(Error::NotFound);
        }
        let now = app.clock.now();
        store::revocations::insert(tx, app.root()?.realm, RevocationKind::Account, id.0, "plan", now).await?;
        audit(app, ctx, tx, Action::AccountPlanChanged, id).await?;
        store::accounts::find(tx, id).await?.ok_or(Error::NotFound)
    })?;
    app.caches.forget_account(id);
    app.bell.ring();
    Ok(account)
}

/// All accounts, or one and its descendants.
///
/// # Errors
/// [`Error::NotPermitted`] for everybody but the operator.
pub async fn list(app: &App, ctx: &Ctx, below: Option<AccountId>) -> Result<Vec<Account>> {
    ctx.require_operator()?;
    store::accounts::list(&app.db.read, below).await
}

/// Enables or disables an account: while it is disabled, its people and keys may do nothing in its name.
///
/// # Errors
/// [`Error::NotPermitted`] for everybody but the operator, [`Error::NotFound`], [`Error::Invalid`] for the root account.
pub async fn set_status(app: &App, ctx: &Ctx, id: AccountId, status: AccountStatus) -> Result<Account> {
    ctx.require_operator()?;
    if status == AccountStatus::Disabled && id == app.root()?.account {
        return Err(Error::invalid("id", "root_account", "must not be the root account, which everything hangs on"));
    }
    let now = app.clock.now();
    let account = write_tx!(&app.db, |tx| {
        if !store::accounts::set_status(tx, id, status, now).await? {
            return Err(Error::NotFound);
        }
        changed(app, ctx, tx, id).await
    })?;
    app.caches.forget_account(id);
    app.bell.ring();
    Ok(account)
}

/// The accounts that the caller sees, oldest first: where they have a place, and what is below where they are owner or
/// admin.
///
/// # Errors
/// [`Error::MissingCredential`] without a session.
pub async fn list_own(app: &App, ctx: &Ctx, page: PageRequest<AccountId>) -> Result<Page<Account>> {
    let me = ctx.signed_in()?;
    let accounts = store::accounts::list_visible(&app.db.read, ctx.realm.id, me.user_id, &page).await?;
    Ok(page.page(accounts, |account| account.id.to_string()))
}

/// An account that the caller sees.
///
/// # Errors
/// [`Error::NotFound`] for any other.
pub async fn get(app: &App, ctx: &Ctx, id: AccountId) -> Result<Account> {
    access::sees(&app.db.read, ctx, id).await?;
    store::accounts::find(&app.db.read, id).await?.ok_or(Error::NotFound)
}

/// Makes an account below one that the caller administers, on the first plan. An account may have as many directly below
/// it as its plan allows realms: without an end to that, an account could multiply its own limits.
///
/// # Errors
/// [`Error::Invalid`] for a bad name, [`Error::PlanLimit`], the refusals of [`access::administers`].
pub async fn create_below(app: &App, ctx: &Ctx, parent: AccountId, name: &str) -> Result<Account> {
    let name = text::name("name", name)?;
    let now = app.clock.now();
    let id = AccountId::new(now, app.entropy.as_ref());
    let account = Account { id, parent_id: Some(parent), name, plan_id: DEFAULT_PLAN.to_owned(), status: AccountStatus::Active, created_at: now };
    write_tx!(&app.db, |tx| {
        access::administers(tx, ctx, parent).await?;
        // Held, so that accounts made at the same moment count each other.
        store::accounts::hold(tx, parent).await?;
        let plan = store::accounts::find_terms(tx, parent).await?.ok_or(Error::NotFound)?.plan;
        let children = store::accounts::count_children(tx, parent).await?;
        if parent != app.root()?.account && children >= u64::try_from(plan.max_realms).unwrap_or_default() {
            return Err(Error::PlanLimit { what: "accounts below it", cap: "maxRealms" });
        }
        store::accounts::create(tx, &account, now).await?;
        audit(app, ctx, tx, Action::AccountCreated, account.id).await
    })?;
    Ok(account)
}

/// Gives an account another name.
///
/// # Errors
/// [`Error::Invalid`] for a bad name, the refusals of [`access::administers`].
pub async fn rename(app: &App, ctx: &Ctx, id: AccountId, name: &str) -> Result<Account> {
    let name = text::name("name", name)?;
    let now = app.clock.now();
    let account = write_tx!(&app.db, |tx| {
        access::administers(tx, ctx, id).await?;
        store::accounts::rename(tx, id, &name, now).await?;
        changed(app, ctx, tx, id).await
    })?;
    app.caches.forget_account(id);
    app.bell.ring();
    Ok(account)
}

/// Leaves word of a change for the other nodes and in the audit trail, and answers what the account is now.
async fn changed(app: &App, ctx: &Ctx, db: &impl Connection, id: AccountId) -> Result<Account> {
    store::revocations::insert(db, ctx.realm.id, RevocationKind::Account, id.0, "changed", app.clock.now()).await?;
    audit(app, ctx, db, Action::AccountChanged, id).await?;
    store::accounts::find(db, id).await?.ok_or(Error::NotFound)
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

//! What a caller may do in an account: an owner or admin acts on the account and on everything below it.
//!
//! Read from the database each time and not from the access token: a role that was taken away a moment ago is gone.

use super::{Ctx, Principal, step_up};
use crate::{
    app::App,
    domain::{Error, Result, id::AccountId, user::Role},
    store::{self, Connection},
};

/// The caller's right to administer `account`: as its owner or as its admin, here or above.
///
/// # Errors
/// [`Error::NotFound`] if the account is none that they belong to or that is below one they administer,
/// [`Error::NotPermitted`] for a member without that right and for keys, [`Error::AccountDisabled`].
pub(super) async fn administers(db: &impl Connection, ctx: &Ctx, account: AccountId) -> Result<Role> {
    let me = match &ctx.principal {
        Principal::Operator => return Ok(Role::Owner),
        Principal::User(me) => me,
        Principal::Key(_) | Principal::Holder(_) => return Err(Error::NotPermitted),
        Principal::Anonymous => return Err(Error::MissingCredential),
    };
    let standings = store::memberships::standings(db, ctx.realm.id, me.user_id, account).await?;
    let (mut found, mut refusal) = (None, Error::NotFound);
    for standing in standings {
        match standing.role {
            Role::Owner if standing.active => found = Some(Role::Owner),
            Role::Admin if standing.active => found = found.or(Some(Role::Admin)),
            Role::Owner | Role::Admin => refusal = Error::AccountDisabled,
            Role::Member if standing.depth == 0 => refusal = Error::NotPermitted,
            Role::Member => {}
        }
    }
    found.ok_or(refusal)
}

/// The same, with the account's row held from then on: what is counted below it stays true, and whoever changes who may
/// what there waits.
///
/// # Errors
/// Those of [`administers`].
pub(super) async fn administers_alone(tx: &impl Connection, ctx: &Ctx, account: AccountId) -> Result<Role> {
    // Asked before, so that strangers hold nobody up, and again, for the right may have gone while this waited.
    administers(tx, ctx, account).await?;
    store::accounts::hold(tx, account).await?;
    administers(tx, ctx, account).await
}

/// A person needs a fresh proof of who they are; the command line is one.
///
/// # Errors
/// [`Error::StepUpRequired`], [`Error::MissingCredential`], [`Error::NotPermitted`] for keys.
pub(super) async fn proved(app: &App, ctx: &Ctx) -> Result<()> {
    match ctx.principal {
        Principal::Operator => Ok(()),
        _ => step_up::require(app, ctx).await.map(drop),
    }
}

/// Whether the caller may see that `account` exists.
///
/// # Errors
/// [`Error::NotFound`] if not.
pub(super) async fn sees(db: &impl Connection, ctx: &Ctx, account: AccountId) -> Result<()> {
    match administers(db, ctx, account).await {
        Ok(_) | Err(Error::NotPermitted | Error::AccountDisabled) => Ok(()),
        Err(error) => Err(error),
    }
}

/// The right to run the installation: the command line's, and that of the root account's owners and admins who proved who
/// they are lately.
///
/// # Errors
/// [`Error::NotPermitted`] for everybody else, [`Error::StepUpRequired`].
pub(super) async fn operates(app: &App, ctx: &Ctx) -> Result<()> {
    if matches!(ctx.principal, Principal::Operator) {
        return Ok(());
    }
    step_up::require(app, ctx).await?;
    match administers(&app.db.read, ctx, app.root()?.account).await {
        Err(Error::NotFound) => Err(Error::NotPermitted),
        result => result.map(drop),
    }
}

/// Whether `actor` is `target` or above it. From memory once warm, and then for good: an account never moves.
pub(super) async fn acts_on(app: &App, actor: AccountId, target: AccountId) -> Result<bool> {
    if actor == target {
        return Ok(true);
    }
    if let Some(known) = app.caches.ancestry(actor, target) {
        return Ok(known);
    }
    let found = store::accounts::acts_on(&app.db.read, actor, target).await?;
    app.caches.put_ancestry(actor, target, found);
    Ok(found)
}

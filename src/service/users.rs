//! People, as an operator handles them.

use secrecy::SecretString;

use super::{Ctx, registration, sessions};
use crate::{
    app::App,
    domain::{
        Error, Result,
        email::Email,
        event::Action,
        id::{EventId, UserId},
        session::EndReason,
        user::{Role, User, UserStatus},
    },
    store::{self, Transaction, revocations::RevocationKind, users::NewUser, write_tx},
};

/// Creates a verified user with a password; in the root realm with an account of their own.
///
/// # Errors
/// [`Error::Invalid`] naming each bad field, [`Error::Taken`] for an address in use.
pub async fn create(app: &App, ctx: &Ctx, name: &str, email: &str, password: SecretString) -> Result<User> {
    ctx.require_operator()?;
    let user = prepare(app, ctx, name, email, password).await?;
    write_tx!(&app.db, |tx| {
        insert(app, tx, ctx, &user, Action::UserCreated).await?;
        if ctx.realm.id == app.root()?.realm {
            registration::give_account(app, tx, &ctx.realm, &user.row).await?;
        }
        store::users::find(tx, ctx.realm.id, user.row.id).await?.ok_or(Error::NotFound)
    })
}

/// A checked user and the hash of their password.
pub(super) struct Prepared {
    pub(super) row: NewUser,
    hash: String,
}

pub(super) async fn prepare(app: &App, ctx: &Ctx, name: &str, email: &str, password: SecretString) -> Result<Prepared> {
    let input = registration::SignUp { name: name.to_owned(), email: email.to_owned(), password, company: None, country: None, phone: None };
    let checked = registration::check(&ctx.realm, input)?;
    let hash = app.passwords.hash(checked.password.secret(), app.entropy.as_ref()).await?;
    let now = app.clock.now();
    let id = UserId::new(now, app.entropy.as_ref());
    let row = NewUser { id, email: checked.email, name: checked.name, company: None, country: None, phone: None, email_verified_at: Some(now) };
    Ok(Prepared { row, hash })
}

pub(super) async fn insert(app: &App, tx: &Transaction, ctx: &Ctx, user: &Prepared, action: Action) -> Result<()> {
    let now = app.clock.now();
    if !store::users::insert_if_absent(tx, ctx.realm.id, &user.row, now).await? {
        return Err(Error::Taken { field: "email" });
    }
    store::credentials::put_password(tx, ctx.realm.id, user.row.id, app.entropy.as_ref(), &user.hash, now).await?;
    store::audit::insert(tx, EventId::new(now, app.entropy.as_ref()), &ctx.event(action, Some(user.row.id)), now).await
}

/// The realm's people, page by page in order of their making.
///
/// # Errors
/// [`Error::NotPermitted`] for everybody but the operator.
pub async fn list(app: &App, ctx: &Ctx, after: Option<UserId>, limit: u64) -> Result<Vec<User>> {
    ctx.require_operator()?;
    store::users::list(&app.db.read, ctx.realm.id, after, limit).await
}

/// The realm's user of that address.
///
/// # Errors
/// [`Error::NotPermitted`] for everybody but the operator, [`Error::NotFound`] for an unknown address.
pub async fn find(app: &App, ctx: &Ctx, email: &str) -> Result<User> {
    ctx.require_operator()?;
    let email = Email::parse("email", email)?;
    store::users::find_by_email(&app.db.read, ctx.realm.id, &email).await?.ok_or(Error::NotFound)
}

/// The hard lock: ends every session, refuses every login until [`unlock`].
///
/// # Errors
/// [`Error::NotFound`] for an unknown address.
pub async fn lock(app: &App, ctx: &Ctx, email: &str) -> Result<User> {
    set_status(app, ctx, email, UserStatus::Locked, Action::UserLocked).await
}

/// Lifts the lock.
///
/// # Errors
/// [`Error::NotFound`] for an unknown address.
pub async fn unlock(app: &App, ctx: &Ctx, email: &str) -> Result<User> {
    set_status(app, ctx, email, UserStatus::Active, Action::UserUnlocked).await
}

async fn set_status(app: &App, ctx: &Ctx, email: &str, status: UserStatus, action: Action) -> Result<User> {
    ctx.require_operator()?;
    let email = Email::parse("email", email)?;
    let realm = ctx.realm.id;
    let now = app.clock.now();
    let (user, ended) = write_tx!(&app.db, |tx| {
        let user = store::users::find_by_email(tx, realm, &email).await?.ok_or(Error::NotFound)?;
        store::users::set_status(tx, realm, user.id, status, now).await?;
        let ended = match status {
            UserStatus::Active => Vec::new(),
            UserStatus::Locked => {
                store::one_time_tokens::kill_others(tx, realm, user.id, None, None, now).await?;
                sessions::end_all(tx, realm, user.id, None, EndReason::UserDisabled, now).await?
            }
        };
        store::revocations::insert(tx, realm, RevocationKind::User, user.id.0, "changed", now).await?;
        store::audit::insert(tx, EventId::new(now, app.entropy.as_ref()), &ctx.event(action, Some(user.id)), now).await?;
        Ok((User { status, ..user }, ended))
    })?;
    app.caches.forget_user(realm, user.id);
    sessions::tell(app, ended.into_iter().map(|id| (id, EndReason::UserDisabled)));
    Ok(user)
}

/// Makes the first operator: owner of the root account, by the one-time link of the installation.
pub(super) async fn make_owner(app: &App, tx: &Transaction, ctx: &Ctx, user: &Prepared) -> Result<()> {
    insert(app, tx, ctx, user, Action::InstallationSetUp).await?;
    store::memberships::create(tx, ctx.realm.account_id, ctx.realm.id, user.row.id, Role::Owner, app.clock.now()).await
}

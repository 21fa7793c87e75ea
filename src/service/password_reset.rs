//! A forgotten password: asking for the mail, and setting a new one with what it brought.

use secrecy::SecretString;

use super::{Ctx, guesses, limits, one_time, sessions, token_guesses, verification};
use crate::{
    app::App,
    domain::{
        Error, Result,
        event::Action,
        id::{EventId, SessionId},
        job::Job,
        limit::Rule,
        password::NewPassword,
        session::EndReason,
        token::Purpose,
        user::{User, UserStatus},
    },
    store::{self, Transaction, revocations::RevocationKind, write_tx},
};

/// Asks for a reset mail. Says and does the same for every address: one row, one job; the worker looks the person up.
///
/// # Errors
/// [`Error::Invalid`] for what is no address.
pub async fn request(app: &App, ctx: &Ctx, email: &str) -> Result<()> {
    verification::request_mail(app, ctx, email, Purpose::ResetPassword, Some(Action::PasswordResetRequested)).await
}

/// Sets a new password with a mailed token. Ends every session of the user and kills every other mailed token; proves
/// the address too, since the token came by it. Starts no session: a second factor is still asked at the next login.
///
/// # Errors
/// [`Error::InvalidOneTimeToken`], or [`Error::Invalid`] on `newPassword` (the token then stays good);
/// [`Error::RateLimited`] for too many wrong tokens from one network.
pub async fn confirm(app: &App, ctx: &Ctx, token: &str, new: SecretString) -> Result<()> {
    limits::stranger(app, ctx, Rule::MailedToken).await?;
    token_guesses::watched(app, ctx, set(app, ctx, token, new)).await
}

async fn set(app: &App, ctx: &Ctx, token: &str, new: SecretString) -> Result<()> {
    let realm = ctx.realm.id;
    let (id, hash) = one_time::read(token)?;
    let now = app.clock.now();
    // A read-only look first: hashing is dear, and strangers with made-up tokens shall not cause it.
    let live = store::one_time_tokens::find_live(&app.db.read, realm, Purpose::ResetPassword, id, &hash, now).await?;
    let live = live.ok_or(Error::InvalidOneTimeToken)?;
    let user = store::users::find(&app.db.read, realm, live.user_id).await?.ok_or(Error::InvalidOneTimeToken)?;
    let new = check(ctx, &user, "newPassword", new)?;
    let new_hash = app.passwords.hash(new.secret(), app.entropy.as_ref()).await?;
    let now = app.clock.now();
    let ended = write_tx!(&app.db, |tx| {
        let token = store::one_time_tokens::consume(tx, realm, Purpose::ResetPassword, id, &hash, now).await?.ok_or(Error::InvalidOneTimeToken)?;
        let user = store::users::find(tx, realm, token.user_id).await?.ok_or(Error::InvalidOneTimeToken)?;
        if user.email != token.email || user.status != UserStatus::Active {
            return Err(Error::InvalidOneTimeToken);
        }
        if user.email_verified_at.is_none() {
            store::users::mark_verified(tx, realm, user.id, now).await?;
        }
        // The user was read in this transaction; if another one got in between, a repetition reads them anew.
        let ended = replace(app, tx, ctx, &user, &new_hash, None).await?.ok_or_else(|| Error::Conflict("the user changed meanwhile".into()))?;
        store::audit::insert(tx, EventId::new(now, app.entropy.as_ref()), &ctx.event(Action::PasswordReset, Some(user.id)), now).await?;
        Ok(ended)
    })?;
    app.caches.forget_user(realm, user.id);
    sessions::tell(app, ended.into_iter().map(|id| (id, EndReason::PasswordChanged)));
    app.jobs_due.notify_one();
    Ok(())
}

/// The policy with everything that is personal to `user`.
pub(super) fn check(ctx: &Ctx, user: &User, field: &str, password: SecretString) -> Result<NewPassword> {
    let context = [ctx.realm.name.as_str(), ctx.realm.display_name(), user.name.as_str(), user.email.as_str()];
    NewPassword::check(field, password, ctx.realm.settings.password_min, &context)
}

/// Puts a new hash in place inside a transaction, with everything that must die with the old one, and answers the ended
/// sessions; `None` if the user is not what `user` says any more.
pub(super) async fn replace(app: &App, tx: &Transaction, ctx: &Ctx, user: &User, hash: &str, keep: Option<SessionId>) -> Result<Option<Vec<SessionId>>> {
    let now = app.clock.now();
    let realm = user.realm_id;
    if !store::users::bump_version_if(tx, realm, user.id, user.version, now).await? {
        return Ok(None);
    }
    store::credentials::put_password(tx, realm, user.id, app.entropy.as_ref(), hash, now).await?;
    let ended = sessions::end_all(tx, realm, user.id, keep, EndReason::PasswordChanged, now).await?;
    store::one_time_tokens::kill_others(tx, realm, user.id, None, None, now).await?;
    // Whoever knew the old password may have made a device known with it.
    store::password_guesses::forget(tx, realm, &guesses::account_key(Some(user.id), "")).await?;
    store::devices::forget_all(tx, realm, user.id, now).await?;
    store::revocations::insert(tx, realm, RevocationKind::User, user.id.0, "changed", now).await?;
    let job = Job::SendPasswordChanged { realm_id: realm, user_id: user.id };
    ctx.owe(app, tx, &job, now).await?;
    Ok(Some(ended))
}

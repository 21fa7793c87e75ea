//! Another address for a person: asked for with the password, confirmed at the new address, and taken back for three days
//! from the old one.
//!
//! Whether the new address is somebody's already is looked up by the worker and again when it is confirmed, never while
//! the caller waits. An address that nobody has proved yet stands in nobody's way: who follows a link mailed to it owns it.

use chrono::{DateTime, Utc};
use secrecy::SecretString;

use super::{
    Ctx,
    erase::{self, Gone},
    factors, one_time, registration, sessions, step_up, token_guesses, verification,
};
use crate::{
    app::App,
    domain::{
        Error, Result,
        email::Email,
        event::Action,
        id::{EventId, OneTimeTokenId, SessionId, UserId},
        job::Job,
        session::EndReason,
        token::Purpose,
        user::UserStatus,
    },
    store::{self, Transaction, revocations::RevocationKind, write_tx},
};

/// Owes a mail to the new address. Says and does the same whether or not somebody has it.
///
/// # Errors
/// [`Error::WrongPassword`], [`Error::StepUpRequired`] without a password, [`Error::Invalid`] on `email`.
pub async fn request(app: &App, ctx: &Ctx, email: &str, password: Option<&SecretString>) -> Result<()> {
    ctx.signed_in()?;
    let email = Email::parse("email", email)?;
    let user = step_up::by_password_or_lately(app, ctx, password).await?;
    if user.email == email {
        return Err(Error::invalid("email", "unchanged", "is the address that stands already"));
    }
    let realm = &ctx.realm;
    let now = app.clock.now();
    let id = OneTimeTokenId::new(now, app.entropy.as_ref());
    let token = one_time::mint(app, id, realm, user.id, Purpose::ChangeEmail, &email, now)?;
    write_tx!(&app.db, |tx| {
        if !store::users::touch_if_active(tx, realm.id, user.id, user.version).await? {
            return Err(Error::WrongPassword);
        }
        store::one_time_tokens::kill_others(tx, realm.id, user.id, Some(Purpose::ChangeEmail), Some(id), now).await?;
        store::one_time_tokens::insert_if_absent(tx, &token).await?;
        if registration::may_mail(tx, realm.id, &email, now).await? {
            ctx.owe(app, tx, &Job::SendEmailChange { realm_id: realm.id, user_id: user.id, token_id: id }, now).await?;
        }
        store::audit::insert(tx, EventId::new(now, app.entropy.as_ref()), &ctx.event(Action::EmailChangeRequested, Some(user.id)), now).await
    })?;
    app.jobs_due.notify_one();
    Ok(())
}

/// Puts the new address in place with the token that was mailed to it. Every other mailed token of the person dies; the
/// old address gets a notice with a way back.
///
/// # Errors
/// [`Error::InvalidOneTimeToken`]; [`Error::Taken`] if somebody else proved the address meanwhile: nothing is changed then;
/// [`Error::RateLimited`] for too many wrong tokens from one network.
pub async fn confirm(app: &App, ctx: &Ctx, token: &str) -> Result<Email> {
    token_guesses::watched(app, ctx, Box::pin(put_new(app, ctx, token))).await
}

async fn put_new(app: &App, ctx: &Ctx, token: &str) -> Result<Email> {
    let realm = &ctx.realm;
    let (id, hash) = one_time::read(token)?;
    let now = app.clock.now();
    let (user_id, email, displaced) = write_tx!(&app.db, |tx| {
        let token = store::one_time_tokens::consume(tx, realm.id, Purpose::ChangeEmail, id, &hash, now).await?.ok_or(Error::InvalidOneTimeToken)?;
        let user = store::users::find(tx, realm.id, token.user_id).await?.ok_or(Error::InvalidOneTimeToken)?;
        if user.status != UserStatus::Active {
            return Err(Error::InvalidOneTimeToken);
        }
        let displaced = make_way(app, tx, ctx, &token.email, now).await?;
        put_address(tx, ctx, (user.id, user.version), &token.email, now).await?;
        store::one_time_tokens::kill_others(tx, realm.id, user.id, None, None, now).await?;
        let undo_id = OneTimeTokenId::new(now, app.entropy.as_ref());
        let undo = one_time::mint(app, undo_id, realm, user.id, Purpose::UndoEmailChange, &user.email, now)?;
        store::one_time_tokens::insert_if_absent(tx, &undo).await?;
        ctx.owe(app, tx, &Job::SendEmailChanged { realm_id: realm.id, user_id: user.id, token_id: undo_id }, now).await?;
        store::audit::insert(tx, EventId::new(now, app.entropy.as_ref()), &ctx.event(Action::EmailChanged, Some(user.id)), now).await?;
        Ok((user.id, token.email, displaced))
    })?;
    told(app, ctx, user_id, displaced, Vec::new());
    Ok(email)
}

/// Takes a change back with the token that was mailed to the old address. Whoever made the change may know the password:
/// every session ends, the password counts no more, and a mail to the restored address asks for a new one.
///
/// # Errors
/// [`Error::InvalidOneTimeToken`]; [`Error::Taken`] if somebody else proved the old address meanwhile; [`Error::RateLimited`]
/// for too many wrong tokens from one network.
pub async fn undo(app: &App, ctx: &Ctx, token: &str) -> Result<Email> {
    token_guesses::watched(app, ctx, Box::pin(put_back(app, ctx, token))).await
}

async fn put_back(app: &App, ctx: &Ctx, token: &str) -> Result<Email> {
    let realm = &ctx.realm;
    let (id, hash) = one_time::read(token)?;
    let now = app.clock.now();
    let (user_id, email, displaced, ended) = write_tx!(&app.db, |tx| {
        let token = store::one_time_tokens::consume(tx, realm.id, Purpose::UndoEmailChange, id, &hash, now).await?.ok_or(Error::InvalidOneTimeToken)?;
        let user = store::users::find(tx, realm.id, token.user_id).await?.ok_or(Error::InvalidOneTimeToken)?;
        let displaced = if user.email == token.email { None } else { make_way(app, tx, ctx, &token.email, now).await? };
        put_address(tx, ctx, (user.id, user.version), &token.email, now).await?;
        store::credentials::delete_all(tx, realm.id, user.id).await?;
        store::devices::forget_all(tx, realm.id, user.id, now).await?;
        // The token is as old as the change.
        factors::forget_since(tx, realm.id, user.id, token.created_at).await?;
        store::factor_challenges::kill_all(tx, realm.id, user.id, now).await?;
        store::one_time_tokens::kill_others(tx, realm.id, user.id, None, None, now).await?;
        // A later change was made by whoever made this one; an earlier one may still be taken back, too.
        store::one_time_tokens::kill_since(tx, realm.id, user.id, Purpose::UndoEmailChange, token.created_at, now).await?;
        let ended = sessions::end_all(tx, realm.id, user.id, None, EndReason::Revoked, now).await?;
        verification::owe_mail(app, tx, ctx, token.email.clone(), Purpose::ResetPassword).await?;
        store::audit::insert(tx, EventId::new(now, app.entropy.as_ref()), &ctx.event(Action::EmailChangeUndone, Some(user.id)), now).await?;
        Ok((user.id, token.email, displaced, ended))
    })?;
    told(app, ctx, user_id, displaced, ended);
    Ok(email)
}

/// Sees to it that nobody else has `email`: a person who never proved it goes, one who did stays and is in the way.
async fn make_way(app: &App, tx: &Transaction, ctx: &Ctx, email: &Email, now: DateTime<Utc>) -> Result<Option<Gone>> {
    match store::users::find_by_email(tx, ctx.realm.id, email).await? {
        None => Ok(None),
        Some(holder) if holder.email_verified_at.is_some() => Err(Error::Taken { field: "email" }),
        Some(squatter) => Ok(Some(erase::remove(app, tx, ctx, &squatter, now).await?)),
    }
}

async fn put_address(tx: &Transaction, ctx: &Ctx, (id, version): (UserId, i32), email: &Email, now: DateTime<Utc>) -> Result<()> {
    // The user was read in this transaction; if another one got in between, a repetition reads them anew.
    if !store::users::put_email_if(tx, ctx.realm.id, id, version, email, now).await? {
        return Err(Error::Conflict("the user changed meanwhile".into()));
    }
    store::revocations::insert(tx, ctx.realm.id, RevocationKind::User, id.0, "changed", now).await
}

/// Tells this node, after the commit.
fn told(app: &App, ctx: &Ctx, user: UserId, displaced: Option<Gone>, ended: Vec<SessionId>) {
    app.caches.forget_user(ctx.realm.id, user);
    app.bell.ring();
    if let Some(displaced) = displaced {
        displaced.tell(app);
    }
    sessions::tell(app, ended.into_iter().map(|id| (id, EndReason::Revoked)));
    app.jobs_due.notify_one();
}

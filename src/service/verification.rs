//! Proving an e-mail address, by the mailed link or by the six digits beside it.

use super::{Ctx, limits, one_time, token_guesses};
use crate::{
    app::App,
    crypto::hash::ct_eq,
    domain::{
        Error, Result,
        email::Email,
        event::Action,
        id::{EventId, MailRequestId, OneTimeTokenId},
        job::Job,
        limit::Rule,
        realm::Lifetimes,
        token::Purpose,
    },
    store::{self, Transaction, mail_requests::MailRequest, write_tx},
};

/// Wrong guesses of a code before only the link is left.
const CODE_TRIES: i32 = 5;

/// Consumes a verification link's token and marks the address as proved.
///
/// # Errors
/// [`Error::InvalidOneTimeToken`] for any token that is not live here, whatever the cause; [`Error::RateLimited`] for too
/// many of them from one network.
pub async fn verify_by_token(app: &App, ctx: &Ctx, token: &str) -> Result<Email> {
    limits::stranger(app, ctx, Rule::MailedToken).await?;
    token_guesses::watched(app, ctx, async {
        let (id, hash) = one_time::read(token)?;
        consume(app, ctx, id, &hash).await
    })
    .await
}

/// The same with the address and the code that was mailed to it.
///
/// # Errors
/// [`Error::InvalidOneTimeToken`] for an unknown address and a wrong, outdated or worn-out code alike.
pub async fn verify_by_code(app: &App, ctx: &Ctx, email: &str, code: &str) -> Result<Email> {
    limits::stranger(app, ctx, Rule::MailedToken).await?;
    let email = Email::parse("email", email)?;
    token_guesses::watched(app, ctx, by_code(app, ctx, &email, code)).await
}

async fn by_code(app: &App, ctx: &Ctx, email: &Email, code: &str) -> Result<Email> {
    let now = app.clock.now();
    let token = store::one_time_tokens::newest_live_for_email(&app.db.read, ctx.realm.id, Purpose::VerifyEmail, email, now).await?;
    let Some(token) = token else { return Err(Error::InvalidOneTimeToken) };
    // The try counts before the verdict and outside any transaction that a wrong code would roll back.
    let counted = store::one_time_tokens::count_try(&app.db.write, ctx.realm.id, token.id, CODE_TRIES).await?;
    let in_time = now < token.created_at + Lifetimes::span(ctx.realm.settings.lifetimes.verify_code);
    let right = ct_eq(one_time::code(app, &token)?.as_bytes(), code.trim().as_bytes());
    if !(counted && in_time && right) {
        return Err(Error::InvalidOneTimeToken);
    }
    consume(app, ctx, token.id, &token.token_hash).await
}

async fn consume(app: &App, ctx: &Ctx, id: OneTimeTokenId, hash: &str) -> Result<Email> {
    let now = app.clock.now();
    let realm = ctx.realm.id;
    let (user_id, email) = write_tx!(&app.db, |tx| {
        let token = store::one_time_tokens::consume(tx, realm, Purpose::VerifyEmail, id, hash, now).await?.ok_or(Error::InvalidOneTimeToken)?;
        let user = store::users::find(tx, realm, token.user_id).await?.ok_or(Error::InvalidOneTimeToken)?;
        if user.email != token.email {
            return Err(Error::InvalidOneTimeToken);
        }
        if user.email_verified_at.is_none() {
            store::users::mark_verified(tx, realm, user.id, now).await?;
            if let Some(secret) = &token.pending_secret {
                store::credentials::put_password(tx, realm, user.id, app.entropy.as_ref(), secret, now).await?;
                let patch = store::users::ProfilePatch { name: token.pending_name.clone(), ..Default::default() };
                store::users::update_profile(tx, realm, user.id, &patch, now).await?;
                store::users::bump_version_if(tx, realm, user.id, user.version, now).await?;
            }
            store::one_time_tokens::kill_others(tx, realm, user.id, None, Some(id), now).await?;
            store::revocations::insert(tx, realm, store::revocations::RevocationKind::User, user.id.0, "changed", now).await?;
            store::audit::insert(tx, EventId::new(now, app.entropy.as_ref()), &ctx.event(Action::EmailVerified, Some(user.id)), now).await?;
        }
        Ok((user.id, token.email))
    })?;
    app.caches.forget_user(realm, user_id);
    app.bell.ring();
    Ok(email)
}

/// Asks for a fresh verification mail. Says and does the same for every address: one row, one job.
///
/// # Errors
/// [`Error::Invalid`] for what is no address.
pub async fn resend(app: &App, ctx: &Ctx, email: &str) -> Result<()> {
    request_mail(app, ctx, email, Purpose::VerifyEmail, None).await
}

/// Writes down who asks for which mail; the worker looks up whether one is due.
pub(super) async fn request_mail(app: &App, ctx: &Ctx, email: &str, purpose: Purpose, action: Option<Action>) -> Result<()> {
    limits::stranger(app, ctx, Rule::Mail).await?;
    let email = Email::parse("email", email)?;
    let now = app.clock.now();
    write_tx!(&app.db, |tx| {
        owe_mail(app, tx, ctx, email.clone(), purpose).await?;
        if let Some(action) = action {
            store::audit::insert(tx, EventId::new(now, app.entropy.as_ref()), &ctx.event(action, None), now).await?;
        }
        Ok(())
    })?;
    app.jobs_due.notify_one();
    Ok(())
}

/// The same inside a transaction.
pub(super) async fn owe_mail(app: &App, tx: &Transaction, ctx: &Ctx, email: Email, purpose: Purpose) -> Result<()> {
    let now = app.clock.now();
    let request = MailRequest {
        id: MailRequestId::new(now, app.entropy.as_ref()),
        realm_id: ctx.realm.id,
        purpose,
        email,
        ip: ctx.client.ip.to_string(),
        user_agent: ctx.client.user_agent.clone(),
        created_at: now,
    };
    let job = Job::AnswerMailRequest { realm_id: ctx.realm.id, request_id: request.id };
    store::mail_requests::insert(tx, ctx.realm.id, &request).await?;
    ctx.owe(app, tx, &job, now).await
}

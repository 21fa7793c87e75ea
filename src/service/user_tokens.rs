//! User tokens, the credential of the Converse dialect: made with a password, good for a while or for ever.

use secrecy::{ExposeSecret as _, SecretString};

use super::{
    Ctx,
    held_tokens::{self, hash},
    profile, single_factor,
};
use crate::{
    app::App,
    domain::{
        Error, Result,
        event::{Action, Event},
        held_token::{HeldToken, PREFIX, Timeout, TokenKind, TokenStatus},
        id::{EventId, HeldTokenId, UserId},
        job::Job,
        user::User,
    },
    store::{self, revocations::RevocationKind, write_tx},
};

/// How many live tokens a person may have; the oldest ends when one more is made.
const KEEP: u64 = 100;

/// How long a token is wanted for.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// Seconds, or -1 for never.
    pub timeout: i64,
    /// Whether each use moves the end.
    pub auto_renew: bool,
}

/// Says whether address and password are somebody's who may come in by them alone.
///
/// # Errors
/// [`Error::InvalidCredentials`] for everybody else alike; [`Error::RateLimited`], [`Error::Busy`].
pub async fn verify(app: &App, ctx: &Ctx, email: &str, password: &SecretString) -> Result<()> {
    let user = single_factor::by_email(app, ctx, email, password).await?;
    let now = app.clock.now();
    store::audit::insert(&app.db.write, EventId::new(now, app.entropy.as_ref()), &ctx.event(Action::CredentialsVerified, Some(user.id)), now).await
}

/// The same, and makes a token, whose text is nowhere else. Of one that never ends its owner is told by mail.
///
/// # Errors
/// As [`verify`], and [`Error::Invalid`] on `timeout`, before the password is looked at.
pub async fn create(app: &App, ctx: &Ctx, email: &str, password: &SecretString, wish: Wish) -> Result<SecretString> {
    let timeout = Timeout::read(wish.timeout, ctx.realm.settings.user_token_timeout_max)?;
    let user = single_factor::by_email(app, ctx, email, password).await?;
    let (text, token) = mint(app, ctx, &user, timeout, wish.auto_renew);
    let (realm, now) = (ctx.realm.id, token.created_at);
    let endless = timeout == Timeout::Never;
    let ended = write_tx!(&app.db, |tx| {
        if !store::held_tokens::insert_if_active(tx, &token, &hash(text.expose_secret()), user.id, user.version).await? {
            return Err(Error::InvalidCredentials);
        }
        let ended = store::held_tokens::make_room(tx, realm, user.id, TokenKind::User, KEEP, now).await?;
        for id in &ended {
            store::revocations::insert(tx, realm, RevocationKind::HeldToken, id.0, "evicted", now).await?;
        }
        if endless {
            ctx.owe(app, tx, &Job::SendEndlessToken { realm_id: realm, user_id: user.id, token_id: token.id }, now).await?;
        }
        store::audit::insert(tx, EventId::new(now, app.entropy.as_ref()), &about(ctx, Action::UserTokenCreated, user.id, token.id), now).await?;
        Ok(ended)
    })?;
    for id in ended {
        held_tokens::forget(app, id);
    }
    if endless {
        app.jobs_due.notify_one();
    }
    Ok(text)
}

fn mint(app: &App, ctx: &Ctx, user: &User, timeout: Timeout, auto_renew: bool) -> (SecretString, HeldToken) {
    let now = app.clock.now();
    let text = TokenKind::User.mint(app.entropy.as_ref());
    let token = HeldToken {
        id: HeldTokenId::new(now, app.entropy.as_ref()),
        realm_id: ctx.realm.id,
        kind: TokenKind::User,
        user_id: Some(user.id),
        account_id: None,
        prefix: text.expose_secret().chars().take(PREFIX).collect(),
        amr: "pwd".to_owned(),
        timeout,
        // What never ends has no end to move.
        auto_renew: auto_renew && timeout != Timeout::Never,
        created_at: now,
        last_used_at: None,
        expires_at: timeout.end(now),
        ended_at: None,
    };
    (text, token)
}

fn about(ctx: &Ctx, action: Action, user: UserId, token: HeldTokenId) -> Event {
    Event { target: Some(token.0), ..ctx.event(action, Some(user)) }
}

/// Says whether a text is a good token of the caller's own. Asking is no use of it.
///
/// # Errors
/// [`Error::TokenNotValid`] for every other text, another person's token among them.
pub async fn check(app: &App, ctx: &Ctx, text: &str) -> Result<()> {
    let me = ctx.holder()?.user().ok_or(Error::NotPermitted)?;
    let found = held_tokens::look(app, TokenKind::User, text).await?;
    let good = found.is_some_and(|found| {
        let token = &found.token.token;
        found.status == TokenStatus::Active && token.user_id == Some(me) && token.realm_id == ctx.realm.id
    });
    if good { Ok(()) } else { Err(Error::TokenNotValid) }
}

/// Ends a token of the caller's own, the one that calls or another.
///
/// # Errors
/// [`Error::TokenNotValid`] for every other text, known or not.
pub async fn delete(app: &App, ctx: &Ctx, text: &str) -> Result<()> {
    let me = ctx.holder()?.user().ok_or(Error::NotPermitted)?;
    if TokenKind::claims(text) != Some(TokenKind::User) {
        return Err(Error::TokenNotValid);
    }
    let (realm, now) = (ctx.realm.id, app.clock.now());
    let hash = hash(text);
    let id = write_tx!(&app.db, |tx| {
        let id = store::held_tokens::end_of_user(tx, realm, me, TokenKind::User, &hash, now).await?.ok_or(Error::TokenNotValid)?;
        store::revocations::insert(tx, realm, RevocationKind::HeldToken, id.0, "deleted", now).await?;
        store::audit::insert(tx, EventId::new(now, app.entropy.as_ref()), &about(ctx, Action::UserTokenDeleted, me, id), now).await?;
        Ok(id)
    })?;
    held_tokens::forget(app, id);
    Ok(())
}

/// A token as its owner sees it.
#[derive(Debug)]
pub struct Listed {
    pub token: HeldToken,
    /// Whether it is the one that asks.
    pub current: bool,
}

/// The caller's live tokens, newest first.
///
/// # Errors
/// [`Error::MissingCredential`] without a token.
pub async fn list(app: &App, ctx: &Ctx) -> Result<Vec<Listed>> {
    let known = ctx.holder()?;
    let me = known.user().ok_or(Error::NotPermitted)?;
    held_tokens::flush_all(app).await?;
    let current = known.token.as_ref().map(|token| token.token.id);
    let tokens = store::held_tokens::list_live(&app.db.read, ctx.realm.id, me, TokenKind::User, app.clock.now()).await?;
    Ok(tokens.into_iter().map(|token| Listed { current: Some(token.id) == current, token }).collect())
}

/// The person who calls.
///
/// # Errors
/// [`Error::MissingCredential`] without a token.
pub async fn owner(app: &App, ctx: &Ctx) -> Result<std::sync::Arc<crate::domain::user::Profile>> {
    let me = ctx.holder()?.user().ok_or(Error::NotPermitted)?;
    profile::of(app, ctx.realm.id, me).await
}

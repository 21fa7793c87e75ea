//! Sessions: their beginning (with the cap), their list, their end.

use chrono::{DateTime, Utc};

use super::{
    Ctx,
    devices::{self, Here, Recognised, Remembered},
    notices, refresh, seconds_between, step_up,
};
use crate::{
    app::App,
    crypto::{hash::sha256_hex, signing::AccessClaims},
    domain::{
        Error, Result,
        event::Action,
        factor::Factors,
        id::{EventId, RealmId, SessionId, UserId, uuid_v7},
        realm::{Lifetimes, Realm},
        session::{EndReason, Rotation, Session},
        token::OpaqueToken,
        user::User,
    },
    store::{self, Connection, Transaction, batch::Batch, devices::Places, sessions::NewSession, write_tx},
};

/// The pair that a session hands out (RFC 6749 section 5.1).
#[derive(Debug)]
pub struct TokenPair {
    pub access_token: String,
    pub refresh_token: String,
    /// Seconds until the access token ends.
    pub expires_in: u64,
    /// Seconds until the refresh token ends.
    pub refresh_expires_in: u64,
}

/// What a session is carried by.
#[derive(Clone, Copy)]
pub(super) enum Carrier {
    /// A refresh token and the access tokens that it brings: programs.
    Tokens,
    /// A cookie of our pages. `replaces` is the session that the same browser had until now, which ends (OWASP ASVS 5.0
    /// 7.2.4: a sign-in never goes on with an older id).
    Cookie { replaces: Option<(RealmId, SessionId)> },
}

/// A session that was begun in a transaction and must be told to the caches after its commit.
pub(super) struct Begun {
    pub(super) session: Session,
    /// The first refresh token or the cookie's, as the [`Carrier`] says.
    pub(super) credential: OpaqueToken,
    pub(super) ended: Vec<(SessionId, EndReason)>,
    pub(super) device: Remembered,
    /// Whether a mail about it waits for the worker.
    pub(super) owes_mail: bool,
}

/// Who begins a session, and how they came in.
#[derive(Clone)]
pub(super) struct Entrant<'a> {
    pub(super) user: &'a User,
    /// How they proved themselves (RFC 8176).
    pub(super) amr: &'a str,
    pub(super) carrier: Carrier,
    /// The device that they came with, if it is known as theirs.
    pub(super) device: Option<Recognised>,
    /// The device as the request describes it, and where they signed in before.
    pub(super) here: Here,
    pub(super) places: Places,
    /// The second factors that they have and their realm asks for.
    pub(super) factors: Factors,
}

/// Begins a session and ends what is over the realm's cap, oldest first; `batch` takes the writes that can wait for the
/// caller's own. Fails if the user was locked or their password changed since `user` was read.
pub(super) async fn begin(app: &App, tx: &Transaction, ctx: &Ctx, batch: &mut Batch, entrant: Entrant<'_>, now: DateTime<Utc>) -> Result<Begun> {
    let realm = &ctx.realm;
    let Entrant { user, amr, carrier, device, here, places, factors: _ } = entrant;
    let spans = &realm.settings.lifetimes;
    let session = Session {
        id: SessionId::new(now, app.entropy.as_ref()),
        realm_id: realm.id,
        user_id: user.id,
        device: here.name.clone(),
        ip: ctx.client.ip.to_string(),
        created_at: now,
        last_used_at: now,
        expires_at: now + Lifetimes::span(spans.session),
        auth_time: now,
        amr: amr.to_owned(),
        rotation: Rotation::default(),
        ended: None,
    };
    let (mut replaced, mut cookie_hash) = (None, None);
    let credential = match carrier {
        Carrier::Tokens => refresh::mint(app, realm.id, session.id, 0),
        Carrier::Cookie { replaces } => {
            if let Some((old_realm, old)) = replaces
                && store::sessions::end(tx, old_realm, old, EndReason::LoggedOut, now).await?
            {
                store::revocations::add_sessions(batch, old_realm, &[old], EndReason::LoggedOut, now);
                replaced = Some((old, EndReason::LoggedOut));
            }
            let cookie = OpaqueToken::mint(session.id.0, app.entropy.as_ref());
            cookie_hash = Some(sha256_hex(cookie.secret()));
            cookie
        }
    };
    let new = NewSession {
        session: &session,
        user_agent: &ctx.client.user_agent,
        cookie_hash,
        user_version: user.version,
        keep: realm.settings.max_sessions,
        idle: Lifetimes::span(spans.session_idle),
    };
    let mut ended = store::sessions::begin(tx, new).await?.ok_or(Error::InvalidCredentials)?;
    // What ran out of its time has no access token left that other nodes would have to hear of.
    let evicted: Vec<_> = ended.iter().filter(|(_, reason)| *reason == EndReason::EvictedByLimit).map(|(id, _)| *id).collect();
    store::revocations::add_sessions(batch, realm.id, &evicted, EndReason::EvictedByLimit, now);
    ended.extend(replaced);
    let device = devices::remember(app, batch, user, device, (here, places), now);
    let owes_mail = notices::of_sign_in(app, tx, ctx, &session, device.familiarity, &evicted).await?;
    Ok(Begun { session, credential, ended, device, owes_mail })
}

/// Signs the access token that goes with `refresh` and tells how long both last.
pub(super) async fn issue(app: &App, realm: &Realm, session: &Session, refresh: &OpaqueToken, now: DateTime<Utc>) -> Result<TokenPair> {
    let (access_token, expires_in) = issue_access(app, realm, session, now).await?;
    Ok(TokenPair { access_token, refresh_token: refresh.reveal(), expires_in, refresh_expires_in: seconds_between(now, session.expires_at) })
}

/// Signs an access token of a session and tells how long it lasts.
pub(super) async fn issue_access(app: &App, realm: &Realm, session: &Session, now: DateTime<Utc>) -> Result<(String, u64)> {
    let end = (now + Lifetimes::span(realm.settings.lifetimes.access_token)).min(session.expires_at);
    let claims = AccessClaims {
        iss: app.issuer(&realm.name),
        aud: app.audience(),
        sub: session.user_id.to_string(),
        sid: session.id.to_string(),
        jti: uuid_v7(now, app.entropy.as_ref()).to_string(),
        iat: now.timestamp(),
        exp: end.timestamp(),
        scope: "openid".to_owned(),
        amr: session.amr.split(' ').map(str::to_owned).collect(),
        auth_time: session.auth_time.timestamp(),
        ver: 1,
    };
    let keys = super::signing::keys(app, realm.id).await?;
    Ok((keys.current.sign(&claims)?, seconds_between(now, end)))
}

/// A session as its owner sees it.
#[derive(Debug)]
pub struct Listed {
    pub session: Session,
    /// Whether it is the one that asks.
    pub current: bool,
}

/// The caller's live sessions, newest first.
///
/// # Errors
/// [`Error::MissingCredential`] without a session.
pub async fn list(app: &App, ctx: &Ctx) -> Result<Vec<Listed>> {
    let me = ctx.signed_in()?;
    let idle = Lifetimes::span(ctx.realm.settings.lifetimes.session_idle);
    flush_uses(app).await?;
    let sessions = store::sessions::list_live(&app.db.read, ctx.realm.id, me.user_id, app.clock.now(), idle).await?;
    Ok(sessions.into_iter().map(|session| Listed { current: session.id == me.session_id, session }).collect())
}

/// Ends one of the caller's sessions.
///
/// # Errors
/// [`Error::NotFound`] for anything that is not a live session of the caller.
pub async fn revoke(app: &App, ctx: &Ctx, id: SessionId) -> Result<()> {
    let me = ctx.signed_in()?;
    let reason = if id == me.session_id { EndReason::LoggedOut } else { EndReason::Revoked };
    end_one(app, ctx, me.user_id, id, reason, Action::SessionRevoked).await
}

/// Ends the session that asks.
///
/// # Errors
/// [`Error::MissingCredential`] without a session.
pub async fn log_out(app: &App, ctx: &Ctx) -> Result<()> {
    let me = ctx.signed_in()?;
    match end_one(app, ctx, me.user_id, me.session_id, EndReason::LoggedOut, Action::UserLoggedOut).await {
        // Somebody was faster; it is over all the same.
        Err(Error::NotFound) => Ok(()),
        result => result,
    }
}

/// Ends every session of the caller, the one that asks included.
///
/// # Errors
/// [`Error::MissingCredential`] without a session, [`Error::StepUpRequired`].
pub async fn log_out_everywhere(app: &App, ctx: &Ctx) -> Result<()> {
    let me = step_up::require(app, ctx).await?;
    let now = app.clock.now();
    let ended = write_tx!(&app.db, |tx| {
        let ended = end_all(tx, ctx.realm.id, me.user_id, None, EndReason::LoggedOut, now).await?;
        store::audit::insert(tx, EventId::new(now, app.entropy.as_ref()), &ctx.event(Action::UserLoggedOut, Some(me.user_id)), now).await?;
        Ok(ended)
    })?;
    tell(app, ended.into_iter().map(|id| (id, EndReason::LoggedOut)));
    Ok(())
}

async fn end_one(app: &App, ctx: &Ctx, user: UserId, id: SessionId, reason: EndReason, action: Action) -> Result<()> {
    let now = app.clock.now();
    write_tx!(&app.db, |tx| {
        if !store::sessions::end_of_user(tx, ctx.realm.id, user, id, reason, now).await? {
            return Err(Error::NotFound);
        }
        store::revocations::insert_sessions(tx, ctx.realm.id, &[id], reason, now).await?;
        store::audit::insert(tx, EventId::new(now, app.entropy.as_ref()), &ctx.event(action, Some(user)), now).await
    })?;
    tell(app, [(id, reason)]);
    Ok(())
}

/// Ends a user's sessions inside a transaction and leaves word for the other nodes. Unless they only signed out, their
/// tokens of other dialects end too; caches learn of those by the user's version, which the caller moves.
pub(super) async fn end_all(
    db: &impl Connection,
    realm: RealmId,
    user: UserId,
    except: Option<SessionId>,
    reason: EndReason,
    now: DateTime<Utc>,
) -> Result<Vec<SessionId>> {
    let ended = store::sessions::end_all(db, realm, user, except, reason, now).await?;
    store::revocations::insert_sessions(db, realm, &ended, reason, now).await?;
    if reason != EndReason::LoggedOut {
        store::held_tokens::end_all(db, realm, user, now).await?;
    }
    Ok(ended)
}

/// Tells this node's caches and the other nodes, after the commit.
pub(super) fn tell(app: &App, ended: impl IntoIterator<Item = (SessionId, EndReason)>) {
    for (id, reason) in ended {
        app.caches.end_session(id, reason);
        app.bell.ring();
    }
}

/// Writes the stamps of use that gathered in memory since the last call.
///
/// # Errors
/// What the database says; the stamps are then kept for the next call.
pub async fn flush_uses(app: &App) -> Result<()> {
    let uses = app.caches.take_uses();
    if uses.is_empty() {
        return Ok(());
    }
    let written = store::sessions::stamp_used(&app.db.write, &uses).await;
    if written.is_err() {
        for (realm, session, at) in uses {
            app.caches.note_use(realm, session, at);
        }
    }
    written
}

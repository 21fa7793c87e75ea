//! Refresh tokens: each is good once and hands on to a child (RFC 9700 section 4.14.2).
//!
//! For ten seconds a spent token answers with the child it already has, so that a client whose reply was lost, or two
//! tabs at once, stay signed in. After that a spent token can only be a stolen one: its session ends.
//! All of it rests in the rows, so that neither a restart nor another node revives anything.

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    Ctx,
    sessions::{self, TokenPair},
};
use crate::{
    app::App,
    crypto::{
        hash::{ct_eq, sha256_hex},
        keyring::{open_with, seal_with},
    },
    domain::{
        Error, Result,
        event::Action,
        id::{EventId, JobId, RefreshTokenId, SessionId},
        job::Job,
        realm::Lifetimes,
        session::{EndReason, Session},
        token::OpaqueToken,
    },
    store::{
        self, Transaction,
        refresh_tokens::{Presented, RefreshToken},
        write_tx,
    },
};

/// How long a spent token still answers with its child.
const GRACE: TimeDelta = TimeDelta::seconds(10);

/// What a presented token turned out to be.
enum Outcome {
    /// Alive, and this is the next of its family.
    Next(Box<Session>, OpaqueToken),
    /// Its session is over, now or since earlier.
    Over(SessionId, EndReason),
    /// No token of ours.
    Unknown,
}

/// Exchanges a refresh token for a new pair.
///
/// # Errors
/// [`Error::InvalidRefreshToken`], with the reason if its session has ended.
pub async fn rotate(app: &App, ctx: &Ctx, token: &str) -> Result<TokenPair> {
    let token = OpaqueToken::parse(token).ok_or(Error::InvalidRefreshToken { reason: None })?;
    let now = app.clock.now();
    let child = OpaqueToken::mint(RefreshTokenId::new(now, app.entropy.as_ref()).0, app.entropy.as_ref());
    let sealed = seal_with(token.secret(), child.reveal().as_bytes(), app.entropy.as_ref())?;
    let hash = sha256_hex(token.secret());
    let presented = Presented { id: RefreshTokenId(token.id), hash: &hash, child: &sealed };
    if let Some(session) = straight(app, ctx, presented, &child, now).await? {
        app.caches.note_use(session.realm_id, session.id, now);
        return sessions::issue(app, &ctx.realm, &session, &child, now).await;
    }
    let outcome = write_tx!(&app.db, |tx| step(app, tx, ctx, &token, presented, &child, now).await)?;
    match outcome {
        Outcome::Next(session, next) => sessions::issue(app, &ctx.realm, &session, &next, now).await,
        Outcome::Over(session, reason) => {
            app.caches.end_session(session, reason);
            Err(Error::InvalidRefreshToken { reason: Some(reason) })
        }
        Outcome::Unknown => Err(Error::InvalidRefreshToken { reason: None }),
    }
}

/// What nearly every refresh is: an unused token of a session that was used lately. What to write is read beforehand,
/// outside of the transaction; whether it still holds is the guard's business. The use is noted and written behind, unless
/// the session's last stamp is so old that a crash before the next flush could cost somebody their session.
///
/// `None` leaves the decision to [`step`].
async fn straight(app: &App, ctx: &Ctx, presented: Presented<'_>, child: &OpaqueToken, now: DateTime<Utc>) -> Result<Option<Session>> {
    let realm = ctx.realm.id;
    let idle = Lifetimes::span(ctx.realm.settings.lifetimes.session_idle);
    let Some((row, session)) = store::refresh_tokens::find_with_session(&app.db.read, realm, presented.id).await? else { return Ok(None) };
    if row.used_at.is_some() || session.ended.is_some() || now - session.last_used_at > idle / 4 {
        return Ok(None);
    }
    let next = successor(row, &session, child, now);
    let done = write_tx!(&app.db, |tx| {
        let done = store::refresh_tokens::consume_if_live(tx, realm, presented, now, idle).await?;
        if done {
            store::refresh_tokens::insert(tx, &next).await?;
        }
        Ok(done)
    })?;
    Ok(done.then_some(session))
}

/// The row of a token's child.
fn successor(spent: RefreshToken, session: &Session, child: &OpaqueToken, now: DateTime<Utc>) -> RefreshToken {
    RefreshToken {
        id: RefreshTokenId(child.id),
        token_hash: sha256_hex(child.secret()),
        generation: spent.generation + 1,
        created_at: now,
        expires_at: session.expires_at,
        used_at: None,
        child_sealed: None,
        ..spent
    }
}

/// The whole decision in one transaction, which commits whatever the outcome: an ended session must stay ended.
async fn step(
    app: &App,
    tx: &Transaction,
    ctx: &Ctx,
    token: &OpaqueToken,
    presented: Presented<'_>,
    child: &OpaqueToken,
    now: DateTime<Utc>,
) -> Result<Outcome> {
    let realm = ctx.realm.id;
    let idle = Lifetimes::span(ctx.realm.settings.lifetimes.session_idle);
    if let Some(spent) = store::refresh_tokens::consume(tx, realm, presented, now).await? {
        let Some(session) = store::sessions::use_if_live(tx, realm, spent.session_id, now, idle).await? else {
            return over(tx, ctx, spent.session_id, now).await;
        };
        store::refresh_tokens::insert(tx, &successor(spent, &session, child, now)).await?;
        return Ok(Outcome::Next(Box::new(session), child.clone()));
    }
    let Some(row) = store::refresh_tokens::find(tx, realm, presented.id).await? else { return Ok(Outcome::Unknown) };
    if !ct_eq(row.token_hash.as_bytes(), presented.hash.as_bytes()) {
        return Ok(Outcome::Unknown);
    }
    let (Some(used_at), Some(sealed_child)) = (row.used_at, &row.child_sealed) else {
        // Never used, so it is past its time, and with it the session.
        return over(tx, ctx, row.session_id, now).await;
    };
    let Some(session) = store::sessions::use_if_live(tx, realm, row.session_id, now, idle).await? else {
        return over(tx, ctx, row.session_id, now).await;
    };
    if (used_at - GRACE..=used_at + GRACE).contains(&now) {
        let text = open_with(token.secret(), sealed_child)?;
        let next = std::str::from_utf8(&text).ok().and_then(OpaqueToken::parse);
        return next.map(|next| Outcome::Next(Box::new(session), next)).ok_or_else(|| Error::internal("a sealed refresh token can't be read"));
    }
    store::sessions::end(tx, realm, session.id, EndReason::RefreshReuse, now).await?;
    store::revocations::insert_sessions(tx, realm, &[session.id], EndReason::RefreshReuse, now).await?;
    store::audit::insert(tx, EventId::new(now, app.entropy.as_ref()), &ctx.event(Action::RefreshReused, Some(session.user_id)), now).await?;
    let job = Job::SendRefreshReuse { realm_id: realm, user_id: session.user_id, session_id: session.id };
    store::jobs::enqueue(tx, JobId::new(now, app.entropy.as_ref()), &job, now, now).await?;
    app.jobs_due.notify_one();
    Ok(Outcome::Over(session.id, EndReason::RefreshReuse))
}

/// Why a session is over; if nobody wrote it down yet, its time has run out and that is written now.
async fn over(tx: &Transaction, ctx: &Ctx, id: SessionId, now: DateTime<Utc>) -> Result<Outcome> {
    let realm = ctx.realm.id;
    let Some(session) = store::sessions::find(tx, realm, id).await? else { return Ok(Outcome::Unknown) };
    if let Some((_, reason)) = session.ended {
        return Ok(Outcome::Over(id, reason));
    }
    let reason = if now >= session.expires_at { EndReason::Expired } else { EndReason::Idle };
    store::sessions::end(tx, realm, id, reason, now).await?;
    store::revocations::insert_sessions(tx, realm, &[id], reason, now).await?;
    Ok(Outcome::Over(id, reason))
}

//! Refresh tokens: each is good once and hands on to a child (RFC 9700 section 4.14.2).
//!
//! For ten seconds a spent token answers with the child it already has, so that a client whose reply was lost, or two
//! tabs at once, stay signed in. After that a spent token can only be a stolen one: its session ends.
//!
//! A token names its session and its generation and carries an HMAC over both, so that nothing that could be stolen from
//! the database is a token, and a spent one is known for what it is without a row of its own. The session's row counts the
//! generations: a refresh is one guarded statement on it. Neither a restart nor another node revives anything.

use chrono::{DateTime, Utc};

use super::{
    Ctx,
    sessions::{self, TokenPair},
};
use crate::{
    app::App,
    crypto::hash::ct_eq,
    domain::{
        Error, Result,
        event::Action,
        id::{EventId, RealmId, SessionId},
        job::Job,
        realm::Lifetimes,
        session::{EndReason, Session},
        token::OpaqueToken,
    },
    store::{self, Transaction, write_tx},
};

/// What a presented token turned out to be.
enum Outcome {
    /// Good; its child is of this generation.
    Next(Box<Session>, u32),
    /// Its session is over, now or since earlier.
    Over(SessionId, EndReason),
    /// No token of ours.
    Unknown,
}

/// A token whose HMAC is right.
#[derive(Clone, Copy)]
struct Presented {
    session: SessionId,
    generation: u32,
}

/// Bytes of a token's HMAC; the four before it count the generation.
const MAC: usize = 28;

/// The refresh token of that generation of a session.
pub(super) fn mint(app: &App, realm: RealmId, session: SessionId, generation: u32) -> OpaqueToken {
    let mac = app.keyring.mac("refresh_token", &signed(realm, session, generation));
    let mut secret = [0; 32];
    secret[..4].copy_from_slice(&generation.to_be_bytes());
    secret[4..].copy_from_slice(&mac[..MAC]);
    OpaqueToken::with_secret(session.0, secret)
}

fn signed(realm: RealmId, session: SessionId, generation: u32) -> [u8; 36] {
    let mut data = [0; 36];
    data[..16].copy_from_slice(realm.0.as_bytes());
    data[16..32].copy_from_slice(session.0.as_bytes());
    data[32..].copy_from_slice(&generation.to_be_bytes());
    data
}

/// Reads what a client sent; `None` for what [`mint`] did not make in this realm under a master key that is still here.
fn read(app: &App, realm: RealmId, text: &str) -> Option<Presented> {
    let token = OpaqueToken::parse(text)?;
    let (count, mac) = token.secret().split_first_chunk::<4>()?;
    let (session, generation) = (SessionId(token.id), u32::from_be_bytes(*count));
    let data = signed(realm, session, generation);
    let right = |key: &str| app.keyring.mac_with(key, "refresh_token", &data).is_some_and(|made| ct_eq(&made[..MAC], mac));
    app.keyring.ids().any(right).then_some(Presented { session, generation })
}

/// Exchanges a refresh token for a new pair.
///
/// # Errors
/// [`Error::InvalidRefreshToken`], with the reason if its session has ended.
pub async fn rotate(app: &App, ctx: &Ctx, token: &str) -> Result<TokenPair> {
    let presented = read(app, ctx.realm.id, token).ok_or(Error::InvalidRefreshToken { reason: None })?;
    let now = app.clock.now();
    let outcome = match spend(&app.db.write, ctx, presented, now).await {
        Ok(Some(session)) => Outcome::Next(Box::new(session), presented.generation + 1),
        // Repeated there, in a transaction.
        Ok(None) | Err(Error::Conflict(_)) => write_tx!(&app.db, |tx| decide(app, tx, ctx, presented, now).await)?,
        Err(error) => return Err(error),
    };
    match outcome {
        Outcome::Next(session, generation) => {
            let next = mint(app, ctx.realm.id, session.id, generation);
            sessions::issue(app, &ctx.realm, &session, &next, now).await
        }
        Outcome::Over(session, reason) => {
            app.caches.end_session(session, reason);
            Err(Error::InvalidRefreshToken { reason: Some(reason) })
        }
        Outcome::Unknown => Err(Error::InvalidRefreshToken { reason: None }),
    }
}

/// What nearly every refresh is: the newest token of a live session. One statement, a transaction by itself.
async fn spend(db: &impl store::Connection, ctx: &Ctx, presented: Presented, now: DateTime<Utc>) -> Result<Option<Session>> {
    let idle = Lifetimes::span(ctx.realm.settings.lifetimes.session_idle);
    store::sessions::rotate(db, ctx.realm.id, presented.session, presented.generation, now, idle).await
}

/// The whole decision in one transaction, which commits whatever the outcome: an ended session must stay ended.
async fn decide(app: &App, tx: &Transaction, ctx: &Ctx, presented: Presented, now: DateTime<Utc>) -> Result<Outcome> {
    let (realm, id) = (ctx.realm.id, presented.session);
    if let Some(session) = spend(tx, ctx, presented, now).await? {
        return Ok(Outcome::Next(Box::new(session), presented.generation + 1));
    }
    let idle = Lifetimes::span(ctx.realm.settings.lifetimes.session_idle);
    let Some(session) = store::sessions::use_if_live(tx, realm, id, now, idle).await? else { return over(tx, ctx, id, now).await };
    if presented.generation >= session.rotation.generation {
        // From a time that this database does not know of: it was restored from a back-up.
        return Ok(Outcome::Unknown);
    }
    if session.rotation.may_repeat(presented.generation, now) {
        return Ok(Outcome::Next(Box::new(session), presented.generation + 1));
    }
    store::sessions::end(tx, realm, id, EndReason::RefreshReuse, now).await?;
    store::revocations::insert_sessions(tx, realm, &[id], EndReason::RefreshReuse, now).await?;
    store::audit::insert(tx, EventId::new(now, app.entropy.as_ref()), &ctx.event(Action::RefreshReused, Some(session.user_id)), now).await?;
    let job = Job::SendRefreshReuse { realm_id: realm, user_id: session.user_id, session_id: id };
    ctx.owe(app, tx, &job, now).await?;
    app.jobs_due.notify_one();
    Ok(Outcome::Over(id, EndReason::RefreshReuse))
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

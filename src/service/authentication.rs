//! Who is calling: the bearer check that every protected operation passes.
//!
//! Warm, it costs one SHA-256 and a few map look-ups. Cold, the token is verified in full and its session is read.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use chrono::TimeDelta;

use super::{SignedIn, realms, signing};
use crate::{
    app::{App, cache::VerifiedToken},
    crypto::{
        hash::sha256,
        signing::{Expect, TokenFault, VerifyingKey},
    },
    domain::{
        Error, Result,
        id::{RealmId, SessionId, UserId},
        realm::{Realm, RealmStatus},
        session::EndReason,
    },
    store,
};

/// How far clocks may differ.
const LEEWAY_SECONDS: i64 = 5;
/// How often the use of a session is noted for its row.
const NOTE_EVERY_SECONDS: i64 = 60;

/// Proves an access token and answers its realm and its person.
///
/// `mentioned` is the realm that the request names, if it names one: it must be the token's own.
///
/// # Errors
/// [`Error::InvalidAccessToken`], [`Error::AccessTokenExpired`], [`Error::SessionEnded`], [`Error::RealmMismatch`],
/// [`Error::RealmSuspended`].
pub async fn bearer(app: &App, token: &str, mentioned: Option<RealmId>) -> Result<(Arc<Realm>, Arc<SignedIn>)> {
    let hash = sha256(token.as_bytes());
    let known = app.caches.token(&hash).map_err(|reason| Error::SessionEnded { reason })?;
    let verified = match known {
        // The key that it was verified with may have been revoked since.
        Some(verified) if signing::keys(app, verified.realm_id).await?.verifying.contains_key(&verified.kid) => verified,
        _ => cold(app, token, hash).await?,
    };
    let now = app.clock.now();
    let seconds = now.timestamp();
    if seconds >= verified.person.expires_at + LEEWAY_SECONDS {
        return Err(Error::AccessTokenExpired);
    }
    if mentioned.is_some_and(|realm| realm != verified.realm_id) {
        return Err(Error::RealmMismatch);
    }
    let realm = realms::get(app, verified.realm_id).await?;
    if realm.status != RealmStatus::Active {
        return Err(Error::RealmSuspended);
    }
    if seconds - verified.noted_at.load(Ordering::Relaxed) >= NOTE_EVERY_SECONDS {
        verified.noted_at.store(seconds, Ordering::Relaxed);
        app.caches.note_use(verified.realm_id, verified.person.session_id, now);
    }
    Ok((realm, Arc::clone(&verified.person)))
}

/// The full check: issuer, key of that issuer's realm, signature, every claim, and the session's row.
async fn cold(app: &App, token: &str, hash: [u8; 32]) -> Result<Arc<VerifiedToken>> {
    let peek = crate::crypto::signing::peek(token).ok_or(Error::InvalidAccessToken)?;
    let prefix = app.issuer("");
    let name = peek.iss.strip_prefix(&prefix).ok_or(Error::InvalidAccessToken)?;
    let realm = realms::by_host(app, name).await?.filter(|realm| realm.name == name).ok_or(Error::InvalidAccessToken)?;
    let keys = signing::keys(app, realm.id).await?;
    let key: &VerifyingKey = keys.verifying.get(&peek.kid).ok_or(Error::InvalidAccessToken)?;
    let now = app.clock.now();
    let expect = Expect { issuer: &app.issuer(&realm.name), audience: &app.audience(), now: now.timestamp(), leeway: LEEWAY_SECONDS };
    let claims = crate::crypto::signing::decode(token, key, &expect).map_err(|fault| match fault {
        TokenFault::Invalid => Error::InvalidAccessToken,
        TokenFault::Expired => Error::AccessTokenExpired,
    })?;
    let user_id: UserId = claims.sub.parse().map_err(|_| Error::InvalidAccessToken)?;
    let session_id: SessionId = claims.sid.parse().map_err(|_| Error::InvalidAccessToken)?;
    let session = store::sessions::find(&app.db.read, realm.id, session_id).await?.ok_or(Error::InvalidAccessToken)?;
    if session.user_id != user_id {
        return Err(Error::InvalidAccessToken);
    }
    if let Some((_, reason)) = session.ended {
        app.caches.end_session(session_id, reason);
        return Err(Error::SessionEnded { reason });
    }
    if now >= session.expires_at + TimeDelta::seconds(LEEWAY_SECONDS) {
        return Err(Error::SessionEnded { reason: EndReason::Expired });
    }
    let verified = Arc::new(VerifiedToken {
        realm_id: realm.id,
        person: Arc::new(SignedIn { user_id, session_id, auth_time: claims.auth_time, amr: claims.amr, scope: claims.scope, expires_at: claims.exp }),
        kid: peek.kid,
        noted_at: AtomicI64::new(session.last_used_at.timestamp()),
    });
    app.caches.put_token(hash, &verified);
    Ok(verified)
}

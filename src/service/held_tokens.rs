//! Opaque tokens of other dialects: the check that every use of one passes, and what their uses move.
//!
//! Warm, a check costs one SHA-256 and a few map look-ups. A token is judged by its row alone: uses move the end that
//! stands there, and are written before it is reached; an end that was reached is made final before anybody is told of it.
//! So nothing that was once refused is ever good again, whatever another node still had to write.

use std::sync::{Arc, atomic::Ordering};

use chrono::{DateTime, Utc};

use super::profile;
use crate::{
    app::{
        App,
        held::{AHEAD, Remembered, Shown},
    },
    crypto::hash::{sha256, sha256_hex},
    domain::{
        Error, Result,
        held_token::{TokenKind, TokenStatus},
        id::{HeldTokenId, RealmId},
        user::Profile,
    },
    store::{self, held_tokens::Use, revocations::RevocationKind, write_tx},
};

/// A token that is one of ours, and how it stands.
pub(super) struct Proved {
    pub(super) token: Arc<Remembered>,
    /// The person behind it, if it is one's.
    pub(super) profile: Option<Arc<Profile>>,
    pub(super) status: TokenStatus,
}

/// How a token is stored: the SHA-256 of its text in hex. 128 random bits need no slow hash.
pub(super) fn hash(text: &str) -> String {
    sha256_hex(text.as_bytes())
}

/// The token behind a text; `None` if there is none. A good one counts as used.
///
/// # Errors
/// What the database says.
pub(super) async fn prove(app: &App, kind: TokenKind, text: &str) -> Result<Option<Proved>> {
    let Some(proved) = look(app, kind, text).await? else { return Ok(None) };
    if proved.status == TokenStatus::Active { renew(app, text, proved).await.map(Some) } else { Ok(Some(proved)) }
}

/// The same without a use: for who asks about a token and not with it.
///
/// # Errors
/// What the database says.
pub(super) async fn look(app: &App, kind: TokenKind, text: &str) -> Result<Option<Proved>> {
    if TokenKind::claims(text) != Some(kind) {
        return Ok(None);
    }
    let digest = sha256(text.as_bytes());
    let known = match app.held.get(&digest, app.caches.fresh()) {
        Shown::Nothing => return Ok(None),
        Shown::Token(token) => token,
        Shown::Unknown => match read(app, kind, text, &digest).await? {
            Some(token) => token,
            None => return Ok(None),
        },
    };
    let Some(profile) = person(app, &known).await? else { return Ok(None) };
    let moved = profile.as_ref().is_some_and(|profile| profile.user.version != known.version.load(Ordering::Relaxed));
    let now = app.clock.now();
    let over = known.token.auto_renew && known.end().is_some_and(|end| end <= now) && known.token.ended_at.is_none();
    // Something ended all tokens of the person perhaps, or another node moved this one's end.
    let known = if moved || over {
        if let Some((realm, used)) = app.held.take(known.token.id) {
            write_use(app, realm, known.token.id, used).await?;
        }
        match read(app, kind, text, &digest).await? {
            Some(token) => token,
            None => return Ok(None),
        }
    } else {
        known
    };
    let status = match known.token.status(now) {
        TokenStatus::Expired if known.token.ended_at.is_none() && known.end().is_some_and(|end| end > now) => TokenStatus::Active,
        TokenStatus::Expired if known.token.ended_at.is_none() && known.token.auto_renew => settle(app, &known, text, &digest, now).await?,
        status => status,
    };
    Ok(Some(Proved { token: known, profile, status }))
}

/// Reads a token's row, and before that its person: what changes both at once is never seen by halves.
async fn read(app: &App, kind: TokenKind, text: &str, digest: &[u8; 32]) -> Result<Option<Arc<Remembered>>> {
    let turn = app.held.turn();
    let hash = hash(text);
    let Some(first) = store::held_tokens::find_shown(&app.db.read, kind, &hash).await? else {
        app.held.put(turn, *digest, None);
        return Ok(None);
    };
    let version = match first.user_id {
        Some(user) => match profile::of(app, first.realm_id, user).await {
            Ok(profile) => profile.user.version,
            Err(Error::NotFound) => return Ok(None),
            Err(error) => return Err(error),
        },
        None => 0,
    };
    let Some(token) = store::held_tokens::find_shown(&app.db.read, kind, &hash).await? else { return Ok(None) };
    let token = Arc::new(Remembered::new(token, version));
    app.held.put(turn, *digest, Some(&token));
    Ok(Some(token))
}

/// The person behind a token; `None` for one who is gone.
async fn person(app: &App, token: &Remembered) -> Result<Option<Option<Arc<Profile>>>> {
    let Some(user) = token.token.user_id else { return Ok(Some(None)) };
    match profile::of(app, token.token.realm_id, user).await {
        Ok(profile) => Ok(Some(Some(profile))),
        Err(Error::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes the end of a token final that uses might have moved, here and on other nodes.
async fn settle(app: &App, known: &Remembered, text: &str, digest: &[u8; 32], now: DateTime<Utc>) -> Result<TokenStatus> {
    let (realm, id) = (known.token.realm_id, known.token.id);
    let settled = write_tx!(&app.db, |tx| {
        let settled = store::held_tokens::settle(tx, realm, id, now).await?;
        if settled {
            store::revocations::insert(tx, realm, RevocationKind::HeldToken, id.0, "expired", now).await?;
        }
        Ok(settled)
    })?;
    forget(app, id);
    if settled {
        return Ok(TokenStatus::Expired);
    }
    // Somebody else was faster, with a use or with an end.
    let read = read(app, known.token.kind, text, digest).await?;
    Ok(read.map_or(TokenStatus::Ended, |token| token.token.status(now)))
}

/// Counts a use of a good token.
async fn renew(app: &App, text: &str, proved: Proved) -> Result<Proved> {
    let (token, now) = (&proved.token, app.clock.now());
    let until = if token.token.auto_renew { token.token.timeout.end(now) } else { None };
    let near = until.is_some() && token.end().is_some_and(|end| end - now <= AHEAD);
    if !near {
        if token.is_due(now) {
            app.held.note(token, now, until);
        }
        return Ok(proved);
    }
    // Too near its end to be written later.
    let used = match app.held.take(token.token.id) {
        Some((_, used)) => Use { last: used.last.max(now), until: used.until.max(until), ..used },
        None => Use { first: now, last: now, until },
    };
    if write_use(app, token.token.realm_id, token.token.id, used).await? {
        return Ok(proved);
    }
    let again = look(app, token.token.kind, text).await?;
    Ok(again.unwrap_or(Proved { status: TokenStatus::Ended, ..proved }))
}

/// Writes a use; `false` if the token was over.
async fn write_use(app: &App, realm: RealmId, id: HeldTokenId, used: Use) -> Result<bool> {
    let written = store::held_tokens::note_use(&app.db.write, realm, id, used).await;
    match &written {
        Ok(true) => {
            if let Some(until) = used.until {
                app.held.renewed(id, until);
            }
        }
        Ok(false) => app.held.forget(id),
        Err(_) => app.held.give_back(realm, id, used),
    }
    written
}

/// Forgets a token here, after a commit that left word of it for other nodes.
pub(super) fn forget(app: &App, id: HeldTokenId) {
    app.held.forget(id);
    app.bell.ring();
}

/// Writes the uses that are due, before any end that they move is reached.
///
/// # Errors
/// What the database says; what is not written is kept for the next call.
pub async fn flush_due(app: &App) -> Result<()> {
    flush(app, Some(app.clock.now())).await
}

/// Writes all uses.
///
/// # Errors
/// As [`flush_due`].
pub async fn flush_all(app: &App) -> Result<()> {
    flush(app, None).await
}

async fn flush(app: &App, now: Option<DateTime<Utc>>) -> Result<()> {
    let mut outcome = Ok(());
    for (realm, id, used) in app.held.take_due(now) {
        if outcome.is_err() {
            app.held.give_back(realm, id, used);
        } else {
            outcome = write_use(app, realm, id, used).await.map(drop);
        }
    }
    outcome
}

//! Who looks at a page: the session that a browser's cookie carries.
//!
//! Pages are no hot path, so each look reads the session's row; nothing has to be told to anybody for an end to count.

use std::sync::Arc;

use super::{SignedIn, realms};
use crate::{
    app::App,
    crypto::hash::sha256_hex,
    domain::{
        Result,
        id::SessionId,
        realm::{Lifetimes, Realm, RealmStatus},
        token::OpaqueToken,
    },
    store,
};

/// The person behind a cookie's token at the realm of that name; `None` if the session is over or the cookie was never
/// ours.
///
/// # Errors
/// What the database says.
pub async fn find(app: &App, realm_name: &str, token: &str) -> Result<Option<(Arc<Realm>, Arc<SignedIn>)>> {
    let Some(token) = OpaqueToken::parse(token) else { return Ok(None) };
    let realm = realms::by_host(app, realm_name).await?;
    let Some(realm) = realm.filter(|realm| realm.status == RealmStatus::Active) else { return Ok(None) };
    let (now, idle) = (app.clock.now(), Lifetimes::span(realm.settings.lifetimes.session_idle));
    let session = store::sessions::find_by_cookie(&app.db.read, realm.id, SessionId(token.id), &sha256_hex(token.secret()), now, idle).await?;
    let Some(session) = session else { return Ok(None) };
    app.caches.note_use(realm.id, session.id, now);
    let signed_in = SignedIn {
        user_id: session.user_id,
        session_id: session.id,
        auth_time: session.auth_time.timestamp(),
        amr: session.amr.split(' ').map(str::to_owned).collect(),
        scope: "openid".to_owned(),
        expires_at: session.expires_at.timestamp(),
    };
    Ok(Some((realm, Arc::new(signed_in))))
}

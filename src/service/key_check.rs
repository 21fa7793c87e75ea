//! Whether a text is an API key, and whose: the check that every use of a key passes.
//!
//! Spelling and checksum come first and cost no look-up. Warm, the rest is one SHA-256 and two map look-ups; cold, one
//! database read, which brings the key's account, plan and realm along. What proved to be no key is remembered too, for a while and so many at once, so that whoever tries
//! the same wrong key again costs nothing.

use std::sync::Arc;

use crate::{
    app::App,
    crypto::hash::{sha256, sha256_hex},
    domain::{
        Result,
        api_key::{ApiKey, KeyText},
    },
    store::{self, shown_keys::Shown},
};

/// The key behind a credential, good or ended; `None` if there is none.
///
/// # Errors
/// What the database says.
pub async fn prove(app: &App, shown: &str) -> Result<Option<Arc<ApiKey>>> {
    let Ok(text) = KeyText::parse(&app.settings.api_key_prefix, shown) else { return Ok(None) };
    let digest = sha256(shown.as_bytes());
    match app.caches.proved_key(&digest) {
        Some(None) => return Ok(None),
        // Proved once, an id's secret is proved for good; only what is known of the key may have gone stale.
        Some(Some(id)) => {
            if let Some(key) = app.caches.api_key(id) {
                return Ok(Some(key));
            }
        }
        None => {}
    }
    let epoch = app.caches.epoch();
    // The hash is part of the question, so that a wrong secret is answered as an id that was never given out: no row, and
    // nothing more to do. What the time of a comparison of hashes could tell says nothing of a secret of 256 bits.
    let found = store::shown_keys::find(&app.db.read, text.id, &sha256_hex(text.secret().as_bytes())).await?;
    app.caches.put_proved_key(digest, found.as_ref().map(|shown| shown.key.id));
    let Some(Shown { key, terms, realm }) = found else { return Ok(None) };
    let key = Arc::new(key);
    app.caches.put_api_key(epoch, &key);
    app.caches.put_terms(epoch, &Arc::new(terms));
    app.caches.put_realm(epoch, &Arc::new(realm));
    Ok(Some(key))
}

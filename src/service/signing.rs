//! A realm's signing keys: opened from their rows, published as a key set, kept warm.

use std::{collections::HashMap, sync::Arc};

use crate::{
    app::{App, cache::KeySet},
    crypto::signing::{SigningKey, VerifyingKey},
    domain::{
        Error, Result,
        id::{RealmId, SigningKeyId},
        realm::Realm,
    },
    store::{
        self, Connection,
        signing_keys::{KeyStatus, StoredKey},
    },
};

/// The keys of `realm`: the newest active one signs, all that are not revoked verify.
///
/// # Errors
/// [`Error::Internal`] if the realm has no active key or one can't be opened.
pub async fn keys(app: &App, realm: RealmId) -> Result<Arc<KeySet>> {
    if let Some(keys) = app.caches.keys(realm) {
        return Ok(keys);
    }
    let epoch = app.caches.epoch();
    let rows = store::signing_keys::list(&app.db.read, realm).await?;
    let keys = Arc::new(open(app, &rows)?);
    app.caches.put_keys(epoch, realm, &keys);
    Ok(keys)
}

fn open(app: &App, rows: &[StoredKey]) -> Result<KeySet> {
    let usable: Vec<_> = rows.iter().filter(|row| row.status != KeyStatus::Revoked).collect();
    let newest = usable.iter().filter(|row| row.status == KeyStatus::Active).max_by_key(|row| (row.created_at, row.id));
    let newest = newest.ok_or_else(|| Error::internal("the realm has no active signing key"))?;
    let pkcs8 = app.keyring.unseal(&aad(newest.realm_id, newest.id), &newest.private_sealed)?;
    let mut verifying = HashMap::new();
    let mut public = Vec::new();
    for row in &usable {
        let jwk: serde_json::Value = serde_json::from_str(&row.public_jwk).map_err(Error::internal)?;
        verifying.insert(row.kid.clone(), VerifyingKey::from_jwk(&jwk)?);
        public.push(jwk);
    }
    Ok(KeySet { current: SigningKey::from_pkcs8(&newest.kid, &pkcs8)?, verifying, jwks: serde_json::json!({ "keys": public }) })
}

/// Makes a new active key of `realm`; the caller commits it.
pub(super) async fn create(app: &App, db: &impl Connection, realm: &Realm) -> Result<()> {
    let now = app.clock.now();
    let key = SigningKey::generate(app.entropy.as_ref())?;
    let id = SigningKeyId::new(now, app.entropy.as_ref());
    let row = StoredKey {
        id,
        realm_id: realm.id,
        kid: key.kid().to_owned(),
        algorithm: "ES256".to_owned(),
        status: KeyStatus::Active,
        public_jwk: key.public_jwk().to_string(),
        private_sealed: app.keyring.seal(&aad(realm.id, id), key.pkcs8(), app.entropy.as_ref())?,
        created_at: now,
    };
    store::signing_keys::insert(db, &row).await
}

/// Ties a sealed key to its place, so that a row copied elsewhere opens nothing.
fn aad(realm: RealmId, id: SigningKeyId) -> String {
    format!("signing_keys|{realm}|{id}|private_sealed")
}

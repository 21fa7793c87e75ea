//! A realm's signing keys: opened from their rows, published as a key set, kept warm, followed by others in time.
//!
//! A key is published before it signs, and verifies until the last token that it signed has expired. Both moments stand in
//! its row from the start, so that nodes change over at the same time without a word.

use std::{collections::HashMap, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};

use super::{Ctx, realms};
use crate::{
    app::{App, cache::KeySet},
    crypto::signing::{SigningKey, VerifyingKey},
    domain::{
        Error, Result,
        event::Action,
        id::{EventId, RealmId, SigningKeyId},
        realm::Realm,
    },
    store::{
        self, Connection, Transaction,
        revocations::RevocationKind,
        signing_keys::{KeyStatus, StoredKey},
        write_tx,
    },
};

/// How long a key is published before it signs: three times as long as the key set may be kept.
const NOTICE: TimeDelta = TimeDelta::minutes(15);
/// The longest life of an access token that a realm can choose, and what clocks may differ.
const LAST_TOKEN: TimeDelta = TimeDelta::seconds(3_600 + 5);
/// Realms whose keys are looked up at once when their time has come.
const BATCH: u64 = 100;

/// The keys of `realm`: the newest that may sign does, all whose signatures count verify.
///
/// # Errors
/// [`Error::Internal`] if no key of the realm may sign or one can't be opened.
pub async fn keys(app: &App, realm: RealmId) -> Result<Arc<KeySet>> {
    let now = app.clock.now();
    if let Some(keys) = app.caches.keys(realm).filter(|keys| keys.turns_at.is_none_or(|at| now < at)) {
        return Ok(keys);
    }
    let epoch = app.caches.epoch();
    let rows = store::signing_keys::list(&app.db.read, realm).await?;
    let keys = Arc::new(open(app, &rows, now)?);
    app.caches.put_keys(epoch, realm, &keys);
    // A key that an older master key sealed moves to the current one when it is next needed.
    for row in rows.iter().filter(|row| !app.keyring.is_current(&row.private_sealed)) {
        if let Err(error) = reseal(app, row).await {
            tracing::warn!(kid = row.kid, error = %error, "a signing key can't be sealed anew");
        }
    }
    Ok(keys)
}

fn open(app: &App, rows: &[StoredKey], now: DateTime<Utc>) -> Result<KeySet> {
    let signer = signer(rows, now).ok_or_else(|| Error::internal("the realm has no active signing key"))?;
    let pkcs8 = app.keyring.unseal(&aad(signer.realm_id, signer.id), &signer.private_sealed)?;
    let mut verifying = HashMap::new();
    let mut public = Vec::new();
    for row in rows.iter().filter(|row| row.verifies(now)) {
        let jwk: serde_json::Value = serde_json::from_str(&row.public_jwk).map_err(Error::internal)?;
        verifying.insert(row.kid.clone(), VerifyingKey::from_jwk(&jwk)?);
        public.push(jwk);
    }
    let moments = rows.iter().filter(|row| row.verifies(now)).flat_map(|row| [Some(row.signs_from), row.verifies_until]).flatten();
    let turns_at = moments.filter(|at| *at > now).min();
    Ok(KeySet { current: SigningKey::from_pkcs8(&signer.kid, &pkcs8)?, verifying, jwks: serde_json::json!({ "keys": public }), turns_at })
}

/// Which of a realm's keys signs at `now`: the newest that may. On a node whose clock is behind the first of them, that one.
#[must_use]
pub fn signer(keys: &[StoredKey], now: DateTime<Utc>) -> Option<&StoredKey> {
    let newest = keys.iter().filter(|key| key.signs(now)).max_by_key(|key| (key.signs_from, key.is_last(), key.id));
    newest.or_else(|| keys.iter().filter(|key| key.status == KeyStatus::Active && key.verifies(now)).min_by_key(|key| (key.signs_from, key.id)))
}

/// Makes a new key of `realm` that signs from `signs_from` on; the caller commits it.
pub(super) async fn create(app: &App, db: &impl Connection, realm: &Realm, signs_from: DateTime<Utc>) -> Result<StoredKey> {
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
        signs_from,
        verifies_until: None,
    };
    store::signing_keys::insert(db, &row).await?;
    Ok(row)
}

/// A realm's keys as an operator sees them, oldest first.
///
/// # Errors
/// [`Error::NotPermitted`] for everybody but the operator.
pub async fn list(app: &App, ctx: &Ctx) -> Result<Vec<StoredKey>> {
    ctx.require_operator()?;
    store::signing_keys::list(&app.db.read, ctx.realm.id).await
}

/// Puts a new key after the realm's last one: published at once, signing after fifteen minutes. `None` if one is on its
/// way already, which is also what the slower of two nodes finds.
///
/// # Errors
/// [`Error::NotPermitted`] for everybody but the operator.
pub async fn rotate(app: &App, ctx: &Ctx) -> Result<Option<StoredKey>> {
    ctx.require_operator()?;
    let now = app.clock.now();
    let realm = ctx.realm.id;
    let made = write_tx!(&app.db, |tx| {
        let rows = store::signing_keys::list(tx, realm).await?;
        let Some(last) = rows.iter().filter(|row| row.is_last()).max_by_key(|row| (row.signs_from, row.id)) else {
            return Err(Error::internal("the realm has no active signing key"));
        };
        let signs_from = now + NOTICE;
        if last.signs_from > now || !store::signing_keys::end_if_last(tx, realm, last.id, signs_from + LAST_TOKEN).await? {
            return Ok(None);
        }
        let key = create(app, tx, &ctx.realm, signs_from).await?;
        changed(app, tx, ctx, Action::SigningKeyRotated).await?;
        Ok(Some(key))
    })?;
    app.caches.forget_realm(realm);
    Ok(made)
}

/// Rotates the keys of all realms whose last one is as old as the settings allow. Any number of nodes may do so at once.
///
/// # Errors
/// What the database says; what was rotated by then stays so.
pub async fn rotate_due(app: &App) -> Result<usize> {
    let Some(age) = app.settings.key_rotation() else { return Ok(0) };
    let mut rotated = 0;
    loop {
        let due = store::signing_keys::realms_due(&app.db.read, app.clock.now() - age, BATCH).await?;
        let before = rotated;
        for realm in due {
            let ctx = Ctx::operator(realms::get(app, realm).await?);
            rotated += usize::from(rotate(app, &ctx).await?.is_some());
        }
        // What is left is another node's, or on its way.
        if rotated == before {
            return Ok(rotated);
        }
    }
}

/// Revokes a key whose secret got out: on this node at once, on the others within a second. Its tokens are worth nothing
/// then. If it was the one that signs, another one does so from the same moment on.
///
/// # Errors
/// [`Error::NotPermitted`] for everybody but the operator, [`Error::NotFound`] for an unknown key.
pub async fn revoke(app: &App, ctx: &Ctx, kid: &str) -> Result<()> {
    ctx.require_operator()?;
    let found = store::signing_keys::find_by_kid(&app.db.read, kid).await?.ok_or(Error::NotFound)?;
    let realm = realms::get(app, found.realm_id).await?;
    let ctx = &Ctx { realm: Arc::clone(&realm), ..ctx.clone() };
    let now = app.clock.now();
    write_tx!(&app.db, |tx| {
        if !store::signing_keys::revoke(tx, realm.id, found.id).await? {
            return Ok(());
        }
        let rows = store::signing_keys::list(tx, realm.id).await?;
        match rows.iter().filter(|row| row.is_last()).max_by_key(|row| (row.signs_from, row.id)) {
            Some(last) if last.signs_from <= now => {}
            Some(next) => {
                store::signing_keys::begin_now(tx, realm.id, next.id, now).await?;
            }
            None => {
                create(app, tx, &realm, now).await?;
            }
        }
        changed(app, tx, ctx, Action::SigningKeyRevoked).await
    })?;
    app.caches.forget_realm(realm.id);
    Ok(())
}

/// Leaves word for the other nodes and a line in the trail.
async fn changed(app: &App, tx: &Transaction, ctx: &Ctx, action: Action) -> Result<()> {
    let now = app.clock.now();
    store::revocations::insert(tx, ctx.realm.id, RevocationKind::Realm, ctx.realm.id.0, "keys", now).await?;
    store::audit::insert(tx, EventId::new(now, app.entropy.as_ref()), &ctx.event(action, None), now).await
}

/// Seals a key's secret with the current master key; `false` if somebody else was faster.
pub(super) async fn reseal(app: &App, row: &StoredKey) -> Result<bool> {
    let aad = aad(row.realm_id, row.id);
    let sealed = app.keyring.seal(&aad, &app.keyring.unseal(&aad, &row.private_sealed)?, app.entropy.as_ref())?;
    store::signing_keys::reseal_if(&app.db.write, row.realm_id, row.id, &row.private_sealed, &sealed).await
}

/// Ties a sealed key to its place, so that a row copied elsewhere opens nothing.
fn aad(realm: RealmId, id: SigningKeyId) -> String {
    format!("signing_keys|{realm}|{id}|private_sealed")
}

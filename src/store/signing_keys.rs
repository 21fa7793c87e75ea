//! Keys that sign a realm's tokens, sealed at rest.

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _, sea_query::Expr,
};

use crate::domain::{
    Result,
    id::{RealmId, SigningKeyId},
};

super::entity!("signing_keys" {
    #[sea_orm(primary_key, auto_increment = false)]
    id: SigningKeyId,
    realm_id: RealmId,
    kid: String,
    algorithm: String,
    status: String,
    public_jwk: String,
    private_sealed: String,
    created_at: Instant,
    signs_from: Option<Instant>,
    verifies_until: Option<Instant>,
});
use entity::{ActiveModel, Column, Entity, Model};

/// What a key is still good for, time apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyStatus {
    /// Signs and verifies.
    Active,
    /// Verifies what it signed.
    Retiring,
    /// Neither.
    Revoked,
}

impl KeyStatus {
    fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Retiring => "retiring",
            Self::Revoked => "revoked",
        }
    }
}

/// A key's row.
#[derive(Clone, Debug)]
pub struct StoredKey {
    pub id: SigningKeyId,
    pub realm_id: RealmId,
    pub kid: String,
    pub algorithm: String,
    pub status: KeyStatus,
    /// RFC 7517, as text.
    pub public_jwk: String,
    pub private_sealed: String,
    pub created_at: DateTime<Utc>,
    /// It is published before, so that everybody knows it by then.
    pub signs_from: DateTime<Utc>,
    /// When the last token that it signed has expired; `None` while no other key is to follow it.
    pub verifies_until: Option<DateTime<Utc>>,
}

impl StoredKey {
    /// Whether it may sign at `now`.
    #[must_use]
    pub fn signs(&self, now: DateTime<Utc>) -> bool {
        self.status == KeyStatus::Active && self.signs_from <= now && self.verifies(now)
    }

    /// Whether its signatures count at `now`.
    #[must_use]
    pub fn verifies(&self, now: DateTime<Utc>) -> bool {
        self.status != KeyStatus::Revoked && self.verifies_until.is_none_or(|until| now < until)
    }

    /// Whether no other key follows it.
    #[must_use]
    pub fn is_last(&self) -> bool {
        self.status == KeyStatus::Active && self.verifies_until.is_none()
    }
}

fn key(row: Model) -> Result<StoredKey> {
    let status = [KeyStatus::Active, KeyStatus::Retiring, KeyStatus::Revoked].into_iter().find(|status| status.as_str() == row.status);
    Ok(StoredKey {
        status: status.ok_or_else(|| super::unknown_word("signing_keys.status", &row.status))?,
        id: row.id,
        realm_id: row.realm_id,
        kid: row.kid,
        algorithm: row.algorithm,
        public_jwk: row.public_jwk,
        private_sealed: row.private_sealed,
        created_at: row.created_at,
        signs_from: row.signs_from.unwrap_or(row.created_at),
        verifies_until: row.verifies_until,
    })
}

/// Writes a key.
///
/// # Errors
/// What the database says.
pub async fn insert(db: &impl ConnectionTrait, key: &StoredKey) -> Result<()> {
    let row = ActiveModel {
        id: Set(key.id),
        realm_id: Set(key.realm_id),
        kid: Set(key.kid.clone()),
        algorithm: Set(key.algorithm.clone()),
        status: Set(key.status.as_str().to_owned()),
        public_jwk: Set(key.public_jwk.clone()),
        private_sealed: Set(key.private_sealed.clone()),
        created_at: Set(key.created_at),
        signs_from: Set(Some(key.signs_from)),
        verifies_until: Set(key.verifies_until),
    };
    Entity::insert(row).exec_without_returning(db).await?;
    Ok(())
}

/// All keys of a realm, oldest first.
///
/// # Errors
/// What the database says.
pub async fn list(db: &impl ConnectionTrait, realm: RealmId) -> Result<Vec<StoredKey>> {
    let rows = Entity::find().filter(Column::RealmId.eq(realm)).order_by_asc(Column::CreatedAt).order_by_asc(Column::Id).all(db).await?;
    rows.into_iter().map(key).collect()
}

/// The key of that public id, whichever realm's: for the operator alone.
///
/// # Errors
/// What the database says.
pub async fn find_by_kid(db: &impl ConnectionTrait, kid: &str) -> Result<Option<StoredKey>> {
    Entity::find().filter(Column::Kid.eq(kid)).one(db).await?.map(key).transpose()
}

/// Realms whose last key is older than `before`, at most `limit` of them.
///
/// # Errors
/// What the database says.
pub async fn realms_due(db: &impl ConnectionTrait, before: DateTime<Utc>, limit: u64) -> Result<Vec<RealmId>> {
    let query = Entity::find()
        .select_only()
        .column(Column::RealmId)
        .filter(Column::Status.eq(KeyStatus::Active.as_str()))
        .filter(Column::VerifiesUntil.is_null())
        .filter(Column::CreatedAt.lte(before))
        .order_by_asc(Column::CreatedAt)
        .limit(limit);
    Ok(query.into_tuple::<RealmId>().all(db).await?)
}

fn last(realm: RealmId, id: SigningKeyId) -> sea_orm::UpdateMany<Entity> {
    Entity::update_many()
        .filter(Column::RealmId.eq(realm))
        .filter(Column::Id.eq(id))
        .filter(Column::Status.eq(KeyStatus::Active.as_str()))
        .filter(Column::VerifiesUntil.is_null())
}

/// Sets the end of a key if it is still its realm's last: `true` for the one caller who may put another one after it.
///
/// # Errors
/// What the database says.
pub async fn end_if_last(db: &impl ConnectionTrait, realm: RealmId, id: SigningKeyId, until: DateTime<Utc>) -> Result<bool> {
    let update = last(realm, id).col_expr(Column::VerifiesUntil, Expr::value(until));
    Ok(super::primitive::consume_once(db, update).await?.is_some())
}

/// Lets a realm's last key sign from now on.
///
/// # Errors
/// What the database says.
pub async fn begin_now(db: &impl ConnectionTrait, realm: RealmId, id: SigningKeyId, now: DateTime<Utc>) -> Result<bool> {
    let update = last(realm, id).col_expr(Column::SignsFrom, Expr::value(now));
    Ok(super::primitive::consume_once(db, update).await?.is_some())
}

/// Revokes a key; `false` if it was revoked before.
///
/// # Errors
/// What the database says.
pub async fn revoke(db: &impl ConnectionTrait, realm: RealmId, id: SigningKeyId) -> Result<bool> {
    let update = Entity::update_many()
        .col_expr(Column::Status, Expr::value(KeyStatus::Revoked.as_str()))
        .filter(Column::RealmId.eq(realm))
        .filter(Column::Id.eq(id))
        .filter(Column::Status.ne(KeyStatus::Revoked.as_str()));
    Ok(super::primitive::consume_once(db, update).await?.is_some())
}

/// Keys that are sealed with another master key than `current`, in the order of their ids, at most `limit` after `after`.
///
/// # Errors
/// What the database says.
pub async fn sealed_otherwise(db: &impl ConnectionTrait, current: &str, after: Option<SigningKeyId>, limit: u64) -> Result<Vec<StoredKey>> {
    let mut query = Entity::find().filter(Column::PrivateSealed.not_like(format!("{current}.%")));
    if let Some(after) = after {
        query = query.filter(Column::Id.gt(after));
    }
    let rows = query.order_by_asc(Column::Id).limit(limit).all(db).await?;
    rows.into_iter().map(key).collect()
}

/// Puts `new` in the place of a sealed private key, if it is still `old`.
///
/// # Errors
/// What the database says.
pub async fn reseal_if(db: &impl ConnectionTrait, realm: RealmId, id: SigningKeyId, old: &str, new: &str) -> Result<bool> {
    let update = Entity::update_many()
        .col_expr(Column::PrivateSealed, Expr::value(new))
        .filter(Column::RealmId.eq(realm))
        .filter(Column::Id.eq(id))
        .filter(Column::PrivateSealed.eq(old));
    Ok(update.exec(db).await?.rows_affected == 1)
}

/// Deletes keys whose signatures don't count since `before`.
pub(super) async fn delete_before(db: &impl ConnectionTrait, before: DateTime<Utc>) -> Result<u64> {
    let over = Condition::all().add(Column::VerifiesUntil.lt(before));
    Ok(Entity::delete_many().filter(over).exec(db).await?.rows_affected)
}

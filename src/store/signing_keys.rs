//! Keys that sign a realm's tokens, sealed at rest.

use chrono::{DateTime, Utc};
use sea_orm::{ActiveValue::Set, ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, QueryOrder as _};

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
});
use entity::{ActiveModel, Column, Entity};

/// What a key is still good for.
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
    };
    Entity::insert(row).exec_without_returning(db).await?;
    Ok(())
}

/// All keys of a realm, oldest first.
///
/// # Errors
/// What the database says.
pub async fn list(db: &impl ConnectionTrait, realm: RealmId) -> Result<Vec<StoredKey>> {
    let rows = Entity::find().filter(Column::RealmId.eq(realm)).order_by_asc(Column::CreatedAt).all(db).await?;
    rows.into_iter()
        .map(|row| {
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
            })
        })
        .collect()
}

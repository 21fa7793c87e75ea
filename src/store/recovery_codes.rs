//! Recovery codes, by their hashes alone.

use chrono::{DateTime, Utc};
use sea_orm::{ActiveValue::Set, ColumnTrait as _, ConnectionTrait, EntityTrait as _, PaginatorTrait as _, QueryFilter as _, sea_query::Expr};

use crate::domain::{
    Result,
    clock::Entropy,
    id::{RealmId, RecoveryCodeId, UserId},
};

super::entity!("recovery_codes" {
    #[sea_orm(primary_key, auto_increment = false)]
    id: RecoveryCodeId,
    realm_id: RealmId,
    user_id: UserId,
    code_hash: String,
    created_at: Instant,
    used_at: Option<Instant>,
});
use entity::{ActiveModel, Entity};
pub(super) use entity::{Column, Entity as Codes};

/// Puts codes with these hashes in the place of all that the user had.
///
/// # Errors
/// What the database says.
pub async fn replace(db: &super::Transaction, realm: RealmId, user: UserId, hashes: &[String], entropy: &dyn Entropy, now: DateTime<Utc>) -> Result<()> {
    delete(db, realm, user).await?;
    let rows = hashes.iter().map(|hash| ActiveModel {
        id: Set(RecoveryCodeId::new(now, entropy)),
        realm_id: Set(realm),
        user_id: Set(user),
        code_hash: Set(hash.clone()),
        created_at: Set(now),
        used_at: Set(None),
    });
    Entity::insert_many(rows).exec_without_returning(db).await?;
    Ok(())
}

/// Uses the code whose hash is one of `hashes`, the same code under each master key there is: `true` for one caller alone.
///
/// # Errors
/// What the database says.
pub async fn consume(db: &impl ConnectionTrait, realm: RealmId, user: UserId, hashes: &[String], now: DateTime<Utc>) -> Result<bool> {
    let update = Entity::update_many()
        .col_expr(Column::UsedAt, Expr::value(now))
        .filter(Column::RealmId.eq(realm))
        .filter(Column::UserId.eq(user))
        .filter(Column::CodeHash.is_in(hashes))
        .filter(Column::UsedAt.is_null());
    Ok(super::primitive::consume_once(db, update).await?.is_some())
}

/// How many codes a user has left, and when they were made.
///
/// # Errors
/// What the database says.
pub async fn standing(db: &impl ConnectionTrait, realm: RealmId, user: UserId) -> Result<(u64, Option<DateTime<Utc>>)> {
    let rows = Entity::find().filter(Column::RealmId.eq(realm)).filter(Column::UserId.eq(user)).all(db).await?;
    let left = rows.iter().filter(|row| row.used_at.is_none()).count();
    Ok((left as u64, rows.first().map(|row| row.created_at)))
}

/// Deletes a user's codes.
///
/// # Errors
/// What the database says.
pub async fn delete(db: &impl ConnectionTrait, realm: RealmId, user: UserId) -> Result<()> {
    Entity::delete_many().filter(Column::RealmId.eq(realm)).filter(Column::UserId.eq(user)).exec(db).await?;
    Ok(())
}

/// How many unused codes of all realms are hashed with the master key `key`.
///
/// # Errors
/// What the database says.
pub async fn count_of_key(db: &impl ConnectionTrait, key: &str) -> Result<u64> {
    Ok(Entity::find().filter(Column::CodeHash.starts_with(format!("{key}."))).filter(Column::UsedAt.is_null()).count(db).await?)
}

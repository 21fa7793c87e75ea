//! Stored secrets of users: hashes, never what was hashed.

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, PaginatorTrait as _, QueryFilter as _,
    sea_query::{Expr, OnConflict},
};

use crate::domain::{
    Result,
    clock::Entropy,
    credential::CredentialKind,
    id::{CredentialId, RealmId, UserId},
};

super::entity!("credentials" {
    #[sea_orm(primary_key, auto_increment = false)]
    id: CredentialId,
    realm_id: RealmId,
    user_id: UserId,
    kind: String,
    label: String,
    secret: String,
    created_at: Instant,
    updated_at: Instant,
});
use entity::{ActiveModel, Column};
pub(super) use entity::{Column as CredentialColumn, Entity};

/// Sets a user's password hash, whether or not there is one.
///
/// # Errors
/// What the database says.
pub async fn put_password(db: &impl ConnectionTrait, realm: RealmId, user: UserId, entropy: &dyn Entropy, hash: &str, now: DateTime<Utc>) -> Result<()> {
    let row = ActiveModel {
        id: Set(CredentialId::new(now, entropy)),
        realm_id: Set(realm),
        user_id: Set(user),
        kind: Set(CredentialKind::Password.as_str().to_owned()),
        label: Set(String::new()),
        secret: Set(hash.to_owned()),
        created_at: Set(now),
        updated_at: Set(now),
    };
    let conflict =
        OnConflict::columns([Column::RealmId, Column::UserId, Column::Kind, Column::Label]).update_columns([Column::Secret, Column::UpdatedAt]).to_owned();
    Entity::insert(row).on_conflict(conflict).exec_without_returning(db).await?;
    Ok(())
}

/// A user's stored secret of that kind.
///
/// # Errors
/// What the database says.
pub async fn find(db: &impl ConnectionTrait, realm: RealmId, user: UserId, kind: CredentialKind) -> Result<Option<String>> {
    let query = Entity::find().filter(Column::RealmId.eq(realm)).filter(Column::UserId.eq(user)).filter(Column::Kind.eq(kind.as_str()));
    Ok(query.one(db).await?.map(|row| row.secret))
}

/// A user's password hash.
///
/// # Errors
/// What the database says.
pub async fn find_password(db: &impl ConnectionTrait, realm: RealmId, user: UserId) -> Result<Option<String>> {
    find(db, realm, user, CredentialKind::Password).await
}

/// How many passwords of all realms hold `mark` in their hash.
///
/// # Errors
/// What the database says.
pub async fn count_marked(db: &impl ConnectionTrait, mark: &str) -> Result<u64> {
    let query = Entity::find().filter(Column::Kind.eq(CredentialKind::Password.as_str())).filter(Column::Secret.contains(mark));
    Ok(query.count(db).await?)
}

/// Replaces a password hash by another of the same password, if it is still `old`.
///
/// # Errors
/// What the database says.
pub async fn replace_password_if(db: &impl ConnectionTrait, realm: RealmId, user: UserId, old: &str, new: &str, now: DateTime<Utc>) -> Result<bool> {
    let update = Entity::update_many()
        .col_expr(Column::Secret, Expr::value(new))
        .col_expr(Column::UpdatedAt, Expr::value(now))
        .filter(Column::RealmId.eq(realm))
        .filter(Column::UserId.eq(user))
        .filter(Column::Kind.eq(CredentialKind::Password.as_str()))
        .filter(Column::Secret.eq(old));
    Ok(update.exec(db).await?.rows_affected == 1)
}

/// The kinds of a user's stored secrets, with when each was first and last set.
///
/// # Errors
/// What the database says.
pub async fn list(db: &impl ConnectionTrait, realm: RealmId, user: UserId) -> Result<Vec<(String, DateTime<Utc>, DateTime<Utc>)>> {
    let rows = Entity::find().filter(Column::RealmId.eq(realm)).filter(Column::UserId.eq(user)).all(db).await?;
    Ok(rows.into_iter().map(|row| (row.kind, row.created_at, row.updated_at)).collect())
}

/// Deletes a user's stored secrets of every kind.
///
/// # Errors
/// What the database says.
pub async fn delete_all(db: &impl ConnectionTrait, realm: RealmId, user: UserId) -> Result<()> {
    Entity::delete_many().filter(Column::RealmId.eq(realm)).filter(Column::UserId.eq(user)).exec(db).await?;
    Ok(())
}

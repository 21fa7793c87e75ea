//! Shared secrets of one-time passwords: one that counts and one that waits for its first code, each a person.

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    sea_query::{Expr, OnConflict},
};

use crate::domain::{
    Result,
    id::{RealmId, TotpId, UserId},
};

super::entity!("totp_secrets" {
    #[sea_orm(primary_key, auto_increment = false)]
    id: TotpId,
    realm_id: RealmId,
    user_id: UserId,
    state: String,
    secret: String,
    last_step: i64,
    created_at: Instant,
    expires_at: Instant,
});
use entity::{ActiveModel, Column, Model};
pub(super) use entity::{Column as TotpColumn, Entity};

/// Waits for its first code.
const PENDING: &str = "pending";
/// Counts.
pub(super) const ACTIVE: &str = "active";

/// A secret's row.
#[derive(Clone, Debug)]
pub struct TotpSecret {
    pub id: TotpId,
    pub realm_id: RealmId,
    pub user_id: UserId,
    /// Sealed under the master key.
    pub sealed: String,
    /// The newest step whose code was used.
    pub last_step: i64,
    pub created_at: DateTime<Utc>,
    /// While it waits, until when.
    pub expires_at: DateTime<Utc>,
}

fn secret(row: Model) -> TotpSecret {
    TotpSecret {
        id: row.id,
        realm_id: row.realm_id,
        user_id: row.user_id,
        sealed: row.secret,
        last_step: row.last_step,
        created_at: row.created_at,
        expires_at: row.expires_at,
    }
}

/// Writes a secret that waits for its first code, in the place of one that waited before.
///
/// # Errors
/// What the database says.
pub async fn put_pending(db: &impl ConnectionTrait, new: &TotpSecret) -> Result<()> {
    let row = ActiveModel {
        id: Set(new.id),
        realm_id: Set(new.realm_id),
        user_id: Set(new.user_id),
        state: Set(PENDING.to_owned()),
        secret: Set(new.sealed.clone()),
        last_step: Set(new.last_step),
        created_at: Set(new.created_at),
        expires_at: Set(new.expires_at),
    };
    let conflict = OnConflict::columns([Column::RealmId, Column::UserId, Column::State])
        .update_columns([Column::Id, Column::Secret, Column::LastStep, Column::CreatedAt, Column::ExpiresAt])
        .to_owned();
    Entity::insert(row).on_conflict(conflict).exec_without_returning(db).await?;
    Ok(())
}

fn of(realm: RealmId, user: UserId, state: &str) -> sea_orm::Select<Entity> {
    Entity::find().filter(Column::RealmId.eq(realm)).filter(Column::UserId.eq(user)).filter(Column::State.eq(state))
}

/// A user's secret that waits for its first code.
///
/// # Errors
/// What the database says.
pub async fn find_pending(db: &impl ConnectionTrait, realm: RealmId, user: UserId, now: DateTime<Utc>) -> Result<Option<TotpSecret>> {
    Ok(of(realm, user, PENDING).filter(Column::ExpiresAt.gt(now)).one(db).await?.map(secret))
}

/// A user's secret that counts.
///
/// # Errors
/// What the database says.
pub async fn find(db: &impl ConnectionTrait, realm: RealmId, user: UserId) -> Result<Option<TotpSecret>> {
    Ok(of(realm, user, ACTIVE).one(db).await?.map(secret))
}

/// Makes a waiting secret the one that counts, its first code being of `step`; `false` if it waits no more. The caller
/// rolls back then, for the one before is gone.
///
/// # Errors
/// What the database says.
pub async fn activate(db: &super::Transaction, realm: RealmId, user: UserId, id: TotpId, step: i64, now: DateTime<Utc>) -> Result<bool> {
    let former = Entity::delete_many().filter(Column::RealmId.eq(realm)).filter(Column::UserId.eq(user)).filter(Column::State.eq(ACTIVE));
    former.exec(db).await?;
    let update = Entity::update_many()
        .col_expr(Column::State, Expr::value(ACTIVE))
        .col_expr(Column::LastStep, Expr::value(step))
        .col_expr(Column::CreatedAt, Expr::value(now))
        .filter(Column::RealmId.eq(realm))
        .filter(Column::UserId.eq(user))
        .filter(Column::Id.eq(id))
        .filter(Column::State.eq(PENDING))
        .filter(Column::ExpiresAt.gt(now));
    Ok(super::primitive::consume_once(db, update).await?.is_some())
}

/// Takes `step` of a secret, if neither it nor a later one was used (RFC 6238 section 5.2): `true` for one caller alone.
///
/// # Errors
/// What the database says.
pub async fn use_step(db: &impl ConnectionTrait, realm: RealmId, id: TotpId, step: i64) -> Result<bool> {
    let update = Entity::update_many()
        .col_expr(Column::LastStep, Expr::value(step))
        .filter(Column::RealmId.eq(realm))
        .filter(Column::Id.eq(id))
        .filter(Column::State.eq(ACTIVE))
        .filter(Column::LastStep.lt(step));
    Ok(super::primitive::consume_once(db, update).await?.is_some())
}

/// Deletes a user's secrets; `false` if none counted. With `since` only what was made then or later.
///
/// # Errors
/// What the database says.
pub async fn delete(db: &impl ConnectionTrait, realm: RealmId, user: UserId, since: Option<DateTime<Utc>>) -> Result<bool> {
    let mut own = Entity::delete_many().filter(Column::RealmId.eq(realm)).filter(Column::UserId.eq(user));
    if let Some(since) = since {
        own = own.filter(Column::CreatedAt.gte(since));
    }
    own.clone().filter(Column::State.eq(PENDING)).exec(db).await?;
    Ok(own.filter(Column::State.eq(ACTIVE)).exec(db).await?.rows_affected > 0)
}

/// Secrets that are sealed with another master key than `current`, in the order of their ids, at most `limit` after `after`.
///
/// # Errors
/// What the database says.
pub async fn sealed_otherwise(db: &impl ConnectionTrait, current: &str, after: Option<TotpId>, limit: u64) -> Result<Vec<TotpSecret>> {
    let mut query = Entity::find().filter(Column::Secret.not_like(format!("{current}.%")));
    if let Some(after) = after {
        query = query.filter(Column::Id.gt(after));
    }
    Ok(query.order_by_asc(Column::Id).limit(limit).all(db).await?.into_iter().map(secret).collect())
}

/// Puts `new` in the place of a sealed secret, if it is still `old`.
///
/// # Errors
/// What the database says.
pub async fn reseal_if(db: &impl ConnectionTrait, realm: RealmId, id: TotpId, old: &str, new: &str) -> Result<bool> {
    let update = Entity::update_many()
        .col_expr(Column::Secret, Expr::value(new))
        .filter(Column::RealmId.eq(realm))
        .filter(Column::Id.eq(id))
        .filter(Column::Secret.eq(old));
    Ok(update.exec(db).await?.rows_affected == 1)
}

/// Deletes secrets that waited in vain until `before`.
pub(super) async fn delete_before(db: &impl ConnectionTrait, before: DateTime<Utc>) -> Result<u64> {
    let over = Entity::delete_many().filter(Column::State.eq(PENDING)).filter(Column::ExpiresAt.lt(before));
    Ok(over.exec(db).await?.rows_affected)
}

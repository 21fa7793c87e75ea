//! Devices that people signed in with, known by the hash of a token that the device keeps.

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, ExprTrait as _, QueryFilter as _, QueryOrder as _, QueryResult, QuerySelect as _, QueryTrait as _,
    sea_query::{Asterisk, Expr, Query, SelectStatement},
};

use super::batch::Batch;
use crate::domain::{
    Result,
    id::{DeviceId, RealmId, UserId},
};

super::entity!("devices" {
    #[sea_orm(primary_key, auto_increment = false)]
    id: DeviceId,
    realm_id: RealmId,
    user_id: UserId,
    token_hash: String,
    name: String,
    network: Option<String>,
    created_at: Instant,
    last_used_at: Instant,
    forgotten_at: Option<Instant>,
    trusted_until: Option<Instant>,
});
use entity::{ActiveModel, Column, Entity};

/// A device's row.
#[derive(Clone, Debug)]
pub struct Device {
    pub id: DeviceId,
    pub realm_id: RealmId,
    pub user_id: UserId,
    /// SHA-256 of the secret, in hex.
    pub token_hash: String,
    /// What the person would call it.
    pub name: String,
    /// Where it was used first; of older rows it is not known.
    pub network: Option<String>,
    pub created_at: DateTime<Utc>,
    pub last_used_at: DateTime<Utc>,
    /// Until when its person is not asked for a second factor there.
    pub trusted_until: Option<DateTime<Utc>>,
}

/// Adds a device, together with other writes.
pub fn add(batch: &mut Batch, device: &Device) {
    let row = ActiveModel {
        id: Set(device.id),
        realm_id: Set(device.realm_id),
        user_id: Set(device.user_id),
        token_hash: Set(device.token_hash.clone()),
        name: Set(device.name.clone()),
        network: Set(device.network.clone()),
        created_at: Set(device.created_at),
        last_used_at: Set(device.last_used_at),
        forgotten_at: Set(None),
        trusted_until: Set(device.trusted_until),
    };
    batch.add(&Entity::insert(row));
}

/// The device of that id and hash, if it was used after `since` and not forgotten.
///
/// # Errors
/// What the database says.
pub async fn find_known(db: &impl ConnectionTrait, realm: RealmId, id: DeviceId, hash: &str, since: DateTime<Utc>) -> Result<Option<Device>> {
    let query = Entity::find()
        .filter(Column::RealmId.eq(realm))
        .filter(Column::Id.eq(id))
        .filter(Column::TokenHash.eq(hash))
        .filter(Column::LastUsedAt.gt(since))
        .filter(Column::ForgottenAt.is_null());
    Ok(query.one(db).await?.map(device))
}

fn device(row: entity::Model) -> Device {
    Device {
        id: row.id,
        realm_id: row.realm_id,
        user_id: row.user_id,
        token_hash: row.token_hash,
        name: row.name,
        network: row.network,
        created_at: row.created_at,
        last_used_at: row.last_used_at,
        trusted_until: row.trusted_until,
    }
}

/// A user's devices, oldest first.
///
/// # Errors
/// What the database says.
pub async fn list(db: &impl ConnectionTrait, realm: RealmId, user: UserId) -> Result<Vec<Device>> {
    let query = Entity::find().filter(Column::RealmId.eq(realm)).filter(Column::UserId.eq(user)).order_by_asc(Column::Id);
    Ok(query.all(db).await?.into_iter().map(device).collect())
}

/// The devices that a user ever had, forgotten ones too, as far as rows remember.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Places {
    pub had: u64,
    /// Whether one of them has the name and the network in question.
    pub here: bool,
}

const HAD: &str = "devices_had";
const HERE: &str = "devices_here";

/// Counts of a user's devices to stand in a query that knows the user as `user`, for [`read_places`].
pub(super) fn counted(realm: RealmId, user: impl Into<Expr>, name: &str, network: &str) -> [(SelectStatement, &'static str); 2] {
    let mut had = Query::select();
    had.expr(Expr::col(Asterisk).count()).from(Entity).and_where(Expr::col((Entity, Column::RealmId)).eq(realm));
    had.and_where(Expr::col((Entity, Column::UserId)).eq(user));
    let mut here = had.clone();
    here.and_where(Expr::col((Entity, Column::Name)).eq(name)).and_where(Expr::col((Entity, Column::Network)).eq(network));
    [(had, HAD), (here, HERE)]
}

/// What [`counted`] found.
pub(super) fn read_places(row: &QueryResult) -> Result<Places> {
    let (had, here): (i64, i64) = (row.try_get("", HAD)?, row.try_get("", HERE)?);
    Ok(Places { had: u64::try_from(had).unwrap_or_default(), here: here > 0 })
}

/// Where a user signed in before, seen from a device of that name and network.
///
/// # Errors
/// What the database says.
pub async fn places(db: &impl ConnectionTrait, realm: RealmId, user: UserId, name: &str, network: &str) -> Result<Places> {
    let mut query = Query::select();
    for (count, alias) in counted(realm, user, name, network) {
        query.expr_as(Expr::from(count), alias);
    }
    match db.query_one_raw(db.get_database_backend().build(&query)).await? {
        Some(row) => read_places(&row),
        None => Ok(Places { had: 0, here: false }),
    }
}

/// Notes that a device was used, together with other writes.
pub fn add_use(batch: &mut Batch, realm: RealmId, id: DeviceId, now: DateTime<Utc>) {
    batch.add(&Entity::update_many().col_expr(Column::LastUsedAt, Expr::value(now)).filter(Column::RealmId.eq(realm)).filter(Column::Id.eq(id)));
}

/// Deletes all of a user's devices but the `keep` that were used last, together with other writes.
pub fn add_room(batch: &mut Batch, realm: RealmId, user: UserId, keep: u64) {
    let newest = Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(Column::RealmId.eq(realm))
        .filter(Column::UserId.eq(user))
        .order_by_desc(Column::LastUsedAt)
        .order_by_desc(Column::Id)
        .limit(keep)
        .into_query();
    let others = Entity::delete_many().filter(Column::RealmId.eq(realm)).filter(Column::UserId.eq(user)).filter(Column::Id.not_in_subquery(newest));
    batch.add(&others);
}

/// Trusts a device of a user until then, together with other writes.
pub fn add_trust(batch: &mut Batch, realm: RealmId, user: UserId, id: DeviceId, until: DateTime<Utc>) {
    let update = Entity::update_many().col_expr(Column::TrustedUntil, Expr::value(until)).filter(Column::RealmId.eq(realm));
    batch.add(&update.filter(Column::UserId.eq(user)).filter(Column::Id.eq(id)));
}

/// A user's trusted devices, the newest first.
///
/// # Errors
/// What the database says.
pub async fn list_trusted(db: &impl ConnectionTrait, realm: RealmId, user: UserId, now: DateTime<Utc>) -> Result<Vec<Device>> {
    let query = Entity::find()
        .filter(Column::RealmId.eq(realm))
        .filter(Column::UserId.eq(user))
        .filter(Column::TrustedUntil.gt(now))
        .filter(Column::ForgottenAt.is_null());
    Ok(query.order_by_desc(Column::Id).all(db).await?.into_iter().map(device).collect())
}

/// Trusts a user's device no more; `false` if it was not trusted.
///
/// # Errors
/// What the database says.
pub async fn distrust(db: &impl ConnectionTrait, realm: RealmId, user: UserId, id: DeviceId, now: DateTime<Utc>) -> Result<bool> {
    let update = Entity::update_many()
        .col_expr(Column::TrustedUntil, Expr::value(None::<DateTime<Utc>>))
        .filter(Column::RealmId.eq(realm))
        .filter(Column::UserId.eq(user))
        .filter(Column::Id.eq(id))
        .filter(Column::TrustedUntil.gt(now))
        .filter(Column::ForgottenAt.is_null());
    Ok(super::primitive::consume_once(db, update).await?.is_some())
}

/// Trusts none of a user's devices any more.
///
/// # Errors
/// What the database says.
pub async fn distrust_all(db: &impl ConnectionTrait, realm: RealmId, user: UserId) -> Result<()> {
    let update = Entity::update_many().col_expr(Column::TrustedUntil, Expr::value(None::<DateTime<Utc>>)).filter(Column::RealmId.eq(realm));
    update.filter(Column::UserId.eq(user)).filter(Column::TrustedUntil.is_not_null()).exec(db).await?;
    Ok(())
}

/// Makes strangers of all of a user's devices. Their rows stay, so that the next one is not taken for the first.
///
/// # Errors
/// What the database says.
pub async fn forget_all(db: &impl ConnectionTrait, realm: RealmId, user: UserId, now: DateTime<Utc>) -> Result<()> {
    let update = Entity::update_many()
        .col_expr(Column::ForgottenAt, Expr::value(now))
        .filter(Column::RealmId.eq(realm))
        .filter(Column::UserId.eq(user))
        .filter(Column::ForgottenAt.is_null());
    update.exec(db).await?;
    Ok(())
}

/// Deletes devices that were used last before `before`.
pub(super) async fn delete_before(db: &impl ConnectionTrait, before: DateTime<Utc>) -> Result<u64> {
    Ok(Entity::delete_many().filter(Column::LastUsedAt.lt(before)).exec(db).await?.rows_affected)
}

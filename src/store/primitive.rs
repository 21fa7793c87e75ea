//! The three ways to settle a race, each one guarded statement (security finding 1): consume once, increment if below,
//! reserve within a window. Whoever needs another condition writes another guard, never a read followed by a write.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{
    ActiveModelTrait, ColumnTrait as _, ConnectionTrait, EntityTrait, ExprTrait as _, QueryFilter as _, Set, UpdateMany,
    sea_query::{Expr, OnConflict},
};

use crate::domain::{Error, Result, id::RealmId};

super::entity!("throttle_counters" {
    #[sea_orm(primary_key, auto_increment = false)]
    realm_id: RealmId,
    #[sea_orm(primary_key, auto_increment = false)]
    key: String,
    count: i32,
    window_start: Instant,
});

/// Runs an update whose filter names one row in the one state that may be left, and answers the row if it was this
/// call that took it out of that state.
///
/// # Errors
/// [`Error::Internal`] if more than one row matched: the filter was no guard.
pub(super) async fn consume_once<E: EntityTrait>(db: &impl ConnectionTrait, update: UpdateMany<E>) -> Result<Option<E::Model>>
where
    E::Model: sea_orm::IntoActiveModel<E::ActiveModel>,
    E::ActiveModel: ActiveModelTrait<Entity = E>,
{
    let mut rows = update.exec_with_returning(db).await?;
    let first = rows.pop();
    if rows.is_empty() { Ok(first) } else { Err(Error::internal("a guarded update changed more than one row")) }
}

/// Adds one to `column` of the row that `update` is filtered to if it is below `limit`, and answers whether it did.
///
/// # Errors
/// What the database says.
pub(super) async fn increment_if<E: EntityTrait>(db: &impl ConnectionTrait, update: UpdateMany<E>, column: E::Column, limit: i32) -> Result<bool> {
    let update = update.col_expr(column, Expr::col(column).add(1)).filter(Expr::col(column).lt(limit));
    Ok(update.exec(db).await?.rows_affected == 1)
}

/// What [`reserve`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reservation {
    /// One of the window's places is the caller's.
    Reserved,
    /// All places are taken until the window ends.
    Full {
        /// Seconds until then.
        retry_after: u64,
    },
}

impl Reservation {
    /// Whether a place was given.
    #[must_use]
    pub fn is_reserved(self) -> bool {
        self == Self::Reserved
    }
}

/// Takes one of `limit` places that `key` has in each `window`, the first of which begins with its first use.
///
/// One upsert: a row is made, or counted up if a place is left, or begun anew if its window is over.
///
/// # Errors
/// What the database says.
pub async fn reserve(db: &impl ConnectionTrait, realm: RealmId, key: &str, limit: i32, window: TimeDelta, now: DateTime<Utc>) -> Result<Reservation> {
    use entity::{ActiveModel, Column, Entity};
    let table = || Expr::col((Entity, Column::WindowStart));
    let lapsed = table().lte(now - window);
    let fresh = ActiveModel { realm_id: Set(realm), key: Set(key.to_owned()), count: Set(1), window_start: Set(now) };
    let conflict = OnConflict::columns([Column::RealmId, Column::Key])
        .value(Column::Count, Expr::case(lapsed.clone(), 1).finally(Expr::col((Entity, Column::Count)).add(1)))
        .value(Column::WindowStart, Expr::case(lapsed.clone(), Expr::val(now)).finally(table()))
        .action_and_where(lapsed.or(Expr::col((Entity, Column::Count)).lt(limit)))
        .to_owned();
    let changed = Entity::insert(fresh).on_conflict(conflict).exec_without_returning(db).await?;
    if changed == 1 {
        return Ok(Reservation::Reserved);
    }
    let row = Entity::find_by_id((realm, key.to_owned())).one(db).await?;
    let ends = row.map_or(now, |row| row.window_start + window);
    Ok(Reservation::Full { retry_after: u64::try_from((ends - now).num_seconds()).map_or(1, |seconds| std::cmp::max(seconds, 1)) })
}

/// Gives a place back that [`reserve`] took.
///
/// # Errors
/// What the database says.
pub async fn release(db: &impl ConnectionTrait, realm: RealmId, key: &str) -> Result<()> {
    use entity::{Column, Entity};
    let update = Entity::update_many().col_expr(Column::Count, Expr::col(Column::Count).sub(1));
    update.filter(Column::RealmId.eq(realm)).filter(Column::Key.eq(key)).filter(Column::Count.gt(0)).exec(db).await?;
    Ok(())
}

/// Deletes counters whose window began before `before`.
pub(super) async fn delete_before(db: &impl ConnectionTrait, before: DateTime<Utc>) -> Result<u64> {
    Ok(entity::Entity::delete_many().filter(entity::Column::WindowStart.lt(before)).exec(db).await?.rows_affected)
}

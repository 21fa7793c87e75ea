//! Which nodes run.

use chrono::{DateTime, Utc};
use sea_orm::{ActiveValue::Set, ColumnTrait as _, ConnectionTrait, EntityTrait as _, PaginatorTrait as _, QueryFilter as _, sea_query::OnConflict};

use crate::domain::{Result, id::NodeId};

super::entity!("nodes" {
    #[sea_orm(primary_key, auto_increment = false)]
    id: NodeId,
    seen_at: Instant,
});
use entity::{ActiveModel, Column, Entity};

/// Stamps a node's row, which its first stamp makes.
///
/// # Errors
/// What the database says.
pub async fn stamp(db: &impl ConnectionTrait, id: NodeId, now: DateTime<Utc>) -> Result<()> {
    let known = OnConflict::column(Column::Id).update_column(Column::SeenAt).to_owned();
    Entity::insert(ActiveModel { id: Set(id), seen_at: Set(now) }).on_conflict(known).exec_without_returning(db).await?;
    Ok(())
}

/// How many nodes were seen after `since`.
///
/// # Errors
/// What the database says.
pub async fn count_since(db: &impl ConnectionTrait, since: DateTime<Utc>) -> Result<u64> {
    Ok(Entity::find().filter(Column::SeenAt.gt(since)).count(db).await?)
}

/// Deletes a node's row.
///
/// # Errors
/// What the database says.
pub async fn delete(db: &impl ConnectionTrait, id: NodeId) -> Result<()> {
    Entity::delete_by_id(id).exec(db).await?;
    Ok(())
}

/// Deletes rows of nodes last seen before `before`.
pub(super) async fn delete_before(db: &impl ConnectionTrait, before: DateTime<Utc>) -> Result<u64> {
    Ok(Entity::delete_many().filter(Column::SeenAt.lt(before)).exec(db).await?.rows_affected)
}

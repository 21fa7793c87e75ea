//! Which master keys stored values were made with: for each a sealed constant, that only this very key opens.

use chrono::{DateTime, Utc};
use sea_orm::{ActiveValue::Set, ConnectionTrait, EntityTrait as _, QueryOrder as _, sea_query::OnConflict};

use crate::domain::Result;

super::entity!("master_keys" {
    #[sea_orm(primary_key, auto_increment = false)]
    id: String,
    sealed: String,
    created_at: Instant,
});
use entity::{ActiveModel, Column, Entity};

/// The ids of all needed keys with their sealed constants, oldest first.
///
/// # Errors
/// What the database says.
pub async fn list(db: &impl ConnectionTrait) -> Result<Vec<(String, String)>> {
    let rows = Entity::find().order_by_asc(Column::CreatedAt).order_by_asc(Column::Id).all(db).await?;
    Ok(rows.into_iter().map(|row| (row.id, row.sealed)).collect())
}

/// Notes that values are made with the key `id` from now on.
///
/// # Errors
/// What the database says.
pub async fn insert_if_absent(db: &impl ConnectionTrait, id: &str, sealed: &str, now: DateTime<Utc>) -> Result<()> {
    let row = ActiveModel { id: Set(id.to_owned()), sealed: Set(sealed.to_owned()), created_at: Set(now) };
    let conflict = OnConflict::column(Column::Id).do_nothing().to_owned();
    Entity::insert(row).on_conflict(conflict).exec_without_returning(db).await?;
    Ok(())
}

/// Notes that no value needs the key `id` any more.
///
/// # Errors
/// What the database says.
pub async fn delete(db: &impl ConnectionTrait, id: &str) -> Result<()> {
    Entity::delete_by_id(id.to_owned()).exec(db).await?;
    Ok(())
}

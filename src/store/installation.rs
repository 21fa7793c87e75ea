//! The one row about the installation itself.

use chrono::{DateTime, Utc};
use sea_orm::{ActiveValue::Set, ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, sea_query::Expr};

use crate::domain::{
    Result,
    id::{AccountId, RealmId},
};

super::entity!("installation" {
    #[sea_orm(primary_key, auto_increment = false)]
    id: i32,
    root_account_id: AccountId,
    root_realm_id: RealmId,
    key_check: String,
    setup_nonce: String,
    setup_used_at: Option<Instant>,
    created_at: Instant,
});
use entity::{ActiveModel, Column, Entity};

const ROW: i32 = 1;

/// What is written down at the first start.
#[derive(Clone, Debug)]
pub struct Installation {
    pub root_account: AccountId,
    pub root_realm: RealmId,
    /// A sealed constant that only the right master key opens.
    pub key_check: String,
    /// Of the operator's one-time set-up link.
    pub setup_nonce: String,
    pub setup_used_at: Option<DateTime<Utc>>,
}

/// The row, if the first start is over.
///
/// # Errors
/// What the database says.
pub async fn find(db: &impl ConnectionTrait) -> Result<Option<Installation>> {
    let row = Entity::find_by_id(ROW).one(db).await?;
    Ok(row.map(|row| Installation {
        root_account: row.root_account_id,
        root_realm: row.root_realm_id,
        key_check: row.key_check,
        setup_nonce: row.setup_nonce,
        setup_used_at: row.setup_used_at,
    }))
}

/// Writes the row.
///
/// # Errors
/// What the database says; a second row is refused by its key.
pub async fn create(db: &impl ConnectionTrait, row: &Installation, now: DateTime<Utc>) -> Result<()> {
    let row = ActiveModel {
        id: Set(ROW),
        root_account_id: Set(row.root_account),
        root_realm_id: Set(row.root_realm),
        key_check: Set(row.key_check.clone()),
        setup_nonce: Set(row.setup_nonce.clone()),
        setup_used_at: Set(row.setup_used_at),
        created_at: Set(now),
    };
    Entity::insert(row).exec_without_returning(db).await?;
    Ok(())
}

/// Puts `new` in the place of the sealed constant, if it is still `old`.
///
/// # Errors
/// What the database says.
pub async fn replace_check_if(db: &impl ConnectionTrait, old: &str, new: &str) -> Result<bool> {
    let update = Entity::update_many().col_expr(Column::KeyCheck, Expr::value(new)).filter(Column::Id.eq(ROW)).filter(Column::KeyCheck.eq(old));
    Ok(update.exec(db).await?.rows_affected == 1)
}

/// Uses the set-up link: `true` for the one caller that was first.
///
/// # Errors
/// What the database says.
pub async fn consume_setup(db: &impl ConnectionTrait, now: DateTime<Utc>) -> Result<bool> {
    let update = Entity::update_many().col_expr(Column::SetupUsedAt, Expr::value(now)).filter(Column::Id.eq(ROW)).filter(Column::SetupUsedAt.is_null());
    Ok(super::primitive::consume_once(db, update).await?.is_some())
}

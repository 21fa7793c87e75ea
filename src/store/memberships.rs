//! Who belongs to which account, as what.

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, FromQueryResult, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    sea_query::{Alias, Expr, ExprTrait as _},
};

use crate::domain::{
    Result,
    id::{AccountId, RealmId, UserId},
    user::{Membership, Role},
};

super::entity!("memberships" {
    #[sea_orm(primary_key, auto_increment = false)]
    account_id: AccountId,
    #[sea_orm(primary_key, auto_increment = false)]
    user_id: UserId,
    realm_id: RealmId,
    role: String,
    created_at: Instant,
});
use entity::{ActiveModel, Column, Entity};

#[derive(FromQueryResult)]
struct Place {
    account_id: AccountId,
    account_name: String,
    role: String,
}

/// Gives a user a place in an account.
///
/// # Errors
/// What the database says.
pub async fn create(db: &impl ConnectionTrait, account: AccountId, realm: RealmId, user: UserId, role: Role, now: DateTime<Utc>) -> Result<()> {
    let row = ActiveModel { account_id: Set(account), user_id: Set(user), realm_id: Set(realm), role: Set(role.as_str().to_owned()), created_at: Set(now) };
    Entity::insert(row).exec_without_returning(db).await?;
    Ok(())
}

/// A user's places, oldest first.
///
/// # Errors
/// What the database says.
pub async fn list_for_user(db: &impl ConnectionTrait, realm: RealmId, user: UserId) -> Result<Vec<Membership>> {
    let accounts = Alias::new("accounts");
    let mut query = Entity::find().filter(Column::RealmId.eq(realm)).filter(Column::UserId.eq(user)).order_by_asc(Column::CreatedAt).select_only();
    query = query.column(Column::AccountId).column(Column::Role).expr_as(Expr::col((accounts.clone(), Alias::new("name"))), "account_name");
    sea_orm::QueryTrait::query(&mut query).inner_join(accounts.clone(), Expr::col((accounts, Alias::new("id"))).equals((Entity, Column::AccountId)));
    let rows = query.into_model::<Place>().all(db).await?;
    rows.into_iter()
        .map(|row| {
            let role = Role::parse(&row.role).ok_or_else(|| super::unknown_word("memberships.role", &row.role))?;
            Ok(Membership { account_id: row.account_id, account_name: row.account_name, role })
        })
        .collect()
}

//! Who belongs to which account, as what.

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, FromQueryResult, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    sea_query::{Alias, Expr, ExprTrait as _, Query},
};

use crate::domain::{
    Result,
    account::AccountStatus,
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

/// What a user is in an account or in one above it.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    pub role: Role,
    /// 0 in the account itself.
    pub depth: i32,
    /// Whether the account that the role is in is active.
    pub active: bool,
}

#[derive(FromQueryResult)]
struct StandingRow {
    role: String,
    depth: i32,
    status: String,
}

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

/// The people who are `role` in an account.
///
/// # Errors
/// What the database says.
pub async fn people(db: &impl ConnectionTrait, account: AccountId, role: Role) -> Result<Vec<(RealmId, UserId)>> {
    let query = Entity::find().filter(Column::AccountId.eq(account)).filter(Column::Role.eq(role.as_str())).order_by_asc(Column::CreatedAt);
    Ok(query.all(db).await?.into_iter().map(|row| (row.realm_id, row.user_id)).collect())
}

/// The names of the tree's table, which belongs to `accounts`.
fn tree(column: &'static str) -> (Alias, Alias) {
    (Alias::new("account_paths"), Alias::new(column))
}

/// Everything that a user is in `account` and in the accounts above it.
///
/// # Errors
/// What the database says.
pub async fn standings(db: &impl ConnectionTrait, realm: RealmId, user: UserId, account: AccountId) -> Result<Vec<Standing>> {
    let accounts = Alias::new("accounts");
    let mut query = Entity::find().filter(Column::RealmId.eq(realm)).filter(Column::UserId.eq(user)).select_only().column(Column::Role);
    query = query.expr_as(Expr::col(tree("depth")), "depth").expr_as(Expr::col((accounts.clone(), Alias::new("status"))), "status");
    sea_orm::QueryTrait::query(&mut query)
        .inner_join(Alias::new("account_paths"), Expr::col(tree("ancestor_id")).equals((Entity, Column::AccountId)))
        .inner_join(accounts.clone(), Expr::col((accounts, Alias::new("id"))).equals((Entity, Column::AccountId)))
        .and_where(Expr::col(tree("descendant_id")).eq(account));
    let rows = query.into_model::<StandingRow>().all(db).await?;
    rows.into_iter()
        .map(|row| {
            let role = Role::parse(&row.role).ok_or_else(|| super::unknown_word("memberships.role", &row.role))?;
            Ok(Standing { role, depth: row.depth, active: AccountStatus::parse(&row.status) == Some(AccountStatus::Active) })
        })
        .collect()
}

/// The ids of the accounts that a user sees.
pub(super) fn visible_accounts(realm: RealmId, user: UserId) -> sea_orm::sea_query::SelectStatement {
    let manages = Expr::col((Entity, Column::Role)).is_in([Role::Owner.as_str(), Role::Admin.as_str()]);
    Query::select()
        .column(tree("descendant_id"))
        .from(Entity)
        .inner_join(Alias::new("account_paths"), Expr::col(tree("ancestor_id")).equals((Entity, Column::AccountId)))
        .and_where(Expr::col((Entity, Column::RealmId)).eq(realm))
        .and_where(Expr::col((Entity, Column::UserId)).eq(user))
        .and_where(Expr::col(tree("depth")).eq(0).or(manages))
        .to_owned()
}

//! Who belongs to which account, as what.

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, FromQueryResult, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    sea_query::{Alias, Expr, ExprTrait as _, Query, SelectStatement},
};

use super::plan_caps::{Cap, insert_below, number};
use crate::domain::{
    Result,
    account::AccountStatus,
    email::Email,
    id::{AccountId, RealmId, UserId},
    page::PageRequest,
    user::{Member, Membership, Role},
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
struct MemberRow {
    user_id: UserId,
    realm_id: RealmId,
    realm: String,
    name: String,
    email: Option<String>,
    role: String,
    created_at: DateTime<Utc>,
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

/// How many members an account has, as a query for the guards of plans.
pub(super) fn count(account: AccountId) -> SelectStatement {
    Query::select().expr(Expr::col((Entity, Column::UserId)).count()).from(Entity).and_where(Column::AccountId.eq(account)).to_owned()
}

/// Gives a user a place in an account if that is active and has fewer members than its plan allows; `false` if not. The
/// caller holds the account's row and knows that the user has no place there.
///
/// # Errors
/// What the database says.
pub async fn create_below_limit(db: &impl ConnectionTrait, account: AccountId, realm: RealmId, user: UserId, role: Role, now: DateTime<Utc>) -> Result<bool> {
    let values = vec![
        (Column::AccountId, Expr::value(account)),
        (Column::UserId, Expr::value(user)),
        (Column::RealmId, Expr::value(realm)),
        (Column::Role, Expr::value(role.as_str())),
        (Column::CreatedAt, Expr::value(now)),
    ];
    Ok(insert_below::<Entity>(db, values, account, Cap::Members, number(count(account))).await?)
}

fn members(account: AccountId) -> sea_orm::Select<Entity> {
    let (users, realms) = (Alias::new("users"), Alias::new("realms"));
    let of = |table: &Alias, column: &'static str| Expr::col((table.clone(), Alias::new(column)));
    let mut query = Entity::find().filter(Column::AccountId.eq(account)).select_only();
    query = query.columns([Column::UserId, Column::RealmId, Column::Role, Column::CreatedAt]).expr_as(of(&realms, "name"), "realm");
    query = query.expr_as(of(&users, "name"), "name").expr_as(of(&users, "email"), "email");
    let same_user = of(&users, "id").equals((Entity, Column::UserId)).and(of(&users, "realm_id").equals((Entity, Column::RealmId)));
    let same_realm = of(&realms, "id").equals((Entity, Column::RealmId));
    sea_orm::QueryTrait::query(&mut query).inner_join(users, same_user).inner_join(realms, same_realm);
    query
}

fn member(row: MemberRow) -> Result<Member> {
    Ok(Member {
        user_id: row.user_id,
        realm_id: row.realm_id,
        realm: row.realm,
        name: row.name,
        email: row.email.unwrap_or_default(),
        role: Role::parse(&row.role).ok_or_else(|| super::unknown_word("memberships.role", &row.role))?,
        joined_at: row.created_at,
    })
}

/// An account's members by the age of their users.
///
/// # Errors
/// What the database says.
pub async fn list(db: &impl ConnectionTrait, account: AccountId, page: &PageRequest<UserId>) -> Result<Vec<Member>> {
    let mut query = members(account).order_by_asc(Column::UserId).limit(page.to_read());
    if let Some(after) = page.after {
        query = query.filter(Column::UserId.gt(after));
    }
    query.into_model::<MemberRow>().all(db).await?.into_iter().map(member).collect()
}

/// The member of that id.
///
/// # Errors
/// What the database says.
pub async fn find(db: &impl ConnectionTrait, account: AccountId, user: UserId) -> Result<Option<Member>> {
    members(account).filter(Column::UserId.eq(user)).into_model::<MemberRow>().one(db).await?.map(member).transpose()
}

/// Whether a user of `realm` with that address is a member.
///
/// # Errors
/// What the database says.
pub async fn has_address(db: &impl ConnectionTrait, account: AccountId, realm: RealmId, email: &Email) -> Result<bool> {
    let address = Expr::col((Alias::new("users"), Alias::new("email"))).eq(email.as_str());
    let query = members(account).filter(Column::RealmId.eq(realm)).filter(address);
    Ok(query.into_model::<MemberRow>().one(db).await?.is_some())
}

/// Whoever is no owner, and an owner beside whom there is another. The caller holds the account's row, so that two owners
/// who go at the same moment count each other.
fn not_the_last_owner(account: AccountId) -> Condition {
    let mut owners = count(account);
    owners.and_where(Column::Role.eq(Role::Owner.as_str()));
    Condition::any().add(Column::Role.ne(Role::Owner.as_str())).add(Expr::expr(number(owners)).gt(1))
}

/// Makes a member something else, unless the account would be left without an owner; `false` if it would be, or there is
/// no such member. The caller holds the account's row.
///
/// # Errors
/// What the database says.
pub async fn set_role(db: &impl ConnectionTrait, account: AccountId, user: UserId, role: Role) -> Result<bool> {
    let mut update = Entity::update_many().col_expr(Column::Role, Expr::value(role.as_str()));
    if role != Role::Owner {
        update = update.filter(not_the_last_owner(account));
    }
    Ok(update.filter(Column::AccountId.eq(account)).filter(Column::UserId.eq(user)).exec(db).await?.rows_affected == 1)
}

/// Takes a member's place away, unless the account would be left without an owner; `false` if it would be, or there is no
/// such member. The caller holds the account's row.
///
/// # Errors
/// What the database says.
pub async fn delete(db: &impl ConnectionTrait, account: AccountId, user: UserId) -> Result<bool> {
    let delete = Entity::delete_many().filter(Column::AccountId.eq(account)).filter(Column::UserId.eq(user)).filter(not_the_last_owner(account));
    Ok(delete.exec(db).await?.rows_affected == 1)
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

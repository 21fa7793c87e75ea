//! Accounts, their tree, and the plans they are on.

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, ExprTrait as _, PaginatorTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    sea_query::{Expr, OnConflict, Query},
};

use crate::domain::{
    Result,
    account::{Account, AccountStatus, Plan, PlanChange, Terms},
    id::{AccountId, RealmId, UserId},
    page::PageRequest,
};

super::entity!("accounts" {
    #[sea_orm(primary_key, auto_increment = false)]
    id: AccountId,
    parent_id: Option<AccountId>,
    name: String,
    plan_id: String,
    status: String,
    created_at: Instant,
    updated_at: Instant,
});
use entity::ActiveModel;
pub(super) use entity::{Column, Entity, Model};

/// The closure of the tree: every ancestor of every account, itself included at depth 0.
mod path {
    super::super::entity!("account_paths" {
        #[sea_orm(primary_key, auto_increment = false)]
        ancestor_id: AccountId,
        #[sea_orm(primary_key, auto_increment = false)]
        descendant_id: AccountId,
        depth: i32,
    });
    pub(super) use entity::{ActiveModel, Column, Entity};
}

pub(super) mod plan {
    super::super::entity!("plans" {
        #[sea_orm(primary_key, auto_increment = false)]
        id: String,
        requests_per_minute: i32,
        max_api_keys: i32,
        max_realms: i32,
        max_members: i32,
        max_webhooks: i32,
    });
    pub(super) use entity::ActiveModel;
    pub(in crate::store) use entity::{Column, Entity, Model};
}

pub(super) fn account(row: Model) -> Result<Account> {
    Ok(Account {
        id: row.id,
        parent_id: row.parent_id,
        name: row.name,
        plan_id: row.plan_id,
        status: AccountStatus::parse(&row.status).ok_or_else(|| super::unknown_word("accounts.status", &row.status))?,
        created_at: row.created_at,
    })
}

pub(super) fn plan(row: plan::Model) -> Plan {
    Plan {
        id: row.id,
        requests_per_minute: row.requests_per_minute,
        max_api_keys: row.max_api_keys,
        max_realms: row.max_realms,
        max_members: row.max_members,
        max_webhooks: row.max_webhooks,
    }
}

/// Writes an account and its place in the tree.
///
/// # Errors
/// What the database says; an unknown parent or plan is refused by a foreign key.
pub async fn create(db: &impl ConnectionTrait, account: &Account, now: DateTime<Utc>) -> Result<()> {
    let row = ActiveModel {
        id: Set(account.id),
        parent_id: Set(account.parent_id),
        name: Set(account.name.clone()),
        plan_id: Set(account.plan_id.clone()),
        status: Set(account.status.as_str().to_owned()),
        created_at: Set(now),
        updated_at: Set(now),
    };
    Entity::insert(row).exec_without_returning(db).await?;
    let own = path::ActiveModel { ancestor_id: Set(account.id), descendant_id: Set(account.id), depth: Set(0) };
    path::Entity::insert(own).exec_without_returning(db).await?;
    if let Some(parent) = account.parent_id {
        let above = Query::select()
            .column(path::Column::AncestorId)
            .expr(Expr::val(account.id.0))
            .expr(Expr::col(path::Column::Depth).add(1))
            .from(path::Entity)
            .and_where(path::Column::DescendantId.eq(parent))
            .to_owned();
        let mut insert = Query::insert();
        insert.into_table(path::Entity).columns([path::Column::AncestorId, path::Column::DescendantId, path::Column::Depth]);
        insert.select_from(above).map_err(crate::domain::Error::internal)?;
        db.execute(&insert).await?;
    }
    Ok(())
}

/// The account of that id.
///
/// # Errors
/// What the database says.
pub async fn find(db: &impl ConnectionTrait, id: AccountId) -> Result<Option<Account>> {
    Entity::find_by_id(id).one(db).await?.map(account).transpose()
}

/// The account of that id with its plan.
///
/// # Errors
/// What the database says.
pub async fn find_terms(db: &impl ConnectionTrait, id: AccountId) -> Result<Option<Terms>> {
    let Some(account) = find(db, id).await? else { return Ok(None) };
    let plan = find_plan(db, &account.plan_id).await?;
    Ok(plan.map(|plan| Terms { account, plan }))
}

/// Every account, or `below` with all its descendants, oldest first.
///
/// # Errors
/// What the database says.
pub async fn list(db: &impl ConnectionTrait, below: Option<AccountId>) -> Result<Vec<Account>> {
    let mut query = Entity::find().order_by_asc(Column::Id);
    if let Some(top) = below {
        let inside = Query::select().column(path::Column::DescendantId).from(path::Entity).and_where(path::Column::AncestorId.eq(top)).to_owned();
        query = query.filter(Column::Id.in_subquery(inside));
    }
    query.all(db).await?.into_iter().map(account).collect()
}

/// The accounts that a user sees, oldest first: where they have a place, and what is below where they are owner or admin.
///
/// # Errors
/// What the database says.
pub async fn list_visible(db: &impl ConnectionTrait, realm: RealmId, user: UserId, page: &PageRequest<AccountId>) -> Result<Vec<Account>> {
    let inside = super::memberships::visible_accounts(realm, user);
    let mut query = Entity::find().filter(Column::Id.in_subquery(inside)).order_by_asc(Column::Id).limit(page.to_read());
    if let Some(after) = page.after {
        query = query.filter(Column::Id.gt(after));
    }
    query.all(db).await?.into_iter().map(account).collect()
}

/// Holds an account's row until the transaction ends, so that what is counted below it stays true; `false` if there is
/// no such account. Changes nothing: the update is there for its row lock, which both databases understand.
///
/// # Errors
/// What the database says.
pub async fn hold(db: &impl ConnectionTrait, id: AccountId) -> Result<bool> {
    let update = Entity::update_many().col_expr(Column::UpdatedAt, Expr::col(Column::UpdatedAt)).filter(Column::Id.eq(id));
    Ok(update.exec(db).await?.rows_affected == 1)
}

/// Gives an account another name; `false` if there is no such account.
///
/// # Errors
/// What the database says.
pub async fn rename(db: &impl ConnectionTrait, id: AccountId, name: &str, now: DateTime<Utc>) -> Result<bool> {
    let update = Entity::update_many().col_expr(Column::Name, Expr::value(name)).col_expr(Column::UpdatedAt, Expr::value(now)).filter(Column::Id.eq(id));
    Ok(update.exec(db).await?.rows_affected == 1)
}

/// Enables or disables an account; `false` if there is no such account.
///
/// # Errors
/// What the database says.
pub async fn set_status(db: &impl ConnectionTrait, id: AccountId, status: AccountStatus, now: DateTime<Utc>) -> Result<bool> {
    let update = Entity::update_many().col_expr(Column::Status, Expr::value(status.as_str())).col_expr(Column::UpdatedAt, Expr::value(now));
    Ok(update.filter(Column::Id.eq(id)).exec(db).await?.rows_affected == 1)
}

/// How many accounts are directly below one.
///
/// # Errors
/// What the database says.
pub async fn count_children(db: &impl ConnectionTrait, id: AccountId) -> Result<u64> {
    Ok(Entity::find().filter(Column::ParentId.eq(id)).count(db).await?)
}

/// Moves an account to another plan; `false` if there is no such account.
///
/// # Errors
/// What the database says; an unknown plan is refused by a foreign key.
pub async fn set_plan(db: &impl ConnectionTrait, id: AccountId, plan: &str) -> Result<bool> {
    let update = Entity::update_many().col_expr(Column::PlanId, Expr::value(plan)).filter(Column::Id.eq(id));
    Ok(update.exec(db).await?.rows_affected == 1)
}

/// Whether `actor` is `target` or one of its ancestors.
///
/// # Errors
/// What the database says.
pub async fn acts_on(db: &impl ConnectionTrait, actor: AccountId, target: AccountId) -> Result<bool> {
    let found = path::Entity::find().filter(path::Column::AncestorId.eq(actor)).filter(path::Column::DescendantId.eq(target)).limit(1).one(db).await?;
    Ok(found.is_some())
}

/// All plans, smallest first.
///
/// # Errors
/// What the database says.
pub async fn plans(db: &impl ConnectionTrait) -> Result<Vec<Plan>> {
    Ok(plan::Entity::find().order_by_asc(plan::Column::RequestsPerMinute).all(db).await?.into_iter().map(plan).collect())
}

/// The plan of that id.
///
/// # Errors
/// What the database says.
pub async fn find_plan(db: &impl ConnectionTrait, id: &str) -> Result<Option<Plan>> {
    Ok(plan::Entity::find_by_id(id.to_owned()).one(db).await?.map(plan))
}

/// Writes a plan; `false` if there is one of that id.
///
/// # Errors
/// What the database says.
pub async fn insert_plan_if_absent(db: &impl ConnectionTrait, plan: &Plan) -> Result<bool> {
    let row = plan::ActiveModel {
        id: Set(plan.id.clone()),
        requests_per_minute: Set(plan.requests_per_minute),
        max_api_keys: Set(plan.max_api_keys),
        max_realms: Set(plan.max_realms),
        max_members: Set(plan.max_members),
        max_webhooks: Set(plan.max_webhooks),
    };
    let absent = OnConflict::column(plan::Column::Id).do_nothing().to_owned();
    Ok(plan::Entity::insert(row).on_conflict(absent).exec_without_returning(db).await? == 1)
}

/// Changes a plan and answers what it is then; `None` if there is none of that id.
///
/// # Errors
/// What the database says.
pub async fn change_plan(db: &impl ConnectionTrait, id: &str, change: &PlanChange) -> Result<Option<Plan>> {
    let mut update = plan::Entity::update_many().filter(plan::Column::Id.eq(id));
    for (column, value) in [
        (plan::Column::RequestsPerMinute, change.requests_per_minute),
        (plan::Column::MaxApiKeys, change.max_api_keys),
        (plan::Column::MaxRealms, change.max_realms),
        (plan::Column::MaxMembers, change.max_members),
        (plan::Column::MaxWebhooks, change.max_webhooks),
    ] {
        if let Some(value) = value {
            update = update.col_expr(column, Expr::value(value));
        }
    }
    Ok(update.exec_with_returning(db).await?.into_iter().next().map(plan))
}

/// Closes an account that has nobody but `user` in it, no realm and no account below; `false` if it has. A closed account
/// keeps its id and loses its name, which may be a person's.
///
/// # Errors
/// What the database says.
pub async fn close_if_unused(db: &impl ConnectionTrait, id: AccountId, user: UserId, now: DateTime<Utc>) -> Result<bool> {
    let table = |name: &'static str| sea_orm::sea_query::Alias::new(name);
    let column = |name: &'static str| Expr::col(table(name));
    let own = |name: &'static str| Query::select().expr(Expr::val(1)).from(table(name)).and_where(column("account_id").eq(id.0)).to_owned();
    let others = own("memberships").and_where(column("user_id").ne(user.0)).to_owned();
    let below =
        Query::select().expr(Expr::val(1)).from(path::Entity).and_where(path::Column::AncestorId.eq(id)).and_where(path::Column::Depth.gt(0)).to_owned();
    let update = Entity::update_many()
        .col_expr(Column::Status, Expr::value(AccountStatus::Disabled.as_str()))
        .col_expr(Column::Name, Expr::value(CLOSED))
        .col_expr(Column::UpdatedAt, Expr::value(now))
        .filter(Column::Id.eq(id))
        .filter(Expr::exists(others).not())
        .filter(Expr::exists(own("realms")).not())
        .filter(Expr::exists(below).not());
    Ok(update.exec(db).await?.rows_affected == 1)
}

/// What a closed account is called.
const CLOSED: &str = "closed";

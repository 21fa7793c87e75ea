//! Realms and the hosts that lead to them.

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, ExprTrait as _, QueryFilter as _, QueryOrder as _,
    sea_query::{Expr, Query},
};

use super::{
    fault::taken,
    plan_caps::{Cap, insert_below, number},
};
use crate::domain::{
    Error, Result,
    id::{AccountId, RealmId},
    realm::{Realm, RealmSettings, RealmStatus},
};

super::entity!("realms" {
    #[sea_orm(primary_key, auto_increment = false)]
    id: RealmId,
    account_id: AccountId,
    name: String,
    status: String,
    settings: String,
    created_at: Instant,
    updated_at: Instant,
});
use entity::ActiveModel;
pub(super) use entity::{Column, Entity, Model};

mod host {
    super::super::entity!("realm_hosts" {
        #[sea_orm(primary_key, auto_increment = false)]
        host: String,
        realm_id: RealmId,
        is_name: bool,
    });
    pub(super) use entity::{ActiveModel, Column, Entity};
}

pub(super) fn realm(row: Model) -> Result<Realm> {
    Ok(Realm {
        id: row.id,
        account_id: row.account_id,
        status: RealmStatus::parse(&row.status).ok_or_else(|| super::unknown_word("realms.status", &row.status))?,
        settings: serde_json::from_str(&row.settings).map_err(Error::internal)?,
        name: row.name,
        created_at: row.created_at,
    })
}

fn settings_text(settings: &RealmSettings) -> Result<String> {
    serde_json::to_string(settings).map_err(Error::internal)
}

/// Writes a realm and claims its name among all hosts.
///
/// # Errors
/// [`Error::Taken`] if the name is another realm's name or domain.
pub async fn create(db: &impl ConnectionTrait, realm: &Realm) -> Result<()> {
    let row = ActiveModel {
        id: Set(realm.id),
        account_id: Set(realm.account_id),
        name: Set(realm.name.clone()),
        status: Set(realm.status.as_str().to_owned()),
        settings: Set(settings_text(&realm.settings)?),
        created_at: Set(realm.created_at),
        updated_at: Set(realm.created_at),
    };
    Entity::insert(row).exec_without_returning(db).await.map_err(|error| taken(error, "name"))?;
    claim(db, realm.id, &realm.name, true, "name").await
}

/// The same if its account is active and has fewer realms than its plan allows; `false` if not. The caller holds the
/// account's row, so that realms made at the same moment count each other.
///
/// # Errors
/// [`Error::Taken`] if the name is another realm's name or domain.
pub async fn create_below_limit(db: &impl ConnectionTrait, realm: &Realm) -> Result<bool> {
    let own = Query::select().expr(Expr::col(Column::Id).count()).from(Entity).and_where(Column::AccountId.eq(realm.account_id)).to_owned();
    let values = vec![
        (Column::Id, Expr::value(realm.id)),
        (Column::AccountId, Expr::value(realm.account_id)),
        (Column::Name, Expr::value(realm.name.clone())),
        (Column::Status, Expr::value(realm.status.as_str())),
        (Column::Settings, Expr::value(settings_text(&realm.settings)?)),
        (Column::CreatedAt, Expr::value(realm.created_at)),
        (Column::UpdatedAt, Expr::value(realm.created_at)),
    ];
    let written = insert_below::<Entity>(db, values, realm.account_id, Cap::Realms, number(own)).await;
    if !written.map_err(|error| taken(error, "name"))? {
        return Ok(false);
    }
    claim(db, realm.id, &realm.name, true, "name").await?;
    Ok(true)
}

async fn claim(db: &impl ConnectionTrait, id: RealmId, name: &str, is_name: bool, field: &'static str) -> Result<()> {
    let row = host::ActiveModel { host: Set(name.to_owned()), realm_id: Set(id), is_name: Set(is_name) };
    host::Entity::insert(row).exec_without_returning(db).await.map_err(|error| taken(error, field))?;
    Ok(())
}

/// The realm whose name or custom domain `host` is.
///
/// # Errors
/// What the database says.
pub async fn find_by_host(db: &impl ConnectionTrait, host: &str) -> Result<Option<Realm>> {
    match host::Entity::find_by_id(host.to_owned()).one(db).await? {
        Some(row) => find(db, row.realm_id).await,
        None => Ok(None),
    }
}

/// The realm of that id.
///
/// # Errors
/// What the database says.
pub async fn find(db: &impl ConnectionTrait, id: RealmId) -> Result<Option<Realm>> {
    Entity::find_by_id(id).one(db).await?.map(realm).transpose()
}

/// Every realm, or those of one account, by name.
///
/// # Errors
/// What the database says.
pub async fn list(db: &impl ConnectionTrait, account: Option<AccountId>) -> Result<Vec<Realm>> {
    let mut query = Entity::find().order_by_asc(Column::Name);
    if let Some(account) = account {
        query = query.filter(Column::AccountId.eq(account));
    }
    query.all(db).await?.into_iter().map(realm).collect()
}

/// Replaces a realm's settings and status.
///
/// # Errors
/// What the database says.
pub async fn update_settings(db: &impl ConnectionTrait, id: RealmId, settings: &RealmSettings, status: RealmStatus, now: DateTime<Utc>) -> Result<bool> {
    let update = Entity::update_many()
        .col_expr(Column::Settings, Expr::value(settings_text(settings)?))
        .col_expr(Column::Status, Expr::value(status.as_str()))
        .col_expr(Column::UpdatedAt, Expr::value(now))
        .filter(Column::Id.eq(id));
    Ok(update.exec(db).await?.rows_affected == 1)
}

/// Replaces a realm's custom domains.
///
/// # Errors
/// [`Error::Taken`] if one of them leads to another realm.
pub async fn set_domains(db: &impl ConnectionTrait, id: RealmId, domains: &[String]) -> Result<()> {
    host::Entity::delete_many().filter(host::Column::RealmId.eq(id)).filter(host::Column::IsName.eq(false)).exec(db).await?;
    for domain in domains {
        claim(db, id, domain, false, "domains").await?;
    }
    Ok(())
}

/// A realm's custom domains.
///
/// # Errors
/// What the database says.
pub async fn domains(db: &impl ConnectionTrait, id: RealmId) -> Result<Vec<String>> {
    let query = host::Entity::find().filter(host::Column::RealmId.eq(id)).filter(host::Column::IsName.eq(false));
    Ok(query.order_by_asc(host::Column::Host).all(db).await?.into_iter().map(|row| row.host).collect())
}

//! API keys. Only the hash of a key's secret is here.
//!
//! A key is looked up by account and id, except where it is shown as a credential, see `shown_keys`.

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, ExprTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _, UpdateMany,
    sea_query::{Expr, Query, SimpleExpr},
};

use super::plan_caps::{Cap, insert_below, number};
use crate::domain::{
    Result,
    api_key::{ApiKey, KeySettings},
    id::{AccountId, ApiKeyId},
    page::PageRequest,
};

super::entity!("api_keys" {
    #[sea_orm(primary_key, auto_increment = false)]
    id: ApiKeyId,
    account_id: AccountId,
    realm_id: RealmId,
    created_by: Option<UserId>,
    name: String,
    prefix: String,
    last4: String,
    secret_hash: String,
    scopes: String,
    ip_allowlist: String,
    rate_limit: Option<i32>,
    expires_at: Option<Instant>,
    revoked_at: Option<Instant>,
    replaced_by: Option<ApiKeyId>,
    last_used_at: Option<Instant>,
    last_used_ip: Option<String>,
    created_at: Instant,
    updated_at: Instant,
});
use entity::ActiveModel;
pub(super) use entity::{Column, Entity, Model};

fn words(list: &str) -> Vec<String> {
    list.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn networks(list: &[ipnet::IpNet]) -> String {
    list.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

pub(super) fn key(row: Model) -> Result<ApiKey> {
    let allowlist = row.ip_allowlist.split(' ').filter(|word| !word.is_empty());
    let networks = allowlist.map(|word| word.parse().map_err(|_| super::unknown_word("api_keys.ip_allowlist", word)));
    Ok(ApiKey {
        id: row.id,
        account_id: row.account_id,
        realm_id: row.realm_id,
        created_by: row.created_by,
        settings: KeySettings {
            name: row.name,
            scopes: words(&row.scopes),
            expires_at: row.expires_at,
            ip_allowlist: networks.collect::<Result<_>>()?,
            rate_limit: row.rate_limit,
        },
        prefix: row.prefix,
        last4: row.last4,
        created_at: row.created_at,
        revoked_at: row.revoked_at,
        replaced_by: row.replaced_by,
        last_used_at: row.last_used_at,
        last_used_ip: row.last_used_ip,
    })
}

fn row(key: &ApiKey, secret_hash: &str) -> ActiveModel {
    ActiveModel {
        id: Set(key.id),
        account_id: Set(key.account_id),
        realm_id: Set(key.realm_id),
        created_by: Set(key.created_by),
        name: Set(key.settings.name.clone()),
        prefix: Set(key.prefix.clone()),
        last4: Set(key.last4.clone()),
        secret_hash: Set(secret_hash.to_owned()),
        scopes: Set(key.settings.scopes.join(" ")),
        ip_allowlist: Set(networks(&key.settings.ip_allowlist)),
        rate_limit: Set(key.settings.rate_limit),
        expires_at: Set(key.settings.expires_at),
        revoked_at: Set(None),
        replaced_by: Set(None),
        last_used_at: Set(None),
        last_used_ip: Set(None),
        created_at: Set(key.created_at),
        updated_at: Set(key.created_at),
    }
}

/// Neither revoked nor past its end.
fn live(now: DateTime<Utc>) -> Condition {
    let unexpired = Condition::any().add(Column::ExpiresAt.is_null()).add(Column::ExpiresAt.gt(now));
    Condition::all().add(Column::RevokedAt.is_null()).add(unexpired)
}

fn update(account: AccountId, id: ApiKeyId, now: DateTime<Utc>) -> UpdateMany<Entity> {
    Entity::update_many().col_expr(Column::UpdatedAt, Expr::value(now)).filter(Column::AccountId.eq(account)).filter(Column::Id.eq(id))
}

/// Writes a key if its account is active and has fewer live ones than its plan allows; `false` if not. The caller holds
/// the account's row (`accounts::hold`), so that keys made at the same moment count each other. A key in its overlap
/// after a rotation is not counted: the one that replaced it is.
///
/// # Errors
/// What the database says.
pub async fn insert_below_limit(db: &impl ConnectionTrait, key: &ApiKey, secret_hash: &str) -> Result<bool> {
    let live_ones = Query::select()
        .expr(Expr::col(Column::Id).count())
        .from(Entity)
        .and_where(Column::AccountId.eq(key.account_id))
        .and_where(Column::ReplacedBy.is_null())
        .cond_where(live(key.created_at))
        .to_owned();
    let settings = &key.settings;
    let values: Vec<(Column, SimpleExpr)> = vec![
        (Column::Id, Expr::value(key.id)),
        (Column::AccountId, Expr::value(key.account_id)),
        (Column::RealmId, Expr::value(key.realm_id)),
        (Column::CreatedBy, Expr::value(key.created_by)),
        (Column::Name, Expr::value(settings.name.clone())),
        (Column::Prefix, Expr::value(key.prefix.clone())),
        (Column::Last4, Expr::value(key.last4.clone())),
        (Column::SecretHash, Expr::value(secret_hash)),
        (Column::Scopes, Expr::value(settings.scopes.join(" "))),
        (Column::IpAllowlist, Expr::value(networks(&settings.ip_allowlist))),
        (Column::RateLimit, Expr::value(settings.rate_limit)),
        (Column::ExpiresAt, Expr::value(settings.expires_at)),
        (Column::CreatedAt, Expr::value(key.created_at)),
        (Column::UpdatedAt, Expr::value(key.created_at)),
    ];
    Ok(insert_below::<Entity>(db, values, key.account_id, Cap::ApiKeys, number(live_ones)).await?)
}

/// Writes a key that takes the place of another.
///
/// # Errors
/// What the database says.
pub async fn insert(db: &impl ConnectionTrait, key: &ApiKey, secret_hash: &str) -> Result<()> {
    Entity::insert(row(key, secret_hash)).exec_without_returning(db).await?;
    Ok(())
}

/// The key of that id.
///
/// # Errors
/// What the database says.
pub async fn find(db: &impl ConnectionTrait, account: AccountId, id: ApiKeyId) -> Result<Option<ApiKey>> {
    Entity::find_by_id(id).filter(Column::AccountId.eq(account)).one(db).await?.map(key).transpose()
}

/// An account's keys in the order of their making, revoked ones too.
///
/// # Errors
/// What the database says.
pub async fn list(db: &impl ConnectionTrait, account: AccountId, page: &PageRequest<ApiKeyId>) -> Result<Vec<ApiKey>> {
    let mut query = Entity::find().filter(Column::AccountId.eq(account)).order_by_asc(Column::Id).limit(page.to_read());
    if let Some(after) = page.after {
        query = query.filter(Column::Id.gt(after));
    }
    query.all(db).await?.into_iter().map(key).collect()
}

/// An account's live keys that have a limit of their own.
///
/// # Errors
/// What the database says.
pub async fn list_with_limit(db: &impl ConnectionTrait, account: AccountId, now: DateTime<Utc>) -> Result<Vec<ApiKey>> {
    let lives = Condition::any().add(Column::ExpiresAt.is_null()).add(Column::ExpiresAt.gt(now));
    let revoked = Condition::any().add(Column::RevokedAt.is_null()).add(Column::RevokedAt.gt(now));
    let query = Entity::find().filter(Column::AccountId.eq(account)).filter(Column::RateLimit.is_not_null()).filter(lives).filter(revoked);
    query.order_by_asc(Column::Id).all(db).await?.into_iter().map(key).collect()
}

/// Replaces the settings of a live key that was not rotated; `false` if there is none.
///
/// # Errors
/// What the database says.
pub async fn change(db: &impl ConnectionTrait, account: AccountId, id: ApiKeyId, settings: &KeySettings, now: DateTime<Utc>) -> Result<bool> {
    let update = update(account, id, now)
        .col_expr(Column::Name, Expr::value(settings.name.clone()))
        .col_expr(Column::Scopes, Expr::value(settings.scopes.join(" ")))
        .col_expr(Column::IpAllowlist, Expr::value(networks(&settings.ip_allowlist)))
        .col_expr(Column::RateLimit, Expr::value(settings.rate_limit))
        .col_expr(Column::ExpiresAt, Expr::value(settings.expires_at))
        .filter(Column::ReplacedBy.is_null())
        .filter(live(now));
    Ok(update.exec(db).await?.rows_affected == 1)
}

/// Notes that `by` takes the place of a live key, which ends at `end` unless it would end before; `false` if it is not
/// live or was replaced already.
///
/// # Errors
/// What the database says.
pub async fn replace(db: &impl ConnectionTrait, account: AccountId, id: ApiKeyId, by: ApiKeyId, end: DateTime<Utc>, now: DateTime<Utc>) -> Result<bool> {
    let earlier = Expr::col(Column::ExpiresAt).is_not_null().and(Expr::col(Column::ExpiresAt).lt(end));
    let update = update(account, id, now)
        .col_expr(Column::ReplacedBy, Expr::value(by))
        .col_expr(Column::ExpiresAt, Expr::case(earlier, Expr::col(Column::ExpiresAt)).finally(Expr::value(end)).into())
        .filter(Column::ReplacedBy.is_null())
        .filter(live(now));
    Ok(update.exec(db).await?.rows_affected == 1)
}

/// Revokes a key; `false` if it is not there or was revoked already.
///
/// # Errors
/// What the database says.
pub async fn revoke(db: &impl ConnectionTrait, account: AccountId, id: ApiKeyId, now: DateTime<Utc>) -> Result<bool> {
    let update = update(account, id, now).col_expr(Column::RevokedAt, Expr::value(now)).filter(Column::RevokedAt.is_null());
    Ok(update.exec(db).await?.rows_affected == 1)
}

/// Revokes the keys that `id` took the place of and that are still in their overlap, and answers them.
///
/// # Errors
/// What the database says.
pub async fn revoke_replaced_by(db: &impl ConnectionTrait, account: AccountId, id: ApiKeyId, now: DateTime<Utc>) -> Result<Vec<ApiKey>> {
    let update = Entity::update_many()
        .col_expr(Column::RevokedAt, Expr::value(now))
        .col_expr(Column::UpdatedAt, Expr::value(now))
        .filter(Column::AccountId.eq(account))
        .filter(Column::ReplacedBy.eq(id))
        .filter(live(now));
    update.exec_with_returning(db).await?.into_iter().map(key).collect()
}

/// Notes when a key was last used, and from where if that is known.
///
/// # Errors
/// What the database says.
pub async fn stamp_used(db: &impl ConnectionTrait, account: AccountId, id: ApiKeyId, at: DateTime<Utc>, ip: Option<String>) -> Result<()> {
    let update = Entity::update_many()
        .col_expr(Column::LastUsedAt, Expr::value(at))
        .col_expr(Column::LastUsedIp, Expr::value(ip))
        .filter(Column::AccountId.eq(account))
        .filter(Column::Id.eq(id));
    update.exec(db).await?;
    Ok(())
}

/// Deletes keys that ended before `before`.
pub(super) async fn delete_before(db: &impl ConnectionTrait, before: DateTime<Utc>) -> Result<u64> {
    let over = Condition::any().add(Column::RevokedAt.lt(before)).add(Column::ExpiresAt.lt(before));
    Ok(Entity::delete_many().filter(over).exec(db).await?.rows_affected)
}

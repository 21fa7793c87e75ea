//! Opaque tokens of the Converse and Conversant dialects. Only the hash of a token is here.
//!
//! A token that is over stays over: whatever moves its end asks that nobody has found it ended, and whoever finds it
//! expired writes that down first (see [`settle`]). So two nodes may disagree about the moment, but never twice.

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveModelTrait as _,
    ActiveValue::Set,
    ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, Iterable as _, QueryFilter as _, QueryOrder as _, UpdateMany,
    sea_query::{Expr, Order, Query},
};

use crate::domain::{
    Error, Result,
    held_token::{HeldToken, Timeout, TokenKind},
    id::{HeldTokenId, RealmId, UserId},
};

super::entity!("opaque_tokens" {
    #[sea_orm(primary_key, auto_increment = false)]
    id: HeldTokenId,
    realm_id: RealmId,
    kind: String,
    user_id: Option<UserId>,
    account_id: Option<AccountId>,
    token_hash: String,
    prefix: String,
    amr: String,
    timeout: Option<i64>,
    auto_renew: bool,
    created_at: Instant,
    last_used_at: Option<Instant>,
    expires_at: Option<Instant>,
    ended_at: Option<Instant>,
});
use entity::{ActiveModel, Column, Entity, Model};

fn token(row: Model) -> Result<HeldToken> {
    Ok(HeldToken {
        id: row.id,
        realm_id: row.realm_id,
        kind: TokenKind::parse(&row.kind).ok_or_else(|| super::unknown_word("opaque_tokens.kind", &row.kind))?,
        user_id: row.user_id,
        account_id: row.account_id,
        prefix: row.prefix,
        amr: row.amr,
        timeout: row.timeout.map_or(Timeout::Never, Timeout::Seconds),
        auto_renew: row.auto_renew,
        created_at: row.created_at,
        last_used_at: row.last_used_at,
        expires_at: row.expires_at,
        ended_at: row.ended_at,
    })
}

fn row(token: &HeldToken, hash: &str) -> ActiveModel {
    ActiveModel {
        id: Set(token.id),
        realm_id: Set(token.realm_id),
        kind: Set(token.kind.as_str().to_owned()),
        user_id: Set(token.user_id),
        account_id: Set(token.account_id),
        token_hash: Set(hash.to_owned()),
        prefix: Set(token.prefix.clone()),
        amr: Set(token.amr.clone()),
        timeout: Set(token.timeout.seconds()),
        auto_renew: Set(token.auto_renew),
        created_at: Set(token.created_at),
        last_used_at: Set(None),
        expires_at: Set(token.expires_at),
        ended_at: Set(None),
    }
}

fn live(now: DateTime<Utc>) -> Condition {
    let unexpired = Condition::any().add(Column::ExpiresAt.is_null()).add(Column::ExpiresAt.gt(now));
    Condition::all().add(Column::EndedAt.is_null()).add(unexpired)
}

fn ending(realm: RealmId, now: DateTime<Utc>) -> UpdateMany<Entity> {
    Entity::update_many().col_expr(Column::EndedAt, Expr::value(now)).filter(Column::RealmId.eq(realm)).filter(Column::EndedAt.is_null())
}

/// Writes a token of a person if they are active and still of `version`, whose row is held then; `false` if not.
///
/// # Errors
/// What the database says.
pub async fn insert_if_active(db: &impl ConnectionTrait, token: &HeldToken, hash: &str, user: UserId, version: i32) -> Result<bool> {
    let mut row = row(token, hash);
    let mut values = super::users::held_if_active(token.realm_id, user, version);
    let mut columns = Vec::new();
    for column in Column::iter() {
        if let Some(value) = row.take(column).into_value() {
            columns.push(column);
            values.expr(Expr::val(value));
        }
    }
    let mut insert = Query::insert();
    insert.into_table(Entity).columns(columns);
    insert.select_from(values).map_err(|error| Error::internal(format!("a token's values: {error}")))?;
    Ok(db.execute(&insert).await?.rows_affected() == 1)
}

/// Ends all live tokens of that kind that a person has but the `keep` newest, and answers which.
///
/// # Errors
/// What the database says.
pub async fn make_room(db: &impl ConnectionTrait, realm: RealmId, user: UserId, kind: TokenKind, keep: u64, now: DateTime<Utc>) -> Result<Vec<HeldTokenId>> {
    let newest = Query::select()
        .column(Column::Id)
        .from(Entity)
        .and_where(Column::RealmId.eq(realm))
        .and_where(Column::UserId.eq(user))
        .and_where(Column::Kind.eq(kind.as_str()))
        .cond_where(live(now))
        .order_by(Column::CreatedAt, Order::Desc)
        .order_by(Column::Id, Order::Desc)
        .limit(keep)
        .to_owned();
    let update = ending(realm, now).filter(Column::UserId.eq(user)).filter(Column::Kind.eq(kind.as_str())).filter(live(now));
    Ok(update.filter(Column::Id.not_in_subquery(newest)).exec_with_returning(db).await?.into_iter().map(|row| row.id).collect())
}

/// A token that somebody shows, by the SHA-256 of its text in hex: good or over.
///
/// # Errors
/// What the database says.
pub async fn find_shown(db: &impl ConnectionTrait, kind: TokenKind, hash: &str) -> Result<Option<HeldToken>> {
    Entity::find().filter(Column::Kind.eq(kind.as_str())).filter(Column::TokenHash.eq(hash)).one(db).await?.map(token).transpose()
}

/// The token of that id.
///
/// # Errors
/// What the database says.
pub async fn find(db: &impl ConnectionTrait, realm: RealmId, id: HeldTokenId) -> Result<Option<HeldToken>> {
    Entity::find().filter(Column::RealmId.eq(realm)).filter(Column::Id.eq(id)).one(db).await?.map(token).transpose()
}

/// A person's live tokens of that kind, newest first.
///
/// # Errors
/// What the database says.
pub async fn list_live(db: &impl ConnectionTrait, realm: RealmId, user: UserId, kind: TokenKind, now: DateTime<Utc>) -> Result<Vec<HeldToken>> {
    let query = Entity::find().filter(Column::RealmId.eq(realm)).filter(Column::UserId.eq(user)).filter(Column::Kind.eq(kind.as_str())).filter(live(now));
    query.order_by_desc(Column::CreatedAt).order_by_desc(Column::Id).all(db).await?.into_iter().map(token).collect()
}

/// A use of a token that is to be written.
#[derive(Clone, Copy, Debug)]
pub struct Use {
    /// The first use since the last writing; the token was good then.
    pub first: DateTime<Utc>,
    pub last: DateTime<Utc>,
    /// Its end after that, if uses move it.
    pub until: Option<DateTime<Utc>>,
}

/// Writes that a token was used; `false` if it was over by then. The end moves forward alone.
///
/// # Errors
/// What the database says.
pub async fn note_use(db: &impl ConnectionTrait, realm: RealmId, id: HeldTokenId, used: Use) -> Result<bool> {
    let mut update = Entity::update_many().col_expr(Column::LastUsedAt, Expr::value(used.last));
    if let Some(until) = used.until {
        let farther = Expr::case(Column::ExpiresAt.lt(until), Expr::val(until)).finally(Expr::col(Column::ExpiresAt));
        update = update.col_expr(Column::ExpiresAt, farther.into());
    }
    let update = update.filter(Column::RealmId.eq(realm)).filter(Column::Id.eq(id)).filter(live(used.first));
    Ok(update.exec(db).await?.rows_affected == 1)
}

/// Makes the expiry of a token final; `false` if it is not expired, or over already.
///
/// # Errors
/// What the database says.
pub async fn settle(db: &impl ConnectionTrait, realm: RealmId, id: HeldTokenId, now: DateTime<Utc>) -> Result<bool> {
    let update = ending(realm, now).filter(Column::Id.eq(id)).filter(Column::ExpiresAt.lte(now));
    Ok(update.exec(db).await?.rows_affected == 1)
}

/// Ends a live token of a person by its hash, and answers its id.
///
/// # Errors
/// What the database says.
pub async fn end_of_user(
    db: &impl ConnectionTrait,
    realm: RealmId,
    user: UserId,
    kind: TokenKind,
    hash: &str,
    now: DateTime<Utc>,
) -> Result<Option<HeldTokenId>> {
    let update = ending(realm, now).filter(Column::UserId.eq(user)).filter(Column::Kind.eq(kind.as_str())).filter(Column::TokenHash.eq(hash)).filter(live(now));
    Ok(super::primitive::consume_once(db, update).await?.map(|row| row.id))
}

/// Ends everything that a person holds, of every kind.
///
/// # Errors
/// What the database says.
pub async fn end_all(db: &impl ConnectionTrait, realm: RealmId, user: UserId, now: DateTime<Utc>) -> Result<()> {
    ending(realm, now).filter(Column::UserId.eq(user)).exec(db).await?;
    Ok(())
}

/// Deletes tokens that were over before `before`.
pub(super) async fn delete_over_before(db: &impl ConnectionTrait, before: DateTime<Utc>) -> Result<u64> {
    let over = Condition::any().add(Column::EndedAt.lt(before)).add(Column::ExpiresAt.lt(before));
    Ok(Entity::delete_many().filter(over).exec(db).await?.rows_affected)
}

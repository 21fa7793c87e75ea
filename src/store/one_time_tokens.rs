//! Mailed one-time tokens. Purpose, realm and hash stand in every look-up, so that a token of one kind is noise to another.

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, PaginatorTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    sea_query::{Expr, OnConflict},
};

use crate::domain::{
    Result,
    email::Email,
    id::{OneTimeTokenId, RealmId, UserId},
    token::Purpose,
};

super::entity!("one_time_tokens" {
    #[sea_orm(primary_key, auto_increment = false)]
    id: OneTimeTokenId,
    realm_id: RealmId,
    user_id: UserId,
    purpose: String,
    nonce: String,
    token_hash: String,
    email: String,
    pending_secret: Option<String>,
    pending_name: Option<String>,
    tries: i32,
    created_at: Instant,
    expires_at: Instant,
    consumed_at: Option<Instant>,
});
use entity::{ActiveModel, Column, Entity, Model};

/// A token's row.
#[derive(Clone, Debug)]
pub struct OneTimeToken {
    pub id: OneTimeTokenId,
    pub realm_id: RealmId,
    pub user_id: UserId,
    pub purpose: Purpose,
    /// What the secret is derived from, with the master key.
    pub nonce: String,
    /// SHA-256 of the secret, in hex.
    pub token_hash: String,
    /// The address that it was mailed to.
    pub email: Email,
    /// A password hash that takes effect with the token: that of the sign-up that asked for it.
    pub pending_secret: Option<String>,
    /// A name that takes effect with it.
    pub pending_name: Option<String>,
    /// Guesses of the code so far.
    pub tries: i32,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub consumed_at: Option<DateTime<Utc>>,
}

fn token(row: Model) -> Result<OneTimeToken> {
    Ok(OneTimeToken {
        id: row.id,
        realm_id: row.realm_id,
        user_id: row.user_id,
        purpose: Purpose::parse(&row.purpose).ok_or_else(|| super::unknown_word("one_time_tokens.purpose", &row.purpose))?,
        nonce: row.nonce,
        token_hash: row.token_hash,
        email: Email::from_stored(row.email),
        pending_secret: row.pending_secret,
        pending_name: row.pending_name,
        tries: row.tries,
        created_at: row.created_at,
        expires_at: row.expires_at,
        consumed_at: row.consumed_at,
    })
}

/// Writes a token unless its id is there already; `false` if it is.
///
/// # Errors
/// What the database says.
pub async fn insert_if_absent(db: &impl ConnectionTrait, token: &OneTimeToken) -> Result<bool> {
    let row = ActiveModel {
        id: Set(token.id),
        realm_id: Set(token.realm_id),
        user_id: Set(token.user_id),
        purpose: Set(token.purpose.as_str().to_owned()),
        nonce: Set(token.nonce.clone()),
        token_hash: Set(token.token_hash.clone()),
        email: Set(token.email.as_str().to_owned()),
        pending_secret: Set(token.pending_secret.clone()),
        pending_name: Set(token.pending_name.clone()),
        tries: Set(token.tries),
        created_at: Set(token.created_at),
        expires_at: Set(token.expires_at),
        consumed_at: Set(token.consumed_at),
    };
    let conflict = OnConflict::column(Column::Id).do_nothing().to_owned();
    Ok(Entity::insert(row).on_conflict(conflict).exec_without_returning(db).await? == 1)
}

/// The token of that id, live or not.
///
/// # Errors
/// What the database says.
pub async fn find(db: &impl ConnectionTrait, realm: RealmId, purpose: Purpose, id: OneTimeTokenId) -> Result<Option<OneTimeToken>> {
    let query = Entity::find().filter(Column::RealmId.eq(realm)).filter(Column::Purpose.eq(purpose.as_str())).filter(Column::Id.eq(id));
    query.one(db).await?.map(token).transpose()
}

/// The token of that id and hash, if it can still be used.
///
/// # Errors
/// What the database says.
pub async fn find_live(
    db: &impl ConnectionTrait,
    realm: RealmId,
    purpose: Purpose,
    id: OneTimeTokenId,
    hash: &str,
    now: DateTime<Utc>,
) -> Result<Option<OneTimeToken>> {
    let found = find(db, realm, purpose, id).await?;
    Ok(found.filter(|token| token.consumed_at.is_none() && token.expires_at > now && token.token_hash == hash))
}

/// The newest token for an address that can still be used.
///
/// # Errors
/// What the database says.
pub async fn newest_live_for_email(
    db: &impl ConnectionTrait,
    realm: RealmId,
    purpose: Purpose,
    email: &Email,
    now: DateTime<Utc>,
) -> Result<Option<OneTimeToken>> {
    let query = Entity::find()
        .filter(Column::RealmId.eq(realm))
        .filter(Column::Email.eq(email.as_str()))
        .filter(Column::Purpose.eq(purpose.as_str()))
        .filter(Column::ConsumedAt.is_null())
        .filter(Column::ExpiresAt.gt(now))
        .order_by_desc(Column::CreatedAt)
        .order_by_desc(Column::Id);
    query.one(db).await?.map(token).transpose()
}

/// The newest token of a user, live or not.
///
/// # Errors
/// What the database says.
pub async fn newest_for_user(db: &impl ConnectionTrait, realm: RealmId, purpose: Purpose, user: UserId) -> Result<Option<OneTimeToken>> {
    let query = Entity::find()
        .filter(Column::RealmId.eq(realm))
        .filter(Column::UserId.eq(user))
        .filter(Column::Purpose.eq(purpose.as_str()))
        .order_by_desc(Column::CreatedAt)
        .order_by_desc(Column::Id);
    query.one(db).await?.map(token).transpose()
}

/// Uses a token; answers its row to the one caller that was first.
///
/// # Errors
/// What the database says.
pub async fn consume(
    db: &impl ConnectionTrait,
    realm: RealmId,
    purpose: Purpose,
    id: OneTimeTokenId,
    hash: &str,
    now: DateTime<Utc>,
) -> Result<Option<OneTimeToken>> {
    let update = Entity::update_many()
        .col_expr(Column::ConsumedAt, Expr::value(now))
        .filter(Column::RealmId.eq(realm))
        .filter(Column::Purpose.eq(purpose.as_str()))
        .filter(Column::Id.eq(id))
        .filter(Column::TokenHash.eq(hash))
        .filter(Column::ConsumedAt.is_null())
        .filter(Column::ExpiresAt.gt(now));
    super::primitive::consume_once(db, update).await?.map(token).transpose()
}

/// Counts a guess of a token's code; `false` if it has had `max`.
///
/// # Errors
/// What the database says.
pub async fn count_try(db: &impl ConnectionTrait, realm: RealmId, id: OneTimeTokenId, max: i32) -> Result<bool> {
    let update = Entity::update_many().filter(Column::RealmId.eq(realm)).filter(Column::Id.eq(id)).filter(Column::ConsumedAt.is_null());
    super::primitive::increment_if(db, update, Column::Tries, max).await
}

/// Kills a user's unused tokens: those of one purpose, or all, but never `except`. All means all but those that take a
/// change of address back: who stole a session must not get rid of them by changing something else.
///
/// # Errors
/// What the database says.
pub async fn kill_others(
    db: &impl ConnectionTrait,
    realm: RealmId,
    user: UserId,
    purpose: Option<Purpose>,
    except: Option<OneTimeTokenId>,
    now: DateTime<Utc>,
) -> Result<()> {
    let mut update = Entity::update_many()
        .col_expr(Column::ConsumedAt, Expr::value(now))
        .filter(Column::RealmId.eq(realm))
        .filter(Column::UserId.eq(user))
        .filter(Column::ConsumedAt.is_null());
    update = update.filter(match purpose {
        Some(purpose) => Column::Purpose.eq(purpose.as_str()),
        None => Column::Purpose.ne(Purpose::UndoEmailChange.as_str()),
    });
    if let Some(except) = except {
        update = update.filter(Column::Id.ne(except));
    }
    update.exec(db).await?;
    Ok(())
}

/// How many tokens of all realms that can still be used after `now` were made with the master key `key`.
///
/// # Errors
/// What the database says.
pub async fn count_live_of_key(db: &impl ConnectionTrait, key: &str, now: DateTime<Utc>) -> Result<u64> {
    let query = Entity::find().filter(Column::Nonce.starts_with(format!("{key}."))).filter(Column::ConsumedAt.is_null()).filter(Column::ExpiresAt.gt(now));
    Ok(query.count(db).await?)
}

/// How many unused sign-ups of all realms hold `mark` in the hash that they would set.
///
/// # Errors
/// What the database says.
pub async fn count_pending_marked(db: &impl ConnectionTrait, mark: &str) -> Result<u64> {
    Ok(Entity::find().filter(Column::PendingSecret.contains(mark)).filter(Column::ConsumedAt.is_null()).count(db).await?)
}

/// Kills a user's unused tokens of one purpose that were made at `since` or later.
///
/// # Errors
/// What the database says.
pub async fn kill_since(db: &impl ConnectionTrait, realm: RealmId, user: UserId, purpose: Purpose, since: DateTime<Utc>, now: DateTime<Utc>) -> Result<()> {
    let update = Entity::update_many()
        .col_expr(Column::ConsumedAt, Expr::value(now))
        .filter(Column::RealmId.eq(realm))
        .filter(Column::UserId.eq(user))
        .filter(Column::Purpose.eq(purpose.as_str()))
        .filter(Column::CreatedAt.gte(since))
        .filter(Column::ConsumedAt.is_null());
    update.exec(db).await?;
    Ok(())
}

/// The addresses that a user's tokens went to, spent ones too.
///
/// # Errors
/// What the database says.
pub async fn addresses(db: &impl ConnectionTrait, realm: RealmId, user: UserId) -> Result<Vec<Email>> {
    let query = Entity::find().select_only().column(Column::Email).distinct().filter(Column::RealmId.eq(realm)).filter(Column::UserId.eq(user));
    let rows: Vec<String> = query.into_tuple().all(db).await?;
    Ok(rows.into_iter().map(Email::from_stored).collect())
}

/// A user's tokens that can still be used, newest first.
///
/// # Errors
/// What the database says.
pub async fn list_live(db: &impl ConnectionTrait, realm: RealmId, user: UserId, now: DateTime<Utc>) -> Result<Vec<OneTimeToken>> {
    let query = Entity::find()
        .filter(Column::RealmId.eq(realm))
        .filter(Column::UserId.eq(user))
        .filter(Column::ConsumedAt.is_null())
        .filter(Column::ExpiresAt.gt(now))
        .order_by_desc(Column::Id);
    query.all(db).await?.into_iter().map(token).collect()
}

/// Deletes tokens that expired before `before`. One that holds the last sign-up of an unproved address stays until it is
/// replaced or used: without it an earlier sign-up by somebody else would count again.
pub(super) async fn delete_before(db: &impl ConnectionTrait, before: DateTime<Utc>) -> Result<u64> {
    let spent = Condition::any().add(Column::PendingSecret.is_null()).add(Column::ConsumedAt.is_not_null());
    Ok(Entity::delete_many().filter(Column::ExpiresAt.lt(before)).filter(spent).exec(db).await?.rows_affected)
}

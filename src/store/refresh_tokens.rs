//! Refresh tokens: hash, family, generation, and when each was used.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, JoinType, QueryFilter as _, QuerySelect as _, UpdateMany,
    sea_query::{Expr, ExprTrait as _, Query},
};
use uuid::Uuid;

use super::sessions::{self, SessionColumn};
use crate::domain::{
    Result,
    id::{RealmId, RefreshTokenId, SessionId},
    session::Session,
};

super::entity!("refresh_tokens" {
    #[sea_orm(primary_key, auto_increment = false)]
    id: RefreshTokenId,
    realm_id: RealmId,
    session_id: SessionId,
    family_id: Uuid,
    generation: i32,
    token_hash: String,
    created_at: Instant,
    expires_at: Instant,
    used_at: Option<Instant>,
    child_sealed: Option<String>,
});
use entity::{ActiveModel, Column, Entity, Model};

/// A refresh token's row.
#[derive(Clone, Debug)]
pub struct RefreshToken {
    pub id: RefreshTokenId,
    pub realm_id: RealmId,
    pub session_id: SessionId,
    /// All descendants of one login's first token.
    pub family_id: Uuid,
    /// 0 for the first.
    pub generation: i32,
    /// SHA-256 of the secret, in hex.
    pub token_hash: String,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub used_at: Option<DateTime<Utc>>,
    /// The child that its use made, sealed with a key that only the token itself holds.
    pub child_sealed: Option<String>,
}

fn token(row: Model) -> RefreshToken {
    RefreshToken {
        id: row.id,
        realm_id: row.realm_id,
        session_id: row.session_id,
        family_id: row.family_id,
        generation: row.generation,
        token_hash: row.token_hash,
        created_at: row.created_at,
        expires_at: row.expires_at,
        used_at: row.used_at,
        child_sealed: row.child_sealed,
    }
}

/// Writes a token.
///
/// # Errors
/// What the database says.
pub async fn insert(db: &impl ConnectionTrait, token: &RefreshToken) -> Result<()> {
    let row = ActiveModel {
        id: Set(token.id),
        realm_id: Set(token.realm_id),
        session_id: Set(token.session_id),
        family_id: Set(token.family_id),
        generation: Set(token.generation),
        token_hash: Set(token.token_hash.clone()),
        created_at: Set(token.created_at),
        expires_at: Set(token.expires_at),
        used_at: Set(token.used_at),
        child_sealed: Set(token.child_sealed.clone()),
    };
    Entity::insert(row).exec_without_returning(db).await?;
    Ok(())
}

/// A token as it is presented, and what its use leaves behind.
#[derive(Clone, Copy, Debug)]
pub struct Presented<'a> {
    pub id: RefreshTokenId,
    /// SHA-256 of its secret, in hex.
    pub hash: &'a str,
    /// The child that its use makes, sealed.
    pub child: &'a str,
}

/// The use of a token that was not used before and has time left.
fn using(realm: RealmId, presented: Presented<'_>, now: DateTime<Utc>) -> UpdateMany<Entity> {
    Entity::update_many()
        .col_expr(Column::UsedAt, Expr::value(now))
        .col_expr(Column::ChildSealed, Expr::value(presented.child))
        .filter(Column::RealmId.eq(realm))
        .filter(Column::Id.eq(presented.id))
        .filter(Column::TokenHash.eq(presented.hash))
        .filter(Column::UsedAt.is_null())
        .filter(Column::ExpiresAt.gt(now))
}

/// Uses an unused token and leaves its sealed child; answers its row as it is then, or `None` if it can't be used.
///
/// # Errors
/// What the database says.
pub async fn consume(db: &impl ConnectionTrait, realm: RealmId, presented: Presented<'_>, now: DateTime<Utc>) -> Result<Option<RefreshToken>> {
    Ok(super::primitive::consume_once(db, using(realm, presented, now)).await?.map(token))
}

/// The same if the token's session is live besides; `false` if either is not so.
///
/// # Errors
/// What the database says.
pub async fn consume_if_live(db: &impl ConnectionTrait, realm: RealmId, presented: Presented<'_>, now: DateTime<Utc>, idle: TimeDelta) -> Result<bool> {
    let live = Query::select()
        .expr(Expr::val(1))
        .from(sessions::Entity)
        .and_where(Expr::col((sessions::Entity, SessionColumn::RealmId)).eq(Expr::col((Entity, Column::RealmId))))
        .and_where(Expr::col((sessions::Entity, SessionColumn::Id)).eq(Expr::col((Entity, Column::SessionId))))
        .cond_where(sessions::live(now, idle))
        .to_owned();
    let update = using(realm, presented, now).filter(Expr::exists(live));
    Ok(update.exec(db).await?.rows_affected == 1)
}

/// The token of that id with its session, whatever became of either.
///
/// # Errors
/// What the database says.
pub async fn find_with_session(db: &impl ConnectionTrait, realm: RealmId, id: RefreshTokenId) -> Result<Option<(RefreshToken, Session)>> {
    let session = Entity::belongs_to(sessions::Entity).from((Column::RealmId, Column::SessionId)).to((SessionColumn::RealmId, SessionColumn::Id));
    let query = Entity::find().join(JoinType::InnerJoin, session.into()).select_also(sessions::Entity);
    let found = query.filter(Column::RealmId.eq(realm)).filter(Column::Id.eq(id)).one(db).await?;
    Ok(found.and_then(|(row, session)| Some((token(row), sessions::session(session?)))))
}

/// The token of that id, used or not.
///
/// # Errors
/// What the database says.
pub async fn find(db: &impl ConnectionTrait, realm: RealmId, id: RefreshTokenId) -> Result<Option<RefreshToken>> {
    Ok(Entity::find().filter(Column::RealmId.eq(realm)).filter(Column::Id.eq(id)).one(db).await?.map(token))
}

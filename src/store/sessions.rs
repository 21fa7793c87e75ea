//! Sessions. Nothing here deletes a live row: a session is ended with its reason and stays to be asked about.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{
    ActiveModelTrait as _,
    ActiveValue::Set,
    ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, IdenStatic as _, Iterable as _, QueryFilter as _, QueryOrder as _, QueryTrait as _,
    sea_query::{Expr, Order, Query, ReturningClause, UpdateStatement},
};

use super::{Transaction, batch::Batch};
use crate::domain::{
    Error, Result,
    id::{RealmId, SessionId, UserId},
    session::{EndReason, REFRESH_GRACE, Rotation, Session},
};

super::entity!("sessions" {
    #[sea_orm(primary_key, auto_increment = false)]
    id: SessionId,
    realm_id: RealmId,
    user_id: UserId,
    device: String,
    user_agent: String,
    ip: String,
    amr: String,
    auth_time: Instant,
    created_at: Instant,
    last_used_at: Instant,
    expires_at: Instant,
    generation: i32,
    rotated_at: Option<Instant>,
    burst_generation: i32,
    burst_at: Option<Instant>,
    ended_at: Option<Instant>,
    end_reason: Option<String>,
    cookie_hash: Option<String>,
});
use entity::{ActiveModel, Column, Entity, Model};

fn session(row: Model) -> Session {
    // A reason written by a newer version is still an end.
    let reason = || row.end_reason.as_deref().and_then(EndReason::parse).unwrap_or(EndReason::Revoked);
    Session {
        ended: row.ended_at.map(|at| (at, reason())),
        id: row.id,
        realm_id: row.realm_id,
        user_id: row.user_id,
        device: row.device,
        ip: row.ip,
        created_at: row.created_at,
        last_used_at: row.last_used_at,
        expires_at: row.expires_at,
        auth_time: row.auth_time,
        amr: row.amr,
        rotation: Rotation {
            generation: u32::try_from(row.generation).unwrap_or_default(),
            rotated_at: row.rotated_at,
            burst: row.burst_at.map(|at| (u32::try_from(row.burst_generation).unwrap_or_default(), at)),
        },
    }
}

/// What makes a session live.
fn live(now: DateTime<Utc>, idle: TimeDelta) -> Condition {
    Condition::all().add(Column::EndedAt.is_null()).add(Column::ExpiresAt.gt(now)).add(Column::LastUsedAt.gt(now - idle))
}

fn ending(reason: EndReason, now: DateTime<Utc>) -> sea_orm::UpdateMany<Entity> {
    Entity::update_many()
        .col_expr(Column::EndedAt, Expr::value(now))
        .col_expr(Column::EndReason, Expr::value(reason.as_str()))
        .filter(Column::EndedAt.is_null())
}

/// A session to be.
#[derive(Debug)]
pub struct NewSession<'a> {
    pub session: &'a Session,
    pub user_agent: &'a str,
    /// SHA-256 of its cookie's secret in hex, if a cookie carries it.
    pub cookie_hash: Option<String>,
    /// The user's version that its proof was made with.
    pub user_version: i32,
    /// How many live sessions the user may have, this one among them.
    pub keep: u32,
    /// How long a session lives without use.
    pub idle: TimeDelta,
}

/// Begins a session and makes room for it: ends what has run out of its time (`expired`, `idle`), and of the rest the
/// oldest (`evicted_by_limit`). Answers what was ended; nothing if the user is not active or not of that version any more.
///
/// The user's row is held from the first statement on, so that two logins can't both count themselves last; that the new
/// one stays does not depend on its time, for clocks differ and one that waited for the row is older than the one it
/// waited for. The caller rolls back if nothing is answered.
///
/// # Errors
/// What the database says.
pub async fn begin(db: &Transaction, new: NewSession<'_>) -> Result<Option<Vec<(SessionId, EndReason)>>> {
    let room = room(new.session, new.keep, new.idle);
    let mut row = row(new.session, new.user_agent, new.cookie_hash);
    let mut values = super::users::held_if_active(new.session.realm_id, new.session.user_id, new.user_version);
    let mut columns = Vec::new();
    for column in Column::iter() {
        if let Some(value) = row.take(column).into_value() {
            columns.push(column);
            values.expr(Expr::val(value));
        }
    }
    let mut insert = Query::insert();
    insert.into_table(Entity).columns(columns).returning(returned());
    insert.select_from(values).map_err(|error| Error::internal(format!("a session's values: {error}")))?;
    let mut batch = Batch::on(db);
    batch.add_plain(&insert);
    batch.add_plain(&room);
    let (mut begun, mut ended) = (false, Vec::new());
    for row in batch.rows(db).await? {
        let reason: Option<String> = row.try_get("", Column::EndReason.as_str())?;
        match reason.as_deref().and_then(EndReason::parse) {
            Some(reason) => ended.push((row.try_get("", Column::Id.as_str())?, reason)),
            None => begun = true,
        }
    }
    Ok(begun.then_some(ended))
}

fn row(session: &Session, user_agent: &str, cookie_hash: Option<String>) -> ActiveModel {
    ActiveModel {
        id: Set(session.id),
        realm_id: Set(session.realm_id),
        user_id: Set(session.user_id),
        device: Set(session.device.clone()),
        user_agent: Set(user_agent.chars().take(512).collect()),
        ip: Set(session.ip.clone()),
        amr: Set(session.amr.clone()),
        auth_time: Set(session.auth_time),
        created_at: Set(session.created_at),
        last_used_at: Set(session.last_used_at),
        expires_at: Set(session.expires_at),
        generation: Set(0),
        rotated_at: Set(None),
        burst_generation: Set(0),
        burst_at: Set(None),
        ended_at: Set(None),
        end_reason: Set(None),
        cookie_hash: Set(cookie_hash),
    }
}

fn returned() -> ReturningClause {
    Query::returning().columns([Column::Id, Column::EndReason])
}

fn room(begun: &Session, keep: u32, idle: TimeDelta) -> UpdateStatement {
    let (realm, user, begun, now) = (begun.realm_id, begun.user_id, begun.id, begun.created_at);
    let newest = Query::select()
        .column(Column::Id)
        .from(Entity)
        .and_where(Column::RealmId.eq(realm))
        .and_where(Column::UserId.eq(user))
        .cond_where(live(now, idle))
        .and_where(Column::Id.ne(begun))
        .order_by(Column::CreatedAt, Order::Desc)
        .order_by(Column::Id, Order::Desc)
        .limit(u64::from(keep).saturating_sub(1))
        .to_owned();
    let reason = Expr::case(Column::ExpiresAt.lte(now), EndReason::Expired.as_str())
        .case(Column::LastUsedAt.lte(now - idle), EndReason::Idle.as_str())
        .finally(EndReason::EvictedByLimit.as_str());
    let update = Entity::update_many()
        .col_expr(Column::EndedAt, Expr::value(now))
        .col_expr(Column::EndReason, reason.into())
        .filter(Column::RealmId.eq(realm))
        .filter(Column::UserId.eq(user))
        .filter(Column::EndedAt.is_null())
        .filter(Column::Id.ne(begun))
        .filter(Column::Id.not_in_subquery(newest));
    update.into_query().returning(returned()).to_owned()
}

/// The session of that id, live or not.
///
/// # Errors
/// What the database says.
pub async fn find(db: &impl ConnectionTrait, realm: RealmId, id: SessionId) -> Result<Option<Session>> {
    Ok(Entity::find().filter(Column::RealmId.eq(realm)).filter(Column::Id.eq(id)).one(db).await?.map(session))
}

/// The live session that a cookie with that secret's hash carries.
///
/// # Errors
/// What the database says.
pub async fn find_by_cookie(
    db: &impl ConnectionTrait,
    realm: RealmId,
    id: SessionId,
    hash: &str,
    now: DateTime<Utc>,
    idle: TimeDelta,
) -> Result<Option<Session>> {
    let query = Entity::find().filter(Column::RealmId.eq(realm)).filter(Column::Id.eq(id)).filter(Column::CookieHash.eq(hash)).filter(live(now, idle));
    Ok(query.one(db).await?.map(session))
}

/// A user's live sessions, newest first.
///
/// # Errors
/// What the database says.
pub async fn list_live(db: &impl ConnectionTrait, realm: RealmId, user: UserId, now: DateTime<Utc>, idle: TimeDelta) -> Result<Vec<Session>> {
    let query = Entity::find().filter(Column::RealmId.eq(realm)).filter(Column::UserId.eq(user)).filter(live(now, idle));
    Ok(query.order_by_desc(Column::CreatedAt).order_by_desc(Column::Id).all(db).await?.into_iter().map(session).collect())
}

/// A user's sessions, live or not, newest first, with what the browser called itself.
///
/// # Errors
/// What the database says.
pub async fn list_all(db: &impl ConnectionTrait, realm: RealmId, user: UserId) -> Result<Vec<(Session, String)>> {
    let query = Entity::find().filter(Column::RealmId.eq(realm)).filter(Column::UserId.eq(user)).order_by_desc(Column::CreatedAt).order_by_desc(Column::Id);
    Ok(query.all(db).await?.into_iter().map(|row| (row.user_agent.clone(), row)).map(|(agent, row)| (session(row), agent)).collect())
}

/// Ends a session; `false` if it is over or was never.
///
/// # Errors
/// What the database says.
pub async fn end(db: &impl ConnectionTrait, realm: RealmId, id: SessionId, reason: EndReason, now: DateTime<Utc>) -> Result<bool> {
    let update = ending(reason, now).filter(Column::RealmId.eq(realm)).filter(Column::Id.eq(id));
    Ok(super::primitive::consume_once(db, update).await?.is_some())
}

/// Notes that a session's person proved once more who they are, and how; `false` if it is over.
///
/// # Errors
/// What the database says.
pub async fn prove_again(db: &impl ConnectionTrait, realm: RealmId, id: SessionId, amr: &str, now: DateTime<Utc>) -> Result<bool> {
    let update = Entity::update_many()
        .col_expr(Column::AuthTime, Expr::value(now))
        .col_expr(Column::Amr, Expr::value(amr))
        .filter(Column::RealmId.eq(realm))
        .filter(Column::Id.eq(id))
        .filter(Column::EndedAt.is_null());
    Ok(super::primitive::consume_once(db, update).await?.is_some())
}

/// Ends a session of `user`; `false` if it is over, another user's, or was never.
///
/// # Errors
/// What the database says.
pub async fn end_of_user(db: &impl ConnectionTrait, realm: RealmId, user: UserId, id: SessionId, reason: EndReason, now: DateTime<Utc>) -> Result<bool> {
    let update = ending(reason, now).filter(Column::RealmId.eq(realm)).filter(Column::UserId.eq(user)).filter(Column::Id.eq(id));
    Ok(super::primitive::consume_once(db, update).await?.is_some())
}

/// Ends all sessions of `user` but `except` and answers which.
///
/// # Errors
/// What the database says.
pub async fn end_all(
    db: &impl ConnectionTrait,
    realm: RealmId,
    user: UserId,
    except: Option<SessionId>,
    reason: EndReason,
    now: DateTime<Utc>,
) -> Result<Vec<SessionId>> {
    let mut update = ending(reason, now).filter(Column::RealmId.eq(realm)).filter(Column::UserId.eq(user));
    if let Some(except) = except {
        update = update.filter(Column::Id.ne(except));
    }
    Ok(update.exec_with_returning(db).await?.into_iter().map(|row| row.id).collect())
}

/// Stamps the use of a session if it is live, and answers it.
///
/// # Errors
/// What the database says.
pub async fn use_if_live(db: &impl ConnectionTrait, realm: RealmId, id: SessionId, now: DateTime<Utc>, idle: TimeDelta) -> Result<Option<Session>> {
    let update = Entity::update_many()
        .col_expr(Column::LastUsedAt, Expr::value(now))
        .filter(Column::RealmId.eq(realm))
        .filter(Column::Id.eq(id))
        .filter(live(now, idle));
    Ok(super::primitive::consume_once(db, update).await?.map(session))
}

/// Spends the refresh token of `generation` if it is the newest of a live session, and answers the session as it is then.
///
/// # Errors
/// What the database says.
pub async fn rotate(db: &impl ConnectionTrait, realm: RealmId, id: SessionId, generation: u32, now: DateTime<Utc>, idle: TimeDelta) -> Result<Option<Session>> {
    let Ok(generation) = i32::try_from(generation) else { return Ok(None) };
    // A burst goes on while its first use is within the grace.
    let goes_on = || Column::BurstAt.gt(now - REFRESH_GRACE);
    let update = Entity::update_many()
        .col_expr(Column::Generation, Expr::value(generation + 1))
        .col_expr(Column::RotatedAt, Expr::value(now))
        .col_expr(Column::LastUsedAt, Expr::value(now))
        .col_expr(Column::BurstGeneration, Expr::case(goes_on(), Expr::col(Column::BurstGeneration)).finally(generation).into())
        .col_expr(Column::BurstAt, Expr::case(goes_on(), Expr::col(Column::BurstAt)).finally(Expr::val(now)).into())
        .filter(Column::RealmId.eq(realm))
        .filter(Column::Id.eq(id))
        .filter(Column::Generation.eq(generation))
        .filter(live(now, idle));
    Ok(super::primitive::consume_once(db, update).await?.map(session))
}

/// Writes stamps of use that gathered in memory. Never moves one back, never touches what is over.
///
/// # Errors
/// What the database says.
pub async fn stamp_used(db: &impl ConnectionTrait, uses: &[(RealmId, SessionId, DateTime<Utc>)]) -> Result<()> {
    for (realm, id, at) in uses {
        let update = Entity::update_many()
            .col_expr(Column::LastUsedAt, Expr::value(*at))
            .filter(Column::RealmId.eq(*realm))
            .filter(Column::Id.eq(*id))
            .filter(Column::EndedAt.is_null())
            .filter(Column::LastUsedAt.lt(*at));
        update.exec(db).await?;
    }
    Ok(())
}

/// Deletes sessions, and with them their refresh tokens, that were over before `before`.
pub(super) async fn delete_over_before(db: &impl ConnectionTrait, before: DateTime<Utc>) -> Result<u64> {
    let over = Condition::any().add(Column::EndedAt.lt(before)).add(Column::ExpiresAt.lt(before));
    Ok(Entity::delete_many().filter(over).exec(db).await?.rows_affected)
}

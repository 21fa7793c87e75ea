//! Deferred work: enqueued in the transaction that owes it, claimed by lease, at least once.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, Condition, ConnectionTrait, DbBackend, EntityTrait as _, PaginatorTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    sea_query::{Expr, LockBehavior, LockType, Order, Query},
};

use crate::domain::{Error, Result, id::JobId, job::Job, language::Language};

super::entity!("jobs" {
    #[sea_orm(primary_key, auto_increment = false)]
    id: JobId,
    realm_id: RealmId,
    kind: String,
    payload: String,
    status: String,
    run_at: Instant,
    locked_until: Option<Instant>,
    attempts: i32,
    last_error: Option<String>,
    language: Option<String>,
    created_at: Instant,
});
use entity::{ActiveModel, Column, Entity};

const PENDING: &str = "pending";
const DEAD: &str = "dead";

/// A job that is the caller's until its lease ends.
#[derive(Clone, Debug)]
pub struct ClaimedJob {
    pub id: JobId,
    pub job: Job,
    /// What whoever caused it would be spoken to in.
    pub language: Option<Language>,
    /// Failures so far.
    pub attempts: i32,
}

/// How much waits.
#[derive(Clone, Copy, Debug)]
pub struct JobCounts {
    pub pending: u64,
    pub dead: u64,
    /// When the oldest of those that wait came to be owed.
    pub oldest: Option<DateTime<Utc>>,
}

/// Owes a job, due at `run_at`.
///
/// # Errors
/// What the database says.
pub async fn enqueue(db: &impl ConnectionTrait, id: JobId, job: &Job, run_at: DateTime<Utc>, now: DateTime<Utc>) -> Result<()> {
    enqueue_in(db, id, job, None, run_at, now).await
}

/// The same with the language of whoever caused it.
///
/// # Errors
/// What the database says.
pub async fn enqueue_in(db: &impl ConnectionTrait, id: JobId, job: &Job, language: Option<Language>, run_at: DateTime<Utc>, now: DateTime<Utc>) -> Result<()> {
    let row = ActiveModel {
        id: Set(id),
        realm_id: Set(job.realm_id()),
        kind: Set(job.kind().to_owned()),
        payload: Set(serde_json::to_string(job).map_err(Error::internal)?),
        status: Set(PENDING.to_owned()),
        run_at: Set(run_at),
        locked_until: Set(None),
        attempts: Set(0),
        last_error: Set(None),
        language: Set(language.map(|language| language.tag().to_owned())),
        created_at: Set(now),
    };
    Entity::insert(row).exec_without_returning(db).await?;
    Ok(())
}

/// Takes up to `limit` due jobs for `lease`. The guard stands inside and outside of the sub-select, so that two nodes
/// that see the same row end with one claim.
///
/// # Errors
/// What the database says.
pub async fn claim(db: &impl ConnectionTrait, now: DateTime<Utc>, lease: TimeDelta, limit: u64) -> Result<Vec<ClaimedJob>> {
    let due = || {
        Condition::all()
            .add(Column::Status.eq(PENDING))
            .add(Column::RunAt.lte(now))
            .add(Condition::any().add(Column::LockedUntil.is_null()).add(Column::LockedUntil.lte(now)))
    };
    let postgres = db.get_database_backend() == DbBackend::Postgres;
    // An idle look takes no write lock.
    if Entity::find().select_only().column(Column::Id).filter(due()).limit(1).into_tuple::<JobId>().one(db).await?.is_none() {
        return Ok(Vec::new());
    }
    let mut oldest = Query::select();
    oldest.column(Column::Id).from(Entity).cond_where(due()).order_by(Column::RunAt, Order::Asc).order_by(Column::Id, Order::Asc).limit(limit);
    let chosen = if postgres {
        oldest.lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
        // An array is built once. `IN (SELECT …)` may be run again for each row of the table, and then passes over what
        // it has locked itself and takes more than `limit`.
        Expr::cust_with_exprs("$1 = ANY(ARRAY $2)", [Expr::col(Column::Id), oldest.into()])
    } else {
        Column::Id.in_subquery(oldest)
    };
    let update = Entity::update_many().col_expr(Column::LockedUntil, Expr::value(now + lease)).filter(chosen).filter(due());
    let mut rows = update.exec_with_returning(db).await?;
    rows.sort_by_key(|row| (row.run_at, row.id));
    let mut claimed = Vec::with_capacity(rows.len());
    for row in rows {
        match serde_json::from_str(&row.payload) {
            Ok(job) => {
                let language = row.language.as_deref().and_then(Language::parse);
                claimed.push(ClaimedJob { id: row.id, job, language, attempts: row.attempts });
            }
            // Written by a newer version, or by hand: it must not hold up the others.
            Err(_) => bury(db, row.id, "unreadable").await?,
        }
    }
    Ok(claimed)
}

/// Deletes a job that is done.
///
/// # Errors
/// What the database says.
pub async fn finish(db: &impl ConnectionTrait, id: JobId) -> Result<()> {
    Entity::delete_by_id(id).exec(db).await?;
    Ok(())
}

/// Gives a failed job back, due again at `run_at`.
///
/// # Errors
/// What the database says.
pub async fn retry(db: &impl ConnectionTrait, id: JobId, attempts: i32, run_at: DateTime<Utc>, error: &str) -> Result<()> {
    let update = Entity::update_many()
        .col_expr(Column::Attempts, Expr::value(attempts))
        .col_expr(Column::RunAt, Expr::value(run_at))
        .col_expr(Column::LastError, Expr::value(error))
        .col_expr(Column::LockedUntil, Expr::value(None::<DateTime<Utc>>))
        .filter(Column::Id.eq(id));
    update.exec(db).await?;
    Ok(())
}

/// Gives a job up; it stays to be looked at.
///
/// # Errors
/// What the database says.
pub async fn bury(db: &impl ConnectionTrait, id: JobId, error: &str) -> Result<()> {
    let update = Entity::update_many()
        .col_expr(Column::Status, Expr::value(DEAD))
        .col_expr(Column::LastError, Expr::value(error))
        .col_expr(Column::LockedUntil, Expr::value(None::<DateTime<Utc>>))
        .filter(Column::Id.eq(id));
    update.exec(db).await?;
    Ok(())
}

/// Counts what waits and what was given up.
///
/// # Errors
/// What the database says.
pub async fn counts(db: &impl ConnectionTrait) -> Result<JobCounts> {
    let pending = Entity::find().filter(Column::Status.eq(PENDING)).count(db).await?;
    let dead = Entity::find().filter(Column::Status.eq(DEAD)).count(db).await?;
    let oldest = Entity::find().filter(Column::Status.eq(PENDING)).order_by_asc(Column::CreatedAt).one(db).await?;
    Ok(JobCounts { pending, dead, oldest: oldest.map(|row| row.created_at) })
}

/// A job that was given up.
#[derive(Clone, Debug)]
pub struct DeadJob {
    pub id: JobId,
    pub kind: String,
    pub last_error: String,
    pub created_at: DateTime<Utc>,
}

/// Jobs that were given up, newest first.
///
/// # Errors
/// What the database says.
pub async fn dead(db: &impl ConnectionTrait, limit: u64) -> Result<Vec<DeadJob>> {
    let rows = Entity::find().filter(Column::Status.eq(DEAD)).order_by_desc(Column::CreatedAt).limit(limit).all(db).await?;
    let dead = |row: entity::Model| DeadJob { id: row.id, kind: row.kind, last_error: row.last_error.unwrap_or_default(), created_at: row.created_at };
    Ok(rows.into_iter().map(dead).collect())
}

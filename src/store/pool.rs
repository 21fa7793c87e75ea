//! A pool and its transactions, none of whose calls outlasts a client's patience.
//!
//! `statement_timeout` is the server's own clock: a server that is frozen, or a line that swallows packets, never answers at
//! all. So each call has a deadline here as well. What it leaves behind goes back to the pool, which asks a connection
//! whether it still answers before it lends it again: [`guard`] bounds that question too, or dead lines would fill the pool.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr, SqliteTransactionMode, Statement,
    TransactionOptions, TransactionTrait as _, prelude::async_trait::async_trait,
};
use sqlx::{Connection as _, PgConnection, Postgres, Sqlite, pool::PoolOptions};

use super::literal_limit::literal_limits;
use crate::domain::Result;

/// A connection that nobody used for so long is asked whether it still answers before it is lent.
const ASK_AFTER: Duration = Duration::from_secs(1);
/// How long it has for that: a fresh connection must still be had within the time of one call.
const ANSWER_WITHIN: Duration = Duration::from_millis(500);
/// How long connections are mistrusted, used or not, once a call got no answer.
const DOUBT_FOR: Duration = Duration::from_secs(30);
/// The patience of [`Pool::brief`].
const BRIEF: Duration = Duration::from_millis(200);

/// Until when connections are mistrusted.
#[derive(Clone, Debug)]
pub(super) struct Doubt {
    started: Instant,
    /// Milliseconds after `started`.
    until: Arc<AtomicU64>,
}

impl Doubt {
    pub(super) fn none() -> Self {
        Self { started: Instant::now(), until: Arc::default() }
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn raise(&self) {
        let until = self.millis().saturating_add(u64::try_from(DOUBT_FOR.as_millis()).unwrap_or(u64::MAX));
        self.until.store(until, Ordering::Relaxed);
    }

    fn stands(&self) -> bool {
        self.until.load(Ordering::Relaxed) > self.millis()
    }
}

/// Makes a Postgres pool ask its connections whether they still answer, and never for long.
pub(super) fn guard(pool: PoolOptions<Postgres>, doubt: &Doubt) -> PoolOptions<Postgres> {
    let (before, after) = (doubt.clone(), doubt.clone());
    pool.before_acquire(move |connection, meta| {
        let ask = meta.idle_for >= ASK_AFTER || before.stands();
        Box::pin(async move { if ask { answers(connection).await } else { Ok(true) } })
    })
    .after_release(move |connection, _| {
        let ask = after.stands();
        Box::pin(async move { if ask { answers(connection).await } else { Ok(true) } })
    })
}

/// Throws a SQLite connection away that takes itself to be in a transaction when nobody is.
///
/// On a full disk SQLite may end a transaction by itself. The ROLLBACK that follows then fails, sqlx goes on counting that
/// transaction as open, makes the next one a savepoint in it, and what that one "commits" may never be committed at all.
pub(super) fn guard_sqlite(pool: PoolOptions<Sqlite>) -> PoolOptions<Sqlite> {
    pool.after_release(move |connection, _| {
        Box::pin(async move {
            if !connection.is_in_transaction() {
                return Ok(true);
            }
            // A rollback may still be on its way to the connection's thread, which answers in order.
            connection.ping().await?;
            if connection.is_in_transaction() { Err(sqlx::Error::Protocol("a rollback failed".to_owned())) } else { Ok(true) }
        })
    })
}

/// An error, and not `Ok(false)`: the pool then drops the connection without saying goodbye to whom can't hear it.
async fn answers(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    tokio::time::timeout(ANSWER_WITHIN, connection.ping()).await.map_err(|_| sqlx::Error::PoolTimedOut)??;
    Ok(true)
}

/// A pool of connections.
#[derive(Clone, Debug)]
pub struct Pool {
    inner: DatabaseConnection,
    patience: Duration,
    doubt: Doubt,
    statements: Arc<AtomicU64>,
}

impl Pool {
    pub(super) fn new(inner: DatabaseConnection, patience: Duration, doubt: Doubt) -> Self {
        Self { inner, patience, doubt, statements: Arc::default() }
    }

    /// How many statements went over it, those of its transactions among them.
    #[must_use]
    pub fn statements(&self) -> u64 {
        self.statements.load(Ordering::Relaxed)
    }

    pub(super) fn inner(&self) -> &DatabaseConnection {
        &self.inner
    }

    /// The same pool for work that nobody waits for: a call may take as long as the server lets it.
    #[must_use]
    pub fn patient(&self) -> Self {
        Self { patience: Duration::from_secs(600), ..self.clone() }
    }

    /// The same pool for what is good to have once a call failed: who waits may have waited nearly as long as was promised.
    #[must_use]
    pub fn brief(&self) -> Self {
        Self { patience: BRIEF, ..self.clone() }
    }

    /// How it is used.
    #[must_use]
    pub fn usage(&self) -> PoolUsage {
        match self.inner.get_database_backend() {
            DbBackend::Postgres => usage(self.inner.get_postgres_connection_pool()),
            _ => usage(self.inner.get_sqlite_connection_pool()),
        }
    }

    pub(super) async fn begin(&self) -> Result<Transaction, DbErr> {
        let options = TransactionOptions { sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate), ..TransactionOptions::default() };
        let inner = within(self.patience, &self.doubt, self.inner.begin_with_options(options)).await?;
        Ok(Transaction { inner, patience: self.patience, doubt: self.doubt.clone(), statements: Arc::clone(&self.statements) })
    }

    pub(super) async fn close(&self) -> Result<(), DbErr> {
        within(self.patience, &self.doubt, self.inner.close_by_ref()).await
    }
}

/// Connections of a pool.
#[derive(Clone, Copy, Debug)]
pub struct PoolUsage {
    pub open: usize,
    /// Those of them that nobody uses.
    pub idle: usize,
    pub most: usize,
}

fn usage<D: sqlx::Database>(pool: &sqlx::Pool<D>) -> PoolUsage {
    let size = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
    PoolUsage { open: size(pool.size()), idle: pool.num_idle(), most: size(pool.options().get_max_connections()) }
}

/// A write transaction that is not committed yet; dropped, it is rolled back.
#[derive(Debug)]
pub struct Transaction {
    inner: DatabaseTransaction,
    patience: Duration,
    doubt: Doubt,
    statements: Arc<AtomicU64>,
}

impl Transaction {
    /// Makes it last.
    ///
    /// # Errors
    /// What the database says; after [`crate::domain::Error::Unavailable`] nobody knows whether it lasts.
    pub async fn commit(self) -> Result<()> {
        Ok(within(self.patience, &self.doubt, self.inner.commit()).await?)
    }

    /// Undoes it.
    ///
    /// # Errors
    /// What the database says; it is undone all the same.
    pub async fn rollback(self) -> Result<()> {
        Ok(within(self.patience, &self.doubt, self.inner.rollback()).await?)
    }
}

async fn within<T>(patience: Duration, doubt: &Doubt, call: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
    tokio::time::timeout(patience, call).await.unwrap_or_else(|_| {
        doubt.raise();
        Err(DbErr::Conn(RuntimeErr::Internal("no answer in time".to_owned())))
    })
}

/// The statement as its database likes it best.
fn ready(statement: Statement) -> Statement {
    if statement.db_backend == DbBackend::Sqlite { literal_limits(statement) } else { statement }
}

/// Each call of the inner connection, within its time.
macro_rules! bounded {
    ($type:ty) => {
        #[async_trait]
        impl ConnectionTrait for $type {
            fn get_database_backend(&self) -> DbBackend {
                self.inner.get_database_backend()
            }

            async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
                self.statements.fetch_add(1, Ordering::Relaxed);
                within(self.patience, &self.doubt, self.inner.execute_raw(ready(statement))).await
            }

            async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
                self.statements.fetch_add(1, Ordering::Relaxed);
                within(self.patience, &self.doubt, self.inner.execute_unprepared(sql)).await
            }

            async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
                self.statements.fetch_add(1, Ordering::Relaxed);
                within(self.patience, &self.doubt, self.inner.query_one_raw(ready(statement))).await
            }

            async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
                self.statements.fetch_add(1, Ordering::Relaxed);
                within(self.patience, &self.doubt, self.inner.query_all_raw(ready(statement))).await
            }
        }
    };
}

bounded!(Pool);
bounded!(Transaction);

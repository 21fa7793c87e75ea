//! The bare write transaction: begin, one guarded UPDATE, one INSERT, commit, through sea-orm as the server does it.
//!
//! It is the least that a rotation of refresh tokens must write: spend the old row exactly once, add the new one. Runs
//! in this process, on a database of its own of the same kind and with the same durability as the server's.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use sea_orm::{
    ConnectOptions, ConnectionTrait as _, Database, DatabaseConnection, DbBackend, SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait as _,
    sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous},
};
use tokio::{runtime::Runtime, task::JoinSet};
use uuid::Uuid;

use crate::{Outcome, server};

/// Makes the ids of this run differ.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// A database with one table of spent and unspent rows.
pub(crate) struct Bare {
    runtime: Runtime,
    db: DatabaseConnection,
    // Dropped after the connection, which is declared before them.
    _dir: Option<tempfile::TempDir>,
    _database: Option<server::ScratchDatabase>,
}

impl Bare {
    /// Makes a SQLite database, or one in the given PostgreSQL cluster.
    pub(crate) fn open(cluster: Option<&str>) -> Outcome<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let (mut dir, mut database) = (None, None);
        let mut options = if let Some(cluster) = cluster {
            let made = database.insert(server::ScratchDatabase::create(cluster)?);
            let mut options = ConnectOptions::new(made.url());
            options.max_connections(16);
            options
        } else {
            let made = dir.insert(server::scratch_folder()?);
            let mut options = ConnectOptions::new(format!("sqlite://{}?mode=rwc", made.path().join("bare.sqlite").display()));
            options.map_sqlx_sqlite_opts(|sqlite| {
                sqlite.journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full).foreign_keys(true).busy_timeout(Duration::from_secs(5))
            });
            // SQLite lets one transaction write at a time; a queue before one connection is the fastest way to wait.
            options.max_connections(1);
            options
        };
        options.sqlx_logging(false).test_before_acquire(false).acquire_timeout(Duration::from_secs(30));
        let db = runtime.block_on(Database::connect(options))?;
        let (id, bytes) = if db.get_database_backend() == DbBackend::Postgres { ("uuid", "bytea") } else { ("blob", "blob") };
        runtime.block_on(async {
            db.execute_unprepared(&format!(
                "CREATE TABLE bare (id {id} PRIMARY KEY, family {id} NOT NULL, generation bigint NOT NULL, hash {bytes} NOT NULL, used_at bigint)"
            ))
            .await?;
            db.execute_unprepared("CREATE UNIQUE INDEX bare_family ON bare (family, generation)").await
        })?;
        Ok(Self { runtime, db, _dir: dir, _database: database })
    }

    /// The database's name for the report.
    pub(crate) fn name(&self) -> &'static str {
        if self.db.get_database_backend() == DbBackend::Postgres { "PostgreSQL" } else { "SQLite" }
    }

    /// Transactions a second of `tasks` chains at once, each going from row to row, for `span`.
    pub(crate) fn run(&self, tasks: usize, span: Duration) -> Outcome<f64> {
        self.runtime.block_on(async {
            let mut firsts = Vec::new();
            for _ in 0..tasks {
                let link = Link { id: next_id(), family: next_id(), generation: 0 };
                self.db.execute_raw(link.insert(self.db.get_database_backend())).await?;
                firsts.push(link);
            }
            let started = Instant::now();
            let mut chains = JoinSet::new();
            for link in firsts {
                chains.spawn(chain(self.db.clone(), link, started + span));
            }
            let mut count = 0;
            while let Some(done) = chains.join_next().await {
                count += done??;
            }
            Ok(f64::from(count) / started.elapsed().as_secs_f64())
        })
    }
}

/// One row of a chain.
struct Link {
    id: Uuid,
    family: Uuid,
    generation: i64,
}

impl Link {
    fn spend(&self, backend: DbBackend) -> Statement {
        Statement::from_sql_and_values(backend, "UPDATE bare SET used_at = $1 WHERE id = $2 AND used_at IS NULL", [1_i64.into(), self.id.into()])
    }

    fn insert(&self, backend: DbBackend) -> Statement {
        Statement::from_sql_and_values(
            backend,
            "INSERT INTO bare (id, family, generation, hash) VALUES ($1, $2, $3, $4)",
            [self.id.into(), self.family.into(), self.generation.into(), vec![7_u8; 32].into()],
        )
    }

    fn next(&self) -> Self {
        Self { id: next_id(), family: self.family, generation: self.generation + 1 }
    }
}

async fn chain(db: DatabaseConnection, mut link: Link, until: Instant) -> Outcome<u32> {
    let backend = db.get_database_backend();
    let mut count = 0;
    while Instant::now() < until {
        let immediate = TransactionOptions { sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate), ..TransactionOptions::default() };
        let transaction = db.begin_with_options(immediate).await?;
        if transaction.execute_raw(link.spend(backend)).await?.rows_affected() != 1 {
            return Err("a row of the bare transaction was spent already".into());
        }
        let next = link.next();
        transaction.execute_raw(next.insert(backend)).await?;
        transaction.commit().await?;
        link = next;
        count += 1;
    }
    Ok(count)
}

/// Rising like a UUIDv7, so that indexes grow at their end as the server's do.
fn next_id() -> Uuid {
    Uuid::from_u128(u128::from(NEXT_ID.fetch_add(1, Ordering::Relaxed)) << 64)
}

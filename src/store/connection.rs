//! Connections: one writer and several readers on SQLite, one pool on Postgres.

use std::{path::PathBuf, time::Duration};

use sea_orm::{ConnectOptions, ConnectionTrait as _, Database, DbBackend};
use secrecy::{ExposeSecret as _, SecretString};

use super::pool::{self, Doubt, Pool};
use crate::domain::{Error, Result};

/// Both ways into the database. On Postgres they are the same pool.
#[derive(Clone, Debug)]
pub struct Db {
    pub read: Pool,
    /// On SQLite a pool of one: writers queue here, where waiting is fair and cheap, and not at the file's lock.
    pub write: Pool,
}

/// Where the database is.
#[derive(Clone, Debug)]
pub struct Address {
    /// `sqlite://<path>` or `postgres://…`. Holds a password: never shown.
    pub url: SecretString,
    /// Size of the Postgres pool.
    pub max_connections: u32,
}

const READERS: u32 = 4;
/// How long a request may wait for a connection, and then for an answer over it, before it is told to come back. Clients
/// are promised two seconds.
const PATIENCE: Duration = Duration::from_millis(1_700);
/// The same for SQLite, whose only reason for silence is a disk that takes its time.
const DISK_PATIENCE: Duration = Duration::from_secs(5);
/// When Postgres gives a statement up by itself.
const STATEMENT: Duration = Duration::from_secs(5);

impl Address {
    /// The file of a SQLite database.
    #[must_use]
    pub fn sqlite_path(&self) -> Option<PathBuf> {
        let path = self.url.expose_secret().strip_prefix("sqlite://")?;
        Some(PathBuf::from(path.split_once('?').map_or(path, |(path, _)| path)))
    }

    /// Options for a pool of `size`. Statements are never logged: they may hold addresses.
    pub(super) fn options(&self, size: u32) -> Result<ConnectOptions> {
        let (url, sqlite) = match self.sqlite_path() {
            Some(path) => (format!("sqlite://{}?mode=rwc", path.display()), true),
            None => (self.url.expose_secret().to_owned(), false),
        };
        if !sqlite && !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(Error::Setup("database_url must start with sqlite:// or postgres://".to_owned()));
        }
        let mut options = ConnectOptions::new(url);
        // Nobody asks a connection whether it is still there before each use: SQLite is in this process, and for Postgres
        // `pool::guard` asks when there is reason to.
        options.max_connections(size).acquire_timeout(PATIENCE).connect_timeout(PATIENCE).sqlx_logging(false).test_before_acquire(false);
        if sqlite {
            options.min_connections(1).idle_timeout(None).max_lifetime(None).map_sqlx_sqlite_pool_opts(pool::guard_sqlite).map_sqlx_sqlite_opts(|sqlite| {
                use sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
                sqlite
                    .journal_mode(SqliteJournalMode::Wal)
                    .synchronous(SqliteSynchronous::Full)
                    .foreign_keys(true)
                    .busy_timeout(Duration::from_secs(5))
                    .pragma("cache_size", "-4096")
            });
        } else {
            options.idle_timeout(Duration::from_secs(600)).statement_timeout(STATEMENT).set_application_name("realmgate");
        }
        Ok(options)
    }
}

impl Db {
    /// Connects.
    ///
    /// # Errors
    /// [`Error::Setup`] for an address of no known kind, [`Error::Unavailable`] if nothing answers.
    pub async fn connect(address: &Address) -> Result<Self> {
        if address.sqlite_path().is_some() {
            let write = Database::connect(address.options(1)?).await?;
            let read = Database::connect(address.options(READERS)?).await?;
            let pool = |inner| Pool::new(inner, DISK_PATIENCE, Doubt::none());
            return Ok(Self { read: pool(read), write: pool(write) });
        }
        let doubt = Doubt::none();
        let mut options = address.options(address.max_connections)?;
        options.map_sqlx_postgres_pool_opts({
            let doubt = doubt.clone();
            move |options| pool::guard(options, &doubt)
        });
        let pool = Pool::new(Database::connect(options).await?, PATIENCE, doubt);
        Ok(Self { read: pool.clone(), write: pool })
    }

    /// Whether this is Postgres.
    #[must_use]
    pub fn is_postgres(&self) -> bool {
        self.read.get_database_backend() == DbBackend::Postgres
    }

    /// How each pool is used.
    #[must_use]
    pub fn usage(&self) -> Vec<(&'static str, pool::PoolUsage)> {
        if self.is_postgres() {
            return vec![("all", self.read.usage())];
        }
        vec![("read", self.read.usage()), ("write", self.write.usage())]
    }

    /// How many statements were sent so far.
    #[must_use]
    pub fn statements(&self) -> u64 {
        if self.is_postgres() { self.read.statements() } else { self.read.statements() + self.write.statements() }
    }

    /// Closes all connections, so that SQLite folds its journal into the file.
    ///
    /// # Errors
    /// What the database says.
    pub async fn close(self) -> Result<()> {
        self.read.close().await?;
        self.write.close().await?;
        Ok(())
    }
}

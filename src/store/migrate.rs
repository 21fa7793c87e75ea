//! Bringing the schema up to date, by one node at a time, and never back.

use chrono::{DateTime, Utc};
use migration::{Migrator, MigratorTrait as _, SchemaManager};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement};

use super::connection::{Address, Db};
use crate::domain::{Error, Result};

/// Any number that nobody else locks: the lock of the migrations.
const LOCK: i64 = 0x7265_616c_6d67;
/// Where the steps that were taken are noted.
const TABLE: &str = "seaql_migrations";

/// Whether the schema is that of this version, which at nearly every start it is. Asked over the pool, because a connection of
/// its own would be SQLite's last when it closes: that folds the journal into the file, and the next one begins it anew.
///
/// # Errors
/// As [`migrate`].
pub async fn is_current(db: &Db) -> Result<bool> {
    Ok(missing(db.read.inner()).await?.is_empty())
}

/// Applies what is missing and answers the names of the steps. Each step is one transaction with the note that it was
/// taken, so that a process that dies leaves whole steps and the next one goes on from there.
///
/// On a connection of its own: sea-orm switches foreign keys off and on around SQLite's steps, which must not leak into
/// the pool.
///
/// # Errors
/// [`Error::Setup`] for a schema of a newer version, [`Error::Unavailable`] without a database, [`Error::Internal`] for a
/// step that fails.
pub async fn migrate(address: &Address) -> Result<Vec<String>> {
    let mut options = address.options(1)?;
    options.statement_timeout(std::time::Duration::from_secs(600));
    let connection = Database::connect(options).await?;
    let result = apply(address, &connection).await;
    connection.close().await?;
    result
}

async fn apply(address: &Address, connection: &DatabaseConnection) -> Result<Vec<String>> {
    // The usual start finds nothing to do and takes no lock.
    if missing(connection).await?.is_empty() {
        return Ok(Vec::new());
    }
    // Whoever comes second waits here, and then finds that there is nothing left.
    let held = Lock::take(address, connection).await?;
    let missing = missing(connection).await?;
    let applied = if missing.is_empty() { Ok(()) } else { Migrator::up(connection, None).await };
    held.release(connection).await?;
    applied?;
    Ok(missing)
}

/// The right to migrate. Both kinds end with the process that holds them, however it ends.
enum Lock {
    /// An advisory lock of the connection.
    Postgres,
    /// A lock on a file beside the database: SQLite's own locks are taken and given back by each step.
    Sqlite(std::fs::File),
}

impl Lock {
    async fn take(address: &Address, connection: &DatabaseConnection) -> Result<Self> {
        let Some(path) = address.sqlite_path() else {
            connection.execute_unprepared(&format!("SELECT pg_advisory_lock({LOCK})")).await?;
            return Ok(Self::Postgres);
        };
        let path = path.with_extension("migrate-lock");
        let lock = move || {
            let file = std::fs::File::create(path)?;
            file.lock().map(|()| file)
        };
        let file = tokio::task::spawn_blocking(lock).await.map_err(Error::internal)?;
        file.map(Self::Sqlite).map_err(|cause| Error::Setup(format!("can't lock the database's folder: {cause}; the user that Realmgate runs as must own it")))
    }

    async fn release(self, connection: &DatabaseConnection) -> Result<()> {
        match self {
            Self::Postgres => connection.execute_unprepared(&format!("SELECT pg_advisory_unlock({LOCK})")).await.map(drop)?,
            // Closing the file gives the lock back.
            Self::Sqlite(file) => drop(file),
        }
        Ok(())
    }
}

/// The steps that were not taken yet, in order.
///
/// # Errors
/// [`Error::Setup`] if a step was taken that this version does not know: it would read and write the newer tables wrongly.
async fn missing(connection: &DatabaseConnection) -> Result<Vec<String>> {
    let mut taken = Vec::new();
    if SchemaManager::new(connection).has_table(TABLE).await? {
        let select = Statement::from_string(connection.get_database_backend(), format!("SELECT version FROM {TABLE} ORDER BY version"));
        for row in connection.query_all_raw(select).await? {
            taken.push(row.try_get_by_index::<String>(0)?);
        }
    }
    let known: Vec<String> = Migrator::migrations().iter().map(|step| step.name().to_owned()).collect();
    if let Some(unknown) = taken.iter().rfind(|step| !known.contains(step)) {
        return Err(Error::Setup(format!(
            "the database belongs to a newer version of Realmgate: {} does not know its step {unknown}; start that version or a later one, or restore the \
             backup taken before the upgrade",
            env!("CARGO_PKG_VERSION")
        )));
    }
    Ok(known.into_iter().filter(|step| !taken.contains(step)).collect())
}

/// The steps that [`migrate`] would apply. Changes nothing.
///
/// # Errors
/// As [`migrate`].
pub async fn pending(address: &Address) -> Result<Vec<String>> {
    Ok(inspect(address).await?.pending)
}

/// What a look at the database finds.
#[derive(Clone, Debug)]
pub struct Found {
    /// Steps that were not taken yet.
    pub pending: Vec<String>,
    /// The server's clock, if the database has one of its own.
    pub clock: Option<DateTime<Utc>>,
}

/// Connects and looks. Changes nothing.
///
/// # Errors
/// As [`migrate`].
pub async fn inspect(address: &Address) -> Result<Found> {
    if address.sqlite_path().is_some_and(|path| !path.exists()) {
        let pending = Migrator::migrations().iter().map(|step| step.name().to_owned()).collect();
        return Ok(Found { pending, clock: None });
    }
    let connection = Database::connect(address.options(1)?).await?;
    let found = look(&connection).await;
    connection.close().await?;
    found
}

async fn look(connection: &DatabaseConnection) -> Result<Found> {
    let pending = missing(connection).await?;
    let backend = connection.get_database_backend();
    let clock = match backend {
        DbBackend::Postgres => connection.query_one_raw(Statement::from_string(backend, "SELECT clock_timestamp()")).await?,
        _ => None,
    };
    Ok(Found { pending, clock: clock.map(|row| row.try_get_by_index(0)).transpose()? })
}

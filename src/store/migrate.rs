//! Bringing the schema up to date, by one node at a time.

use migration::{Migrator, MigratorTrait as _};
use sea_orm::{ConnectionTrait as _, Database};

use super::connection::Address;
use crate::domain::{Error, Result};

/// Any number that nobody else locks: the lock of the migrations.
const LOCK: i64 = 0x7265_616c_6d67;

/// Applies what is missing and answers the names of the steps.
///
/// On a connection of its own: sea-orm switches foreign keys off and on around SQLite's steps, which must not leak into
/// the pool. On Postgres an advisory lock lets a second node wait; on SQLite the file's own write lock does.
///
/// # Errors
/// [`Error::Unavailable`] without a database, [`Error::Internal`] for a step that fails.
pub async fn migrate(address: &Address) -> Result<Vec<String>> {
    let mut options = address.options(1)?;
    options.statement_timeout(std::time::Duration::from_secs(600));
    let connection = Database::connect(options).await?;
    let postgres = address.sqlite_path().is_none();
    if postgres {
        connection.execute_unprepared(&format!("SELECT pg_advisory_lock({LOCK})")).await?;
    }
    let result = apply(&connection).await;
    if postgres {
        connection.execute_unprepared(&format!("SELECT pg_advisory_unlock({LOCK})")).await?;
    }
    connection.close().await?;
    result
}

async fn apply(connection: &sea_orm::DatabaseConnection) -> Result<Vec<String>> {
    // Two processes on one SQLite file may both find a step missing; the loser of the race looks again.
    for attempt in 0..5 {
        let pending: Vec<_> = Migrator::get_pending_migrations(connection).await?.iter().map(|step| step.name().to_owned()).collect();
        if pending.is_empty() {
            return Ok(pending);
        }
        match Migrator::up(connection, None).await {
            Ok(()) => return Ok(pending),
            Err(error) if attempt == 4 => return Err(error.into()),
            Err(error) => {
                tracing::warn!(%error, "a migration step failed, looking again");
                tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            }
        }
    }
    Ok(Vec::new())
}

/// The steps that [`migrate`] would apply. Changes nothing.
///
/// # Errors
/// As [`migrate`].
pub async fn pending(address: &Address) -> Result<Vec<String>> {
    if address.sqlite_path().is_some_and(|path| !path.exists()) {
        return Ok(Migrator::migrations().iter().map(|step| step.name().to_owned()).collect());
    }
    let connection = Database::connect(address.options(1)?).await?;
    let status = Migrator::get_migration_with_status_read_only(&connection).await.map_err(Error::from)?;
    connection.close().await?;
    let pending = status.iter().filter(|step| step.status() == sea_orm_migration::MigrationStatus::Pending);
    Ok(pending.map(|step| step.name().to_owned()).collect())
}

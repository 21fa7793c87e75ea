//! Write transactions: immediate on SQLite, READ COMMITTED on Postgres, repeated when the database asks for it.

use sea_orm::{DatabaseTransaction, SqliteTransactionMode, TransactionOptions, TransactionTrait as _};

use super::Db;
use crate::domain::Result;

/// How often a transaction is repeated after a serialization failure.
pub(crate) const REPEATS: u32 = 5;

/// Begins a transaction that may write. On SQLite it takes the write lock at once: a transaction that reads first and
/// writes later can't be cured by waiting once another one has written (`SQLITE_BUSY_SNAPSHOT`).
///
/// # Errors
/// [`crate::domain::Error::Unavailable`] if no connection is to be had in time.
pub async fn begin_write(db: &Db) -> Result<DatabaseTransaction> {
    let options = TransactionOptions { sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate), ..TransactionOptions::default() };
    Ok(db.write.begin_with_options(options).await?)
}

/// Runs a block in one write transaction: `write_tx!(&app.db, |tx| { …; Ok(value) })`.
///
/// `Ok` commits, `Err` rolls back. On a conflict that a repetition cures the whole block runs again, at most
/// `REPEATS` times with growing pauses; the block must therefore have no effect but on the database.
/// A macro, because no closure type can yet say that the future it returns borrows its argument and is `Send`.
macro_rules! write_tx {
    ($db:expr, |$tx:ident| $body:expr) => {{
        let mut repeats: u32 = 0;
        loop {
            let transaction = $crate::store::begin_write($db).await?;
            let result = {
                let $tx = &transaction;
                async { $body }.await
            };
            let result = match result {
                Ok(value) => transaction.commit().await.map(|()| value).map_err($crate::domain::Error::from),
                Err(error) => {
                    // A rollback that fails leaves the connection to the pool, which rolls back or drops it.
                    let _ = transaction.rollback().await;
                    Err(error)
                }
            };
            match result {
                Err($crate::domain::Error::Conflict(_)) if repeats < $crate::store::transaction::REPEATS => {
                    repeats += 1;
                    tokio::time::sleep(std::time::Duration::from_millis(u64::from(repeats * repeats) * 3)).await;
                }
                result => break result,
            }
        }
    }};
}
pub(crate) use write_tx;

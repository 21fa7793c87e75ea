//! Write transactions: immediate on SQLite, READ COMMITTED on Postgres, repeated when the database asks for it.

use std::time::Duration;

use super::{Db, Transaction};
use crate::domain::Result;

/// How often a transaction is repeated after a serialization failure.
pub(crate) const REPEATS: u32 = 5;
/// When it is not repeated any more, because its client was promised an answer.
pub(crate) const REPEAT_WITHIN: Duration = Duration::from_secs(1);

/// Begins a transaction that may write. On SQLite it takes the write lock at once: a transaction that reads first and
/// writes later can't be cured by waiting once another one has written (`SQLITE_BUSY_SNAPSHOT`).
///
/// # Errors
/// [`crate::domain::Error::Unavailable`] if no connection is to be had in time.
pub async fn begin_write(db: &Db) -> Result<Transaction> {
    Ok(db.write.begin().await?)
}

/// Runs a block in one write transaction: `write_tx!(&app.db, |tx| { …; Ok(value) })`.
///
/// `Ok` commits, `Err` rolls back. On a conflict that a repetition cures the whole block runs again, at most
/// `REPEATS` times within `REPEAT_WITHIN`, with growing pauses; the block must therefore have no effect but on the database.
/// A macro, because no closure type can yet say that the future it returns borrows its argument and is `Send`.
macro_rules! write_tx {
    ($db:expr, |$tx:ident| $body:expr) => {{
        let mut repeats: u32 = 0;
        let started = std::time::Instant::now();
        loop {
            let transaction = $crate::store::begin_write($db).await?;
            let result = {
                let $tx = &transaction;
                async { $body }.await
            };
            let result = match result {
                Ok(value) => transaction.commit().await.map(|()| value),
                // Whoever does not answer is not asked again: dropping the transaction leaves the rollback to the pool.
                Err(error @ $crate::domain::Error::Unavailable(_)) => Err(error),
                Err(error) => {
                    // A rollback that fails leaves the connection to the pool, which rolls back or drops it.
                    let _ = transaction.rollback().await;
                    Err(error)
                }
            };
            match result {
                Err($crate::domain::Error::Conflict(_))
                    if repeats < $crate::store::transaction::REPEATS && started.elapsed() < $crate::store::transaction::REPEAT_WITHIN =>
                {
                    repeats += 1;
                    tokio::time::sleep(std::time::Duration::from_millis(u64::from(repeats * repeats) * 3)).await;
                }
                result => break result,
            }
        }
    }};
}
pub(crate) use write_tx;

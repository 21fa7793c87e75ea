//! Whether this node can serve.

use crate::{app::App, domain::Result, limiter::Books, store};

/// What an operator wants to know at a glance.
#[derive(Clone, Copy, Debug)]
pub struct Health {
    /// Jobs waiting for their turn or a repetition.
    pub jobs_pending: u64,
    /// Jobs that were given up and want a look.
    pub jobs_dead: u64,
    /// Seconds that the oldest waiting job waits; 0 if none does.
    pub jobs_oldest: i64,
    /// How limits are counted; [`Books::Share`] wants a look at Redis.
    pub books: Books,
    /// Calls judged without Redis since the start.
    pub judged_alone: u64,
}

/// Asks the database.
///
/// # Errors
/// [`crate::domain::Error::Unavailable`] if it does not answer in time.
pub async fn check(app: &App) -> Result<Health> {
    let counts = store::jobs::counts(&app.db.read).await?;
    let jobs_oldest = counts.oldest.map_or(0, |oldest| (app.clock.now() - oldest).num_seconds().max(0));
    Ok(Health { jobs_pending: counts.pending, jobs_dead: counts.dead, jobs_oldest, books: app.limiter.books(), judged_alone: app.limiter.judged_alone() })
}

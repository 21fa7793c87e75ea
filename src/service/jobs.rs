//! Deferred work: claimed by lease, run at least once, repeated with growing pauses, buried visibly in the end.

use chrono::{DateTime, TimeDelta, Utc};
use tokio::task::JoinSet;

use super::mailer::{self, Undelivered};
use crate::{
    app::App,
    domain::Result,
    store::{self, jobs::ClaimedJob},
};

/// Longer than the slowest mail server is waited for, so that a lease ends only when its holder died.
const LEASE: TimeDelta = TimeDelta::seconds(120);
/// Jobs run side by side, so that one slow server does not hold up the rest.
const AT_ONCE: u64 = 8;
/// Attempts before a job is buried: with the pauses of [`pause`], about three days.
const ATTEMPTS: i32 = 14;

/// Runs what is due and answers how many jobs that was.
///
/// # Errors
/// What the database says; leases then run out and the jobs come back.
pub async fn run_due(app: &std::sync::Arc<App>) -> Result<usize> {
    let claimed = store::jobs::claim(&app.db.write, app.clock.now(), LEASE, AT_ONCE).await?;
    let count = claimed.len();
    let mut running = JoinSet::new();
    for job in claimed {
        let app = std::sync::Arc::clone(app);
        running.spawn(async move { run_one(&app, job).await });
    }
    // One that can't be ticked off does not end the others, whose mails may be halfway out.
    let mut outcome = Ok(count);
    while let Some(ended) = running.join_next().await {
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => outcome = Err(error),
            Err(panic) => tracing::error!(error = %panic, "a job panicked; it will be repeated when its lease ends"),
        }
    }
    outcome
}

async fn run_one(app: &App, claimed: ClaimedJob) -> Result<()> {
    let kind = claimed.job.kind();
    let attempt = claimed.attempts + 1;
    match mailer::run(app, &claimed).await {
        Ok(()) => {
            app.meters.job(kind, "done");
            tracing::debug!(job = %claimed.id, kind, "job done");
            store::jobs::finish(&app.db.write, claimed.id).await
        }
        Err(Undelivered::Temporary(error)) if attempt < ATTEMPTS => {
            let run_at = next_run(app, app.clock.now(), attempt);
            app.meters.job(kind, "retried");
            tracing::warn!(job = %claimed.id, kind, attempt, error, "job failed, will be repeated");
            store::jobs::retry(&app.db.write, claimed.id, attempt, run_at, &error).await
        }
        Err(Undelivered::Temporary(error) | Undelivered::Permanent(error)) => {
            app.meters.job(kind, "given_up");
            tracing::error!(job = %claimed.id, kind, attempt, error, "job given up");
            store::jobs::bury(&app.db.write, claimed.id, &error).await
        }
    }
}

/// The next run after `attempt` failures: 5 s doubled each time up to 12 h, a tenth of it left to chance, so that many
/// jobs that failed together do not come back together.
fn next_run(app: &App, now: DateTime<Utc>, attempt: i32) -> DateTime<Utc> {
    let pause = pause(attempt);
    let mut random = [0; 2];
    app.entropy.fill(&mut random);
    let jitter = pause * i32::from(u16::from_be_bytes(random) % 100) / 1_000;
    now + pause + jitter
}

fn pause(attempt: i32) -> TimeDelta {
    let doubled = 5_i64.saturating_mul(1_i64 << attempt.clamp(1, 14).saturating_sub(1));
    TimeDelta::seconds(doubled.min(12 * 3_600))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_are_bounded() {
        assert_eq!(pause(1), TimeDelta::seconds(5));
        assert_eq!(pause(2), TimeDelta::seconds(10));
        assert_eq!(pause(30), TimeDelta::seconds(40_960));
        assert!((1..40).all(|n| pause(n) <= TimeDelta::hours(12)));
    }
}

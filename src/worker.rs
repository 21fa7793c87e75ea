//! What a node does beside answering: jobs, the change feed, stamps of use, sweeping.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, task::JoinHandle};

use crate::{
    app::App,
    domain::id::NodeId,
    service::{change_feed::Feed, held_tokens, jobs, nodes, sessions, signing, usage},
    store,
};

const LOOK_EVERY: Duration = Duration::from_secs(1);
const FLUSH_EVERY: Duration = Duration::from_secs(60);
const STAMP_EVERY: Duration = Duration::from_secs(10);
const SWEEP_EVERY: Duration = Duration::from_secs(3_600);

/// Runs jobs as they come due, until `stop` turns true. Other nodes' jobs are found by a look every second.
pub fn spawn_jobs(app: &Arc<App>, mut stop: watch::Receiver<bool>) -> JoinHandle<()> {
    let app = Arc::clone(app);
    tokio::spawn(async move {
        while !*stop.borrow() {
            match jobs::run_due(&app).await {
                // A full batch means that more may wait.
                Ok(count) if count > 0 => continue,
                Ok(_) => {}
                Err(error) => tracing::warn!(error = %chain(&error), "jobs can't be looked up"),
            }
            tokio::select! {
                () = app.jobs_due.notified() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
                _ = stop.changed() => {}
            }
        }
    })
}

/// Follows the change feed from `feed`'s place, until `stop` turns true.
pub fn spawn_feed(app: &Arc<App>, mut feed: Feed, mut stop: watch::Receiver<bool>) -> JoinHandle<()> {
    let app = Arc::clone(app);
    // Half the promised second, so that the promise holds with the look itself.
    let every = LOOK_EVERY / 2;
    tokio::spawn(async move {
        while !*stop.borrow() {
            if let Err(error) = feed.poll(&app).await {
                tracing::warn!(error = %chain(&error), "the change feed can't be read");
            }
            tokio::select! {
                () = tokio::time::sleep(every) => {}
                () = app.bell.heard() => {}
                _ = stop.changed() => {}
            }
        }
    })
}

/// Carries word of changes between nodes and says that this one runs, until `stop` turns true.
pub fn spawn_presence(app: &Arc<App>, mut stop: watch::Receiver<bool>) -> JoinHandle<()> {
    let app = Arc::clone(app);
    let id = NodeId::new(app.clock.now(), app.entropy.as_ref());
    tokio::spawn(async move {
        let mut stamp = tokio::time::interval(STAMP_EVERY);
        let mut carry = std::pin::pin!(app.bell.carry());
        loop {
            tokio::select! {
                _ = stamp.tick() => log(nodes::stamp(&app, id).await, "the node's stamp can't be written"),
                () = &mut carry => {}
                _ = stop.changed() => break,
            }
        }
        log(nodes::leave(&app, id).await, "the node's row can't be deleted");
    })
}

/// Writes stamps of use and gives idle memory back every minute, sweeps and rotates signing keys every hour, until `stop` turns true; writes a last time then.
pub fn spawn_housekeeping(app: &Arc<App>, mut stop: watch::Receiver<bool>) -> JoinHandle<()> {
    let app = Arc::clone(app);
    tokio::spawn(async move {
        let mut flush = tokio::time::interval(FLUSH_EVERY);
        let mut sweep = tokio::time::interval(SWEEP_EVERY);
        loop {
            tokio::select! {
                _ = flush.tick() => {
                    log(sessions::flush_uses(&app).await, "stamps of use can't be written");
                    log(usage::flush_last(&app).await, "keys' stamps of use can't be written");
                    app.passwords.trim();
                    app.limiter.trim(app.clock.now());
                }
                _ = sweep.tick() => {
                    log(signing::rotate_due(&app).await.map(drop), "signing keys can't be rotated");
                    log(store::sweep::sweep(&app.db.write.patient(), app.clock.now()).await.map(drop), "the sweep failed");
                }
                _ = stop.changed() => break,
            }
        }
        log(sessions::flush_uses(&app).await, "stamps of use can't be written");
    })
}

/// Writes the uses of opaque tokens before an end that they move is reached, until `stop` turns true. The last ones are
/// written by [`last_words`].
pub fn spawn_renewals(app: &Arc<App>, mut stop: watch::Receiver<bool>) -> JoinHandle<()> {
    let app = Arc::clone(app);
    tokio::spawn(async move {
        while !*stop.borrow() {
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => log(held_tokens::flush_due(&app).await, "uses of tokens can't be written"),
                _ = stop.changed() => {}
            }
        }
    })
}

/// Writes what was counted of keys' uses, until `stop` turns true. The last counts are written by [`last_words`].
pub fn spawn_usage(app: &Arc<App>, mut stop: watch::Receiver<bool>) -> JoinHandle<()> {
    let app = Arc::clone(app);
    let every = Duration::from_secs(app.settings.usage_flush_seconds);
    tokio::spawn(async move {
        while !*stop.borrow() {
            tokio::select! {
                () = tokio::time::sleep(every) => log(usage::flush(&app).await, "counts of use can't be written"),
                _ = stop.changed() => {}
            }
        }
    })
}

/// Writes whatever still is in memory alone, once the last request is answered.
pub async fn last_words(app: &App) {
    log(held_tokens::flush_all(app).await, "uses of tokens can't be written");
    log(sessions::flush_uses(app).await, "stamps of use can't be written");
    log(usage::flush_last(app).await, "keys' stamps of use can't be written");
    log(usage::flush(app).await, "counts of use can't be written");
}

fn log(result: crate::domain::Result<()>, what: &str) {
    if let Err(error) = result {
        tracing::warn!(error = %chain(&error), "{what}");
    }
}

/// An error with its causes, for the log.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

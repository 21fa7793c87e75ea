//! What all cases share: the long or the short form, a seed, the PostgreSQL that may be harmed, and the ledger of secrets.

use std::{
    path::Path,
    sync::Mutex,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{postgres::Cluster, support::Backend};

/// How a case ended, unless it panicked.
pub enum Outcome {
    /// With its figures.
    Passed(Vec<String>),
    /// Not on this machine.
    NotRun(String),
}

pub struct World {
    pub long: bool,
    pub seed: u64,
    /// `None` without PostgreSQL's programs.
    pub cluster: Option<Cluster>,
    random: Mutex<u64>,
}

/// A database for one case, and a folder for its node.
pub struct Place {
    pub backend: Backend,
    pub url: String,
    pub folder: TempDir,
}

pub const KEY: &str = "k1:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";

impl World {
    pub fn new(long: bool, seed: Option<u64>) -> Self {
        let seed = seed.unwrap_or_else(|| {
            let since = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("a clock after 1970");
            since.as_secs() % 1_000_000
        });
        Self { long, seed, cluster: Cluster::start(), random: Mutex::new(seed | 1) }
    }

    /// `short` or, in the long form, `long`.
    pub fn pick<T>(&self, short: T, long: T) -> T {
        if self.long { long } else { short }
    }

    /// A number below `end` (xorshift, so that a seed repeats a run as far as a race can be repeated).
    pub fn below(&self, end: u64) -> u64 {
        let mut state = self.random.lock().expect("no panic");
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state % end
    }

    /// A fresh database of each kind that there is.
    pub async fn places(&self) -> Vec<Place> {
        let mut places = vec![self.sqlite()];
        places.extend(self.postgres().await);
        places
    }

    pub fn sqlite(&self) -> Place {
        let folder = TempDir::new().expect("a temporary folder");
        let url = format!("sqlite://{}", folder.path().join("realmgate.db").display());
        Place { backend: Backend::Sqlite, url, folder }
    }

    pub async fn postgres(&self) -> Option<Place> {
        let url = self.cluster.as_ref()?.fresh().await;
        Some(Place { backend: Backend::Postgres, url, folder: TempDir::new().expect("a temporary folder") })
    }
}

impl Place {
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Looks for the run's secrets in what this place has written down.
    pub fn search(&self, world: &World) {
        let dump = match (self.backend, &world.cluster) {
            (Backend::Postgres, Some(cluster)) => cluster.dump(&self.url),
            _ => ["", "-wal"].iter().flat_map(|end| std::fs::read(self.path().join(format!("realmgate.db{end}"))).unwrap_or_default()).collect(),
        };
        crate::secrets::search(self.path(), &dump);
    }

    /// Plain SQL beside the program; the first column of each row as text.
    pub async fn sql(&self, query: &str) -> Vec<String> {
        crate::postgres::rows(&self.url, query).await
    }
}

/// The value below which `percent` of the sorted measurements lie.
pub fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    let last = times.len().saturating_sub(1);
    times.get((times.len() * percent / 100).min(last)).copied().unwrap_or_default()
}

/// `p50 / p99 / max` in milliseconds.
pub fn spread(times: &mut [Duration]) -> String {
    let of = |times: &mut [Duration], percent| percentile(times, percent).as_millis();
    format!("{} / {} / {} ms", of(times, 50), of(times, 99), of(times, 100))
}

/// Looks every 20 ms until `look` says yes, for `patience` at most; how long that took.
pub async fn until(what: &str, patience: Duration, mut look: impl AsyncFnMut() -> bool) -> Duration {
    let started = Instant::now();
    while !look().await {
        assert!(started.elapsed() < patience, "{what}: not within {patience:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    started.elapsed()
}

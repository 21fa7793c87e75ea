//! The node's counters. The hot path touches a few atomics that exist from the start; nothing is allocated for a request
//! and nothing is named after a person, a realm or an address.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::domain::measure::{Counter, Histogram};

/// Methods that are counted apart; the last stands for all others.
pub const METHODS: [&str; 8] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "_OTHER"];
/// Statuses that are counted apart; 0 stands for all others.
const STATUSES: [u16; 24] = [200, 201, 202, 204, 301, 302, 303, 304, 400, 401, 403, 404, 405, 408, 409, 412, 413, 415, 422, 429, 500, 502, 503, 0];

/// Everything that is counted at one place.
#[derive(Debug, Default)]
pub struct Meters {
    pub traffic: Traffic,
    /// Connections of clients that are open.
    pub connections: AtomicI64,
    jobs: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
}

impl Meters {
    /// Notes what became of an attempt at a job.
    pub fn job(&self, kind: &'static str, outcome: &'static str) {
        *self.jobs.lock().unwrap_or_else(PoisonError::into_inner).entry((kind, outcome)).or_default() += 1;
    }

    /// Attempts at jobs by kind and outcome.
    #[must_use]
    pub fn jobs(&self) -> BTreeMap<(&'static str, &'static str), u64> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Requests by route pattern and method.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Fixed before the first request, so that it is read without a lock. "" is where no route leads.
    routes: OnceLock<HashMap<String, [OnceLock<Box<Series>>; METHODS.len()]>>,
    active: AtomicI64,
}

/// The requests of one route and method.
#[derive(Debug, Default)]
pub struct Series {
    /// How long they took.
    pub took: Histogram,
    statuses: [AtomicU64; STATUSES.len()],
}

/// A request that is being answered; until it is dropped, also when its client went away.
#[derive(Debug)]
pub struct Active<'a>(&'a AtomicI64);

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Traffic {
    /// Says which routes there are; the first word counts.
    pub fn open(&self, patterns: impl Iterator<Item = String>) {
        let routes = patterns.chain([String::new()]).map(|pattern| (pattern, std::array::from_fn(|_| OnceLock::new()))).collect();
        // A second endpoint of one node has the same routes.
        let _ = self.routes.set(routes);
    }

    /// A request has begun.
    pub fn enter(&self) -> Active<'_> {
        self.active.fetch_add(1, Ordering::Relaxed);
        Active(&self.active)
    }

    /// A request was answered.
    pub fn record(&self, pattern: &str, method: &str, status: u16, took: Duration) {
        let Some(routes) = self.routes.get() else { return };
        let Some(methods) = routes.get(pattern).or_else(|| routes.get("")) else { return };
        let method = METHODS.iter().position(|known| *known == method).unwrap_or(METHODS.len() - 1);
        let series = methods[method].get_or_init(Box::default);
        series.took.record(took);
        let status = STATUSES.iter().position(|known| *known == status).unwrap_or(STATUSES.len() - 1);
        series.statuses[status].fetch_add(1, Ordering::Relaxed);
    }

    /// Requests that are being answered.
    #[must_use]
    pub fn active(&self) -> i64 {
        self.active.load(Ordering::Relaxed)
    }

    /// Every route and method that was asked for, in order.
    #[must_use]
    pub fn series(&self) -> Vec<(&str, &'static str, &Series)> {
        let routes = self.routes.get().into_iter().flatten();
        let mut all: Vec<_> = routes
            .flat_map(|(pattern, methods)| {
                METHODS.iter().zip(methods).filter_map(move |(method, series)| Some((pattern.as_str(), *method, series.get()?.as_ref())))
            })
            .collect();
        all.sort_by_key(|(pattern, method, _)| (*pattern, *method));
        all
    }
}

impl Series {
    /// How many were answered with which status; "other" where the status is none of the usual.
    pub fn statuses(&self) -> impl Iterator<Item = (String, u64)> {
        let counts = STATUSES.iter().zip(&self.statuses).map(|(status, count)| (*status, count.load(Ordering::Relaxed)));
        counts.filter(|(_, count)| *count > 0).map(|(status, count)| (if status == 0 { "other".to_owned() } else { status.to_string() }, count))
    }
}

/// How often a cache had what it was asked for.
#[derive(Debug, Default)]
pub struct HitRate {
    pub hits: Counter,
    pub misses: Counter,
}

impl HitRate {
    /// Counts an answer and hands it on.
    pub fn note<T>(&self, found: Option<T>) -> Option<T> {
        if found.is_some() {
            self.hits.add()
        } else {
            self.misses.add()
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_what_is_known_beforehand() {
        let traffic = Traffic::default();
        traffic.record("/a", "GET", 200, Duration::ZERO);
        assert!(traffic.series().is_empty(), "nothing is known yet");
        traffic.open(["/a".to_owned()].into_iter());
        traffic.record("/a", "GET", 200, Duration::ZERO);
        traffic.record("/a", "GET", 418, Duration::ZERO);
        traffic.record("/made/up", "BREW", 404, Duration::ZERO);
        let found: Vec<_> = traffic.series().iter().map(|(pattern, method, series)| (*pattern, *method, series.statuses().collect::<Vec<_>>())).collect();
        let status = |status: &str| (status.to_owned(), 1);
        assert_eq!(found, [("", "_OTHER", vec![status("404")]), ("/a", "GET", vec![status("200"), status("other")])]);
        let active = traffic.enter();
        assert_eq!(traffic.active(), 1);
        drop(active);
        assert_eq!(traffic.active(), 0);
    }
}

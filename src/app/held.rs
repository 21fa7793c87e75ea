//! The node's memory of opaque tokens, and of their uses that are not written yet.
//!
//! A token is found by the hash of its text, and forgotten by its id, as the change feed names it. How it stands with
//! its person is told by their version, which is compared at each use: what ends all tokens of a person need not name any.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI32, AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use moka::sync::Cache as TimedCache;
use quick_cache::sync::Cache;

use crate::{
    domain::{
        held_token::HeldToken,
        id::{HeldTokenId, RealmId},
    },
    store::held_tokens::Use,
};

/// How long a use may wait to be written.
const KEPT: TimeDelta = TimeDelta::seconds(60);
/// How long before a token's end its renewal must be written: several looks of the background task.
pub const AHEAD: TimeDelta = TimeDelta::seconds(5);

/// A token as this node knows it.
#[derive(Debug)]
pub struct Remembered {
    /// The row, as it was read.
    pub token: HeldToken,
    /// The end that the row is known to have at least, in milliseconds since the epoch.
    end: AtomicI64,
    /// The person's version when the row was read: what ends all tokens of a person changes it.
    pub version: AtomicI32,
    /// When a use was last noted, in milliseconds since the epoch.
    noted: AtomicI64,
}

impl Remembered {
    /// What was read, with the version that its person had before.
    #[must_use]
    pub fn new(token: HeldToken, version: i32) -> Self {
        let end = token.expires_at.map_or(i64::MAX, |at| at.timestamp_millis());
        Self { token, end: AtomicI64::new(end), version: AtomicI32::new(version), noted: AtomicI64::new(0) }
    }

    /// Its end, as far as is known.
    #[must_use]
    pub fn end(&self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp_millis(self.end.load(Ordering::Relaxed))
    }

    /// Notes that its row has this end at least.
    pub fn reaches(&self, end: DateTime<Utc>) {
        self.end.fetch_max(end.timestamp_millis(), Ordering::Relaxed);
    }

    /// Whether a use at `now` is worth a note: one a second where uses move the end, else one a minute.
    #[must_use]
    pub fn is_due(&self, now: DateTime<Utc>) -> bool {
        let every = if self.token.auto_renew { 1_000 } else { KEPT.num_milliseconds() };
        let (last, now) = (self.noted.load(Ordering::Relaxed), now.timestamp_millis());
        now - last >= every && self.noted.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

#[derive(Clone, Copy, Debug)]
struct Pending {
    realm: RealmId,
    used: Use,
    due: DateTime<Utc>,
}

/// The memory.
#[derive(Debug)]
pub struct Held {
    shown: Cache<[u8; 32], HeldTokenId>,
    known: Cache<HeldTokenId, Arc<Remembered>>,
    /// Texts that are none, for a while.
    unknown: TimedCache<[u8; 32], ()>,
    /// Grows with each token that is forgotten, so that a slow reader can't put back what was just thrown out.
    turn: AtomicU64,
    pending: Mutex<HashMap<HeldTokenId, Pending>>,
}

impl Default for Held {
    fn default() -> Self {
        Self {
            shown: Cache::new(50_000),
            known: Cache::new(50_000),
            unknown: TimedCache::builder().max_capacity(10_000).time_to_live(Duration::from_secs(60)).build(),
            turn: AtomicU64::new(0),
            pending: Mutex::default(),
        }
    }
}

/// What is known of a text.
#[derive(Debug)]
pub enum Shown {
    /// It is no token.
    Nothing,
    Token(Arc<Remembered>),
    /// The database has to be asked.
    Unknown,
}

impl Held {
    fn lock(&self) -> MutexGuard<'_, HashMap<HeldTokenId, Pending>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of the text with that hash. The caller says whether the change feed was read lately.
    #[must_use]
    pub fn get(&self, hash: &[u8; 32], fresh: bool) -> Shown {
        match self.shown.get(hash) {
            Some(id) if fresh => self.known.get(&id).map_or(Shown::Unknown, Shown::Token),
            Some(_) => Shown::Unknown,
            None if self.unknown.get(hash).is_some() => Shown::Nothing,
            None => Shown::Unknown,
        }
    }

    /// To be taken before a read that is to be remembered.
    #[must_use]
    pub fn turn(&self) -> u64 {
        self.turn.load(Ordering::Acquire)
    }

    /// Remembers what was read.
    pub fn put(&self, since: u64, hash: [u8; 32], token: Option<&Arc<Remembered>>) {
        match token {
            Some(token) if self.turn() == since => {
                self.shown.insert(hash, token.token.id);
                self.known.insert(token.token.id, Arc::clone(token));
            }
            Some(_) => {}
            // No token can be made whose text was shown before.
            None => self.unknown.insert(hash, ()),
        }
    }

    /// Forgets a token, because something about it changed.
    pub fn forget(&self, id: HeldTokenId) {
        self.turn.fetch_add(1, Ordering::AcqRel);
        self.known.remove(&id);
    }

    /// Notes that a token's row has this end at least.
    pub fn renewed(&self, id: HeldTokenId, until: DateTime<Utc>) {
        if let Some(known) = self.known.get(&id) {
            known.reaches(until);
        }
    }

    /// Notes a use that is written later.
    pub fn note(&self, token: &Remembered, now: DateTime<Utc>, until: Option<DateTime<Utc>>) {
        let latest = now + KEPT;
        let due = token.end().filter(|_| until.is_some()).map_or(latest, |end| latest.min(end - AHEAD));
        let mut pending = self.lock();
        let entry = pending.entry(token.token.id).or_insert(Pending { realm: token.token.realm_id, used: Use { first: now, last: now, until }, due });
        entry.used.last = entry.used.last.max(now);
        entry.used.until = entry.used.until.max(until);
        entry.due = entry.due.min(due);
    }

    /// Takes one token's uses that are not written yet.
    #[must_use]
    pub fn take(&self, id: HeldTokenId) -> Option<(RealmId, Use)> {
        self.lock().remove(&id).map(|pending| (pending.realm, pending.used))
    }

    /// Takes the uses that are to be written at `now`, or all.
    #[must_use]
    pub fn take_due(&self, now: Option<DateTime<Utc>>) -> Vec<(RealmId, HeldTokenId, Use)> {
        let mut taken = Vec::new();
        self.lock().retain(|id, pending| {
            let keep = now.is_some_and(|now| pending.due > now);
            if !keep {
                taken.push((pending.realm, *id, pending.used));
            }
            keep
        });
        taken
    }

    /// Gives back a use that could not be written.
    pub fn give_back(&self, realm: RealmId, id: HeldTokenId, used: Use) {
        let mut pending = self.lock();
        let entry = pending.entry(id).or_insert(Pending { realm, used, due: used.last });
        entry.used.first = entry.used.first.min(used.first);
        entry.used.last = entry.used.last.max(used.last);
        entry.used.until = entry.used.until.max(used.until);
    }
}

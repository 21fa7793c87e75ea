//! Counts of keys' uses on their way to the database, and when each key was last used.
//!
//! A use costs one lock that few others want and one map entry. What is taken from here is written in batches; between
//! two batches a node that is killed loses what it counted, and nothing else.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, Utc};

use crate::domain::{
    id::{AccountId, ApiKeyId},
    usage::{Counts, Outcome},
};

/// Enough that the threads of a node rarely meet.
const SHARDS: usize = 16;

/// A key's uses in one hour.
#[derive(Clone, Copy, Debug)]
pub struct Tally {
    pub account: AccountId,
    pub counts: Counts,
}

/// When a key was last used, and from where if that is known.
#[derive(Clone, Copy, Debug)]
pub struct LastUse {
    pub account: AccountId,
    pub at: DateTime<Utc>,
    pub ip: Option<IpAddr>,
}

#[derive(Debug, Default)]
struct Shard {
    /// By key and by hours since the epoch.
    tallies: HashMap<(ApiKeyId, i64), Tally>,
    last: HashMap<ApiKeyId, LastUse>,
}

/// What was counted and is not written yet.
#[derive(Debug, Default)]
pub struct Usage([Mutex<Shard>; SHARDS]);

impl Usage {
    fn shard(&self, key: ApiKeyId) -> MutexGuard<'_, Shard> {
        // The last byte of an id is random.
        let at = usize::from(key.0.as_bytes()[15]) % SHARDS;
        self.0[at].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one use.
    pub fn note(&self, account: AccountId, key: ApiKeyId, outcome: Outcome, ip: Option<IpAddr>, now: DateTime<Utc>) {
        let hour = now.timestamp().div_euclid(3_600);
        let mut shard = self.shard(key);
        shard.tallies.entry((key, hour)).or_insert_with(|| Tally { account, counts: Counts::default() }).counts.add(outcome, 1);
        if outcome == Outcome::Valid {
            shard.last.insert(key, LastUse { account, at: now, ip });
        }
    }

    /// A key's last use, if it is not written yet.
    #[must_use]
    pub fn last(&self, key: ApiKeyId) -> Option<LastUse> {
        self.shard(key).last.get(&key).copied()
    }

    /// Takes all counts.
    #[must_use]
    pub fn take_tallies(&self) -> Vec<(ApiKeyId, i64, Tally)> {
        let take = |shard: &Mutex<Shard>| std::mem::take(&mut shard.lock().unwrap_or_else(PoisonError::into_inner).tallies);
        self.0.iter().flat_map(take).map(|((key, hour), tally)| (key, hour, tally)).collect()
    }

    /// Gives counts back that could not be written.
    pub fn return_tallies(&self, tallies: &[(ApiKeyId, i64, Tally)]) {
        for (key, hour, tally) in tallies {
            let mut shard = self.shard(*key);
            let own = shard.tallies.entry((*key, *hour)).or_insert_with(|| Tally { account: tally.account, counts: Counts::default() });
            Outcome::ALL.into_iter().for_each(|outcome| own.counts.add(outcome, tally.counts.get(outcome)));
        }
    }

    /// Takes all stamps of last use.
    #[must_use]
    pub fn take_last(&self) -> Vec<(ApiKeyId, LastUse)> {
        let take = |shard: &Mutex<Shard>| std::mem::take(&mut shard.lock().unwrap_or_else(PoisonError::into_inner).last);
        self.0.iter().flat_map(take).collect()
    }

    /// Gives stamps back that could not be written; a newer one stays.
    pub fn return_last(&self, stamps: &[(ApiKeyId, LastUse)]) {
        for (key, stamp) in stamps {
            self.shard(*key).last.entry(*key).or_insert(*stamp);
        }
    }
}

//! The books in this process: a bounded number of buckets in locked shards. Counting a known key takes one lock, one
//! look-up and no allocation.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasher as _, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, Utc};

use super::{SLOTS, slot_length};
use crate::domain::limit::{Ask, Key, Standing};

const SHARDS: usize = 64;
/// Buckets of all shards together. With one call each they take about 25 MiB.
pub const MOST_BUCKETS: usize = SHARDS * PER_SHARD;
const PER_SHARD: usize = 2_048;
/// How many buckets are looked at to find one that may go.
const LOOKED_AT: usize = 32;

/// The books.
#[derive(Debug)]
pub struct Memory {
    hasher: RandomState,
    shards: Vec<Mutex<Shard>>,
}

#[derive(Debug, Default)]
struct Shard {
    buckets: HashMap<Key, Bucket>,
    /// The second of the last search for idle buckets, so that a full shard is not searched at every newcomer.
    swept_at: i64,
}

/// What a key has used: units by slot, oldest first, at most one entry a slot.
#[derive(Debug, Default)]
struct Bucket {
    slots: VecDeque<(u64, u32)>,
    used: u64,
    /// The limit it was last asked against: how hot it is shows in proportion.
    limit: u32,
}

impl Bucket {
    /// Forgets what no longer counts at `slot`. If the clock went back, everything counts from now on anew: longer than
    /// it has to, and not until the clock is where it was.
    fn turn(&mut self, slot: u64) {
        if self.slots.back().is_some_and(|(newest, _)| *newest > slot) {
            self.slots.clear();
            self.slots.push_back((slot, u32::try_from(self.used).unwrap_or(u32::MAX)));
        }
        while let Some((oldest, units)) = self.slots.front().copied()
            && oldest + SLOTS < slot
        {
            self.used -= u64::from(units);
            self.slots.pop_front();
        }
    }

    /// Whether there are `cost` units, which are then counted if `count` says so.
    fn judge(&mut self, ask: Ask, cost: u32, moment: Moment, count: bool) -> Standing {
        self.turn(moment.slot);
        self.limit = ask.limit;
        let limit = u64::from(ask.limit);
        let admitted = cost == 0 || self.used + u64::from(cost) <= limit;
        if admitted && count && cost > 0 {
            self.count(moment.slot, cost);
        }
        // What could never be admitted is refused for a whole window at a time.
        let free_at = self.free_at(ask.limit, (!admitted).then_some(cost)).unwrap_or(if admitted { 0 } else { moment.slot + SLOTS + 1 });
        Standing {
            rule: ask.key.rule,
            limit: ask.limit,
            remaining: u32::try_from(limit.saturating_sub(self.used)).unwrap_or(u32::MAX),
            free_in: (free_at * moment.length).saturating_sub(moment.millis),
            admitted,
        }
    }

    fn count(&mut self, slot: u64, cost: u32) {
        self.used += u64::from(cost);
        match self.slots.back_mut() {
            Some((newest, units)) if *newest == slot => *units += cost,
            _ => self.slots.push_back((slot, cost)),
        }
    }

    /// Takes back what was counted in `slot` a moment ago.
    fn uncount(&mut self, slot: u64, cost: u32) {
        if let Some((_, units)) = self.slots.iter_mut().rev().find(|(at, units)| *at == slot && *units >= cost) {
            *units -= cost;
            self.used -= u64::from(cost);
        }
    }

    /// When something is free again: see [`Standing::free_in`].
    fn free_at(&self, limit: u32, wanted: Option<u32>) -> Option<u64> {
        let Some(wanted) = wanted else { return self.slots.front().map(|(slot, _)| slot + SLOTS + 1) };
        let mut used = self.used;
        let mut last = None;
        for (slot, units) in &self.slots {
            used -= u64::from(*units);
            last = Some(slot + SLOTS + 1);
            if used + u64::from(wanted) <= u64::from(limit) {
                break;
            }
        }
        last
    }

    /// Whether it may make room for another: idle, or with less than half of its limit used.
    fn is_cold(&self) -> bool {
        self.used * 2 < u64::from(self.limit) || self.used == 0
    }
}

/// A moment as the books see it.
#[derive(Clone, Copy)]
struct Moment {
    millis: u64,
    slot: u64,
    length: u64,
}

impl Moment {
    fn of(key: Key, now: DateTime<Utc>) -> Self {
        let millis = u64::try_from(now.timestamp_millis()).unwrap_or_default();
        let length = slot_length(key.rule.window());
        Self { millis, slot: millis / length, length }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self { hasher: RandomState::new(), shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }
}

impl Memory {
    fn shard(&self, key: Key) -> MutexGuard<'_, Shard> {
        // The upper half of the hash: the map inside uses another hasher, but nothing says that it always will.
        let index = usize::try_from(self.hasher.hash_one(key) >> 32).unwrap_or_default() % SHARDS;
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// See [`super::Limiter::take`].
    pub fn take<const N: usize>(&self, asks: &[Ask; N], cost: u32, now: DateTime<Utc>) -> [Standing; N] {
        if let [ask] = asks.as_slice() {
            // One key has no others to wait for.
            return std::array::from_fn(|_| self.judge(*ask, cost, now, cost > 0));
        }
        let mut standings = self.would_take(asks, cost, now);
        if cost == 0 || standings.iter().any(|standing| !standing.admitted) {
            return standings;
        }
        for index in 0..N {
            standings[index] = self.judge(asks[index], cost, now, true);
            if !standings[index].admitted {
                // Another call came between: what was taken for this one goes back.
                for earlier in 0..index {
                    self.give_back(asks[earlier], cost, now);
                    standings[earlier].remaining += cost;
                }
                break;
            }
        }
        standings
    }

    /// What [`Memory::take`] would answer, without taking anything.
    pub(super) fn would_take<const N: usize>(&self, asks: &[Ask; N], cost: u32, now: DateTime<Utc>) -> [Standing; N] {
        asks.map(|ask| self.judge(ask, cost, now, false))
    }

    /// Counts what another back end has admitted.
    pub(super) fn note<const N: usize>(&self, asks: &[Ask; N], cost: u32, now: DateTime<Utc>) {
        for ask in asks {
            let mut shard = self.shard(ask.key);
            if shard.buckets.contains_key(&ask.key) || shard.has_room(now) {
                let slot = Moment::of(ask.key, now).slot;
                let bucket = shard.buckets.entry(ask.key).or_default();
                bucket.turn(slot);
                bucket.limit = ask.limit;
                bucket.count(slot, cost);
            }
        }
    }

    fn judge(&self, ask: Ask, cost: u32, now: DateTime<Utc>, count: bool) -> Standing {
        let moment = Moment::of(ask.key, now);
        let mut shard = self.shard(ask.key);
        if let Some(bucket) = shard.buckets.get_mut(&ask.key) {
            return bucket.judge(ask, cost, moment, count);
        }
        if !count || cost > ask.limit {
            return Bucket::default().judge(ask, cost, moment, false);
        }
        if !shard.has_room(now) {
            // Every bucket is hot: a newcomer has to wait for one that is not.
            return Standing { rule: ask.key.rule, limit: ask.limit, remaining: 0, free_in: moment.length, admitted: false };
        }
        shard.buckets.entry(ask.key).or_default().judge(ask, cost, moment, true)
    }

    fn give_back(&self, ask: Ask, cost: u32, now: DateTime<Utc>) {
        if let Some(bucket) = self.shard(ask.key).buckets.get_mut(&ask.key) {
            bucket.uncount(Moment::of(ask.key, now).slot, cost);
        }
    }

    /// How many buckets there are.
    #[must_use]
    pub fn buckets(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).buckets.len()).sum()
    }

    /// Gives memory of idle keys back.
    pub fn trim(&self, now: DateTime<Utc>) {
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.drop_idle(now);
            shard.buckets.shrink_to_fit();
        }
    }
}

impl Shard {
    fn drop_idle(&mut self, now: DateTime<Utc>) {
        self.buckets.retain(|key, bucket| {
            bucket.turn(Moment::of(*key, now).slot);
            bucket.used > 0
        });
    }

    /// Makes room for one more bucket. Idle ones go first, then the one of a handful that has used the least: a key that
    /// comes close to its limit is never forgotten, however many strangers come by.
    fn has_room(&mut self, now: DateTime<Utc>) -> bool {
        if self.buckets.len() < PER_SHARD {
            return true;
        }
        if self.swept_at != now.timestamp() {
            self.swept_at = now.timestamp();
            self.drop_idle(now);
            if self.buckets.len() < PER_SHARD {
                return true;
            }
        }
        let coldest = self.buckets.iter().take(LOOKED_AT).filter(|(_, bucket)| bucket.is_cold()).min_by_key(|(_, bucket)| bucket.used);
        let coldest = coldest.or_else(|| self.buckets.iter().find(|(_, bucket)| bucket.is_cold())).map(|(key, _)| *key);
        coldest.is_some_and(|key| self.buckets.remove(&key).is_some())
    }
}

//! The books in Redis, for all nodes together: one scripted call a question, by Redis' own clock.
//!
//! Beside it each node keeps books of what it has admitted itself. They spare Redis the calls of a key whose limit one
//! node alone has used up, keep a node under the limit if Redis forgets, and judge by the node's share (limit ÷ nodes)
//! while Redis does not answer: never open, and never closed for all.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use redis::{
    Client, Cmd, ErrorKind, IntoConnectionInfo as _, RedisError, Script, ServerErrorKind,
    aio::{ConnectionManager, ConnectionManagerConfig},
};

use super::{Memory, SLOTS, slot_length};
use crate::domain::{
    Error, Result,
    clock::Clock,
    limit::{Ask, Key, Standing},
};

/// How long Redis may take before a call is judged without it.
const PATIENCE: Duration = Duration::from_millis(500);
/// An answer that takes longer is slow, and a Redis that was nothing but slow for [`SLOW_FOR`] is as good as gone.
const SLOW: Duration = Duration::from_millis(100);
const SLOW_FOR: Duration = Duration::from_secs(5);
const CONNECT_PATIENCE: Duration = Duration::from_secs(1);
/// How often a Redis that does not answer is asked again.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The books.
pub struct Shared {
    own: Memory,
    redis: Arc<Redis>,
    nodes: AtomicU32,
    judged_alone: AtomicU64,
}

struct Redis {
    connection: ConnectionManager,
    script: Script,
    prefix: String,
    up: AtomicBool,
    started: Instant,
    /// Milliseconds after `started` of the first slow answer since the last quick one; 0 if there was none.
    slow_since: AtomicU64,
    /// Tests' clock; in its absence Redis' own.
    clock: Option<Arc<dyn Clock>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("up", &self.is_up()).field("nodes", &self.nodes).finish_non_exhaustive()
    }
}

/// A client of the Redis at `url`.
///
/// # Errors
/// [`Error::Setup`] for an address that can't be one; the text does not show it.
pub(crate) fn client(url: &str) -> Result<Client> {
    let wrong =
        |_: RedisError| Error::Setup("the setting `redis_url` must be an address such as redis://localhost:6379 or rediss://user:password@host".to_owned());
    Client::open(url.into_connection_info().map_err(wrong)?).map_err(wrong)
}

/// Asks the Redis at `url` for a sign of life.
///
/// # Errors
/// [`Error::Setup`] that says how far it got, without the address.
pub async fn probe(url: &str) -> Result<()> {
    let client = client(url)?;
    let exchange = async {
        let mut connection = client.get_multiplexed_async_connection().await?;
        redis::cmd("PING").exec_async(&mut connection).await
    };
    match tokio::time::timeout(CONNECT_PATIENCE, exchange).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Error::Setup(format!("no answer: {}", error.category()))),
        Err(_) => Err(Error::Setup("no answer in time".to_owned())),
    }
}

impl Shared {
    /// Books in the Redis at `url` under names that start with `prefix`. Connects when first asked, so that a node
    /// starts without Redis as well. `clock` replaces Redis' own, for tests that move the time.
    ///
    /// # Errors
    /// [`Error::Setup`] for an address that can't be one.
    pub fn new(url: &str, prefix: &str, clock: Option<Arc<dyn Clock>>) -> Result<Self> {
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(CONNECT_PATIENCE))
            .set_response_timeout(Some(PATIENCE))
            .set_number_of_retries(0)
            .set_max_delay(LOOK_EVERY);
        let connection =
            ConnectionManager::new_lazy_with_config(client(url)?, config).map_err(|_| Error::Setup("the setting `redis_url` can't be used".to_owned()))?;
        let script = Script::new(include_str!("take.lua"));
        let redis = Arc::new(Redis {
            connection,
            script,
            prefix: prefix.to_owned(),
            up: AtomicBool::new(true),
            started: Instant::now(),
            slow_since: AtomicU64::new(0),
            clock,
        });
        Ok(Self { own: Memory::default(), redis, nodes: AtomicU32::new(1), judged_alone: AtomicU64::new(0) })
    }

    /// Whether Redis answered when it was last asked.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.redis.up.load(Ordering::Relaxed)
    }

    pub(super) fn judged_alone(&self) -> u64 {
        self.judged_alone.load(Ordering::Relaxed)
    }

    pub(super) fn set_nodes(&self, nodes: u32) {
        self.nodes.store(nodes.max(1), Ordering::Relaxed);
    }

    pub(super) fn trim(&self, now: DateTime<Utc>) {
        self.own.trim(now);
    }

    /// See [`super::Limiter::take`].
    pub async fn take<const N: usize>(&self, asks: &[Ask; N], cost: u32, now: DateTime<Utc>) -> [Standing; N] {
        let own = self.own.would_take(asks, cost, now);
        if own.iter().any(|standing| !standing.admitted) {
            // This node alone has used it up: there is nothing to ask.
            return own;
        }
        if self.is_up() {
            let asked = Instant::now();
            match tokio::time::timeout(PATIENCE, self.redis.take(asks, cost)).await {
                Ok(Ok(standings)) => {
                    self.redis.answered_after(asked.elapsed());
                    if cost > 0 && standings.iter().all(|standing| standing.admitted) {
                        self.own.note(asks, cost, now);
                    }
                    return standings;
                }
                Ok(Err(error)) => self.redis.lost(error.kind()),
                Err(_) => self.redis.lost("no answer in time"),
            }
        }
        self.judged_alone.fetch_add(1, Ordering::Relaxed);
        let nodes = self.nodes.load(Ordering::Relaxed);
        let share = asks.map(|ask| Ask { limit: ask.limit.div_ceil(nodes), ..ask });
        let mut standings = self.own.take(&share, cost, now);
        for (standing, ask) in standings.iter_mut().zip(asks) {
            standing.limit = ask.limit;
        }
        standings
    }
}

impl Redis {
    async fn take<const N: usize>(&self, asks: &[Ask; N], cost: u32) -> Result<[Standing; N], RedisError> {
        // Written as one command: the library's own way to call a script allocates for every argument.
        let mut call = Cmd::with_capacity(6 + 3 * N, 96 + 96 * N);
        call.arg("EVALSHA").arg(self.script.get_hash()).arg(N);
        for ask in asks {
            call.arg(self.name(ask.key));
        }
        match &self.clock {
            Some(clock) => call.arg(clock.now().timestamp_millis()),
            None => call.arg(""),
        };
        call.arg(cost).arg(SLOTS);
        for ask in asks {
            call.arg(ask.limit).arg(slot_length(ask.key.rule.window()));
        }
        let mut connection = self.connection.clone();
        let answer: Vec<u64> = match call.query_async(&mut connection).await {
            // A Redis that was started anew, or emptied.
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.script.load_async(&mut connection).await?;
                call.query_async(&mut connection).await?
            }
            answer => answer?,
        };
        let mut rows = answer.chunks_exact(3);
        Ok(asks.map(|ask| {
            // A script that answers less than it was asked is none of ours; nothing is admitted by it.
            let row = rows.next().unwrap_or(&[0, 0, 1_000]);
            let remaining = u32::try_from(row[1]).unwrap_or(u32::MAX);
            Standing { rule: ask.key.rule, limit: ask.limit, remaining, free_in: row[2], admitted: row[0] == 1 }
        }))
    }

    /// `<prefix>:limit:<rule>:<subject in hex>`.
    fn name(&self, key: Key) -> String {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let rule = key.rule.as_str();
        let mut name = String::with_capacity(self.prefix.len() + rule.len() + 40);
        for part in [self.prefix.as_str(), ":limit:", rule, ":"] {
            name.push_str(part);
        }
        for byte in key.subject {
            name.push(char::from(DIGITS[usize::from(byte >> 4)]));
            name.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
        name
    }

    fn answered_after(self: &Arc<Self>, took: Duration) {
        if took < SLOW {
            self.slow_since.store(0, Ordering::Relaxed);
            return;
        }
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
        match self.slow_since.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed) {
            Err(since) if u128::from(now - since.min(now)) >= SLOW_FOR.as_millis() => self.lost("every answer is slow"),
            _ => {}
        }
    }

    /// Judges without Redis from now on, and looks after it in the background: requests never wait for its return.
    fn lost(self: &Arc<Self>, why: impl std::fmt::Debug) {
        if !self.up.swap(false, Ordering::Relaxed) {
            return;
        }
        tracing::warn!(?why, "Redis does not answer: this node admits its share of each limit");
        let redis = Arc::clone(self);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(LOOK_EVERY).await;
                let mut connection = redis.connection.clone();
                let ping = redis::cmd("PING");
                // An answer that comes late is no answer: the next request would wait for it as well.
                let answer = tokio::time::timeout(SLOW, ping.query_async::<String>(&mut connection)).await;
                if matches!(answer, Ok(Ok(_))) {
                    break;
                }
                // The last handle but this one is gone: so is the node.
                if Arc::strong_count(&redis) == 1 {
                    return;
                }
            }
            redis.slow_since.store(0, Ordering::Relaxed);
            redis.up.store(true, Ordering::Relaxed);
            tracing::info!("Redis answers again: limits are counted together");
        });
    }
}

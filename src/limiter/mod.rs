//! Counts units against limits: never more than the limit in *any* span of a rule's window, on one node or on all.
//!
//! A window is cut into [`SLOTS`] slots, and a unit counts until the window's worth of slots *after* its own has passed:
//! at least the window, at most a slot longer. So the sum of what counts is never less than what any span of a window
//! holds, which makes the promise exact; what that costs is a sixtieth of the rate. (A token bucket admits nearly twice
//! the limit in a span, a weighted counter of two windows a few units more.)
//!
//! Two back ends, [`memory`] and [`shared`] (Redis), keep the same books; tests run on both. Which limit a caller has is
//! `service::limits`' business.

pub mod memory;
pub mod shared;

use chrono::{DateTime, Utc};

pub use memory::Memory;
pub use shared::Shared;

use crate::domain::limit::{Ask, Standing};

/// Slots in a window. The slot that is being filled counts beside them.
pub const SLOTS: u64 = 60;

/// Milliseconds of one slot of a window of `seconds`, rounded up: a unit must never count for less than the window.
fn slot_length(seconds: u32) -> u64 {
    (u64::from(seconds) * 1_000).div_ceil(SLOTS)
}

/// Where the books are kept.
#[derive(Debug)]
pub enum Limiter {
    /// In this process: right for one node.
    Memory(Memory),
    /// In Redis, together with all other nodes.
    Shared(Shared),
}

/// How the books are kept at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Books {
    /// In this process, by choice.
    Memory,
    /// Together with all other nodes.
    Shared,
    /// Redis does not answer: this node admits its share of each limit.
    Share,
}

impl Books {
    /// The public word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Shared => "shared",
            Self::Share => "node_share",
        }
    }
}

impl Limiter {
    /// Takes `cost` units of every key, if all have them; else none of any.
    ///
    /// Each standing says whether its own key had the units.
    pub async fn take<const N: usize>(&self, asks: &[Ask; N], cost: u32, now: DateTime<Utc>) -> [Standing; N] {
        match self {
            Self::Memory(memory) => memory.take(asks, cost, now),
            // Boxed: without Redis nobody should carry a future of its size.
            Self::Shared(shared) => Box::pin(shared.take(asks, cost, now)).await,
        }
    }

    /// How keys stand, without taking anything.
    pub async fn look<const N: usize>(&self, asks: &[Ask; N], now: DateTime<Utc>) -> [Standing; N] {
        self.take(asks, 0, now).await
    }

    /// How the books are kept.
    #[must_use]
    pub fn books(&self) -> Books {
        match self {
            Self::Memory(_) => Books::Memory,
            Self::Shared(shared) if shared.is_up() => Books::Shared,
            Self::Shared(_) => Books::Share,
        }
    }

    /// How many calls were judged by this node's share because Redis did not answer.
    #[must_use]
    pub fn judged_alone(&self) -> u64 {
        match self {
            Self::Memory(_) => 0,
            Self::Shared(shared) => shared.judged_alone(),
        }
    }

    /// Notes how many nodes share the limits.
    pub fn set_nodes(&self, nodes: u32) {
        if let Self::Shared(shared) = self {
            shared.set_nodes(nodes);
        }
    }

    /// Gives memory of idle keys back.
    pub fn trim(&self, now: DateTime<Utc>) {
        match self {
            Self::Memory(memory) => memory.trim(now),
            Self::Shared(shared) => shared.trim(now),
        }
    }
}

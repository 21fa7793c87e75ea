//! How many wrong passwords are too many (security decision D9): rules alone, no state.
//!
//! Nobody is ever locked out by a stranger. A place that guesses is slowed down for the one account that it guesses at; an
//! account that very many places guess at asks unknown devices for a mailed link, while known ones notice nothing.

use std::net::IpAddr;

use chrono::TimeDelta;

use super::id::{DeviceId, SessionId};

/// Guesses of one place before it must pause.
pub const FREE: i32 = 5;
/// Wrong guesses at one account, of all places together, before unknown devices need a mailed link (NIST SP 800-63B-4
/// section 3.2.2 allows 100).
pub const ACCOUNT_LIMIT: i32 = 100;
/// Longest pause.
const LONGEST: TimeDelta = TimeDelta::minutes(15);

/// How long a place must pause after its `guesses`th wrong password: nothing, then 2 s, doubled each time up to 15 minutes.
#[must_use]
pub fn pause(guesses: i32) -> TimeDelta {
    if guesses < FREE {
        return TimeDelta::zero();
    }
    let doublings = u32::try_from(guesses - FREE).unwrap_or_default().min(20);
    TimeDelta::seconds(2_i64 << doublings).min(LONGEST)
}

/// The count from which on [`pause`] grows no more.
pub const LONGEST_FROM: i32 = FREE + 9;

/// Where a guess comes from. A session or a known device is counted by itself, so that others at its address don't slow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A person who is signed in and shows their password once more.
    Session(SessionId),
    /// A device that this account knows.
    Device(DeviceId),
    /// Anybody at that address.
    Network(IpAddr),
}

impl Place {
    /// The stored word. IPv6 addresses count by their /64: one household has that many of them.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::Session(id) => format!("session {id}"),
            Self::Device(id) => format!("device {id}"),
            Self::Network(ip) => format!("network {}", network(*ip)),
        }
    }

    /// Whether the account has reason to trust it.
    #[must_use]
    pub fn is_known(&self) -> bool {
        !matches!(self, Self::Network(_))
    }
}

/// The network that an address stands for where clients are counted.
#[must_use]
pub fn network(ip: IpAddr) -> String {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_begin_late_double_and_end_at_a_quarter_of_an_hour() {
        let seconds: Vec<_> = (1..=16).map(|guesses| pause(guesses).num_seconds()).collect();
        assert_eq!(seconds, [0, 0, 0, 0, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]);
        assert_eq!((pause(i32::MAX), pause(LONGEST_FROM)), (LONGEST, LONGEST));
        assert!(pause(LONGEST_FROM - 1) < LONGEST);
    }

    #[test]
    fn addresses_of_one_network_are_one_place() {
        let key = |ip: &str| Place::Network(ip.parse().unwrap()).key();
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_eq!(key("::ffff:203.0.113.7"), key("203.0.113.7"));
        assert_ne!(key("203.0.113.7"), key("203.0.113.8"));
    }
}

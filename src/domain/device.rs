//! The thing a person signs in with: what they would call it, and how long it stays known.

use std::net::IpAddr;

use chrono::TimeDelta;

/// A device that nobody signed in with for so long is a stranger again.
pub const KNOWN_FOR: TimeDelta = TimeDelta::days(180);
/// Known devices a user may have; one more takes the place of the one that was not used for longest.
pub const KNOWN_AT_MOST: u64 = 20;

/// A short name for a `User-Agent`: `Firefox on Linux`, `curl`, or `Unknown device`.
#[must_use]
pub fn name(user_agent: &str) -> String {
    let plain: String = user_agent.chars().filter(|c| !c.is_control()).take(512).collect();
    if let Some(found) = woothee::parser::Parser::new().parse(&plain)
        && found.name != "UNKNOWN"
        && found.category != "crawler"
        && found.os != "UNKNOWN"
    {
        return format!("{} on {}", found.name, found.os);
    }
    // Programs call themselves `name/version`.
    let product = plain.split([' ', '/', '(']).find(|word| !word.is_empty()).unwrap_or_default();
    if product.is_empty() { "Unknown device".to_owned() } else { product.chars().take(80).collect() }
}

/// The part of an address that stays when its holder gets another one: a place as far as notices go.
#[must_use]
pub fn network(ip: IpAddr) -> String {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(ip) => {
            let [a, b, c, ..] = ip.segments();
            format!("{a:x}:{b:x}:{c:x}::/48")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{name, network};

    #[test]
    fn browsers_and_programs_have_names() {
        assert_eq!(name("Mozilla/5.0 (X11; Linux x86_64; rv:142.0) Gecko/20100101 Firefox/142.0"), "Firefox on Linux");
        assert_eq!(name("curl/8.1.2"), "curl");
        assert_eq!(name(""), "Unknown device");
        assert_eq!(name("a\r\nb"), "ab");
        assert!(name(&"x".repeat(5_000)).len() <= 80);
    }

    #[test]
    fn neighbours_are_one_place() {
        let place = |ip: &str| network(ip.parse().unwrap());
        assert_eq!(place("203.0.113.7"), place("::ffff:203.0.113.200"));
        assert_ne!(place("203.0.113.7"), place("203.0.112.7"));
        assert_eq!(place("2001:db8:1:2::1"), place("2001:db8:1:3::1"));
        assert_ne!(place("2001:db8:1::1"), place("2001:db8:2::1"));
    }
}

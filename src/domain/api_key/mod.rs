//! API keys: an account's own credentials for programs. Their spelling stands in `format.rs`.

mod format;

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use ipnet::IpNet;

pub use format::{FormatFault, KeyText};

use super::{
    Error, FieldError, Result,
    id::{AccountId, ApiKeyId, RealmId, UserId},
};

/// Most entries of a key's list of addresses.
const MOST_NETWORKS: usize = 50;

/// Whether a key is good at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyStatus {
    Active,
    /// Past its own end, or the end of its overlap after a rotation.
    Expired,
    /// Ended by its account, by a rotation without overlap, or because it leaked.
    Revoked,
}

impl KeyStatus {
    /// The public word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

/// What a key's owner decides about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySettings {
    pub name: String,
    pub scopes: Vec<String>,
    pub expires_at: Option<DateTime<Utc>>,
    /// Networks that it may be used from; empty means any.
    pub ip_allowlist: Vec<IpNet>,
    /// Requests per minute, if fewer than its account's plan allows.
    pub rate_limit: Option<i32>,
}

/// A key, without anything that could be used in its place.
#[derive(Clone, Debug)]
pub struct ApiKey {
    pub id: ApiKeyId,
    pub account_id: AccountId,
    /// The realm it was made in, whose scopes it may have.
    pub realm_id: RealmId,
    /// Who made it; `None` for the command line. The key outlives that person's membership.
    pub created_by: Option<UserId>,
    pub settings: KeySettings,
    /// `conv_` and the spelling of its id.
    pub prefix: String,
    pub last4: String,
    pub created_at: DateTime<Utc>,
    pub revoked_at: Option<DateTime<Utc>>,
    /// The key that took its place.
    pub replaced_by: Option<ApiKeyId>,
    /// Written behind, at most once a minute.
    pub last_used_at: Option<DateTime<Utc>>,
    pub last_used_ip: Option<String>,
}

impl ApiKey {
    /// Its status at `now`.
    #[must_use]
    pub fn status(&self, now: DateTime<Utc>) -> KeyStatus {
        if self.revoked_at.is_some() {
            KeyStatus::Revoked
        } else if self.settings.expires_at.is_some_and(|end| end <= now) {
            KeyStatus::Expired
        } else {
            KeyStatus::Active
        }
    }

    /// Whether it may be used from `ip`.
    #[must_use]
    pub fn allows(&self, ip: IpAddr) -> bool {
        // `::ffff:192.0.2.1` is how a dual-stack socket spells 192.0.2.1.
        let ip = ip.to_canonical();
        self.settings.ip_allowlist.is_empty() || self.settings.ip_allowlist.iter().any(|network| network.contains(&ip))
    }
}

/// Reads a list of addresses and CIDR ranges; each is cut to its network.
///
/// # Errors
/// [`Error::Invalid`] naming each faulty place below `field`. An empty list is refused: it could mean anybody or nobody.
pub fn ip_allowlist(field: &str, list: &[String]) -> Result<Vec<IpNet>> {
    if list.is_empty() {
        return Err(Error::invalid(field, "required", "must name at least one address; leave it out to allow all"));
    }
    if list.len() > MOST_NETWORKS {
        return Err(Error::invalid(field, "too_many", format!("must have {MOST_NETWORKS} entries at most")));
    }
    let (mut networks, mut faults) = (Vec::new(), Vec::new());
    for (at, text) in list.iter().enumerate() {
        match text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(|ip| IpNet::from(ip.to_canonical()))) {
            Ok(network) => networks.push(network.trunc()),
            Err(_) => faults.push(FieldError::new(format!("{field}.{at}"), "invalid_network", "must be an IP address or a CIDR range such as 203.0.113.0/24")),
        }
    }
    networks.sort_unstable();
    networks.dedup();
    if faults.is_empty() { Ok(networks) } else { Err(Error::Invalid(faults)) }
}

/// Checks when a key is to end.
///
/// # Errors
/// [`Error::Invalid`] on `expiresAt` unless it is in the future.
pub fn expiry(at: DateTime<Utc>, now: DateTime<Utc>) -> Result<DateTime<Utc>> {
    if at > now { Ok(at) } else { Err(Error::invalid("expiresAt", "in_the_past", "must be in the future")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(items: &[&str]) -> Result<Vec<IpNet>> {
        ip_allowlist("ipAllowlist", &items.iter().map(|&item| item.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn networks_are_cut_sorted_and_each_once() {
        let shown: Vec<String> = list(&["203.0.113.9/24", "203.0.113.0/24", "10.0.0.1", "2001:db8::1/64"]).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["10.0.0.1/32", "203.0.113.0/24", "2001:db8::/64"]);
        for wrong in ["", "*", "10.0.0.0/33", "10.0.0", "localhost", "10.0.0.1, 10.0.0.2", "::1/129", "010.0.0.1"] {
            assert!(matches!(list(&["::1", wrong]), Err(Error::Invalid(faults)) if faults[0].field == "ipAllowlist.1"), "{wrong}");
        }
        assert!(list(&[]).is_err() && list(&["::1"; 51]).is_err());
    }
}

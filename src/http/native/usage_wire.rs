//! Bodies of the usage reports and of the leak report.

use poem_openapi::{Object, types::Example};
use serde::Serialize;

use crate::{
    domain::usage::{Counts, Outcome},
    http::{payload::Instant, secret_text::SecretText},
    service::usage::Report,
};

/// Uses in one hour or day, by what came of them.
#[derive(Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase")]
pub(super) struct UsageLineOut {
    /// Where the hour or day begins.
    pub(super) at: Instant,
    pub(super) valid: u64,
    pub(super) rate_limited: u64,
    pub(super) insufficient_scope: u64,
    pub(super) expired: u64,
    pub(super) revoked: u64,
    pub(super) ip_not_allowed: u64,
}

impl UsageLineOut {
    fn of((at, counts): (chrono::DateTime<chrono::Utc>, Counts)) -> Self {
        Self {
            at: Instant(at),
            valid: counts.get(Outcome::Valid),
            rate_limited: counts.get(Outcome::RateLimited),
            insufficient_scope: counts.get(Outcome::InsufficientScope),
            expired: counts.get(Outcome::Expired),
            revoked: counts.get(Outcome::Revoked),
            ip_not_allowed: counts.get(Outcome::IpNotAllowed),
        }
    }
}

/// Uses of one key in the whole of the report.
#[derive(Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase")]
pub(super) struct KeyUsageOut {
    pub(super) key_id: String,
    pub(super) valid: u64,
    pub(super) rate_limited: u64,
    pub(super) insufficient_scope: u64,
    pub(super) expired: u64,
    pub(super) revoked: u64,
    pub(super) ip_not_allowed: u64,
}

/// A key's usage, earliest first.
#[derive(Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase")]
pub(super) struct UsageOut {
    pub(super) from: Instant,
    pub(super) to: Instant,
    pub(super) items: Vec<UsageLineOut>,
}

impl From<Report> for UsageOut {
    fn from(report: Report) -> Self {
        let items = report.lines.into_iter().map(UsageLineOut::of).collect();
        Self { from: Instant(report.span.from), to: Instant(report.span.to), items }
    }
}

/// An account's usage, earliest first, and that of each of its keys.
#[derive(Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase")]
pub(super) struct AccountUsageOut {
    pub(super) from: Instant,
    pub(super) to: Instant,
    pub(super) items: Vec<UsageLineOut>,
    pub(super) keys: Vec<KeyUsageOut>,
}

impl From<Report> for AccountUsageOut {
    fn from(mut report: Report) -> Self {
        let key = |(id, counts): (crate::domain::id::ApiKeyId, Counts)| KeyUsageOut {
            key_id: id.to_string(),
            valid: counts.get(Outcome::Valid),
            rate_limited: counts.get(Outcome::RateLimited),
            insufficient_scope: counts.get(Outcome::InsufficientScope),
            expired: counts.get(Outcome::Expired),
            revoked: counts.get(Outcome::Revoked),
            ip_not_allowed: counts.get(Outcome::IpNotAllowed),
        };
        let keys = std::mem::take(&mut report.keys).into_iter().map(key).collect();
        let UsageOut { from, to, items } = report.into();
        Self { from, to, items, keys }
    }
}

/// A key that was found where it should not be.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, example)]
pub(super) struct LeakedIn {
    pub(super) key: SecretText,
}

impl Example for LeakedIn {
    fn example() -> Self {
        Self { key: SecretText::from("conv_the-key-that-was-found") }
    }
}

//! Bodies of the API keys' operations. No reply type here has a place for a key's hash.

use chrono::{DateTime, Utc};
use poem_openapi::{
    Object,
    types::{Example, MaybeUndefined},
};
use serde::Serialize;

use crate::{
    domain::{api_key::ApiKey, page::Page},
    http::payload::Instant,
    service::api_keys::{KeyChange, MadeKey, NewKey},
};

/// A key, without anything that could be used in its place.
#[derive(Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
pub(super) struct KeyOut {
    pub(super) id: String,
    pub(super) name: String,
    /// How it begins: `conv_…`, or `conv_test_…` for a test key.
    pub(super) prefix: String,
    /// How it ends.
    pub(super) last4: String,
    pub(super) scopes: Vec<String>,
    /// `active`, `expired` or `revoked`.
    pub(super) status: String,
    pub(super) created_at: Instant,
    /// The person who made it; absent if that was the operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) created_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expires_at: Option<Instant>,
    /// Networks that it may be used from; absent if it may from anywhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ip_allowlist: Option<Vec<String>>,
    /// Requests per minute, if fewer than the plan's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rate_limit: Option<i32>,
    /// To a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) last_used_at: Option<Instant>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) last_used_ip: Option<String>,
}

impl KeyOut {
    pub(super) fn of(key: &ApiKey, now: DateTime<Utc>) -> Self {
        let settings = &key.settings;
        let networks: Vec<String> = settings.ip_allowlist.iter().map(ToString::to_string).collect();
        Self {
            id: key.id.to_string(),
            name: settings.name.clone(),
            prefix: key.prefix.clone(),
            last4: key.last4.clone(),
            scopes: settings.scopes.clone(),
            status: key.status(now).as_str().to_owned(),
            created_at: Instant(key.created_at),
            created_by: key.created_by.map(|id| id.to_string()),
            expires_at: settings.expires_at.map(Instant),
            ip_allowlist: if networks.is_empty() { None } else { Some(networks) },
            rate_limit: settings.rate_limit,
            last_used_at: key.last_used_at.map(Instant),
            last_used_ip: key.last_used_ip.clone(),
        }
    }
}

/// A page of keys, in the order of their making.
#[derive(Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase")]
pub(super) struct KeysOut {
    pub(super) items: Vec<KeyOut>,
    /// To be sent as `cursor` for the next page; `null` at the end.
    #[oai(nullable)]
    pub(super) next_cursor: Option<String>,
}

impl KeysOut {
    pub(super) fn of(page: Page<ApiKey>, now: DateTime<Utc>) -> Self {
        Self { items: page.items.iter().map(|key| KeyOut::of(key, now)).collect(), next_cursor: page.next_cursor }
    }
}

/// A new key.
#[derive(Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase")]
pub(super) struct MadeKeyOut {
    /// The key itself. It is stored nowhere and shown this once.
    pub(super) key: String,
    pub(super) api_key: KeyOut,
}

impl MadeKeyOut {
    pub(super) fn of(made: &MadeKey, now: DateTime<Utc>) -> Self {
        Self { key: made.text.reveal(), api_key: KeyOut::of(&made.key, now) }
    }
}

/// A key to be.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, skip_serializing_if_is_none, example)]
pub(super) struct NewKeyIn {
    /// 1 to 100 characters.
    #[oai(validator(max_length = 400))]
    name: String,
    /// At least one, none twice; each a scope that the realm knows.
    scopes: Vec<String>,
    /// In the future. A key without one lasts until it is revoked.
    #[oai(nullable)]
    expires_at: Option<Instant>,
    /// Addresses and CIDR ranges that it may be used from, at most 50.
    #[oai(nullable)]
    ip_allowlist: Option<Vec<String>>,
    /// Requests per minute, at most the plan's.
    #[oai(nullable)]
    rate_limit: Option<i64>,
    /// Whether it is spelt `conv_test_…`. That is all the difference.
    #[oai(default)]
    test: bool,
}

impl From<NewKeyIn> for NewKey {
    fn from(body: NewKeyIn) -> Self {
        let NewKeyIn { name, scopes, expires_at, ip_allowlist, rate_limit, test } = body;
        Self { name, scopes, expires_at: expires_at.map(|at| at.0), ip_allowlist, rate_limit, test }
    }
}

impl Example for NewKeyIn {
    fn example() -> Self {
        Self {
            name: "Nightly import".to_owned(),
            scopes: vec!["knowledge:read".to_owned(), "knowledge:write".to_owned()],
            expires_at: None,
            ip_allowlist: Some(vec!["203.0.113.0/24".to_owned()]),
            rate_limit: Some(60),
            test: false,
        }
    }
}

/// Changes to a key: a field left out stays, `null` clears it.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, skip_serializing_if_is_none, example)]
pub(super) struct KeyChangeIn {
    #[oai(validator(max_length = 400))]
    name: Option<String>,
    scopes: Option<Vec<String>>,
    #[oai(nullable)]
    expires_at: MaybeUndefined<Instant>,
    #[oai(nullable)]
    ip_allowlist: MaybeUndefined<Vec<String>>,
    #[oai(nullable)]
    rate_limit: MaybeUndefined<i64>,
}

/// A PATCH field: left out, cleared or set.
fn field<T>(value: MaybeUndefined<T>) -> Option<Option<T>> {
    match value {
        MaybeUndefined::Undefined => None,
        MaybeUndefined::Null => Some(None),
        MaybeUndefined::Value(value) => Some(Some(value)),
    }
}

impl From<KeyChangeIn> for KeyChange {
    fn from(body: KeyChangeIn) -> Self {
        Self {
            name: body.name,
            scopes: body.scopes,
            expires_at: field(body.expires_at).map(|at| at.map(|at| at.0)),
            ip_allowlist: field(body.ip_allowlist),
            rate_limit: field(body.rate_limit),
        }
    }
}

impl Example for KeyChangeIn {
    fn example() -> Self {
        Self {
            name: Some("Nightly import, Paris".to_owned()),
            scopes: Some(vec!["knowledge:read".to_owned()]),
            expires_at: MaybeUndefined::Undefined,
            ip_allowlist: MaybeUndefined::Null,
            rate_limit: MaybeUndefined::Value(30),
        }
    }
}

/// How to end the old key.
#[derive(Object, Default)]
#[oai(rename_all = "camelCase", deny_unknown_fields, skip_serializing_if_is_none, example)]
pub(super) struct RotateIn {
    /// How long the old key goes on; 0 if left out, at most 604,800.
    #[oai(nullable)]
    pub(super) overlap_seconds: Option<i64>,
}

impl Example for RotateIn {
    fn example() -> Self {
        Self { overlap_seconds: Some(86_400) }
    }
}

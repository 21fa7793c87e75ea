//! Bodies of `/verify` and `/introspect`.

use chrono::{DateTime, TimeDelta, Utc};
use poem_openapi::{Object, types::Example};
use serde::Serialize;

use crate::{
    domain::limit::Standing,
    http::{payload::Instant, secret_text::SecretText},
    service::verify::{Known, Verdict},
};

/// A credential, and what it is wanted for.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, skip_serializing_if_is_none, example)]
pub(super) struct VerifyIn {
    /// An access token or an API key, as its holder showed it.
    pub(super) credential: SecretText,
    /// All of these must be among its scopes.
    #[oai(nullable)]
    pub(super) scopes: Option<Vec<String>>,
    /// Where it is used from. Without it a key's list of addresses is not looked at.
    #[oai(nullable, validator(max_length = 64))]
    pub(super) ip: Option<String>,
    /// Units that the call takes, 0 to 1,000; 1 if left out, 0 only looks.
    #[oai(nullable)]
    pub(super) cost: Option<i64>,
}

impl Example for VerifyIn {
    fn example() -> Self {
        Self {
            credential: SecretText::from("the-api-key-or-access-token-that-was-shown"),
            scopes: Some(vec!["chat:read".to_owned()]),
            ip: Some("203.0.113.7".to_owned()),
            cost: None,
        }
    }
}

/// How a limit stands.
#[derive(Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase")]
pub(super) struct VerdictLimitOut {
    /// Units a minute.
    pub(super) limit: u32,
    /// Units that are left.
    pub(super) remaining: u32,
    /// When more are.
    pub(super) reset_at: Instant,
}

impl VerdictLimitOut {
    fn of(standing: &Standing, now: DateTime<Utc>) -> Self {
        let wait = TimeDelta::milliseconds(i64::try_from(standing.free_in).unwrap_or_default());
        Self { limit: standing.limit, remaining: standing.remaining, reset_at: Instant(now + wait) }
    }
}

/// What a credential is worth. Of `not_found` there is nothing but `active` and `code`.
#[derive(Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
pub(super) struct VerdictOut {
    /// Whether `code` is `valid`.
    pub(super) active: bool,
    /// `valid`, `not_found`, `expired`, `revoked`, `disabled`, `insufficient_scope`, `ip_not_allowed` or `rate_limited`.
    pub(super) code: String,
    /// The id of the person or key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) subject: Option<String>,
    /// `access_token` or `api_key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) kind: Option<String>,
    /// The realm's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) realm: Option<String>,
    /// The id of the account that it acts for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) account: Option<String>,
    /// The plan of that account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) plan: Option<String>,
    /// What it may do at this moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) scopes: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) key_id: Option<String>,
    /// The key's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expires_at: Option<Instant>,
    /// The tighter of the account's and the key's own limit, where the call got so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) limit: Option<VerdictLimitOut>,
}

impl VerdictOut {
    pub(super) fn of(verdict: &Verdict, now: DateTime<Utc>) -> Self {
        let (active, code) = (verdict.is_active(), verdict.code.as_str().to_owned());
        let known = verdict.known.as_ref();
        let key = known.and_then(|known| known.key.as_ref());
        Self {
            active,
            code,
            subject: known.map(|known| known.subject.to_string()),
            kind: known.map(|known| known.kind.as_str().to_owned()),
            realm: known.map(|known| known.realm.name.clone()),
            account: known.map(|known| known.terms.account.id.to_string()),
            plan: known.map(|known| known.terms.plan.id.clone()),
            scopes: known.map(|known| known.scopes().map(str::to_owned).collect()),
            key_id: key.map(|key| key.id.to_string()),
            name: key.map(|key| key.settings.name.clone()),
            expires_at: known.and_then(|known| known.expires_at).map(Instant),
            limit: verdict.standing.as_ref().map(|standing| VerdictLimitOut::of(standing, now)),
        }
    }
}

/// A token (RFC 7662 section 2.1).
#[derive(Object)]
#[oai(deny_unknown_fields, skip_serializing_if_is_none, example)]
pub(super) struct IntrospectIn {
    pub(super) token: SecretText,
    /// Taken and not needed: tokens tell their kinds by themselves.
    #[oai(validator(max_length = 64))]
    pub(super) token_type_hint: Option<String>,
}

impl Example for IntrospectIn {
    fn example() -> Self {
        Self { token: SecretText::from("the-api-key-or-access-token-that-was-shown"), token_type_hint: None }
    }
}

/// What a token is worth (RFC 7662 section 2.2). Of one that is not active nothing else is said.
#[derive(Object, Serialize)]
#[oai(skip_serializing_if_is_none)]
pub(super) struct IntrospectionOut {
    pub(super) active: bool,
    /// Space separated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) scope: Option<String>,
    /// The key's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) client_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) token_type: Option<String>,
    /// Seconds since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) exp: Option<i64>,
    /// The id of the person or key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sub: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) iss: Option<String>,
}

impl IntrospectionOut {
    pub(super) fn of(verdict: Verdict, issuer: impl Fn(&str) -> String) -> Self {
        let active = verdict.is_active();
        let known = verdict.known.filter(|_| active);
        let known = known.as_ref();
        Self {
            active,
            scope: known.map(Known::scope_text),
            client_id: known.and_then(|known| known.key.as_ref()).map(|key| key.id.to_string()),
            token_type: known.map(|_| "Bearer".to_owned()),
            exp: known.and_then(|known| known.expires_at).map(|at| at.timestamp()),
            sub: known.map(|known| known.subject.to_string()),
            iss: known.map(|known| issuer(&known.realm.name)),
        }
    }
}

//! Bodies of the limits' and the plans' operations.

use chrono::{DateTime, TimeDelta, Utc};
use poem_openapi::{Object, types::Example};
use serde::Serialize;

use crate::{
    domain::account::{Plan, PlanChange},
    http::payload::Instant,
    service::limits::Buckets,
};

/// What is left of an account's limits.
#[derive(Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase")]
pub(super) struct LimitsOut {
    /// The id of its plan.
    plan: String,
    /// The account's own bucket first.
    items: Vec<BucketOut>,
    /// Always `null`: all stand here.
    #[oai(nullable)]
    next_cursor: Option<String>,
}

/// How one bucket stands at this moment.
#[derive(Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
pub(super) struct BucketOut {
    /// The rule, as replies name it: `account` or `api_key`.
    rule: String,
    /// The key, if it is a key's.
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<String>,
    /// Calls that any span of the window may hold.
    limit: i64,
    window_seconds: i64,
    remaining: i64,
    /// When the oldest counted calls become free; left out if nothing is counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    frees_at: Option<Instant>,
}

impl LimitsOut {
    pub(super) fn of(buckets: Buckets, now: DateTime<Utc>) -> Self {
        let bucket = |(key, standing): (Option<crate::domain::id::ApiKeyId>, crate::domain::limit::Standing)| BucketOut {
            rule: standing.rule.as_str().to_owned(),
            key_id: key.map(|id| id.to_string()),
            limit: standing.limit.into(),
            window_seconds: standing.rule.window().into(),
            remaining: standing.remaining.into(),
            frees_at: i64::try_from(standing.free_in).ok().filter(|wait| *wait > 0).map(|wait| Instant(now + TimeDelta::milliseconds(wait))),
        };
        Self { plan: buckets.terms.plan.id.clone(), items: buckets.items.into_iter().map(bucket).collect(), next_cursor: None }
    }
}

/// What accounts may use.
#[derive(Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase")]
pub(super) struct PlanOut {
    id: String,
    requests_per_minute: i32,
    max_api_keys: i32,
    max_realms: i32,
    max_members: i32,
    max_webhooks: i32,
}

impl From<Plan> for PlanOut {
    fn from(plan: Plan) -> Self {
        let Plan { id, requests_per_minute, max_api_keys, max_realms, max_members, max_webhooks } = plan;
        Self { id, requests_per_minute, max_api_keys, max_realms, max_members, max_webhooks }
    }
}

/// All plans.
#[derive(Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase")]
pub(super) struct PlansOut {
    pub(super) items: Vec<PlanOut>,
    /// Always `null`: all stand here.
    #[oai(nullable)]
    pub(super) next_cursor: Option<String>,
}

/// A plan to be.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, example)]
pub(super) struct NewPlanIn {
    /// 1 to 32 of a-z, 0-9, `-` and `_`.
    #[oai(validator(max_length = 64))]
    id: String,
    requests_per_minute: i64,
    max_api_keys: i64,
    max_realms: i64,
    max_members: i64,
    max_webhooks: i64,
}

/// A number that is checked later; one too large for the column stays out of every range.
fn cap(number: i64) -> i32 {
    i32::try_from(number).unwrap_or(if number < 0 { i32::MIN } else { i32::MAX })
}

impl From<NewPlanIn> for Plan {
    fn from(body: NewPlanIn) -> Self {
        Self {
            id: body.id,
            requests_per_minute: cap(body.requests_per_minute),
            max_api_keys: cap(body.max_api_keys),
            max_realms: cap(body.max_realms),
            max_members: cap(body.max_members),
            max_webhooks: cap(body.max_webhooks),
        }
    }
}

impl Example for NewPlanIn {
    fn example() -> Self {
        Self { id: "enterprise".to_owned(), requests_per_minute: 50_000, max_api_keys: 5_000, max_realms: 1_000, max_members: 5_000, max_webhooks: 500 }
    }
}

/// What of a plan is to change.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, example)]
pub(super) struct PlanIn {
    requests_per_minute: Option<i64>,
    max_api_keys: Option<i64>,
    max_realms: Option<i64>,
    max_members: Option<i64>,
    max_webhooks: Option<i64>,
}

impl From<PlanIn> for PlanChange {
    fn from(body: PlanIn) -> Self {
        Self {
            requests_per_minute: body.requests_per_minute.map(cap),
            max_api_keys: body.max_api_keys.map(cap),
            max_realms: body.max_realms.map(cap),
            max_members: body.max_members.map(cap),
            max_webhooks: body.max_webhooks.map(cap),
        }
    }
}

impl Example for PlanIn {
    fn example() -> Self {
        Self { requests_per_minute: Some(60_000), max_api_keys: Some(500), max_realms: Some(200), max_members: Some(1_000), max_webhooks: Some(50) }
    }
}

/// The plan that an account moves to.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, example)]
pub(super) struct AccountPlanIn {
    /// A plan's id.
    #[oai(validator(max_length = 64))]
    pub(super) plan: String,
}

impl Example for AccountPlanIn {
    fn example() -> Self {
        Self { plan: "business".to_owned() }
    }
}

//! How often keys are used, and keys that were found in the wrong place.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use poem::web::Data;
use poem_openapi::{
    Enum, OpenApi,
    param::{Path, Query},
};

use super::{
    Group,
    accounts::account_id,
    api_keys::key_id,
    usage_wire::{AccountUsageOut, LeakedIn, UsageOut},
    wire::AcceptedOut,
};
use crate::{
    app::App,
    domain::{Error, Result as Outcome, usage::Step},
    http::{
        context::{Public, Session},
        payload::{Accepted, Json, Reply},
        problem::{ApiErr, E400, E401, E403, E404, E413, E415, E422, E503},
    },
    service::{
        key_leaks,
        usage::{self, Wanted},
    },
};

pub(super) struct UsageApi;

const READ: u32 = E400 | E401 | E403 | E404 | E422 | E503;

/// What one line is about.
#[derive(Clone, Copy, Enum)]
#[oai(rename_all = "lowercase")]
enum By {
    Hour,
    Day,
}

fn instant(field: &str, text: Option<&str>) -> Outcome<Option<DateTime<Utc>>> {
    let wrong = |_| Error::invalid(field, "invalid_instant", "must be an instant of RFC 3339, such as 2030-01-31T12:00:00Z");
    text.map(|text| DateTime::parse_from_rfc3339(text).map(|at| at.to_utc()).map_err(wrong)).transpose()
}

fn wanted(by: Option<By>, from: Option<&str>, to: Option<&str>) -> Outcome<Wanted> {
    let step = match by {
        Some(By::Day) => Step::Day,
        Some(By::Hour) | None => Step::Hour,
    };
    Ok(Wanted { step, from: instant("from", from)?, to: instant("to", to)? })
}

#[OpenApi(tag = "Group::ApiKeys")]
impl UsageApi {
    /// Read an account's usage
    ///
    /// Uses of its keys by hours or days in UTC and by what came of them, all together and each; what was not used is left
    /// out. Hours go back seven days at once, days ninety. Other nodes' counts of the last seconds may be missing.
    #[oai(path = "/accounts/:id/usage", method = "get", operation_id = "get_account_usage")]
    async fn of_account(
        &self,
        app: Data<&Arc<App>>,
        ctx: Session,
        /// The account's id.
        id: Path<String>,
        /// What one line is about; `hour` if left out.
        by: Query<Option<By>>,
        /// Where the report begins; a day or thirty days before its end if left out.
        from: Query<Option<String>>,
        /// Where it ends; now if left out.
        to: Query<Option<String>>,
    ) -> Result<Reply<AccountUsageOut>, ApiErr<READ>> {
        let wanted = wanted(by.0, from.0.as_deref(), to.0.as_deref())?;
        Ok(Reply(usage::of_account(&app, &ctx.0, account_id(&id.0)?, wanted).await?.into()))
    }

    /// Read a key's usage
    ///
    /// Like the account's, of one key.
    #[oai(path = "/accounts/:id/api-keys/:key_id/usage", method = "get", operation_id = "get_api_key_usage")]
    #[expect(clippy::too_many_arguments, reason = "each is a parameter of the operation")]
    async fn of_key(
        &self,
        app: Data<&Arc<App>>,
        ctx: Session,
        /// The account's id.
        id: Path<String>,
        /// The key's id.
        key_id: Path<String>,
        /// What one line is about; `hour` if left out.
        by: Query<Option<By>>,
        /// Where the report begins; a day or thirty days before its end if left out.
        from: Query<Option<String>>,
        /// Where it ends; now if left out.
        to: Query<Option<String>>,
    ) -> Result<Reply<UsageOut>, ApiErr<READ>> {
        let wanted = wanted(by.0, from.0.as_deref(), to.0.as_deref())?;
        Ok(Reply(usage::of_key(&app, &ctx.0, account_id(&id.0)?, self::key_id(&key_id.0)?, wanted).await?.into()))
    }

    /// Report a leaked key
    ///
    /// Whoever found a key sends it here, without signing in: it is revoked, and its account's owners are told by mail. The
    /// answer is the same for a key that never was.
    #[oai(path = "/api-keys/leaked", method = "post", operation_id = "report_leaked_key")]
    async fn leaked(
        &self,
        app: Data<&Arc<App>>,
        ctx: Public,
        body: Json<LeakedIn>,
    ) -> Result<Accepted<AcceptedOut>, ApiErr<{ E400 | E404 | E413 | E415 | E422 | E503 }>> {
        key_leaks::report(&app, &ctx.0, &body.0.key.0).await?;
        Ok(Accepted(AcceptedOut { message: "Thank you. If this is a key, it is revoked now.".to_owned() }))
    }
}

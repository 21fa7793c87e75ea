//! How many wrong mailed tokens and codes one network may send: enough for every slip, too few to search or to flood.
//!
//! Counted by where they come from and never by whom they are for, so that nobody can keep a person from their link.

use std::future::Future;

use chrono::TimeDelta;

use super::Ctx;
use crate::{
    app::App,
    domain::{Error, Result, guess::network},
    store::{self, primitive::Reservation},
};

const HOUR: TimeDelta = TimeDelta::hours(1);

/// Runs `work` unless the caller's network sent too many wrong tokens; counts this one as wrong before and takes that back
/// if it was not.
///
/// # Errors
/// [`Error::RateLimited`], and what `work` says.
pub(super) async fn watched<T>(app: &App, ctx: &Ctx, work: impl Future<Output = Result<T>> + Send) -> Result<T> {
    let limit = i32::try_from(app.settings.limit_wrong_token).unwrap_or(i32::MAX);
    let key = format!("token:{}", network(ctx.client.ip));
    if let Reservation::Full { retry_after } = store::primitive::reserve(&app.db.write, ctx.realm.id, &key, limit, HOUR, app.clock.now()).await? {
        return Err(Error::RateLimited { retry_after });
    }
    let result = work.await;
    if !matches!(result, Err(Error::InvalidOneTimeToken)) {
        store::primitive::release(&app.db.write, ctx.realm.id, &key).await?;
    }
    result
}

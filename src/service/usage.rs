//! How often keys are used: counted in memory where a key is checked, written here in batches, read by their account.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::{Ctx, access};
use crate::{
    app::App,
    domain::{
        Error, Result,
        id::{AccountId, ApiKeyId},
        usage::{Counts, Outcome, Span, Step},
    },
    store::{self, api_key_usage::Uses, write_tx},
};

/// A report of an account, or of one of its keys.
#[derive(Debug)]
pub struct Report {
    pub span: Span,
    /// By hours or days, earliest first; those without any use are left out.
    pub lines: Vec<(DateTime<Utc>, Counts)>,
    /// By keys, in the order of their making; those without any use are left out.
    pub keys: Vec<(ApiKeyId, Counts)>,
}

/// Which part of the past a report is wanted of.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub step: Step,
    pub from: Option<DateTime<Utc>>,
    pub to: Option<DateTime<Utc>>,
}

/// How often the account's keys were used, all together and each. What other nodes counted in the last moments is
/// missing until they write it.
///
/// # Errors
/// The refusals of [`access::administers`], [`Error::Invalid`] for a span that can't be.
pub async fn of_account(app: &App, ctx: &Ctx, account: AccountId, wanted: Wanted) -> Result<Report> {
    access::administers(&app.db.read, ctx, account).await?;
    let span = Span::new(wanted.step, wanted.from, wanted.to, app.clock.now())?;
    flush(app).await?;
    let lines = sums(store::api_key_usage::by_hour(&app.db.read, account, None, &span).await?, |hour| span.line(hour));
    let keys = sums(store::api_key_usage::by_key(&app.db.read, account, &span).await?, |key| key);
    Ok(Report { span, lines, keys })
}

/// The same of one key.
///
/// # Errors
/// The refusals of [`access::administers`], [`Error::NotFound`], [`Error::Invalid`] for a span that can't be.
pub async fn of_key(app: &App, ctx: &Ctx, account: AccountId, id: ApiKeyId, wanted: Wanted) -> Result<Report> {
    access::administers(&app.db.read, ctx, account).await?;
    store::api_keys::find(&app.db.read, account, id).await?.ok_or(Error::NotFound)?;
    let span = Span::new(wanted.step, wanted.from, wanted.to, app.clock.now())?;
    flush(app).await?;
    let lines = sums(store::api_key_usage::by_hour(&app.db.read, account, Some(id), &span).await?, |hour| span.line(hour));
    Ok(Report { span, lines, keys: Vec::new() })
}

fn sums<T, K: Ord>(rows: Vec<(T, Outcome, i64)>, place: impl Fn(T) -> K) -> Vec<(K, Counts)> {
    let mut sums: BTreeMap<K, Counts> = BTreeMap::new();
    for (what, outcome, count) in rows {
        sums.entry(place(what)).or_default().add(outcome, u64::try_from(count).unwrap_or_default());
    }
    sums.into_iter().collect()
}

/// Writes the counts that gathered in memory since the last call.
///
/// # Errors
/// What the database says; the counts are then kept for the next call.
pub async fn flush(app: &App) -> Result<()> {
    let tallies = app.usage.take_tallies();
    if tallies.is_empty() {
        return Ok(());
    }
    let uses = tallies.iter().flat_map(|(key, hour, tally)| {
        let hour = DateTime::from_timestamp(hour * 3_600, 0).unwrap_or_default();
        let counted = Outcome::ALL.into_iter().map(|outcome| (outcome, tally.counts.get(outcome))).filter(|(_, count)| *count > 0);
        counted.map(move |(outcome, count)| Uses { account: tally.account, key: *key, hour, outcome, count: i64::try_from(count).unwrap_or(i64::MAX) })
    });
    let uses: Vec<Uses> = uses.collect();
    // All or nothing, so that what failed can be written again without being counted twice.
    let written = async { write_tx!(&app.db, |tx| store::api_key_usage::add(tx, &uses).await) }.await;
    if written.is_err() {
        app.usage.return_tallies(&tallies);
    }
    written
}

/// Writes when each key was last used. Called once a minute, so that a row is written no more often.
///
/// # Errors
/// What the database says; the stamps are then kept for the next call.
pub async fn flush_last(app: &App) -> Result<()> {
    let stamps = app.usage.take_last();
    if stamps.is_empty() {
        return Ok(());
    }
    let written = async {
        write_tx!(&app.db, |tx| {
            for (key, stamp) in &stamps {
                store::api_keys::stamp_used(tx, stamp.account, *key, stamp.at, stamp.ip.map(|ip| ip.to_string())).await?;
            }
            Ok(())
        })
    }
    .await;
    if written.is_err() {
        app.usage.return_last(&stamps);
    }
    written
}

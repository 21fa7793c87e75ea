//! Word to a person of their sign-ins: from elsewhere than usual, and one that made another session end.
//!
//! A few a day: somebody whose program signs in every minute must not get a mail every minute, and neither must their
//! sign-ins pay for that.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Ctx, devices::Familiarity};
use crate::{
    app::App,
    domain::{
        Result,
        id::{RealmId, SessionId},
        job::Job,
        session::Session,
    },
    store::{self, Connection, primitive::Reservation},
};

const DAY: TimeDelta = TimeDelta::days(1);
/// Places that are told of in a day.
const PLACES: i32 = 5;

/// Owes what the sign-in that began `session` is worth, inside its transaction, and answers whether that is anything: the
/// caller wakes the worker after the commit.
pub(super) async fn of_sign_in(app: &App, db: &impl Connection, ctx: &Ctx, session: &Session, familiarity: Familiarity, evicted: &[SessionId]) -> Result<bool> {
    let (realm_id, user_id, now) = (session.realm_id, session.user_id, session.created_at);
    let mut owes = false;
    if familiarity == Familiarity::New && is_due(app, db, realm_id, &format!("new_device:{user_id}"), PLACES, now).await? {
        ctx.owe(app, db, &Job::SendNewDevice { realm_id, user_id, session_id: session.id }, now).await?;
        owes = true;
    }
    if let Some(ended) = evicted.first()
        && is_due(app, db, realm_id, &format!("evicted:{user_id}"), 1, now).await?
    {
        ctx.owe(app, db, &Job::SendSessionEvicted { realm_id, user_id, session_id: *ended }, now).await?;
        owes = true;
    }
    Ok(owes)
}

/// Takes one of the day's `limit` places. That none is left is remembered, so that a busy program's sign-ins don't ask
/// the database each time.
async fn is_due(app: &App, db: &impl Connection, realm: RealmId, key: &str, limit: i32, now: DateTime<Utc>) -> Result<bool> {
    if app.caches.is_told(key, now) {
        return Ok(false);
    }
    match store::primitive::reserve(db, realm, key, limit, DAY, now).await? {
        Reservation::Reserved => Ok(true),
        Reservation::Full { retry_after } => {
            app.caches.note_told(key, now + TimeDelta::seconds(i64::try_from(retry_after).unwrap_or_default()));
            Ok(false)
        }
    }
}

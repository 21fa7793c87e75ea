//! Counts of password guesses: a row for each account and place, and one for each account as a whole.
//!
//! Every count is one guarded statement, so that a thousand guesses at once are counted as a thousand.

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, ExprTrait as _, IdenStatic as _, QueryFilter as _, QueryTrait as _,
    sea_query::{Expr, OnConflict, Query},
};

use super::batch::Batch;
use crate::domain::{
    Result,
    guess::{self, ACCOUNT_LIMIT},
    id::RealmId,
};

super::entity!("password_guesses" {
    #[sea_orm(primary_key, auto_increment = false)]
    realm_id: RealmId,
    #[sea_orm(primary_key, auto_increment = false)]
    account_key: String,
    #[sea_orm(primary_key, auto_increment = false)]
    place: String,
    attempts: i32,
    guesses: i32,
    blocked_until: Instant,
    welcome_until: Option<Instant>,
    updated_at: Instant,
});
use entity::{ActiveModel, Column, Entity};

/// The place of the row that counts an account as a whole.
const WHOLE: &str = "";
/// Long ago, and not "now": to another node, whose clock is a little behind, that would be a pause.
const NO_PAUSE: DateTime<Utc> = DateTime::UNIX_EPOCH;

fn row(realm: RealmId, account: &str, place: &str, now: DateTime<Utc>) -> ActiveModel {
    ActiveModel {
        realm_id: Set(realm),
        account_key: Set(account.to_owned()),
        place: Set(place.to_owned()),
        attempts: Set(1),
        guesses: Set(1),
        blocked_until: Set(NO_PAUSE),
        welcome_until: Set(None),
        updated_at: Set(now),
    }
}

fn key() -> OnConflict {
    OnConflict::columns([Column::RealmId, Column::AccountKey, Column::Place])
}

fn column(column: Column) -> Expr {
    Expr::col((Entity, column))
}

fn at(realm: RealmId, account: &str, place: &str) -> Condition {
    Condition::all().add(Column::RealmId.eq(realm)).add(Column::AccountKey.eq(account)).add(Column::Place.eq(place))
}

/// What a place has counted against an account.
#[derive(Clone, Copy, Debug)]
pub struct Count {
    pub guesses: i32,
    /// Until when it is let in whatever the account has had, because a mailed link was followed there.
    pub welcome_until: Option<DateTime<Utc>>,
}

/// What became of one guess.
#[derive(Clone, Copy, Debug)]
pub struct Counted {
    /// The place's count with it; none if the place has to pause.
    pub place: Option<Count>,
    /// Whether the account as a whole counts it; not if it has had as many as it may.
    pub whole: bool,
}

/// Counts an attempt of `place` at `account` as a wrong guess, which it is until proved otherwise, there and on the whole:
/// not while the place has to pause, and not above the account's limit if `limited`. Each guess sets the pause after it.
///
/// One statement, so that what most guesses cost is one call and one commit.
///
/// # Errors
/// What the database says.
pub async fn count(db: &impl ConnectionTrait, realm: RealmId, account: &str, place: &str, limited: bool, now: DateTime<Utc>) -> Result<Counted> {
    let before = || column(Column::Guesses);
    let mut pause = Expr::case(column(Column::Place).eq(WHOLE).or(before().lt(guess::FREE - 1)), Expr::val(NO_PAUSE));
    for guesses in guess::FREE..guess::LONGEST_FROM {
        pause = pause.case(before().eq(guesses - 1), Expr::val(now + guess::pause(guesses)));
    }
    let pause = pause.finally(Expr::val(now + guess::pause(guess::LONGEST_FROM)));
    let mut conflict = one_more(now).value(Column::BlockedUntil, pause).action_and_where(column(Column::BlockedUntil).lte(now)).to_owned();
    if limited {
        conflict.action_and_where(column(Column::Place).ne(WHOLE).or(before().lt(ACCOUNT_LIMIT)));
    }
    let rows = [row(realm, account, place, now), row(realm, account, WHOLE, now)];
    let mut insert = Entity::insert_many(rows).on_conflict(conflict).into_query();
    insert.returning(Query::returning().columns([Column::Place, Column::Guesses, Column::WelcomeUntil]));
    let mut counted = Counted { place: None, whole: false };
    for row in db.query_all_raw(db.get_database_backend().build(&insert)).await? {
        if row.try_get::<String>("", Column::Place.as_str())? == WHOLE {
            counted.whole = true;
        } else {
            let (guesses, welcome_until) = (row.try_get("", Column::Guesses.as_str())?, row.try_get("", Column::WelcomeUntil.as_str())?);
            counted.place = Some(Count { guesses, welcome_until });
        }
    }
    Ok(counted)
}

/// Counts a guess of a welcome place at the account as a whole, whatever that has had.
///
/// # Errors
/// What the database says.
pub async fn count_whole(db: &impl ConnectionTrait, realm: RealmId, account: &str, now: DateTime<Utc>) -> Result<()> {
    Entity::insert(row(realm, account, WHOLE, now)).on_conflict(one_more(now)).exec_without_returning(db).await?;
    Ok(())
}

fn one_more(now: DateTime<Utc>) -> OnConflict {
    key()
        .value(Column::Attempts, column(Column::Attempts).add(1))
        .value(Column::Guesses, column(Column::Guesses).add(1))
        .value(Column::UpdatedAt, Expr::val(now))
        .to_owned()
}

/// Sets the counts right after a guess that is not looked at: it is an attempt of its place and no guess at all, so that
/// a place has never counted more than its account has of it.
///
/// # Errors
/// What the database says.
pub async fn uncount(db: &impl ConnectionTrait, realm: RealmId, account: &str, place: &str, counted: Counted, now: DateTime<Utc>) -> Result<()> {
    let mut batch = Batch::on(db);
    let less = |place| {
        let update = Entity::update_many().col_expr(Column::Guesses, Expr::col(Column::Guesses).sub(1)).filter(at(realm, account, place));
        update.filter(Column::Guesses.gt(0))
    };
    if counted.place.is_some() {
        batch.add(&less(place));
    } else {
        let attempt = Entity::update_many().col_expr(Column::Attempts, Expr::col(Column::Attempts).add(1)).col_expr(Column::UpdatedAt, Expr::value(now));
        batch.add(&attempt.filter(at(realm, account, place)));
    }
    if counted.whole {
        batch.add(&less(WHOLE));
    }
    batch.run(db).await
}

/// Notes that a mailed link was followed from `place` for `account`, and lifts its pause.
///
/// # Errors
/// What the database says.
pub async fn welcome(db: &impl ConnectionTrait, realm: RealmId, account: &str, place: &str, until: DateTime<Utc>, now: DateTime<Utc>) -> Result<()> {
    let fresh = ActiveModel { attempts: Set(0), guesses: Set(0), welcome_until: Set(Some(until)), ..row(realm, account, place, now) };
    let conflict = key().update_columns([Column::Attempts, Column::Guesses, Column::BlockedUntil, Column::WelcomeUntil, Column::UpdatedAt]).to_owned();
    Entity::insert(fresh).on_conflict(conflict).exec_without_returning(db).await?;
    Ok(())
}

/// Takes back what `place` counted against `account`, there and on the whole, together with other writes: its person is
/// who they say they are (NIST SP 800-63B-4 section 3.2.2). What others counted stays.
pub fn add_forgiveness(batch: &mut Batch, realm: RealmId, account: &str, place: &str, count: Count, now: DateTime<Utc>) {
    if count.welcome_until.is_some_and(|until| until > now) {
        let clean = Entity::update_many().col_expr(Column::Attempts, Expr::value(0)).col_expr(Column::Guesses, Expr::value(0));
        batch.add(&clean.col_expr(Column::BlockedUntil, Expr::value(NO_PAUSE)).filter(at(realm, account, place)));
    } else {
        batch.add(&Entity::delete_many().filter(at(realm, account, place)));
    }
    let rest = Expr::case(Expr::col(Column::Guesses).gt(count.guesses), Expr::col(Column::Guesses).sub(count.guesses)).finally(0);
    batch.add(&Entity::update_many().col_expr(Column::Guesses, rest.into()).filter(at(realm, account, WHOLE)));
}

/// Forgets everything that was counted against an account: what was guessed at is no password any more.
///
/// # Errors
/// What the database says.
pub async fn forget(db: &impl ConnectionTrait, realm: RealmId, account: &str) -> Result<()> {
    Entity::delete_many().filter(Column::RealmId.eq(realm)).filter(Column::AccountKey.eq(account)).exec(db).await?;
    Ok(())
}

/// Deletes counts of places that were quiet since `places`, and of whole accounts quiet since `accounts`.
pub(super) async fn delete_before(db: &impl ConnectionTrait, places: DateTime<Utc>, accounts: DateTime<Utc>) -> Result<u64> {
    let place = Condition::all().add(Column::Place.ne(WHOLE)).add(Column::UpdatedAt.lt(places));
    let account = Condition::all().add(Column::Place.eq(WHOLE)).add(Column::UpdatedAt.lt(accounts));
    Ok(Entity::delete_many().filter(Condition::any().add(place).add(account)).exec(db).await?.rows_affected)
}

//! Counts of password guesses: a row for each account and place, and one for each account as a whole.
//!
//! Every count is one guarded statement, so that a thousand guesses at once are counted as a thousand.

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, ExprTrait as _, QueryFilter as _,
    sea_query::{Expr, OnConflict},
};

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

/// Counts an attempt of `place` at `account` as a wrong guess, which it is until proved otherwise, and answers whether it
/// may be looked at: not while the place has to pause. Each guess that may sets the pause after it.
///
/// # Errors
/// What the database says.
pub async fn admit(db: &impl ConnectionTrait, realm: RealmId, account: &str, place: &str, now: DateTime<Utc>) -> Result<bool> {
    let before = || column(Column::Guesses);
    let mut pause = Expr::case(before().lt(guess::FREE - 1), Expr::val(NO_PAUSE));
    for guesses in guess::FREE..guess::LONGEST_FROM {
        pause = pause.case(before().eq(guesses - 1), Expr::val(now + guess::pause(guesses)));
    }
    let pause = pause.finally(Expr::val(now + guess::pause(guess::LONGEST_FROM)));
    let conflict = key()
        .value(Column::Attempts, column(Column::Attempts).add(1))
        .value(Column::Guesses, before().add(1))
        .value(Column::BlockedUntil, pause)
        .value(Column::UpdatedAt, Expr::val(now))
        .action_and_where(column(Column::BlockedUntil).lte(now))
        .to_owned();
    if Entity::insert(row(realm, account, place, now)).on_conflict(conflict).exec_without_returning(db).await? == 1 {
        return Ok(true);
    }
    let refused = Entity::update_many()
        .col_expr(Column::Attempts, Expr::col(Column::Attempts).add(1))
        .col_expr(Column::UpdatedAt, Expr::value(now))
        .filter(at(realm, account, place));
    refused.exec(db).await?;
    Ok(false)
}

/// Counts a guess at the account as a whole; `false` if it has had as many as it may.
///
/// # Errors
/// What the database says.
pub async fn count_whole_if_room(db: &impl ConnectionTrait, realm: RealmId, account: &str, now: DateTime<Utc>) -> Result<bool> {
    let conflict = whole(now).action_and_where(column(Column::Guesses).lt(ACCOUNT_LIMIT)).to_owned();
    Ok(Entity::insert(row(realm, account, WHOLE, now)).on_conflict(conflict).exec_without_returning(db).await? == 1)
}

/// The same for a place that is let in whatever the account has had.
///
/// # Errors
/// What the database says.
pub async fn count_whole(db: &impl ConnectionTrait, realm: RealmId, account: &str, now: DateTime<Utc>) -> Result<()> {
    Entity::insert(row(realm, account, WHOLE, now)).on_conflict(whole(now)).exec_without_returning(db).await?;
    Ok(())
}

fn whole(now: DateTime<Utc>) -> OnConflict {
    key()
        .value(Column::Attempts, column(Column::Attempts).add(1))
        .value(Column::Guesses, column(Column::Guesses).add(1))
        .value(Column::UpdatedAt, Expr::val(now))
        .to_owned()
}

/// Takes a place's last guess off its count, because it was not looked at after all: a place has never counted more
/// than its account has of it.
///
/// # Errors
/// What the database says.
pub async fn unadmit(db: &impl ConnectionTrait, realm: RealmId, account: &str, place: &str) -> Result<()> {
    let update = Entity::update_many().col_expr(Column::Guesses, Expr::col(Column::Guesses).sub(1)).filter(at(realm, account, place));
    update.filter(Column::Guesses.gt(0)).exec(db).await?;
    Ok(())
}

/// Whether a mailed link was followed from `place` for `account` lately.
///
/// # Errors
/// What the database says.
pub async fn is_welcome(db: &impl ConnectionTrait, realm: RealmId, account: &str, place: &str, now: DateTime<Utc>) -> Result<bool> {
    let query = Entity::find().filter(at(realm, account, place)).filter(Column::WelcomeUntil.gt(now));
    Ok(query.one(db).await?.is_some())
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

/// Takes back what `place` counted against `account`, there and on the whole: its person is who they say they are (NIST SP
/// 800-63B-4 section 3.2.2). What others counted stays.
///
/// # Errors
/// What the database says.
pub async fn forgive(db: &impl ConnectionTrait, realm: RealmId, account: &str, place: &str, now: DateTime<Utc>) -> Result<()> {
    let Some(gone) = Entity::delete_many().filter(at(realm, account, place)).exec_with_returning(db).await?.pop() else { return Ok(()) };
    if let Some(until) = gone.welcome_until.filter(|until| *until > now) {
        welcome(db, realm, account, place, until, now).await?;
    }
    let rest = Expr::case(Expr::col(Column::Guesses).gt(gone.guesses), Expr::col(Column::Guesses).sub(gone.guesses)).finally(0);
    let update = Entity::update_many().col_expr(Column::Guesses, rest.into()).filter(at(realm, account, WHOLE));
    update.exec(db).await?;
    Ok(())
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

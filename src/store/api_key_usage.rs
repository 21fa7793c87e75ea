//! Counts of keys' uses by the hour.

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, ExprTrait as _, QueryFilter as _, QuerySelect as _,
    sea_query::{Alias, Expr, OnConflict},
};

use crate::domain::{
    Result,
    id::{AccountId, ApiKeyId},
    usage::{Outcome, Span},
};

super::entity!("api_key_usage" {
    #[sea_orm(primary_key, auto_increment = false)]
    account_id: AccountId,
    #[sea_orm(primary_key, auto_increment = false)]
    key_id: ApiKeyId,
    #[sea_orm(primary_key, auto_increment = false)]
    hour: Instant,
    #[sea_orm(primary_key, auto_increment = false)]
    outcome: String,
    count: i64,
});
use entity::{ActiveModel, Column, Entity};

/// How often a key met an outcome in an hour.
#[derive(Clone, Copy, Debug)]
pub struct Uses {
    pub account: AccountId,
    pub key: ApiKeyId,
    pub hour: DateTime<Utc>,
    pub outcome: Outcome,
    pub count: i64,
}

/// Rows of one statement: a database takes so many values at once.
const CHUNK: usize = 1_000;

/// Adds to what is counted.
///
/// # Errors
/// What the database says; the caller's transaction sees to it that then nothing was added.
pub async fn add(db: &impl ConnectionTrait, uses: &[Uses]) -> Result<()> {
    let more = Expr::col((Entity, Column::Count)).add(Expr::col((Alias::new("excluded"), Column::Count)));
    let conflict = OnConflict::columns([Column::AccountId, Column::KeyId, Column::Hour, Column::Outcome]).value(Column::Count, more).to_owned();
    for chunk in uses.chunks(CHUNK) {
        let rows = chunk.iter().map(|uses| ActiveModel {
            account_id: Set(uses.account),
            key_id: Set(uses.key),
            hour: Set(uses.hour),
            outcome: Set(uses.outcome.as_str().to_owned()),
            count: Set(uses.count),
        });
        Entity::insert_many(rows).on_conflict(conflict.clone()).exec_without_returning(db).await?;
    }
    Ok(())
}

/// The sum of a column that is a whole number on both databases: Postgres makes a decimal of the sum of big ones.
fn sum() -> sea_orm::sea_query::SimpleExpr {
    Expr::col(Column::Count).sum().cast_as(Alias::new("bigint"))
}

fn of(account: AccountId, key: Option<ApiKeyId>, span: &Span) -> sea_orm::Select<Entity> {
    let query = Entity::find().select_only().filter(Column::AccountId.eq(account)).filter(Column::Hour.gte(span.from)).filter(Column::Hour.lt(span.to));
    match key {
        Some(key) => query.filter(Column::KeyId.eq(key)),
        None => query,
    }
}

fn outcomes<T>(rows: Vec<(T, String, i64)>) -> Result<Vec<(T, Outcome, i64)>> {
    rows.into_iter()
        .map(|(what, word, count)| match Outcome::parse(&word) {
            Some(outcome) => Ok((what, outcome, count)),
            None => Err(super::unknown_word("api_key_usage.outcome", &word)),
        })
        .collect()
}

/// The counts of an account or of one of its keys, by the hour.
///
/// # Errors
/// What the database says.
pub async fn by_hour(db: &impl ConnectionTrait, account: AccountId, key: Option<ApiKeyId>, span: &Span) -> Result<Vec<(DateTime<Utc>, Outcome, i64)>> {
    let query = of(account, key, span).column(Column::Hour).column(Column::Outcome).column_as(sum(), "sum");
    outcomes(query.group_by(Column::Hour).group_by(Column::Outcome).into_tuple().all(db).await?)
}

/// The counts of an account, by its keys.
///
/// # Errors
/// What the database says.
pub async fn by_key(db: &impl ConnectionTrait, account: AccountId, span: &Span) -> Result<Vec<(ApiKeyId, Outcome, i64)>> {
    let query = of(account, None, span).column(Column::KeyId).column(Column::Outcome).column_as(sum(), "sum");
    outcomes(query.group_by(Column::KeyId).group_by(Column::Outcome).into_tuple().all(db).await?)
}

/// Deletes counts of hours before `before`.
pub(super) async fn delete_before(db: &impl ConnectionTrait, before: DateTime<Utc>) -> Result<u64> {
    Ok(Entity::delete_many().filter(Column::Hour.lt(before)).exec(db).await?.rows_affected)
}

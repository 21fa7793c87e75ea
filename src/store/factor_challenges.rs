//! Sign-ins whose first proof was good and that wait for a second factor. Such a row opens nothing: its token is good at the
//! factor's own operations alone.

use chrono::{DateTime, Utc};
use sea_orm::{ActiveValue::Set, ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, sea_query::Expr};

use super::batch::Batch;
use crate::domain::{
    Result,
    factor::CHALLENGE_TRIES,
    id::{FactorChallengeId, RealmId, UserId},
};

super::entity!("factor_challenges" {
    #[sea_orm(primary_key, auto_increment = false)]
    id: FactorChallengeId,
    realm_id: RealmId,
    user_id: UserId,
    user_version: i32,
    token_hash: String,
    purpose: String,
    amr: String,
    tries: i32,
    created_at: Instant,
    expires_at: Instant,
    consumed_at: Option<Instant>,
});
use entity::{ActiveModel, Column, Entity, Model};

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// One of the person's factors.
    Verify,
    /// Their first factor, which the realm requires and they don't have yet.
    Enrol,
}

impl Purpose {
    fn as_str(self) -> &'static str {
        match self {
            Self::Verify => "verify",
            Self::Enrol => "enrol",
        }
    }
}

/// A waiting sign-in.
#[derive(Clone, Debug)]
pub struct Challenge {
    pub id: FactorChallengeId,
    pub realm_id: RealmId,
    pub user_id: UserId,
    /// The version of the user that the first proof was of.
    pub user_version: i32,
    /// SHA-256 of the token's secret, in hex.
    pub token_hash: String,
    pub purpose: Purpose,
    /// How the first proof was made (RFC 8176).
    pub amr: String,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
}

fn challenge(row: Model) -> Result<Challenge> {
    let purpose = [Purpose::Verify, Purpose::Enrol].into_iter().find(|purpose| purpose.as_str() == row.purpose);
    Ok(Challenge {
        id: row.id,
        realm_id: row.realm_id,
        user_id: row.user_id,
        user_version: row.user_version,
        token_hash: row.token_hash,
        purpose: purpose.ok_or_else(|| super::unknown_word("factor_challenges.purpose", &row.purpose))?,
        amr: row.amr,
        created_at: row.created_at,
        expires_at: row.expires_at,
    })
}

/// Writes a waiting sign-in, together with other writes.
pub fn add(batch: &mut Batch, new: &Challenge) {
    let row = ActiveModel {
        id: Set(new.id),
        realm_id: Set(new.realm_id),
        user_id: Set(new.user_id),
        user_version: Set(new.user_version),
        token_hash: Set(new.token_hash.clone()),
        purpose: Set(new.purpose.as_str().to_owned()),
        amr: Set(new.amr.clone()),
        tries: Set(0),
        created_at: Set(new.created_at),
        expires_at: Set(new.expires_at),
        consumed_at: Set(None),
    };
    batch.add(&Entity::insert(row));
}

/// The waiting sign-in of that id and hash, if it still waits and has tries left.
///
/// # Errors
/// What the database says.
pub async fn find_live(db: &impl ConnectionTrait, realm: RealmId, id: FactorChallengeId, hash: &str, now: DateTime<Utc>) -> Result<Option<Challenge>> {
    let query = Entity::find()
        .filter(Column::RealmId.eq(realm))
        .filter(Column::Id.eq(id))
        .filter(Column::TokenHash.eq(hash))
        .filter(Column::ConsumedAt.is_null())
        .filter(Column::ExpiresAt.gt(now))
        .filter(Column::Tries.lt(CHALLENGE_TRIES));
    query.one(db).await?.map(challenge).transpose()
}

/// Counts an answer, before anybody looks at it; `false` if there were too many.
///
/// # Errors
/// What the database says.
pub async fn count_try(db: &impl ConnectionTrait, realm: RealmId, id: FactorChallengeId) -> Result<bool> {
    let update = Entity::update_many().filter(Column::RealmId.eq(realm)).filter(Column::Id.eq(id)).filter(Column::ConsumedAt.is_null());
    super::primitive::increment_if(db, update, Column::Tries, CHALLENGE_TRIES).await
}

/// Ends the waiting: `true` for one caller alone.
///
/// # Errors
/// What the database says.
pub async fn consume(db: &impl ConnectionTrait, realm: RealmId, id: FactorChallengeId, now: DateTime<Utc>) -> Result<bool> {
    let update = Entity::update_many()
        .col_expr(Column::ConsumedAt, Expr::value(now))
        .filter(Column::RealmId.eq(realm))
        .filter(Column::Id.eq(id))
        .filter(Column::ConsumedAt.is_null())
        .filter(Column::ExpiresAt.gt(now));
    Ok(super::primitive::consume_once(db, update).await?.is_some())
}

/// Ends all waiting of a user: what they proved may be another's by now.
///
/// # Errors
/// What the database says.
pub async fn kill_all(db: &impl ConnectionTrait, realm: RealmId, user: UserId, now: DateTime<Utc>) -> Result<()> {
    let update = Entity::update_many()
        .col_expr(Column::ConsumedAt, Expr::value(now))
        .filter(Column::RealmId.eq(realm))
        .filter(Column::UserId.eq(user))
        .filter(Column::ConsumedAt.is_null());
    update.exec(db).await?;
    Ok(())
}

/// Deletes what waited until `before`.
pub(super) async fn delete_before(db: &impl ConnectionTrait, before: DateTime<Utc>) -> Result<u64> {
    Ok(Entity::delete_many().filter(Column::ExpiresAt.lt(before)).exec(db).await?.rows_affected)
}

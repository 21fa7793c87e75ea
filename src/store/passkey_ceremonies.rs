//! Questions to authenticators that wait for their answer. Each is good for one, where it was asked.

use chrono::{DateTime, Utc};
use sea_orm::{ActiveValue::Set, ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, sea_query::Expr};
use uuid::Uuid;

use crate::domain::{
    Result,
    id::{CeremonyId, RealmId, UserId},
};

super::entity!("passkey_ceremonies" {
    #[sea_orm(primary_key, auto_increment = false)]
    id: CeremonyId,
    realm_id: RealmId,
    user_id: Option<UserId>,
    kind: String,
    bound_to: Option<Uuid>,
    state: String,
    created_at: Instant,
    expires_at: Instant,
    consumed_at: Option<Instant>,
});
use entity::{ActiveModel, Column, Entity};

/// What an answer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A new passkey.
    Register,
    /// A sign-in by somebody who is not known yet.
    SignIn,
    /// The second factor of a sign-in.
    Factor,
    /// A fresh proof in a session.
    StepUp,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::SignIn => "sign_in",
            Self::Factor => "factor",
            Self::StepUp => "step_up",
        }
    }
}

/// A question.
#[derive(Clone, Debug)]
pub struct Ceremony {
    pub id: CeremonyId,
    pub realm_id: RealmId,
    /// Whom it is asked, if that is known.
    pub user_id: Option<UserId>,
    pub kind: Kind,
    /// The session or the waiting sign-in that it was asked in.
    pub bound_to: Option<Uuid>,
    /// The challenge and what goes with it, as JSON.
    pub state: String,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
}

/// Writes a question.
///
/// # Errors
/// What the database says.
pub async fn insert(db: &impl ConnectionTrait, new: &Ceremony) -> Result<()> {
    let row = ActiveModel {
        id: Set(new.id),
        realm_id: Set(new.realm_id),
        user_id: Set(new.user_id),
        kind: Set(new.kind.as_str().to_owned()),
        bound_to: Set(new.bound_to),
        state: Set(new.state.clone()),
        created_at: Set(new.created_at),
        expires_at: Set(new.expires_at),
        consumed_at: Set(None),
    };
    Entity::insert(row).exec_without_returning(db).await?;
    Ok(())
}

/// Takes a question of that kind, asked of `user` in `bound_to`, for its one answer, and tells its state.
///
/// # Errors
/// What the database says.
pub async fn consume(
    db: &impl ConnectionTrait,
    realm: RealmId,
    id: CeremonyId,
    kind: Kind,
    (user, bound_to): (Option<UserId>, Option<Uuid>),
    now: DateTime<Utc>,
) -> Result<Option<String>> {
    let update = Entity::update_many()
        .col_expr(Column::ConsumedAt, Expr::value(now))
        .filter(Column::RealmId.eq(realm))
        .filter(Column::Id.eq(id))
        .filter(Column::Kind.eq(kind.as_str()))
        .filter(user.map_or_else(|| Column::UserId.is_null(), |user| Column::UserId.eq(user)))
        .filter(bound_to.map_or_else(|| Column::BoundTo.is_null(), |bound_to| Column::BoundTo.eq(bound_to)))
        .filter(Column::ConsumedAt.is_null())
        .filter(Column::ExpiresAt.gt(now));
    Ok(super::primitive::consume_once(db, update).await?.map(|row| row.state))
}

/// Deletes questions that waited until `before`.
pub(super) async fn delete_before(db: &impl ConnectionTrait, before: DateTime<Utc>) -> Result<u64> {
    Ok(Entity::delete_many().filter(Column::ExpiresAt.lt(before)).exec(db).await?.rows_affected)
}

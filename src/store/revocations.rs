//! What other nodes must forget: an ever-growing table that each of them follows by its sequence.

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use uuid::Uuid;

use super::batch::Batch;
use crate::domain::{
    Result,
    id::{RealmId, SessionId},
    session::EndReason,
};

super::entity!("revocations" {
    #[sea_orm(primary_key)]
    seq: i64,
    realm_id: RealmId,
    kind: String,
    subject_id: Uuid,
    reason: String,
    created_at: Instant,
});
use entity::{ActiveModel, Column, Entity};

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevocationKind {
    /// A session is over; the reason is an [`EndReason`].
    Session,
    /// Something about a user changed.
    User,
    /// Something about a realm changed.
    Realm,
    /// Something about an account changed.
    Account,
    /// Something about an API key changed.
    ApiKey,
    /// An opaque token of another dialect is over.
    HeldToken,
    /// A plan changed; whoever is on it is not listed.
    Plan,
}

impl RevocationKind {
    const ALL: [Self; 7] = [Self::Session, Self::User, Self::Realm, Self::Account, Self::ApiKey, Self::HeldToken, Self::Plan];

    fn as_str(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::User => "user",
            Self::Realm => "realm",
            Self::Account => "account",
            Self::ApiKey => "api_key",
            Self::HeldToken => "opaque_token",
            Self::Plan => "plan",
        }
    }
}

/// A line.
#[derive(Clone, Debug)]
pub struct Revocation {
    pub seq: i64,
    pub realm_id: RealmId,
    pub kind: RevocationKind,
    pub subject: Uuid,
    pub reason: String,
}

fn row(realm: RealmId, kind: RevocationKind, subject: Uuid, reason: &str, now: DateTime<Utc>) -> ActiveModel {
    ActiveModel {
        seq: NotSet,
        realm_id: Set(realm),
        kind: Set(kind.as_str().to_owned()),
        subject_id: Set(subject),
        reason: Set(reason.to_owned()),
        created_at: Set(now),
    }
}

/// Adds a line.
///
/// # Errors
/// What the database says.
pub async fn insert(db: &impl ConnectionTrait, realm: RealmId, kind: RevocationKind, subject: Uuid, reason: &str, now: DateTime<Utc>) -> Result<()> {
    Entity::insert(row(realm, kind, subject, reason, now)).exec_without_returning(db).await?;
    Ok(())
}

/// Adds a line a session.
///
/// # Errors
/// What the database says.
pub async fn insert_sessions(db: &impl ConnectionTrait, realm: RealmId, sessions: &[SessionId], reason: EndReason, now: DateTime<Utc>) -> Result<()> {
    let mut batch = Batch::on(db);
    add_sessions(&mut batch, realm, sessions, reason, now);
    batch.run(db).await
}

/// Adds a line a session together with other writes.
pub fn add_sessions(batch: &mut Batch, realm: RealmId, sessions: &[SessionId], reason: EndReason, now: DateTime<Utc>) {
    if !sessions.is_empty() {
        batch.add(&Entity::insert_many(sessions.iter().map(|id| row(realm, RevocationKind::Session, id.0, reason.as_str(), now))));
    }
}

/// Lines after `after`, in their order. Of every realm: a node serves them all.
///
/// # Errors
/// What the database says.
pub async fn since(db: &impl ConnectionTrait, after: i64, limit: u64) -> Result<Vec<Revocation>> {
    let rows = Entity::find().filter(Column::Seq.gt(after)).order_by_asc(Column::Seq).limit(limit).all(db).await?;
    // A kind that a newer version writes means nothing to this one's caches.
    let kind = |word: &str| RevocationKind::ALL.into_iter().find(|kind| kind.as_str() == word);
    let line = |row: entity::Model| {
        let kind = kind(&row.kind)?;
        Some(Revocation { seq: row.seq, realm_id: row.realm_id, kind, subject: row.subject_id, reason: row.reason })
    };
    Ok(rows.into_iter().filter_map(line).collect())
}

/// The last line's number, 0 if there is none.
///
/// # Errors
/// What the database says.
pub async fn latest_seq(db: &impl ConnectionTrait) -> Result<i64> {
    let last = Entity::find().select_only().column(Column::Seq).order_by_desc(Column::Seq).limit(1).into_tuple::<i64>().one(db).await?;
    Ok(last.unwrap_or_default())
}

/// Deletes lines made before `before`.
pub(super) async fn delete_before(db: &impl ConnectionTrait, before: DateTime<Utc>) -> Result<u64> {
    Ok(Entity::delete_many().filter(Column::CreatedAt.lt(before)).exec(db).await?.rows_affected)
}

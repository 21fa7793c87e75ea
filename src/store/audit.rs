//! The audit trail: lines are added and never changed, but for the addresses of who was erased.

use chrono::{DateTime, Utc};
use sea_orm::{ActiveValue::Set, ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, QueryFilter as _, QueryOrder as _, sea_query::Expr};

use super::batch::Batch;
use crate::domain::{
    Result,
    event::{Actor, Event, PastEvent},
    id::{ApiKeyId, EventId, RealmId, SessionId, UserId},
};

super::entity!("audit_events" {
    #[sea_orm(primary_key, auto_increment = false)]
    id: EventId,
    realm_id: Option<RealmId>,
    account_id: Option<AccountId>,
    actor_kind: String,
    actor_user_id: Option<UserId>,
    actor_session_id: Option<SessionId>,
    actor_key_id: Option<ApiKeyId>,
    action: String,
    subject_user_id: Option<UserId>,
    target_id: Option<Uuid>,
    ip: String,
    request_id: String,
    created_at: Instant,
});
use entity::{ActiveModel, Column, Entity};

/// Adds a line.
///
/// # Errors
/// What the database says.
pub async fn insert(db: &impl ConnectionTrait, id: EventId, event: &Event, now: DateTime<Utc>) -> Result<()> {
    let mut batch = Batch::on(db);
    add(&mut batch, id, event, now);
    batch.run(db).await
}

/// Adds a line together with other writes.
pub fn add(batch: &mut Batch, id: EventId, event: &Event, now: DateTime<Utc>) {
    let (kind, user, session, key): (_, Option<UserId>, Option<SessionId>, Option<ApiKeyId>) = match event.actor {
        Actor::Anonymous => ("anonymous", None, None, None),
        Actor::User(user, session) => ("user", Some(user), Some(session), None),
        Actor::Key(key) => ("api_key", None, None, Some(key)),
        Actor::Holder(user) => ("user", Some(user), None, None),
        Actor::Operator => ("operator", None, None, None),
    };
    let row = ActiveModel {
        id: Set(id),
        realm_id: Set(event.realm_id),
        account_id: Set(event.account_id),
        actor_kind: Set(kind.to_owned()),
        actor_user_id: Set(user),
        actor_session_id: Set(session),
        actor_key_id: Set(key),
        action: Set(event.action.as_str().to_owned()),
        subject_user_id: Set(event.subject),
        target_id: Set(event.target),
        ip: Set(event.ip.clone()),
        request_id: Set(event.request_id.clone()),
        created_at: Set(now),
    };
    batch.add(&Entity::insert(row));
}

fn about(realm: RealmId, user: UserId) -> Condition {
    let either = Condition::any().add(Column::SubjectUserId.eq(user)).add(Column::ActorUserId.eq(user));
    Condition::all().add(Column::RealmId.eq(realm)).add(either)
}

/// What a user did and what was done to them, newest first.
///
/// # Errors
/// What the database says.
pub async fn list_for_user(db: &impl ConnectionTrait, realm: RealmId, user: UserId) -> Result<Vec<PastEvent>> {
    let rows = Entity::find().filter(about(realm, user)).order_by_desc(Column::CreatedAt).order_by_desc(Column::Id).all(db).await?;
    let event =
        |row: entity::Model| PastEvent { id: row.id, action: row.action, actor: row.actor_kind, ip: row.ip, request_id: row.request_id, at: row.created_at };
    Ok(rows.into_iter().map(event).collect())
}

/// Takes the network addresses out of a user's lines: what is left names them by an id alone.
///
/// # Errors
/// What the database says.
pub async fn forget_addresses_of(db: &impl ConnectionTrait, realm: RealmId, user: UserId) -> Result<()> {
    Entity::update_many().col_expr(Column::Ip, Expr::value("")).filter(about(realm, user)).exec(db).await?;
    Ok(())
}

//! Requests for mails by people who may be strangers; the worker looks up what is due.

use chrono::{DateTime, Utc};
use sea_orm::{ActiveValue::Set, ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _};

use crate::domain::{
    Result,
    email::Email,
    id::{MailRequestId, RealmId},
    token::Purpose,
};

super::entity!("mail_requests" {
    #[sea_orm(primary_key, auto_increment = false)]
    id: MailRequestId,
    realm_id: RealmId,
    purpose: String,
    email: String,
    ip: String,
    user_agent: String,
    created_at: Instant,
});
use entity::{ActiveModel, Column, Entity};

/// A request's row.
#[derive(Clone, Debug)]
pub struct MailRequest {
    pub id: MailRequestId,
    pub realm_id: RealmId,
    pub purpose: Purpose,
    pub email: Email,
    pub ip: String,
    pub user_agent: String,
    pub created_at: DateTime<Utc>,
}

/// Writes a request.
///
/// # Errors
/// What the database says.
pub async fn insert(db: &impl ConnectionTrait, realm: RealmId, request: &MailRequest) -> Result<()> {
    let row = ActiveModel {
        id: Set(request.id),
        realm_id: Set(realm),
        purpose: Set(request.purpose.as_str().to_owned()),
        email: Set(request.email.as_str().to_owned()),
        ip: Set(request.ip.clone()),
        user_agent: Set(request.user_agent.chars().take(512).collect()),
        created_at: Set(request.created_at),
    };
    Entity::insert(row).exec_without_returning(db).await?;
    Ok(())
}

/// The request of that id.
///
/// # Errors
/// What the database says.
pub async fn find(db: &impl ConnectionTrait, realm: RealmId, id: MailRequestId) -> Result<Option<MailRequest>> {
    Entity::find().filter(Column::RealmId.eq(realm)).filter(Column::Id.eq(id)).one(db).await?.map(request).transpose()
}

/// What waits for an address.
///
/// # Errors
/// What the database says.
pub async fn list(db: &impl ConnectionTrait, realm: RealmId, email: &Email) -> Result<Vec<MailRequest>> {
    let rows = Entity::find().filter(Column::RealmId.eq(realm)).filter(Column::Email.eq(email.as_str())).all(db).await?;
    rows.into_iter().map(request).collect()
}

/// Deletes what waits for an address.
///
/// # Errors
/// What the database says.
pub async fn delete_of(db: &impl ConnectionTrait, realm: RealmId, email: &Email) -> Result<()> {
    Entity::delete_many().filter(Column::RealmId.eq(realm)).filter(Column::Email.eq(email.as_str())).exec(db).await?;
    Ok(())
}

fn request(row: entity::Model) -> Result<MailRequest> {
    Ok(MailRequest {
        id: row.id,
        realm_id: row.realm_id,
        purpose: Purpose::parse(&row.purpose).ok_or_else(|| super::unknown_word("mail_requests.purpose", &row.purpose))?,
        email: Email::from_stored(row.email),
        ip: row.ip,
        user_agent: row.user_agent,
        created_at: row.created_at,
    })
}

/// Deletes an answered request.
///
/// # Errors
/// What the database says.
pub async fn delete(db: &impl ConnectionTrait, realm: RealmId, id: MailRequestId) -> Result<()> {
    Entity::delete_many().filter(Column::RealmId.eq(realm)).filter(Column::Id.eq(id)).exec(db).await?;
    Ok(())
}

/// Deletes requests made before `before`.
pub(super) async fn delete_before(db: &impl ConnectionTrait, before: DateTime<Utc>) -> Result<u64> {
    Ok(Entity::delete_many().filter(Column::CreatedAt.lt(before)).exec(db).await?.rows_affected)
}

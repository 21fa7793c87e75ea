//! Mails of the built-in mailbox, which stands in for a mail server while none is configured.

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _, sea_query::OnConflict,
};

use crate::domain::{
    Result,
    email::Email,
    id::{MailId, RealmId},
};

super::entity!("mailbox" {
    #[sea_orm(primary_key, auto_increment = false)]
    id: MailId,
    realm_id: RealmId,
    recipient: String,
    sender: String,
    subject: String,
    text: String,
    html: String,
    message_id: String,
    created_at: Instant,
});
use entity::{ActiveModel, Column, Entity};

/// A mail.
#[derive(Clone, Debug)]
pub struct MailRow {
    pub id: MailId,
    pub realm_id: RealmId,
    pub recipient: String,
    pub sender: String,
    pub subject: String,
    pub text: String,
    pub html: String,
    pub message_id: String,
    pub created_at: DateTime<Utc>,
}

/// Keeps a mail, once: the same message delivered again changes nothing.
///
/// # Errors
/// What the database says.
pub async fn insert_if_absent(db: &impl ConnectionTrait, mail: &MailRow) -> Result<()> {
    let row = ActiveModel {
        id: Set(mail.id),
        realm_id: Set(mail.realm_id),
        recipient: Set(mail.recipient.clone()),
        sender: Set(mail.sender.clone()),
        subject: Set(mail.subject.clone()),
        text: Set(mail.text.clone()),
        html: Set(mail.html.clone()),
        message_id: Set(mail.message_id.clone()),
        created_at: Set(mail.created_at),
    };
    let conflict = OnConflict::new().do_nothing().to_owned();
    Entity::insert(row).on_conflict(conflict).exec_without_returning(db).await?;
    Ok(())
}

/// Mails, newest first, to one recipient or to all. Of every realm: the mailbox is a tool of the developer at the
/// machine, and does not exist in production.
///
/// # Errors
/// What the database says.
pub async fn list(db: &impl ConnectionTrait, to: Option<&str>, limit: u64) -> Result<Vec<MailRow>> {
    let mut query = Entity::find().order_by_desc(Column::CreatedAt).order_by_desc(Column::Id).limit(limit);
    if let Some(to) = to {
        query = query.filter(Column::Recipient.eq(to));
    }
    let mail = |row: entity::Model| MailRow {
        id: row.id,
        realm_id: row.realm_id,
        recipient: row.recipient,
        sender: row.sender,
        subject: row.subject,
        text: row.text,
        html: row.html,
        message_id: row.message_id,
        created_at: row.created_at,
    };
    Ok(query.all(db).await?.into_iter().map(mail).collect())
}

/// Deletes a person's mails of one realm.
///
/// # Errors
/// What the database says.
pub async fn delete_of(db: &impl ConnectionTrait, realm: RealmId, email: &Email) -> Result<()> {
    Entity::delete_many().filter(Column::RealmId.eq(realm)).filter(Column::Recipient.eq(email.as_str())).exec(db).await?;
    Ok(())
}

/// Deletes mails made before `before`.
pub(super) async fn delete_before(db: &impl ConnectionTrait, before: DateTime<Utc>) -> Result<u64> {
    Ok(Entity::delete_many().filter(Column::CreatedAt.lt(before)).exec(db).await?.rows_affected)
}

//! Passkeys: the public halves, and the count of signatures that each has made.

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, PaginatorTrait as _, QueryFilter as _, QueryOrder as _,
    sea_query::{Expr, OnConflict},
};

use crate::domain::{
    Result,
    id::{PasskeyId, RealmId, UserId},
};

super::entity!("passkeys" {
    #[sea_orm(primary_key, auto_increment = false)]
    id: PasskeyId,
    realm_id: RealmId,
    user_id: UserId,
    credential_id: String,
    credential: String,
    sign_count: i64,
    name: String,
    backed_up: bool,
    created_at: Instant,
    last_used_at: Option<Instant>,
});
use entity::{ActiveModel, Model};
pub(super) use entity::{Column, Entity};

/// A passkey's row.
#[derive(Clone, Debug)]
pub struct Passkey {
    pub id: PasskeyId,
    pub realm_id: RealmId,
    pub user_id: UserId,
    /// The authenticator's own id of it, in base64url.
    pub credential_id: String,
    /// Public key and what else the verification needs, as JSON.
    pub credential: String,
    pub sign_count: u32,
    /// What its person calls it.
    pub name: String,
    /// Whether it is kept at more than one place.
    pub backed_up: bool,
    pub created_at: DateTime<Utc>,
    pub last_used_at: Option<DateTime<Utc>>,
}

fn passkey(row: Model) -> Passkey {
    Passkey {
        id: row.id,
        realm_id: row.realm_id,
        user_id: row.user_id,
        credential_id: row.credential_id,
        credential: row.credential,
        sign_count: u32::try_from(row.sign_count).unwrap_or_default(),
        name: row.name,
        backed_up: row.backed_up,
        created_at: row.created_at,
        last_used_at: row.last_used_at,
    }
}

/// Writes a passkey unless somebody of the realm has it already; `false` if so.
///
/// # Errors
/// What the database says.
pub async fn insert_if_absent(db: &impl ConnectionTrait, new: &Passkey) -> Result<bool> {
    let row = ActiveModel {
        id: Set(new.id),
        realm_id: Set(new.realm_id),
        user_id: Set(new.user_id),
        credential_id: Set(new.credential_id.clone()),
        credential: Set(new.credential.clone()),
        sign_count: Set(i64::from(new.sign_count)),
        name: Set(new.name.clone()),
        backed_up: Set(new.backed_up),
        created_at: Set(new.created_at),
        last_used_at: Set(new.last_used_at),
    };
    let conflict = OnConflict::columns([Column::RealmId, Column::CredentialId]).do_nothing().to_owned();
    Ok(Entity::insert(row).on_conflict(conflict).exec_without_returning(db).await? == 1)
}

/// A user's passkeys, oldest first.
///
/// # Errors
/// What the database says.
pub async fn list(db: &impl ConnectionTrait, realm: RealmId, user: UserId) -> Result<Vec<Passkey>> {
    let query = Entity::find().filter(Column::RealmId.eq(realm)).filter(Column::UserId.eq(user)).order_by_asc(Column::Id);
    Ok(query.all(db).await?.into_iter().map(passkey).collect())
}

/// How many passkeys a user has.
///
/// # Errors
/// What the database says.
pub async fn count(db: &impl ConnectionTrait, realm: RealmId, user: UserId) -> Result<u64> {
    Ok(Entity::find().filter(Column::RealmId.eq(realm)).filter(Column::UserId.eq(user)).count(db).await?)
}

/// The passkey that an authenticator calls so.
///
/// # Errors
/// What the database says.
pub async fn find_by_credential(db: &impl ConnectionTrait, realm: RealmId, credential_id: &str) -> Result<Option<Passkey>> {
    let query = Entity::find().filter(Column::RealmId.eq(realm)).filter(Column::CredentialId.eq(credential_id));
    Ok(query.one(db).await?.map(passkey))
}

/// Notes that a passkey signed for the `sign_count`th time; `false` if it did so before, which only a copy of it can have
/// done (WebAuthn section 6.1.1). Authenticators that don't count always say 0.
///
/// # Errors
/// What the database says.
pub async fn use_if_newer(db: &impl ConnectionTrait, realm: RealmId, id: PasskeyId, sign_count: u32, backed_up: bool, now: DateTime<Utc>) -> Result<bool> {
    let count = i64::from(sign_count);
    let newer = Condition::any().add(Column::SignCount.lt(count)).add(if count == 0 { Column::SignCount.eq(0) } else { Expr::val(false) });
    let update = Entity::update_many()
        .col_expr(Column::SignCount, Expr::value(count))
        .col_expr(Column::BackedUp, Expr::value(backed_up))
        .col_expr(Column::LastUsedAt, Expr::value(now))
        .filter(Column::RealmId.eq(realm))
        .filter(Column::Id.eq(id))
        .filter(newer);
    Ok(super::primitive::consume_once(db, update).await?.is_some())
}

/// Names a user's passkey and answers it.
///
/// # Errors
/// What the database says.
pub async fn rename(db: &impl ConnectionTrait, realm: RealmId, user: UserId, id: PasskeyId, name: &str) -> Result<Option<Passkey>> {
    let update = Entity::update_many()
        .col_expr(Column::Name, Expr::value(name))
        .filter(Column::RealmId.eq(realm))
        .filter(Column::UserId.eq(user))
        .filter(Column::Id.eq(id));
    Ok(super::primitive::consume_once(db, update).await?.map(passkey))
}

/// Deletes a user's passkey; `false` if they have no such.
///
/// # Errors
/// What the database says.
pub async fn delete(db: &impl ConnectionTrait, realm: RealmId, user: UserId, id: PasskeyId) -> Result<bool> {
    let own = Entity::delete_many().filter(Column::RealmId.eq(realm)).filter(Column::UserId.eq(user)).filter(Column::Id.eq(id));
    Ok(own.exec(db).await?.rows_affected == 1)
}

/// Deletes those of a user's passkeys that were added at `since` or later, and answers how many.
///
/// # Errors
/// What the database says.
pub async fn delete_since(db: &impl ConnectionTrait, realm: RealmId, user: UserId, since: DateTime<Utc>) -> Result<u64> {
    let own = Entity::delete_many().filter(Column::RealmId.eq(realm)).filter(Column::UserId.eq(user)).filter(Column::CreatedAt.gte(since));
    Ok(own.exec(db).await?.rows_affected)
}

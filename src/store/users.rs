//! People.

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, ExprTrait as _, FromQueryResult as _, JoinType, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    QueryTrait as _,
    sea_query::{Expr, IntoCondition as _, LockType, OnConflict, Query, SelectStatement},
};

use super::{
    credentials::{self, CredentialColumn},
    devices::{self, Places},
    factors,
};
use crate::domain::{
    Result,
    credential::CredentialKind,
    email::Email,
    factor::Factors,
    id::{RealmId, UserId},
    language::Language,
    user::{Profile, User, UserStatus},
};

super::entity!("users" {
    #[sea_orm(primary_key, auto_increment = false)]
    id: UserId,
    realm_id: RealmId,
    email: Option<String>,
    name: String,
    company: Option<String>,
    country: Option<String>,
    phone: Option<String>,
    locale: Option<String>,
    email_verified_at: Option<Instant>,
    status: String,
    version: i32,
    created_at: Instant,
    updated_at: Instant,
});
use entity::{ActiveModel, Column, Entity, Model};

/// A user to be.
#[derive(Clone, Debug)]
pub struct NewUser {
    pub id: UserId,
    pub email: Email,
    pub name: String,
    pub company: Option<String>,
    pub country: Option<String>,
    pub phone: Option<String>,
    pub email_verified_at: Option<DateTime<Utc>>,
}

/// Changes of a profile: an outer `None` leaves a column alone, an inner one clears it.
#[derive(Clone, Debug, Default)]
pub struct ProfilePatch {
    pub name: Option<String>,
    pub company: Option<Option<String>>,
    pub country: Option<Option<String>>,
    pub phone: Option<Option<String>>,
    pub locale: Option<Option<Language>>,
}

fn user(row: Model) -> Result<User> {
    Ok(User {
        id: row.id,
        realm_id: row.realm_id,
        email: Email::from_stored(row.email.unwrap_or_default()),
        name: row.name,
        company: row.company,
        country: row.country,
        phone: row.phone,
        locale: row.locale.as_deref().and_then(Language::parse),
        email_verified_at: row.email_verified_at,
        status: UserStatus::parse(&row.status).ok_or_else(|| super::unknown_word("users.status", &row.status))?,
        version: row.version,
        created_at: row.created_at,
        updated_at: row.updated_at,
    })
}

fn one(realm: RealmId, id: UserId) -> sea_orm::Select<Entity> {
    Entity::find().filter(Column::RealmId.eq(realm)).filter(Column::Id.eq(id))
}

fn update(realm: RealmId, id: UserId) -> sea_orm::UpdateMany<Entity> {
    Entity::update_many().filter(Column::RealmId.eq(realm)).filter(Column::Id.eq(id))
}

/// Writes a user unless the address is in use in the realm; `false` if it is.
///
/// # Errors
/// What the database says.
pub async fn insert_if_absent(db: &impl ConnectionTrait, realm: RealmId, new: &NewUser, now: DateTime<Utc>) -> Result<bool> {
    let row = ActiveModel {
        id: Set(new.id),
        realm_id: Set(realm),
        email: Set(Some(new.email.as_str().to_owned())),
        name: Set(new.name.clone()),
        company: Set(new.company.clone()),
        country: Set(new.country.clone()),
        phone: Set(new.phone.clone()),
        locale: Set(None),
        email_verified_at: Set(new.email_verified_at),
        status: Set(UserStatus::Active.as_str().to_owned()),
        version: Set(1),
        created_at: Set(now),
        updated_at: Set(now),
    };
    let conflict = OnConflict::columns([Column::RealmId, Column::Email]).do_nothing().to_owned();
    Ok(Entity::insert(row).on_conflict(conflict).exec_without_returning(db).await? == 1)
}

/// The user of that id.
///
/// # Errors
/// What the database says.
pub async fn find(db: &impl ConnectionTrait, realm: RealmId, id: UserId) -> Result<Option<User>> {
    one(realm, id).one(db).await?.map(user).transpose()
}

/// The user of that address.
///
/// # Errors
/// What the database says.
pub async fn find_by_email(db: &impl ConnectionTrait, realm: RealmId, email: &Email) -> Result<Option<User>> {
    let query = Entity::find().filter(Column::RealmId.eq(realm)).filter(Column::Email.eq(email.as_str()));
    query.one(db).await?.map(user).transpose()
}

/// What a login has to know of its user.
#[derive(Debug)]
pub struct ForLogin {
    pub user: User,
    pub password: Option<String>,
    pub places: Places,
    pub factors: Factors,
}

/// The user of that address with what else a login from a device of that name and network needs, in one read.
///
/// # Errors
/// What the database says.
pub async fn find_for_login(db: &impl ConnectionTrait, realm: RealmId, email: &Email, name: &str, network: &str) -> Result<Option<ForLogin>> {
    let password = Entity::belongs_to(credentials::Entity)
        .from((Column::RealmId, Column::Id))
        .to((CredentialColumn::RealmId, CredentialColumn::UserId))
        .on_condition(|_, credential| Expr::col((credential, CredentialColumn::Kind)).eq(CredentialKind::Password.as_str()).into_condition());
    let mut query = Entity::find().join(JoinType::LeftJoin, password.into()).column_as(CredentialColumn::Secret, "password");
    for (count, alias) in devices::counted(realm, Expr::col((Entity, Column::Id)), name, network) {
        query = query.expr_as(Expr::from(count), alias);
    }
    for (count, alias) in factors::counted(realm, Expr::col((Entity, Column::Id))) {
        query = query.expr_as(Expr::from(count), alias);
    }
    let query = query.filter(Column::RealmId.eq(realm)).filter(Column::Email.eq(email.as_str()));
    let Some(row) = db.query_one_raw(query.build(db.get_database_backend())).await? else { return Ok(None) };
    let (password, places, factors) = (row.try_get("", "password")?, devices::read_places(&row)?, factors::read(&row)?);
    Ok(Some(ForLogin { user: user(Model::from_query_result(&row, "")?)?, password, places, factors }))
}

/// The user with their places in accounts.
///
/// # Errors
/// What the database says.
pub async fn profile(db: &impl ConnectionTrait, realm: RealmId, id: UserId) -> Result<Option<Profile>> {
    match find(db, realm, id).await? {
        Some(user) => Ok(Some(Profile { memberships: super::memberships::list_for_user(db, realm, id).await?, user })),
        None => Ok(None),
    }
}

/// Marks the address as proved; `false` if it was already.
///
/// # Errors
/// What the database says.
pub async fn mark_verified(db: &impl ConnectionTrait, realm: RealmId, id: UserId, now: DateTime<Utc>) -> Result<bool> {
    let update = update(realm, id).filter(Column::EmailVerifiedAt.is_null());
    let update = update.col_expr(Column::EmailVerifiedAt, Expr::value(now)).col_expr(Column::UpdatedAt, Expr::value(now));
    Ok(update.exec(db).await?.rows_affected == 1)
}

/// Locks or unlocks, and makes every older proof of the user worthless.
///
/// # Errors
/// What the database says.
pub async fn set_status(db: &impl ConnectionTrait, realm: RealmId, id: UserId, status: UserStatus, now: DateTime<Utc>) -> Result<bool> {
    let update = update(realm, id)
        .col_expr(Column::Status, Expr::value(status.as_str()))
        .col_expr(Column::Version, Expr::col(Column::Version).add(1))
        .col_expr(Column::UpdatedAt, Expr::value(now));
    Ok(update.exec(db).await?.rows_affected == 1)
}

/// Makes every older proof of the user worthless if nobody did since `expected` was read; `false` if somebody did.
///
/// # Errors
/// What the database says.
pub async fn bump_version_if(db: &impl ConnectionTrait, realm: RealmId, id: UserId, expected: i32, now: DateTime<Utc>) -> Result<bool> {
    let update = update(realm, id)
        .filter(Column::Version.eq(expected))
        .col_expr(Column::Version, Expr::value(expected + 1))
        .col_expr(Column::UpdatedAt, Expr::value(now));
    Ok(update.exec(db).await?.rows_affected == 1)
}

/// Holds the user's row until the transaction ends, if the user is active and still of that version. Changes nothing:
/// the update is there for its guard and its row lock, which both databases understand.
///
/// # Errors
/// What the database says.
pub async fn touch_if_active(db: &impl ConnectionTrait, realm: RealmId, id: UserId, version: i32) -> Result<bool> {
    let update = update(realm, id)
        .filter(Column::Version.eq(version))
        .filter(Column::Status.eq(UserStatus::Active.as_str()))
        .col_expr(Column::Version, Expr::value(version));
    Ok(update.exec(db).await?.rows_affected == 1)
}

/// The same as the guard of another statement, which selects nothing without it. SQLite needs no lock, it has one writer.
pub(super) fn held_if_active(realm: RealmId, id: UserId, version: i32) -> SelectStatement {
    let mut query = Query::select();
    query.from(Entity).and_where(Column::RealmId.eq(realm)).and_where(Column::Id.eq(id)).and_where(Column::Version.eq(version));
    query.and_where(Column::Status.eq(UserStatus::Active.as_str())).lock(LockType::NoKeyUpdate).take()
}

/// Changes a profile; `false` if there is no such user.
///
/// # Errors
/// What the database says.
pub async fn update_profile(db: &impl ConnectionTrait, realm: RealmId, id: UserId, patch: &ProfilePatch, now: DateTime<Utc>) -> Result<bool> {
    let mut update = update(realm, id).col_expr(Column::UpdatedAt, Expr::value(now));
    if let Some(name) = &patch.name {
        update = update.col_expr(Column::Name, Expr::value(name.clone()));
    }
    if let Some(locale) = patch.locale {
        update = update.col_expr(Column::Locale, Expr::value(locale.map(Language::tag)));
    }
    for (column, value) in [(Column::Company, &patch.company), (Column::Country, &patch.country), (Column::Phone, &patch.phone)] {
        if let Some(value) = value {
            update = update.col_expr(column, Expr::value(value.clone()));
        }
    }
    Ok(update.exec(db).await?.rows_affected == 1)
}

/// Puts another address, which is proved, in the place of the old one and makes every older proof of the user worthless;
/// `false` if the user is not of that version any more.
///
/// # Errors
/// [`crate::domain::Error::Taken`] if somebody else has the address; what the database says.
pub async fn put_email_if(db: &impl ConnectionTrait, realm: RealmId, id: UserId, version: i32, email: &Email, now: DateTime<Utc>) -> Result<bool> {
    let update = update(realm, id)
        .filter(Column::Version.eq(version))
        .col_expr(Column::Email, Expr::value(email.as_str()))
        .col_expr(Column::EmailVerifiedAt, Expr::value(now))
        .col_expr(Column::Version, Expr::value(version + 1))
        .col_expr(Column::UpdatedAt, Expr::value(now));
    let done = update.exec(db).await.map_err(|fault| super::fault::taken(fault, "email"))?;
    Ok(done.rows_affected == 1)
}

/// Deletes a user with everything that hangs on their row.
///
/// # Errors
/// What the database says.
pub async fn delete(db: &impl ConnectionTrait, realm: RealmId, id: UserId) -> Result<()> {
    Entity::delete_many().filter(Column::RealmId.eq(realm)).filter(Column::Id.eq(id)).exec(db).await?;
    Ok(())
}

/// A realm's people in the order of their making, after `after`.
///
/// # Errors
/// What the database says.
pub async fn list(db: &impl ConnectionTrait, realm: RealmId, after: Option<UserId>, limit: u64) -> Result<Vec<User>> {
    let mut query = Entity::find().filter(Column::RealmId.eq(realm)).order_by_asc(Column::Id).limit(limit);
    if let Some(after) = after {
        query = query.filter(Column::Id.gt(after));
    }
    query.all(db).await?.into_iter().map(user).collect()
}

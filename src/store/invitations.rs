//! Invitations to accounts. Realm and hash stand in every look-up by a mailed link, the account in every other.

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, ExprTrait as _, PaginatorTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    UpdateMany,
    sea_query::{Alias, Expr, Query, SimpleExpr},
};

use super::{
    memberships,
    plan_caps::{Cap, insert_below, number},
};
use crate::domain::{
    Result,
    email::Email,
    id::{AccountId, InvitationId, RealmId, UserId},
    invitation::Invitation,
    page::PageRequest,
    user::Role,
};

super::entity!("invitations" {
    #[sea_orm(primary_key, auto_increment = false)]
    id: InvitationId,
    account_id: AccountId,
    realm_id: RealmId,
    email: String,
    role: String,
    invited_by: Option<UserId>,
    nonce: String,
    token_hash: String,
    created_at: Instant,
    expires_at: Instant,
    accepted_at: Option<Instant>,
    revoked_at: Option<Instant>,
});
use entity::{Column, Entity, Model};

fn invitation(row: Model) -> Result<Invitation> {
    Ok(Invitation {
        id: row.id,
        account_id: row.account_id,
        realm_id: row.realm_id,
        email: Email::from_stored(row.email),
        role: Role::parse(&row.role).ok_or_else(|| super::unknown_word("invitations.role", &row.role))?,
        invited_by: row.invited_by,
        nonce: row.nonce,
        created_at: row.created_at,
        expires_at: row.expires_at,
        accepted_at: row.accepted_at,
        revoked_at: row.revoked_at,
    })
}

/// Neither accepted nor taken back.
fn open() -> Condition {
    Condition::all().add(Column::AcceptedAt.is_null()).add(Column::RevokedAt.is_null())
}

/// Open, and not past its end.
fn pending(now: DateTime<Utc>) -> Condition {
    open().add(Column::ExpiresAt.gt(now))
}

fn revocation(now: DateTime<Utc>) -> UpdateMany<Entity> {
    Entity::update_many().col_expr(Column::RevokedAt, Expr::value(now)).filter(open())
}

/// Writes an invitation if its account is active and has fewer members and pending invitations together than its plan
/// allows members; `false` if not. The caller holds the account's row.
///
/// # Errors
/// What the database says.
pub async fn insert_below_limit(db: &impl ConnectionTrait, new: &Invitation, token_hash: &str) -> Result<bool> {
    let invited = Query::select()
        .expr(Expr::col(Column::Id).count())
        .from(Entity)
        .and_where(Column::AccountId.eq(new.account_id))
        .cond_where(pending(new.created_at))
        .to_owned();
    let values: Vec<(Column, SimpleExpr)> = vec![
        (Column::Id, Expr::value(new.id)),
        (Column::AccountId, Expr::value(new.account_id)),
        (Column::RealmId, Expr::value(new.realm_id)),
        (Column::Email, Expr::value(new.email.as_str())),
        (Column::Role, Expr::value(new.role.as_str())),
        (Column::InvitedBy, Expr::value(new.invited_by)),
        (Column::Nonce, Expr::value(new.nonce.clone())),
        (Column::TokenHash, Expr::value(token_hash)),
        (Column::CreatedAt, Expr::value(new.created_at)),
        (Column::ExpiresAt, Expr::value(new.expires_at)),
    ];
    let used = Expr::expr(number(memberships::count(new.account_id))).add(number(invited));
    Ok(insert_below::<Entity>(db, values, new.account_id, Cap::Members, used).await?)
}

/// The invitation of that id, pending or not.
///
/// # Errors
/// What the database says.
pub async fn find(db: &impl ConnectionTrait, account: AccountId, id: InvitationId) -> Result<Option<Invitation>> {
    Entity::find_by_id(id).filter(Column::AccountId.eq(account)).one(db).await?.map(invitation).transpose()
}

/// The pending invitation whose mailed link somebody shows.
///
/// # Errors
/// What the database says.
pub async fn find_shown(db: &impl ConnectionTrait, realm: RealmId, id: InvitationId, hash: &str, now: DateTime<Utc>) -> Result<Option<Invitation>> {
    let query = Entity::find_by_id(id).filter(Column::RealmId.eq(realm)).filter(Column::TokenHash.eq(hash)).filter(pending(now));
    query.one(db).await?.map(invitation).transpose()
}

/// An account's invitations in the order of their making, ended ones too.
///
/// # Errors
/// What the database says.
pub async fn list(db: &impl ConnectionTrait, account: AccountId, page: &PageRequest<InvitationId>) -> Result<Vec<Invitation>> {
    let mut query = Entity::find().filter(Column::AccountId.eq(account)).order_by_asc(Column::Id).limit(page.to_read());
    if let Some(after) = page.after {
        query = query.filter(Column::Id.gt(after));
    }
    query.all(db).await?.into_iter().map(invitation).collect()
}

/// What an address was invited to, newest first, ended ones too.
///
/// # Errors
/// What the database says.
pub async fn list_of(db: &impl ConnectionTrait, realm: RealmId, email: &Email) -> Result<Vec<Invitation>> {
    let query = Entity::find().filter(Column::RealmId.eq(realm)).filter(Column::Email.eq(email.as_str())).order_by_desc(Column::Id);
    query.all(db).await?.into_iter().map(invitation).collect()
}

/// Deletes what an address was invited to.
///
/// # Errors
/// What the database says.
pub async fn delete_of(db: &impl ConnectionTrait, realm: RealmId, email: &Email) -> Result<()> {
    Entity::delete_many().filter(Column::RealmId.eq(realm)).filter(Column::Email.eq(email.as_str())).exec(db).await?;
    Ok(())
}

/// Uses an invitation; `true` for the one caller that was first.
///
/// # Errors
/// What the database says.
pub async fn consume(db: &impl ConnectionTrait, realm: RealmId, id: InvitationId, hash: &str, now: DateTime<Utc>) -> Result<bool> {
    let update = Entity::update_many()
        .col_expr(Column::AcceptedAt, Expr::value(now))
        .filter(Column::Id.eq(id))
        .filter(Column::RealmId.eq(realm))
        .filter(Column::TokenHash.eq(hash))
        .filter(pending(now));
    Ok(super::primitive::consume_once(db, update).await?.is_some())
}

/// Takes an invitation back; `false` if it is not there, or was accepted or taken back.
///
/// # Errors
/// What the database says.
pub async fn revoke(db: &impl ConnectionTrait, account: AccountId, id: InvitationId, now: DateTime<Utc>) -> Result<bool> {
    let update = revocation(now).filter(Column::AccountId.eq(account)).filter(Column::Id.eq(id));
    Ok(update.exec(db).await?.rows_affected == 1)
}

/// Takes back what an address was invited with before: the newest mail counts.
///
/// # Errors
/// What the database says.
pub async fn revoke_for_address(db: &impl ConnectionTrait, account: AccountId, realm: RealmId, email: &Email, now: DateTime<Utc>) -> Result<()> {
    let update = revocation(now).filter(Column::AccountId.eq(account)).filter(Column::RealmId.eq(realm)).filter(Column::Email.eq(email.as_str()));
    update.exec(db).await?;
    Ok(())
}

/// Takes back what a user invited to in `account` and below it: whose rights are taken away leaves no door open.
///
/// # Errors
/// What the database says.
pub async fn revoke_made_by(db: &impl ConnectionTrait, account: AccountId, user: UserId, now: DateTime<Utc>) -> Result<()> {
    let paths = |column: &'static str| Expr::col((Alias::new("account_paths"), Alias::new(column)));
    let below = Query::select().expr(paths("descendant_id")).from(Alias::new("account_paths")).and_where(paths("ancestor_id").eq(account)).to_owned();
    revocation(now).filter(Column::InvitedBy.eq(user)).filter(Column::AccountId.in_subquery(below)).exec(db).await?;
    Ok(())
}

/// How many invitations of all accounts that are pending at `now` were made with the master key `key`.
///
/// # Errors
/// What the database says.
pub async fn count_pending_of_key(db: &impl ConnectionTrait, key: &str, now: DateTime<Utc>) -> Result<u64> {
    Ok(Entity::find().filter(Column::Nonce.starts_with(format!("{key}."))).filter(pending(now)).count(db).await?)
}

/// Deletes invitations that would have ended before `before`, whatever became of them.
pub(super) async fn delete_before(db: &impl ConnectionTrait, before: DateTime<Utc>) -> Result<u64> {
    Ok(Entity::delete_many().filter(Column::ExpiresAt.lt(before)).exec(db).await?.rows_affected)
}

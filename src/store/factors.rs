//! What second factors a person has, whatever table they are in.

use sea_orm::{
    ColumnTrait as _, ConnectionTrait, QueryResult,
    sea_query::{Asterisk, Expr, ExprTrait as _, Query, SelectStatement},
};

use super::{passkeys, recovery_codes, totp_secrets};
use crate::domain::{
    Result,
    factor::Factors,
    id::{RealmId, UserId},
};

const TOTP: &str = "factors_totp";
const PASSKEYS: &str = "factors_passkeys";
const CODES: &str = "factors_codes";

/// Counts of a user's factors to stand in a query that knows the user as `user`, for [`read`].
pub(super) fn counted(realm: RealmId, user: impl Into<Expr>) -> [(SelectStatement, &'static str); 3] {
    let user = user.into();
    let count = || Query::select().expr(Expr::col(Asterisk).count()).to_owned();
    let mut totp = count();
    totp.from(totp_secrets::Entity).and_where(totp_secrets::TotpColumn::State.eq(totp_secrets::ACTIVE));
    totp.and_where(Expr::col((totp_secrets::Entity, totp_secrets::TotpColumn::RealmId)).eq(realm));
    totp.and_where(Expr::col((totp_secrets::Entity, totp_secrets::TotpColumn::UserId)).eq(user.clone()));
    let mut keys = count();
    keys.from(passkeys::Entity).and_where(Expr::col((passkeys::Entity, passkeys::Column::RealmId)).eq(realm));
    keys.and_where(Expr::col((passkeys::Entity, passkeys::Column::UserId)).eq(user.clone()));
    let mut codes = count();
    codes.from(recovery_codes::Codes).and_where(recovery_codes::Column::UsedAt.is_null());
    codes.and_where(Expr::col((recovery_codes::Codes, recovery_codes::Column::RealmId)).eq(realm));
    codes.and_where(Expr::col((recovery_codes::Codes, recovery_codes::Column::UserId)).eq(user));
    [(totp, TOTP), (keys, PASSKEYS), (codes, CODES)]
}

/// What [`counted`] found.
pub(super) fn read(row: &QueryResult) -> Result<Factors> {
    let count = |name| row.try_get::<i64>("", name).map(|count| u64::try_from(count).unwrap_or_default());
    Ok(Factors { totp: count(TOTP)? > 0, passkeys: count(PASSKEYS)?, recovery_codes: count(CODES)? })
}

/// A user's factors.
///
/// # Errors
/// What the database says.
pub async fn find(db: &impl ConnectionTrait, realm: RealmId, user: UserId) -> Result<Factors> {
    let mut query = Query::select();
    for (count, alias) in counted(realm, user) {
        query.expr_as(Expr::from(count), alias);
    }
    match db.query_one_raw(db.get_database_backend().build(&query)).await? {
        Some(row) => read(&row),
        None => Ok(Factors::default()),
    }
}

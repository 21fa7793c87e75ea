//! How many of a thing an account may have: the guard of every insert that its plan caps.

use sea_orm::{
    ConnectionTrait, DbErr, EntityTrait,
    sea_query::{Alias, Expr, ExprTrait as _, Query, SelectStatement, SimpleExpr},
};

use crate::domain::{account::AccountStatus, id::AccountId};

/// A cap of the plans.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cap {
    ApiKeys,
    Realms,
    Members,
}

impl Cap {
    fn column(self) -> &'static str {
        match self {
            Self::ApiKeys => "max_api_keys",
            Self::Realms => "max_realms",
            Self::Members => "max_members",
        }
    }
}

/// The one number that a query answers, as a value.
pub(super) fn number(query: SelectStatement) -> SimpleExpr {
    SimpleExpr::SubQuery(None, Box::new(query.into()))
}

/// Writes a row of these values if its account is active and `used` is below what the plan allows; `false` if not.
///
/// The caller holds the account's row (`accounts::hold`), so that rows made at the same moment count each other: on Postgres
/// each of two inserts would otherwise count what was there before the other.
pub(super) async fn insert_below<E: EntityTrait>(
    db: &impl ConnectionTrait,
    values: Vec<(E::Column, SimpleExpr)>,
    account: AccountId,
    cap: Cap,
    used: SimpleExpr,
) -> Result<bool, DbErr> {
    let (accounts, plans) = (Alias::new("accounts"), Alias::new("plans"));
    let own = |column: &'static str| Expr::col((accounts.clone(), Alias::new(column)));
    let (columns, values): (Vec<_>, Vec<_>) = values.into_iter().unzip();
    let mut select = Query::select();
    select
        .exprs(values)
        .from(accounts.clone())
        .inner_join(plans.clone(), Expr::col((plans.clone(), Alias::new("id"))).equals((accounts.clone(), Alias::new("plan_id"))))
        .and_where(own("id").eq(account))
        .and_where(own("status").eq(AccountStatus::Active.as_str()))
        .and_where(Expr::expr(used).lt(Expr::col((plans, Alias::new(cap.column())))));
    let mut insert = Query::insert();
    insert.into_table(E::default()).columns(columns);
    insert.select_from(select).map_err(|fault| DbErr::Custom(fault.to_string()))?;
    Ok(db.execute(&insert).await?.rows_affected() == 1)
}

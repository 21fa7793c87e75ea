//! A key that somebody shows as a credential, with all that a verdict on it needs: one read, however little this node knows.
//!
//! Its id is all that is known of it; its secret proves the rest.

use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait, FromQueryResult, IdenStatic as _, Iterable as _, JoinType, QueryFilter as _, QueryResult,
    QuerySelect as _, Select,
};

use super::{
    accounts::{self, plan},
    api_keys, realms,
};
use crate::domain::{
    Result,
    account::{Account, Terms},
    api_key::ApiKey,
    id::ApiKeyId,
    realm::Realm,
};

/// A key, the account that it acts for with its plan, and its realm.
#[derive(Clone, Debug)]
pub struct Shown {
    pub key: ApiKey,
    pub terms: Terms,
    pub realm: Realm,
}

/// What the names of each table's columns start with in the answer.
const KEY: &str = "key_of_";
const ACCOUNT: &str = "account_of_";
const PLAN: &str = "plan_of_";
const REALM: &str = "realm_of_";

struct Row {
    key: api_keys::Model,
    account: accounts::Model,
    plan: plan::Model,
    realm: realms::Model,
}

impl FromQueryResult for Row {
    fn from_query_result(row: &QueryResult, _: &str) -> Result<Self, DbErr> {
        Ok(Self {
            key: FromQueryResult::from_query_result(row, KEY)?,
            account: FromQueryResult::from_query_result(row, ACCOUNT)?,
            plan: FromQueryResult::from_query_result(row, PLAN)?,
            realm: FromQueryResult::from_query_result(row, REALM)?,
        })
    }
}

/// Asks for all columns of `E`.
fn with<E: EntityTrait>(query: Select<api_keys::Entity>, _: E, prefix: &str) -> Select<api_keys::Entity> {
    E::Column::iter().fold(query, |query, column| query.column_as(column, format!("{prefix}{}", column.as_str())))
}

/// The key of that id and with the SHA-256 in hex of that secret: good or ended, or `None` for an id that is none and for a
/// wrong secret alike, after the same work.
///
/// # Errors
/// What the database says.
pub async fn find(db: &impl ConnectionTrait, id: ApiKeyId, secret_hash: &str) -> Result<Option<Shown>> {
    let account = api_keys::Entity::belongs_to(accounts::Entity).from(api_keys::Column::AccountId).to(accounts::Column::Id);
    let plan = accounts::Entity::belongs_to(plan::Entity).from(accounts::Column::PlanId).to(plan::Column::Id);
    let realm = api_keys::Entity::belongs_to(realms::Entity).from(api_keys::Column::RealmId).to(realms::Column::Id);
    let mut query = api_keys::Entity::find_by_id(id).select_only();
    query = with(query, api_keys::Entity, KEY);
    query = with(query, accounts::Entity, ACCOUNT);
    query = with(query, plan::Entity, PLAN);
    query = with(query, realms::Entity, REALM);
    for joined in [account.into(), plan.into(), realm.into()] {
        query = query.join(JoinType::InnerJoin, joined);
    }
    let found = query.filter(api_keys::Column::SecretHash.eq(secret_hash)).into_model::<Row>().one(db).await?;
    let Some(Row { key, account, plan, realm }) = found else { return Ok(None) };
    let account: Account = accounts::account(account)?;
    Ok(Some(Shown { key: api_keys::key(key)?, terms: Terms { account, plan: accounts::plan(plan) }, realm: realms::realm(realm)? }))
}

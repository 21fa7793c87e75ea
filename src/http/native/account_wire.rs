//! Bodies of the accounts' operations.

use poem_openapi::{Object, types::Example};
use serde::Serialize;

use crate::{
    domain::{account::Account, page::Page},
    http::payload::Instant,
};

/// A customer organisation.
#[derive(Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
pub(super) struct AccountOut {
    pub(super) id: String,
    pub(super) name: String,
    /// The account above it; only the root account has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) parent_id: Option<String>,
    /// The id of its plan.
    pub(super) plan: String,
    /// `active` or `disabled`.
    pub(super) status: String,
    pub(super) created_at: Instant,
}

impl From<Account> for AccountOut {
    fn from(account: Account) -> Self {
        Self {
            id: account.id.to_string(),
            name: account.name,
            parent_id: account.parent_id.map(|id| id.to_string()),
            plan: account.plan_id,
            status: account.status.as_str().to_owned(),
            created_at: Instant(account.created_at),
        }
    }
}

/// A page of accounts, oldest first.
#[derive(Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase")]
pub(super) struct AccountsOut {
    pub(super) items: Vec<AccountOut>,
    /// To be sent as `cursor` for the next page; `null` at the end.
    #[oai(nullable)]
    pub(super) next_cursor: Option<String>,
}

impl From<Page<Account>> for AccountsOut {
    fn from(page: Page<Account>) -> Self {
        Self { items: page.items.into_iter().map(Into::into).collect(), next_cursor: page.next_cursor }
    }
}

/// An account to be.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, example)]
pub(super) struct NewAccountIn {
    /// 1 to 100 characters.
    #[oai(validator(max_length = 400))]
    pub(super) name: String,
    /// The account that it is to be below.
    #[oai(validator(max_length = 64))]
    pub(super) parent_id: String,
}

impl Example for NewAccountIn {
    fn example() -> Self {
        Self { name: "Analytical Engines, Paris".to_owned(), parent_id: "01997b2e-6b1c-7d3a-9c55-0d5f0e9a7c11".to_owned() }
    }
}

/// An account's name.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, example)]
pub(super) struct RenameAccountIn {
    /// 1 to 100 characters.
    #[oai(validator(max_length = 400))]
    pub(super) name: String,
}

impl Example for RenameAccountIn {
    fn example() -> Self {
        Self { name: "Analytical Engines".to_owned() }
    }
}

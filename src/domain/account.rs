//! Accounts and plans: who the customer is and what they have bought.

use chrono::{DateTime, Utc};

use super::id::AccountId;

/// Whether an account may act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountStatus {
    Active,
    Disabled,
}

impl AccountStatus {
    /// The stored word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
        }
    }

    /// The status of that word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Active, Self::Disabled].into_iter().find(|status| status.as_str() == word)
    }
}

/// A customer organisation.
#[derive(Clone, Debug)]
pub struct Account {
    pub id: AccountId,
    /// `None` for the root account alone.
    pub parent_id: Option<AccountId>,
    pub name: String,
    /// A plan's id, `free` at first.
    pub plan_id: String,
    pub status: AccountStatus,
    pub created_at: DateTime<Utc>,
}

impl Account {
    /// Whether it may act.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.status == AccountStatus::Active
    }
}

/// What an account may use: requests per minute, and how many of each thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub id: String,
    pub requests_per_minute: i32,
    pub max_api_keys: i32,
    pub max_realms: i32,
    pub max_members: i32,
    pub max_webhooks: i32,
}

/// An account together with what its plan grants: what the limits go by.
#[derive(Clone, Debug)]
pub struct Terms {
    pub account: Account,
    pub plan: Plan,
}

/// The plan of every new account.
pub const DEFAULT_PLAN: &str = "free";

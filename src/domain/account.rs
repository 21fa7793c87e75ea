//! Accounts and plans: who the customer is and what they have bought.

use chrono::{DateTime, Utc};

use super::{Error, FieldError, Result, id::AccountId};

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

/// The most of anything that a plan can grant.
const MOST: i32 = 1_000_000_000;

impl Plan {
    /// The caps with their public names.
    fn numbers(&self) -> [(&'static str, i32); 5] {
        [
            ("requestsPerMinute", self.requests_per_minute),
            ("maxApiKeys", self.max_api_keys),
            ("maxRealms", self.max_realms),
            ("maxMembers", self.max_members),
            ("maxWebhooks", self.max_webhooks),
        ]
    }

    /// Whether this can be a plan.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming each bad field.
    pub fn check(&self) -> Result<()> {
        let mut faults = Vec::new();
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
        if !(1..=32).contains(&self.id.len()) || !self.id.bytes().all(plain) {
            faults.push(FieldError::new("id", "invalid", "must be 1 to 32 of a-z, 0-9, - and _"));
        }
        for (field, number) in self.numbers() {
            // Without a single request an account could not even ask for another plan.
            let least = i32::from(field == "requestsPerMinute");
            if !(least..=MOST).contains(&number) {
                faults.push(FieldError::new(field, "out_of_range", format!("must be from {least} to {MOST}")));
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(Error::Invalid(faults)) }
    }
}

/// What of a plan is to change; `None` leaves a thing as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlanChange {
    pub requests_per_minute: Option<i32>,
    pub max_api_keys: Option<i32>,
    pub max_realms: Option<i32>,
    pub max_members: Option<i32>,
    pub max_webhooks: Option<i32>,
}

/// An account together with what its plan grants: what the limits go by.
#[derive(Clone, Debug)]
pub struct Terms {
    pub account: Account,
    pub plan: Plan,
}

/// The plan of every new account.
pub const DEFAULT_PLAN: &str = "free";

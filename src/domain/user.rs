//! People.

use chrono::{DateTime, Utc};

use super::{
    Error, Result,
    email::Email,
    id::{AccountId, RealmId, UserId},
    language::Language,
};

/// What an operator thinks of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserStatus {
    Active,
    /// Hard lock by an operator; ends every session. The only lock there is.
    Locked,
}

impl UserStatus {
    /// The stored word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Locked => "locked",
        }
    }

    /// The status of that word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Active, Self::Locked].into_iter().find(|status| status.as_str() == word)
    }
}

/// A person in exactly one realm.
#[derive(Clone, Debug)]
pub struct User {
    pub id: UserId,
    pub realm_id: RealmId,
    /// Canonical form; mail is sent to exactly this.
    pub email: Email,
    pub name: String,
    pub company: Option<String>,
    pub country: Option<String>,
    pub phone: Option<String>,
    /// What they want to be spoken to in.
    pub locale: Option<Language>,
    pub email_verified_at: Option<DateTime<Utc>>,
    pub status: UserStatus,
    /// Grows with each change of what the user's older proofs are worth; guards a login against a change beside it.
    pub version: i32,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// What a user may do in an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Owner,
    Admin,
    Member,
}

impl Role {
    /// The stored and public word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Member => "member",
        }
    }

    /// The role of that word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Owner, Self::Admin, Self::Member].into_iter().find(|role| role.as_str() == word)
    }

    /// The role that a request names in `field`.
    ///
    /// # Errors
    /// [`Error::Invalid`], code `unknown_role`.
    pub fn read(field: &str, word: &str) -> Result<Self> {
        Self::parse(word).ok_or_else(|| Error::invalid(field, "unknown_role", "must be `owner`, `admin` or `member`"))
    }

    /// Whether who is this in an account decides about people who are `other`: owners about all, admins about all but
    /// owners.
    #[must_use]
    pub fn decides_about(self, other: Self) -> bool {
        match self {
            Self::Owner => true,
            Self::Admin => other != Self::Owner,
            Self::Member => false,
        }
    }

    /// Whether who is this has every right of `other`.
    #[must_use]
    pub fn covers(self, other: Self) -> bool {
        self.decides_about(other) || self == other
    }
}

/// A user's place in an account.
#[derive(Clone, Debug)]
pub struct Membership {
    pub account_id: AccountId,
    pub account_name: String,
    pub role: Role,
}

/// A user as the list of an account's members shows them.
#[derive(Clone, Debug)]
pub struct Member {
    pub user_id: UserId,
    pub realm_id: RealmId,
    /// The name of their realm.
    pub realm: String,
    pub name: String,
    pub email: String,
    pub role: Role,
    /// Since when they belong to the account.
    pub joined_at: DateTime<Utc>,
}

/// A user with their places: what `GET /me` shows and the profile cache holds.
#[derive(Clone, Debug)]
pub struct Profile {
    pub user: User,
    pub memberships: Vec<Membership>,
}

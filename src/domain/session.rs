//! Sessions: a person's login state on one device.

use chrono::{DateTime, Utc};

use super::id::{RealmId, SessionId, UserId};

/// Why a session is over. The word is kept in its row and named in the 401 of its tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// A newer session took its place: the realm allows so many a user.
    EvictedByLimit,
    /// A spent refresh token came back after the grace.
    RefreshReuse,
    /// The password was changed or reset.
    PasswordChanged,
    /// Nobody used it for the idle span.
    Idle,
    /// It reached its absolute end.
    Expired,
    /// Its own user logged out.
    LoggedOut,
    /// Its user, or an operator, ended it from elsewhere.
    Revoked,
    /// Its user was locked or disabled.
    UserDisabled,
}

impl EndReason {
    /// All of them, for documentation and tests.
    pub const ALL: [Self; 8] =
        [Self::EvictedByLimit, Self::RefreshReuse, Self::PasswordChanged, Self::Idle, Self::Expired, Self::LoggedOut, Self::Revoked, Self::UserDisabled];

    /// The stored and public word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EvictedByLimit => "evicted_by_limit",
            Self::RefreshReuse => "refresh_reuse",
            Self::PasswordChanged => "password_changed",
            Self::Idle => "idle",
            Self::Expired => "expired",
            Self::LoggedOut => "logged_out",
            Self::Revoked => "revoked",
            Self::UserDisabled => "user_disabled",
        }
    }

    /// The reason of that word, as stored.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == word)
    }
}

/// A session's row.
#[derive(Clone, Debug)]
pub struct Session {
    pub id: SessionId,
    pub realm_id: RealmId,
    pub user_id: UserId,
    /// What the person would call it: `Firefox on Linux`, or the client's own name.
    pub device: String,
    /// Address of the login, as text.
    pub ip: String,
    pub created_at: DateTime<Utc>,
    /// Written behind, at most once a minute.
    pub last_used_at: DateTime<Utc>,
    /// The absolute end.
    pub expires_at: DateTime<Utc>,
    /// When the person last proved who they are (OpenID Connect `auth_time`).
    pub auth_time: DateTime<Utc>,
    /// How (RFC 8176 method references, space separated).
    pub amr: String,
    /// Set once it is over.
    pub ended: Option<(DateTime<Utc>, EndReason)>,
}

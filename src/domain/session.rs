//! Sessions: a person's login state on one device.

use chrono::{DateTime, TimeDelta, Utc};

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
    /// Its user was locked, disabled or erased.
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
    pub rotation: Rotation,
    /// Set once it is over.
    pub ended: Option<(DateTime<Utc>, EndReason)>,
}

/// How long a spent refresh token still answers with its child.
pub const REFRESH_GRACE: TimeDelta = TimeDelta::seconds(10);

/// Where the refresh tokens of a session stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rotation {
    /// Of the one token that was not used yet: how often the session was refreshed.
    pub generation: u32,
    /// When the token before it was used.
    pub rotated_at: Option<DateTime<Utc>>,
    /// The first token that was used within the grace of its followers, and when that was.
    pub burst: Option<(u32, DateTime<Utc>)>,
}

impl Rotation {
    /// Whether a spent token of that generation may still answer with its child.
    #[must_use]
    pub fn may_repeat(&self, spent: u32, now: DateTime<Utc>) -> bool {
        let lately = |at: DateTime<Utc>| (at - REFRESH_GRACE..=at + REFRESH_GRACE).contains(&now);
        let last = spent + 1 == self.generation && self.rotated_at.is_some_and(lately);
        last || self.burst.is_some_and(|(first, at)| (first..self.generation).contains(&spent) && lately(at))
    }
}

/// A signed-in caller, as the access token proves them.
#[derive(Clone, Debug)]
pub struct SignedIn {
    pub user_id: UserId,
    pub session_id: SessionId,
    /// When they last proved who they are, seconds since the epoch.
    pub auth_time: i64,
    /// How (RFC 8176).
    pub amr: Vec<String>,
    /// Granted scopes, space separated.
    pub scope: String,
    /// End of the access token, seconds since the epoch.
    pub expires_at: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spent_tokens_answer_for_ten_seconds_and_no_longer() {
        let at = |seconds: i64| DateTime::from_timestamp(1_000_000 + seconds, 0).unwrap();
        // Used at 0, 4 and 8; the burst began with the first.
        let rotation = Rotation { generation: 3, rotated_at: Some(at(8)), burst: Some((0, at(0))) };
        for (spent, now, expected) in [
            (0, 10, true),
            (0, 11, false),
            (1, 10, true),
            (2, 10, true),
            (2, 18, true),
            (2, 19, false),
            (3, 8, false),
            (9, 8, false),
            // A clock that was put back a little forgives, one that was put back far does not.
            (2, -10, true),
            (2, -11, false),
        ] {
            assert_eq!(rotation.may_repeat(spent, at(now)), expected, "generation {spent} at {now}");
        }
        assert!(!Rotation::default().may_repeat(0, at(0)), "nothing was spent yet");
    }
}

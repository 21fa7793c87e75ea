//! Invitations: somebody who may have no user yet is to belong to an account.

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    Error, Result,
    email::Email,
    id::{AccountId, InvitationId, RealmId, UserId},
    user::Role,
};

/// How long an invitation is good for if nobody says otherwise, and at most.
const LIFE: TimeDelta = TimeDelta::days(7);
const MOST: TimeDelta = TimeDelta::days(30);

/// What became of an invitation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvitationStatus {
    Pending,
    Accepted,
    /// Taken back, or followed by a newer one to the same address.
    Revoked,
    Expired,
}

impl InvitationStatus {
    /// The public word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Accepted => "accepted",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
        }
    }
}

/// An invitation. Who holds its mailed link and has its address may take the place in the account.
#[derive(Clone, Debug)]
pub struct Invitation {
    pub id: InvitationId,
    pub account_id: AccountId,
    /// Where the invited person is, or will be, a user.
    pub realm_id: RealmId,
    pub email: Email,
    pub role: Role,
    /// Who made it; `None` if that was the operator.
    pub invited_by: Option<UserId>,
    /// What the mailed secret is derived from, with the master key.
    pub nonce: String,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub accepted_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
}

impl Invitation {
    /// What became of it until `now`.
    #[must_use]
    pub fn status(&self, now: DateTime<Utc>) -> InvitationStatus {
        if self.accepted_at.is_some() {
            InvitationStatus::Accepted
        } else if self.revoked_at.is_some() {
            InvitationStatus::Revoked
        } else if self.expires_at <= now {
            InvitationStatus::Expired
        } else {
            InvitationStatus::Pending
        }
    }
}

/// The end of an invitation made `now`: what was asked for, or a week later.
///
/// # Errors
/// [`Error::Invalid`] on `expiresAt`, code `in_the_past` or `out_of_range`.
pub fn expiry(asked: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Result<DateTime<Utc>> {
    match asked {
        None => Ok(now + LIFE),
        Some(at) if at <= now => Err(Error::invalid("expiresAt", "in_the_past", "must be in the future")),
        Some(at) if at > now + MOST => Err(Error::invalid("expiresAt", "out_of_range", "must be within 30 days")),
        Some(at) => Ok(at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invitation_ends_within_a_month() {
        let now = DateTime::UNIX_EPOCH;
        assert_eq!(expiry(None, now).unwrap(), now + TimeDelta::days(7));
        let end = |seconds: i64| expiry(Some(now + TimeDelta::seconds(seconds)), now).map(|at| (at - now).num_seconds()).map_err(|error| error.to_string());
        assert_eq!((end(1), end(30 * 86_400)), (Ok(1), Ok(30 * 86_400)));
        assert!([end(0), end(-1), end(30 * 86_400 + 1)].iter().all(Result::is_err));
    }
}

//! Bodies of the operations on members and invitations. No reply type here has a place for what a mailed link holds.

use chrono::{DateTime, Utc};
use poem_openapi::{Object, types::Example};
use serde::Serialize;

use crate::{
    domain::{invitation::Invitation, page::Page, user::Member},
    http::{payload::Instant, secret_text::SecretText},
    service::{
        invitations::NewInvitation,
        joining::{Joined, Newcomer},
    },
};

/// A person who belongs to an account.
#[derive(Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase")]
pub(super) struct MemberOut {
    pub(super) user_id: String,
    pub(super) name: String,
    pub(super) email: String,
    /// The name of the person's realm.
    pub(super) realm: String,
    /// `owner`, `admin` or `member`.
    pub(super) role: String,
    pub(super) joined_at: Instant,
}

impl From<Member> for MemberOut {
    fn from(member: Member) -> Self {
        Self {
            user_id: member.user_id.to_string(),
            name: member.name,
            email: member.email,
            realm: member.realm,
            role: member.role.as_str().to_owned(),
            joined_at: Instant(member.joined_at),
        }
    }
}

/// A page of members.
#[derive(Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase")]
pub(super) struct MembersOut {
    pub(super) items: Vec<MemberOut>,
    /// To be sent as `cursor` for the next page; `null` at the end.
    #[oai(nullable)]
    pub(super) next_cursor: Option<String>,
}

impl From<Page<Member>> for MembersOut {
    fn from(page: Page<Member>) -> Self {
        Self { items: page.items.into_iter().map(Into::into).collect(), next_cursor: page.next_cursor }
    }
}

/// What a member is to be.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, example)]
pub(super) struct RoleIn {
    /// `owner`, `admin` or `member`.
    #[oai(validator(max_length = 32))]
    pub(super) role: String,
}

impl Example for RoleIn {
    fn example() -> Self {
        Self { role: "admin".to_owned() }
    }
}

/// An invitation.
#[derive(Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
pub(super) struct InvitationOut {
    pub(super) id: String,
    pub(super) email: String,
    /// `owner`, `admin` or `member`.
    pub(super) role: String,
    /// `pending`, `accepted`, `revoked` (taken back, or followed by a newer one to the same address) or `expired`.
    pub(super) status: String,
    /// The person who made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) invited_by: Option<String>,
    pub(super) created_at: Instant,
    pub(super) expires_at: Instant,
}

impl InvitationOut {
    pub(super) fn of(invitation: &Invitation, now: DateTime<Utc>) -> Self {
        Self {
            id: invitation.id.to_string(),
            email: invitation.email.to_string(),
            role: invitation.role.as_str().to_owned(),
            status: invitation.status(now).as_str().to_owned(),
            invited_by: invitation.invited_by.map(|id| id.to_string()),
            created_at: Instant(invitation.created_at),
            expires_at: Instant(invitation.expires_at),
        }
    }
}

/// A page of invitations, in the order of their making.
#[derive(Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase")]
pub(super) struct InvitationsOut {
    pub(super) items: Vec<InvitationOut>,
    /// To be sent as `cursor` for the next page; `null` at the end.
    #[oai(nullable)]
    pub(super) next_cursor: Option<String>,
}

impl InvitationsOut {
    pub(super) fn of(page: &Page<Invitation>, now: DateTime<Utc>) -> Self {
        Self { items: page.items.iter().map(|item| InvitationOut::of(item, now)).collect(), next_cursor: page.next_cursor.clone() }
    }
}

/// An invitation to be.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, skip_serializing_if_is_none, example)]
pub(super) struct NewInvitationIn {
    #[oai(validator(max_length = 320))]
    email: String,
    /// `owner`, `admin` or `member`; `member` if left out.
    #[oai(nullable, validator(max_length = 32))]
    role: Option<String>,
    /// At most 30 days from now; a week if left out.
    #[oai(nullable)]
    expires_at: Option<Instant>,
}

impl From<NewInvitationIn> for NewInvitation {
    fn from(body: NewInvitationIn) -> Self {
        Self { email: body.email, role: body.role, expires_at: body.expires_at.map(|at| at.0) }
    }
}

impl Example for NewInvitationIn {
    fn example() -> Self {
        Self { email: "charles@example.com".to_owned(), role: Some("admin".to_owned()), expires_at: None }
    }
}

/// The token of a mailed invitation.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, example)]
pub(super) struct AcceptInvitationIn {
    #[oai(validator(max_length = 512))]
    pub(super) token: String,
}

impl Example for AcceptInvitationIn {
    fn example() -> Self {
        Self { token: "the-token-of-the-mailed-link".to_owned() }
    }
}

/// A new person with a mailed invitation.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, example)]
pub(super) struct InvitedSignUpIn {
    #[oai(validator(max_length = 512))]
    pub(super) token: String,
    /// What to call the person; 1 to 100 characters.
    #[oai(validator(max_length = 400))]
    name: String,
    /// As at every sign-up.
    password: SecretText,
}

impl InvitedSignUpIn {
    pub(super) fn split(self) -> (String, Newcomer) {
        (self.token, Newcomer { name: self.name, password: self.password.0 })
    }
}

impl Example for InvitedSignUpIn {
    fn example() -> Self {
        Self { token: "the-token-of-the-mailed-link".to_owned(), name: "Charles Babbage".to_owned(), password: SecretText::from("a long enough passphrase") }
    }
}

/// A place that was taken.
#[derive(Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase")]
pub(super) struct JoinedOut {
    /// The account's id.
    pub(super) account: String,
    pub(super) account_name: String,
    /// `owner`, `admin` or `member`.
    pub(super) role: String,
    /// The person's address.
    pub(super) email: String,
}

impl From<Joined> for JoinedOut {
    fn from(joined: Joined) -> Self {
        Self {
            account: joined.account.id.to_string(),
            account_name: joined.account.name,
            role: joined.role.as_str().to_owned(),
            email: joined.email.to_string(),
        }
    }
}

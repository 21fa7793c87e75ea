//! Deferred work. A job row is written in the transaction that owes it, and holds ids only: secrets are minted when it runs.

use super::id::{AccountId, ApiKeyId, HeldTokenId, InvitationId, MailRequestId, OneTimeTokenId, RealmId, SessionId, UserId};

/// What the worker has to do. Every job may run twice; doing it twice must mean the same as once.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Job {
    /// Mail the verification link and code of a sign-up whose token row exists.
    SendVerification { realm_id: RealmId, user_id: UserId, token_id: OneTimeTokenId },
    /// Tell the owner of a verified address that somebody signed up with it.
    SendAccountExists { realm_id: RealmId, user_id: UserId },
    /// Look up who asked for a mail (forgotten password, fresh verification) and send what is due, if anything.
    AnswerMailRequest { realm_id: RealmId, request_id: MailRequestId },
    /// Tell a user that their password was changed.
    SendPasswordChanged { realm_id: RealmId, user_id: UserId },
    /// Tell a user that a spent refresh token came back and their session was ended.
    SendRefreshReuse { realm_id: RealmId, user_id: UserId, session_id: SessionId },
    /// Tell an owner that a key of their account leaked and was revoked.
    SendApiKeyLeaked { realm_id: RealmId, user_id: UserId, account_id: AccountId, key_id: ApiKeyId },
    /// Mail the link of an invitation whose row exists.
    SendInvitation { realm_id: RealmId, account_id: AccountId, invitation_id: InvitationId },
    /// Tell a user that somebody took their place in an account away.
    SendMemberRemoved { realm_id: RealmId, user_id: UserId, account_id: AccountId },
    /// Tell a user that somebody made them something else in an account.
    SendRoleChanged { realm_id: RealmId, user_id: UserId, account_id: AccountId },
    /// Mail the link that confirms another address, to that address.
    SendEmailChange { realm_id: RealmId, user_id: UserId, token_id: OneTimeTokenId },
    /// Tell the former address that it was replaced, with a way back.
    SendEmailChanged { realm_id: RealmId, user_id: UserId, token_id: OneTimeTokenId },
    /// Tell a user that somebody signed in from a device that was not seen before.
    SendNewDevice { realm_id: RealmId, user_id: UserId, session_id: SessionId },
    /// Tell a user that a session was ended to make room for another.
    SendSessionEvicted { realm_id: RealmId, user_id: UserId, session_id: SessionId },
    /// Tell a user that a token was made in their name that never ends.
    SendEndlessToken { realm_id: RealmId, user_id: UserId, token_id: HeldTokenId },
    /// Tell a user that one of their second factors was added or taken away.
    SendFactorChanged { realm_id: RealmId, user_id: UserId, method: String, added: bool },
}

impl Job {
    /// The stored word, also the metric label.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::SendVerification { .. } => "send_verification",
            Self::SendAccountExists { .. } => "send_account_exists",
            Self::AnswerMailRequest { .. } => "answer_mail_request",
            Self::SendPasswordChanged { .. } => "send_password_changed",
            Self::SendRefreshReuse { .. } => "send_refresh_reuse",
            Self::SendApiKeyLeaked { .. } => "send_api_key_leaked",
            Self::SendInvitation { .. } => "send_invitation",
            Self::SendMemberRemoved { .. } => "send_member_removed",
            Self::SendRoleChanged { .. } => "send_role_changed",
            Self::SendEmailChange { .. } => "send_email_change",
            Self::SendEmailChanged { .. } => "send_email_changed",
            Self::SendNewDevice { .. } => "send_new_device",
            Self::SendSessionEvicted { .. } => "send_session_evicted",
            Self::SendEndlessToken { .. } => "send_endless_token",
            Self::SendFactorChanged { .. } => "send_factor_changed",
        }
    }

    /// The realm it belongs to; jobs of a dead realm are not run.
    #[must_use]
    pub fn realm_id(&self) -> RealmId {
        match self {
            Self::SendVerification { realm_id, .. }
            | Self::SendAccountExists { realm_id, .. }
            | Self::AnswerMailRequest { realm_id, .. }
            | Self::SendPasswordChanged { realm_id, .. }
            | Self::SendRefreshReuse { realm_id, .. }
            | Self::SendApiKeyLeaked { realm_id, .. }
            | Self::SendInvitation { realm_id, .. }
            | Self::SendMemberRemoved { realm_id, .. }
            | Self::SendRoleChanged { realm_id, .. }
            | Self::SendEmailChange { realm_id, .. }
            | Self::SendEmailChanged { realm_id, .. }
            | Self::SendNewDevice { realm_id, .. }
            | Self::SendSessionEvicted { realm_id, .. }
            | Self::SendEndlessToken { realm_id, .. }
            | Self::SendFactorChanged { realm_id, .. } => *realm_id,
        }
    }
}

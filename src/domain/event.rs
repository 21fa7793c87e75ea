//! The audit trail's words: who did what to whom.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::id::{AccountId, ApiKeyId, EventId, RealmId, SessionId, UserId};

/// What happened. The word is stored and public.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    InstallationSetUp,
    UserSignedUp,
    EmailVerified,
    UserLoggedIn,
    LoginFailed,
    SignInUnlocked,
    UserLoggedOut,
    SessionRevoked,
    RefreshReused,
    PasswordResetRequested,
    PasswordReset,
    PasswordChanged,
    EmailChangeRequested,
    EmailChanged,
    EmailChangeUndone,
    ProfileChanged,
    DataExported,
    UserErased,
    UserLocked,
    UserUnlocked,
    UserCreated,
    SigningKeyRotated,
    SigningKeyRevoked,
    RealmCreated,
    RealmChanged,
    AccountCreated,
    AccountChanged,
    AccountPlanChanged,
    ApiKeyCreated,
    ApiKeyChanged,
    ApiKeyRotated,
    ApiKeyRevoked,
    ApiKeyLeaked,
    CredentialsVerified,
    UserTokenCreated,
    UserTokenDeleted,
    PlanCreated,
    PlanChanged,
    MemberAdded,
    MemberRoleChanged,
    MemberRemoved,
    InvitationCreated,
    InvitationRevoked,
    InvitationAccepted,
    FactorAsked,
    FactorFailed,
    SteppedUp,
    TotpEnrolled,
    TotpRemoved,
    RecoveryCodesMade,
    RecoveryCodeUsed,
    PasskeyAdded,
    PasskeyRemoved,
    PasskeyCloned,
    DeviceTrusted,
    DeviceDistrusted,
    SignInDisowned,
}

impl Action {
    /// `noun.verb`, the form that audit tools expect.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InstallationSetUp => "installation.set_up",
            Self::UserSignedUp => "user.signed_up",
            Self::EmailVerified => "user.email_verified",
            Self::UserLoggedIn => "user.logged_in",
            Self::LoginFailed => "user.login_failed",
            Self::SignInUnlocked => "user.sign_in_unlocked",
            Self::UserLoggedOut => "user.logged_out",
            Self::SessionRevoked => "session.revoked",
            Self::RefreshReused => "session.refresh_reused",
            Self::PasswordResetRequested => "password.reset_requested",
            Self::PasswordReset => "password.reset",
            Self::PasswordChanged => "password.changed",
            Self::EmailChangeRequested => "email.change_requested",
            Self::EmailChanged => "email.changed",
            Self::EmailChangeUndone => "email.change_undone",
            Self::DataExported => "user.data_exported",
            Self::UserErased => "user.erased",
            Self::ProfileChanged => "user.profile_changed",
            Self::UserLocked => "user.locked",
            Self::UserUnlocked => "user.unlocked",
            Self::UserCreated => "user.created",
            Self::SigningKeyRotated => "signing_key.rotated",
            Self::SigningKeyRevoked => "signing_key.revoked",
            Self::RealmCreated => "realm.created",
            Self::RealmChanged => "realm.changed",
            Self::AccountCreated => "account.created",
            Self::AccountChanged => "account.changed",
            Self::ApiKeyCreated => "api_key.created",
            Self::ApiKeyChanged => "api_key.changed",
            Self::ApiKeyRotated => "api_key.rotated",
            Self::ApiKeyRevoked => "api_key.revoked",
            Self::ApiKeyLeaked => "api_key.leaked",
            Self::CredentialsVerified => "user.credentials_verified",
            Self::UserTokenCreated => "user_token.created",
            Self::UserTokenDeleted => "user_token.deleted",
            Self::AccountPlanChanged => "account.plan_changed",
            Self::MemberAdded => "member.added",
            Self::MemberRoleChanged => "member.role_changed",
            Self::MemberRemoved => "member.removed",
            Self::InvitationCreated => "invitation.created",
            Self::InvitationRevoked => "invitation.revoked",
            Self::InvitationAccepted => "invitation.accepted",
            Self::FactorAsked => "mfa.asked",
            Self::FactorFailed => "mfa.failed",
            Self::SteppedUp => "session.stepped_up",
            Self::TotpEnrolled => "totp.enrolled",
            Self::TotpRemoved => "totp.removed",
            Self::RecoveryCodesMade => "recovery_codes.made",
            Self::RecoveryCodeUsed => "recovery_code.used",
            Self::PasskeyAdded => "passkey.added",
            Self::PasskeyRemoved => "passkey.removed",
            Self::PasskeyCloned => "passkey.cloned",
            Self::DeviceTrusted => "device.trusted",
            Self::DeviceDistrusted => "device.distrusted",
            Self::SignInDisowned => "user.sign_in_disowned",
            Self::PlanCreated => "plan.created",
            Self::PlanChanged => "plan.changed",
        }
    }
}

/// Who acted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// Somebody without a credential.
    Anonymous,
    /// A signed-in person.
    User(UserId, SessionId),
    /// A program with an API key.
    Key(ApiKeyId),
    /// A person with an opaque token of another dialect.
    Holder(UserId),
    /// Whoever holds the command line.
    Operator,
}

/// One line of the trail. Holds ids and addresses, never secrets.
#[derive(Clone, Debug)]
pub struct Event {
    pub realm_id: Option<RealmId>,
    pub account_id: Option<AccountId>,
    pub actor: Actor,
    pub action: Action,
    /// The user that it happened to.
    pub subject: Option<UserId>,
    /// The thing that it happened to, if that is no user, realm or account: a key, an invitation.
    pub target: Option<Uuid>,
    /// Client address as text; empty on the command line.
    pub ip: String,
    pub request_id: String,
}

/// A line as it is read again.
#[derive(Clone, Debug)]
pub struct PastEvent {
    pub id: EventId,
    /// The stored word; a newer version may know others.
    pub action: String,
    /// `anonymous`, `user` or `operator`.
    pub actor: String,
    pub ip: String,
    pub request_id: String,
    pub at: DateTime<Utc>,
}

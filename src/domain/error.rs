//! What can go wrong, as facts. `http/failure.rs` alone knows which status a fact becomes.
//!
//! Every `code` below is public and stable: clients branch on it, the README and the OpenAPI files list it.

use secrecy::SecretString;

use super::{factor::Method, session::EndReason};

/// The result of every use case.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// One thing that is wrong with one field of a request.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct FieldError {
    /// Where, as a dotted path from the body's root (`email`, `items.0.name`); empty for the body as a whole.
    pub field: String,
    /// What, as a stable word (`required`, `unknown`, `wrong_type`, `too_short`, …).
    pub code: &'static str,
    /// The same for people. Never holds the value that was sent.
    pub message: String,
    /// The bound that was passed, for whoever says it in another language.
    #[serde(skip)]
    pub limit: Option<u64>,
}

impl FieldError {
    /// A fault of `field`.
    pub fn new(field: impl Into<String>, code: &'static str, message: impl Into<String>) -> Self {
        Self { field: field.into(), code, message: message.into(), limit: None }
    }

    /// The same with the bound that was passed.
    #[must_use]
    pub fn with_limit(self, limit: u64) -> Self {
        Self { limit: Some(limit), ..self }
    }
}

/// Facts that end a use case early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Unknown address, wrong password, no password: deliberately one fact for strangers.
    #[error("the e-mail address or the password is wrong")]
    InvalidCredentials,
    /// The password was right, the address is not proved yet.
    #[error("the e-mail address is not verified yet")]
    EmailNotVerified,
    /// The password was right, an operator locked the user.
    #[error("this user is locked")]
    AccountLocked,
    /// The current password, asked for as a proof, is wrong.
    #[error("the current password is wrong")]
    WrongPassword,
    /// A mailed token or code: unknown, spent, outdated, of another purpose, realm or user.
    #[error("the token is invalid, was used already or has expired")]
    InvalidOneTimeToken,
    /// A refresh token that can't be used; `reason` says why its session ended, if it did.
    #[error("the refresh token is invalid or has expired")]
    InvalidRefreshToken {
        /// Why the session behind it ended.
        reason: Option<EndReason>,
    },
    /// No credential where one is needed.
    #[error("this operation needs a bearer token")]
    MissingCredential,
    /// A bearer token that proves nothing.
    #[error("the access token is invalid")]
    InvalidAccessToken,
    /// A bearer token past its time.
    #[error("the access token has expired")]
    AccessTokenExpired,
    /// A good bearer token of a session that is over.
    #[error("the session has ended")]
    SessionEnded {
        /// Why it is over.
        reason: EndReason,
    },
    /// A good access token, but its person proved who they are too long ago for this operation.
    #[error("this operation needs a fresh proof of who calls")]
    StepUpRequired {
        /// Seconds that the proof may be old.
        max_age: i64,
        /// How it can be made anew; nothing but a new sign-in if that is empty.
        methods: Vec<Method>,
    },
    /// The first proof was good, and a second factor is wanted before the person is in.
    #[error("a second factor is needed")]
    FactorWanted {
        /// What goes with the second proof.
        token: SecretString,
        /// How it can be made.
        methods: Vec<Method>,
    },
    /// The first proof was good, the realm requires a second factor, and the person has none yet.
    #[error("the realm requires a second factor")]
    EnrolmentWanted {
        /// What goes with the enrolment.
        token: SecretString,
        /// What can be enrolled.
        methods: Vec<Method>,
    },
    /// The token of a waiting sign-in: unknown, spent, outdated, worn out, or for something else.
    #[error("the token of the sign-in is invalid or has expired")]
    InvalidFactorToken,
    /// A code of a second factor that is wrong, outdated or used; one too many as well.
    #[error("the code is wrong")]
    InvalidFactorCode,
    /// An answer of an authenticator that proves nothing here.
    #[error("the passkey's answer proves nothing")]
    InvalidPasskey,
    /// The realm has no second factors.
    #[error("the realm has no second factors")]
    FactorsOff,
    /// The realm requires a second factor: the last one stays.
    #[error("the realm requires a second factor")]
    LastFactor,
    /// A good bearer token, but the request names another realm.
    #[error("the credential belongs to another realm")]
    RealmMismatch,
    /// The caller is known and may not do this.
    #[error("the caller lacks the right to do this")]
    NotPermitted,
    /// Nothing here, or nothing that the caller may know of.
    #[error("there is no such thing")]
    NotFound,
    /// `X-Realm` names no realm.
    #[error("there is no such realm")]
    RealmNotFound,
    /// The realm is suspended, or its account is.
    #[error("this realm is suspended")]
    RealmSuspended,
    /// Well-formed fields with unacceptable values.
    #[error("the request holds invalid values")]
    Invalid(Vec<FieldError>),
    /// A name that must be unique is in use (never used for e-mail addresses before strangers).
    #[error("`{field}` is taken")]
    Taken {
        /// The field whose value is in use.
        field: &'static str,
    },
    /// The account is disabled: its people and keys may do nothing in its name.
    #[error("this account is disabled")]
    AccountDisabled,
    /// The account has as many of these as its plan allows.
    #[error("the plan allows no more {what}")]
    PlanLimit {
        /// Of what, in the plural.
        what: &'static str,
        /// The plan's cap by its public name.
        cap: &'static str,
    },
    /// An account keeps at least one owner.
    #[error("the account would be left without an owner")]
    LastOwner,
    /// A good invitation, shown by somebody with another address.
    #[error("the invitation is for another address")]
    NotInvited,
    /// A good invitation for a new person, but its address has a user already.
    #[error("the invited address has a user already")]
    InviteeExists,
    /// The invitation can't be taken back: it was accepted.
    #[error("the invitation was accepted already")]
    InvitationAccepted,
    /// What claims to be an API key is none, or none that is good.
    #[error("the API key is invalid")]
    InvalidApiKey,
    /// A good credential without a scope that the operation needs.
    #[error("the credential lacks the scope `{scope}`")]
    InsufficientScope {
        /// The scope.
        scope: &'static str,
    },
    /// A good key, used from an address that is not on its list.
    #[error("the API key may not be used from this address")]
    IpNotAllowed,
    /// The key was revoked, has expired or was rotated already.
    #[error("the key is not in use any more")]
    KeyNotActive,
    /// A token that was shown to be judged or ended, and is none of the caller's good ones.
    #[error("the token is not valid")]
    TokenNotValid,
    /// Several credentials at once, of which each would make somebody else of the caller.
    #[error("the request shows more than one credential")]
    AmbiguousCredential,
    /// A limit was reached.
    #[error("too many requests")]
    RateLimited {
        /// Seconds until it is worth another try.
        retry_after: u64,
    },
    /// The node sheds load, here or at the database; nothing was done.
    #[error("the service is busy")]
    Busy {
        /// Seconds until it is worth another try.
        retry_after: u64,
    },
    /// The database can't be reached in time; nothing was done.
    #[error("the service is unavailable for the moment")]
    Unavailable(#[source] BoxError),
    /// A database conflict that a repetition cures (Postgres 40001, 40P01; SQLite busy).
    #[error("the transaction must be repeated")]
    Conflict(#[source] BoxError),
    /// A setting or a command line that can't work; the text says what to do.
    #[error("{0}")]
    Setup(String),
    /// A fault of ours.
    #[error("internal error")]
    Internal(#[source] BoxError),
}

/// Any cause, kept for the log and never shown.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl Error {
    /// A single invalid field.
    pub fn invalid(field: impl Into<String>, code: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError::new(field, code, message)])
    }

    /// A fault of ours, with its cause.
    pub fn internal(cause: impl Into<BoxError>) -> Self {
        Self::Internal(cause.into())
    }

    /// The stable public code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidCredentials => "invalid_credentials",
            Self::EmailNotVerified => "email_not_verified",
            Self::AccountLocked => "account_locked",
            Self::WrongPassword => "wrong_password",
            Self::InvalidOneTimeToken => "invalid_token",
            Self::InvalidRefreshToken { .. } => "invalid_refresh_token",
            Self::MissingCredential => "missing_credential",
            Self::InvalidAccessToken => "invalid_access_token",
            Self::AccessTokenExpired => "access_token_expired",
            Self::SessionEnded { .. } => "session_ended",
            Self::StepUpRequired { .. } => "step_up_required",
            Self::FactorWanted { .. } => "mfa_required",
            Self::EnrolmentWanted { .. } => "mfa_enrolment_required",
            Self::InvalidFactorToken => "invalid_mfa_token",
            Self::InvalidFactorCode => "invalid_code",
            Self::InvalidPasskey => "invalid_passkey",
            Self::FactorsOff => "mfa_off",
            Self::LastFactor => "last_factor",
            Self::RealmMismatch => "realm_mismatch",
            Self::NotPermitted => "not_permitted",
            Self::NotFound => "not_found",
            Self::RealmNotFound => "realm_not_found",
            Self::RealmSuspended => "realm_suspended",
            Self::Invalid(_) => "validation_failed",
            Self::Taken { .. } => "taken",
            Self::AccountDisabled => "account_disabled",
            Self::PlanLimit { .. } => "plan_limit_reached",
            Self::LastOwner => "last_owner",
            Self::NotInvited => "not_invited",
            Self::InviteeExists => "invitee_exists",
            Self::InvitationAccepted => "invitation_accepted",
            Self::InvalidApiKey => "invalid_api_key",
            Self::InsufficientScope { .. } => "insufficient_scope",
            Self::IpNotAllowed => "ip_not_allowed",
            Self::KeyNotActive => "key_not_active",
            Self::TokenNotValid => "token_not_valid",
            Self::AmbiguousCredential => "ambiguous_credential",
            Self::RateLimited { .. } => "rate_limited",
            Self::Busy { .. } => "service_busy",
            Self::Unavailable(_) | Self::Conflict(_) => "service_unavailable",
            Self::Setup(_) => "setup",
            Self::Internal(_) => "internal_error",
        }
    }
}

/// Codes of failures that arise before a use case is reached; listed here so that all public codes stand in one file.
pub mod codes {
    /// The body is no JSON.
    pub const MALFORMED_JSON: &str = "malformed_json";
    /// The JSON has another shape than the operation takes: unknown, missing or wrongly typed fields.
    pub const INVALID_REQUEST: &str = "invalid_request";
    /// The path knows other methods.
    pub const METHOD_NOT_ALLOWED: &str = "method_not_allowed";
    /// The body is over the limit.
    pub const PAYLOAD_TOO_LARGE: &str = "payload_too_large";
    /// The body did not arrive in time.
    pub const REQUEST_TIMEOUT: &str = "request_timeout";
    /// The body is not of a content type that the operation takes.
    pub const UNSUPPORTED_MEDIA_TYPE: &str = "unsupported_media_type";
    /// A form post from another site, or without the form's own token.
    pub const CROSS_SITE: &str = "cross_site_request";
}

//! What the verify service says of a credential.

/// A kind of credential. The word is public.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A person's JWT.
    AccessToken,
    /// A program's key.
    ApiKey,
    /// A token of the Converse dialect.
    UserToken,
    /// A token of the Conversant dialect.
    AuthToken,
}

impl Kind {
    /// The public word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AccessToken => "access_token",
            Self::ApiKey => "api_key",
            Self::UserToken => "user_token",
            Self::AuthToken => "auth_token",
        }
    }
}

/// What came of looking at a credential. The word is public; only `valid` lets anybody in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    Valid,
    /// No credential of ours, or one that the asker may not know of.
    NotFound,
    Expired,
    /// A key that was revoked, or a token whose session has ended.
    Revoked,
    /// Its person, account or realm may do nothing at present.
    Disabled,
    InsufficientScope,
    IpNotAllowed,
    RateLimited,
}

impl Code {
    /// All of them, for documentation and tests.
    pub const ALL: [Self; 8] =
        [Self::Valid, Self::NotFound, Self::Expired, Self::Revoked, Self::Disabled, Self::InsufficientScope, Self::IpNotAllowed, Self::RateLimited];

    /// The public word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::NotFound => "not_found",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Disabled => "disabled",
            Self::InsufficientScope => "insufficient_scope",
            Self::IpNotAllowed => "ip_not_allowed",
            Self::RateLimited => "rate_limited",
        }
    }
}

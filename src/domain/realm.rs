//! Realms: identity spaces with a DNS-like name, each with its own users, keys and rules.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{
    Error, Result,
    factor::{MfaPolicy, UserVerification},
    id::{AccountId, RealmId},
    language::Language,
};

/// One of the public dialects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    Native,
    Converse,
    Conversant,
    Vonage,
}

/// Whether a realm serves anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RealmStatus {
    Active,
    Suspended,
}

impl RealmStatus {
    /// The stored word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
        }
    }

    /// The status of that word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Active, Self::Suspended].into_iter().find(|status| status.as_str() == word)
    }
}

/// What a realm's owner decides. Stored as JSON; a field that is not set has the value of [`Default`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct RealmSettings {
    /// Dialects that answer; one that is off answers its own 404.
    pub families: Vec<Family>,
    /// Whether strangers may sign up.
    pub sign_up: bool,
    /// Shortest password in bytes, 8 to 64 (NIST SP 800-63B-4 recommends 15 where a password stands alone).
    pub password_min: usize,
    /// Sessions a user may have at once, 1 to 50; the oldest ends when one more begins.
    pub max_sessions: u32,
    /// What people are spoken to in who have not chosen for themselves; if not set, what their browser asks for.
    pub language: Option<Language>,
    /// Name shown in mails and on pages; the realm's own name if not set.
    pub display_name: Option<String>,
    /// Exact origins (`https://app.example.com`) whose pages may call the API from a browser.
    pub allowed_origins: Vec<String>,
    /// Exact addresses that a flow may lead a browser to.
    pub allowed_redirect_uris: Vec<String>,
    /// Scopes that keys made in this realm may have beside the standard ones.
    pub scopes: Vec<String>,
    /// Whether people have second factors, and whether they must.
    pub mfa: MfaPolicy,
    /// Whether a passkey must check its person where it is a second factor.
    pub passkey_user_verification: UserVerification,
    /// The domain that passkeys are made for (their `rpId`); the host of the public address if not set. Changed, it makes all
    /// passkeys of the realm useless.
    pub passkey_domain: Option<String>,
    /// Whether people may sign in by a link that is mailed to them.
    pub magic_link: bool,
    /// Life spans, in seconds.
    pub lifetimes: Lifetimes,
    /// Longest `timeout` of a Converse token, in seconds; without it any, and tokens may be made that never end.
    pub user_token_timeout_max: Option<u32>,
}

impl Default for RealmSettings {
    fn default() -> Self {
        Self {
            families: vec![Family::Native],
            sign_up: true,
            password_min: 8,
            max_sessions: 5,
            language: None,
            display_name: None,
            allowed_origins: Vec::new(),
            allowed_redirect_uris: Vec::new(),
            scopes: Vec::new(),
            mfa: MfaPolicy::default(),
            passkey_user_verification: UserVerification::default(),
            passkey_domain: None,
            magic_link: false,
            lifetimes: Lifetimes::default(),
            user_token_timeout_max: None,
        }
    }
}

impl RealmSettings {
    /// Refuses values outside their bounds, naming each field.
    ///
    /// # Errors
    /// [`Error::Invalid`] with one entry a field.
    pub fn check(&self) -> Result<()> {
        let mut faults = Vec::new();
        let mut bound = |field: &str, value: u64, low: u64, high: u64| {
            if !(low..=high).contains(&value) {
                faults.push(super::FieldError::new(field, "out_of_range", format!("must be {low} to {high}")));
            }
        };
        bound("passwordMin", self.password_min as u64, 8, 64);
        bound("maxSessions", u64::from(self.max_sessions), 1, 50);
        let span = &self.lifetimes;
        bound("lifetimes.accessToken", u64::from(span.access_token), 60, 3_600);
        bound("lifetimes.sessionIdle", u64::from(span.session_idle), 3_600, 30 * 86_400);
        bound("lifetimes.session", u64::from(span.session), 3_600, 90 * 86_400);
        bound("lifetimes.verifyEmail", u64::from(span.verify_email), 600, 7 * 86_400);
        bound("lifetimes.verifyCode", u64::from(span.verify_code), 60, 3_600);
        bound("lifetimes.resetPassword", u64::from(span.reset_password), 300, 86_400);
        bound("lifetimes.changeEmail", u64::from(span.change_email), 300, 86_400);
        bound("userTokenTimeoutMax", u64::from(self.user_token_timeout_max.unwrap_or(60)), 60, u64::from(u32::MAX));
        bound("lifetimes.magicLink", u64::from(span.magic_link), 60, 3_600);
        bound("lifetimes.trustedDevice", u64::from(span.trusted_device), 0, 90 * 86_400);
        if let Some(Err(Error::Invalid(wrong))) = self.passkey_domain.as_deref().map(|domain| host_name("passkeyDomain", domain)) {
            faults.extend(wrong);
        }
        faults.extend(super::scope::check_registered("scopes", &self.scopes));
        if faults.is_empty() { Ok(()) } else { Err(Error::Invalid(faults)) }
    }
}

/// Life spans, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Lifetimes {
    pub access_token: u32,
    /// A session nobody used for so long is over.
    pub session_idle: u32,
    /// Absolute end of a session and of its refresh tokens.
    pub session: u32,
    /// Of a mailed verification link.
    pub verify_email: u32,
    /// Of the 6-digit code in the same mail (OWASP ASVS 5.0 6.5.5).
    pub verify_code: u32,
    /// Of a mailed reset link.
    pub reset_password: u32,
    /// Of a mailed link that confirms another address.
    pub change_email: u32,
    /// Of a mailed link that signs in (OWASP ASVS 5.0 6.5.5).
    pub magic_link: u32,
    /// How long a trusted device is not asked for a second factor; 0 if none can be trusted.
    pub trusted_device: u32,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self {
            access_token: 900,
            session_idle: 86_400,
            session: 7 * 86_400,
            verify_email: 86_400,
            verify_code: 600,
            reset_password: 1_800,
            change_email: 1_800,
            magic_link: 600,
            trusted_device: 30 * 86_400,
        }
    }
}

impl Lifetimes {
    /// A span of these as a [`TimeDelta`].
    #[must_use]
    pub fn span(seconds: u32) -> TimeDelta {
        TimeDelta::seconds(i64::from(seconds))
    }
}

/// An identity space.
#[derive(Clone, Debug)]
pub struct Realm {
    pub id: RealmId,
    pub account_id: AccountId,
    /// Lower-case, unique in the installation, never changed: it stands in the issuer of every token.
    pub name: String,
    pub status: RealmStatus,
    pub settings: RealmSettings,
    pub created_at: DateTime<Utc>,
}

impl Realm {
    /// What people see as the realm's name.
    #[must_use]
    pub fn display_name(&self) -> &str {
        self.settings.display_name.as_deref().unwrap_or(&self.name)
    }

    /// Whether a dialect answers here.
    #[must_use]
    pub fn serves(&self, family: Family) -> bool {
        self.settings.families.contains(&family)
    }
}

/// Checks a realm's name or custom domain: dot-separated labels of `a-z0-9-` as in RFC 1123, at most 253 bytes.
/// Upper case is folded; international names must come as A-labels.
///
/// # Errors
/// [`Error::Invalid`] naming `field`.
pub fn host_name(field: &str, text: &str) -> Result<String> {
    let name = text.trim().to_ascii_lowercase();
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if name.len() > 253 || !name.split('.').all(label) {
        return Err(Error::invalid(field, "invalid_host", "must be a DNS name such as `acme.example.com`: labels of a-z, 0-9 and -, joined by dots"));
    }
    if name.parse::<std::net::Ipv4Addr>().is_ok() {
        return Err(Error::invalid(field, "invalid_host", "must be a name, not an IP address"));
    }
    Ok(name)
}

//! The native dialect's bodies. Field names and limits are part of the contract; `openapi/native.json` pins them.
//!
//! Requests are poem-openapi objects that refuse unknown fields; replies are written by serde from the same structs
//! that the schema is taken from.

use poem_openapi::{Object, types::MaybeUndefined};
use serde::Serialize;

use crate::{
    domain::user::Profile,
    http::{payload::Instant, secret_text::SecretText},
    service::{
        Ctx,
        login::LoggedIn,
        sessions::{Listed, TokenPair},
    },
};

/// A person signs up.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, skip_serializing_if_is_none, example)]
pub(super) struct SignUpIn {
    /// What to call the person; 1 to 100 characters.
    #[oai(validator(max_length = 400))]
    pub(super) name: String,
    /// Where the verification mail goes.
    #[oai(validator(max_length = 320))]
    pub(super) email: String,
    /// 8 to 1,024 bytes (realms may ask for more), not a common one, not made of name or address.
    pub(super) password: SecretText,
    /// Names the account that a sign-up at the root realm makes.
    #[oai(nullable, validator(max_length = 400))]
    pub(super) company: Option<String>,
    #[oai(nullable, validator(max_length = 400))]
    pub(super) country: Option<String>,
    #[oai(nullable, validator(max_length = 100))]
    pub(super) phone: Option<String>,
}

/// The person as they said it.
#[derive(Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase")]
pub(super) struct SignedUpUser {
    pub(super) name: String,
    pub(super) email: String,
}

/// The same whether or not the address is in use; what happens next is told by mail.
#[derive(Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase", example)]
pub(super) struct SignedUpOut {
    pub(super) user: SignedUpUser,
    pub(super) message: String,
}

/// A proof of an address: `token` from the mailed link, or `email` with the mailed 6-digit `code`.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, skip_serializing_if_is_none, example)]
pub(super) struct VerifyEmailIn {
    #[oai(nullable, validator(max_length = 512))]
    pub(super) token: Option<String>,
    #[oai(nullable, validator(max_length = 320))]
    pub(super) email: Option<String>,
    #[oai(nullable, validator(max_length = 16))]
    pub(super) code: Option<String>,
}

/// An address that is proved now.
#[derive(Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase")]
pub(super) struct VerifiedOut {
    pub(super) email: String,
    pub(super) verified: bool,
}

/// An e-mail address.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, example)]
pub(super) struct EmailIn {
    #[oai(validator(max_length = 320))]
    pub(super) email: String,
}

/// What became of a request that says the same to everybody.
#[derive(Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase")]
pub(super) struct AcceptedOut {
    pub(super) message: String,
}

/// Address and password.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, skip_serializing_if_is_none, example)]
pub(super) struct LoginIn {
    #[oai(validator(max_length = 320))]
    pub(super) email: String,
    pub(super) password: SecretText,
    /// As the last sign-in on this device answered it, whoever's it was; left out at the first.
    #[oai(nullable)]
    pub(super) device_token: Option<SecretText>,
}

/// A person in short.
#[derive(Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase")]
pub(super) struct UserOut {
    pub(super) id: String,
    pub(super) email: String,
    pub(super) name: String,
    pub(super) email_verified: bool,
}

/// Tokens of a new session (RFC 6749 section 5.1).
#[derive(Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase")]
pub(super) struct TokensOut {
    /// A JWT (RFC 9068), to be sent as `Authorization: Bearer`.
    pub(super) access_token: String,
    /// Opaque; good once, for `POST /auth/refresh`.
    pub(super) refresh_token: String,
    /// Always `Bearer`.
    pub(super) token_type: String,
    /// Seconds until the access token ends.
    pub(super) expires_in: u64,
    /// Seconds until the refresh token ends.
    pub(super) refresh_expires_in: u64,
}

impl From<TokenPair> for TokensOut {
    fn from(pair: TokenPair) -> Self {
        Self {
            access_token: pair.access_token,
            refresh_token: pair.refresh_token,
            token_type: "Bearer".to_owned(),
            expires_in: pair.expires_in,
            refresh_expires_in: pair.refresh_expires_in,
        }
    }
}

/// A login state on one device.
#[derive(Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase")]
pub(super) struct SessionOut {
    pub(super) id: String,
    /// What the person would call it, such as `Firefox on Linux`.
    pub(super) device: String,
    /// Address of the sign-in.
    pub(super) ip: String,
    pub(super) created_at: Instant,
    /// Exact to about a minute.
    pub(super) last_used_at: Instant,
    /// When it ends whatever happens.
    pub(super) expires_at: Instant,
    /// Whether it is the session that asks.
    pub(super) current: bool,
}

impl From<Listed> for SessionOut {
    fn from(listed: Listed) -> Self {
        let Listed { session, current } = listed;
        Self {
            id: session.id.to_string(),
            device: session.device,
            ip: session.ip,
            created_at: Instant(session.created_at),
            last_used_at: Instant(session.last_used_at),
            expires_at: Instant(session.expires_at),
            current,
        }
    }
}

/// A person who is in.
#[derive(Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase")]
pub(super) struct LoginOut {
    pub(super) user: UserOut,
    pub(super) tokens: TokensOut,
    pub(super) session: SessionOut,
    /// To be kept on this device and sent with its next sign-in. It proves nothing but that the person used this device
    /// before: no session, no password.
    pub(super) device_token: String,
}

impl From<LoggedIn> for LoginOut {
    fn from(logged_in: LoggedIn) -> Self {
        let LoggedIn { user, session, tokens, device_token } = logged_in;
        Self {
            user: UserOut { id: user.id.to_string(), email: user.email.as_str().to_owned(), name: user.name, email_verified: user.email_verified_at.is_some() },
            tokens: tokens.into(),
            session: Listed { session, current: true }.into(),
            device_token,
        }
    }
}

/// The token of a mailed link.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, example)]
pub(super) struct UnlockSignInIn {
    #[oai(validator(max_length = 512))]
    pub(super) token: String,
}

/// A device that is known from now on.
#[derive(Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase")]
pub(super) struct DeviceOut {
    /// To be sent with the next sign-in.
    pub(super) device_token: String,
}

/// A refresh token.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, example)]
pub(super) struct RefreshIn {
    pub(super) refresh_token: SecretText,
}

/// What to end.
#[derive(Object, Default)]
#[oai(rename_all = "camelCase", deny_unknown_fields, example)]
pub(super) struct LogoutIn {
    /// `true` ends every session of the person, not only the one that asks.
    #[oai(default)]
    pub(super) everywhere: bool,
}

/// A mailed token and the password to be.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, example)]
pub(super) struct ResetPasswordIn {
    #[oai(validator(max_length = 512))]
    pub(super) token: String,
    pub(super) new_password: SecretText,
}

/// The password that is, as a proof, and the one to be.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, skip_serializing_if_is_none, example)]
pub(super) struct ChangePasswordIn {
    #[oai(nullable)]
    pub(super) current_password: Option<SecretText>,
    pub(super) new_password: SecretText,
}

/// What an access token says of its bearer.
#[derive(Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase")]
pub(super) struct TokenOut {
    /// The realm's name.
    pub(super) realm: String,
    pub(super) user_id: String,
    pub(super) session_id: String,
    /// Granted scopes, space separated.
    pub(super) scope: String,
    /// How the person proved who they are (RFC 8176).
    pub(super) amr: Vec<String>,
    /// When they did.
    pub(super) auth_time: Instant,
    /// End of this token.
    pub(super) expires_at: Instant,
}

impl TokenOut {
    pub(super) fn of(ctx: &Ctx) -> crate::domain::Result<Self> {
        let me = ctx.signed_in()?;
        Ok(Self {
            realm: ctx.realm.name.clone(),
            user_id: me.user_id.to_string(),
            session_id: me.session_id.to_string(),
            scope: me.scope.clone(),
            amr: me.amr.clone(),
            auth_time: Instant::from_seconds(me.auth_time),
            expires_at: Instant::from_seconds(me.expires_at),
        })
    }
}

/// A place in an account.
#[derive(Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase")]
pub(super) struct MembershipOut {
    pub(super) id: String,
    pub(super) name: String,
    /// `owner`, `admin` or `member`.
    pub(super) role: String,
}

/// The signed-in person.
#[derive(Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
pub(super) struct MeOut {
    pub(super) id: String,
    /// The realm's name.
    pub(super) realm: String,
    pub(super) email: String,
    pub(super) email_verified: bool,
    pub(super) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) company: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) country: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) phone: Option<String>,
    /// The language of mails and pages that the person chose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) locale: Option<String>,
    /// The accounts that the person belongs to.
    pub(super) accounts: Vec<MembershipOut>,
    pub(super) created_at: Instant,
    pub(super) updated_at: Instant,
}

impl MeOut {
    pub(super) fn of(ctx: &Ctx, profile: &Profile) -> Self {
        let user = &profile.user;
        let place = |place: &crate::domain::user::Membership| MembershipOut {
            id: place.account_id.to_string(),
            name: place.account_name.clone(),
            role: place.role.as_str().to_owned(),
        };
        Self {
            id: user.id.to_string(),
            realm: ctx.realm.name.clone(),
            email: user.email.as_str().to_owned(),
            email_verified: user.email_verified_at.is_some(),
            name: user.name.clone(),
            company: user.company.clone(),
            country: user.country.clone(),
            phone: user.phone.clone(),
            locale: user.locale.map(|language| language.tag().to_owned()),
            accounts: profile.memberships.iter().map(place).collect(),
            created_at: Instant(user.created_at),
            updated_at: Instant(user.updated_at),
        }
    }
}

/// Changes to the profile: a field left out stays, `null` clears it.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, skip_serializing_if_is_none, example)]
pub(super) struct ProfileIn {
    #[oai(validator(max_length = 400))]
    pub(super) name: Option<String>,
    #[oai(nullable, validator(max_length = 400))]
    pub(super) company: MaybeUndefined<String>,
    #[oai(nullable, validator(max_length = 400))]
    pub(super) country: MaybeUndefined<String>,
    #[oai(nullable, validator(max_length = 100))]
    pub(super) phone: MaybeUndefined<String>,
    /// The language of mails and pages, as a BCP 47 tag: `en` or `de`, with any region.
    #[oai(nullable, validator(max_length = 35))]
    pub(super) locale: MaybeUndefined<String>,
}

/// Live sessions, newest first. All of them: there are never more than the realm allows.
#[derive(Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase")]
pub(super) struct SessionsOut {
    pub(super) items: Vec<SessionOut>,
    /// Always `null`: one page holds them all.
    #[oai(nullable)]
    pub(super) next_cursor: Option<String>,
}

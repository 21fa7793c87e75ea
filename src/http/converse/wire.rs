//! Bodies of the Converse dialect.

use poem::{IntoResponse, Response, http::StatusCode};
use poem_openapi::{
    ApiResponse, Object,
    registry::{MetaMediaType, MetaResponse, MetaResponses, Registry},
    types::{Example, Type as _},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;

use crate::{
    domain::user::Profile,
    http::{payload::Instant, secret_text::SecretText},
    service::{credentials::Known, user_tokens::Listed},
};

/// A person's address and password, and how long the token is to be good.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, skip_serializing_if_is_none, example)]
pub(super) struct VerifyUserIn {
    pub(super) email: String,
    pub(super) password: SecretText,
    /// Seconds until the token expires, or -1 for never. Needed with `createToken=true`.
    pub(super) timeout: Option<i64>,
    /// Whether each use moves the end to `timeout` seconds later. Needed with `createToken=true`.
    pub(super) auto_renew: Option<bool>,
}

impl Example for VerifyUserIn {
    fn example() -> Self {
        Self { email: "ada@example.com".to_owned(), password: SecretText::from("violet otter harbour"), timeout: Some(600), auto_renew: Some(false) }
    }
}

/// A token to judge.
#[derive(Object)]
#[oai(deny_unknown_fields, example)]
pub(super) struct TokenIn {
    pub(super) token: SecretText,
}

impl Example for TokenIn {
    fn example() -> Self {
        Self { token: SecretText::from("00000000-0000-0000-0000-000000000000") }
    }
}

/// A new token.
#[derive(Object, Serialize)]
pub(super) struct TokenOut {
    /// For `X-CONVERSE-TOKEN`. Shown here and nowhere else.
    token: String,
}

/// The person who calls.
#[derive(Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase")]
pub(super) struct UserOut {
    uuid: String,
    email: String,
    name: String,
    #[oai(nullable)]
    company: Option<String>,
    #[oai(nullable)]
    country: Option<String>,
    #[oai(nullable)]
    phone: Option<String>,
    /// The account that this call counts for.
    space: String,
    /// Accounts that `X-CONVERSE-SPACE` may pick.
    spaces: Vec<SpaceOut>,
}

/// An account of the person.
#[derive(Object, Serialize)]
pub(super) struct SpaceOut {
    uuid: String,
    name: String,
    /// `owner`, `admin` or `member`.
    role: String,
}

impl UserOut {
    pub(super) fn of(known: &Known, profile: &Profile) -> Self {
        let user = &profile.user;
        let space = |place: &crate::domain::user::Membership| SpaceOut {
            uuid: place.account_id.to_string(),
            name: place.account_name.clone(),
            role: place.role.as_str().to_owned(),
        };
        Self {
            uuid: user.id.to_string(),
            email: user.email.as_str().to_owned(),
            name: user.name.clone(),
            company: user.company.clone(),
            country: user.country.clone(),
            phone: user.phone.clone(),
            space: known.terms.account.id.to_string(),
            spaces: profile.memberships.iter().map(space).collect(),
        }
    }
}

/// The caller's live tokens, newest first.
#[derive(Object, Serialize)]
pub(super) struct TokensOut {
    pub(super) tokens: Vec<ListedOut>,
}

/// A live token. Its value is not kept.
#[derive(Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase")]
pub(super) struct ListedOut {
    /// The first eight characters.
    prefix: String,
    created: Instant,
    /// `null` until the first use; up to a minute old.
    #[oai(nullable)]
    last_used: Option<Instant>,
    /// `null` for never.
    #[oai(nullable)]
    expires: Option<Instant>,
    /// Seconds, or -1 for never.
    timeout: i64,
    auto_renew: bool,
    /// Whether it is the one that asks.
    current: bool,
}

impl From<Listed> for ListedOut {
    fn from(Listed { token, current }: Listed) -> Self {
        Self {
            prefix: token.prefix,
            created: Instant(token.created_at),
            last_used: token.last_used_at.map(Instant),
            expires: token.expires_at.map(Instant),
            timeout: token.timeout.seconds().unwrap_or(-1),
            auto_renew: token.auto_renew,
            current,
        }
    }
}

/// 200 without a body.
pub(super) struct Yes;

impl IntoResponse for Yes {
    fn into_response(self) -> Response {
        StatusCode::OK.into_response()
    }
}

fn response(content: Vec<MetaMediaType>) -> MetaResponses {
    MetaResponses { responses: vec![MetaResponse { description: "Yes.", status: Some(200), status_range: None, content, headers: vec![] }] }
}

impl ApiResponse for Yes {
    fn meta() -> MetaResponses {
        response(vec![])
    }

    fn register(_: &mut Registry) {}
}

/// 200, with the new token if one was asked for.
pub(super) struct Verified(pub(super) Option<SecretString>);

impl IntoResponse for Verified {
    fn into_response(self) -> Response {
        let Some(token) = self.0 else { return Yes.into_response() };
        let body = TokenOut { token: token.expose_secret().to_owned() };
        Response::builder().content_type("application/json").body(serde_json::to_vec(&body).unwrap_or_default())
    }
}

impl ApiResponse for Verified {
    fn meta() -> MetaResponses {
        response(vec![MetaMediaType { content_type: "application/json", schema: TokenOut::schema_ref() }])
    }

    fn register(registry: &mut Registry) {
        TokenOut::register(registry);
    }
}

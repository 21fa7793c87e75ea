//! From facts to statuses. The one place that knows which number a fault is, and how a problem is written.
//!
//! Whatever the framework raises is put into our own words here: its texts quote what was sent.

use poem::{
    Response,
    http::{HeaderName, HeaderValue, StatusCode, header},
};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use crate::domain::request_id::RequestId;
use crate::domain::{Error, FieldError, error::codes, factor::Method};

/// A fault on its way to a client.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) detail: String,
    pub(crate) errors: Vec<FieldError>,
    /// Why a session ended.
    pub(crate) reason: Option<&'static str>,
    /// The limit that was reached.
    pub(crate) limit: Option<&'static str>,
    /// Seconds until it is worth another try.
    pub(crate) retry_after: Option<u64>,
    /// What a 401 asks for (RFC 6750 section 3).
    pub(crate) challenge: Option<&'static str>,
    /// Methods that the path knows, for a 405.
    pub(crate) allow: Option<String>,
    /// What goes with a second factor; shown to whoever made the first proof, and in no log.
    pub(crate) mfa_token: Option<SecretString>,
    /// How a proof can be made.
    pub(crate) methods: Option<Vec<&'static str>>,
    /// For the log alone.
    pub(crate) cause: Option<String>,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.code)
    }
}

impl std::error::Error for Failure {}

impl From<Failure> for poem::Error {
    fn from(failure: Failure) -> Self {
        let status = failure.status;
        Self::new(failure, status)
    }
}

const NO_TOKEN: &str = r#"Bearer realm="realmgate""#;
const NO_SCOPE: &str = r#"Bearer realm="realmgate", error="insufficient_scope""#;
const NO_VERIFY_SCOPE: &str = r#"Bearer realm="realmgate", error="insufficient_scope", scope="credentials:verify""#;
/// RFC 9470 section 3.
const STEP_UP: &str = r#"Bearer realm="realmgate", error="insufficient_user_authentication", max_age=600"#;
const BAD_TOKEN: &str = r#"Bearer realm="realmgate", error="invalid_token""#;

impl Failure {
    /// A fault without further members.
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            code,
            detail: detail.into(),
            errors: Vec::new(),
            reason: None,
            limit: None,
            retry_after: None,
            challenge: None,
            allow: None,
            mfa_token: None,
            methods: None,
            cause: None,
        }
    }

    /// A body of another shape than the operation takes.
    pub(crate) fn shape(errors: Vec<FieldError>) -> Self {
        Self { errors, ..Self::new(StatusCode::BAD_REQUEST, codes::INVALID_REQUEST, "The request has another shape than this operation takes.") }
    }

    /// A body that is no JSON.
    pub(crate) fn malformed(detail: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, codes::MALFORMED_JSON, detail)
    }

    /// A body over the limit.
    pub(crate) fn too_large(limit: usize) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, codes::PAYLOAD_TOO_LARGE, format!("The body may have {limit} bytes at most."))
    }

    /// A body of another content type.
    pub(crate) fn media_type(wanted: &str) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, codes::UNSUPPORTED_MEDIA_TYPE, format!("This operation takes `Content-Type: {wanted}`."))
    }

    /// A form that no page of ours posted.
    pub(crate) fn cross_site() -> Self {
        Self::new(StatusCode::FORBIDDEN, codes::CROSS_SITE, "This form did not come from this site. Open the page again and send it from there.")
    }

    /// What the framework raised, in our words.
    pub(crate) fn from_framework(error: &poem::Error) -> Self {
        if let Some(failure) = error.downcast_ref::<Self>() {
            return failure.clone();
        }
        if let Some(fault) = error.downcast_ref::<poem_openapi::error::ParseParamError>() {
            return Self::shape(vec![FieldError::new(fault.name, "invalid", "can't be read")]);
        }
        // A path that is no text, such as `%ff`, leads nowhere either.
        if error.is::<poem_openapi::error::ParsePathError>() || error.is::<poem::error::ParsePathError>() {
            return Error::NotFound.into();
        }
        match error.status() {
            StatusCode::NOT_FOUND => Error::NotFound.into(),
            StatusCode::METHOD_NOT_ALLOWED => Self::new(StatusCode::METHOD_NOT_ALLOWED, codes::METHOD_NOT_ALLOWED, "This path does not know this method."),
            StatusCode::PAYLOAD_TOO_LARGE => Self::new(StatusCode::PAYLOAD_TOO_LARGE, codes::PAYLOAD_TOO_LARGE, "The body is too large."),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, codes::UNSUPPORTED_MEDIA_TYPE, "This operation does not take this content type.")
            }
            StatusCode::UNAUTHORIZED => Error::MissingCredential.into(),
            status if status.is_client_error() => Self::shape(Vec::new()),
            // The texts of faults that are ours may hold anything; the log gets their type alone.
            status => Self { cause: Some(format!("the framework raised {status}")), ..Error::internal("framework").into() },
        }
    }

    /// The reply as a problem (RFC 9457).
    pub(crate) fn problem(&self, id: &RequestId) -> Response {
        let body = Problem {
            kind: format!("urn:realmgate:error:{}", self.code),
            title: self.status.canonical_reason().unwrap_or("Error").to_owned(),
            status: self.status.as_u16(),
            detail: self.detail.clone(),
            code: self.code.to_owned(),
            request_id: id.to_string(),
            errors: if self.errors.is_empty() { None } else { Some(&self.errors) },
            reason: self.reason,
            limit: self.limit,
            mfa_token: self.mfa_token.as_ref().map(ExposeSecret::expose_secret),
            methods: self.methods.as_deref(),
        };
        let mut reply = Response::builder().status(self.status).content_type("application/problem+json").body(serde_json::to_vec(&body).unwrap_or_default());
        self.put_headers(&mut reply);
        reply
    }

    /// `Retry-After`, `WWW-Authenticate`, `Allow`.
    pub(crate) fn put_headers(&self, reply: &mut Response) {
        let mut put = |name: HeaderName, value: Option<HeaderValue>| {
            if let Some(value) = value {
                reply.headers_mut().insert(name, value);
            }
        };
        put(header::RETRY_AFTER, self.retry_after.map(HeaderValue::from));
        put(header::WWW_AUTHENTICATE, self.challenge.map(HeaderValue::from_static));
        put(header::ALLOW, self.allow.as_deref().and_then(|methods| methods.parse().ok()));
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Problem<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: String,
    status: u16,
    detail: String,
    code: String,
    request_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<&'a Vec<FieldError>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mfa_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    methods: Option<&'a [&'static str]>,
}

fn words(methods: &[Method]) -> Vec<&'static str> {
    methods.iter().map(|method| method.as_str()).collect()
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = error.code();
        let (status, detail) = match &error {
            Error::InvalidCredentials => (
                StatusCode::UNAUTHORIZED,
                "The e-mail address or the password is wrong. After several wrong ones wait a little before the next, or look into your mailbox.",
            ),
            Error::EmailNotVerified => (StatusCode::FORBIDDEN, "Verify your e-mail address first: follow the link in the mail, or ask for another one."),
            Error::AccountLocked => (StatusCode::FORBIDDEN, "This user is locked. Ask the operator."),
            Error::WrongPassword => (StatusCode::FORBIDDEN, "The current password is wrong. After several wrong ones wait a little before the next."),
            Error::InvalidOneTimeToken => (StatusCode::BAD_REQUEST, "The token or code is wrong, was used already or has expired. Ask for a new mail."),
            Error::InvalidRefreshToken { .. } => (StatusCode::UNAUTHORIZED, "The refresh token is not valid any more. Sign in again."),
            Error::MissingCredential => (StatusCode::UNAUTHORIZED, "This operation needs `Authorization: Bearer <access token>`."),
            Error::InvalidAccessToken => (StatusCode::UNAUTHORIZED, "The access token is not valid."),
            Error::AccessTokenExpired => (StatusCode::UNAUTHORIZED, "The access token has expired. Refresh it."),
            Error::SessionEnded { .. } => (StatusCode::UNAUTHORIZED, "The session has ended. Sign in again."),
            Error::StepUpRequired { .. } => (
                StatusCode::UNAUTHORIZED,
                "This needs a fresh proof of who you are. Prove it at /auth/step-up by one of `methods`, or sign in again; then repeat it.",
            ),
            Error::FactorWanted { .. } => {
                (StatusCode::FORBIDDEN, "A second factor is needed. Send `mfaToken` with one of `methods` to /auth/mfa/verify within five minutes.")
            }
            Error::EnrolmentWanted { .. } => {
                (StatusCode::FORBIDDEN, "This realm requires a second factor. Add one of `methods` with `mfaToken` below /auth/mfa/enrol within five minutes.")
            }
            Error::InvalidFactorToken => (StatusCode::UNAUTHORIZED, "The token of this sign-in is not valid any more. Sign in again."),
            Error::InvalidFactorCode => {
                (StatusCode::UNAUTHORIZED, "The code is wrong, or was used already. After several wrong ones wait a little before the next.")
            }
            Error::InvalidPasskey => (StatusCode::UNAUTHORIZED, "The passkey's answer proves nothing here. Ask anew and try again."),
            Error::FactorsOff => (StatusCode::FORBIDDEN, "This realm has no second factors and no passkeys."),
            Error::LastFactor => (StatusCode::CONFLICT, "This realm requires a second factor. Add another one first."),
            Error::RealmMismatch => (StatusCode::UNAUTHORIZED, "The credential belongs to another realm than the one that the request names."),
            Error::NotPermitted => (StatusCode::FORBIDDEN, "The caller may not do this."),
            Error::NotFound => (StatusCode::NOT_FOUND, "There is nothing here."),
            Error::RealmNotFound => (StatusCode::NOT_FOUND, "There is no such realm."),
            Error::RealmSuspended => (StatusCode::FORBIDDEN, "This realm is suspended."),
            Error::Invalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, "Some values are not acceptable; `errors` names them."),
            Error::Taken { .. } => (StatusCode::CONFLICT, "This value is in use already."),
            Error::AccountDisabled => (StatusCode::FORBIDDEN, "This account is disabled."),
            Error::PlanLimit { .. } => (StatusCode::FORBIDDEN, "The account's plan allows no more of these."),
            Error::LastOwner => (StatusCode::CONFLICT, "An account keeps at least one owner. Make somebody else owner first."),
            Error::NotInvited => (StatusCode::FORBIDDEN, "This invitation is for another address. Sign in with the address that it was mailed to."),
            Error::InviteeExists => (StatusCode::CONFLICT, "The invited address has a user already. Sign in and accept the invitation then."),
            Error::InvitationAccepted => (StatusCode::CONFLICT, "This invitation was accepted already. Remove the member instead."),
            Error::InvalidApiKey => (StatusCode::UNAUTHORIZED, "The API key is not valid: unknown, mistyped, revoked or expired."),
            Error::InsufficientScope { .. } => (StatusCode::FORBIDDEN, "The API key lacks the scope that this operation needs."),
            Error::IpNotAllowed => (StatusCode::FORBIDDEN, "This API key may not be used from this address."),
            Error::KeyNotActive => (StatusCode::CONFLICT, "This key was revoked, has expired or was rotated already."),
            Error::TokenNotValid => (StatusCode::FORBIDDEN, "This is no valid token of the caller."),
            Error::AmbiguousCredential => (StatusCode::BAD_REQUEST, "The request shows more than one credential. Send the one that is meant."),
            Error::RateLimited { .. } => (StatusCode::TOO_MANY_REQUESTS, "Too many requests. Wait and try again."),
            Error::Busy { .. } => (StatusCode::SERVICE_UNAVAILABLE, "The service is busy. Nothing was done; try again."),
            Error::Unavailable(_) | Error::Conflict(_) => (StatusCode::SERVICE_UNAVAILABLE, "The service is unavailable for the moment. Try again."),
            Error::Setup(_) | Error::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong here. The request id finds it in our log."),
        };
        let mut failure = Self::new(status, code, detail);
        match &error {
            Error::Invalid(errors) => failure.errors.clone_from(errors),
            Error::PlanLimit { what, cap } => {
                failure.detail = format!("The account's plan allows no more {what}.");
                failure.limit = Some(cap);
            }
            Error::Taken { field } => failure.errors = vec![FieldError::new(*field, "taken", "is in use already")],
            Error::InvalidRefreshToken { reason } => failure.reason = reason.map(crate::domain::session::EndReason::as_str),
            Error::SessionEnded { reason } => failure.reason = Some(reason.as_str()),
            Error::RateLimited { retry_after } | Error::Busy { retry_after } => failure.retry_after = Some(*retry_after),
            Error::Unavailable(_) | Error::Conflict(_) => failure.retry_after = Some(2),
            Error::StepUpRequired { methods, .. } => failure.methods = Some(words(methods)),
            Error::FactorWanted { token, methods } | Error::EnrolmentWanted { token, methods } => {
                failure.mfa_token = Some(token.clone());
                failure.methods = Some(words(methods));
            }
            _ => {}
        }
        failure.challenge = match &error {
            Error::MissingCredential => Some(NO_TOKEN),
            Error::InvalidAccessToken | Error::AccessTokenExpired | Error::SessionEnded { .. } | Error::RealmMismatch | Error::InvalidApiKey => Some(BAD_TOKEN),
            // RFC 6750 section 3.1.
            Error::InsufficientScope { scope: crate::domain::scope::VERIFY } => Some(NO_VERIFY_SCOPE),
            Error::InsufficientScope { .. } => Some(NO_SCOPE),
            Error::StepUpRequired { .. } => Some(STEP_UP),
            // RFC 9110 section 15.5.2: every 401 says what would be accepted.
            Error::InvalidCredentials | Error::InvalidRefreshToken { .. } | Error::InvalidFactorToken | Error::InvalidFactorCode | Error::InvalidPasskey => {
                Some(NO_TOKEN)
            }
            _ => None,
        };
        failure.cause = match &error {
            Error::Unavailable(cause) | Error::Conflict(cause) | Error::Internal(cause) => Some(cause.to_string()),
            Error::Setup(text) => Some(text.clone()),
            _ => None,
        };
        failure
    }
}

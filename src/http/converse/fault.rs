//! Failures of the Converse dialect: a code and a sentence.

use poem::{
    Response,
    http::{HeaderValue, StatusCode, header},
};
use poem_openapi::{
    ApiResponse, Object,
    registry::{MetaMediaType, MetaResponse, MetaResponses, Registry},
    types::Type as _,
};
use serde::Serialize;

use crate::{
    domain::Error,
    http::{
        failure::Failure,
        problem::{E400, E401, E403, E404, E413, E415, E503},
    },
};

/// What a 401 asks for (RFC 9110 section 11.6.1); the scheme is this dialect's own header.
const CHALLENGE: HeaderValue = HeaderValue::from_static(r#"X-CONVERSE-TOKEN realm="realmgate""#);

/// A failure.
#[derive(Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase", rename = "Failure")]
struct FaultOut {
    /// For programs; stable.
    error_code: String,
    /// For people; may change.
    error_msg: String,
}

/// The reply that a failure becomes.
pub(in crate::http) fn render(failure: &Failure) -> Response {
    let status = status(failure);
    let body = FaultOut { error_code: failure.code.to_owned(), error_msg: sentence(failure) };
    let mut reply = Response::builder().status(status).content_type("application/json").body(serde_json::to_vec(&body).unwrap_or_default());
    failure.put_headers(&mut reply);
    reply.headers_mut().remove(header::WWW_AUTHENTICATE);
    if status == StatusCode::UNAUTHORIZED {
        reply.headers_mut().insert(header::WWW_AUTHENTICATE, CHALLENGE);
    }
    reply
}

fn status(failure: &Failure) -> StatusCode {
    match (failure.code, failure.status) {
        // Asked whether a password is right, the dialect says 403 for no.
        ("invalid_credentials", _) => StatusCode::FORBIDDEN,
        (_, StatusCode::UNPROCESSABLE_ENTITY) => StatusCode::BAD_REQUEST,
        (_, status) => status,
    }
}

fn sentence(failure: &Failure) -> String {
    let own = match failure.code {
        "invalid_credentials" => "The e-mail address or the password is wrong, or this person may not sign in here.",
        "missing_credential" => "This call needs a user token in the header X-CONVERSE-TOKEN.",
        "invalid_access_token" => "The user token is not valid.",
        "access_token_expired" => "The user token has expired.",
        "not_permitted" => "The person has no place in this space.",
        _ => return with_fields(failure),
    };
    own.to_owned()
}

/// The sentence, and what is wrong with which field.
fn with_fields(failure: &Failure) -> String {
    let fields = failure.errors.iter().map(|fault| match fault.field.as_str() {
        "" => fault.message.clone(),
        field => format!("{field} {}", fault.message),
    });
    let fields: Vec<_> = fields.collect();
    if fields.is_empty() { failure.detail.clone() } else { format!("{}.", fields.join("; ")) }
}

const SETS: [(u32, u16, &str); 7] = [
    (E400, 400, "The request is not one that this call takes."),
    (E401, 401, "No user token, or none that is good."),
    (E403, 403, "The answer is no."),
    (E404, 404, "There is no such realm, or it does not speak this dialect."),
    (E413, 413, "The body is too large."),
    (E415, 415, "The body is not JSON."),
    (E503, 503, "The service is busy; `Retry-After` says when to try again."),
];
const ALWAYS: [(u16, &str); 2] = [(429, "A limit was reached; `Retry-After` says when to try again."), (500, "A fault of the service.")];

/// A failure of an operation that may answer the statuses in `SET`.
#[derive(Debug)]
pub(super) struct Fault<const SET: u32>(Failure);

impl<const SET: u32> From<Error> for Fault<SET> {
    fn from(error: Error) -> Self {
        Self(error.into())
    }
}

impl<const SET: u32> From<Failure> for Fault<SET> {
    fn from(failure: Failure) -> Self {
        Self(failure)
    }
}

impl<const SET: u32> From<Fault<SET>> for poem::Error {
    fn from(fault: Fault<SET>) -> Self {
        fault.0.into()
    }
}

impl<const SET: u32> ApiResponse for Fault<SET> {
    fn meta() -> MetaResponses {
        let response = |(status, description): (u16, &'static str)| MetaResponse {
            description,
            status: Some(status),
            status_range: None,
            content: vec![MetaMediaType { content_type: "application/json", schema: FaultOut::schema_ref() }],
            headers: vec![],
        };
        let declared = SETS.into_iter().filter(|(bit, ..)| SET & bit != 0).map(|(_, status, text)| (status, text));
        MetaResponses { responses: declared.chain(ALWAYS).map(response).collect() }
    }

    fn register(registry: &mut Registry) {
        FaultOut::register(registry);
    }
}

//! Which statuses an operation may answer besides its own, said at its signature and written into the OpenAPI file.

use poem_openapi::{
    ApiResponse, Object,
    registry::{MetaMediaType, MetaResponse, MetaResponses, Registry},
    types::Type as _,
};

use super::failure::Failure;
use crate::domain::Error;

pub(crate) const E400: u32 = 1;
pub(crate) const E401: u32 = 1 << 1;
pub(crate) const E403: u32 = 1 << 2;
pub(crate) const E404: u32 = 1 << 3;
pub(crate) const E413: u32 = 1 << 4;
pub(crate) const E415: u32 = 1 << 5;
pub(crate) const E422: u32 = 1 << 6;
pub(crate) const E503: u32 = 1 << 7;
pub(crate) const E409: u32 = 1 << 8;
/// Any operation may meet a limit or a fault of ours, and says so.
const ALWAYS: [(u16, &str); 2] =
    [(429, "A limit was reached: `limit` says which, `Retry-After` when to try again."), (500, "A fault of the service; `requestId` finds it in the log.")];

const SETS: [(u32, u16, &str); 9] = [
    (E400, 400, "The request has another shape than this operation takes, or its token is not good."),
    (E401, 401, "No credential, or none that is good."),
    (E403, 403, "The caller may not do this."),
    (E404, 404, "There is nothing here."),
    (E409, 409, "What is there already stands against it."),
    (E413, 413, "The body is too large."),
    (E415, 415, "The body is not JSON."),
    (E422, 422, "Some values are not acceptable; `errors` names them."),
    (E503, 503, "The service is busy; `Retry-After` says when to try again."),
];

/// A failure of an operation that may answer the statuses in `SET`.
#[derive(Debug)]
pub(crate) struct ApiErr<const SET: u32>(Failure);

impl<const SET: u32> From<Error> for ApiErr<SET> {
    fn from(error: Error) -> Self {
        Self(error.into())
    }
}

impl<const SET: u32> From<ApiErr<SET>> for poem::Error {
    fn from(error: ApiErr<SET>) -> Self {
        error.0.into()
    }
}

/// A problem (RFC 9457).
#[derive(Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
struct Problem {
    /// Identifies the kind of problem: `urn:realmgate:error:` and the code.
    r#type: String,
    title: String,
    status: u16,
    /// For people; may change.
    detail: String,
    /// For programs; stable.
    code: String,
    /// Finds the request in the log.
    request_id: String,
    /// What is wrong with which field.
    errors: Option<Vec<ProblemField>>,
    /// Why the session ended, on a 401.
    reason: Option<String>,
    /// Which limit was reached, on a 429; which of the plan's caps, on a 403 for one.
    limit: Option<String>,
    /// What goes with the second factor of this sign-in, on a 403 that wants one; good for five minutes and five answers.
    mfa_token: Option<String>,
    /// How the proof that is wanted can be made: `password`, `totp`, `passkey`, `recovery_code`.
    methods: Option<Vec<String>>,
}

/// One thing that is wrong with one field.
#[derive(Object)]
#[oai(rename_all = "camelCase")]
struct ProblemField {
    /// Dotted path from the body's root.
    field: String,
    code: String,
    message: String,
}

impl<const SET: u32> ApiResponse for ApiErr<SET> {
    fn meta() -> MetaResponses {
        let response = |(status, description): (u16, &'static str)| MetaResponse {
            description,
            status: Some(status),
            status_range: None,
            content: vec![MetaMediaType { content_type: "application/problem+json", schema: Problem::schema_ref() }],
            headers: vec![],
        };
        let declared = SETS.into_iter().filter(|(bit, ..)| SET & bit != 0).map(|(_, status, text)| (status, text));
        MetaResponses { responses: declared.chain(ALWAYS).map(response).collect() }
    }

    fn register(registry: &mut Registry) {
        Problem::register(registry);
    }
}

//! Bodies in and out.
//!
//! In: JSON is checked against the schema of its type first, so that one answer names every fault and none quotes what
//! was sent. Out: serde writes the struct at once, without the detour over a value tree that the framework takes.

use chrono::{DateTime, SecondsFormat, Utc};
use poem::{IntoResponse, Request, RequestBody, Response, Result, http::StatusCode};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ApiResponse, ExtractParamOptions,
    registry::{MetaMediaType, MetaRequest, MetaResponse, MetaResponses, MetaSchema, MetaSchemaRef, Registry},
    types::{ParseFromJSON, ToJSON, Type},
};
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::{failure::Failure, shape};
use crate::domain::FieldError;

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

/// A required JSON body.
pub(crate) struct Json<T>(pub(crate) T);

/// A JSON body that may be left out altogether.
pub(crate) struct OptionalJson<T>(pub(crate) T);

/// A required form body, for operations whose standard wants one (RFC 6749 appendix B). Each field is a text.
pub(crate) struct Form<T>(pub(crate) T);

/// 200 with a JSON body.
pub(crate) struct Reply<T>(pub(crate) T);

/// 201 with a JSON body: something new exists.
pub(crate) struct Created<T>(pub(crate) T);

/// 202 with a JSON body: the rest happens later.
pub(crate) struct Accepted<T>(pub(crate) T);

/// 204.
pub(crate) struct NoContent;

async fn read<T: ParseFromJSON + 'static>(req: &Request, body: &mut RequestBody) -> Result<Option<T>> {
    // The edge has read the body already, under its limit.
    let bytes = body.take()?.into_bytes().await?;
    if bytes.is_empty() {
        return Ok(None);
    }
    let is_json = req
        .content_type()
        .and_then(|text| text.split(';').next())
        .map(str::trim)
        .is_some_and(|essence| essence.eq_ignore_ascii_case(JSON) || (essence.starts_with("application/") && essence.ends_with("+json")));
    if !is_json {
        return Err(Failure::media_type(JSON).into());
    }
    let value = shape::parse(&bytes)?;
    shape::check::<T>(&value)?;
    // What the schema lets through and the type does not is a fault of the shape too; its own text may quote values.
    let parsed = T::parse_from_json(Some(value)).map_err(|_| Failure::shape(Vec::new()))?;
    Ok(Some(parsed))
}

fn request_meta<T: Type>(required: bool) -> MetaRequest {
    MetaRequest { description: None, content: vec![MetaMediaType { content_type: JSON, schema: T::schema_ref() }], required }
}

impl<'a, T: ParseFromJSON + 'static> ApiExtractor<'a> for Json<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        Some(request_meta::<T>(true))
    }

    async fn from_request(req: &'a Request, body: &mut RequestBody, _: ExtractParamOptions<()>) -> Result<Self> {
        match read(req, body).await? {
            Some(value) => Ok(Self(value)),
            None => Err(Failure::shape(vec![FieldError::new("", "required", "a JSON body is required")]).into()),
        }
    }
}

impl<'a, T: ParseFromJSON + Default + 'static> ApiExtractor<'a> for OptionalJson<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        Some(request_meta::<T>(false))
    }

    async fn from_request(req: &'a Request, body: &mut RequestBody, _: ExtractParamOptions<()>) -> Result<Self> {
        Ok(Self(read(req, body).await?.unwrap_or_default()))
    }
}

impl<'a, T: ParseFromJSON + 'static> ApiExtractor<'a> for Form<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        Some(MetaRequest { description: None, content: vec![MetaMediaType { content_type: FORM, schema: T::schema_ref() }], required: true })
    }

    async fn from_request(req: &'a Request, body: &mut RequestBody, _: ExtractParamOptions<()>) -> Result<Self> {
        let bytes = body.take()?.into_bytes().await?;
        let essence = req.content_type().and_then(|text| text.split(';').next()).map(str::trim);
        if !essence.is_some_and(|essence| essence.eq_ignore_ascii_case(FORM)) {
            return Err(Failure::media_type(FORM).into());
        }
        let mut fields = serde_json::Map::new();
        for (name, value) in url::form_urlencoded::parse(&bytes) {
            // RFC 6749 section 3.2: no parameter may stand twice.
            if fields.insert(name.clone().into_owned(), Value::String(value.into_owned())).is_some() {
                return Err(Failure::shape(vec![FieldError::new("", "duplicate", "names one field twice")]).into());
            }
        }
        // RFC 6749 section 3.2 again: what is not known is ignored.
        shape::keep_known::<T>(&mut fields);
        let value = Value::Object(fields);
        shape::check::<T>(&value)?;
        Ok(Self(T::parse_from_json(Some(value)).map_err(|_| Failure::shape(Vec::new()))?))
    }
}

fn response_meta<T: Type>(status: u16) -> MetaResponses {
    let content = vec![MetaMediaType { content_type: JSON, schema: T::schema_ref() }];
    MetaResponses { responses: vec![MetaResponse { description: "Done.", status: Some(status), status_range: None, content, headers: vec![] }] }
}

fn write(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => Response::builder().status(status).content_type(JSON).body(body),
        // Structs of strings and numbers always serialise.
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

macro_rules! reply {
    ($name:ident, $status:ident, $number:literal) => {
        impl<T: Serialize + Send> IntoResponse for $name<T> {
            fn into_response(self) -> Response {
                write(StatusCode::$status, &self.0)
            }
        }

        impl<T: Type> ApiResponse for $name<T> {
            fn meta() -> MetaResponses {
                response_meta::<T>($number)
            }

            fn register(registry: &mut Registry) {
                T::register(registry);
            }
        }
    };
}
reply!(Reply, OK, 200);
reply!(Created, CREATED, 201);
reply!(Accepted, ACCEPTED, 202);

impl IntoResponse for NoContent {
    fn into_response(self) -> Response {
        StatusCode::NO_CONTENT.into_response()
    }
}

impl ApiResponse for NoContent {
    fn meta() -> MetaResponses {
        MetaResponses { responses: vec![MetaResponse { description: "Done.", status: Some(204), status_range: None, content: vec![], headers: vec![] }] }
    }

    fn register(_: &mut Registry) {}
}

/// An instant as RFC 3339 in UTC with milliseconds: `2026-01-31T12:00:00.000Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instant(pub(crate) DateTime<Utc>);

impl Instant {
    /// The instant so many seconds after the epoch.
    pub(crate) fn from_seconds(seconds: i64) -> Self {
        Self(DateTime::from_timestamp(seconds, 0).unwrap_or_default())
    }

    fn text(self) -> String {
        self.0.to_rfc3339_opts(SecondsFormat::Millis, true)
    }
}

impl Serialize for Instant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text())
    }
}

impl Type for Instant {
    const IS_REQUIRED: bool = true;

    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> std::borrow::Cow<'static, str> {
        "string_date-time".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema::new_with_format("string", "date-time")))
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl ToJSON for Instant {
    fn to_json(&self) -> Option<Value> {
        Some(Value::String(self.text()))
    }
}

impl ParseFromJSON for Instant {
    fn parse_from_json(value: Option<Value>) -> poem_openapi::types::ParseResult<Self> {
        let text = value.as_ref().and_then(Value::as_str).unwrap_or_default();
        let parsed = DateTime::parse_from_rfc3339(text).map_err(|_| poem_openapi::types::ParseError::custom("must be an RFC 3339 instant"))?;
        Ok(Self(parsed.to_utc()))
    }
}

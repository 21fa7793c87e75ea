//! A JSON object whose members a standard of browsers defines and not this service: what `navigator.credentials` takes and
//! gives. It is handed on as it is, to the library that knows the standard.

use std::borrow::Cow;

use poem_openapi::{
    registry::{MetaSchema, MetaSchemaRef, Registry},
    types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type},
};
use serde::Serialize;
use serde_json::Value;

/// Its name in the documents.
const NAME: &str = "WebAuthnObject";

/// Such an object.
#[derive(Serialize)]
#[serde(transparent)]
pub(super) struct JsonObject(pub(super) Value);

impl Type for JsonObject {
    const IS_REQUIRED: bool = true;

    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        NAME.into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Reference(NAME.to_owned())
    }

    fn register(registry: &mut Registry) {
        registry.create_schema::<Self, _>(NAME.to_owned(), |_| {
            let any = MetaSchemaRef::Inline(Box::new(MetaSchema::ANY));
            let description = Some("What `navigator.credentials` takes or gives, in the JSON form of WebAuthn level 3 section 5.1.8.");
            MetaSchema { description, additional_properties: Some(Box::new(any)), ..MetaSchema::new("object") }
        });
    }

    fn as_raw_value(&self) -> Option<&Self::RawValueType> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self::RawElementValueType> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl ParseFromJSON for JsonObject {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        match value {
            Some(value @ Value::Object(_)) => Ok(Self(value)),
            _ => Err(ParseError::custom("must be an object")),
        }
    }
}

impl ToJSON for JsonObject {
    fn to_json(&self) -> Option<Value> {
        Some(self.0.clone())
    }
}

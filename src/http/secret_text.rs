//! A string of a request body that must never be shown again: passwords and tokens.
//!
//! In the schema it is a `string` of format `password`; in memory a [`SecretString`], so that `Debug` prints nothing.

use std::borrow::Cow;

use poem_openapi::{
    registry::{MetaSchema, MetaSchemaRef},
    types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

/// Longest secret that is read at all; what is good enough is decided by the domain.
const MAX_LENGTH: usize = 4_096;

/// A secret of a request.
pub(super) struct SecretText(pub(super) SecretString);

impl SecretText {
    /// The text, for the one call that needs it.
    pub(super) fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl From<&str> for SecretText {
    fn from(text: &str) -> Self {
        Self(SecretString::from(text))
    }
}

impl Type for SecretText {
    const IS_REQUIRED: bool = true;

    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "string_password".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        let schema = MetaSchema { max_length: Some(MAX_LENGTH), ..MetaSchema::new_with_format("string", "password") };
        MetaSchemaRef::Inline(Box::new(schema))
    }

    fn as_raw_value(&self) -> Option<&Self::RawValueType> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self::RawElementValueType> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl ParseFromJSON for SecretText {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        match value {
            Some(Value::String(text)) => Ok(Self(text.into())),
            // Says nothing of the value: it may be a secret in a wrong place.
            _ => Err(ParseError::custom("must be a string")),
        }
    }
}

impl ToJSON for SecretText {
    /// Only examples in the documentation are ever written.
    fn to_json(&self) -> Option<Value> {
        Some(Value::String(self.expose().to_owned()))
    }
}

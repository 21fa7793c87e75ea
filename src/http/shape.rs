//! Whether a JSON value has the shape of a type: every fault at once, by name, without quoting any value.
//!
//! The schema is the very one that the OpenAPI file shows. Objects of requests never take unknown fields.

use std::{
    any::TypeId,
    collections::{BTreeMap, HashMap},
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use poem::http::StatusCode;
use poem_openapi::{
    registry::{MetaSchema, MetaSchemaRef, Registry},
    types::Type,
};
use serde::de::{Deserializer as _, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::failure::Failure;
use crate::domain::FieldError;

/// Longest string where the schema sets no length.
const MAX_STRING: usize = 8_192;

/// Longest instant.
const MAX_INSTANT: usize = 64;

struct Shape {
    root: MetaSchemaRef,
    schemas: BTreeMap<String, MetaSchema>,
}

static SHAPES: LazyLock<Mutex<HashMap<TypeId, Arc<Shape>>>> = LazyLock::new(Mutex::default);

/// Reads JSON: no duplicate keys, nesting of 128 at most (the parser's own bound), no lone surrogates.
pub(super) fn parse(bytes: &[u8]) -> poem::Result<Value> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = reader.deserialize_any(Strict).map_err(|error| {
        if error.to_string().starts_with(DUPLICATE) {
            return Failure::malformed("The body names one field twice.");
        }
        Failure::malformed(&format!("The body is not valid JSON (line {}, column {}).", error.line(), error.column()))
    })?;
    reader.end().map_err(|_| Failure::malformed("The body goes on after its JSON value."))?;
    Ok(value)
}

const DUPLICATE: &str = "duplicate key";

/// Builds a value and refuses objects that name a key twice, which parsers read differently.
struct Strict;

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(Seed)? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = serde_json::Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(Seed)?;
            if object.insert(key, value).is_some() {
                return Err(serde::de::Error::custom(DUPLICATE));
            }
        }
        Ok(Value::Object(object))
    }
}

struct Seed;

impl<'de> serde::de::DeserializeSeed<'de> for Seed {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(Strict)
    }
}

fn shape_of<T: Type + 'static>() -> Arc<Shape> {
    let mut shapes = SHAPES.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(shapes.entry(TypeId::of::<T>()).or_insert_with(|| {
        let mut registry = Registry::new();
        T::register(&mut registry);
        Arc::new(Shape { root: T::schema_ref(), schemas: registry.schemas })
    }))
}

/// Takes out what is no field of `T`, an object.
pub(super) fn keep_known<T: Type + 'static>(fields: &mut serde_json::Map<String, Value>) {
    let shape = shape_of::<T>();
    if let MetaSchemaRef::Reference(name) = &shape.root
        && let Some(schema) = shape.schemas.get(name)
    {
        fields.retain(|field, _| schema.properties.iter().any(|(known, _)| known == field));
    }
}

/// Compares a value with the schema of `T`.
///
/// # Errors
/// 400 `invalid_request` if a field is unknown, missing or of another type; 422 `validation_failed` if the shape is
/// right and only values are not acceptable.
pub(super) fn check<T: Type + 'static>(value: &Value) -> poem::Result<()> {
    let shape = shape_of::<T>();
    let mut walk = Walk { schemas: &shape.schemas, shape: Vec::new(), values: Vec::new() };
    walk.value("", &shape.root, value);
    if !walk.shape.is_empty() {
        walk.shape.append(&mut walk.values);
        return Err(Failure::shape(walk.shape).into());
    }
    if walk.values.is_empty() {
        return Ok(());
    }
    let failure = Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "validation_failed", "Some values are not acceptable; `errors` names them.");
    Err(Failure { errors: walk.values, ..failure }.into())
}

struct Walk<'a> {
    schemas: &'a BTreeMap<String, MetaSchema>,
    shape: Vec<FieldError>,
    values: Vec<FieldError>,
}

impl Walk<'_> {
    fn value(&mut self, path: &str, schema: &MetaSchemaRef, value: &Value) {
        match schema {
            MetaSchemaRef::Reference(name) => {
                if let Some(schema) = self.schemas.get(name) {
                    self.against(path, schema, value);
                }
            }
            MetaSchemaRef::Inline(schema) => self.against(path, schema, value),
        }
    }

    fn against(&mut self, path: &str, schema: &MetaSchema, value: &Value) {
        if value.is_null() && schema.nullable {
            return;
        }
        // A described or nullable reference stands in the schema as allOf [reference, rest].
        for part in &schema.all_of {
            if let MetaSchemaRef::Reference(_) = part {
                return self.value(path, part, value);
            }
        }
        match (schema.ty, value) {
            ("object", Value::Object(fields)) => self.object(path, schema, fields),
            ("string", Value::String(text)) => self.string(path, schema, text),
            ("array", Value::Array(items)) => {
                if let Some(each) = &schema.items {
                    for (index, item) in items.iter().enumerate() {
                        self.value(&join(path, &index.to_string()), each, item);
                    }
                }
            }
            ("boolean", Value::Bool(_)) | ("number", Value::Number(_)) | ("", _) => {}
            ("integer", Value::Number(number)) if number.is_i64() => {}
            ("integer", Value::Number(number)) if number.is_u64() => self.values.push(FieldError::new(path, "out_of_range", "is too large")),
            (wanted, _) => self.shape.push(FieldError::new(path, "wrong_type", format!("must be {}", with_article(wanted)))),
        }
    }

    fn object(&mut self, path: &str, schema: &MetaSchema, fields: &serde_json::Map<String, Value>) {
        for (name, value) in fields {
            match schema.properties.iter().find(|(known, _)| known == name) {
                Some((_, schema)) => self.value(&join(path, name), schema, value),
                None if schema.additional_properties.is_some() => {}
                None => self.shape.push(FieldError::new(join(path, &shown(name)), "unknown", "is not a field of this request")),
            }
        }
        for name in &schema.required {
            if !fields.contains_key(*name) {
                self.shape.push(FieldError::new(join(path, name), "required", "is required"));
            }
        }
    }

    fn string(&mut self, path: &str, schema: &MetaSchema, text: &str) {
        if text.contains('\0') {
            self.values.push(FieldError::new(path, "invalid_character", "must not contain the character U+0000"));
        }
        let is_instant = schema.format == Some("date-time");
        let most = schema.max_length.unwrap_or(if is_instant { MAX_INSTANT } else { MAX_STRING });
        if text.chars().count() > most {
            self.values.push(FieldError::new(path, "too_long", format!("must have {most} characters at most")));
        } else if is_instant && chrono::DateTime::parse_from_rfc3339(text).is_err() {
            self.values.push(FieldError::new(path, "invalid_instant", "must be an instant of RFC 3339, such as 2030-01-31T12:00:00Z"));
        }
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// A field's name as a client made it up: short, and without what could disturb a log or a terminal.
fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(64).collect()
}

fn with_article(kind: &str) -> String {
    let article = if kind.starts_with(['a', 'i', 'o']) { "an" } else { "a" };
    format!("{article} {kind}")
}

#[cfg(test)]
mod tests {
    use poem_openapi::Object;
    use proptest::{collection, prelude::*};

    use super::*;

    #[derive(Object)]
    struct Part {
        #[oai(validator(max_length = 5))]
        text: String,
    }

    #[derive(Object)]
    struct Whole {
        name: String,
        count: Option<u32>,
        parts: Vec<Part>,
    }

    /// A word that no message of ours holds.
    const SAID: &str = "zqxjkvbp";

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[ -~]{0,9}".prop_map(|text| format!("{SAID}{text}").into())
        ];
        let key = prop_oneof![Just("name"), Just("count"), Just("parts"), Just("text"), Just("other")];
        leaf.prop_recursive(4, 24, 4, move |inner| {
            prop_oneof![
                collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                collection::btree_map(key.clone(), inner, 0..4).prop_map(|map| map
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value))
                    .collect::<serde_json::Map<_, _>>()
                    .into()),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_value_is_judged_and_none_is_quoted(value in json()) {
            let bytes = serde_json::to_vec(&value).unwrap();
            prop_assert_eq!(parse(&bytes).unwrap(), value.clone());
            if let Err(error) = check::<Whole>(&value) {
                let shown = format!("{error:?} {error}");
                prop_assert!(!shown.contains(SAID));
            }
        }

        #[test]
        fn no_bytes_are_read_differently_than_json_says(bytes in prop_oneof![any::<Vec<u8>>(), "[\\[\\]{}\":,0-9a\\\\udtrefsln. -]{0,40}".prop_map(String::into_bytes)]) {
            if let Ok(value) = parse(&bytes) {
                prop_assert_eq!(Some(value), serde_json::from_slice(&bytes).ok());
            }
        }
    }

    #[test]
    fn one_name_stands_once() {
        for twice in [r#"{"a":1,"a":1}"#, r#"[{"b":{"a":1,"\u0061":2}}]"#] {
            assert!(parse(twice.as_bytes()).is_err(), "{twice}");
        }
    }
}

//! The served OpenAPI document as a table of operations, so that tests ask every one of them. A new operation is in the
//! table by itself.

use std::collections::BTreeSet;

use poem::http::Method;
use serde_json::Value;

/// One operation of the document.
pub struct Operation {
    pub id: String,
    pub method: Method,
    pub path: String,
    /// Every status that it declares.
    pub statuses: BTreeSet<u16>,
    /// Whether it asks for a bearer token.
    pub bearer: bool,
    /// Schema of its JSON body, and whether the body may be left out.
    pub body: Option<Body>,
}

pub struct Body {
    pub schema: Value,
    pub required: bool,
}

/// One field of a body.
pub struct Field {
    pub name: String,
    pub kind: String,
    pub nullable: bool,
    pub required: bool,
}

/// The document of OpenAPI 3.1, or of 3.0.
pub fn document(name: &str) -> Value {
    let (_, text) = realmgate::http::documents().into_iter().find(|(known, _)| *known == name).expect("a document of that name");
    serde_json::from_str(&text).expect("JSON")
}

/// All operations.
pub fn operations() -> Vec<Operation> {
    let document = document("native.json");
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("methods") {
            let statuses = operation["responses"].as_object().expect("responses").keys().map(|status| status.parse().expect("a number")).collect();
            // What takes a form is asked by a test of its own.
            let json = operation.get("requestBody").filter(|body| body.pointer("/content/application~1x-www-form-urlencoded").is_none());
            let body = json.map(|body| {
                let name = body.pointer("/content/application~1json/schema/$ref").and_then(Value::as_str).expect("a named schema");
                let schema = document.pointer(name.trim_start_matches('#')).expect("the schema").clone();
                Body { schema, required: body["required"] == true }
            });
            all.push(Operation {
                id: operation["operationId"].as_str().expect("an id").to_owned(),
                method: method.to_uppercase().parse().expect("a method"),
                path: path.clone(),
                statuses,
                bearer: operation["security"].as_array().is_some_and(|rules| !rules.is_empty()),
                body,
            });
        }
    }
    assert!(all.len() >= 14, "the document lost operations");
    all
}

impl Operation {
    /// The path with its parameters filled in.
    pub fn at(&self, id: &str) -> String {
        self.path.split('/').map(|part| if part.starts_with('{') { id } else { part }).collect::<Vec<_>>().join("/")
    }

    /// The path with each parameter filled in by its name.
    pub fn with(&self, values: &[(&str, &str)]) -> String {
        let fill = |part: &str| match part.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            Some(name) => values.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("no value for {name} of {}", self.path)).1.to_owned(),
            None => part.to_owned(),
        };
        self.path.split('/').map(fill).collect::<Vec<_>>().join("/")
    }

    pub fn has_path_id(&self) -> bool {
        self.path.contains('{')
    }
}

impl Body {
    pub fn fields(&self) -> Vec<Field> {
        let required: Vec<&str> = self.schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let properties = self.schema["properties"].as_object().expect("properties");
        let field = |(name, schema): (&String, &Value)| {
            let kinds: Vec<&str> = match &schema["type"] {
                Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
                // An object of another standard, such as a browser's answer to a ceremony.
                Value::Null => vec!["any"],
                kind => vec![kind.as_str().expect("a type")],
            };
            Field { name: name.clone(), kind: kinds[0].to_owned(), nullable: kinds.contains(&"null"), required: required.contains(&name.as_str()) }
        };
        properties.iter().map(field).collect()
    }
}

//! From poem-openapi's document to one that the tools take: OpenAPI 3.1.0, 3.0.3 for those that know no better, and a
//! dialect of that for the generator of Rust clients.
//!
//! The framework says 3.0.0 and writes some of 3.1 into it; each rule below undoes one such thing. Keys are sorted, so
//! that the exported file changes only when the interface does.

use serde_json::{Map, Value, json};

/// The document as OpenAPI 3.1.0.
pub(crate) fn v3_1(document: &str) -> String {
    let mut spec = common(document);
    each(&mut spec, &mut |object| {
        if object.get("nullable").is_some_and(Value::is_boolean)
            && object.remove("nullable") == Some(Value::Bool(true))
            && let Some(Value::String(kind)) = object.get("type").cloned()
        {
            object.insert("type".to_owned(), json!([kind, "null"]));
        }
        for (bound, limit) in [("exclusiveMaximum", "maximum"), ("exclusiveMinimum", "minimum")] {
            if object.remove(bound) == Some(Value::Bool(true))
                && let Some(value) = object.remove(limit)
            {
                object.insert(bound.to_owned(), value);
            }
        }
        // JSON Schema 2020-12 lets a reference have siblings.
        if let Some(Value::Array(parts)) = object.get("allOf").cloned()
            && parts.iter().filter(|part| part.get("$ref").is_some()).count() == 1
        {
            object.remove("allOf");
            for part in parts {
                object.extend(part.as_object().cloned().unwrap_or_default());
            }
        }
    });
    finish(&mut spec, "3.1.0")
}

/// The document as OpenAPI 3.0.3.
pub(crate) fn v3_0(document: &str) -> String {
    finish(&mut older(document), "3.0.3")
}

/// The document as progenitor, the generator of Rust clients, takes it: 3.0.3, problems called plain JSON because it knows the
/// types of those alone, and without the operations that it refuses to read at all (bodies in several parts).
pub(crate) fn for_rust(document: &str) -> String {
    let mut spec = older(document);
    if let Some(paths) = spec.get_mut("paths").and_then(Value::as_object_mut) {
        for item in paths.values_mut().filter_map(Value::as_object_mut) {
            item.retain(|_, operation| operation.pointer("/requestBody/content/multipart~1form-data").is_none());
        }
        paths.retain(|_, item| item.as_object().is_some_and(|operations| !operations.is_empty()));
    }
    each(&mut spec, &mut |object| {
        if let Some(problem) = object.remove("application/problem+json") {
            object.insert("application/json".to_owned(), problem);
        }
    });
    finish(&mut spec, "3.0.3")
}

/// What 3.0 knows of the document.
fn older(document: &str) -> Value {
    let mut spec = common(document);
    if let Some(info) = spec.get_mut("info").and_then(Value::as_object_mut) {
        info.remove("summary");
        if let Some(license) = info.get_mut("license").and_then(Value::as_object_mut) {
            // 3.0 has only addresses of licences; SPDX gives each identifier one.
            if let Some(identifier) = license.remove("identifier") {
                license.insert("url".to_owned(), format!("https://spdx.org/licenses/{}.html", identifier.as_str().unwrap_or_default()).into());
            }
        }
    }
    spec
}

fn finish(spec: &mut Value, version: &str) -> String {
    spec["openapi"] = version.into();
    // Maps are sorted by nature unless somebody among the dependencies has asked serde_json to keep the order of insertion.
    spec.sort_all_objects();
    let mut text = serde_json::to_string_pretty(spec).unwrap_or_default();
    text.push('\n');
    text
}

/// What both forms need.
fn common(document: &str) -> Value {
    let mut spec: Value = serde_json::from_str(document).unwrap_or_default();
    let requests = request_schemas(&spec);
    each(&mut spec, &mut |object| {
        if object.get("deprecated") == Some(&Value::Bool(false)) {
            object.remove("deprecated");
        }
        if object.get("explode").is_some_and(Value::is_boolean) {
            object.remove("explode");
        }
        if matches!(object.get("format"), Some(Value::String(format)) if format.starts_with("uint")) {
            object.remove("format");
            object.entry("minimum").or_insert_with(|| 0.into());
        }
        for value in object.values_mut() {
            if let Some(number) = value.as_f64().filter(|number| value.is_f64() && number.fract() == 0.0 && number.abs() < 9e15) {
                #[expect(clippy::cast_possible_truncation, reason = "it is whole and small")]
                let whole = number as i64;
                *value = whole.into();
            }
        }
    });
    if let Some(schemas) = spec.pointer_mut("/components/schemas").and_then(Value::as_object_mut) {
        for (name, schema) in schemas {
            if requests.contains(name)
                && let Some(schema) = schema.as_object_mut()
                // One without named fields is another standard's object, whose fields are for it to name.
                && schema.contains_key("properties")
            {
                schema.insert("additionalProperties".to_owned(), false.into());
            }
        }
    }
    if let Some(paths) = spec.get_mut("paths").and_then(Value::as_object_mut) {
        for operation in paths.values_mut().filter_map(Value::as_object_mut).flat_map(Map::values_mut).filter_map(Value::as_object_mut) {
            operation.entry("security").or_insert_with(|| json!([]));
        }
    }
    // The prefix stands in the paths, so that the document needs no knowledge of where it is served.
    let prefix = spec.pointer("/servers/0/url").and_then(Value::as_str).unwrap_or_default().to_owned();
    if let Some(paths) = spec.get_mut("paths").and_then(Value::as_object_mut) {
        let prefixed = std::mem::take(paths).into_iter().map(|(path, item)| {
            let path = if path.starts_with(&prefix) { path } else { format!("{prefix}{path}") };
            (path.strip_suffix('/').unwrap_or(&path).to_owned(), item)
        });
        *paths = prefixed.collect();
    }
    spec["servers"] = json!([{ "url": "/" }]);
    spec
}

/// Names of the schemas that stand in requests, which take no unknown fields.
fn request_schemas(spec: &Value) -> Vec<String> {
    let mut names = Vec::new();
    let operations = spec.get("paths").and_then(Value::as_object).into_iter().flat_map(Map::values).filter_map(Value::as_object).flat_map(Map::values);
    let bodies = operations.filter_map(|operation| operation.get("requestBody"));
    // Forms are OAuth's, which ignores fields that it does not know (RFC 6749 section 3.2).
    let mut open: Vec<Value> = bodies.filter(|body| body.pointer("/content/application~1x-www-form-urlencoded").is_none()).cloned().collect();
    // Schemas that requests refer to refer to others in turn.
    while let Some(mut place) = open.pop() {
        each(&mut place, &mut |object| {
            let name = object.get("$ref").and_then(Value::as_str).and_then(|text| text.rsplit('/').next());
            if let Some(name) = name.filter(|name| !names.iter().any(|known| known == name)) {
                names.push(name.to_owned());
                open.extend(spec.pointer(&format!("/components/schemas/{name}")).cloned());
            }
        });
    }
    names
}

/// Calls `change` with every object, the inner ones first.
fn each(value: &mut Value, change: &mut impl FnMut(&mut Map<String, Value>)) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| each(item, change)),
        Value::Object(object) => {
            object.values_mut().for_each(|item| each(item, change));
            change(object);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RAW: &str = r##"{"openapi":"3.0.0","info":{"title":"t","summary":"s","license":{"name":"Apache-2.0","identifier":"Apache-2.0"}},"servers":[{"url":"/api"}],
      "paths":{"/a/":{"post":{"deprecated":false,"requestBody":{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/In"}}}}}}},
      "components":{"schemas":{
        "In":{"type":"object","properties":{"n":{"type":"integer","format":"uint64","maximum":150.0,"exclusiveMaximum":true},
                                           "s":{"type":"string","nullable":true},
                                           "o":{"$ref":"#/components/schemas/Open"},
                                           "r":{"allOf":[{"$ref":"#/components/schemas/Out"},{"description":"d"}]}}},
        "Out":{"type":"object","properties":{"o":{"type":"string"}}},"Open":{"type":"object"},"Reply":{"type":"object"}}}}"##;

    #[test]
    fn the_newer_form_has_no_leftovers_of_the_older() {
        let spec: Value = serde_json::from_str(&v3_1(RAW)).unwrap();
        assert_eq!(spec["openapi"], "3.1.0");
        let fields = &spec["components"]["schemas"]["In"]["properties"];
        assert_eq!(fields["n"], json!({"type": "integer", "exclusiveMaximum": 150, "minimum": 0}));
        assert_eq!(fields["s"]["type"], json!(["string", "null"]));
        assert_eq!(fields["r"], json!({"$ref": "#/components/schemas/Out", "description": "d"}));
        assert_eq!(spec["components"]["schemas"]["In"]["additionalProperties"], false);
        assert_eq!(spec["components"]["schemas"]["Out"]["additionalProperties"], false, "a request refers to it");
        assert_eq!(spec["components"]["schemas"]["Open"].get("additionalProperties"), None, "another standard's");
        assert_eq!(spec["components"]["schemas"]["Reply"].get("additionalProperties"), None);
        assert_eq!(spec["paths"]["/api/a"]["post"]["security"], json!([]));
        assert_eq!(spec["paths"]["/api/a"]["post"].get("deprecated"), None);
    }

    #[test]
    fn the_form_for_rust_has_plain_json_and_no_parts() {
        let raw = r#"{"servers":[{"url":"/api"}],"paths":{
            "/a":{"get":{"responses":{"400":{"content":{"application/problem+json":{"schema":{}}}}}}},
            "/b":{"put":{"requestBody":{"content":{"multipart/form-data":{}}}}}}}"#;
        let spec: Value = serde_json::from_str(&for_rust(raw)).unwrap();
        assert_eq!(spec["openapi"], "3.0.3");
        assert_eq!(spec["paths"]["/api/a"]["get"]["responses"]["400"]["content"], json!({"application/json": {"schema": {}}}));
        assert_eq!(spec["paths"].as_object().unwrap().len(), 1);
    }

    #[test]
    fn the_older_form_keeps_its_own_words() {
        let spec: Value = serde_json::from_str(&v3_0(RAW)).unwrap();
        assert_eq!(spec["openapi"], "3.0.3");
        assert_eq!(spec["info"].get("summary"), None);
        assert_eq!(spec["info"]["license"], json!({"name": "Apache-2.0", "url": "https://spdx.org/licenses/Apache-2.0.html"}));
        let fields = &spec["components"]["schemas"]["In"]["properties"];
        assert_eq!(fields["n"]["exclusiveMaximum"], true);
        assert_eq!(fields["s"]["nullable"], true);
        assert!(fields["r"].get("allOf").is_some());
    }
}

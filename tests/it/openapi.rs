//! The OpenAPI documents: exported as served, complete, and written so that generators make good clients of them. What
//! operations really answer is compared with them in `bad_input` and `tenancy`.

use std::collections::BTreeSet;

use poem::http::Method;
use serde_json::Value;

use crate::{
    on_both,
    support::{
        Backend, TestApp,
        spec::{document, operations},
    },
};

/// Calls `visit` with every object of a document and the path to it.
fn each(value: &Value, path: &str, visit: &mut impl FnMut(&str, &serde_json::Map<String, Value>)) {
    match value {
        Value::Array(items) => items.iter().enumerate().for_each(|(index, item)| each(item, &format!("{path}/{index}"), visit)),
        Value::Object(object) => {
            visit(path, object);
            object.iter().for_each(|(name, item)| each(item, &format!("{path}/{name}"), visit));
        }
        _ => {}
    }
}

fn each_operation(document: &Value, mut visit: impl FnMut(&str, &Value)) {
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            visit(&format!("{method} {path}"), operation);
        }
    }
}

#[test]
fn the_exported_files_are_what_is_served() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi");
    let documents = realmgate::http::documents();
    for (name, text) in &documents {
        let file = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        assert!(file == *text, "openapi/{name} is out of date: run `cargo run -- openapi --write openapi`");
    }
    let known: BTreeSet<String> = documents.iter().map(|(name, _)| (*name).to_owned()).collect();
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(known, files, "files that nothing exports");
}

#[tokio::test]
async fn the_documents_are_served() {
    let app = TestApp::on(Backend::Sqlite).await.unwrap();
    for (name, text) in realmgate::http::documents() {
        let reply = app.anonymous().get(&format!("/openapi/{name}")).await.assert(200);
        assert_eq!(reply.header("content-type"), "application/json");
        assert!(reply.text() == text, "{name}");
    }
}

#[test]
fn every_operation_is_described_and_says_who_may_call_it() {
    let document = document("native.json");
    let mut ids = BTreeSet::new();
    each_operation(&document, |place, operation| {
        for member in ["operationId", "summary", "description"] {
            assert!(operation[member].as_str().is_some_and(|text| !text.trim().is_empty()), "{place} lacks {member}");
        }
        let id = operation["operationId"].as_str().unwrap();
        assert!(ids.insert(id.to_owned()), "{id} stands twice");
        assert!(id.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{id}");
        assert!(operation["tags"].as_array().is_some_and(|tags| !tags.is_empty()), "{place} has no tag");
        let security = operation["security"].as_array().unwrap_or_else(|| panic!("{place} does not say who may call it"));
        let rules: Vec<&str> = security.iter().flat_map(|rule| rule.as_object().unwrap().keys().map(String::as_str)).collect();
        assert!([&[][..], &["bearer"], &["stepUp"], &["bearer", "apiKey"]].contains(&&rules[..]), "{place}: {security:?}");
    });
    assert_eq!(document.pointer("/components/securitySchemes/bearer/scheme").unwrap(), "bearer");
}

#[test]
fn every_operation_declares_its_failures_as_problems() {
    let document = document("native.json");
    each_operation(&document, |place, operation| {
        let responses = operation["responses"].as_object().unwrap();
        let mut wanted = vec!["500"];
        if operation["requestBody"].is_object() {
            wanted.extend(["400", "413", "415", "422"]);
        }
        if operation["security"] != serde_json::json!([]) {
            wanted.push("401");
        }
        if place.contains('{') {
            wanted.push("404");
        }
        for status in wanted {
            assert!(responses.contains_key(status), "{place} does not declare {status}");
        }
        assert!(responses.keys().any(|status| status.starts_with('2')), "{place} declares no success");
        for (status, response) in responses {
            assert!(response["description"].as_str().is_some_and(|text| !text.is_empty()), "{place} {status}");
            if status.starts_with(['4', '5']) {
                let schema = response.pointer("/content/application~1problem+json/schema/$ref").and_then(Value::as_str);
                assert_eq!(schema, Some("#/components/schemas/Problem"), "{place} {status}");
                assert_eq!(response["content"].as_object().unwrap().len(), 1, "{place} {status}");
            }
        }
    });
}

#[test]
fn schemas_are_named_and_replies_leave_no_choice() {
    for name in ["native.json", "native-3.0.json", "native-rust.json"] {
        let document = document(name);
        each_operation(&document, |place, operation| {
            each(operation, place, &mut |path, object| {
                if path.ends_with("/schema") && !path.contains("/parameters/") {
                    assert!(object.get("$ref").is_some_and(Value::is_string), "{name} {path} is inline");
                }
                assert!(!object.contains_key("oneOf") && !object.contains_key("anyOf"), "{name} {path}");
            });
        });
        let schemas = document.pointer("/components/schemas").unwrap();
        each(schemas, "", &mut |path, object| {
            assert!(!object.contains_key("oneOf") && !object.contains_key("anyOf"), "{name} {path}");
            if object.get("type").is_some_and(|kind| kind == "object") {
                assert_eq!(path.matches('/').count(), 1, "{name}: {path} is an object without a name");
            }
            let target = object.get("$ref").and_then(Value::as_str);
            assert!(target.is_none_or(|target| document.pointer(target.trim_start_matches('#')).is_some()), "{name} {path} leads nowhere");
        });
    }
}

#[test]
fn requests_take_no_further_fields_and_have_an_example() {
    for operation in operations() {
        let Some(body) = operation.body else { continue };
        assert_eq!(body.schema["additionalProperties"], false, "{}", operation.id);
        let example = body.schema["example"].as_object().unwrap_or_else(|| panic!("{} has no example", operation.id));
        let known = body.schema["properties"].as_object().unwrap();
        assert!(!example.is_empty() && example.keys().all(|name| known.contains_key(name)), "{}", operation.id);
        for required in body.schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            // A proof of an address has two forms; neither field is required by itself.
            assert!(example.contains_key(required), "{}: the example lacks {required}", operation.id);
        }
    }
}

#[test]
fn each_form_speaks_its_own_version() {
    let (current, former) = (document("native.json"), document("native-3.0.json"));
    assert_eq!((&current["openapi"], &former["openapi"]), (&"3.1.0".into(), &"3.0.3".into()));
    each(&current, "", &mut |path, object| {
        assert!(!object.contains_key("nullable") || path.ends_with("/properties"), "3.1 {path}");
        for bound in ["exclusiveMinimum", "exclusiveMaximum"] {
            assert!(!object.get(bound).is_some_and(Value::is_boolean), "3.1 {path}");
        }
    });
    each(&former, "", &mut |path, object| {
        assert!(!object.get("type").is_some_and(Value::is_array), "3.0 {path}");
        let siblings = object.contains_key("$ref") && object.len() > 1;
        assert!(!siblings, "3.0 {path}: a reference has siblings");
    });
    let paths = |document: &Value| document["paths"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(paths(&current), paths(&former));
}

on_both!(every_documented_path_exists_and_nothing_else_answers_under_the_api, |app| {
    for operation in operations() {
        let reply = app.anonymous().send(operation.method.clone(), &operation.at("x"), None, "").await;
        assert!(operation.statuses.contains(&reply.status.as_u16()), "{}: {} is not declared", operation.id, reply.status);
        assert!(![404, 405].contains(&reply.status.as_u16()), "{} is not served", operation.id);
    }
    for path in ["/api/v1", "/api/v1/", "/api/v1/auth", "/api/v1/users", "/api/v2/me", "/api", "/debug", "/admin"] {
        for method in [Method::GET, Method::POST] {
            app.anonymous().send(method, path, None, "").await.assert_problem(404, "not_found");
        }
    }
});

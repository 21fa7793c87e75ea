//! Whoever generated a client from the last release's document keeps a client that works, or reads in the README's chapter
//! "Changes" why not. `tests/it/released/native.json` is that document; a release replaces it.

use serde_json::{Value, json};

use crate::support::{
    breaking::{Break, breaks, unannounced},
    spec::document,
};

const RELEASED: &str = include_str!("released/native.json");

/// What the README says of the changes since the last release: the first section of its chapter.
fn changes(readme: &str) -> &str {
    let chapter = readme.split_once("\n## Changes\n").expect("the README has a chapter \"Changes\"").1;
    let chapter = chapter.split("\n## ").next().unwrap_or_default();
    chapter.split("\n### ").nth(1).unwrap_or_default()
}

#[test]
fn what_would_break_a_generated_client_is_announced() {
    let readme = std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let released = serde_json::from_str(RELEASED).unwrap();
    let silent = unannounced(&breaks(&released, &document("native.json")), changes(&readme));
    let lines: Vec<_> = silent.iter().map(|one| format!("`{}`: {}", one.operation, one.what)).collect();
    let cure = "undo them, or add to the README's \"Changes\", in its first section, a line such as\n- **Breaking** `log_in`: why, and what to do";
    assert!(lines.is_empty(), "these changes break clients of the last release:\n{}\n{cure}", lines.join("\n"));
}

#[test]
fn only_the_newest_section_counts() {
    let readme = "# A\n\n## Changes\n\nText.\n\n### Next\n\n- **Breaking** `a`\n\n### 0.1.0\n\n- **Breaking** `b`\n\n## Licence\n";
    assert!(changes(readme).contains("`a`") && !changes(readme).contains("`b`"));
}

/// A document with one operation of each kind.
fn sample() -> Value {
    json!({
        "paths": {
            "/things": {"post": {
                "operationId": "make_thing", "security": [],
                "parameters": [{"name": "dry", "in": "query", "schema": {"type": "boolean"}}],
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/ThingIn"}}}},
                "responses": {
                    "201": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/ThingOut"}}}},
                    "422": {"content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}},
                },
            }},
            "/things/{id}": {"get": {
                "operationId": "get_thing", "security": [{"bearer": []}],
                "parameters": [{"name": "id", "in": "path", "required": true, "schema": {"type": "string"}}],
                "responses": {"200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/ThingOut"}}}}},
            }},
        },
        "components": {"schemas": {
            "ThingIn": {"type": "object", "required": ["name"], "properties": {
                "name": {"type": "string"}, "size": {"type": "integer"}, "kind": {"type": "string", "enum": ["a", "b"]}}},
            "ThingOut": {"type": "object", "required": ["name", "parts"], "properties": {
                "name": {"type": "string"}, "kind": {"type": "string", "enum": ["a", "b"]}, "at": {"type": "string", "format": "date-time"},
                "parts": {"type": "array", "items": {"$ref": "#/components/schemas/ThingOut"}}}},
            "Problem": {"type": "object", "properties": {"code": {"type": "string"}}},
        }},
    })
}

const MAKE: &str = "/paths/~1things/post";
const IN: &str = "/components/schemas/ThingIn";
const OUT: &str = "/components/schemas/ThingOut";

/// The breaks after `value` was put at `place`, or, if it is null, what stands there was taken out.
fn after(changes: &[(&str, Value)]) -> Vec<Break> {
    let mut doctored = sample();
    for (place, value) in changes {
        let (parent, name) = place.rsplit_once('/').unwrap();
        let name = name.replace("~1", "/");
        let parent = doctored.pointer_mut(parent).unwrap();
        match (parent, value) {
            (Value::Object(object), Value::Null) => _ = object.remove(&name).unwrap(),
            (Value::Object(object), value) => _ = object.insert(name, value.clone()),
            (Value::Array(items), value) => items[name.parse::<usize>().unwrap()] = value.clone(),
            _ => panic!("{place} is no place"),
        }
    }
    breaks(&sample(), &doctored).into_iter().collect()
}

#[test]
fn every_kind_of_break_is_found() {
    let at = |base: &str, rest: &str| format!("{base}{rest}");
    let cases: Vec<(String, Value, &str)> = vec![
        ("/paths/~1things".into(), Value::Null, "post /things is gone"),
        (at(MAKE, "/operationId"), json!("create_thing"), "is called \"create_thing\" now"),
        (at(MAKE, "/security"), json!([{"bearer": []}]), "other people may call it"),
        (at(MAKE, "/parameters"), json!([]), "parameter dry in query is gone"),
        (at(MAKE, "/parameters/0/required"), json!(true), "parameter dry in query is required now"),
        (at(MAKE, "/parameters/0/schema/type"), json!("string"), "dry in query has another type"),
        (at(MAKE, "/requestBody/required"), json!(true), "needs a body now"),
        (at(MAKE, "/requestBody/content"), json!({"text/csv": {}}), "request is not application/json any more"),
        (at(MAKE, "/responses/422"), Value::Null, "does not answer 422 any more"),
        (at(MAKE, "/responses/202"), json!({}), "answers 202 now"),
        (at(MAKE, "/responses/422/content/text~1html"), json!({}), "422 has another form"),
        (
            at(MAKE, "/requestBody/content/application~1json/schema"),
            json!({"$ref": "#/components/schemas/Thing"}),
            "request application/json is Thing, not ThingIn",
        ),
        (at(IN, "/properties/size"), Value::Null, "ThingIn.size is gone"),
        (at(IN, "/required"), json!(["name", "size"]), "ThingIn.size is required now"),
        (at(IN, "/properties/size/type"), json!("string"), "ThingIn.size has another type"),
        (at(IN, "/properties/kind/enum"), json!(["a"]), "ThingIn.kind has other values"),
        (at(OUT, "/properties/kind"), Value::Null, "ThingOut.kind is gone"),
        (at(OUT, "/required"), json!(["parts"]), "ThingOut.name may be missing now"),
        (at(OUT, "/properties/name/type"), json!(["string", "null"]), "ThingOut.name has another type"),
        (at(OUT, "/properties/at/format"), Value::Null, "ThingOut.at has another type"),
        (at(OUT, "/properties/kind/enum"), json!(["a", "b", "c"]), "ThingOut.kind has other values"),
        (at(OUT, "/properties/parts/items"), json!({"type": "string"}), "ThingOut.parts[] is a plain value, not ThingOut"),
        ("/components/schemas/Problem/properties/code".into(), Value::Null, "Problem.code is gone"),
    ];
    for (place, value, wanted) in cases {
        let found = after(&[(&place, value)]);
        assert!(found.iter().any(|one| one.what == wanted && one.operation == "make_thing"), "{place}: {found:?}");
        assert!(found.iter().all(|one| one.what == wanted), "{place}: {found:?}");
    }
    let parameter = json!([{"name": "dry", "in": "query", "schema": {"type": "boolean"}}, {"name": "x", "in": "header", "required": true, "schema": {}}]);
    assert_eq!(after(&[(&at(MAKE, "/parameters"), parameter)])[0].what, "parameter x in header is new and required");
}

#[test]
fn growth_breaks_nothing() {
    assert_eq!(after(&[]), []);
    let grown = [
        ("/paths/~1more", json!({"get": {"operationId": "more"}})),
        ("/paths/~1things/post/responses/429", json!({})),
        ("/components/schemas/ThingIn/properties/more", json!({"type": "string"})),
        ("/components/schemas/ThingIn/required", json!([])),
        ("/components/schemas/ThingIn/properties/kind/enum", json!(["a", "b", "c"])),
        ("/components/schemas/ThingIn/properties/size/type", json!(["integer", "null"])),
        ("/components/schemas/ThingOut/properties/more", json!({"type": "string"})),
        ("/components/schemas/ThingOut/required", json!(["name", "parts", "kind"])),
    ];
    assert_eq!(after(&grown), []);
}

#[test]
fn a_break_is_announced_by_operation_or_by_a_shared_schema() {
    let one = breaks_of("/components/schemas/ThingIn/properties/size");
    assert_eq!(unannounced(&one, "- **Breaking** `make_thing`: no sizes any more").len(), 0);
    for wrong in
        ["", "- `make_thing` changed", "- **Breaking** `get_thing`: x", "- **Breaking** make_thing: x", "- **Breaking** `ThingIn`: one operation has it"]
    {
        assert_eq!(unannounced(&one, wrong).len(), 1, "{wrong}");
    }
    let two = breaks_of("/components/schemas/ThingOut/properties/kind");
    assert_eq!(unannounced(&two, "- **Breaking** `ThingOut`: no kinds any more").len(), 0);
    assert_eq!(unannounced(&two, "- **Breaking** `make_thing`: no kinds any more").len(), 1);
}

fn breaks_of(gone: &str) -> std::collections::BTreeSet<Break> {
    after(&[(gone, Value::Null)]).into_iter().collect()
}

//! What in a newer OpenAPI document would break a client that was generated from an older one.
//!
//! Requests and replies are read with opposite eyes: a request may come to ask for less, a reply to say more. A name that
//! generators make classes and functions of (operation, schema) counts like a type. References are followed, so that a change
//! of a schema is found at every operation that uses it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// One break: the operation as clients know it, the schema it lies in if any, and what it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Break {
    pub operation: String,
    pub schema: Option<String>,
    pub what: String,
}

/// Who reads a value: the service a request, the client a reply.
#[derive(Clone, Copy, PartialEq)]
enum Reader {
    Service,
    Client,
}

/// Every break from `old` to `new`.
pub fn breaks(old: &Value, new: &Value) -> BTreeSet<Break> {
    let mut found = BTreeSet::new();
    let now: BTreeMap<_, _> = operations(new).collect();
    for (place, before) in operations(old) {
        let id = before["operationId"].as_str().unwrap_or(&place).to_owned();
        let mut comparison = Comparison { old, new, operation: id, found: &mut found, seen: BTreeSet::new() };
        match now.get(&place) {
            Some(after) => comparison.operation(before, after),
            None => comparison.report(None, format!("{place} is gone")),
        }
    }
    found
}

/// The breaks that `changes` does not own up to: a line with **Breaking** that names the operation in backticks, or, of what
/// lies in a schema that several operations share, the schema.
pub fn unannounced(breaks: &BTreeSet<Break>, changes: &str) -> Vec<Break> {
    let lines: Vec<_> = changes.lines().filter(|line| line.contains("**Breaking**")).collect();
    let named = |name: &str| lines.iter().any(|line| line.contains(&format!("`{name}`")));
    let shared = |schema: &str| breaks.iter().filter(|one| one.schema.as_deref() == Some(schema)).map(|one| &one.operation).collect::<BTreeSet<_>>().len() > 1;
    let announced = |one: &&Break| named(&one.operation) || one.schema.as_deref().is_some_and(|schema| shared(schema) && named(schema));
    breaks.iter().filter(|one| !announced(one)).cloned().collect()
}

fn operations(document: &Value) -> impl Iterator<Item = (String, &Value)> {
    let items = document["paths"].as_object().into_iter().flatten();
    items.flat_map(|(path, item)| item.as_object().into_iter().flatten().map(move |(method, operation)| (format!("{method} {path}"), operation)))
}

struct Comparison<'a> {
    old: &'a Value,
    new: &'a Value,
    operation: String,
    found: &'a mut BTreeSet<Break>,
    /// Schemas compared already, which also ends a recursion.
    seen: BTreeSet<(String, bool)>,
}

impl<'a> Comparison<'a> {
    fn report(&mut self, schema: Option<&str>, what: String) {
        self.found.insert(Break { operation: self.operation.clone(), schema: schema.map(str::to_owned), what });
    }

    fn operation(&mut self, before: &'a Value, after: &'a Value) {
        if before["operationId"] != after["operationId"] {
            self.report(None, format!("is called {} now", after["operationId"]));
        }
        if before["security"] != after["security"] {
            self.report(None, "other people may call it".to_owned());
        }
        self.parameters(before, after);
        self.request(&before["requestBody"], &after["requestBody"]);
        self.responses(before, after);
    }

    fn parameters(&mut self, before: &'a Value, after: &'a Value) {
        let list = |operation: &'a Value| operation["parameters"].as_array().into_iter().flatten();
        let key = |parameter: &Value| format!("{} in {}", parameter["name"].as_str().unwrap_or_default(), parameter["in"].as_str().unwrap_or_default());
        for parameter in list(before) {
            let Some(now) = list(after).find(|now| key(now) == key(parameter)) else {
                self.report(None, format!("parameter {} is gone", key(parameter)));
                continue;
            };
            if now["required"] == true && parameter["required"] != true {
                self.report(None, format!("parameter {} is required now", key(parameter)));
            }
            self.schema(None, &key(parameter), &parameter["schema"], &now["schema"], Reader::Service);
        }
        for parameter in list(after).filter(|now| now["required"] == true && !list(before).any(|known| key(known) == key(now))) {
            self.report(None, format!("parameter {} is new and required", key(parameter)));
        }
    }

    fn request(&mut self, before: &'a Value, after: &'a Value) {
        if after["required"] == true && before["required"] != true {
            self.report(None, "needs a body now".to_owned());
        }
        self.contents("request", &before["content"], &after["content"], Reader::Service);
    }

    fn responses(&mut self, before: &'a Value, after: &'a Value) {
        let (before, after) = (&before["responses"], &after["responses"]);
        for (status, response) in before.as_object().into_iter().flatten() {
            match after.get(status) {
                Some(now) => self.contents(status, &response["content"], &now["content"], Reader::Client),
                None => self.report(None, format!("does not answer {status} any more")),
            }
        }
        // A client knows from the document alone which answers are good.
        for status in after.as_object().into_iter().flatten().map(|(status, _)| status) {
            if before.get(status).is_none() && !status.starts_with(['4', '5']) {
                self.report(None, format!("answers {status} now"));
            }
        }
    }

    fn contents(&mut self, place: &str, before: &'a Value, after: &'a Value, reader: Reader) {
        for (kind, content) in before.as_object().into_iter().flatten() {
            match after.get(kind) {
                Some(now) => self.schema(None, &format!("{place} {kind}"), &content["schema"], &now["schema"], reader),
                None => self.report(None, format!("{place} is not {kind} any more")),
            }
        }
        let gained = after.as_object().into_iter().flatten().any(|(kind, _)| before.get(kind).is_none());
        if gained && reader == Reader::Client {
            self.report(None, format!("{place} has another form"));
        }
    }

    fn schema(&mut self, within: Option<&str>, place: &str, before: &'a Value, after: &'a Value, reader: Reader) {
        let target = |schema: &Value| schema["$ref"].as_str().map(str::to_owned);
        match (target(before), target(after)) {
            (Some(was), Some(is)) if was == is => {
                let name = was.rsplit('/').next().unwrap_or_default().to_owned();
                if !self.seen.insert((was.clone(), reader == Reader::Client)) {
                    return;
                }
                let (old, new) = (self.old, self.new);
                if let (Some(before), Some(after)) = (old.pointer(&was[1..]), new.pointer(&is[1..])) {
                    self.schema(Some(&name), &name, before, after, reader);
                }
            }
            (None, None) => self.inline(within, place, before, after, reader),
            (was, is) => {
                let name =
                    |target: Option<String>| target.and_then(|target| target.rsplit('/').next().map(str::to_owned)).unwrap_or("a plain value".to_owned());
                self.report(within, format!("{place} is {}, not {}", name(is), name(was)));
            }
        }
    }

    fn inline(&mut self, within: Option<&str>, place: &str, before: &'a Value, after: &'a Value, reader: Reader) {
        let (was, is) = (words(&before["type"]), words(&after["type"]));
        let narrower = if reader == Reader::Service { was.is_subset(&is) } else { is.is_subset(&was) };
        if !narrower || before["format"] != after["format"] {
            self.report(within, format!("{place} has another type"));
        }
        let (was, is) = (words(&before["enum"]), words(&after["enum"]));
        let kept = match (was.is_empty(), is.is_empty(), reader) {
            (true, true, _) => true,
            (false, true, Reader::Service) | (true, false, Reader::Client) => true,
            (false, false, Reader::Service) => was.is_subset(&is),
            (false, false, Reader::Client) => is.is_subset(&was),
            _ => false,
        };
        if !kept {
            self.report(within, format!("{place} has other values"));
        }
        if !(before["items"].is_null() && after["items"].is_null()) {
            self.schema(within, &format!("{place}[]"), &before["items"], &after["items"], reader);
        }
        self.fields(within, place, before, after, reader);
    }

    fn fields(&mut self, within: Option<&str>, place: &str, before: &'a Value, after: &'a Value, reader: Reader) {
        let (was, is) = (words(&before["required"]), words(&after["required"]));
        for (name, field) in before["properties"].as_object().into_iter().flatten() {
            match after["properties"].get(name) {
                Some(now) => self.schema(within, &format!("{place}.{name}"), field, now, reader),
                None => self.report(within, format!("{place}.{name} is gone")),
            }
        }
        let (changed, verdict) = match reader {
            Reader::Service => (is.difference(&was), "is required now"),
            Reader::Client => (was.difference(&is), "may be missing now"),
        };
        let changed: Vec<_> = changed.cloned().collect();
        for name in changed {
            self.report(within, format!("{place}.{name} {verdict}"));
        }
    }
}

/// A word, or a list of words, as a set.
fn words(value: &Value) -> BTreeSet<String> {
    match value {
        Value::Array(items) => items.iter().map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned)).collect(),
        Value::String(word) => BTreeSet::from([word.clone()]),
        _ => BTreeSet::new(),
    }
}

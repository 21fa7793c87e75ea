//! The ledger of secrets of the whole run: each password that was sent and each token that was given or used. What the cases
//! leave behind (logs, databases, answers to what was refused) is searched for all of them; `tests/it/secrets.rs` goes through
//! every flow once, this looks at what faults make of them.

use std::{
    collections::HashSet,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::Value;

use crate::{
    client::Client,
    support::PASSWORD,
    world::{Outcome, World},
};

/// A token is told by its end: the signature of a JWT, the secret half of the others.
const END: usize = 30;

#[derive(Default)]
struct Ledger {
    ends: HashSet<String>,
    passwords: HashSet<String>,
    refusals: u64,
    bytes: usize,
    places: u32,
    hits: Vec<String>,
}

static LEDGER: Mutex<Option<Ledger>> = Mutex::new(None);

fn with<T>(act: impl FnOnce(&mut Ledger) -> T) -> T {
    act(LEDGER.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default())
}

impl Ledger {
    fn keep(&mut self, token: &str) {
        if token.len() > END && token.is_ascii() {
            self.ends.insert(token[token.len() - END..].to_owned());
        }
    }

    fn look(&mut self, place: &str, text: &str) {
        self.bytes += text.len();
        // All passwords of this run begin with this one.
        if text.contains(PASSWORD) {
            self.hits.push(format!("a password in {place}"));
        }
        for word in text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_') {
            if word.len() >= END && word.is_ascii() && self.ends.contains(&word[word.len() - END..]) {
                self.hits.push(format!("a token in {place}"));
            }
        }
    }
}

/// Notes what a request carries.
pub fn sent(bearer: &str, body: Option<&Value>) {
    with(|ledger| {
        ledger.keep(bearer);
        for (name, value) in body.and_then(Value::as_object).into_iter().flatten() {
            let text = value.as_str().unwrap_or_default();
            match name.as_str() {
                "password" | "currentPassword" | "newPassword" => {
                    assert!(text.starts_with(PASSWORD), "the search knows passwords by how they begin");
                    ledger.passwords.insert(text.to_owned());
                }
                "token" | "refreshToken" => ledger.keep(text),
                _ => {}
            }
        }
    });
}

/// Notes what a good answer gives, and searches one that refuses.
pub fn answered(status: u16, body: &Value, text: &str) {
    with(|ledger| {
        for name in ["accessToken", "refreshToken"] {
            ledger.keep(body["tokens"][name].as_str().unwrap_or_default());
            ledger.keep(body[name].as_str().unwrap_or_default());
        }
        if status >= 400 {
            ledger.refusals += 1;
            ledger.look("an answer", text);
        }
    });
}

/// Searches the logs in a folder and a database's bytes.
pub fn search(folder: &Path, database: &[u8]) {
    with(|ledger| {
        ledger.places += 1;
        ledger.look("a database", &String::from_utf8_lossy(database));
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|end| end == "out" || end == "err") {
                ledger.look("a log", &String::from_utf8_lossy(&std::fs::read(&path).expect("a log")));
            }
        }
    });
}

/// Searches what a running node tells its collectors.
pub async fn search_metrics(client: &Client) {
    let metrics = client.get("/metrics", "").await;
    assert!(metrics.status == 200 && metrics.text.contains("http_"), "{} {}", metrics.status, metrics.text);
    with(|ledger| ledger.look("the metrics", &metrics.text));
}

/// The last case: what all the others wrote down.
pub async fn no_secret_of_the_whole_run_was_written_down(_: Arc<World>) -> Outcome {
    let (secrets, refusals, bytes, places, hits) = with(|ledger| {
        // The search finds what is there.
        let (end, before) = (ledger.ends.iter().next().cloned(), ledger.hits.len());
        if let Some(end) = end {
            ledger.look("a test", &format!("{{\"token\":\"abc.{end}\"}} {PASSWORD} 1"));
            assert_eq!(ledger.hits.len(), before + 2, "the search is blind");
            ledger.hits.truncate(before);
        }
        (ledger.ends.len() + ledger.passwords.len(), ledger.refusals, ledger.bytes, ledger.places, ledger.hits.clone())
    });
    if places == 0 {
        return Outcome::NotRun("no other case ran before".to_owned());
    }
    assert!(hits.is_empty(), "{hits:?}");
    Outcome::Passed(vec![format!(
        "secrets: {secrets} canaries x 4 sinks (logs, metrics and databases of {places} installations, {refusals} refusals; {} KiB): 0 hits",
        bytes >> 10
    )])
}

//! The program's commands: their output for people and for programs, exit codes, and what `serve` says.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, Command},
};

use serde_json::Value;

use crate::support::{
    PASSWORD,
    shell::{Output, SECRET, Shell, members},
};

#[test]
fn keys_are_made_listed_revoked_and_told_from_other_texts() {
    let shell = Shell::new();
    let made = shell.run(&["key", "create", "Import", "--scope", "chat:read", "--ip", "10.0.0.0/8", "--rate-limit", "5", "--json"]).code(0).json();
    let text = made["key"].as_str().unwrap();
    assert_eq!((&made["apiKey"]["status"], &made["apiKey"]["createdBy"]), (&"active".into(), &Value::Null));
    let id = made["apiKey"]["id"].as_str().unwrap();
    let plain = shell.run(&["key", "create", "Test", "--scope", "chat:read", "--test"]).code(0);
    assert!(plain.out.starts_with("conv_test_") && plain.out.lines().count() == 1 && plain.err.contains("the only time"), "{}", plain.out);
    let table = shell.run(&["key", "list"]).code(0).out;
    assert!(table.lines().count() == 3 && table.contains("active") && !table.contains(text), "{table}");
    shell.run(&["key", "create", "X", "--scope", "chat:eat"]).complains(2, &["scopes.0"]);
    shell.run(&["key", "revoke", "x"]).complains(2, &["realmgate key list"]);
    let revoked = shell.run(&["key", "revoke", id, "--json"]).code(0).json();
    assert_eq!(revoked["items"][0]["status"], "revoked");
    let told = shell.feed(&["key", "check-format", "--json"], text).code(0).json();
    assert_eq!((&told["wellFormed"], &told["id"]), (&true.into(), &id.into()));
    for wrong in ["", "conv_", &text[1..], &text.replace("conv_", "conv_test_"), &format!("{text}0"), &text.to_uppercase()] {
        let told = shell.feed(&["key", "check-format"], wrong).code(1);
        assert!(told.out.starts_with("This is no key: "), "{}", told.out);
    }
    let other = Shell::new().with("REALMGATE_API_KEY_PREFIX", "acme");
    assert!(other.feed(&["key", "check-format"], text).code(1).out.contains("acme_"));
    assert!(!other.data().exists(), "it opens no database");
    Shell::new().with("REALMGATE_API_KEY_PREFIX", "Acme_").run(&["key", "list"]).complains(2, &["api_key_prefix"]);
}

#[test]
fn members_are_added_listed_changed_and_removed() {
    let shell = Shell::new();
    let account = shell.run(&["account", "create", "Acme", "--json"]).code(0).json()["items"][0]["id"].as_str().unwrap().to_owned();
    for email in ["ada@example.com", "bob@example.com"] {
        shell.feed(&["user", "create", email, "--name", "Ada"], PASSWORD).code(0);
    }
    let member = |args: &[&str]| shell.run(&[&["member"], args, &["--account", &account, "--json"]].concat());
    let added = member(&["add", "ada@example.com", "owner"]).code(0).json();
    assert_eq!(members(&added), ["email", "joinedAt", "name", "realm", "role", "userId"]);
    member(&["add", "bob@example.com", "member"]).code(0);
    assert_eq!(member(&["add", "bob@example.com", "admin"]).code(1).json()["error"]["code"], "taken");
    assert_eq!(member(&["set-role", "bob@example.com", "admin"]).code(0).json()["items"][0]["role"], "admin");
    assert_eq!(member(&["set-role", "bob@example.com", "root"]).code(2).json()["error"]["code"], "validation_failed");
    assert_eq!(member(&["remove", "ada@example.com"]).code(1).json()["error"]["code"], "last_owner");
    for args in [&["add", "nobody@example.com", "member"][..], &["remove", "nobody@example.com"]] {
        assert_eq!(member(args).code(1).json()["error"]["code"], "not_found");
    }
    let table = shell.run(&["member", "list", "--account", &account]).code(0).out;
    assert!(table.lines().count() == 3 && table.contains("owner") && table.contains("bob@example.com"), "{table}");
    assert_eq!(member(&["remove", "bob@example.com"]).code(0).json()["items"], serde_json::json!([]));
    assert_eq!(member(&["list"]).code(0).json()["items"].as_array().unwrap().len(), 1);
    assert_eq!(member(&["remove", "bob@example.com"]).code(1).json()["error"]["code"], "not_found");
    // Three is what a free account may have.
    for (number, code) in [(1, 0), (2, 0), (3, 1)] {
        let email = format!("more-{number}@example.com");
        shell.feed(&["user", "create", &email, "--name", "More"], PASSWORD).code(0);
        member(&["add", &email, "member"]).code(code);
    }
}

#[test]
fn accounts_are_made_listed_and_moved() {
    let shell = Shell::new();
    let made = shell.run(&["account", "create", "Acme", "--json"]).code(0).json();
    assert_eq!(members(&made), ["createdAt", "id", "name", "parentId", "plan", "status"]);
    let item = &made["items"][0];
    assert_eq!((&item["name"], &item["plan"], &item["status"]), (&"Acme".into(), &"free".into(), &"active".into()));
    let id = item["id"].as_str().unwrap();
    let child = shell.run(&["--json", "account", "create", "Below", "--parent", id, "--plan", "pro"]).code(0).json();
    assert_eq!((&child["items"][0]["parentId"], &child["items"][0]["plan"]), (&id.into(), &"pro".into()));
    let moved = shell.run(&["account", "set-plan", id, "business", "--json"]).code(0).json();
    assert_eq!(moved["items"][0]["plan"], "business");
    let names = |output: Output| -> Vec<String> {
        let json = output.json();
        let mut names: Vec<String> = json["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    assert_eq!(names(shell.run(&["account", "list", "--below", id, "--json"]).code(0)), ["Acme", "Below"]);
    assert_eq!(names(shell.run(&["account", "list", "--json"]).code(0)).len(), 3, "the root account too");
    let table = shell.run(&["account", "list"]).code(0).out;
    assert!(table.starts_with("id ") && table.lines().count() == 4 && table.contains("business  active"), "{table}");
    shell.run(&["account", "set-plan", id, "gold"]).complains(2, &["plan", "must be one of", "business", "free", "pro", "starter"]);
    shell.run(&["account", "set-plan", "x", "pro"]).complains(2, &["id", "realmgate account list"]);
    shell.run(&["account", "set-plan", "018f3c5e-7a70-7000-8000-000000000001", "pro"]).complains(1, &["list"]);
    shell.run(&["account", "create", "Acme\nInc"]).complains(2, &["name"]);
    shell.run(&["account", "create", "Lost", "--parent", "018f3c5e-7a70-7000-8000-000000000001"]).complains(1, &["list"]);
}

#[test]
fn realms_are_made_listed_and_set() {
    let shell = Shell::new();
    let made = shell.run(&["realm", "create", "Acme.Example.com", "--settings", r#"{"passwordMin":12}"#, "--json"]).code(0).json();
    assert_eq!(members(&made), ["accountId", "createdAt", "domains", "id", "name", "settings", "status"]);
    let item = &made["items"][0];
    assert_eq!((&item["name"], &item["settings"]["passwordMin"], &item["settings"]["maxSessions"]), (&"acme.example.com".into(), &12.into(), &5.into()));
    let set = [
        "realm",
        "set",
        "acme.example.com",
        "maxSessions=3",
        "lifetimes.accessToken=600",
        "displayName=Acme Inc",
        "--domains",
        "id.acme.example, login.acme.example",
        "--status",
        "suspended",
        "--json",
    ];
    let item = shell.run(&set).code(0).json()["items"][0].clone();
    assert_eq!((&item["settings"]["maxSessions"], &item["settings"]["passwordMin"]), (&3.into(), &12.into()), "the others stay");
    assert_eq!((&item["settings"]["lifetimes"]["accessToken"], &item["settings"]["displayName"]), (&600.into(), &"Acme Inc".into()));
    assert_eq!((&item["status"], &item["domains"]), (&"suspended".into(), &serde_json::json!(["id.acme.example", "login.acme.example"])));
    let item = shell.run(&["realm", "set", "acme.example.com", "--domains", "", "--status", "active", "--json"]).code(0).json()["items"][0].clone();
    assert_eq!((&item["status"], &item["domains"]), (&"active".into(), &serde_json::json!([])));
    let table = shell.run(&["realm", "list"]).code(0).out;
    assert!(table.contains("acme.example.com") && table.contains("localhost") && table.lines().count() == 3, "{table}");
    shell.run(&["realm", "create", "acme.example.com"]).complains(1, &["taken"]);
    shell.run(&["realm", "create", "not a name"]).complains(2, &["name", "acme.example.com"]);
    shell.run(&["realm", "set", "nobody.example.com", "maxSessions=3"]).complains(1, &["realmgate realm list"]);
    shell.run(&["realm", "set", "acme.example.com", "maxSessions=0"]).complains(2, &["maxSessions", "1 to 50"]);
    shell.run(&["realm", "set", "acme.example.com", "maxSessions=many"]).complains(2, &["settings"]);
    shell.run(&["realm", "set", "acme.example.com", "nosuch=1"]).complains(2, &["`nosuch`", "realm list --json"]);
    shell.run(&["realm", "set", "acme.example.com", "maxSessions"]).complains(2, &["name=value"]);
    shell.run(&["realm", "create", "b.example.com", "--settings", r#"{"pasword":1}"#]).complains(2, &["pasword"]);
}

#[test]
fn users_are_made_with_a_password_from_standard_input() {
    let shell = Shell::new();
    let create = ["user", "create", "Ada@Example.com", "--name", "Ada Lovelace", "--json"];
    let made = shell.feed(&create, &format!("{PASSWORD}\nnot this line\n")).code(0).json();
    assert_eq!(members(&made), ["createdAt", "email", "emailVerified", "id", "name", "status"]);
    let item = &made["items"][0];
    assert_eq!((&item["email"], &item["emailVerified"], &item["status"]), (&"ada@example.com".into(), &true.into(), &"active".into()));
    shell.feed(&create, PASSWORD).code(1);
    shell.feed(&["user", "create", "bob@example.com", "--name", "Bob"], "short").complains(2, &["password"]);
    shell.feed(&["user", "create", "bob@example.com", "--name", "Bob"], "").complains(2, &["password"]);
    shell.feed(&["user", "create", "bob", "--name", "Bob"], PASSWORD).complains(2, &["email", "ada@example.com"]);
    shell.feed(&["user", "create", "bob@example.com", "--name", "Bob", "--realm", "nobody.example.com"], PASSWORD).complains(1, &["realmgate realm list"]);
    shell.feed(&["user", "create", "bob@example.com", "--name", "Bob", "--password", SECRET], PASSWORD);
    assert_eq!(shell.run(&["user", "lock", "ada@example.com", "--json"]).code(0).json()["items"][0]["status"], "locked");
    assert_eq!(shell.run(&["user", "unlock", "ada@example.com", "--json"]).code(0).json()["items"][0]["status"], "active");
    shell.run(&["user", "lock", "nobody@example.com"]).complains(1, &["list"]);
    let table = shell.run(&["user", "list"]).code(0).out;
    assert!(table.lines().count() == 2 && table.contains("ada@example.com  Ada Lovelace"), "{table}");
    let id = item["id"].as_str().unwrap();
    assert_eq!(shell.run(&["user", "list", "--after", id, "--json"]).code(0).json()["items"], serde_json::json!([]));
    shell.run(&["user", "list", "--after", "x"]).complains(2, &["after"]);
}

#[test]
fn keys_are_listed_rotated_revoked_and_sealed_anew() {
    let shell = Shell::new();
    shell.run(&["realm", "create", "acme.example.com"]).code(0);
    let listed = shell.run(&["keys", "list", "--json"]).code(0).json();
    assert_eq!(members(&listed), ["createdAt", "kid", "realm", "signsFrom", "state", "verifiesUntil"]);
    assert_eq!((&listed["items"][0]["state"], &listed["items"][0]["realm"]), (&"current".into(), &"localhost".into()));
    let old = listed["items"][0]["kid"].as_str().unwrap();
    let made = shell.run(&["keys", "rotate", "--json"]).code(0).json();
    assert_eq!(made["items"][0]["state"], "next");
    let next = made["items"][0]["kid"].as_str().unwrap();
    let again = shell.run(&["keys", "rotate", "--all", "--json"]).code(0);
    assert!(again.err.contains("localhost: a new key is on its way"), "{}", again.err);
    assert_eq!(again.json()["items"].as_array().unwrap().len(), 1, "the other realm's");
    let table = shell.run(&["keys", "list", "--all"]).code(0).out;
    assert!(table.starts_with("kid ") && table.lines().count() == 5 && table.contains("acme.example.com"), "{table}");
    assert_eq!(shell.run(&["keys", "revoke", old, "--json"]).code(0).json()["revoked"], old);
    let states = shell.run(&["keys", "list", "--json"]).code(0).json();
    let state = |kid: &str| states["items"].as_array().unwrap().iter().find(|key| key["kid"] == kid).unwrap()["state"].clone();
    assert_eq!((state(old), state(next)), ("revoked".into(), "current".into()));
    shell.run(&["keys", "revoke", "nosuch"]).complains(1, &["list"]);
    shell.run(&["keys", "rotate", "--realm", "nobody.example.com"]).complains(1, &["realmgate realm list"]);

    let file = shell.data().join("master.key");
    let first = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("k2:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=\n{first}")).unwrap();
    let done = shell.run(&["keys", "reseal", "--json"]).code(0).json();
    assert_eq!(done["resealed"], 5, "four signing keys and the check: {done}");
    let said = shell.run(&["keys", "reseal"]).code(0).out;
    assert!(said.contains("0 values sealed anew with the master key `k2`") && said.contains("`k1` is still needed"), "{said}");
    std::fs::write(&file, "k2:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=\n").unwrap();
    let refused = shell.run(&["serve"]).complains(2, &["`k1` is missing", "REALMGATE_MASTER_KEY"]);
    assert_eq!(refused.err.trim_end().lines().count(), 1, "{}", refused.err);
}

#[test]
fn failures_are_json_for_programs() {
    let shell = Shell::new();
    let output = shell.run(&["realm", "set", "nobody.example.com", "maxSessions=3", "--json"]).code(1);
    let error = &output.json()["error"];
    assert_eq!(error["code"], "realm_not_found");
    assert!(error["message"].as_str().unwrap().contains("realmgate realm list"));
    for usage in [&["frobnicate"][..], &["serve", "--nosuch"], &["realm", "create"], &["account"], &["openapi", "--family", "nosuch"]] {
        let output = shell.run(usage).code(2);
        assert!(output.err.contains("Usage:") || output.err.contains("possible values"), "{usage:?}: {}", output.err);
    }
    assert!(shell.run(&["--help"]).code(0).out.contains("serve"));
    assert!(shell.run(&["--version"]).code(0).out.starts_with("realmgate "));
}

#[test]
fn migrate_says_what_it_would_do_and_then_does_it() {
    let shell = Shell::new();
    std::fs::create_dir(shell.data()).unwrap();
    let plan = shell.run(&["migrate", "--plan", "--json"]).code(0).json();
    let steps = plan["pending"].as_array().unwrap().clone();
    assert!(steps.len() >= 5, "{plan}");
    assert_eq!(shell.run(&["migrate", "--plan", "--json"]).code(0).json(), plan, "a plan changes nothing");
    assert_eq!(shell.run(&["migrate"]).code(0).out.lines().filter(|line| line.starts_with("applied  ")).count(), steps.len());
    assert_eq!(shell.run(&["migrate"]).code(0).out, "The schema is up to date.\n");
    assert_eq!(shell.run(&["migrate", "--plan", "--json"]).code(0).json()["pending"], serde_json::json!([]));
}

#[test]
fn a_plan_names_statements_and_locks() {
    let shell = Shell::new();
    let plan = shell.run(&["migrate", "--plan"]).code(0).out;
    let line = plan.lines().find(|line| line.contains("create table users")).unwrap_or_else(|| panic!("{plan}"));
    assert!(line.contains("the file's write lock: writes wait, reads go on"), "{line}");
    let json = shell.run(&["migrate", "--plan", "--json"]).code(0).json();
    assert_eq!(json["steps"].as_array().unwrap().len(), json["pending"].as_array().unwrap().len());
    assert!(json["steps"].as_array().unwrap().iter().all(|step| !step["statements"].as_array().unwrap().is_empty()), "{json}");
    assert!(!shell.data().exists(), "a plan makes nothing");
}

#[test]
fn the_documents_are_printed_and_written() {
    let shell = Shell::new();
    let printed = shell.run(&["openapi"]).code(0).out;
    shell.run(&["openapi", "--write", "out/specs"]).code(0);
    for (name, text) in realmgate::http::documents() {
        assert!(std::fs::read_to_string(shell.folder.path().join("out/specs").join(name)).unwrap() == text, "{name}");
        assert_eq!(name == "native.json", printed == text);
    }
    shell.run(&["openapi", "--write", "/proc/nowhere"]).complains(2, &["/proc/nowhere"]);
}

/// A running `serve`, ended with the test.
struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        // It is gone already where the test ended it.
        let _ = self.0.kill();
    }
}

#[test]
fn serve_says_where_everything_is_and_ends_when_told() {
    let shell = Shell::new().with("REALMGATE_LOG_FORMAT", "text").with("REALMGATE_LISTEN", "127.0.0.1:0").with("REALMGATE_PUBLIC_URL", "http://127.0.0.1:8080");
    for round in 0..2 {
        let mut child = Served(shell.command(&["serve"]).spawn().unwrap());
        let mut out = BufReader::new(child.0.stdout.take().unwrap());
        let mut said = String::new();
        // A first start shows its links on a quiet screen: no step of the schema is logged before them.
        while !said.contains("API reference") {
            assert_ne!(out.read_line(&mut said).unwrap(), 0, "it ended: {said}");
        }
        assert!(said.lines().take_while(|line| !line.contains("Realmgate is ready")).count() <= 1 && !said.contains("igration"), "{said}");
        assert!(said.contains("Realmgate is ready at http://127.0.0.1:8080 (listening on 127.0.0.1:"), "{said}");
        assert!(said.contains("http://127.0.0.1:8080/ui/setup?token="), "round {round}: nobody has used the link yet: {said}");
        assert!(said.contains("http://127.0.0.1:8080/dev/mailbox\n") && said.contains("http://127.0.0.1:8080/docs\n"), "{said}");
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(shell.data().join("master.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let signal = if round == 0 { "-TERM" } else { "-INT" };
        assert!(Command::new("kill").args([signal, &child.0.id().to_string()]).status().unwrap().success());
        assert_eq!(child.0.wait().unwrap().code(), Some(0));
        let mut rest = String::new();
        out.read_to_string(&mut rest).unwrap();
        assert!(rest.contains("stopped"), "{rest}");
    }
    // A port that is taken is said, with its cure.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    shell.run(&["serve", "--listen", &address]).complains(2, &[&address, "REALMGATE_LISTEN"]);
}

//! Settings as an operator gives them: what `check` shows of them, what is said when they are wrong, and what production
//! refuses.

use std::path::Path;

use serde_json::Value;

use crate::support::shell::{KEY, SECRET, Shell};

#[test]
fn check_shows_every_setting_and_no_secret() {
    let shell = Shell::new()
        .with("REALMGATE_DATABASE_URL", &format!("postgres://ada:{SECRET}@db.example:5432/realmgate?password={SECRET}"))
        .with("REALMGATE_SMTP_URL", &format!("smtps://ada:{SECRET}@mail.example:465"))
        .with("REALMGATE_MASTER_KEY", KEY);
    let table = shell.run(&["check"]).code(0).out;
    assert!(table.contains("No problems. Ready for development."), "{table}");
    assert!(table.contains("postgres://***:***@db.example:5432/realmgate") && table.contains("smtps://***:***@mail.example:465"), "{table}");
    assert!(!table.contains(&KEY[3..]), "{table}");
    let json = shell.run(&["check", "--json"]).code(0).json();
    assert_eq!((&json["settings"]["master_key"], &json["problems"]), (&"***".into(), &serde_json::json!([])));
    let defaults = include_str!("../../src/config/defaults.toml");
    for setting in json["settings"].as_object().unwrap().keys() {
        assert!(defaults.contains(&format!("{setting} = ")), "`{setting}` is not in the defaults");
    }
    assert!(!shell.data().exists(), "check makes nothing");
}

#[test]
fn wrong_settings_are_named_and_not_shown() {
    for (name, setting) in [
        ("REALMGATE_LISTEN", "`listen`"),
        ("REALMGATE_PROFILE", "`profile`"),
        ("REALMGATE_DATABASE_MAX_CONNECTIONS", "`database_max_connections`"),
        ("REALMGATE_TRUSTED_PROXIES", "`trusted_proxies`"),
        ("REALMGATE_LOG_FORMAT", "`log_format`"),
        ("REALMGATE_HASH_MEMORY_KIB", "`hash_memory_kib`"),
        ("REALMGATE_BODY_LIMIT", "`body_limit`"),
        ("REALMGATE_PUBLIC_URL", "`public_url`"),
        ("REALMGATE_NO_SUCH_SETTING", "`no_such_setting`"),
    ] {
        Shell::new().with(name, SECRET).run(&["check"]).complains(2, &[setting]);
    }
    let at_start = [
        ("REALMGATE_MASTER_KEY", SECRET.to_owned(), "master"),
        ("REALMGATE_SMTP_URL", format!("http://ada:{SECRET}@mail"), "smtp"),
        ("REALMGATE_DATABASE_URL", format!("mysql://ada:{SECRET}@db/x"), "database"),
    ];
    for (name, value, word) in at_start {
        let output = Shell::new().with(name, &value).run(&["account", "list"]).complains(2, &[]);
        assert!(output.err.to_lowercase().contains(word), "{name}: {}", output.err);
    }
    let unreachable = Shell::new().with("REALMGATE_DATABASE_URL", &format!("postgres://ada:{SECRET}@127.0.0.1:1/x"));
    unreachable.run(&["account", "list"]).complains(1, &["REALMGATE_DATABASE_URL"]);
    Shell::new().run(&["check", "--config", "nowhere.toml"]).complains(2, &["nowhere.toml"]);
    let shell = Shell::new();
    std::fs::write(shell.folder.path().join("realmgate.toml"), format!("smpt_url = '{SECRET}'\n")).unwrap();
    shell.run(&["check"]).complains(2, &["`smpt_url`", "realmgate.toml"]);
}

#[test]
fn production_refuses_what_is_unsafe_one_line_each() {
    let shell =
        Shell::new().with("REALMGATE_PROFILE", "production").with("REALMGATE_DATA_DIR", "/tmp/realmgate-throw-away").with("REALMGATE_HASH_ITERATIONS", "1");
    let shell = shell.with("REALMGATE_TRUSTED_PROXIES", "10.0.0.0/8, ::/0");
    for command in [&["serve"][..], &["worker"], &["account", "list"]] {
        let output = shell.run(command).complains(2, &[]);
        for setting in ["smtp_url", "mail_from", "public_url", "master_key_file", "hash_memory_kib", "trusted_proxies"] {
            let lines = output.err.lines().filter(|line| line.contains(&format!("`{setting}`"))).count();
            assert_eq!(lines, 1, "{setting}: {}", output.err);
        }
        assert_eq!(output.err.lines().count(), 6, "{}", output.err);
    }
    assert!(!Path::new("/tmp/realmgate-throw-away").exists(), "nothing is made");
    let problems = shell.run(&["check", "--json"]).code(2).out;
    assert!(problems.contains("\"cure\"") && problems.contains("\"smtp_url\""), "{problems}");
    let reachable = Shell::new().with("REALMGATE_PROFILE", "dev").with("REALMGATE_LISTEN", "0.0.0.0:0");
    reachable.run(&["serve"]).complains(2, &["`profile`", "loopback"]);
}

#[test]
fn check_finds_what_the_machine_tells() {
    use std::os::unix::fs::PermissionsExt as _;
    let found = |shell: &Shell, setting: &str, words: &[&str]| {
        let json = shell.run(&["check", "--json"]).code(2).out;
        // The failure follows in a document of its own.
        let report: Value = serde_json::Deserializer::from_str(&json).into_iter().next().unwrap().unwrap();
        let problems = report["problems"].as_array().unwrap();
        assert!(matches!(&problems[..], [only] if only["setting"] == setting && !only["cure"].as_str().unwrap().is_empty()), "{setting}: {problems:?}");
        let text = problems[0].to_string();
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
    };
    found(&Shell::new().with("REALMGATE_MASTER_KEY", SECRET), "master_key", &["base64"]);
    found(&Shell::new().with("REALMGATE_SMTP_URL", &format!("smtp://ada:{SECRET}@mail.example?tls=none")), "smtp_url", &[]);
    found(&Shell::new().with("REALMGATE_MAIL_FROM", "a@b@c"), "mail_from", &[]);
    found(&Shell::new().with("REALMGATE_DATA_DIR", "/proc/nowhere"), "data_dir", &["/proc/nowhere"]);
    found(&Shell::new().with("REALMGATE_STOP_DELAY", "301"), "stop_delay", &["300"]);
    found(&Shell::new().with("REALMGATE_SECURITY_CONTACT", "security@example.com"), "security_contact", &["mailto:"]);
    let shell = Shell::new();
    shell.run(&["account", "list"]).code(0);
    shell.run(&["check"]).code(0);
    std::fs::set_permissions(shell.data().join("master.key"), std::fs::Permissions::from_mode(0o644)).unwrap();
    found(&shell, "master_key_file", &["chmod 600"]);
    shell.run(&["account", "list"]).complains(2, &["chmod 600"]);
}

#[test]
fn check_asks_the_servers_when_told_to() {
    // Nobody listens on a port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let shell = Shell::new()
        .with("REALMGATE_DATABASE_URL", &format!("postgres://ada:{SECRET}@127.0.0.1:{port}/x"))
        .with("REALMGATE_REDIS_URL", &format!("redis://:{SECRET}@127.0.0.1:{port}"))
        .with("REALMGATE_SMTP_URL", &format!("smtp://127.0.0.1:{port}"));
    shell.run(&["check"]).code(0);
    let output = shell.run(&["check", "--online"]).code(2).out;
    for setting in ["database_url", "redis_url", "smtp_url"] {
        assert!(output.contains(&format!("problem: `{setting}`")), "{output}");
    }
    assert_eq!(output.matches("cure:").count(), 3, "{output}");
    Shell::new().run(&["check", "--online"]).code(0);
}

#[test]
fn the_nodes_of_the_compose_file_are_ready_for_production() {
    let compose = include_str!("../../docker-compose.yml");
    let lines = compose.lines().map(str::trim).filter(|line| line.starts_with("REALMGATE_"));
    let mut shell = Shell::new();
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        shell = shell.with(name, value.trim_matches('"'));
    }
    assert!(shell.env.len() > 5, "the settings were not found");
    assert!(shell.run(&["check"]).code(0).out.contains("Ready for production."));
}

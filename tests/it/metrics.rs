//! `/metrics`: what it counts, that it names nobody, and where it can't be asked.

use std::collections::BTreeMap;

use realmgate::config::Profile;
use serde_json::json;
use tempfile::TempDir;

use crate::{
    on_both,
    support::{
        Backend, PASSWORD, TestApp,
        server::{Server, eventually},
    },
};

/// Every value by its name with labels; panics at a line that Prometheus would not read.
fn parsed(text: &str) -> BTreeMap<String, f64> {
    let mut typed = Vec::new();
    let mut values = BTreeMap::new();
    for line in text.lines() {
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert!(["counter", "gauge", "histogram"].contains(&kind) && !typed.contains(&name.to_owned()), "{line}");
            typed.push(name.to_owned());
        } else if !line.starts_with("# HELP ") {
            let (name, value) = line.rsplit_once(' ').unwrap();
            let family = name.split('{').next().unwrap();
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| family.strip_suffix(end).filter(|base| typed.contains(&(*base).to_owned())));
            assert_eq!(typed.last().unwrap(), base.unwrap_or(family), "a value beside its metric: {line}");
            assert!(name.ends_with('}') || !name.contains('{'), "{line}");
            assert!(values.insert(name.to_owned(), value.parse().unwrap()).is_none(), "twice: {line}");
        }
    }
    values
}

async fn ask(app: &TestApp) -> BTreeMap<String, f64> {
    let reply = app.anonymous().get("/metrics").await.assert(200);
    assert_eq!(reply.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    parsed(&reply.text())
}

on_both!(requests_are_counted_by_pattern_method_and_status, |app| {
    let ada = app.user("ada@example.com").await;
    for _ in 0..3 {
        app.anonymous().bearer(&ada.access).get("/api/v1/me").await.assert(200);
    }
    app.anonymous().get("/api/v1/me").await.assert(401);
    app.anonymous().bearer(&ada.access).delete("/api/v1/me/sessions/canary-in-path").await;
    app.anonymous().get("/canary/nowhere?canary=1").await.assert(404);
    let reply = app.anonymous().get("/metrics").await.assert(200).text();
    let values = parsed(&reply);
    let requests = |method: &str, route: &str, status: u16| {
        let name = format!(r#"http_server_requests_total{{http_request_method="{method}",http_route="{route}",http_response_status_code="{status}"}}"#);
        values.get(&name).copied().unwrap_or_default()
    };
    assert_eq!((requests("GET", "/api/v1/me", 200), requests("GET", "/api/v1/me", 401)), (3.0, 1.0));
    assert_eq!((requests("GET", "", 404), requests("POST", "/api/v1/auth/login", 200)), (1.0, 1.0));
    let me = r#"{http_request_method="GET",http_route="/api/v1/me""#;
    assert_eq!(values[&format!("http_server_request_duration_seconds_count{me}}}")], 4.0);
    assert_eq!(values[&format!(r#"http_server_request_duration_seconds_bucket{me},le="+Inf"}}"#)], 4.0);
    assert!(values[&format!("http_server_request_duration_seconds_sum{me}}}")] > 0.0);
    assert_eq!(values["http_server_active_requests"], 1.0, "the one that asks");
    for name in ["canary", "ada", "example.com", "localhost", &ada.access] {
        assert!(!reply.contains(name), "{name} is named");
    }
});

on_both!(pools_queues_and_caches_are_told, |app| {
    app.anonymous().sign_up("ada@example.com", PASSWORD).await.assert(202);
    let before = ask(&app).await;
    assert_eq!((before["realmgate_jobs_pending"], before["realmgate_jobs_dead"], before["realmgate_database_up"]), (1.0, 0.0, 1.0));
    app.run_jobs().await;
    let token = app.last_mail("ada@example.com").await.token();
    app.anonymous().post("/api/v1/auth/verify-email", &json!({ "token": token })).await.assert(200);
    let ada = app.anonymous().log_in("ada@example.com", PASSWORD).await.user("localhost", "ada@example.com");
    for _ in 0..2 {
        app.anonymous().bearer(&ada.access).get("/api/v1/me").await.assert(200);
    }
    let after = ask(&app).await;
    assert_eq!((after["realmgate_jobs_pending"], after[r#"realmgate_jobs_total{kind="send_verification",outcome="done"}"#]), (0.0, 1.0));
    assert_eq!(after["realmgate_hash_duration_seconds_count"], 2.0, "one to keep, one to compare");
    assert_eq!((after["realmgate_hash_wait_seconds_count"], after["realmgate_hash_running"], after["realmgate_hash_queue"]), (2.0, 0.0, 0.0));
    assert!(after["realmgate_hash_permits"] >= 1.0 && after["realmgate_hash_queue_max"] == 256.0);
    assert!(after[r#"realmgate_cache_requests_total{cache="tokens",result="hit"}"#] >= 1.0);
    let open: f64 = after.iter().filter(|(name, _)| name.starts_with("realmgate_database_connections{")).map(|(_, value)| value).sum();
    let most: f64 = after.iter().filter(|(name, _)| name.starts_with("realmgate_database_connections_max{")).map(|(_, value)| value).sum();
    assert!(open >= 1.0 && most >= open, "{open} of {most}");
    assert!(after["process_resident_memory_bytes"] > 1e6 && after["process_open_fds"] > 3.0 && after["realmgate_feed_age_seconds"] >= 0.0);
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn production_has_no_metrics_beside_the_service() {
    let app = TestApp::with(Backend::Sqlite, |settings| settings.profile = Profile::Production).await.unwrap();
    app.anonymous().get("/metrics").await.assert_problem(404, "not_found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_have_an_address_of_their_own() {
    let folder = TempDir::new().unwrap();
    // Free a moment ago; what takes it in between makes the start fail with a clear line.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let server = Server::start(folder.path(), "a", &[("METRICS_LISTEN", &address)]).await;
    let get = async |path: &str| reqwest::get(format!("http://{address}{path}")).await;
    let text = get("/metrics").await.unwrap().text().await.unwrap();
    let values = parsed(&text);
    assert!(values["realmgate_connections"] >= 1.0 && values["realmgate_connections_max"] == 1024.0, "{text}");
    for path in ["/", "/healthz/ready", "/api/v1/me", "/dev/mailbox"] {
        assert_eq!(get(path).await.unwrap().status(), 404, "{path}");
    }
    server.stop().await;
    eventually("it is gone", async || get("/metrics").await.is_err().then_some(())).await;
}

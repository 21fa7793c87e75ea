//! What a proxy, a password manager and a finder of weaknesses ask of a running node.

use std::sync::atomic::Ordering;

use chrono::TimeDelta;
use tempfile::TempDir;

use crate::{
    on_both,
    support::{
        Backend, TestApp,
        server::{Server, eventually},
    },
};

on_both!(readiness_tells_what_it_rests_on, |app| {
    let ready = app.anonymous().get("/healthz/ready").await.assert(200);
    assert_eq!((ready.at("/status"), ready.at("/database")), ("ok".to_owned(), "ok".to_owned()));
    let json = ready.json();
    assert!(json["feed"]["ageSeconds"].as_u64().unwrap() < 60 && json["jobs"]["oldestSeconds"] == 0, "{json}");
    app.anonymous().sign_up("ada@example.com", crate::support::PASSWORD).await.assert(202);
    app.advance(TimeDelta::seconds(90));
    let json = app.anonymous().get("/healthz/ready").await.assert(200).json();
    assert_eq!((&json["jobs"]["pending"], &json["jobs"]["oldestSeconds"]), (&1.into(), &90.into()));
    app.run_jobs().await;
});

on_both!(a_node_that_goes_is_not_ready_and_still_answers, |app| {
    app.app().draining.store(true, Ordering::Relaxed);
    let ready = app.anonymous().get("/healthz/ready").await.assert(503);
    assert_eq!((ready.at("/status"), ready.header("retry-after")), ("draining".to_owned(), "2".to_owned()));
    app.anonymous().get("/healthz/live").await.assert(200);
    app.user("ada@example.com").await;
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_has_time_to_notice_that_a_node_goes() {
    let folder = TempDir::new().unwrap();
    let mut server = Server::start(folder.path(), "a", &[("STOP_DELAY", "2")]).await;
    server.terminate();
    eventually("it is not ready", async || (server.status("/healthz/ready", "").await == 503).then_some(())).await;
    // New connections are taken as before: this client keeps none.
    let fresh = reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap();
    assert_eq!(fresh.get(format!("{}/healthz/live", server.url)).send().await.unwrap().status(), 200);
    assert_eq!(server.ended().await.code(), Some(0));
}

on_both!(password_managers_are_led_to_the_page, |app| {
    let reply = app.anonymous().get("/.well-known/change-password").await.assert(303);
    assert_eq!(reply.header("location"), "/ui/account");
    // Nobody is signed in: the page leads on to where one does, which is there.
    let on = app.anonymous().get(&reply.header("location")).await.assert(303);
    app.anonymous().get(&on.header("location")).await.assert(200);
    // How they find out whether a server says yes to everything.
    app.anonymous().get("/.well-known/resource-that-should-not-exist-whose-status-code-should-not-be-200").await.assert(404);
    app.anonymous().get("/.well-known/security.txt").await.assert(404);
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn security_txt_says_what_its_operator_set() {
    let change = |settings: &mut realmgate::config::Settings| {
        settings.public_url = "https://id.example.com".to_owned();
        settings.security_contact = vec!["mailto:security@example.com".to_owned(), "https://example.com/report".to_owned()];
        settings.security_policy = Some("https://example.com/policy".to_owned());
    };
    let app = TestApp::with(Backend::Sqlite, change).await.unwrap();
    let reply = app.anonymous().get("/.well-known/security.txt").await.assert(200);
    assert_eq!(reply.header("content-type"), "text/plain; charset=utf-8");
    let wanted = "Contact: mailto:security@example.com\nContact: https://example.com/report\nExpires: 2026-11-24T00:00:00Z\n\
                  Canonical: https://id.example.com/.well-known/security.txt\nPolicy: https://example.com/policy\n";
    assert_eq!(reply.text(), wanted);
    let below = |settings: &mut realmgate::config::Settings| {
        settings.public_url = "https://example.com/id".to_owned();
        settings.security_contact = vec!["mailto:security@example.com".to_owned()];
    };
    let app = TestApp::with(Backend::Sqlite, below).await.unwrap();
    assert!(!app.anonymous().get("/.well-known/security.txt").await.assert(200).text().contains("Canonical"));
    assert_eq!(app.anonymous().get("/.well-known/change-password").await.assert(303).header("location"), "/id/ui/account");
}

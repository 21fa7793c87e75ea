//! What is counted of keys, when it is written, and that it survives what it must survive.

use chrono::TimeDelta;
use realmgate::{domain::user::Role, service::usage};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    on_both,
    support::{
        TestApp,
        keys::{Key, Owner, keys_of, plain_key},
        server::Server,
    },
};

async fn world(app: &TestApp) -> (Owner, Key) {
    let ada = app.owner("ada@example.com").await;
    app.set_plan(&ada.account, "starter").await;
    let body = json!({ "name": "K", "scopes": ["chat:read"], "ipAllowlist": ["10.0.0.0/8"] });
    let key = Key::of(app.anonymous().bearer(&ada.user.access).make_key(&ada.account, &body).await);
    (ada, key)
}

async fn verify(app: &TestApp, ada: &Owner, key: &Key, scope: &str, ip: &str) -> String {
    let body = json!({ "credential": key.text, "scopes": [scope], "ip": ip });
    app.anonymous().bearer(&ada.user.access).post("/api/v1/verify", &body).await.assert(200).at("/code")
}

fn counts(line: &Value) -> [u64; 6] {
    ["valid", "rateLimited", "insufficientScope", "expired", "revoked", "ipNotAllowed"].map(|name| line[name].as_u64().unwrap())
}

on_both!(uses_are_counted_by_hour_and_by_what_came_of_them, |app| {
    let (ada, key) = world(&app).await;
    for _ in 0..3 {
        assert_eq!(verify(&app, &ada, &key, "chat:read", "10.1.2.3").await, "valid");
    }
    assert_eq!(verify(&app, &ada, &key, "chat:write", "10.1.2.3").await, "insufficient_scope");
    assert_eq!(verify(&app, &ada, &key, "chat:read", "11.1.2.3").await, "ip_not_allowed");
    app.advance(TimeDelta::minutes(61));
    let again = Owner { user: app.again(&ada).await, ..ada };
    let client = app.anonymous().bearer(&again.user.access);
    client.delete(&format!("{}/{}", keys_of(&again.account), key.id)).await.assert(204);
    assert_eq!(verify(&app, &again, &key, "chat:read", "10.1.2.3").await, "revoked");
    let report = client.get(&format!("{}/{}/usage", keys_of(&again.account), key.id)).await.assert(200).json();
    let lines: Vec<_> = report["items"].as_array().unwrap().iter().map(counts).collect();
    assert_eq!(lines, [[3, 0, 1, 0, 0, 1], [0, 0, 0, 0, 1, 0]]);
    let days = client.get(&format!("/api/v1/accounts/{}/usage?by=day", again.account)).await.assert(200).json();
    let total: u64 = days["items"].as_array().unwrap().iter().flat_map(counts).sum();
    assert_eq!((total, days["keys"].as_array().unwrap().len()), (6, 1));
    assert_eq!((&days["keys"][0]["keyId"], counts(&days["keys"][0])), (&json!(key.id), [3, 0, 1, 0, 1, 1]));
});

on_both!(nothing_is_written_for_each_use, |app| {
    let (ada, key) = world(&app).await;
    for _ in 0..20 {
        verify(&app, &ada, &key, "chat:read", "10.1.2.3").await;
    }
    assert_eq!(app.count("api_key_usage").await, 0);
    usage::flush(app.app()).await.unwrap();
    usage::flush(app.app()).await.unwrap();
    assert_eq!(app.sql("SELECT count AS v FROM api_key_usage").await, ["20"]);
    // Two nodes add to the same hour.
    let other = app.join(7).await;
    let body = json!({ "credential": key.text });
    other.anonymous().bearer(&ada.user.access).post("/api/v1/verify", &body).await.assert(200);
    usage::flush(&other.app).await.unwrap();
    assert_eq!(app.sql("SELECT count AS v FROM api_key_usage").await, ["21"]);
});

on_both!(the_last_use_is_shown_at_once_and_written_later, |app| {
    let (ada, key) = world(&app).await;
    let client = app.anonymous().bearer(&ada.user.access);
    assert!(client.key(&ada.account, &key.id).await.json().get("lastUsedAt").is_none());
    verify(&app, &ada, &key, "chat:write", "10.1.2.3").await;
    assert!(client.key(&ada.account, &key.id).await.json().get("lastUsedAt").is_none(), "a refusal is no use");
    verify(&app, &ada, &key, "chat:read", "10.1.2.3").await;
    let shown = client.key(&ada.account, &key.id).await;
    assert_eq!(shown.at("/lastUsedIp"), "10.1.2.3");
    assert_eq!(app.sql("SELECT last_used_ip AS v FROM api_keys").await, [""]);
    usage::flush_last(app.app()).await.unwrap();
    assert_eq!(app.sql("SELECT last_used_ip AS v FROM api_keys").await, ["10.1.2.3"]);
    assert_eq!(client.key(&ada.account, &key.id).await.json(), shown.json());
});

on_both!(usage_is_the_accounts_alone, |app| {
    let (ada, key) = world(&app).await;
    let eve = app.owner("eve@example.com").await;
    let member = app.user("member@example.com").await;
    app.place(&ada.account, "localhost", &member.id, Role::Member).await;
    for (who, wanted) in [(&eve.user, 404), (&member, 403)] {
        let client = app.anonymous().bearer(&who.access);
        client.get(&format!("/api/v1/accounts/{}/usage", ada.account)).await.assert(wanted);
        client.get(&format!("{}/{}/usage", keys_of(&ada.account), key.id)).await.assert(wanted);
    }
    app.anonymous().bearer(&eve.user.access).get(&format!("{}/{}/usage", keys_of(&eve.account), key.id)).await.assert(404);
    let client = app.anonymous().bearer(&ada.user.access);
    for query in ["from=x", "to=2026-13-01T00:00:00Z", "from=2100-01-01T00:00:00Z", "from=2020-01-01T00:00:00Z", "by=day&from=2020-01-01T00:00:00Z"] {
        client.get(&format!("/api/v1/accounts/{}/usage?{query}", ada.account)).await.assert_problem(422, "validation_failed");
    }
    client.get(&format!("/api/v1/accounts/{}/usage?by=month", ada.account)).await.assert_problem(400, "invalid_request");
});

on_both!(a_leaked_key_is_revoked_and_its_owners_told, |app| {
    let (ada, key) = world(&app).await;
    let other = Key::of(app.anonymous().bearer(&ada.user.access).make_key(&ada.account, &plain_key()).await);
    let report = async |text: &str| app.anonymous().post("/api/v1/api-keys/leaked", &json!({ "key": text })).await.assert(202);
    let made_up = format!("{}A", &key.text[..key.text.len() - 1]);
    let mixed = format!("{}{}", &key.text[..27], &other.text[27..]);
    let unknown = report("no key at all").await;
    for text in ["", &made_up, &mixed, "conv_", &key.id] {
        report(text).await.assert_like(&unknown);
    }
    assert_eq!(verify(&app, &ada, &key, "chat:read", "10.0.0.1").await, "valid");
    let before = app.mails("ada@example.com").await.len();
    report(&key.text).await.assert_like(&unknown);
    report(&key.text).await.assert_like(&unknown);
    assert_eq!(verify(&app, &ada, &key, "chat:read", "10.0.0.1").await, "revoked");
    app.run_jobs().await;
    assert_eq!(app.mails("ada@example.com").await.len(), before + 1, "one mail, however often it is reported");
    let mail = app.last_mail("ada@example.com").await;
    assert!(mail.0.subject.contains("was revoked") && mail.0.text.contains(&key.text[..27]) && !mail.0.text.contains(&key.text), "{}", mail.0.text);
    let line = app.sql("SELECT actor_kind || ' ' || action AS v FROM audit_events WHERE action = 'api_key.leaked'").await;
    assert_eq!(line, ["anonymous api_key.leaked"]);
    assert_eq!(app.anonymous().bearer(&ada.user.access).key(&ada.account, &other.id).await.at("/status"), "active");
});

/// Verifies a key so many times and answers how often the service says it was, at last by the next process.
async fn uses_after(end: impl AsyncFnOnce(Server)) -> u64 {
    let folder = TempDir::new().unwrap();
    let server = Server::start(folder.path(), "a", &[("USAGE_FLUSH_SECONDS", "3600")]).await;
    let ada = server.user("ada@example.com").await;
    let me: Value = server.get("/api/v1/me", &ada.access).await.unwrap().json().await.unwrap();
    let account = me["accounts"][0]["id"].as_str().unwrap().to_owned();
    let (status, made) = server.post(&keys_of(&account), &ada.access, &plain_key()).await;
    assert_eq!(status, 201, "{made}");
    for _ in 0..7 {
        let (status, verdict) = server.post("/api/v1/verify", &ada.access, &json!({ "credential": made["key"] })).await;
        assert_eq!((status, &verdict["code"]), (200, &json!("valid")));
    }
    end(server).await;
    let server = Server::start(folder.path(), "b", &[]).await;
    let usage: Value = server.get(&format!("/api/v1/accounts/{account}/usage"), &ada.access).await.unwrap().json().await.unwrap();
    server.kill();
    usage["items"].as_array().unwrap().iter().map(|line| line["valid"].as_u64().unwrap()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_loses_no_count_and_a_crash_what_was_not_written() {
    let stopped = uses_after(async |server| {
        server.stop().await;
    })
    .await;
    assert_eq!(stopped, 7);
    assert_eq!(uses_after(async |server| server.kill()).await, 0, "an hour between two writes is what this test sets");
}

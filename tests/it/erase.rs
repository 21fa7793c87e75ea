//! Leaving for good, and seeing first what is kept. Nothing that names the person stays; the trail keeps their id.

use std::sync::Arc;

use realmgate::service::users;
use serde_json::{Value, json};

use crate::{
    on_both,
    support::{Client, PASSWORD, Reply, TestApp, at_once::at_once, keys::Key, people::OTHER},
};

const ADA: &str = "ada.canary@example.com";
const NAME: &str = "Ada Canary";

impl Client<'_> {
    async fn erase(&self, password: &str) -> Reply {
        self.send(poem::http::Method::DELETE, "/api/v1/me", Some("application/json"), json!({ "password": password }).to_string()).await
    }

    async fn export(&self) -> Reply {
        self.get("/api/v1/me/export").await
    }
}

/// Everybody's rows that hang on a person.
const HANGING: [&str; 11] = [
    "users",
    "credentials",
    "sessions",
    "one_time_tokens",
    "memberships",
    "devices",
    "totp_secrets",
    "recovery_codes",
    "passkeys",
    "factor_challenges",
    "passkey_ceremonies",
];

async fn rows(app: &TestApp) -> Vec<usize> {
    let mut counts = Vec::new();
    for table in HANGING {
        counts.push(app.count(table).await);
    }
    counts
}

on_both!(who_is_erased_leaves_an_id_and_nothing_else, |app| {
    let before = rows(&app).await;
    let ada = app.user(ADA).await;
    let me = app.anonymous().bearer(&ada.access);
    me.add_passkey(&mut crate::support::authenticator::Authenticator::new()).await.assert(201);
    app.anonymous().first_half(ADA).await;
    me.patch("/api/v1/me", &json!({ "name": NAME, "company": "Canary Works", "phone": "+49 30 5551234" })).await.assert(200);
    me.post("/api/v1/me/email", &json!({ "email": "next.canary@example.com", "password": PASSWORD })).await.assert(202);
    app.run_jobs().await;
    app.anonymous().forgot(ADA).await.assert(202);
    let other = app.join(2).await;
    other.anonymous().bearer(&ada.access).me().await.assert(200);
    me.erase(OTHER).await.assert_problem(403, "wrong_password");
    me.erase(PASSWORD).await.assert(204);
    assert_eq!(rows(&app).await, before);
    assert_eq!(me.me().await.assert(401).at("/code"), "session_ended");
    other.follow_changes().await;
    other.anonymous().bearer(&ada.access).me().await.assert(401);
    app.anonymous().refresh(&ada.refresh).await.assert_problem(401, "invalid_refresh_token");
    app.anonymous().log_in(ADA, PASSWORD).await.assert_problem(401, "invalid_credentials");
    // What was owed to them goes nowhere.
    app.run_jobs().await;
    for address in [ADA, "next.canary@example.com"] {
        assert!(app.mails(address).await.is_empty(), "a mail to {address}");
    }
    for column in app.text_columns().await {
        for value in &column.values {
            let plain = value.to_lowercase();
            assert!(!plain.contains("canary") && !plain.contains("5551234"), "{}.{}: {value}", column.table, column.column);
        }
    }
    let trail = app.sql("SELECT action AS v FROM audit_events WHERE subject_user_id IS NOT NULL ORDER BY id").await;
    assert!(trail.contains(&"user.erased".to_owned()) && trail.contains(&"user.logged_in".to_owned()), "{trail:?}");
    assert!(app.sql("SELECT ip AS v FROM audit_events WHERE subject_user_id IS NOT NULL").await.iter().all(String::is_empty));
    // The address is free for a new beginning.
    assert_ne!(app.user(ADA).await.id, ada.id);
});

on_both!(mailed_tokens_of_an_erased_person_say_nothing, |app| {
    let ada = app.user(ADA).await;
    let me = app.anonymous().bearer(&ada.access);
    me.post("/api/v1/me/email", &json!({ "email": "next.canary@example.com", "password": PASSWORD })).await.assert(202);
    app.run_jobs().await;
    let (change, reset) = (app.last_mail("next.canary@example.com").await.token(), app.reset_token(ADA).await);
    me.erase(PASSWORD).await.assert(204);
    let made_up = app.anonymous().reset("x", OTHER).await.assert_problem(400, "invalid_token");
    app.anonymous().reset(&reset, OTHER).await.assert_like(&made_up);
    app.anonymous().verify(&reset).await.assert_like(&made_up);
    for path in ["/api/v1/auth/change-email/confirm", "/api/v1/auth/change-email/undo"] {
        let reply = app.anonymous().post(path, &json!({ "token": change })).await;
        assert!(!reply.text().contains("canary"), "{}", reply.text());
        reply.assert_problem(400, "invalid_token");
    }
});

on_both!(an_account_that_others_need_keeps_its_last_owner, |app| {
    // The root account has the root realm.
    let operator = app.operator().await;
    users::create(app.app(), &operator, "Root", "root@example.com", PASSWORD.into()).await.unwrap();
    let root = app.app().root().unwrap();
    let user = app.anonymous().log_in("root@example.com", PASSWORD).await.user("localhost", "root@example.com");
    let now = app.app().clock.now();
    let role = realmgate::domain::user::Role::Owner;
    let id = user.id.parse().unwrap();
    realmgate::store::memberships::create(&app.app().db.write, root.account, root.realm, id, role, now).await.unwrap();
    let me = app.anonymous().bearer(&user.access);
    me.erase(PASSWORD).await.assert_problem(409, "last_owner");
    me.me().await.assert(200);
    assert_eq!(app.sql("SELECT status AS v FROM accounts").await, ["active", "active"], "nothing is half done");
    // With a second owner the first may go, and then the second may not.
    let second = app.user("second@example.com").await;
    realmgate::store::memberships::create(&app.app().db.write, root.account, root.realm, second.id.parse().unwrap(), role, now).await.unwrap();
    let nodes = [Arc::new(app.join(2).await), Arc::new(app.join(3).await)];
    let tokens = [user.access.clone(), second.access.clone()];
    let mut statuses = at_once(2, |number| {
        let (node, token) = (Arc::clone(&nodes[number]), tokens[number].clone());
        async move { node.anonymous().bearer(&token).erase(PASSWORD).await.status.as_u16() }
    })
    .await;
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 409], "an owner stays");
});

on_both!(an_account_that_nobody_is_left_in_is_closed_with_its_keys, |app| {
    let ada = app.user(ADA).await;
    let me = app.anonymous().bearer(&ada.access);
    let account = me.me().await.at("/accounts/0/id");
    let key = Key::of(me.make_key(&account, &json!({ "name": "canary key", "scopes": ["chat:read"] })).await);
    let node = app.join(2).await;
    for asker in [app.anonymous(), node.anonymous()] {
        asker.bearer(&key.text).get("/gateway/nginx").await.assert(204);
    }
    me.erase(PASSWORD).await.assert(204);
    node.follow_changes().await;
    for asker in [app.anonymous(), node.anonymous()] {
        let code = asker.bearer(&key.text).get("/gateway/nginx").await.assert(403).at("/code");
        assert_eq!(code, "account_disabled");
    }
    assert_eq!(app.sql("SELECT name AS v FROM accounts WHERE status = 'disabled'").await, ["closed"]);
});

on_both!(of_many_erasures_at_once_one_counts_and_a_confirmation_comes_too_late, |app| {
    let ada = app.user(ADA).await;
    let me = app.anonymous().bearer(&ada.access);
    me.post("/api/v1/me/email", &json!({ "email": "next@example.com", "password": PASSWORD })).await.assert(202);
    app.run_jobs().await;
    let token = app.last_mail("next@example.com").await.token();
    let node = Arc::new(app.join(2).await);
    let statuses = at_once(6, |_| {
        let (node, access) = (Arc::clone(&node), ada.access.clone());
        async move { node.anonymous().bearer(&access).erase(PASSWORD).await.status.as_u16() }
    })
    .await;
    assert_eq!(statuses.iter().filter(|status| **status == 204).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| [204, 401, 403, 404].contains(status)), "{statuses:?}");
    app.anonymous().post("/api/v1/auth/change-email/confirm", &json!({ "token": token })).await.assert_problem(400, "invalid_token");
});

on_both!(an_export_holds_everything_and_no_secret, |app| {
    let ada = app.user(ADA).await;
    app.advance(chrono::TimeDelta::seconds(1));
    let second = app.anonymous().log_in(ADA, PASSWORD).await.user("localhost", ADA);
    let me = app.anonymous().bearer(&second.access);
    app.anonymous().bearer(&ada.access).post("/api/v1/auth/logout", &json!({})).await.assert(204);
    app.anonymous().log_in(ADA, OTHER).await.assert(401);
    me.post("/api/v1/me/email", &json!({ "email": "next@example.com", "password": PASSWORD })).await.assert(202);
    app.anonymous().forgot(ADA).await.assert(202);
    app.user("bob@example.com").await;
    let reply = me.export().await.assert(200);
    let export = reply.json();
    assert_eq!((&export["profile"]["email"], &export["profile"]["id"]), (&json!(ADA), &json!(second.id)));
    assert_eq!(export["profile"]["accounts"].as_array().unwrap().len(), 1);
    let ends: Vec<_> = export["sessions"].as_array().unwrap().iter().map(|session| session["endReason"].clone()).collect();
    assert_eq!(ends, [Value::Null, json!("logged_out")]);
    assert_eq!(export["credentials"][0]["kind"], "password");
    assert_eq!(export["devices"].as_array().unwrap().len(), 2);
    let pending: Vec<_> = export["pending"].as_array().unwrap().iter().map(|item| item["purpose"].as_str().unwrap().to_owned()).collect();
    assert_eq!(pending, ["reset_password", "change_email"]);
    let actions: Vec<_> = export["events"].as_array().unwrap().iter().map(|event| event["action"].as_str().unwrap().to_owned()).collect();
    for action in
        ["user.signed_up", "user.email_verified", "user.logged_in", "user.login_failed", "user.logged_out", "email.change_requested", "user.data_exported"]
    {
        assert!(actions.iter().any(|known| known == action), "{action} is missing: {actions:?}");
    }
    let text = reply.text();
    let hash = app.hash_of(ADA).await;
    for secret in [hash.as_str(), "$argon2", &second.access, &second.refresh, "bob@example.com", "tokenHash", "nonce"] {
        assert!(!text.contains(secret), "the export holds {secret}");
    }
    app.anonymous().export().await.assert_problem(401, "missing_credential");
});

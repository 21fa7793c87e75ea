//! Realms: which one a request means, what a suspended one still answers, and that nothing a stranger sends reaches a
//! link. Proxies count only where the settings name them.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use realmgate::{
    domain::{
        Error,
        realm::{Lifetimes, RealmSettings, RealmStatus},
    },
    service::realms::{self, RealmChange},
};
use serde_json::json;

use crate::{
    on_both,
    support::{Backend, Client, PASSWORD, TestApp},
};

const ACME: &str = "acme.example.com";

async fn change(app: &TestApp, name: &str, change: RealmChange) {
    realms::change(app.app(), &app.operator().await, name, change).await.unwrap();
}

async fn set_status(app: &TestApp, status: RealmStatus) {
    change(app, ACME, RealmChange { status: Some(status), ..RealmChange::default() }).await;
}

/// The realm that an anonymous request means: each realm's person can sign in at their own alone.
async fn meant(app: &TestApp, client: Client<'_>) -> String {
    let mut realms = Vec::new();
    for email in ["root@example.com", "acme@example.com", "globex@example.com"] {
        app.advance(TimeDelta::milliseconds(1));
        let reply = client.log_in(email, PASSWORD).await;
        match reply.status.as_u16() {
            200 => realms.push(app.anonymous().bearer(&reply.at("/tokens/accessToken")).get("/api/v1/me").await.assert(200).at("/realm")),
            401 => {}
            _ => return reply.at("/code"),
        }
    }
    assert_eq!(realms.len(), 1, "{realms:?}");
    realms.remove(0)
}

on_both!(header_then_host_then_root_name_the_realm, |app| {
    app.realm(ACME).await;
    app.realm("globex.example.com").await;
    let domains = Some(vec!["Login.Acme.Example".to_owned(), "id.acme.example".to_owned()]);
    change(&app, ACME, RealmChange { domains, ..RealmChange::default() }).await;
    for (realm, email) in [("localhost", "root@example.com"), (ACME, "acme@example.com"), ("globex.example.com", "globex@example.com")] {
        app.user_in(realm, email).await;
    }
    let at = |host: &str| app.anonymous().header("host", host);
    for (realm, hosts) in [
        (ACME, &["acme.example.com", "ACME.Example.COM", "acme.example.com:8443", "login.acme.example", "LOGIN.ACME.EXAMPLE:443", "id.acme.example"][..]),
        ("globex.example.com", &["globex.example.com", "GLOBEX.example.com:80"]),
        (
            "localhost",
            &[
                "localhost",
                "localhost:8080",
                "127.0.0.1:8080",
                "[::1]:8080",
                "unknown.example.com",
                "example.com",
                "x.acme.example.com",
                "..",
                "a b",
                "acme.example.com.evil.example",
                "",
            ],
        ),
    ] {
        for host in hosts {
            assert_eq!(meant(&app, at(host)).await, realm, "Host: {host}");
        }
    }
    for named in [ACME, "ACME.EXAMPLE.COM", " acme.example.com ", "login.acme.example"] {
        assert_eq!(meant(&app, at("globex.example.com").realm(named)).await, ACME, "X-Realm: {named}");
    }
    for unknown in ["nobody.example.com", "", ".", "acme.example.com:80", "acme", "*", "a/b", "127.0.0.1", "acme.example.com, globex.example.com"] {
        at(ACME).realm(unknown).log_in("acme@example.com", PASSWORD).await.assert_problem(404, "realm_not_found");
    }
    // Bytes that are no text name no realm either; with a credential that is another realm than the credential's.
    let root = at("localhost").log_in("root@example.com", PASSWORD).await.assert(200).at("/tokens/accessToken");
    at(ACME).realm("\u{e4}").log_in("acme@example.com", PASSWORD).await.assert_problem(404, "realm_not_found");
    for path in ["/api/v1/me", "/api/v1/auth/token"] {
        app.anonymous().bearer(&root).get(path).await.assert(200);
        app.anonymous().bearer(&root).realm("\u{e4}").get(path).await.assert_problem(401, "realm_mismatch");
    }
});

on_both!(domains_change_at_once_and_belong_to_one_realm, |app| {
    app.realm(ACME).await;
    app.realm("globex.example.com").await;
    app.user_in(ACME, "acme@example.com").await;
    let with = |domains: &[&str]| RealmChange { domains: Some(domains.iter().map(|&domain| domain.to_owned()).collect()), ..RealmChange::default() };
    let ask = || async { app.anonymous().header("host", "id.acme.example").log_in("acme@example.com", PASSWORD).await.status.as_u16() };
    assert_eq!(ask().await, 401, "not known yet, so the root realm");
    change(&app, ACME, with(&["id.acme.example"])).await;
    assert_eq!(ask().await, 200);
    let taken = realms::change(app.app(), &app.operator().await, "globex.example.com", with(&["id.acme.example"])).await.unwrap_err();
    assert!(matches!(taken, Error::Taken { .. }), "{taken:?}");
    for name in [ACME, "globex.example.com", "localhost"] {
        let fault = realms::change(app.app(), &app.operator().await, "globex.example.com", with(&[name])).await;
        assert!(fault.is_err(), "{name} is a realm's own name");
    }
    assert_eq!(ask().await, 200, "what was refused changed nothing");
    change(&app, ACME, with(&[])).await;
    assert_eq!(ask().await, 401);
});

on_both!(a_suspended_realm_answers_nobody, |app| {
    app.realm(ACME).await;
    let ada = app.user_in(ACME, "ada@example.com").await;
    let (client, me) = (app.anonymous().realm(ACME), app.anonymous().bearer(&ada.access));
    me.get("/api/v1/me").await.assert(200);
    set_status(&app, RealmStatus::Suspended).await;
    let person = json!({ "name": "N", "email": "new@example.com", "password": PASSWORD });
    for (path, body) in [
        ("signup", person),
        ("login", json!({ "email": "ada@example.com", "password": PASSWORD })),
        ("refresh", json!({ "refreshToken": ada.refresh })),
        ("password/forgot", json!({ "email": "ada@example.com" })),
        ("password/reset", json!({ "token": "x", "newPassword": PASSWORD })),
        ("verify-email", json!({ "token": "x" })),
        ("verify-email/resend", json!({ "email": "ada@example.com" })),
    ] {
        client.post(&format!("/api/v1/auth/{path}"), &body).await.assert_problem(403, "realm_suspended");
        app.anonymous().header("host", ACME).post(&format!("/api/v1/auth/{path}"), &body).await.assert_problem(403, "realm_suspended");
    }
    for path in ["/api/v1/me", "/api/v1/me/sessions", "/api/v1/auth/token"] {
        me.get(path).await.assert_problem(403, "realm_suspended");
    }
    let before = app.mails("ada@example.com").await.len();
    app.run_jobs().await;
    assert_eq!(app.mails("ada@example.com").await.len(), before);
    // The page says so too, and is a page.
    let page = app.anonymous().get(&format!("/ui/forgot-password?realm={ACME}")).await.assert(403);
    assert!(page.header("content-type").starts_with("text/html"));
    set_status(&app, RealmStatus::Active).await;
    me.get("/api/v1/me").await.assert(200);
    client.log_in("ada@example.com", PASSWORD).await.assert(200);
});

on_both!(another_node_hears_of_a_suspension, |app| {
    app.realm(ACME).await;
    let node = app.join(2).await;
    let ada = app.user_in(ACME, "ada@example.com").await;
    node.follow_changes().await;
    node.anonymous().bearer(&ada.access).get("/api/v1/me").await.assert(200);
    set_status(&app, RealmStatus::Suspended).await;
    node.follow_changes().await;
    node.anonymous().bearer(&ada.access).get("/api/v1/me").await.assert_problem(403, "realm_suspended");
    node.anonymous().realm(ACME).log_in("ada@example.com", PASSWORD).await.assert_problem(403, "realm_suspended");
});

on_both!(links_begin_with_the_configured_address_whatever_the_request_says, |app| {
    app.realm(ACME).await;
    let base = app.app().settings.public_url.clone();
    for (round, (realm, suffix)) in [("localhost", ""), (ACME, "&realm=acme.example.com")].into_iter().enumerate() {
        for (index, (header, value)) in [
            ("host", "evil.example"),
            ("x-forwarded-host", "evil.example"),
            ("x-forwarded-proto", "gopher"),
            ("x-forwarded-port", "666"),
            ("x-forwarded-prefix", "/evil.example"),
            ("x-original-url", "http://evil.example/"),
            ("forwarded", "host=evil.example;proto=http;for=6.6.6.6"),
            ("origin", "https://evil.example"),
            ("referer", "https://evil.example/"),
        ]
        .into_iter()
        .enumerate()
        {
            let email = format!("ada{round}{index}@example.com");
            let client = app.anonymous().realm(realm).header(header, value);
            client.sign_up(&email, PASSWORD).await.assert(202);
            app.run_jobs().await;
            let mail = app.last_mail(&email).await;
            assert_eq!(mail.link(), format!("{base}/ui/verify-email?token={}{suffix}", mail.token()), "{header}");
            client.post("/api/v1/auth/verify-email", &json!({ "token": mail.token() })).await.assert(200);
            client.post("/api/v1/auth/password/forgot", &json!({ "email": email })).await.assert(202);
            app.run_jobs().await;
            let mail = app.last_mail(&email).await;
            assert_eq!(mail.link(), format!("{base}/ui/reset-password?token={}{suffix}", mail.token()), "{header}");
            let whole = format!("{}{}{}{}", mail.0.subject, mail.0.text, mail.0.html, mail.0.message_id);
            assert!(!whole.contains("evil.example"), "{header}: {whole}");
        }
    }
});

/// The address that a session was begun from.
async fn seen(app: &TestApp, headers: &[(&str, &str)]) -> String {
    let client = headers.iter().fold(app.anonymous(), |client, (name, value)| client.header(name, value));
    client.log_in("ada@example.com", PASSWORD).await.assert(200).at("/session/ip")
}

#[tokio::test]
async fn forwarded_addresses_count_only_from_proxies_of_ours() {
    let strangers = TestApp::on(Backend::Sqlite).await.unwrap();
    strangers.user("ada@example.com").await;
    let ours = TestApp::with(Backend::Sqlite, |settings| settings.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()]).await.unwrap();
    ours.user("ada@example.com").await;
    for (header, value, address) in [
        ("x-forwarded-for", "203.0.113.9", "203.0.113.9"),
        ("x-forwarded-for", "6.6.6.6, 203.0.113.9", "203.0.113.9"),
        ("x-forwarded-for", "203.0.113.9, 127.0.0.1", "203.0.113.9"),
        ("x-forwarded-for", "6.6.6.6, <script>", "127.0.0.1"),
        ("forwarded", "for=6.6.6.6, for=203.0.113.9;proto=https", "203.0.113.9"),
        ("x-real-ip", "6.6.6.6", "127.0.0.1"),
        ("true-client-ip", "6.6.6.6", "127.0.0.1"),
    ] {
        assert_eq!(seen(&strangers, &[(header, value)]).await, "127.0.0.1", "{header}: {value}");
        assert_eq!(seen(&ours, &[(header, value)]).await, address, "{header}: {value}");
    }
    let both = [("forwarded", "for=203.0.113.9"), ("x-forwarded-for", "6.6.6.6")];
    assert_eq!(seen(&ours, &both).await, "127.0.0.1", "one of the two is the client's own making");
}

on_both!(each_realm_shows_its_own_keys_and_metadata, |app| {
    app.realm(ACME).await;
    let base = app.app().settings.public_url.clone();
    let mut kids = Vec::new();
    for realm in ["localhost", ACME] {
        let metadata = app.anonymous().get(&format!("/realms/{realm}/.well-known/openid-configuration")).await.assert(200);
        assert_eq!(metadata.at("/issuer"), format!("{base}/realms/{realm}"));
        assert_eq!(metadata.at("/jwks_uri"), format!("{base}/realms/{realm}/.well-known/jwks.json"));
        let jwks = app.anonymous().get(metadata.at("/jwks_uri").trim_start_matches(&base)).await.assert(200);
        assert_eq!(jwks.header("cache-control"), "public, max-age=300");
        for key in jwks.json()["keys"].as_array().unwrap() {
            let members: Vec<&str> = key.as_object().unwrap().keys().map(String::as_str).collect();
            assert!(!members.contains(&"d"), "a private key is shown");
            assert_eq!((&key["kty"], &key["crv"], &key["alg"], &key["use"]), (&json!("EC"), &json!("P-256"), &json!("ES256"), &json!("sig")));
            kids.push(key["kid"].as_str().unwrap().to_owned());
        }
    }
    kids.sort();
    let count = kids.len();
    kids.dedup();
    assert!(count >= 2 && kids.len() == count, "realms share a key: {kids:?}");
    for unknown in ["nobody.example.com", "%00", "%ff", "..", "ACME.example.com", "-"] {
        for document in ["jwks.json", "openid-configuration"] {
            app.anonymous().get(&format!("/realms/{unknown}/.well-known/{document}")).await.assert(404);
        }
    }
});

on_both!(settings_outside_their_bounds_are_refused_by_name, |app| {
    type Set = fn(&mut RealmSettings, u32);
    let table: BTreeMap<&str, (Set, u32, u32)> = BTreeMap::from([
        ("passwordMin", ((|s, n| s.password_min = n as usize) as Set, 8, 64)),
        ("maxSessions", (|s, n| s.max_sessions = n, 1, 50)),
        ("lifetimes.accessToken", (|s, n| s.lifetimes.access_token = n, 60, 3_600)),
        ("lifetimes.sessionIdle", (|s, n| s.lifetimes.session_idle = n, 3_600, 30 * 86_400)),
        ("lifetimes.session", (|s, n| s.lifetimes.session = n, 3_600, 90 * 86_400)),
        ("lifetimes.verifyEmail", (|s, n| s.lifetimes.verify_email = n, 600, 7 * 86_400)),
        ("lifetimes.verifyCode", (|s, n| s.lifetimes.verify_code = n, 60, 3_600)),
        ("lifetimes.resetPassword", (|s, n| s.lifetimes.reset_password = n, 300, 86_400)),
    ]);
    app.realm(ACME).await;
    for (field, (set, low, high)) in table {
        for (value, good) in [(low - 1, false), (low, true), (high, true), (high + 1, false), (u32::MAX, false)] {
            let mut settings = RealmSettings::default();
            set(&mut settings, value);
            let done = realms::change(app.app(), &app.operator().await, ACME, RealmChange { settings: Some(settings), ..RealmChange::default() }).await;
            match done {
                Ok(realm) => assert!(good, "{field} = {value} was taken: {:?}", realm.settings),
                Err(Error::Invalid(faults)) => assert!(!good && faults.len() == 1 && faults[0].field == field, "{field} = {value}: {faults:?}"),
                Err(other) => panic!("{field} = {value}: {other:?}"),
            }
        }
    }
});

on_both!(settings_count_from_the_next_request_on, |app| {
    let lifetimes = Lifetimes { access_token: 60, ..Lifetimes::default() };
    app.realm_with(ACME, RealmSettings { password_min: 24, max_sessions: 1, sign_up: false, lifetimes, ..RealmSettings::default() }).await;
    let client = app.anonymous().realm(ACME);
    let refused = client.sign_up("ada@example.com", PASSWORD).await;
    assert_eq!(refused.status.as_u16(), 403, "{}", refused.text());
    let settings = RealmSettings { password_min: 24, max_sessions: 1, lifetimes, ..RealmSettings::default() };
    change(&app, ACME, RealmChange { settings: Some(settings.clone()), ..RealmChange::default() }).await;
    let short = client.sign_up("ada@example.com", PASSWORD).await.assert_problem(422, "validation_failed");
    assert_eq!(short.faults(), ["password:too_short"]);
    change(&app, ACME, RealmChange { settings: Some(RealmSettings { password_min: 8, ..settings }), ..RealmChange::default() }).await;
    let first = app.user_in(ACME, "ada@example.com").await;
    let second = client.log_in("ada@example.com", PASSWORD).await.assert(200);
    assert_eq!(second.at("/tokens/expiresIn"), "60");
    app.anonymous().bearer(&first.access).get("/api/v1/me").await.assert_problem(401, "session_ended");
    let second = app.anonymous().bearer(&second.at("/tokens/accessToken"));
    app.advance(TimeDelta::seconds(59));
    second.get("/api/v1/me").await.assert(200);
    app.advance(TimeDelta::seconds(7));
    second.get("/api/v1/me").await.assert_problem(401, "access_token_expired");
});

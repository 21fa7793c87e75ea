//! The Converse dialect: what its documentation promises, and how its tokens end. `converse_safety` has what strangers try.

use chrono::TimeDelta;
use realmgate::{
    domain::{
        realm::{Family, RealmSettings, RealmStatus},
        user::Role,
    },
    service::{held_tokens, realms},
};
use serde_json::{Value, json};

use crate::{
    on_both,
    support::{
        Client, Node, PASSWORD, Reply,
        people::{OTHER, with},
    },
};

pub(crate) const ADA: &str = "ada@example.com";
pub(crate) const VERIFY: &str = "/api/user/verify";
pub(crate) const CREATE: &str = "/api/user/verify?createToken=true";

/// The body of the documentation's call.
pub(crate) fn wish(timeout: i64, auto_renew: bool) -> Value {
    json!({ "email": ADA, "password": PASSWORD, "timeout": timeout, "autoRenew": auto_renew })
}

/// A fresh token of Ada's.
pub(crate) async fn token(client: &Client<'_>, timeout: i64, auto_renew: bool) -> String {
    client.post(CREATE, &wish(timeout, auto_renew)).await.assert(200).at("/token")
}

pub(crate) fn with_token<'a>(node: &'a Node, token: &str) -> Client<'a> {
    node.anonymous().header("x-converse-token", token)
}

pub(crate) async fn status(node: &Node, token: &str) -> u16 {
    let reply = with_token(node, token).get("/api/user").await;
    if reply.status.is_success() { 200 } else { reply.assert_failure().status.as_u16() }
}

impl Reply {
    /// Asserts that it is a failure in this dialect's words.
    #[track_caller]
    pub(crate) fn assert_failure(self) -> Self {
        let (body, text) = (self.json(), self.text());
        assert_eq!(self.header("content-type"), "application/json", "{text}");
        let mut names: Vec<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["errorCode", "errorMsg"], "{text}");
        assert!(body["errorMsg"].as_str().is_some_and(|text| text.len() > 8), "{text}");
        assert!(self.status.is_client_error() || self.status.is_server_error());
        self
    }

    #[track_caller]
    pub(crate) fn assert_fault(self, status: u16, code: &str) -> Self {
        let reply = self.assert(status).assert_failure();
        assert_eq!(reply.at("/errorCode"), code, "{}", reply.text());
        reply
    }

    #[track_caller]
    fn assert_empty(self) -> Self {
        let reply = self.assert(200);
        assert_eq!((reply.text(), reply.header("content-type")), (String::new(), String::new()));
        reply
    }
}

on_both!(what_the_documentation_shows, |app| {
    let ada = app.user(ADA).await;
    let stranger = app.anonymous();
    stranger.post(VERIFY, &wish(600, false)).await.assert_empty();
    stranger.post("/api/user/verify?createToken=false", &json!({ "email": ADA, "password": PASSWORD })).await.assert_empty();
    let reply = stranger.post(CREATE, &wish(600, false)).await.assert(200);
    assert_eq!((reply.json().as_object().unwrap().len(), reply.header("cache-control")), (1, "no-store".to_owned()));
    let token = reply.at("/token");
    assert!(token.len() == 36 && token.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b) || b == b'-'), "{token}");
    let me = with_token(&app.node, &token);
    let body = me.get("/api/user").await.assert(200).json();
    assert_eq!((&body["uuid"], &body["email"], &body["name"]), (&json!(ada.id), &json!(ADA), &json!("Test Person")));
    me.post("/api/user/token/verify", &json!({ "token": token })).await.assert_empty();
    let other = self::token(&stranger, -1, false).await;
    me.post("/api/user/token/verify", &json!({ "token": other })).await.assert_empty();
    me.delete(&format!("/api/user/token/{other}")).await.assert_empty();
    me.post("/api/user/token/verify", &json!({ "token": other })).await.assert_fault(403, "token_not_valid");
    with_token(&app.node, &other).get("/api/user").await.assert_fault(401, "invalid_access_token");
    me.delete(&format!("/api/user/token/{token}")).await.assert_empty();
    me.get("/api/user").await.assert_fault(401, "invalid_access_token");
    me.delete(&format!("/api/user/token/{token}")).await.assert_fault(401, "invalid_access_token");
    let actions = app.sql("SELECT action AS v FROM audit_events WHERE action LIKE 'user_token%' OR action LIKE '%verified' ORDER BY action").await;
    assert_eq!(
        actions,
        [
            "user.credentials_verified",
            "user.credentials_verified",
            "user.email_verified",
            "user_token.created",
            "user_token.created",
            "user_token.deleted",
            "user_token.deleted"
        ]
    );
});

on_both!(the_list_shows_everything_but_the_value, |app| {
    app.user(ADA).await;
    let (first, second) = (token(&app.anonymous(), -1, true).await, token(&app.anonymous(), 600, true).await);
    app.advance(TimeDelta::seconds(30));
    let reply = with_token(&app.node, &second).get("/api/user/token").await.assert(200);
    let instant = |seconds: i64| (app.now() - TimeDelta::seconds(30 - seconds)).to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    assert_eq!(
        reply.json(),
        json!({ "tokens": [
            { "prefix": &second[..8], "created": instant(0), "lastUsed": instant(30), "expires": instant(630), "timeout": 600, "autoRenew": true, "current": true },
            { "prefix": &first[..8], "created": instant(0), "lastUsed": null, "expires": null, "timeout": -1, "autoRenew": false, "current": false },
        ] })
    );
    assert!(!reply.text().contains(&second) && !reply.text().contains(&first));
    app.advance(TimeDelta::seconds(600));
    let left = with_token(&app.node, &first).get("/api/user/token").await.assert(200).json();
    assert_eq!(left["tokens"].as_array().unwrap().len(), 1, "what has expired is gone: {left}");
});

on_both!(a_token_expires_on_the_second, |app| {
    app.user(ADA).await;
    let (short, renewed, endless) =
        (token(&app.anonymous(), 600, false).await, token(&app.anonymous(), 600, true).await, token(&app.anonymous(), -1, false).await);
    for _ in 0..5 {
        app.advance(TimeDelta::seconds(590));
        assert_eq!(status(&app.node, &renewed).await, 200, "each use moves the end");
        held_tokens::flush_due(app.app()).await.unwrap();
    }
    with_token(&app.node, &short).get("/api/user").await.assert_fault(401, "access_token_expired");
    app.advance(TimeDelta::milliseconds(599_999));
    with_token(&app.node, &endless).post("/api/user/token/verify", &json!({ "token": renewed })).await.assert(200);
    app.advance(TimeDelta::milliseconds(1));
    with_token(&app.node, &endless).post("/api/user/token/verify", &json!({ "token": renewed })).await.assert(403);
    with_token(&app.node, &renewed).get("/api/user").await.assert_fault(401, "access_token_expired");
    app.advance(TimeDelta::days(3_650));
    assert_eq!(status(&app.node, &endless).await, 200);
    let exact = token(&app.anonymous(), 1, false).await;
    app.advance(TimeDelta::milliseconds(999));
    assert_eq!(status(&app.node, &exact).await, 200);
    app.advance(TimeDelta::milliseconds(1));
    assert_eq!(status(&app.node, &exact).await, 401);
});

on_both!(many_uses_between_two_writings_make_one_chain, |app| {
    app.user(ADA).await;
    let token = token(&app.anonymous(), 100, true).await;
    // No look of the background task in between, as when the database is away.
    for _ in 0..40 {
        app.advance(TimeDelta::seconds(50));
        assert_eq!(status(&app.node, &token).await, 200);
    }
    held_tokens::flush_all(app.app()).await.unwrap();
    let fresh = app.join(2).await;
    app.advance(TimeDelta::seconds(99));
    assert_eq!(status(&fresh, &token).await, 200, "it stands in the database");
});

on_both!(timeouts_are_whole_seconds_or_minus_one, |app| {
    app.user(ADA).await;
    let client = app.anonymous();
    let base = wish(600, false);
    for bad in [
        json!(0),
        json!(-2),
        json!(1.5),
        json!(600.0),
        json!(9_223_372_036_854_775_807_u64),
        json!(9_223_372_036_854_775_808_u64),
        json!("60"),
        json!(null),
        json!([60]),
        json!(true),
        json!({}),
    ] {
        let reply = client.post(CREATE, &with(&base, "timeout", bad.clone())).await.assert(400).assert_failure();
        assert!(reply.at("/errorMsg").contains("timeout"), "{bad}: {}", reply.text());
    }
    for bad in [json!(0), json!("true"), json!(null), json!([])] {
        let reply = client.post(CREATE, &with(&base, "autoRenew", bad.clone())).await.assert(400).assert_failure();
        assert!(reply.at("/errorMsg").contains("autoRenew"), "{bad}: {}", reply.text());
    }
    for field in ["timeout", "autoRenew"] {
        let mut body = base.clone();
        body.as_object_mut().unwrap().remove(field);
        client.post(CREATE, &body).await.assert_fault(400, "invalid_request");
        client.post(VERIFY, &body).await.assert(200);
    }
    client.post("/api/user/verify?createToken=yes", &base).await.assert_fault(400, "invalid_request");
    client.post(CREATE, &with(&base, "user_id", json!("x"))).await.assert_fault(400, "invalid_request");
    assert_eq!(app.count("opaque_tokens").await, 0);
});

on_both!(a_realm_caps_timeouts, |app| {
    let families = vec![Family::Native, Family::Converse];
    let settings = RealmSettings { families, user_token_timeout_max: Some(3_600), ..RealmSettings::default() };
    app.realm_with("acme.example.com", settings).await;
    app.user_in("acme.example.com", ADA).await;
    let client = app.anonymous().realm("acme.example.com");
    for (timeout, status) in [(3_600, 200), (3_601, 400), (-1, 400), (1, 200)] {
        client.post(CREATE, &wish(timeout, false)).await.assert(status);
    }
});

on_both!(of_a_token_without_end_its_owner_is_told, |app| {
    app.user(ADA).await;
    let before = app.mails(ADA).await.len();
    token(&app.anonymous(), 600, true).await;
    app.run_jobs().await;
    assert_eq!(app.mails(ADA).await.len(), before);
    let token = token(&app.anonymous(), -1, false).await;
    app.run_jobs().await;
    let mail = app.last_mail(ADA).await.0;
    assert!(mail.subject.contains("never ends") && mail.text.contains(&token[..8]) && !mail.text.contains(&token), "{}", mail.text);
});

on_both!(the_hundred_newest_live, |app| {
    app.user(ADA).await;
    let oldest = token(&app.anonymous(), -1, false).await;
    for _ in 0..99 {
        app.advance(TimeDelta::milliseconds(1));
        token(&app.anonymous(), -1, false).await;
    }
    assert_eq!(status(&app.node, &oldest).await, 200);
    app.advance(TimeDelta::milliseconds(1));
    let newest = token(&app.anonymous(), -1, false).await;
    assert_eq!((status(&app.node, &oldest).await, status(&app.node, &newest).await), (401, 200));
    app.run_jobs().await;
});

on_both!(a_space_is_one_of_the_persons_accounts, |app| {
    let ada = app.owner(ADA).await;
    let (shared, foreign) = (app.account("Shared", None, "starter").await, app.account("Foreign", None, "starter").await);
    app.place(&shared, "localhost", &ada.user.id, Role::Member).await;
    let token = token(&app.anonymous(), 600, false).await;
    let me = with_token(&app.node, &token);
    let plain = me.get("/api/user").await.assert(200);
    assert_eq!(plain.at("/space"), ada.account);
    assert_eq!(plain.json()["spaces"].as_array().unwrap().len(), 2);
    let there = me.clone().header("x-converse-space", &shared);
    assert_eq!(there.get("/api/user").await.assert(200).at("/space"), shared);
    for other in [foreign.as_str(), "x", "", &shared.to_uppercase(), "00000000-0000-0000-0000-000000000000"] {
        me.clone().header("x-converse-space", other).get("/api/user").await.assert_fault(403, "not_permitted");
    }
});

on_both!(what_ends_a_person_ends_their_tokens, |app| {
    let other = app.join(2).await;
    let fresh = async || {
        let token = token(&app.anonymous(), -1, false).await;
        for node in [&app.node, &other] {
            assert_eq!(status(node, &token).await, 200);
        }
        token
    };
    let over = async |token: &str| {
        assert_eq!(status(&app.node, token).await, 401, "at once here");
        other.follow_changes().await;
        assert_eq!(status(&other, token).await, 401, "after a look elsewhere");
    };
    let reset = async |to: &str| {
        // An address gets three mails an hour.
        app.advance(TimeDelta::hours(1));
        app.run_jobs().await;
        let token = app.reset_token(ADA).await;
        app.anonymous().reset(&token, to).await.assert(204);
    };
    let ada = app.user(ADA).await;
    let token = fresh().await;
    app.anonymous().bearer(&ada.access).change_password(PASSWORD, OTHER).await.assert(204);
    over(&token).await;
    reset(PASSWORD).await;
    let token = fresh().await;
    reset(OTHER).await;
    over(&token).await;
    reset(PASSWORD).await;
    let token = fresh().await;
    // A sign-out ends sessions alone.
    let again = app.anonymous().log_in(ADA, PASSWORD).await.user("localhost", ADA);
    app.anonymous().bearer(&again.access).post("/api/v1/auth/logout", &json!({ "everywhere": true })).await.assert(204);
    assert_eq!(status(&app.node, &token).await, 200);
    app.lock(ADA).await;
    over(&token).await;
    realmgate::service::users::unlock(app.app(), &app.operator().await, ADA).await.unwrap();
    over(&token).await;
    let token = fresh().await;
    app.anonymous().log_in(ADA, PASSWORD).await.assert(200);
    let again = app.anonymous().log_in(ADA, PASSWORD).await.user("localhost", ADA);
    let body = json!({ "password": PASSWORD }).to_string();
    app.anonymous().bearer(&again.access).send(poem::http::Method::DELETE, "/api/v1/me", Some("application/json"), body).await.assert(204);
    over(&token).await;
    app.run_jobs().await;
});

on_both!(a_realm_that_is_suspended_or_switches_the_dialect_off, |app| {
    let name = "acme.example.com";
    let settings = RealmSettings { families: vec![Family::Native, Family::Converse], ..RealmSettings::default() };
    app.realm_with(name, settings.clone()).await;
    app.user_in(name, ADA).await;
    let client = app.anonymous().realm(name);
    let token = token(&client, -1, false).await;
    let me = with_token(&app.node, &token);
    me.clone().realm(name).get("/api/user").await.assert(200);
    me.get("/api/user").await.assert(200);
    me.clone().realm("localhost").get("/api/user").await.assert_fault(401, "realm_mismatch");
    me.clone().realm("no-such.example.com").get("/api/user").await.assert_fault(401, "realm_mismatch");
    client.clone().realm("no-such.example.com").post(VERIFY, &wish(1, false)).await.assert_fault(404, "realm_not_found");
    let operator = app.operator().await;
    let set = async |change: realms::RealmChange| realms::change(app.app(), &operator, name, change).await.unwrap();
    set(realms::RealmChange { status: Some(RealmStatus::Suspended), ..Default::default() }).await;
    me.get("/api/user").await.assert_fault(403, "realm_suspended");
    client.post(VERIFY, &wish(1, false)).await.assert_fault(403, "realm_suspended");
    let off = RealmSettings { families: vec![Family::Native], ..settings.clone() };
    set(realms::RealmChange { status: Some(RealmStatus::Active), settings: Some(off), ..Default::default() }).await;
    me.get("/api/user").await.assert_fault(404, "not_found");
    client.post(VERIFY, &wish(1, false)).await.assert_fault(404, "not_found");
    set(realms::RealmChange { settings: Some(settings), ..Default::default() }).await;
    me.get("/api/user").await.assert(200);
});

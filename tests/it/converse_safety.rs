//! What strangers and neighbours try at the Converse dialect, races of two nodes, and what others are told of its tokens.

use std::sync::Arc;

use chrono::TimeDelta;
use poem::http::Method;
use realmgate::service::held_tokens;
use serde_json::{Value, json};

use crate::{
    converse::{ADA, CREATE, VERIFY, status, token, wish, with_token},
    on_both,
    support::{
        Backend, PASSWORD, TestApp,
        at_once::at_once,
        people::{OTHER, tampered, with},
    },
};

on_both!(every_no_to_a_person_is_the_same, |app| {
    app.user(ADA).await;
    app.user("locked@example.com").await;
    app.lock("locked@example.com").await;
    app.unverified("unproved@example.com").await;
    app.realm("acme.example.com").await;
    app.user_in("acme.example.com", "elsewhere@example.com").await;
    let client = app.anonymous();
    for path in [VERIFY, CREATE] {
        let wrong = client.post(path, &with(&wish(60, true), "password", json!(OTHER))).await.assert_fault(403, "invalid_credentials");
        for email in ["nobody@example.com", "locked@example.com", "unproved@example.com", "elsewhere@example.com", "no address", ""] {
            client.post(path, &with(&wish(60, true), "email", json!(email))).await.assert_like(&wrong);
        }
    }
    assert_eq!(app.count("opaque_tokens").await, 0);
    app.run_jobs().await;
});

on_both!(one_counter_stands_behind_every_door, |app| {
    app.user(ADA).await;
    let client = app.anonymous();
    for _ in 0..3 {
        client.post(VERIFY, &with(&wish(60, true), "password", json!(OTHER))).await.assert(403);
        client.log_in(ADA, OTHER).await.assert(401);
    }
    // The address has to pause now, at both doors and with the right password too.
    client.post(VERIFY, &wish(60, true)).await.assert_fault(403, "invalid_credentials");
    client.log_in(ADA, PASSWORD).await.assert(401);
    app.advance(TimeDelta::minutes(16));
    client.post(VERIFY, &wish(60, true)).await.assert(200);
    client.log_in(ADA, PASSWORD).await.assert(200);
});

on_both!(tokens_of_others_are_no_tokens, |app| {
    app.user(ADA).await;
    let own = token(&app.anonymous(), 600, false).await;
    app.user("bob@example.com").await;
    let families = vec![realmgate::domain::realm::Family::Native, realmgate::domain::realm::Family::Converse];
    app.realm_with("acme.example.com", realmgate::domain::realm::RealmSettings { families, ..Default::default() }).await;
    app.user_in("acme.example.com", ADA).await;
    let bobs = app.anonymous().post(CREATE, &with(&wish(600, false), "email", json!("bob@example.com"))).await.assert(200).at("/token");
    let foreign = app.anonymous().realm("acme.example.com").post(CREATE, &wish(600, false)).await.assert(200).at("/token");
    let gone = token(&app.anonymous(), 600, false).await;
    let me = with_token(&app.node, &own);
    me.delete(&format!("/api/user/token/{gone}")).await.assert(200);
    let unknown = me.post("/api/user/token/verify", &json!({ "token": "00000000-0000-0000-0000-000000000000" })).await.assert_fault(403, "token_not_valid");
    let undeleted = me.delete("/api/user/token/00000000-0000-0000-0000-000000000000").await.assert_fault(403, "token_not_valid");
    let spellings = [
        own.to_uppercase(),
        format!("{{{own}}}"),
        format!("urn:uuid:{own}"),
        own.replace('-', ""),
        format!("{own} "),
        format!(" {own}"),
        tampered(&own),
        String::new(),
    ];
    for other in [&bobs, &foreign, &gone].into_iter().chain(&spellings) {
        me.post("/api/user/token/verify", &json!({ "token": other })).await.assert_like(&unknown);
        if !other.is_empty() {
            let path: String = url::form_urlencoded::byte_serialize(other.as_bytes()).collect::<String>().replace('+', "%20");
            me.delete(&format!("/api/user/token/{path}")).await.assert_like(&undeleted);
        }
    }
    for (token, wanted) in [(&own, 200), (&bobs, 200), (&foreign, 200), (&gone, 401)] {
        assert_eq!(status(&app.node, token).await, wanted);
    }
    for other in &spellings {
        let reply = with_token(&app.node, other).get("/api/user").await;
        // HTTP itself takes blanks off both ends of a header's value; in this process nobody does.
        reply.assert(401).assert_failure();
    }
    app.anonymous().get("/api/user").await.assert_fault(401, "missing_credential");
});

on_both!(two_nodes_at_the_moment_of_expiry, |app| {
    app.user(ADA).await;
    let other = app.join(2).await;
    let token = token(&app.anonymous(), 600, true).await;
    assert_eq!((status(&app.node, &token).await, status(&other, &token).await), (200, 200));
    // One node moves the end; the other, which does not know, asks before it says no.
    app.advance(TimeDelta::seconds(500));
    assert_eq!(status(&app.node, &token).await, 200);
    app.advance(TimeDelta::seconds(60));
    held_tokens::flush_due(app.app()).await.unwrap();
    app.advance(TimeDelta::seconds(100));
    assert_eq!(status(&other, &token).await, 200);
    held_tokens::flush_all(&other.app).await.unwrap();
    held_tokens::flush_all(app.app()).await.unwrap();
    // A use that is not written when another node says no stays without effect.
    app.advance(TimeDelta::seconds(500));
    assert_eq!(status(&app.node, &token).await, 200);
    app.advance(TimeDelta::seconds(120));
    assert_eq!(status(&other, &token).await, 401);
    held_tokens::flush_all(app.app()).await.unwrap();
    assert_eq!((status(&app.node, &token).await, status(&other, &token).await), (401, 401));
    app.node.follow_changes().await;
    assert_eq!((status(&app.node, &token).await, status(&other, &token).await), (401, 401));
});

on_both!(a_deleted_token_is_revived_by_no_use, |app| {
    app.user(ADA).await;
    let other = app.join(2).await;
    let token = token(&app.anonymous(), 600, true).await;
    app.advance(TimeDelta::seconds(300));
    assert_eq!((status(&app.node, &token).await, status(&other, &token).await), (200, 200));
    with_token(&other, &token).delete(&format!("/api/user/token/{token}")).await.assert(200);
    assert_eq!(status(&other, &token).await, 401);
    // The other node's use is on its way still.
    held_tokens::flush_all(app.app()).await.unwrap();
    assert_eq!((status(&app.node, &token).await, status(&other, &token).await), (401, 401));
});

on_both!(many_at_the_last_second_and_one_who_deletes, |app| {
    app.user(ADA).await;
    let other = Arc::new(app.join(2).await);
    for _ in 0..10 {
        let token = token(&app.anonymous(), 4, true).await;
        app.advance(TimeDelta::seconds(3));
        let statuses = at_once(20, |number| {
            let (other, token) = (Arc::clone(&other), token.clone());
            async move {
                if number == 7 {
                    with_token(&other, &token).delete(&format!("/api/user/token/{token}")).await.status.as_u16()
                } else {
                    with_token(&other, &token).get("/api/user").await.status.as_u16()
                }
            }
        })
        .await;
        assert!(statuses.iter().all(|status| [200, 401].contains(status)), "{statuses:?}");
        held_tokens::flush_all(&other.app).await.unwrap();
        app.node.follow_changes().await;
        assert_eq!((status(&app.node, &token).await, status(&other, &token).await), (401, 401));
    }
});

on_both!(one_of_many_deletes_a_token, |app| {
    app.user(ADA).await;
    let other = Arc::new(app.join(2).await);
    let (caller, victim) = (token(&app.anonymous(), 600, true).await, token(&app.anonymous(), 600, true).await);
    let statuses = at_once(20, |_| {
        let (other, caller, victim) = (Arc::clone(&other), caller.clone(), victim.clone());
        async move { with_token(&other, &caller).delete(&format!("/api/user/token/{victim}")).await.status.as_u16() }
    })
    .await;
    let yes = statuses.iter().filter(|status| **status == 200).count();
    assert_eq!((yes, statuses.iter().filter(|status| **status == 403).count()), (1, 19), "{statuses:?}");
});

on_both!(what_goes_wrong_is_told_in_the_dialects_own_words, |app| {
    app.user(ADA).await;
    let token = token(&app.anonymous(), 600, false).await;
    let me = with_token(&app.node, &token);
    me.get("/api/user/nothing").await.assert_fault(404, "not_found");
    me.get("/api/user/token/verify/x").await.assert_fault(404, "not_found");
    let reply = me.send(Method::PUT, VERIFY, None, "").await.assert_fault(405, "method_not_allowed");
    assert_eq!(reply.header("allow"), "POST");
    app.anonymous().send(Method::POST, VERIFY, Some("application/json"), "{").await.assert_fault(400, "malformed_json");
    app.anonymous().send(Method::POST, VERIFY, Some("application/json"), "").await.assert_fault(400, "invalid_request");
    app.anonymous().send(Method::POST, VERIFY, Some("application/json"), "[]").await.assert_fault(400, "invalid_request");
    app.anonymous().send(Method::POST, VERIFY, Some("text/plain"), "{}").await.assert_fault(415, "unsupported_media_type");
    app.anonymous().send(Method::POST, VERIFY, Some("application/json"), "x".repeat(1 << 20)).await.assert_fault(413, "payload_too_large");
    for wrong in [json!(7), json!({ "a": "canary7" }), json!(null), json!(["canary7"])] {
        let reply = app.anonymous().post(VERIFY, &with(&wish(60, true), "password", wrong)).await.assert_fault(400, "invalid_request");
        assert!(!reply.text().contains("canary7"));
    }
    me.delete("/api/user/token/%ff").await.assert(404).assert_failure();
});

#[tokio::test]
async fn too_many_calls_are_told_in_the_dialects_own_words() {
    let app = TestApp::limited(Backend::Sqlite, |settings| (settings.limit_address, settings.limit_sign_in) = (1_000, 3)).await.unwrap();
    let ada = app.owner(ADA).await;
    let token = token(&app.anonymous(), 600, false).await;
    let mut refused = 0;
    for _ in 0..5 {
        let reply = app.anonymous().post(VERIFY, &wish(60, false)).await;
        if reply.status == 429 {
            refused += 1;
            assert!(!reply.assert_fault(429, "rate_limited").header("retry-after").is_empty());
        }
    }
    assert!(refused >= 2);
    // Calls with a token are the account's, whichever dialect they are made in.
    let mut last = 200;
    for _ in 0..101 {
        let reply = with_token(&app.node, &token).get("/api/user").await;
        last = reply.status.as_u16();
        if last == 429 {
            assert_eq!(reply.header("x-ratelimit-limit"), "100");
            reply.assert_fault(429, "rate_limited");
            break;
        }
    }
    assert_eq!(last, 429);
    app.anonymous().bearer(&ada.user.access).get("/api/v1/me").await.assert_problem(429, "rate_limited");
    app.run_jobs().await;
}

on_both!(others_can_ask_about_a_token, |app| {
    let ada = app.owner(ADA).await;
    let token = token(&app.anonymous(), 600, true).await;
    let asker = app.anonymous().bearer(&ada.user.access);
    let ask = async |text: &str| asker.post("/api/v1/verify", &json!({ "credential": text })).await.assert(200).json();
    let body = ask(&token).await;
    assert_eq!((&body["code"], &body["kind"], &body["subject"]), (&json!("valid"), &json!("user_token"), &json!(ada.user.id)));
    assert_eq!((&body["account"], &body["realm"]), (&json!(ada.account), &json!("localhost")));
    assert!(body["expiresAt"].is_string() && body["limit"]["remaining"].is_u64() && body["keyId"].is_null(), "{body}");
    let endless = self::token(&app.anonymous(), -1, false).await;
    assert!(ask(&endless).await["expiresAt"].is_null());
    let introspect = async |text: &str| asker.form("/api/v1/introspect", &[("token", text)]).await.assert(200).json();
    assert_eq!(introspect(&token).await["active"], true);
    let proxy = with_token(&app.node, &token).get("/gateway/nginx").await.assert(204);
    assert_eq!((proxy.header("x-auth-subject"), proxy.header("x-auth-method")), (ada.user.id.clone(), "user_token".to_owned()));
    // In another dialect's place it is nothing.
    app.anonymous().bearer(&token).get("/gateway/nginx").await.assert_problem(401, "invalid_access_token");
    app.anonymous().header("x-auth-token", &token).get("/gateway/nginx").await.assert_problem(401, "invalid_access_token");
    with_token(&app.node, &ada.user.access).get("/gateway/nginx").await.assert_problem(401, "invalid_access_token");
    app.anonymous().bearer(&ada.user.access).header("x-converse-token", &token).get("/gateway/nginx").await.assert_problem(401, "invalid_access_token");
    with_token(&app.node, &token).delete(&format!("/api/user/token/{token}")).await.assert(200);
    assert_eq!(ask(&token).await["code"], "revoked");
    with_token(&app.node, &token).get("/gateway/nginx").await.assert_problem(401, "invalid_access_token");
    let short = self::token(&app.anonymous(), 10, false).await;
    app.advance(TimeDelta::seconds(10));
    assert_eq!(ask(&short).await["code"], "expired");
    assert_eq!(introspect(&short).await, json!({ "active": false }));
    app.lock(ADA).await;
    let stranger = app.owner("eve@example.com").await;
    let eve = app.anonymous().bearer(&stranger.user.access);
    let known: Value = eve.post("/api/v1/verify", &json!({ "credential": endless })).await.assert(200).json();
    assert_eq!(known, json!({ "active": false, "code": "not_found" }), "not the asker's business");
});

on_both!(no_credential_passes_in_another_dialect, |app| {
    let ada = app.owner(ADA).await;
    let key = app
        .anonymous()
        .bearer(&ada.user.access)
        .make_key(&ada.account, &json!({ "name": "Key", "scopes": ["credentials:verify"] }))
        .await
        .assert(201)
        .at("/key");
    let token = token(&app.anonymous(), 600, true).await;
    for foreign in [&ada.user.access, &ada.user.refresh, &key] {
        with_token(&app.node, foreign).get("/api/user").await.assert_fault(401, "invalid_access_token");
        app.anonymous().bearer(foreign).get("/api/user").await.assert_fault(401, "missing_credential");
    }
    app.anonymous().bearer(&token).get("/api/user").await.assert_fault(401, "missing_credential");
    app.anonymous().bearer(&token).get("/api/v1/me").await.assert_problem(401, "invalid_access_token");
    app.anonymous().header("x-converse-token", &token).get("/api/v1/me").await.assert_problem(401, "missing_credential");
    app.anonymous().bearer(&token).post("/api/v1/verify", &json!({ "credential": token })).await.assert_problem(401, "invalid_access_token");
    // Two at once are nobody.
    let both = app.anonymous().bearer(&ada.user.access).header("x-converse-token", &token);
    both.get("/api/v1/me").await.assert_problem(400, "ambiguous_credential");
    both.get("/api/user").await.assert_fault(400, "ambiguous_credential");
    with_token(&app.node, &token).header("x-auth-token", "0123456789abcdef0123456789abcdef").get("/api/user").await.assert_fault(400, "ambiguous_credential");
    with_token(&app.node, &token).also("x-converse-token", &token).get("/api/user").await.assert_fault(400, "ambiguous_credential");
});

on_both!(a_token_is_nowhere_but_with_its_owner, |app| {
    app.user(ADA).await;
    let token = token(&app.anonymous(), -1, true).await;
    status(&app.node, &token).await;
    app.run_jobs().await;
    for column in app.text_columns().await {
        assert!(column.values.iter().all(|value| !value.contains(&token) && !value.contains(&token.replace('-', ""))), "{}.{}", column.table, column.column);
    }
});

//! API keys as their account's people handle them: made, shown once, changed, rotated, revoked; by whom, and by whom not.

use chrono::TimeDelta;
use realmgate::domain::{api_key::KeyText, realm::RealmSettings, user::Role};
use serde_json::{Value, json};

use crate::{
    on_both,
    support::{
        TestApp,
        keys::{Key, Owner, keys_of, plain_key},
        people::with,
    },
};

const ADA: &str = "ada@example.com";
const EVE: &str = "eve@example.com";

/// An owner whose client acts for them.
async fn ada(app: &TestApp) -> Owner {
    app.owner(ADA).await
}

fn instant(at: chrono::DateTime<chrono::Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

on_both!(a_key_is_shown_once_and_kept_as_a_hash, |app| {
    let ada = ada(&app).await;
    let client = app.anonymous().bearer(&ada.user.access);
    let made = client.make_key(&ada.account, &plain_key()).await.assert(201);
    let text = made.at("/key");
    let read = KeyText::parse("conv", &text).unwrap();
    assert_eq!(made.at("/apiKey/id"), read.id.to_string());
    assert_eq!(made.header("cache-control"), "no-store");
    let own = json!({
        "id": read.id.to_string(), "name": "Nightly import", "prefix": text[..27], "last4": text[72..], "scopes": ["chat:read"], "status": "active",
        "createdAt": instant(app.now()), "createdBy": ada.user.id,
    });
    assert_eq!(made.json()["apiKey"], own);
    let one = client.key(&ada.account, &read.id.to_string()).await.assert(200);
    assert_eq!(one.json(), own);
    let list = client.get(&keys_of(&ada.account)).await.assert(200);
    assert_eq!(list.json(), json!({ "items": [own], "nextCursor": null }));
    let hash = app.sql("SELECT secret_hash AS v FROM api_keys").await.remove(0);
    assert!(hash.len() == 64 && !one.text().contains(&hash) && !list.text().contains(&hash));
    for column in app.text_columns().await {
        let shown = column.values.iter().any(|value| value.contains(read.secret()) || value.contains(&text));
        assert!(!shown, "{}.{} holds the key", column.table, column.column);
    }
});

on_both!(a_test_key_says_so, |app| {
    let ada = ada(&app).await;
    let made = app.anonymous().bearer(&ada.user.access).make_key(&ada.account, &with(&plain_key(), "test", json!(true))).await.assert(201);
    assert!(made.at("/key").starts_with("conv_test_") && made.at("/apiKey/prefix").starts_with("conv_test_"));
    let rotated = app.anonymous().bearer(&ada.user.access).rotate_key(&ada.account, &made.at("/apiKey/id"), &json!({})).await.assert(201);
    assert!(rotated.at("/key").starts_with("conv_test_"));
});

on_both!(nobody_makes_a_key_without_a_session_or_for_somebody_else, |app| {
    let ada = ada(&app).await;
    let eve = app.owner(EVE).await;
    // CVE-2025-61928: a key for whoever the body names.
    for field in ["userId", "user_id", "owner", "createdBy", "accountId", "realmId", "realm_id", "plan", "prefix", "remaining", "rate_limit", "key", "id"] {
        let body = with(&plain_key(), field, json!(ada.user.id));
        app.anonymous().make_key(&ada.account, &body).await.assert_problem(401, "missing_credential");
        let reply = app.anonymous().bearer(&eve.user.access).make_key(&eve.account, &body).await.assert_problem(400, "invalid_request");
        assert_eq!(reply.faults(), [format!("{field}:unknown")]);
    }
    app.anonymous().bearer(&eve.user.access).make_key(&ada.account, &plain_key()).await.assert_problem(404, "not_found");
    assert_eq!(app.count("api_keys").await, 0);
});

on_both!(scopes_are_known_and_each_once, |app| {
    let ada = ada(&app).await;
    let client = app.anonymous().bearer(&ada.user.access);
    for (scopes, fault) in [
        (json!([]), "scopes:required"),
        (json!(["chat:read", "chat:read"]), "scopes.1:duplicate"),
        (json!(["*"]), "scopes.0:unknown_scope"),
        (json!(["chat:*"]), "scopes.0:unknown_scope"),
        (json!(["CHAT:READ"]), "scopes.0:unknown_scope"),
        (json!(["chat:read", "orders:read"]), "scopes.1:unknown_scope"),
        (json!(["chat:read "]), "scopes.0:unknown_scope"),
    ] {
        let reply = client.make_key(&ada.account, &with(&plain_key(), "scopes", scopes)).await.assert_problem(422, "validation_failed");
        assert_eq!(reply.faults(), [fault]);
    }
    client.make_key(&ada.account, &with(&plain_key(), "scopes", json!([7]))).await.assert_problem(400, "invalid_request");
    assert_eq!(app.count("api_keys").await, 0);
});

on_both!(a_realm_registers_scopes_of_its_own, |app| {
    let acme = "acme.example.com";
    app.realm_with(acme, RealmSettings { scopes: vec!["orders:read".to_owned()], ..RealmSettings::default() }).await;
    let user = app.user_in(acme, ADA).await;
    let account = app.account("Acme", None, "free").await;
    app.place(&account, acme, &user.id, Role::Admin).await;
    let client = app.anonymous().bearer(&user.access);
    client.make_key(&account, &with(&plain_key(), "scopes", json!(["orders:read", "chat:read"]))).await.assert(201);
    client.make_key(&account, &with(&plain_key(), "scopes", json!(["orders:write"]))).await.assert_problem(422, "validation_failed");
});

on_both!(ends_addresses_and_rates_have_bounds, |app| {
    let ada = ada(&app).await;
    let client = app.anonymous().bearer(&ada.user.access);
    for (field, value, fault) in [
        ("expiresAt", json!(instant(app.now())), "expiresAt:in_the_past"),
        ("expiresAt", json!("2020-01-01T00:00:00Z"), "expiresAt:in_the_past"),
        ("expiresAt", json!("tomorrow"), "expiresAt:invalid_instant"),
        ("ipAllowlist", json!([]), "ipAllowlist:required"),
        ("ipAllowlist", json!(["10.0.0.1", "10.0.0.0/33"]), "ipAllowlist.1:invalid_network"),
        ("rateLimit", json!(0), "rateLimit:out_of_range"),
        ("rateLimit", json!(-5), "rateLimit:out_of_range"),
        ("rateLimit", json!(1_000_001), "rateLimit:out_of_range"),
        ("rateLimit", json!(u64::MAX), "rateLimit:out_of_range"),
        ("name", json!(" "), "name:required"),
    ] {
        let reply = client.make_key(&ada.account, &with(&plain_key(), field, value)).await.assert_problem(422, "validation_failed");
        assert_eq!(reply.faults(), [fault]);
    }
    let body = json!({
        "name": "Everything", "scopes": ["chat:write", "credentials:verify"], "expiresAt": instant(app.now() + TimeDelta::days(1)),
        "ipAllowlist": ["203.0.113.9/24", "2001:db8::1"], "rateLimit": 100,
    });
    let made = client.make_key(&ada.account, &body).await.assert(201).json();
    assert_eq!(made["apiKey"]["ipAllowlist"], json!(["203.0.113.0/24", "2001:db8::1/128"]));
    assert_eq!((&made["apiKey"]["rateLimit"], &made["apiKey"]["expiresAt"]), (&json!(100), &body["expiresAt"]));
    app.advance(TimeDelta::days(1));
    let user = app.again(&ada).await;
    let key = app.anonymous().bearer(&user.access).key(&ada.account, made["apiKey"]["id"].as_str().unwrap()).await;
    assert_eq!(key.at("/status"), "expired");
});

on_both!(an_old_sign_in_makes_no_keys, |app| {
    let ada = ada(&app).await;
    let client = app.anonymous().bearer(&ada.user.access);
    let key = Key::of(client.make_key(&ada.account, &plain_key()).await);
    app.advance(TimeDelta::seconds(600));
    Key::of(client.make_key(&ada.account, &plain_key()).await);
    app.advance(TimeDelta::seconds(1));
    let refused = client.make_key(&ada.account, &plain_key()).await.assert_problem(401, "step_up_required");
    let challenge = refused.header("www-authenticate");
    assert!(challenge.contains(r#"error="insufficient_user_authentication""#) && challenge.contains("max_age=600"), "{challenge}");
    client.rotate_key(&ada.account, &key.id, &json!({})).await.assert_problem(401, "step_up_required");
    let one = format!("{}/{}", keys_of(&ada.account), key.id);
    client.patch(&one, &json!({ "name": "x" })).await.assert_problem(401, "step_up_required");
    // A refreshed token proves nothing anew.
    let pair = app.anonymous().refresh(&ada.user.refresh).await.assert(200);
    app.anonymous().bearer(&pair.at("/accessToken")).make_key(&ada.account, &plain_key()).await.assert_problem(401, "step_up_required");
    // Taking a right away is always possible.
    client.delete(&one).await.assert(204);
    let fresh = app.again(&ada).await;
    Key::of(app.anonymous().bearer(&fresh.access).make_key(&ada.account, &plain_key()).await);
});

on_both!(the_plan_says_how_many_keys, |app| {
    let ada = ada(&app).await;
    let client = app.anonymous().bearer(&ada.user.access);
    let mut keys = Vec::new();
    for _ in 0..5 {
        keys.push(Key::of(client.make_key(&ada.account, &plain_key()).await));
    }
    client.make_key(&ada.account, &plain_key()).await.assert_problem(403, "plan_limit_reached");
    // A rotation takes no further place, with or without an overlap.
    client.rotate_key(&ada.account, &keys[0].id, &json!({ "overlapSeconds": 3600 })).await.assert(201);
    client.make_key(&ada.account, &plain_key()).await.assert_problem(403, "plan_limit_reached");
    client.delete(&format!("{}/{}", keys_of(&ada.account), keys[1].id)).await.assert(204);
    Key::of(client.make_key(&ada.account, &plain_key()).await);
    client.make_key(&ada.account, &plain_key()).await.assert_problem(403, "plan_limit_reached");
    app.set_plan(&ada.account, "starter").await;
    Key::of(client.make_key(&ada.account, &plain_key()).await);
});

on_both!(a_rotated_key_ends_now_or_after_its_overlap, |app| {
    let ada = ada(&app).await;
    let client = app.anonymous().bearer(&ada.user.access);
    let body =
        json!({ "name": "K", "scopes": ["chat:read"], "ipAllowlist": ["10.0.0.0/8"], "rateLimit": 7, "expiresAt": instant(app.now() + TimeDelta::days(3)) });
    let first = Key::of(client.make_key(&ada.account, &body).await);
    for wrong in [-1_i64, 604_801, i64::MIN] {
        let reply = client.rotate_key(&ada.account, &first.id, &json!({ "overlapSeconds": wrong })).await.assert_problem(422, "validation_failed");
        assert_eq!(reply.faults(), ["overlapSeconds:out_of_range"]);
    }
    let made = client.rotate_key(&ada.account, &first.id, &json!({ "overlapSeconds": 3600 })).await.assert(201);
    let (mut before, mut after) = (client.key(&ada.account, &first.id).await.json(), made.json()["apiKey"].clone());
    assert_eq!((&before["status"], &before["expiresAt"]), (&json!("active"), &json!(instant(app.now() + TimeDelta::hours(1)))));
    for key in [&mut before, &mut after] {
        for own in ["id", "prefix", "last4", "createdAt", "expiresAt"] {
            key.as_object_mut().unwrap().remove(own);
        }
    }
    assert_eq!(before, after, "the same settings");
    let second = Key::of(made);
    client.rotate_key(&ada.account, &first.id, &json!({})).await.assert_problem(409, "key_not_active");
    let patch = json!({ "expiresAt": null });
    client.patch(&format!("{}/{}", keys_of(&ada.account), first.id), &patch).await.assert_problem(409, "key_not_active");
    // Never past its own end, and no more than two live ones in a line.
    let third = Key::of(client.rotate_key(&ada.account, &second.id, &json!({ "overlapSeconds": 604_800 })).await);
    assert_eq!(client.key(&ada.account, &first.id).await.at("/status"), "revoked");
    assert_eq!(client.key(&ada.account, &second.id).await.at("/expiresAt"), body["expiresAt"].as_str().unwrap());
    let fourth = Key::of(client.rotate_key(&ada.account, &third.id, &json!({})).await);
    for (key, status) in [(&second, "revoked"), (&third, "revoked"), (&fourth, "active")] {
        assert_eq!(client.key(&ada.account, &key.id).await.at("/status"), status);
    }
});

on_both!(what_is_changed_is_changed_and_nothing_else, |app| {
    let ada = ada(&app).await;
    let client = app.anonymous().bearer(&ada.user.access);
    let key = Key::of(client.make_key(&ada.account, &with(&plain_key(), "ipAllowlist", json!(["10.0.0.1"]))).await);
    let one = format!("{}/{}", keys_of(&ada.account), key.id);
    let before = client.get(&one).await.json();
    assert_eq!(client.patch(&one, &json!({})).await.assert(200).json(), before);
    let changed = client.patch(&one, &json!({ "name": "Other", "scopes": ["chat:write"], "ipAllowlist": null, "rateLimit": 5 })).await.assert(200).json();
    let mut wanted: Value = before.clone();
    wanted.as_object_mut().unwrap().remove("ipAllowlist");
    (wanted["name"], wanted["scopes"], wanted["rateLimit"]) = (json!("Other"), json!(["chat:write"]), json!(5));
    assert_eq!(changed, wanted);
    client.patch(&one, &json!({ "scopes": [], "rateLimit": 1_000 })).await.assert_problem(422, "validation_failed");
    assert_eq!(client.get(&one).await.json(), wanted);
    client.delete(&one).await.assert(204);
    client.delete(&one).await.assert(204);
    client.patch(&one, &json!({ "name": "x" })).await.assert_problem(409, "key_not_active");
});

on_both!(owners_and_admins_act_here_and_below, |app| {
    let ada = ada(&app).await;
    let top = app.anonymous().bearer(&ada.user.access);
    let below = top.post("/api/v1/accounts", &json!({ "name": "Below", "parentId": ada.account })).await.assert(201).at("/id");
    let sibling = app.account("Sibling", None, "free").await;
    let mut people = Vec::new();
    for (email, account, role) in [
        ("admin@example.com", &ada.account, Role::Admin),
        ("member@example.com", &ada.account, Role::Member),
        ("lower@example.com", &below, Role::Owner),
        ("beside@example.com", &sibling, Role::Owner),
    ] {
        let user = app.user(email).await;
        app.place(account, "localhost", &user.id, role).await;
        people.push(user);
    }
    let [admin, member, lower, beside] = [0, 1, 2, 3].map(|at| app.anonymous().bearer(&people[at].access));
    for (who, upper, under) in [(&top, 201, 201), (&admin, 201, 201), (&member, 403, 404), (&lower, 404, 201), (&beside, 404, 404)] {
        for (account, wanted) in [(&ada.account, upper), (&below, under)] {
            let list = if wanted == 201 { 200 } else { wanted };
            who.make_key(account, &plain_key()).await.assert(wanted);
            who.get(&keys_of(account)).await.assert(list);
        }
    }
    let key = Key::of(top.make_key(&ada.account, &plain_key()).await);
    // The right key under the wrong account is no key.
    top.key(&below, &key.id).await.assert_problem(404, "not_found");
    lower.key(&ada.account, &key.id).await.assert_problem(404, "not_found");
    lower.delete(&format!("{}/{}", keys_of(&below), key.id)).await.assert_problem(404, "not_found");
    let names = |reply: Value| -> Vec<String> { reply["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect() };
    assert_eq!(names(top.get("/api/v1/accounts").await.json()), ["Test Person", "Below"]);
    assert!(names(member.get("/api/v1/accounts").await.json()).iter().all(|name| name != "Below"), "a member sees no further than the account");
    assert!(names(lower.get("/api/v1/accounts").await.json()).contains(&"Below".to_owned()));
    member.get(&format!("/api/v1/accounts/{}", ada.account)).await.assert(200);
    member.patch(&format!("/api/v1/accounts/{}", ada.account), &json!({ "name": "Mine" })).await.assert_problem(403, "not_permitted");
});

on_both!(a_disabled_account_makes_no_keys, |app| {
    let ada = ada(&app).await;
    let client = app.anonymous().bearer(&ada.user.access);
    let ctx = app.operator().await;
    let disable = |status| realmgate::service::accounts::set_status(app.app(), &ctx, ada.account.parse().unwrap(), status);
    disable(realmgate::domain::account::AccountStatus::Disabled).await.unwrap();
    client.make_key(&ada.account, &plain_key()).await.assert_problem(403, "account_disabled");
    assert_eq!(client.get(&format!("/api/v1/accounts/{}", ada.account)).await.assert(200).at("/status"), "disabled");
    disable(realmgate::domain::account::AccountStatus::Active).await.unwrap();
    client.make_key(&ada.account, &plain_key()).await.assert(201);
});

on_both!(a_key_outlives_who_made_it, |app| {
    let ada = ada(&app).await;
    let bob = app.user("bob@example.com").await;
    app.place(&ada.account, "localhost", &bob.id, Role::Admin).await;
    let key = Key::of(app.anonymous().bearer(&bob.access).make_key(&ada.account, &plain_key()).await);
    app.lock("bob@example.com").await;
    let seen = app.anonymous().bearer(&ada.user.access).key(&ada.account, &key.id).await.assert(200);
    assert_eq!((seen.at("/status"), seen.at("/createdBy")), ("active".to_owned(), bob.id));
    assert!(key.text.starts_with(&seen.at("/prefix")));
});

on_both!(lists_come_in_pages, |app| {
    let ada = ada(&app).await;
    app.set_plan(&ada.account, "starter").await;
    let client = app.anonymous().bearer(&ada.user.access);
    let mut made = Vec::new();
    for _ in 0..5 {
        app.advance(TimeDelta::milliseconds(1));
        made.push(Key::of(client.make_key(&ada.account, &plain_key()).await).id);
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = client.get(&format!("{}?limit=2{cursor}", keys_of(&ada.account))).await.assert(200).json();
        seen.extend(page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        let Some(next) = page["nextCursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, made);
    for query in ["limit=0", "limit=201", "cursor=x"] {
        client.get(&format!("{}?{query}", keys_of(&ada.account))).await.assert_problem(422, "validation_failed");
    }
    for query in ["limit=-1", "limit=a", "limit=", "limit=1.5"] {
        client.get(&format!("{}?{query}", keys_of(&ada.account))).await.assert_problem(400, "invalid_request");
    }
});

on_both!(what_happens_to_keys_is_in_the_audit_trail, |app| {
    let ada = ada(&app).await;
    let client = app.anonymous().bearer(&ada.user.access);
    let key = Key::of(client.make_key(&ada.account, &plain_key()).await);
    client.patch(&format!("{}/{}", keys_of(&ada.account), key.id), &json!({ "name": "x" })).await.assert(200);
    let next = Key::of(client.rotate_key(&ada.account, &key.id, &json!({})).await);
    client.delete(&format!("{}/{}", keys_of(&ada.account), next.id)).await.assert(204);
    let trail =
        app.sql("SELECT action AS v FROM audit_events WHERE action LIKE 'api_key.%' AND actor_kind = 'user' AND target_id IS NOT NULL ORDER BY id").await;
    assert_eq!(trail.len(), 4);
    for action in ["api_key.created", "api_key.changed", "api_key.rotated", "api_key.revoked"] {
        assert!(trail.iter().any(|line| line == action), "{action}");
    }
});

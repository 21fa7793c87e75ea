//! One verify for every credential: what it says of each kind in each state, to whom, and how soon a change counts.

use chrono::TimeDelta;
use realmgate::{
    domain::{account::AccountStatus, realm::RealmSettings, user::Role},
    service::{accounts, realms},
};
use serde_json::{Value, json};

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

use crate::{
    on_both,
    support::{
        Client, Reply, TestApp,
        at_once::at_once,
        keys::{Key, Owner, keys_of, plain_key},
        people::with,
    },
};

const ADA: &str = "ada@example.com";

async fn ada(app: &TestApp) -> Owner {
    let ada = app.owner(ADA).await;
    app.set_plan(&ada.account, "starter").await;
    ada
}

async fn make(app: &TestApp, ada: &Owner, body: &Value) -> Key {
    Key::of(app.anonymous().bearer(&ada.user.access).make_key(&ada.account, body).await)
}

async fn ask(client: &Client<'_>, credential: &str) -> Reply {
    client.post("/api/v1/verify", &json!({ "credential": credential })).await.assert(200)
}

async fn code(client: &Client<'_>, credential: &str) -> String {
    let reply = ask(client, credential).await;
    assert_eq!(reply.at("/active"), (reply.at("/code") == "valid").to_string());
    reply.at("/code")
}

async fn set_status(app: &TestApp, account: &str, status: AccountStatus) {
    accounts::set_status(app.app(), &app.operator().await, account.parse().unwrap(), status).await.unwrap();
}

on_both!(a_key_and_a_person_are_told_in_full, |app| {
    let ada = ada(&app).await;
    let key = make(&app, &ada, &json!({ "name": "Import", "scopes": ["chat:read", "credentials:verify"], "rateLimit": 7 })).await;
    for client in [app.anonymous().bearer(&ada.user.access), app.anonymous().bearer(&key.text)] {
        let mut body = ask(&client, &key.text).await.json();
        let limit = body.as_object_mut().unwrap().remove("limit").unwrap();
        assert_eq!(limit["limit"], 7);
        assert_eq!(
            body,
            json!({
                "active": true, "code": "valid", "subject": key.id, "kind": "api_key", "realm": "localhost", "account": ada.account, "plan": "starter",
                "scopes": ["chat:read", "credentials:verify"], "keyId": key.id, "name": "Import",
            })
        );
        let body = ask(&client, &ada.user.access).await.json();
        assert_eq!((&body["code"], &body["kind"], &body["subject"]), (&json!("valid"), &json!("access_token"), &json!(ada.user.id)));
        assert_eq!((&body["account"], &body["plan"]), (&json!(ada.account), &json!("starter")));
        assert!(body["limit"]["remaining"].is_u64() && body["limit"]["resetAt"].is_string(), "{body}");
        assert!(body["scopes"].as_array().unwrap().contains(&json!("agents:write")) && body["keyId"].is_null(), "{body}");
    }
});

on_both!(each_state_has_its_code, |app| {
    let ada = ada(&app).await;
    let client = app.anonymous().bearer(&ada.user.access);
    let key = make(&app, &ada, &with(&plain_key(), "ipAllowlist", json!(["10.0.0.0/8", "2001:db8::/32"]))).await;
    let with_ip = async |ip: &str| client.post("/api/v1/verify", &json!({ "credential": key.text, "ip": ip })).await.assert(200).at("/code");
    for (ip, wanted) in
        [("10.9.9.9", "valid"), ("::ffff:10.9.9.9", "valid"), ("2001:db8::1", "valid"), ("11.0.0.1", "ip_not_allowed"), ("::1", "ip_not_allowed")]
    {
        assert_eq!(with_ip(ip).await, wanted, "{ip}");
    }
    let scoped = async |scopes: Value| client.post("/api/v1/verify", &json!({ "credential": key.text, "scopes": scopes })).await.assert(200).at("/code");
    assert_eq!(scoped(json!(["chat:read"])).await, "valid");
    for scopes in [json!(["chat:write"]), json!(["chat:read", "chat:write"]), json!(["*"]), json!([""]), json!(["CHAT:READ"])] {
        assert_eq!(scoped(scopes.clone()).await, "insufficient_scope", "{scopes}");
    }
    let ends = app.now() + TimeDelta::seconds(30);
    let short = make(&app, &ada, &with(&plain_key(), "expiresAt", json!(ends.to_rfc3339()))).await;
    assert_eq!(code(&client, &short.text).await, "valid");
    app.advance(TimeDelta::seconds(30));
    assert_eq!(code(&client, &short.text).await, "expired");
    client.delete(&format!("{}/{}", keys_of(&ada.account), key.id)).await.assert(204);
    assert_eq!(code(&client, &key.text).await, "revoked");
});

on_both!(a_persons_token_has_its_states_too, |app| {
    let ada = ada(&app).await;
    let asker = app.again(&ada).await;
    let bob = app.user("bob@example.com").await;
    app.place(&ada.account, "localhost", &bob.id, Role::Member).await;
    let own = app.anonymous().bearer(&bob.access).me().await.at("/accounts/0/id");
    let client = app.anonymous().bearer(&asker.access);
    assert_eq!(code(&client, &ada.user.access).await, "valid");
    // A person acts for the first account that they belong to: Bob for his own, which is no business of Ada's.
    assert_ne!(own, ada.account);
    assert_eq!(code(&client, &bob.access).await, "not_found");
    app.anonymous().bearer(&ada.user.access).post("/api/v1/auth/logout", &json!({})).await.assert(204);
    assert_eq!(code(&client, &ada.user.access).await, "revoked");
    app.advance(TimeDelta::seconds(906));
    let fresh = app.anonymous().refresh(&asker.refresh).await.assert(200).at("/accessToken");
    assert_eq!(code(&app.anonymous().bearer(&fresh), &asker.access).await, "expired");
    for forged in ["a.b.c", "..", &format!("{}x", asker.access), &asker.access.replace('.', "_")] {
        assert_eq!(code(&app.anonymous().bearer(&fresh), forged).await, "not_found", "{forged}");
    }
});

on_both!(people_of_a_realm_act_for_the_account_that_owns_it, |app| {
    let ada = ada(&app).await;
    let acme = "acme.example.com";
    let ctx = app.operator().await;
    realms::create(app.app(), &ctx, ada.account.parse().unwrap(), acme, RealmSettings::default()).await.unwrap();
    let user = app.user_in(acme, "end-user@example.com").await;
    let client = app.anonymous().bearer(&ada.user.access);
    let body = ask(&client, &user.access).await.json();
    assert_eq!((&body["code"], &body["account"], &body["realm"], &body["scopes"]), (&json!("valid"), &json!(ada.account), &json!(acme), &json!(["openid"])));
    let change = realms::RealmChange { status: Some(realmgate::domain::realm::RealmStatus::Suspended), ..realms::RealmChange::default() };
    realms::change(app.app(), &ctx, acme, change).await.unwrap();
    assert_eq!(code(&client, &user.access).await, "disabled");
});

on_both!(everybody_elses_credentials_are_not_found, |app| {
    let ada = ada(&app).await;
    let eve = app.owner("eve@example.com").await;
    let below = app.anonymous().bearer(&ada.user.access).post("/api/v1/accounts", &json!({ "name": "B", "parentId": ada.account })).await.assert(201).at("/id");
    let verifier = json!({ "name": "V", "scopes": ["credentials:verify"] });
    let top = make(&app, &ada, &verifier).await;
    let lower = Key::of(app.anonymous().bearer(&ada.user.access).make_key(&below, &verifier).await);
    let hers = make(&app, &Owner { user: eve.user.clone(), email: eve.email.clone(), account: eve.account.clone() }, &verifier).await;
    let unknown = ask(&app.anonymous().bearer(&hers.text), "conv_nothing").await;
    assert_eq!(unknown.json(), json!({ "active": false, "code": "not_found" }));
    for (asker, credential, wanted) in [
        (&top.text, &lower.text, "valid"),
        (&top.text, &ada.user.access, "valid"),
        (&lower.text, &top.text, "not_found"),
        (&lower.text, &ada.user.access, "not_found"),
        (&lower.text, &lower.text, "valid"),
        (&hers.text, &top.text, "not_found"),
        (&hers.text, &ada.user.access, "not_found"),
        (&ada.user.access, &hers.text, "not_found"),
        (&eve.user.access, &lower.text, "not_found"),
        (&ada.user.access, &lower.text, "valid"),
    ] {
        let reply = ask(&app.anonymous().bearer(asker), credential).await;
        assert_eq!(reply.at("/code"), wanted);
        if wanted == "not_found" {
            assert_eq!(reply.json(), unknown.json());
        }
    }
    // Ended ones of others are not found either, and nobody's use of them is counted.
    app.anonymous().bearer(&ada.user.access).delete(&format!("{}/{}", keys_of(&ada.account), top.id)).await.assert(204);
    assert_eq!(code(&app.anonymous().bearer(&hers.text), &top.text).await, "not_found");
});

on_both!(only_who_may_ask_is_answered, |app| {
    let ada = ada(&app).await;
    let plain = make(&app, &ada, &plain_key()).await;
    let acme = "acme.example.com";
    app.realm(acme).await;
    let bob = app.user_in(acme, "bob@example.com").await;
    app.place(&ada.account, acme, &bob.id, Role::Member).await;
    let body = json!({ "credential": plain.text });
    app.anonymous().post("/api/v1/verify", &body).await.assert_problem(401, "missing_credential");
    let reply = app.anonymous().bearer(&plain.text).post("/api/v1/verify", &body).await.assert_problem(403, "insufficient_scope");
    assert!(reply.header("www-authenticate").contains(r#"error="insufficient_scope", scope="credentials:verify""#), "{}", reply.header("www-authenticate"));
    app.anonymous().bearer(&bob.access).post("/api/v1/verify", &body).await.assert_problem(403, "not_permitted");
    let client = app.anonymous().bearer(&ada.user.access);
    for (field, value, fault) in
        [("ip", json!("here"), "ip:invalid_ip"), ("ip", json!("10.0.0.0/8"), "ip:invalid_ip"), ("scopes", json!(vec!["x"; 101]), "scopes:too_many")]
    {
        assert_eq!(client.post("/api/v1/verify", &with(&body, field, value)).await.assert_problem(422, "validation_failed").faults(), [fault]);
    }
    for field in ["userId", "plan", "prefix", "realmId", "account"] {
        client.post("/api/v1/verify", &with(&body, field, json!(ada.account))).await.assert_problem(400, "invalid_request");
    }
});

on_both!(a_key_does_what_its_scopes_say_and_nothing_else, |app| {
    let ada = ada(&app).await;
    let everything: Vec<&str> = realmgate::domain::scope::STANDARD.into_iter().collect();
    let key = make(&app, &ada, &json!({ "name": "All", "scopes": everything })).await;
    let client = app.anonymous().bearer(&key.text);
    client.make_key(&ada.account, &plain_key()).await.assert_problem(403, "not_permitted");
    client.rotate_key(&ada.account, &key.id, &json!({})).await.assert_problem(403, "not_permitted");
    client.get(&keys_of(&ada.account)).await.assert_problem(403, "not_permitted");
    client.key(&ada.account, &key.id).await.assert_problem(403, "not_permitted");
    client.delete(&format!("{}/{}", keys_of(&ada.account), key.id)).await.assert_problem(403, "not_permitted");
    client.get(&format!("/api/v1/accounts/{}/usage", ada.account)).await.assert_problem(403, "not_permitted");
    client.me().await.assert_problem(403, "not_permitted");
    client.change_password(crate::support::PASSWORD, "another harbour otter").await.assert_problem(403, "not_permitted");
    client.get("/api/v1/me/sessions").await.assert_problem(403, "not_permitted");
    client.post("/api/v1/auth/logout", &json!({ "everywhere": true })).await.assert_problem(403, "not_permitted");
    client.get("/api/v1/auth/token").await.assert_problem(403, "not_permitted");
    client.post("/api/v1/accounts", &json!({ "name": "x", "parentId": ada.account })).await.assert_problem(403, "not_permitted");
    // A key is no refresh token and no mailed token.
    app.anonymous().refresh(&key.text).await.assert_problem(401, "invalid_refresh_token");
    app.anonymous().verify(&key.text).await.assert_problem(400, "invalid_token");
    assert_eq!(app.count("api_keys").await, 1);
});

on_both!(one_spelling_of_a_key_counts, |app| {
    let ada = ada(&app).await;
    let key = make(&app, &ada, &json!({ "name": "V", "scopes": ["credentials:verify"] })).await;
    let body = json!({ "credential": key.text });
    let asked = async |authorization: &str| app.anonymous().header("authorization", authorization).post("/api/v1/verify", &body).await;
    for good in [format!("Bearer {}", key.text), format!("bearer {}", key.text), format!("BEARER {}", key.text), format!("Bearer {}  ", key.text)] {
        asked(&good).await.assert(200);
    }
    for at in 0..key.text.len() {
        let mut text = key.text.clone().into_bytes();
        text[at] = if text[at] == b'x' { b'y' } else { b'x' };
        let text = String::from_utf8(text).unwrap();
        let reply = asked(&format!("Bearer {text}")).await.assert(401);
        assert_eq!(reply.at("/code"), if text.starts_with("conv_") { "invalid_api_key" } else { "invalid_access_token" }, "{at}");
        assert_eq!(code(&app.anonymous().bearer(&ada.user.access), &text).await, "not_found", "{at}");
    }
    for credential in [format!(" {}", key.text), format!("{} ", key.text), format!("{}\n", key.text), key.text.to_uppercase(), key.text.replace('_', "-")] {
        assert_eq!(code(&app.anonymous().bearer(&ada.user.access), &credential).await, "not_found", "{credential:?}");
    }
    for wrong in [format!("Basic {}", key.text), key.text.clone(), format!("Bearer{}", key.text), "Bearer".to_owned()] {
        asked(&wrong).await.assert_problem(401, "missing_credential");
    }
    // In the address it is no credential.
    let path = format!("/api/v1/verify?api_key={0}&access_token={0}&key={0}", key.text);
    app.anonymous().post(&path, &body).await.assert_problem(401, "missing_credential");
    app.anonymous().bearer(&key.text).realm("no-such.example.com").post("/api/v1/verify", &body).await.assert_problem(401, "realm_mismatch");
});

on_both!(two_credentials_at_once_are_none, |app| {
    let ada = ada(&app).await;
    let key = make(&app, &ada, &json!({ "name": "V", "scopes": ["credentials:verify"] })).await;
    for second in [&key.text, &ada.user.access] {
        let client = app.anonymous().bearer(&key.text).also("authorization", &format!("Bearer {second}"));
        client.post("/api/v1/verify", &json!({ "credential": key.text })).await.assert(401);
    }
});

on_both!(a_change_counts_at_once_here_and_soon_elsewhere, |app| {
    let ada = ada(&app).await;
    let key = make(&app, &ada, &plain_key()).await;
    let other = app.join(9).await;
    let here = app.anonymous().bearer(&ada.user.access);
    let there = other.anonymous().bearer(&ada.user.access);
    for client in [&here, &there] {
        assert_eq!(code(client, &key.text).await, "valid");
    }
    here.patch(&format!("{}/{}", keys_of(&ada.account), key.id), &json!({ "scopes": ["chat:write"] })).await.assert(200);
    assert_eq!(ask(&here, &key.text).await.json()["scopes"], json!(["chat:write"]));
    other.follow_changes().await;
    assert_eq!(ask(&there, &key.text).await.json()["scopes"], json!(["chat:write"]));
    let next = Key::of(here.rotate_key(&ada.account, &key.id, &json!({})).await);
    assert_eq!((code(&here, &key.text).await, code(&here, &next.text).await), ("revoked".to_owned(), "valid".to_owned()));
    other.follow_changes().await;
    assert_eq!((code(&there, &key.text).await, code(&there, &next.text).await), ("revoked".to_owned(), "valid".to_owned()));
    here.delete(&format!("{}/{}", keys_of(&ada.account), next.id)).await.assert(204);
    other.follow_changes().await;
    assert_eq!(code(&there, &next.text).await, "revoked");
});

on_both!(rights_are_those_of_this_moment, |app| {
    let ada = ada(&app).await;
    let root = app.operator().await;
    let acme = "acme.example.com";
    app.realm_with(acme, RealmSettings { scopes: vec!["orders:read".to_owned()], ..RealmSettings::default() }).await;
    let user = app.user_in(acme, "admin@example.com").await;
    app.place(&ada.account, acme, &user.id, Role::Admin).await;
    let body = json!({ "name": "O", "scopes": ["orders:read", "chat:read"] });
    let key = Key::of(app.anonymous().bearer(&user.access).make_key(&ada.account, &body).await);
    let client = app.anonymous().bearer(&ada.user.access);
    assert_eq!(ask(&client, &key.text).await.json()["scopes"], json!(["orders:read", "chat:read"]));
    let change = realms::RealmChange { settings: Some(RealmSettings::default()), ..realms::RealmChange::default() };
    realms::change(app.app(), &root, acme, change).await.unwrap();
    assert_eq!(ask(&client, &key.text).await.json()["scopes"], json!(["chat:read"]), "the realm knows it no more");
    let top = app.owner("top@example.com").await;
    let root_account = app.app().root().unwrap().account.to_string();
    app.place(&root_account, "localhost", &top.user.id, Role::Owner).await;
    set_status(&app, &ada.account, AccountStatus::Disabled).await;
    assert_eq!(code(&app.anonymous().bearer(&top.user.access), &key.text).await, "disabled");
    client.post("/api/v1/verify", &json!({ "credential": key.text })).await.assert_problem(403, "not_permitted");
    set_status(&app, &ada.account, AccountStatus::Active).await;
    assert_eq!(code(&client, &key.text).await, "valid");
});

on_both!(introspection_speaks_rfc_7662, |app| {
    let ada = ada(&app).await;
    let key = make(&app, &ada, &json!({ "name": "V", "scopes": ["chat:read", "credentials:verify"] })).await;
    let client = app.anonymous().bearer(&key.text);
    let reply = client.form("/api/v1/introspect", &[("token", &key.text), ("token_type_hint", "access_token")]).await.assert(200);
    assert_eq!(
        reply.json(),
        json!({ "active": true, "scope": "chat:read credentials:verify", "client_id": key.id, "token_type": "Bearer", "sub": key.id, "iss": app.app().issuer("localhost") })
    );
    let person = client.form("/api/v1/introspect", &[("token", &ada.user.access)]).await.assert(200).json();
    assert_eq!((&person["active"], &person["sub"]), (&json!(true), &json!(ada.user.id)));
    assert!(person["exp"].is_i64() && person.get("client_id").is_none(), "{person}");
    for token in ["", "x", "conv_x", &ada.user.refresh] {
        assert_eq!(client.form("/api/v1/introspect", &[("token", token)]).await.assert(200).json(), json!({ "active": false }));
    }
    let reply = client.form("/api/v1/introspect", &[("token", &key.text), ("client_secret", "x")]).await.assert(200);
    assert_eq!(reply.at("/active"), "true", "what is not known is ignored");
    app.anonymous().form("/api/v1/introspect", &[("token", &key.text)]).await.assert_problem(401, "missing_credential");
    client.form("/api/v1/introspect", &[]).await.assert_problem(400, "invalid_request");
    client.form("/api/v1/introspect", &[("token", "a"), ("token", "b")]).await.assert_problem(400, "invalid_request");
    client.post("/api/v1/introspect", &json!({ "token": key.text })).await.assert_problem(415, "unsupported_media_type");
});

on_both!(a_key_never_seen_costs_one_read_and_a_known_one_none, |app| {
    let ada = ada(&app).await;
    let acme = "acme.example.com";
    realms::create(app.app(), &app.operator().await, ada.account.parse().unwrap(), acme, RealmSettings::default()).await.unwrap();
    let below = app.anonymous().bearer(&ada.user.access).post("/api/v1/accounts", &json!({ "name": "B", "parentId": ada.account })).await.assert(201).at("/id");
    let elsewhere = app.user_in(acme, "bob@example.com").await;
    app.place(&below, acme, &elsewhere.id, Role::Owner).await;
    let keys = [
        make(&app, &ada, &plain_key()).await,
        make(&app, &ada, &with(&plain_key(), "rateLimit", json!(5))).await,
        Key::of(app.anonymous().bearer(&elsewhere.access).make_key(&below, &plain_key()).await),
    ];
    // A node that has just been started knows nothing.
    let node = app.join(5).await;
    let reads = async |text: &str, status: u16| {
        let before = node.app.db.statements();
        node.anonymous().bearer(text).get("/gateway/nginx?scope=chat:read").await.assert(status);
        node.app.db.statements() - before
    };
    for key in &keys {
        assert_eq!((reads(&key.text, 204).await, reads(&key.text, 204).await), (1, 0));
    }
    let wrong = format!("{}{}", &keys[0].text[..27], &keys[1].text[27..]);
    assert_eq!(reads(&wrong, 401).await, 0, "a wrong checksum");
    let entropy = realmgate::crypto::entropy::SeededEntropy::new(77);
    let id = realmgate::domain::id::ApiKeyId::new(app.now(), &entropy);
    let unknown = realmgate::domain::api_key::KeyText::mint("conv", false, id, &entropy).reveal();
    assert_eq!((reads(&unknown, 401).await, reads(&unknown, 401).await), (1, 0), "that there is none is remembered too");
});

on_both!(many_at_once_get_what_a_key_has_left_and_no_more, |app| {
    let ada = ada(&app).await;
    let key = make(&app, &ada, &with(&plain_key(), "rateLimit", json!(20))).await;
    let node = Arc::new(app.join(2).await);
    let admitted = at_once(60, |_| {
        let (node, access, text) = (Arc::clone(&node), ada.user.access.clone(), key.text.clone());
        async move { ask(&node.anonymous().bearer(&access), &text).await.at("/code") }
    })
    .await;
    assert_eq!(admitted.iter().filter(|code| *code == "valid").count(), 20);
    assert_eq!(admitted.iter().filter(|code| *code == "rate_limited").count(), 40);
});

on_both!(a_plan_lowered_in_mid_burst_admits_nobody_any_more, |app| {
    let ada = ada(&app).await;
    let key = make(&app, &ada, &plain_key()).await;
    let node = Arc::new(app.join(2).await);
    let set = async |requests| {
        let change = realmgate::domain::account::PlanChange { requests_per_minute: Some(requests), ..Default::default() };
        realmgate::service::plans::change(&node.app, &app.operator().await, "starter", change).await.unwrap();
    };
    set(500).await;
    // More than will be allowed is used already.
    for _ in 0..150 {
        node.anonymous().bearer(&key.text).get("/gateway/nginx").await.assert(204);
    }
    let (lowered, late) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let burst = at_once(20, |_| {
        let (node, text, lowered, late) = (Arc::clone(&node), key.text.clone(), Arc::clone(&lowered), Arc::clone(&late));
        async move {
            for _ in 0..40 {
                let after = lowered.load(Ordering::Acquire);
                let status = node.anonymous().bearer(&text).get("/gateway/nginx").await.status.as_u16();
                assert!([204, 429].contains(&status), "{status}");
                late.fetch_add(u32::from(after && status == 204), Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        }
    });
    tokio::join!(burst, async {
        set(100).await;
        lowered.store(true, Ordering::Release);
    });
    assert_eq!(late.load(Ordering::Relaxed), 0);
    let refused = node.anonymous().bearer(&key.text).get("/gateway/nginx").await.assert_problem(429, "rate_limited");
    assert_eq!(refused.header("x-ratelimit-limit"), "100");
});

on_both!(no_answer_holds_a_keys_secret_or_hash_at_any_depth, |app| {
    let ada = ada(&app).await;
    let key = make(&app, &ada, &json!({ "name": "V", "scopes": ["credentials:verify"] })).await;
    let hash = app.sql("SELECT secret_hash AS v FROM api_keys").await.remove(0);
    let member = app.user("member@example.com").await;
    app.place(&ada.account, "localhost", &member.id, Role::Member).await;
    let mut asked = 0;
    for operation in crate::support::spec::operations().into_iter().filter(|operation| operation.method == poem::http::Method::GET) {
        let ids = [("id", ada.account.as_str()), ("key_id", key.id.as_str()), ("user_id", member.id.as_str()), ("invitation_id", key.id.as_str())];
        for access in [&ada.user.access, &member.access, &key.text] {
            let reply = app.anonymous().bearer(access).get(&operation.with(&ids)).await;
            let text = reply.text();
            assert!(!text.contains(&key.text) && !text.contains(&key.text[27..70]) && !text.contains(&hash), "{}: {text}", operation.id);
            assert!(!text.to_ascii_lowercase().contains("secret") && !text.contains("hash\":"), "{}: {text}", operation.id);
            asked += u32::from(reply.status.is_success());
        }
    }
    assert!(asked > 15, "{asked}");
});

on_both!(unknown_keys_fill_no_memory, |app| {
    let ada = ada(&app).await;
    for seed in 0..20_000_u64 {
        let entropy = realmgate::crypto::entropy::SeededEntropy::new(1_000 + seed);
        let id = realmgate::domain::id::ApiKeyId::new(app.now(), &entropy);
        let text = realmgate::domain::api_key::KeyText::mint("conv", false, id, &entropy).reveal();
        assert!(realmgate::service::credentials::recognise(app.app(), &text).await.unwrap().is_none());
    }
    let (known, unknown) = app.app().caches.key_counts();
    assert!(known <= 10 && unknown <= 10_000, "{known} known, {unknown} unknown");
    let key = make(&app, &ada, &plain_key()).await;
    assert_eq!(code(&app.anonymous().bearer(&ada.user.access), &key.text).await, "valid");
});

on_both!(a_call_takes_its_units_once_and_from_the_right_account, |app| {
    use sea_orm::ConnectionTrait as _;

    let ada = ada(&app).await;
    let limited = make(&app, &ada, &with(&plain_key(), "rateLimit", json!(5))).await;
    let plain = make(&app, &ada, &plain_key()).await;
    // Tests have plans without limits; this one wants those of the product.
    for (plan, limit) in [("free", 100), ("starter", 500)] {
        app.app().db.write.execute_unprepared(&format!("UPDATE plans SET requests_per_minute = {limit} WHERE id = '{plan}'")).await.unwrap();
    }
    app.app().caches.forget_plans();
    app.advance(TimeDelta::minutes(2));
    let client = app.anonymous().bearer(&ada.user.access);
    let ask = async |text: &str, cost: i64| client.post("/api/v1/verify", &json!({ "credential": text, "cost": cost })).await.assert(200);
    let left = async |text: &str, cost: i64| ask(text, cost).await.json()["limit"]["remaining"].as_u64().unwrap();
    assert_eq!(left(&plain.text, 1).await, 499);
    assert_eq!(left(&plain.text, 10).await, 489);
    // A look takes nothing of the account that is looked at, but is a call of the asker's: here they are the same one.
    assert_eq!((left(&plain.text, 0).await, left(&plain.text, 0).await), (489, 488));
    assert_eq!(left(&limited.text, 5).await, 0, "of the key's own; 482 are left of the account's");
    let refused = ask(&limited.text, 1).await;
    assert_eq!((refused.at("/code"), refused.at("/active"), refused.at("/limit/limit")), ("rate_limited".to_owned(), "false".to_owned(), "5".to_owned()));
    assert_eq!(left(&plain.text, 1).await, 481, "what the key was refused, the account was not charged");
    for credential in ["conv_none", "x"] {
        assert_eq!(ask(credential, 1).await.at("/code"), "not_found");
    }
    assert_eq!(left(&plain.text, 1).await, 478, "what is not found is a call of the asker's");
    app.set_plan(&ada.account, "free").await;
    assert_eq!(left(&plain.text, 1).await, 77, "a smaller plan counts at once");
});

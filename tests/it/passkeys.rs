//! Passkeys, against a software authenticator that also lies: made, used alone and beside a password, and refused for every
//! part that is another than it should be.

use realmgate::domain::factor::UserVerification;
use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};

use crate::{
    on_both,
    support::{
        PASSWORD, Reply, TestApp,
        at_once::at_once,
        authenticator::{Authenticator, unb64},
        factors::list,
    },
};

const ADA: &str = "ada@example.com";

/// A question of a sign-in without a password.
async fn asked(app: &TestApp) -> Reply {
    app.anonymous().post("/api/v1/auth/passkey/options", &json!({})).await.assert(200)
}

async fn answered(app: &TestApp, asked: &Reply, answer: &Value) -> Reply {
    app.anonymous().post("/api/v1/auth/passkey/login", &json!({ "ceremonyId": asked.at("/ceremonyId"), "credential": answer })).await
}

on_both!(a_passkey_is_made_and_signs_in_alone, |app| {
    let ada = app.user(ADA).await;
    let client = app.anonymous().bearer(&ada.access);
    let mut key = Authenticator::new();
    let question = client.post("/api/v1/me/passkeys/options", &json!({})).await.assert(200);
    let options = &question.json()["publicKey"];
    assert_eq!(options["rp"], json!({ "id": "localhost", "name": "localhost" }));
    assert_eq!(options["authenticatorSelection"]["userVerification"], "required");
    assert_eq!(options["authenticatorSelection"]["residentKey"], "preferred");
    assert_eq!(options["attestation"], "none");
    let made = client.add_passkey(&mut key).await.assert(201);
    assert_eq!(list(&made, "/recoveryCodes").len(), 10);
    assert_eq!(key.holder, uuid::Uuid::parse_str(&ada.id).unwrap().as_bytes(), "the authenticator keeps the person's id");
    let entered = app.anonymous().passkey_login(&mut key).await.assert(200);
    assert_eq!(entered.at("/user/email"), ADA);
    let told = app.anonymous().bearer(&entered.at("/tokens/accessToken")).get("/api/v1/auth/token").await;
    assert_eq!(list(&told, "/amr"), ["pop", "mfa"]);
    let listed = client.get("/api/v1/me/passkeys").await.assert(200);
    assert_eq!((listed.at("/items/0/name"), listed.at("/items/0/backedUp")), ("Phone".into(), "false".into()));
    assert!(listed.at("/items/0/lastUsedAt").starts_with("2026-"));
    let path = format!("/api/v1/me/passkeys/{}", listed.at("/items/0/id"));
    assert_eq!(client.patch(&path, &json!({ "name": "Key ring" })).await.assert(200).at("/name"), "Key ring");
    client.patch(&path, &json!({ "name": " " })).await.assert_problem(422, "validation_failed");
    // A second one, with the first excluded.
    let mut second = Authenticator::new();
    let stepped = app.anonymous().bearer(&entered.at("/tokens/accessToken"));
    let question = stepped.post("/api/v1/me/passkeys/options", &json!({})).await.assert(200);
    assert_eq!(unb64(question.json()["publicKey"]["excludeCredentials"][0]["id"].as_str().unwrap()), key.id);
    assert_eq!(list(&stepped.add_passkey(&mut second).await.assert(201), "/recoveryCodes").len(), 0);
    stepped.delete(&path).await.assert(204);
    stepped.delete(&path).await.assert_problem(404, "not_found");
    app.anonymous().passkey_login(&mut key).await.assert_problem(401, "invalid_passkey");
    app.anonymous().passkey_login(&mut second).await.assert(200);
});

on_both!(beside_a_password_a_passkey_is_the_second_factor, |app| {
    let (_, mut key) = app.with_passkey(ADA).await;
    let refused = app.anonymous().log_in(ADA, PASSWORD).await.assert_problem(403, "mfa_required");
    assert_eq!(list(&refused, "/methods"), ["passkey", "recovery_code"]);
    let token = refused.at("/mfaToken");
    let question = app.anonymous().post("/api/v1/auth/mfa/passkey/options", &json!({ "mfaToken": token })).await.assert(200);
    assert_eq!(unb64(question.json()["publicKey"]["allowCredentials"][0]["id"].as_str().unwrap()), key.id);
    let body = |answer: Value| json!({ "mfaToken": token, "method": "passkey", "ceremonyId": question.at("/ceremonyId"), "credential": answer });
    // The question of this sign-in is none of a sign-in without a password, nor the other way round.
    let answer = key.sign(&question.json()["publicKey"]);
    let loose = json!({ "ceremonyId": question.at("/ceremonyId"), "credential": answer });
    app.anonymous().post("/api/v1/auth/passkey/login", &loose).await.assert_problem(401, "invalid_passkey");
    let entered = app.anonymous().post("/api/v1/auth/mfa/verify", &body(answer)).await.assert(200);
    let told = app.anonymous().bearer(&entered.at("/tokens/accessToken")).get("/api/v1/auth/token").await;
    assert_eq!(list(&told, "/amr"), ["pwd", "pop", "mfa"]);
});

on_both!(every_part_of_an_answer_must_be_right, |app| {
    let (_, mut key) = app.with_passkey(ADA).await;
    let refuse = async |what: &str, change: &dyn Fn(&mut Authenticator), answer: &dyn Fn(&mut Authenticator, &Value) -> Value, key: &mut Authenticator| {
        let question = asked(&app).await;
        let (origin, rp, verifies) = (key.origin.clone(), key.rp.clone(), key.verifies);
        change(key);
        let answer = answer(key, &question.json()["publicKey"]);
        (key.origin, key.rp, key.verifies) = (origin, rp, verifies);
        let reply = answered(&app, &question, &answer).await;
        assert_eq!((reply.status.as_u16(), reply.at("/code")), (401, "invalid_passkey".to_owned()), "{what}");
    };
    let sign = |key: &mut Authenticator, options: &Value| key.sign(options);
    for origin in ["https://evil.example", "http://localhost:8081", "https://localhost:8080", "http://localhost.evil.example:8080", "http://127.0.0.1:8080"] {
        refuse(origin, &|key| key.origin = origin.to_owned(), &sign, &mut key).await;
    }
    refuse("another rpId", &|key| key.rp = "evil.example".to_owned(), &sign, &mut key).await;
    refuse("nobody was checked", &|key| key.verifies = false, &sign, &mut key).await;
    refuse("another challenge", &|_| {}, &|key, _| key.sign_for("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), &mut key).await;
    let spoil = |pointer: &'static str, value: Value| {
        move |key: &mut Authenticator, options: &Value| {
            let mut answer = key.sign(options);
            *answer.pointer_mut(pointer).unwrap() = value.clone();
            answer
        }
    };
    for (pointer, value) in [
        ("/response/signature", json!("MEUCIQ")),
        ("/response/userHandle", json!(null)),
        ("/response/userHandle", json!("AAAAAAAAAAAAAAAAAAAAAA")),
        ("/response/clientDataJSON", json!("e30")),
        ("/response/authenticatorData", json!("")),
        ("/rawId", json!("AAAA")),
        ("/response", json!({})),
        ("/type", json!(7)),
    ] {
        refuse(pointer, &|_| {}, &spoil(pointer, value), &mut key).await;
    }
    // Another key under the name of this one.
    let mut thief = Authenticator::new();
    (thief.id, thief.holder, thief.count) = (key.id.clone(), key.holder.clone(), 1_000);
    app.anonymous().passkey_login(&mut thief).await.assert_problem(401, "invalid_passkey");
    app.anonymous().passkey_login(&mut key).await.assert(200);
});

on_both!(a_question_is_good_for_one_answer_and_ten_minutes, |app| {
    let (_, mut key) = app.with_passkey(ADA).await;
    let question = asked(&app).await;
    let answer = key.sign(&question.json()["publicKey"]);
    answered(&app, &question, &answer).await.assert(200);
    answered(&app, &question, &answer).await.assert_problem(401, "invalid_passkey");
    let question = asked(&app).await;
    let answer = key.sign(&question.json()["publicKey"]);
    app.advance(chrono::TimeDelta::minutes(10));
    answered(&app, &question, &answer).await.assert_problem(401, "invalid_passkey");
    for ceremony in ["", "x", "01997b2e-6b1c-7d3a-9c55-0d5f0e9a7c11"] {
        let body = json!({ "ceremonyId": ceremony, "credential": answer });
        app.anonymous().post("/api/v1/auth/passkey/login", &body).await.assert_problem(401, "invalid_passkey");
    }
});

on_both!(a_counter_that_goes_back_is_a_copy_and_told, |app| {
    let (_, mut key) = app.with_passkey(ADA).await;
    app.anonymous().passkey_login(&mut key).await.assert(200);
    key.count = 0;
    app.anonymous().passkey_login(&mut key).await.assert_problem(401, "invalid_passkey");
    assert_eq!(app.count("audit_events WHERE action = 'passkey.cloned'").await, 1);
    key.count = 50;
    app.anonymous().passkey_login(&mut key).await.assert(200);
});

on_both!(of_one_signature_count_one_is_in, |app| {
    let (_, mut key) = app.with_passkey(ADA).await;
    (key.counts, key.count) = (false, 9);
    let mut bodies = Vec::new();
    for _ in 0..8 {
        let question = asked(&app).await;
        bodies.push(json!({ "ceremonyId": question.at("/ceremonyId"), "credential": key.sign(&question.json()["publicKey"]) }));
    }
    let (node, bodies) = (std::sync::Arc::clone(app.app()), std::sync::Arc::new(bodies));
    let results = at_once(8, move |number| {
        let (node, bodies) = (std::sync::Arc::clone(&node), std::sync::Arc::clone(&bodies));
        async move {
            let ctx = crate::guesses::stranger(&node, "localhost", "198.51.100.1", None).await;
            let body = &bodies[number];
            realmgate::service::passkey_login::with_passkey(&node, &ctx, body["ceremonyId"].as_str().unwrap(), &body["credential"]).await.is_ok()
        }
    })
    .await;
    assert_eq!(results.iter().filter(|entered| **entered).count(), 1, "{results:?}");
});

on_both!(authenticators_that_do_not_count_are_fine, |app| {
    let ada = app.user(ADA).await;
    let mut key = Authenticator::new();
    key.counts = false;
    app.anonymous().bearer(&ada.access).add_passkey(&mut key).await.assert(201);
    for _ in 0..3 {
        app.anonymous().passkey_login(&mut key).await.assert(200);
    }
});

on_both!(what_is_made_must_be_what_was_asked_for, |app| {
    let ada = app.user(ADA).await;
    let client = app.anonymous().bearer(&ada.access);
    let refuse = async |what: &str, change: &dyn Fn(&mut Authenticator)| {
        let mut key = Authenticator::new();
        change(&mut key);
        let reply = client.add_passkey(&mut key).await;
        assert_eq!((reply.status.as_u16(), reply.at("/code")), (401, "invalid_passkey".to_owned()), "{what}");
    };
    refuse("a foreign origin", &|key| key.origin = "https://evil.example".to_owned()).await;
    refuse("another rpId", &|key| key.rp = "evil.example".to_owned()).await;
    refuse("nobody was checked", &|key| key.verifies = false).await;
    // EdDSA and SHA-512 were not offered.
    refuse("EdDSA", &|key| key.algorithm = -8).await;
    refuse("ES512", &|key| key.algorithm = -36).await;
    refuse("an id that is too long", &|key| key.id = vec![7; 1_024]).await;
    let question = client.post("/api/v1/me/passkeys/options", &json!({})).await.assert(200);
    let mut key = Authenticator::new();
    let wrong = key.make_for("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    let body = |answer: &Value, name: &str| json!({ "name": name, "ceremonyId": question.at("/ceremonyId"), "credential": answer });
    client.post("/api/v1/me/passkeys", &body(&wrong, "x")).await.assert_problem(401, "invalid_passkey");
    client.post("/api/v1/me/passkeys", &body(&json!({}), "x")).await.assert_problem(401, "invalid_passkey");
    client.post("/api/v1/me/passkeys", &body(&wrong, "")).await.assert_problem(422, "validation_failed");
    client.post("/api/v1/me/passkeys", &json!({ "name": "x", "ceremonyId": "x", "credential": "x" })).await.assert_problem(400, "invalid_request");
    assert_eq!(app.count("passkeys").await, 0);
    // Half done it counts for nothing.
    app.anonymous().log_in(ADA, PASSWORD).await.assert(200);
});

on_both!(one_key_has_one_person, |app| {
    let (ada, mut key) = app.with_passkey(ADA).await;
    let grace = app.user("grace@example.com").await;
    app.anonymous().bearer(&grace.access).add_passkey(&mut key).await.assert_problem(409, "taken");
    let mut own = Authenticator::new();
    app.anonymous().bearer(&grace.access).add_passkey(&mut own).await.assert(201);
    // Grace's key says that it is Ada's.
    own.holder = uuid::Uuid::parse_str(&ada.id).unwrap().as_bytes().to_vec();
    app.anonymous().passkey_login(&mut own).await.assert_problem(401, "invalid_passkey");
});

on_both!(a_question_asked_of_one_person_is_no_other_persons, |app| {
    let ada = app.user(ADA).await;
    let grace = app.user("grace@example.com").await;
    let question = app.anonymous().bearer(&ada.access).post("/api/v1/me/passkeys/options", &json!({})).await.assert(200);
    let mut key = Authenticator::new();
    let body = json!({ "name": "x", "ceremonyId": question.at("/ceremonyId"), "credential": key.make(&question.json()["publicKey"]) });
    app.anonymous().bearer(&grace.access).post("/api/v1/me/passkeys", &body).await.assert_problem(401, "invalid_passkey");
    // Nor another session's of the same person.
    let again = app.anonymous().log_in(ADA, PASSWORD).await.user("localhost", ADA);
    app.anonymous().bearer(&again.access).post("/api/v1/me/passkeys", &body).await.assert_problem(401, "invalid_passkey");
    app.anonymous().bearer(&ada.access).post("/api/v1/me/passkeys", &body).await.assert(201);
});

on_both!(a_realm_may_want_no_check_beside_a_password_but_always_wants_one_alone, |app| {
    app.settings_of("localhost", |settings| settings.passkey_user_verification = UserVerification::Preferred).await;
    let ada = app.user(ADA).await;
    let mut key = Authenticator::new();
    key.verifies = false;
    app.anonymous().bearer(&ada.access).add_passkey(&mut key).await.assert(201);
    let token = app.anonymous().first_half(ADA).await;
    let question = app.anonymous().post("/api/v1/auth/mfa/passkey/options", &json!({ "mfaToken": token })).await.assert(200);
    let answer = key.sign(&question.json()["publicKey"]);
    let body = json!({ "mfaToken": token, "method": "passkey", "ceremonyId": question.at("/ceremonyId"), "credential": answer });
    app.anonymous().post("/api/v1/auth/mfa/verify", &body).await.assert(200);
    app.anonymous().passkey_login(&mut key).await.assert_problem(401, "invalid_passkey");
});

on_both!(the_domain_of_a_realms_keys_comes_from_its_settings, |app| {
    app.realm("acme.example.com").await;
    app.settings_of("acme.example.com", |settings| {
        settings.passkey_domain = Some("example.com".to_owned());
        settings.allowed_origins = vec!["https://app.example.com".to_owned(), "https://elsewhere.example".to_owned()];
    })
    .await;
    let ada = app.user_in("acme.example.com", ADA).await;
    let client = app.anonymous().bearer(&ada.access).header("host", "evil.example");
    let client = client.header("host", "127.0.0.1:8080").header("x-forwarded-host", "evil.example").header("origin", "https://evil.example");
    for (origin, status) in
        [("https://app.example.com", 201), ("https://elsewhere.example", 401), ("https://evil.example", 401), ("http://acme.example.com:8080", 201)]
    {
        let mut key = Authenticator::new();
        (key.origin, key.rp) = (origin.to_owned(), "example.com".to_owned());
        // A factor that is there would want to be shown first.
        let again = client.add_passkey(&mut key).await;
        assert_eq!(again.status.as_u16(), status, "{origin}: {}", again.text());
        app.app().db.write.execute_unprepared("DELETE FROM passkeys").await.unwrap();
    }
});

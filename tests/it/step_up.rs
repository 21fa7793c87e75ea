//! Fresh proofs: what asks for one, what makes one, and what never can.

use chrono::TimeDelta;
use serde_json::json;

use crate::{
    on_both,
    support::{
        PASSWORD, TestApp,
        authenticator::Authenticator,
        factors::{Enrolled, list},
        keys::{Key, plain_key},
        people::OTHER,
    },
};

const ADA: &str = "ada@example.com";

/// What wants a proof of the last ten minutes.
async fn grave(app: &TestApp, access: &str) -> Vec<crate::support::Reply> {
    let client = app.anonymous().bearer(access);
    vec![
        client.post("/api/v1/auth/logout", &json!({ "everywhere": true })).await,
        client.put("/api/v1/me/password", &json!({ "newPassword": OTHER })).await,
        client.post("/api/v1/me/email", &json!({ "email": "new@example.com" })).await,
        client.send(poem::http::Method::DELETE, "/api/v1/me", Some("application/json"), "{}").await,
        client.begin_totp().await,
        client.confirm_totp("123456").await,
        client.delete("/api/v1/me/mfa/totp").await,
        client.post("/api/v1/me/mfa/recovery-codes", &json!({})).await,
        client.post("/api/v1/me/passkeys/options", &json!({})).await,
        client.delete("/api/v1/me/passkeys/01997b2e-6b1c-7d3a-9c55-0d5f0e9a7c11").await,
    ]
}

on_both!(after_ten_minutes_grave_things_ask_who_calls, |app| {
    let ada = app.user(ADA).await;
    let client = app.anonymous().bearer(&ada.access);
    app.advance(TimeDelta::seconds(600));
    client.begin_totp().await.assert(200);
    app.advance(TimeDelta::seconds(1));
    for reply in grave(&app, &ada.access).await {
        let reply = reply.assert_problem(401, "step_up_required");
        assert_eq!(list(&reply, "/methods"), ["password"]);
        assert_eq!(reply.header("www-authenticate"), r#"Bearer realm="realmgate", error="insufficient_user_authentication", max_age=600"#);
    }
    client.step_up("password", "password", OTHER).await.assert_problem(403, "wrong_password");
    client.step_up("totp", "code", "123456").await.assert_problem(403, "not_permitted");
    client.step_up("password", "code", "123456").await.assert_problem(422, "validation_failed");
    client.step_up("smell", "code", "123456").await.assert_problem(422, "validation_failed");
    let renewed = client.step_up("password", "password", PASSWORD).await.assert(200).at("/accessToken");
    app.anonymous().bearer(&renewed).begin_totp().await.assert(200);
    // The old token stays what it was; the session's next one tells of the proof, too.
    client.begin_totp().await.assert_problem(401, "step_up_required");
    let refreshed = app.anonymous().refresh(&ada.refresh).await.assert(200).at("/accessToken");
    app.anonymous().bearer(&refreshed).begin_totp().await.assert(200);
    app.advance(TimeDelta::seconds(601));
    for reply in grave(&app, &renewed).await {
        reply.assert_problem(401, "step_up_required");
    }
});

on_both!(the_password_with_the_request_is_a_proof_of_that_moment, |app| {
    let ada = app.user(ADA).await;
    app.advance(TimeDelta::minutes(11));
    let client = app.anonymous().bearer(&ada.access);
    client.post("/api/v1/me/email", &json!({ "email": "new@example.com", "password": PASSWORD })).await.assert(202);
    client.change_password(OTHER, OTHER).await.assert_problem(403, "wrong_password");
    client.change_password(PASSWORD, OTHER).await.assert(204);
    // And a fresh proof is one without it.
    let renewed = client.step_up("password", "password", OTHER).await.assert(200).at("/accessToken");
    let client = app.anonymous().bearer(&renewed);
    client.put("/api/v1/me/password", &json!({ "newPassword": PASSWORD })).await.assert(204);
    client.post("/api/v1/me/email", &json!({ "email": "newer@example.com" })).await.assert(202);
    client.send(poem::http::Method::DELETE, "/api/v1/me", Some("application/json"), "{}").await.assert(204);
});

on_both!(whoever_has_a_factor_proves_themselves_by_it, |app| {
    let Enrolled { user, secret, codes } = app.enrolled(ADA).await;
    app.advance(TimeDelta::minutes(11));
    let client = app.anonymous().bearer(&user.access);
    let refused = client.begin_totp().await.assert_problem(401, "step_up_required");
    assert_eq!(list(&refused, "/methods"), ["totp", "recovery_code"]);
    client.step_up("password", "password", PASSWORD).await.assert_problem(403, "not_permitted");
    client.step_up("totp", "code", &app.wrong_code(&secret)).await.assert_problem(401, "invalid_code");
    let code = app.code(&secret);
    let renewed = client.step_up("totp", "code", &code).await.assert(200).at("/accessToken");
    client.step_up("totp", "code", &code).await.assert_problem(401, "invalid_code");
    let told = app.anonymous().bearer(&renewed).get("/api/v1/auth/token").await;
    assert_eq!(list(&told, "/amr"), ["pwd", "otp", "mfa"]);
    app.advance(TimeDelta::minutes(11));
    let renewed = app.anonymous().bearer(&renewed).step_up("recovery_code", "code", &codes[0]).await.assert(200).at("/accessToken");
    app.anonymous().bearer(&renewed).delete("/api/v1/me/mfa/totp").await.assert(204);
});

on_both!(a_session_that_steps_up_slows_its_own_guesses_down, |app| {
    let Enrolled { user, secret, .. } = app.enrolled(ADA).await;
    let client = app.anonymous().bearer(&user.access);
    for _ in 0..5 {
        client.step_up("totp", "code", &app.wrong_code(&secret)).await.assert_problem(401, "invalid_code");
    }
    client.step_up("totp", "code", &app.code(&secret)).await.assert_problem(401, "invalid_code");
    app.advance(TimeDelta::seconds(30));
    client.step_up("totp", "code", &app.code(&secret)).await.assert(200);
});

on_both!(a_passkey_is_a_fresh_proof_where_it_was_asked_for, |app| {
    let (ada, mut key) = app.with_passkey(ADA).await;
    let mut stranger = Authenticator::new();
    app.advance(TimeDelta::minutes(11));
    let client = app.anonymous().bearer(&ada.access);
    let ask = async || client.post("/api/v1/auth/step-up/passkey/options", &json!({})).await.assert(200);
    let prove = async |ceremony: String, credential: serde_json::Value| {
        client.post("/api/v1/auth/step-up", &json!({ "method": "passkey", "ceremonyId": ceremony, "credential": credential })).await
    };
    let asked = ask().await;
    prove(asked.at("/ceremonyId"), stranger.sign(&asked.json()["publicKey"])).await.assert_problem(401, "invalid_passkey");
    // That was the question's one answer.
    prove(asked.at("/ceremonyId"), key.sign(&asked.json()["publicKey"])).await.assert_problem(401, "invalid_passkey");
    let asked = ask().await;
    let answer = key.sign(&asked.json()["publicKey"]);
    let renewed = prove(asked.at("/ceremonyId"), answer.clone()).await.assert(200).at("/accessToken");
    prove(asked.at("/ceremonyId"), answer).await.assert_problem(401, "invalid_passkey");
    app.anonymous().bearer(&renewed).begin_totp().await.assert(200);
    // Asked in one session, good in no other.
    let asked = ask().await;
    let other = app.anonymous().passkey_login(&mut key).await.assert(200).at("/tokens/accessToken");
    let body = json!({ "method": "passkey", "ceremonyId": asked.at("/ceremonyId"), "credential": key.sign(&asked.json()["publicKey"]) });
    app.anonymous().bearer(&other).post("/api/v1/auth/step-up", &body).await.assert_problem(401, "invalid_passkey");
});

on_both!(a_key_never_proves_a_person, |app| {
    let ada = app.owner(ADA).await;
    let key = Key::of(app.anonymous().bearer(&ada.user.access).make_key(&ada.account, &plain_key()).await);
    let client = app.anonymous().bearer(&key.text);
    client.step_up("password", "password", PASSWORD).await.assert_problem(403, "not_permitted");
    client.begin_totp().await.assert_problem(403, "not_permitted");
});

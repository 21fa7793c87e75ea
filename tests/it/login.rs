//! Signing in: what strangers can't learn, what the owner is told, how stored hashes keep up with the settings.
//! Every refusal without the right password is one and the same reply.

use serde_json::json;

use crate::{
    on_both,
    support::{
        Backend, PASSWORD, TestApp,
        people::{OTHER, camel, with},
    },
};

const LOGIN: &str = "/api/v1/auth/login";

on_both!(refusals_without_the_right_password_are_all_alike, |app| {
    app.realm("acme.example.com").await;
    app.user("known@example.com").await;
    app.user("locked@example.com").await;
    app.lock("locked@example.com").await;
    app.unverified("waiting@example.com").await;
    app.user_in("acme.example.com", "elsewhere@example.com").await;
    let unknown = app.anonymous().log_in("nobody@example.com", OTHER).await.assert_problem(401, "invalid_credentials");
    assert!(unknown.header("www-authenticate").starts_with("Bearer"));
    for email in ["known@example.com", "locked@example.com", "waiting@example.com", "elsewhere@example.com"] {
        app.anonymous().log_in(email, OTHER).await.assert_like(&unknown);
    }
    app.anonymous().log_in("elsewhere@example.com", PASSWORD).await.assert_like(&unknown);
    for garbage in ["", "@", "nobody", "a@b@c.example", "ada＠example.com", "x'; DROP TABLE users; --", "\u{202e}@example.com"] {
        app.anonymous().log_in(garbage, OTHER).await.assert_like(&unknown);
    }
    for password in ["", " ", &"x".repeat(1_025), &PASSWORD.to_uppercase(), &format!("{PASSWORD} ")] {
        app.anonymous().log_in("known@example.com", password).await.assert_like(&unknown);
    }
    // Those of the two people who signed in on the way here; the lock ended the third.
    assert_eq!(app.sql("SELECT COUNT(*) AS v FROM sessions WHERE ended_at IS NULL").await, ["2"]);
});

on_both!(an_unverified_user_is_told_so_after_the_right_password, |app| {
    let token = app.unverified("ada@example.com").await;
    app.anonymous().log_in("ada@example.com", PASSWORD).await.assert_problem(403, "email_not_verified");
    assert_eq!(app.count("sessions").await, 0);
    app.anonymous().verify(&token).await.assert(200);
    app.anonymous().log_in("ada@example.com", PASSWORD).await.assert(200);
});

on_both!(a_locked_user_is_told_so_after_the_right_password, |app| {
    let ada = app.user("ada@example.com").await;
    app.lock("ada@example.com").await;
    app.anonymous().log_in("ada@example.com", PASSWORD).await.assert_problem(403, "account_locked");
    let dead = app.anonymous().bearer(&ada.access).me().await.assert_problem(401, "session_ended");
    assert_eq!(dead.at("/reason"), "user_disabled");
    realmgate::service::users::unlock(app.app(), &app.operator().await, "ada@example.com").await.unwrap();
    app.anonymous().bearer(&ada.access).me().await.assert_problem(401, "session_ended");
    app.anonymous().log_in("ada@example.com", PASSWORD).await.assert(200);
});

on_both!(a_locked_and_unverified_user_is_told_of_the_lock, |app| {
    let token = app.unverified("ada@example.com").await;
    app.lock("ada@example.com").await;
    app.anonymous().log_in("ada@example.com", PASSWORD).await.assert_problem(403, "account_locked");
    app.anonymous().verify(&token).await.assert_problem(400, "invalid_token");
});

on_both!(a_lock_counts_on_every_node, |app| {
    let ada = app.user("ada@example.com").await;
    let second = app.join(2).await;
    second.anonymous().bearer(&ada.access).me().await.assert(200);
    app.lock("ada@example.com").await;
    second.anonymous().log_in("ada@example.com", PASSWORD).await.assert_problem(403, "account_locked");
    second.follow_changes().await;
    second.anonymous().bearer(&ada.access).me().await.assert_problem(401, "session_ended");
});

on_both!(the_reply_of_a_sign_in_holds_what_the_contract_says, |app| {
    app.user("ada@example.com").await;
    let reply = app.anonymous().log_in(" ADA@example.COM ", PASSWORD).await.assert(200);
    assert_eq!(reply.at("/user/email"), "ada@example.com");
    assert_eq!(reply.json()["user"]["emailVerified"], true);
    assert_eq!(reply.at("/tokens/tokenType"), "Bearer");
    assert_eq!(reply.json()["tokens"]["expiresIn"], 900);
    assert_eq!(reply.json()["tokens"]["refreshExpiresIn"], 7 * 86_400);
    assert_eq!(reply.json()["session"]["current"], true);
    assert!(reply.header("cache-control").contains("no-store"), "{}", reply.header("cache-control"));
});

on_both!(a_password_is_compared_as_the_bytes_that_came, |app| {
    // The composed and the decomposed spelling look the same and are two passwords.
    let (composed, decomposed) = ("na\u{ef}ve harbour otter", "nai\u{308}ve harbour otter");
    app.anonymous().sign_up("ada@example.com", composed).await.assert(202);
    app.run_jobs().await;
    app.anonymous().verify(&app.last_mail("ada@example.com").await.token()).await.assert(200);
    app.anonymous().log_in("ada@example.com", decomposed).await.assert_problem(401, "invalid_credentials");
    app.anonymous().log_in("ada@example.com", &format!(" {composed}")).await.assert_problem(401, "invalid_credentials");
    app.anonymous().log_in("ada@example.com", composed).await.assert(200);
});

on_both!(an_extra_field_is_refused_and_begins_nothing, |app| {
    app.user("ada@example.com").await;
    let sessions = app.count("sessions").await;
    let base = json!({ "email": "ada@example.com", "password": PASSWORD });
    let columns = [app.columns("users").await, app.columns("sessions").await].concat();
    for column in columns.into_iter().filter(|column| column != "email") {
        for field in [column.clone(), camel(&column)] {
            let reply = app.anonymous().post(LOGIN, &with(&base, &field, json!("x"))).await.assert_problem(400, "invalid_request");
            assert_eq!(reply.faults(), [format!("{field}:unknown")]);
        }
    }
    assert_eq!(app.count("sessions").await, sessions);
});

on_both!(a_sign_in_renews_a_hash_of_other_costs, |app| {
    app.user("ada@example.com").await;
    let old = app.hash_of("ada@example.com").await;
    assert!(old.contains("m=64,t=1,"), "{old}");
    app.anonymous().log_in("ada@example.com", PASSWORD).await.assert(200);
    assert_eq!(app.hash_of("ada@example.com").await, old, "same costs, same hash");
    let dearer = app.join_with(2, |settings| (settings.hash_memory_kib, settings.hash_iterations) = (128, 2)).await;
    dearer.anonymous().log_in("ada@example.com", OTHER).await.assert_problem(401, "invalid_credentials");
    assert_eq!(app.hash_of("ada@example.com").await, old, "a wrong password renews nothing");
    dearer.anonymous().log_in("ada@example.com", PASSWORD).await.assert(200);
    let renewed = app.hash_of("ada@example.com").await;
    assert!(renewed.contains("m=128,t=2,"), "{renewed}");
    assert_eq!(app.count("credentials").await, 1, "the old hash is gone");
    dearer.anonymous().log_in("ada@example.com", PASSWORD).await.assert(200);
    assert_eq!(app.hash_of("ada@example.com").await, renewed);
    // A node that has not got the new settings yet still takes the password.
    app.anonymous().log_in("ada@example.com", PASSWORD).await.assert(200);
});

on_both!(renewing_a_hash_ends_nothing, |app| {
    let ada = app.user("ada@example.com").await;
    let reset = app.reset_token("ada@example.com").await;
    let dearer = app.join_with(2, |settings| settings.hash_iterations = 2).await;
    dearer.anonymous().log_in("ada@example.com", PASSWORD).await.assert(200);
    dearer.follow_changes().await;
    app.anonymous().bearer(&ada.access).me().await.assert(200);
    app.anonymous().reset(&reset, OTHER).await.assert(204);
});

on_both!(a_failed_sign_in_leaves_a_line_that_names_no_address, |app| {
    app.user("ada@example.com").await;
    app.anonymous().log_in("ada@example.com", OTHER).await.assert(401);
    app.anonymous().log_in("nobody@example.com", OTHER).await.assert(401);
    let lines = app.sql("SELECT actor_kind AS v FROM audit_events WHERE action = 'user.login_failed'").await;
    assert_eq!(lines, ["anonymous", "anonymous"]);
    for column in app.text_columns().await.into_iter().filter(|column| column.table == "audit_events") {
        assert!(!column.values.iter().any(|value| value.contains("example.com")), "{}", column.column);
    }
});

/// The costs that a node is given hold from the first hash on.
#[tokio::test]
async fn the_configured_costs_are_the_stored_ones() {
    let app = TestApp::with(Backend::Sqlite, |settings| (settings.hash_memory_kib, settings.hash_iterations) = (256, 3)).await.unwrap();
    app.unverified("ada@example.com").await;
    let hash = app.hash_of("ada@example.com").await;
    assert!(hash.starts_with("$argon2id$v=19$m=256,t=3,p=1,keyid="), "{hash}");
}

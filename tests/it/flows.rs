//! The life of a person, from sign-up to log-out.

use serde_json::json;

use crate::{on_both, support::PASSWORD};

on_both!(the_whole_life, |app| {
    let ada = app.user("ada@example.com").await;
    let me = app.anonymous().bearer(&ada.access).get("/api/v1/me").await.assert(200);
    assert_eq!(me.at("/email"), "ada@example.com");
    assert_eq!(me.at("/accounts/0/role"), "owner");
    let next = app.anonymous().refresh(&ada.refresh).await.assert(200);
    let list = app.anonymous().bearer(&next.at("/accessToken")).get("/api/v1/me/sessions").await.assert(200);
    assert_eq!(list.at("/items/0/current"), "true");
    app.anonymous().post("/api/v1/auth/password/forgot", &json!({ "email": "ada@example.com" })).await.assert(202);
    app.run_jobs().await;
    let token = app.last_mail("ada@example.com").await.token();
    app.anonymous().post("/api/v1/auth/password/reset", &json!({ "token": token, "newPassword": "another harbour otter" })).await.assert(204);
    let dead = app.anonymous().bearer(&ada.access).get("/api/v1/me").await.assert_problem(401, "session_ended");
    assert_eq!(dead.at("/reason"), "password_changed");
    app.anonymous().log_in("ada@example.com", PASSWORD).await.assert_problem(401, "invalid_credentials");
    let again = app.anonymous().log_in("ada@example.com", "another harbour otter").await.user("localhost", "ada@example.com");
    app.anonymous().bearer(&again.access).post("/api/v1/auth/logout", &json!({})).await.assert(204);
    let dead = app.anonymous().bearer(&again.access).get("/api/v1/me").await.assert_problem(401, "session_ended");
    assert_eq!(dead.at("/reason"), "logged_out");
});

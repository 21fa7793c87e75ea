//! Two nodes on one database: what one of them changes, the other knows after its next look at the feed, and at once if
//! it has to ask the database. A restart is a node that joins.

use chrono::TimeDelta;
use realmgate::{
    domain::realm::{RealmSettings, RealmStatus},
    service::{realms, users},
};
use serde_json::json;

use crate::{
    on_both,
    support::{Node, PASSWORD, Reply, TestApp, User},
};

const ADA: &str = "ada@example.com";

async fn me(node: &Node, user: &User) -> Reply {
    node.anonymous().bearer(&user.access).get("/api/v1/me").await
}

#[track_caller]
fn ended(reply: Reply, reason: &str) {
    assert_eq!(reply.assert_problem(401, "session_ended").at("/reason"), reason);
}

async fn log_out(node: &Node, user: &User) {
    node.anonymous().bearer(&user.access).post("/api/v1/auth/logout", &json!({})).await.assert(204);
}

/// A person whose token the second node has verified already.
async fn known_to(app: &TestApp, node: &Node) -> User {
    let user = app.user(ADA).await;
    node.follow_changes().await;
    me(node, &user).await.assert(200);
    user
}

on_both!(a_token_of_one_node_is_good_at_the_other, |app| {
    let other = app.join(2).await;
    let ada = known_to(&app, &other).await;
    let there = other.anonymous().log_in(ADA, PASSWORD).await.user("localhost", ADA);
    me(&app.node, &there).await.assert(200);
    let list = app.anonymous().bearer(&ada.access).get("/api/v1/me/sessions").await.assert(200);
    assert_eq!(list.json()["items"].as_array().unwrap().len(), 2);
    let next = other.anonymous().refresh(&ada.refresh).await.assert(200);
    app.anonymous().refresh(&next.at("/refreshToken")).await.assert(200);
});

on_both!(a_log_out_reaches_a_node_that_knows_the_token, |app| {
    let other = app.join(2).await;
    let ada = known_to(&app, &other).await;
    log_out(&app.node, &ada).await;
    ended(me(&app.node, &ada).await, "logged_out");
    other.follow_changes().await;
    ended(me(&other, &ada).await, "logged_out");
    // And again, for what is remembered must not wear off.
    other.follow_changes().await;
    ended(me(&other, &ada).await, "logged_out");
});

on_both!(a_log_out_holds_at_once_where_the_token_is_not_known, |app| {
    let other = app.join(2).await;
    let ada = app.user(ADA).await;
    log_out(&app.node, &ada).await;
    ended(me(&other, &ada).await, "logged_out");
    let reply = other.anonymous().refresh(&ada.refresh).await.assert_problem(401, "invalid_refresh_token");
    assert_eq!(reply.at("/reason"), "logged_out");
    // One word from the refresh is enough for a node that knew the access token.
    let bob = app.user("bob@example.com").await;
    me(&other, &bob).await.assert(200);
    log_out(&app.node, &bob).await;
    other.anonymous().refresh(&bob.refresh).await.assert(401);
    ended(me(&other, &bob).await, "logged_out");
});

on_both!(every_end_of_a_session_reaches_the_other_node, |app| {
    let other = app.join(2).await;
    let ada = known_to(&app, &other).await;
    let log_in = async || {
        app.advance(TimeDelta::milliseconds(1));
        let user = app.anonymous().log_in(ADA, PASSWORD).await.user("localhost", ADA);
        me(&other, &user).await.assert(200);
        user
    };
    let revoked = log_in().await;
    app.anonymous().bearer(&ada.access).delete(&format!("/api/v1/me/sessions/{}", revoked.session)).await.assert(204);
    let reused = log_in().await;
    app.anonymous().refresh(&reused.refresh).await.assert(200);
    app.advance(TimeDelta::seconds(11));
    app.anonymous().refresh(&reused.refresh).await.assert(401);
    for _ in 0..5 {
        log_in().await;
    }
    other.follow_changes().await;
    ended(me(&other, &revoked).await, "revoked");
    ended(me(&other, &reused).await, "refresh_reuse");
    ended(me(&other, &ada).await, "evicted_by_limit");
    let asks = log_in().await;
    let beside = log_in().await;
    let change = json!({ "currentPassword": PASSWORD, "newPassword": "another harbour otter" });
    app.anonymous().bearer(&asks.access).put("/api/v1/me/password", &change).await.assert(204);
    other.follow_changes().await;
    ended(me(&other, &beside).await, "password_changed");
    me(&other, &asks).await.assert(200);
    users::lock(app.app(), &app.operator().await, ADA).await.unwrap();
    other.follow_changes().await;
    ended(me(&other, &asks).await, "user_disabled");
    other.anonymous().log_in(ADA, "another harbour otter").await.assert_problem(403, "account_locked");
});

on_both!(a_log_out_everywhere_is_heard_everywhere, |app| {
    let other = app.join(2).await;
    let ada = known_to(&app, &other).await;
    let there = other.anonymous().log_in(ADA, PASSWORD).await.user("localhost", ADA);
    let bob = app.user("bob@example.com").await;
    app.anonymous().bearer(&ada.access).post("/api/v1/auth/logout", &json!({ "everywhere": true })).await.assert(204);
    other.follow_changes().await;
    for node in [&app.node, &other] {
        ended(me(node, &ada).await, "logged_out");
        ended(me(node, &there).await, "logged_out");
        me(node, &bob).await.assert(200);
    }
});

on_both!(a_changed_profile_reaches_the_other_node, |app| {
    let other = app.join(2).await;
    let ada = known_to(&app, &other).await;
    for name in ["Ada Lovelace", "Countess of Lovelace"] {
        app.anonymous().bearer(&ada.access).patch("/api/v1/me", &json!({ "name": name })).await.assert(200);
        assert_eq!(me(&app.node, &ada).await.assert(200).at("/name"), name);
        other.follow_changes().await;
        assert_eq!(me(&other, &ada).await.assert(200).at("/name"), name);
    }
});

on_both!(a_realm_that_changes_reaches_the_other_node, |app| {
    let other = app.join(2).await;
    // The other node has learned that there is no such realm.
    other.anonymous().realm("shop.example").log_in(ADA, PASSWORD).await.assert_problem(404, "realm_not_found");
    app.realm("shop.example").await;
    other.follow_changes().await;
    let ada = app.user_in("shop.example", ADA).await;
    other.anonymous().realm("shop.example").log_in(ADA, PASSWORD).await.assert(200);
    me(&other, &ada).await.assert(200);
    let set = async |status| {
        let change = realms::RealmChange { status: Some(status), ..realms::RealmChange::default() };
        realms::change(app.app(), &app.operator().await, "shop.example", change).await.unwrap();
        other.follow_changes().await;
    };
    set(RealmStatus::Suspended).await;
    me(&other, &ada).await.assert_problem(403, "realm_suspended");
    other.anonymous().realm("shop.example").log_in(ADA, PASSWORD).await.assert_problem(403, "realm_suspended");
    set(RealmStatus::Active).await;
    me(&other, &ada).await.assert(200);
    let settings = RealmSettings { max_sessions: 1, ..RealmSettings::default() };
    let change = realms::RealmChange { settings: Some(settings), ..realms::RealmChange::default() };
    realms::change(app.app(), &app.operator().await, "shop.example", change).await.unwrap();
    other.follow_changes().await;
    let only = other.anonymous().realm("shop.example").log_in(ADA, PASSWORD).await.user("shop.example", ADA);
    let list = other.anonymous().bearer(&only.access).get("/api/v1/me/sessions").await.assert(200);
    assert_eq!(list.json()["items"].as_array().unwrap().len(), 1);
});

on_both!(a_restart_keeps_what_was_promised, |app| {
    let ada = app.user(ADA).await;
    let gone = app.anonymous().log_in(ADA, PASSWORD).await.user("localhost", ADA);
    log_out(&app.node, &gone).await;
    let restarted = app.join(2).await;
    me(&restarted, &ada).await.assert(200);
    ended(me(&restarted, &gone).await, "logged_out");
    restarted.anonymous().refresh(&ada.refresh).await.assert(200);
    restarted.anonymous().refresh(&gone.refresh).await.assert_problem(401, "invalid_refresh_token");
    restarted.anonymous().log_in(ADA, PASSWORD).await.assert(200);
});

on_both!(a_mail_owed_by_a_node_that_died_is_sent_by_another, |app| {
    app.anonymous().sign_up(ADA, PASSWORD).await.assert(202);
    let other = app.join(2).await;
    app.advance(TimeDelta::milliseconds(1));
    let (mine, theirs) = tokio::join!(realmgate::service::jobs::run_due(&app.node.app), realmgate::service::jobs::run_due(&other.app));
    assert_eq!(mine.unwrap() + theirs.unwrap(), 1, "one of them takes it");
    assert_eq!(app.mails(ADA).await.len(), 1);
    let token = app.last_mail(ADA).await.token();
    // Whoever mailed it, each node takes the token, once.
    other.anonymous().post("/api/v1/auth/verify-email", &json!({ "token": token })).await.assert(200);
    app.anonymous().post("/api/v1/auth/verify-email", &json!({ "token": token })).await.assert_problem(400, "invalid_token");
    other.anonymous().log_in(ADA, PASSWORD).await.assert(200);
});

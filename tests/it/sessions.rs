//! Sessions as their owner meets them: the cap, the list, the end of one, the times at which they run out.
//! Access tokens are asked at `/api/v1/me`, so that each answer is that of a real operation.

use chrono::{SecondsFormat, TimeDelta};
use realmgate::{
    domain::{
        clock::Clock as _,
        realm::{RealmSettings, RealmStatus},
    },
    service::{realms, users},
};
use serde_json::{Value, json};

use crate::{
    on_both,
    support::{Node, PASSWORD, Reply, TestApp, User},
};

const ADA: &str = "ada@example.com";
/// The time between steps that must be told apart.
const TICK: TimeDelta = TimeDelta::milliseconds(1);

async fn me(node: &Node, user: &User) -> Reply {
    node.anonymous().bearer(&user.access).get("/api/v1/me").await
}

async fn log_in(app: &TestApp) -> User {
    app.advance(TICK);
    app.anonymous().log_in(ADA, PASSWORD).await.user("localhost", ADA)
}

/// The present, as the API writes it.
fn now(app: &TestApp) -> String {
    app.clock.now().to_rfc3339_opts(SecondsFormat::Millis, true)
}

async fn list(app: &TestApp, user: &User) -> Vec<Value> {
    let list = app.anonymous().bearer(&user.access).get("/api/v1/me/sessions").await.assert(200).json();
    list["items"].as_array().expect("items").clone()
}

async fn listed(app: &TestApp, user: &User) -> Vec<String> {
    list(app, user).await.iter().map(|item| item["id"].as_str().expect("an id").to_owned()).collect()
}

on_both!(the_sixth_login_ends_the_oldest_session, |app| {
    let oldest = app.user(ADA).await;
    let mut users = vec![oldest.clone()];
    for _ in 0..4 {
        users.push(log_in(&app).await);
    }
    for user in &users {
        me(&app.node, user).await.assert(200);
    }
    // Use does not make a session younger: the oldest by its beginning goes.
    app.anonymous().refresh(&oldest.refresh).await.assert(200);
    let sixth = log_in(&app).await;
    assert_eq!(me(&app.node, &oldest).await.assert_problem(401, "session_ended").at("/reason"), "evicted_by_limit");
    assert_eq!(app.anonymous().refresh(&oldest.refresh).await.assert_problem(401, "invalid_refresh_token").at("/reason"), "evicted_by_limit");
    users.remove(0);
    users.push(sixth);
    for user in &users {
        me(&app.node, user).await.assert(200);
    }
    let newest_first: Vec<_> = users.iter().rev().map(|user| user.session.clone()).collect();
    assert_eq!(listed(&app, &users[0]).await, newest_first);
});

on_both!(a_login_never_ends_its_own_session, |app| {
    app.user(ADA).await;
    for _ in 0..12 {
        // In the same instant as the one before.
        let last = app.anonymous().log_in(ADA, PASSWORD).await.user("localhost", ADA);
        me(&app.node, &last).await.assert(200);
    }
    // A node whose clock is behind.
    app.advance(-TimeDelta::minutes(2));
    let last = app.anonymous().log_in(ADA, PASSWORD).await.user("localhost", ADA);
    app.advance(TimeDelta::minutes(2));
    me(&app.node, &last).await.assert(200);
    assert_eq!(list(&app, &last).await.len(), 5);
});

on_both!(a_realm_sets_how_many_sessions_there_may_be, |app| {
    app.realm_with("shop.example", RealmSettings { max_sessions: 2, ..RealmSettings::default() }).await;
    let first = app.user_in("shop.example", ADA).await;
    let log_in = async || {
        app.advance(TICK);
        app.anonymous().realm("shop.example").log_in(ADA, PASSWORD).await.user("shop.example", ADA)
    };
    let second = log_in().await;
    let third = log_in().await;
    assert_eq!(me(&app.node, &first).await.assert_problem(401, "session_ended").at("/reason"), "evicted_by_limit");
    assert_eq!(listed(&app, &third).await, [third.session.clone(), second.session.clone()]);
    let settings = RealmSettings { max_sessions: 1, ..RealmSettings::default() };
    let change = realms::RealmChange { settings: Some(settings), ..realms::RealmChange::default() };
    realms::change(app.app(), &app.operator().await, "shop.example", change).await.unwrap();
    me(&app.node, &second).await.assert(200);
    let fourth = log_in().await;
    assert_eq!(listed(&app, &fourth).await, std::slice::from_ref(&fourth.session), "the next login goes by the new number");
});

on_both!(the_list_shows_ones_own_sessions_and_no_secret, |app| {
    let bob = app.user("bob@example.com").await;
    let begun = now(&app);
    let ada = app.user(ADA).await;
    app.advance(TimeDelta::minutes(1));
    let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:142.0) Gecko/20100101 Firefox/142.0";
    let browser = app.anonymous().header("user-agent", firefox).log_in(ADA, PASSWORD).await.user("localhost", ADA);
    let items = list(&app, &ada).await;
    assert_eq!(items.len(), 2);
    assert_eq!(items[0]["id"], json!(browser.session));
    assert_eq!(items[0]["device"], "Firefox on Linux");
    assert_eq!((&items[0]["current"], &items[1]["current"]), (&json!(false), &json!(true)));
    assert_eq!(items[1]["id"], json!(ada.session));
    assert_eq!(items[0]["ip"], "127.0.0.1");
    assert_eq!(items[0]["createdAt"], json!(now(&app)));
    assert!(items[1]["createdAt"].as_str().unwrap() >= begun.as_str());
    let mut names: Vec<_> = items[0].as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["createdAt", "current", "device", "expiresAt", "id", "ip", "lastUsedAt"]);
    assert_eq!(listed(&app, &bob).await, std::slice::from_ref(&bob.session));
    app.anonymous().get("/api/v1/me/sessions").await.assert_problem(401, "missing_credential");
});

on_both!(use_moves_the_last_use, |app| {
    let ada = app.user(ADA).await;
    let other = log_in(&app).await;
    let begun = now(&app);
    app.advance(TimeDelta::minutes(3));
    me(&app.node, &ada).await.assert(200);
    let used = now(&app);
    let items = list(&app, &ada).await;
    assert_eq!(items[1]["lastUsedAt"], json!(used));
    assert_eq!(items[0]["lastUsedAt"], json!(begun), "the other session was not used");
    app.advance(TimeDelta::seconds(30));
    app.anonymous().refresh(&other.refresh).await.assert(200);
    assert_eq!(list(&app, &ada).await[0]["lastUsedAt"], json!(now(&app)), "a refresh is a use");
});

on_both!(a_session_ends_when_its_owner_says_so, |app| {
    let ada = app.user(ADA).await;
    let other = log_in(&app).await;
    me(&app.node, &other).await.assert(200);
    app.anonymous().bearer(&ada.access).delete(&format!("/api/v1/me/sessions/{}", other.session)).await.assert(204);
    assert_eq!(me(&app.node, &other).await.assert_problem(401, "session_ended").at("/reason"), "revoked");
    assert_eq!(app.anonymous().refresh(&other.refresh).await.assert_problem(401, "invalid_refresh_token").at("/reason"), "revoked");
    assert_eq!(listed(&app, &ada).await, std::slice::from_ref(&ada.session));
    app.anonymous().bearer(&ada.access).delete(&format!("/api/v1/me/sessions/{}", ada.session)).await.assert(204);
    assert_eq!(me(&app.node, &ada).await.assert_problem(401, "session_ended").at("/reason"), "logged_out");
});

on_both!(what_is_not_ones_own_live_session_is_not_there, |app| {
    app.realm("shop.example").await;
    let bob = app.user("bob@example.com").await;
    let abroad = app.user_in("shop.example", ADA).await;
    let ada = app.user(ADA).await;
    let ended = log_in(&app).await;
    app.anonymous().bearer(&ended.access).post("/api/v1/auth/logout", &json!({})).await.assert(204);
    let unknown = "01234567-89ab-7def-8123-456789abcdef".to_owned();
    let ids = [bob.session.clone(), abroad.session.clone(), ended.session.clone(), unknown, "garbage".to_owned(), "%00".to_owned(), ada.session.to_uppercase()];
    let mut answers = Vec::new();
    for id in ids {
        let reply = app.anonymous().bearer(&ada.access).delete(&format!("/api/v1/me/sessions/{id}")).await.assert_problem(404, "not_found");
        let request = reply.at("/requestId");
        answers.push((id, reply.text().replace(&request, "")));
    }
    for (id, answer) in &answers {
        assert_eq!(*answer, answers[0].1, "{id}");
    }
    for user in [&bob, &abroad, &ada] {
        me(&app.node, user).await.assert(200);
    }
});

on_both!(a_session_that_nobody_uses_for_a_day_is_over, |app| {
    let ada = app.user(ADA).await;
    let kept = log_in(&app).await;
    app.advance(TimeDelta::hours(24) - TimeDelta::milliseconds(2));
    let kept = app.anonymous().refresh(&kept.refresh).await.assert(200);
    app.advance(TimeDelta::seconds(1));
    let reply = app.anonymous().refresh(&ada.refresh).await.assert_problem(401, "invalid_refresh_token");
    assert_eq!(reply.at("/reason"), "idle");
    let list = app.anonymous().bearer(&kept.at("/accessToken")).get("/api/v1/me/sessions").await.assert(200);
    assert_eq!(list.json()["items"].as_array().unwrap().len(), 1);
    // And stays over, although its next use is nearer now.
    app.advance(-TimeDelta::hours(1));
    assert_eq!(app.anonymous().refresh(&ada.refresh).await.assert_problem(401, "invalid_refresh_token").at("/reason"), "idle");
});

on_both!(a_session_in_use_is_over_after_a_week, |app| {
    let ada = app.user(ADA).await;
    let mut refresh = ada.refresh.clone();
    for _ in 0..(7 * 2 - 1) {
        app.advance(TimeDelta::hours(12));
        refresh = app.anonymous().refresh(&refresh).await.assert(200).at("/refreshToken");
    }
    app.advance(TimeDelta::hours(12) - TimeDelta::minutes(5));
    let last = app.anonymous().refresh(&refresh).await.assert(200);
    assert_eq!(last.at("/expiresIn"), "300", "no access token outlives its session");
    assert_eq!(last.at("/refreshExpiresIn"), "300");
    app.advance(TimeDelta::minutes(5) + TimeDelta::seconds(1));
    let over = app.anonymous().refresh(&last.at("/refreshToken")).await.assert_problem(401, "invalid_refresh_token");
    assert_eq!(over.at("/reason"), "expired");
    let again = log_in(&app).await;
    assert_eq!(listed(&app, &again).await, std::slice::from_ref(&again.session));
});

on_both!(an_access_token_ends_to_the_second, |app| {
    let ada = app.user(ADA).await;
    let cold = app.join(2).await;
    let colder = app.join(3).await;
    me(&app.node, &ada).await.assert(200);
    // The clock stands a few milliseconds after the full second in which the token was made.
    app.advance(TimeDelta::minutes(15) + TimeDelta::seconds(4));
    me(&app.node, &ada).await.assert(200);
    me(&cold, &ada).await.assert(200);
    app.advance(TimeDelta::seconds(1));
    for node in [&app.node, &cold, &colder] {
        me(node, &ada).await.assert_problem(401, "access_token_expired");
    }
    app.anonymous().refresh(&ada.refresh).await.assert(200);
});

on_both!(a_locked_user_is_out_at_once_and_stays_out, |app| {
    let ada = app.user(ADA).await;
    let other = log_in(&app).await;
    me(&app.node, &ada).await.assert(200);
    users::lock(app.app(), &app.operator().await, ADA).await.unwrap();
    for user in [&ada, &other] {
        assert_eq!(me(&app.node, user).await.assert_problem(401, "session_ended").at("/reason"), "user_disabled");
        assert_eq!(app.anonymous().refresh(&user.refresh).await.assert_problem(401, "invalid_refresh_token").at("/reason"), "user_disabled");
    }
    app.anonymous().log_in(ADA, PASSWORD).await.assert_problem(403, "account_locked");
    app.anonymous().log_in(ADA, "not the password").await.assert_problem(401, "invalid_credentials");
    users::unlock(app.app(), &app.operator().await, ADA).await.unwrap();
    let again = log_in(&app).await;
    assert_eq!(listed(&app, &again).await, std::slice::from_ref(&again.session), "unlocking revives nothing");
});

on_both!(everything_of_a_suspended_realm_stops, |app| {
    app.realm("shop.example").await;
    let ada = app.user_in("shop.example", ADA).await;
    let set = async |status| {
        let change = realms::RealmChange { status: Some(status), ..realms::RealmChange::default() };
        realms::change(app.app(), &app.operator().await, "shop.example", change).await.unwrap();
    };
    let client = app.anonymous().realm("shop.example");
    me(&app.node, &ada).await.assert(200);
    set(RealmStatus::Suspended).await;
    me(&app.node, &ada).await.assert_problem(403, "realm_suspended");
    client.log_in(ADA, PASSWORD).await.assert_problem(403, "realm_suspended");
    client.refresh(&ada.refresh).await.assert_problem(403, "realm_suspended");
    set(RealmStatus::Active).await;
    me(&app.node, &ada).await.assert(200);
    client.refresh(&ada.refresh).await.assert(200);
});

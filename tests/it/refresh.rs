//! Refresh tokens: good once, forgiving for ten seconds, deadly afterwards (RFC 9700 section 4.14.2).
//! The ten seconds are walked by the clock to the millisecond.

use chrono::TimeDelta;
use serde_json::json;

use crate::{
    on_both,
    support::{Client, PASSWORD, Reply, TestApp},
};

const ADA: &str = "ada@example.com";
const GRACE: TimeDelta = TimeDelta::seconds(10);

async fn me(client: Client<'_>, access: &str) -> Reply {
    client.bearer(access).get("/api/v1/me").await
}

/// Refreshes and answers access and refresh token.
async fn rotate(app: &TestApp, token: &str) -> (String, String) {
    let reply = app.anonymous().refresh(token).await.assert(200);
    (reply.at("/accessToken"), reply.at("/refreshToken"))
}

async fn notices(app: &TestApp) -> usize {
    app.run_jobs().await;
    let mails = app.mails(ADA).await;
    mails.iter().filter(|mail| mail.0.subject.contains("ended one of your sessions")).count()
}

on_both!(a_refresh_hands_on_to_a_new_pair, |app| {
    let ada = app.user(ADA).await;
    let reply = app.anonymous().refresh(&ada.refresh).await.assert(200);
    assert_eq!((reply.at("/tokenType"), reply.at("/expiresIn")), ("Bearer".to_owned(), "900".to_owned()));
    assert_eq!(reply.header("cache-control"), "no-store");
    assert_ne!(reply.at("/refreshToken"), ada.refresh);
    assert_ne!(reply.at("/accessToken"), ada.access);
    me(app.anonymous(), &reply.at("/accessToken")).await.assert(200);
    me(app.anonymous(), &ada.access).await.assert(200);
    let (access, next) = rotate(&app, &reply.at("/refreshToken")).await;
    assert_ne!(next, reply.at("/refreshToken"));
    let list = app.anonymous().bearer(&access).get("/api/v1/me/sessions").await.assert(200);
    assert_eq!(list.at("/items/0/id"), ada.session, "the session is the same");
    assert_eq!(list.json()["items"].as_array().unwrap().len(), 1);
});

on_both!(a_lost_reply_can_be_asked_for_again_for_ten_seconds, |app| {
    let ada = app.user(ADA).await;
    let other = app.join(2).await;
    let (_, child) = rotate(&app, &ada.refresh).await;
    for _ in 0..2 {
        assert_eq!(rotate(&app, &ada.refresh).await.1, child);
        assert_eq!(other.anonymous().refresh(&ada.refresh).await.assert(200).at("/refreshToken"), child, "on every node");
        app.advance(GRACE / 2);
    }
    let (access, again) = rotate(&app, &ada.refresh).await;
    assert_eq!(again, child, "ten seconds later to the microsecond");
    me(app.anonymous(), &access).await.assert(200);
    // The child goes on as if nothing had been.
    let (_, grandchild) = rotate(&app, &child).await;
    assert_ne!(grandchild, child);
    assert_eq!(notices(&app).await, 0);
});

on_both!(a_spent_token_ends_its_session_after_ten_seconds, |app| {
    let ada = app.user(ADA).await;
    let bystander = app.anonymous().log_in(ADA, PASSWORD).await.user("localhost", ADA);
    let (access, child) = rotate(&app, &ada.refresh).await;
    me(app.anonymous(), &access).await.assert(200);
    app.advance(GRACE + TimeDelta::milliseconds(1));
    let reply = app.anonymous().refresh(&ada.refresh).await.assert_problem(401, "invalid_refresh_token");
    assert_eq!(reply.at("/reason"), "refresh_reuse");
    for token in [&child, &ada.refresh] {
        assert_eq!(app.anonymous().refresh(token).await.assert_problem(401, "invalid_refresh_token").at("/reason"), "refresh_reuse");
    }
    for token in [&access, &ada.access] {
        assert_eq!(me(app.anonymous(), token).await.assert_problem(401, "session_ended").at("/reason"), "refresh_reuse");
    }
    let list = app.anonymous().bearer(&bystander.access).get("/api/v1/me/sessions").await.assert(200).json();
    assert_eq!(list["items"].as_array().unwrap().len(), 1, "other sessions go on");
    assert_eq!(list["items"][0]["id"], json!(bystander.session));
    assert_eq!(notices(&app).await, 1, "one notice, however often the token comes back");
});

on_both!(the_ten_seconds_begin_with_the_first_use, |app| {
    let ada = app.user(ADA).await;
    let (_, child) = rotate(&app, &ada.refresh).await;
    app.advance(TimeDelta::seconds(8));
    assert_eq!(rotate(&app, &ada.refresh).await.1, child);
    app.advance(TimeDelta::seconds(8));
    assert_eq!(app.anonymous().refresh(&ada.refresh).await.assert_problem(401, "invalid_refresh_token").at("/reason"), "refresh_reuse");
    assert_eq!(app.anonymous().refresh(&child).await.assert_problem(401, "invalid_refresh_token").at("/reason"), "refresh_reuse");
});

on_both!(an_old_ancestor_within_its_time_still_names_its_own_child, |app| {
    let ada = app.user(ADA).await;
    let (_, child) = rotate(&app, &ada.refresh).await;
    let (_, grandchild) = rotate(&app, &child).await;
    // A tab that was slow: it gets the spent child, which leads on to the one live token.
    assert_eq!(rotate(&app, &ada.refresh).await.1, child);
    assert_eq!(rotate(&app, &child).await.1, grandchild);
    app.advance(GRACE + TimeDelta::milliseconds(1));
    rotate(&app, &grandchild).await;
    assert_eq!(app.anonymous().refresh(&child).await.assert_problem(401, "invalid_refresh_token").at("/reason"), "refresh_reuse");
});

on_both!(a_restart_revives_nothing, |app| {
    let ada = app.user(ADA).await;
    let (_, child) = rotate(&app, &ada.refresh).await;
    let restarted = app.join(2).await;
    assert_eq!(restarted.anonymous().refresh(&ada.refresh).await.assert(200).at("/refreshToken"), child, "the grace outlives a restart");
    app.advance(GRACE + TimeDelta::milliseconds(1));
    let restarted = app.join(3).await;
    let reply = restarted.anonymous().refresh(&ada.refresh).await.assert_problem(401, "invalid_refresh_token");
    assert_eq!(reply.at("/reason"), "refresh_reuse");
    let restarted = app.join(4).await;
    assert_eq!(restarted.anonymous().refresh(&child).await.assert_problem(401, "invalid_refresh_token").at("/reason"), "refresh_reuse");
    assert_eq!(me(restarted.anonymous(), &ada.access).await.assert_problem(401, "session_ended").at("/reason"), "refresh_reuse");
});

on_both!(a_refresh_token_is_noise_in_another_realm, |app| {
    app.realm("shop.example").await;
    let ada = app.user(ADA).await;
    let there = app.user_in("shop.example", ADA).await;
    for (client, token) in [(app.anonymous().realm("shop.example"), &ada.refresh), (app.anonymous(), &there.refresh)] {
        let reply = client.refresh(token).await.assert_problem(401, "invalid_refresh_token");
        assert_eq!(reply.json().get("reason"), None);
    }
    let host = app.anonymous().header("host", "shop.example");
    host.refresh(&ada.refresh).await.assert_problem(401, "invalid_refresh_token");
    // The attempts spent nothing and ended nothing.
    app.advance(GRACE * 2);
    rotate(&app, &ada.refresh).await;
    host.refresh(&there.refresh).await.assert(200);
});

on_both!(what_is_no_refresh_token_is_refused_without_a_reason, |app| {
    let ada = app.user(ADA).await;
    let mut forged = ada.refresh.clone().into_bytes();
    // The row's id stays, the secret changes.
    forged[40] = if forged[40] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(forged).unwrap();
    let texts = ["x", &"A".repeat(64), &"A".repeat(65), &"!".repeat(64), &ada.access, &format!("{} ", ada.refresh), &ada.session, &forged];
    for text in texts {
        let reply = app.anonymous().refresh(text).await.assert_problem(401, "invalid_refresh_token");
        assert_eq!(reply.json().get("reason"), None, "{text}");
    }
    app.anonymous().post("/api/v1/auth/refresh", &json!({})).await.assert(400);
    app.anonymous().post("/api/v1/auth/refresh", &json!({ "refreshToken": 1 })).await.assert(400);
    let (_, child) = rotate(&app, &ada.refresh).await;
    app.advance(GRACE * 2);
    // Somebody who knows the id of a spent token, but not its secret, can't end its session.
    app.anonymous().refresh(&forged).await.assert_problem(401, "invalid_refresh_token");
    rotate(&app, &child).await;
});

on_both!(a_log_out_ends_the_family, |app| {
    let ada = app.user(ADA).await;
    let (access, child) = rotate(&app, &ada.refresh).await;
    app.anonymous().bearer(&access).post("/api/v1/auth/logout", &json!({})).await.assert(204);
    for token in [&ada.refresh, &child] {
        assert_eq!(app.anonymous().refresh(token).await.assert_problem(401, "invalid_refresh_token").at("/reason"), "logged_out");
    }
    for token in [&ada.access, &access] {
        assert_eq!(me(app.anonymous(), token).await.assert_problem(401, "session_ended").at("/reason"), "logged_out");
    }
    assert_eq!(notices(&app).await, 0, "no alarm about a session that its owner ended");
});

on_both!(a_clock_that_jumps_revives_no_session, |app| {
    let ada = app.user(ADA).await;
    let (access, child) = rotate(&app, &ada.refresh).await;
    let logged_out = app.anonymous().log_in(ADA, PASSWORD).await.user("localhost", ADA);
    app.anonymous().bearer(&logged_out.access).post("/api/v1/auth/logout", &json!({})).await.assert(204);
    for jump in [TimeDelta::hours(1), -TimeDelta::hours(1), -TimeDelta::hours(1), TimeDelta::hours(1)] {
        app.advance(jump);
        let cold = app.join(9).await;
        for client in [app.anonymous(), cold.anonymous()] {
            assert!([200, 401].contains(&me(client.clone(), &access).await.status.as_u16()));
            me(client.clone(), &logged_out.access).await.assert(401);
            assert_eq!(client.refresh(&logged_out.refresh).await.assert_problem(401, "invalid_refresh_token").at("/reason"), "logged_out");
        }
    }
    // The clock is right again, and with it the session that nobody ended.
    me(app.anonymous(), &access).await.assert(200);
    let (_, grandchild) = rotate(&app, &child).await;
    // Behind by an hour a spent token is as dead as ahead by one.
    app.advance(-TimeDelta::hours(1));
    assert_eq!(app.anonymous().refresh(&child).await.assert_problem(401, "invalid_refresh_token").at("/reason"), "refresh_reuse");
    app.advance(TimeDelta::hours(1));
    assert_eq!(app.anonymous().refresh(&grandchild).await.assert_problem(401, "invalid_refresh_token").at("/reason"), "refresh_reuse");
});

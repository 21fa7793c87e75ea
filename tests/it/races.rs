//! Logins and refreshes that race each other through two nodes on one database. What is promised holds at the end of
//! every race: the cap, one living branch, one winner.

use std::sync::Arc;

use chrono::TimeDelta;
use serde_json::json;

use crate::{
    on_both,
    support::{Client, Node, PASSWORD, Reply, TestApp, User, at_once::at_once},
};

const ADA: &str = "ada@example.com";

/// Two nodes beside the first.
async fn nodes(app: &TestApp) -> [Arc<Node>; 2] {
    [Arc::new(app.join(2).await), Arc::new(app.join(3).await)]
}

/// Sends a request until the node is not too busy to answer it.
async fn patiently(client: Client<'_>, path: &str, body: &serde_json::Value) -> Reply {
    for _ in 0..20 {
        let reply = client.post(path, body).await;
        if reply.status.as_u16() != 503 {
            return reply;
        }
        assert!(!reply.header("retry-after").is_empty(), "{}", reply.text());
    }
    panic!("the node never found the time");
}

async fn logins(nodes: &[Arc<Node>; 2], count: usize) -> Vec<User> {
    at_once(count, |n| {
        let node = Arc::clone(&nodes[n % 2]);
        async move { patiently(node.anonymous(), "/api/v1/auth/login", &json!({ "email": ADA, "password": PASSWORD })).await.user("localhost", ADA) }
    })
    .await
}

on_both!(fifty_logins_at_once_leave_five_sessions, |app| {
    app.user(ADA).await;
    let nodes = nodes(&app).await;
    let users = logins(&nodes, 50).await;
    assert_eq!(users.len(), 50);
    for node in &nodes {
        node.follow_changes().await;
        let mut live = Vec::new();
        for user in &users {
            let reply = node.anonymous().bearer(&user.access).get("/api/v1/me/sessions").await;
            if reply.status.as_u16() == 200 {
                let list = reply.json();
                let mut ids: Vec<_> = list["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect();
                ids.sort();
                assert_eq!(ids.len(), 5);
                live.push((user.session.clone(), ids));
            } else {
                assert_eq!(reply.assert_problem(401, "session_ended").at("/reason"), "evicted_by_limit");
            }
        }
        live.sort();
        assert_eq!(live.len(), 5, "five tokens work");
        let own: Vec<_> = live.iter().map(|(id, _)| id.clone()).collect();
        assert!(live.iter().all(|(_, ids)| *ids == own), "and theirs are the sessions that each of them lists");
    }
    let mut refreshed = 0;
    for user in &users {
        let reply = nodes[0].anonymous().refresh(&user.refresh).await;
        refreshed += usize::from(reply.status.as_u16() == 200);
        assert!([200, 401].contains(&reply.status.as_u16()), "{}", reply.text());
    }
    assert_eq!(refreshed, 5);
});

on_both!(parallel_refreshes_of_one_token_answer_one_child, |app| {
    let ada = app.user(ADA).await;
    let nodes = nodes(&app).await;
    let mut token = ada.refresh.clone();
    for _ in 0..3 {
        let pairs = at_once(32, |n| {
            let (node, token) = (Arc::clone(&nodes[n % 2]), token.clone());
            async move {
                let reply = patiently(node.anonymous(), "/api/v1/auth/refresh", &json!({ "refreshToken": token })).await.assert(200);
                (reply.at("/refreshToken"), reply.at("/accessToken"))
            }
        })
        .await;
        assert_eq!(pairs.len(), 32);
        for (child, access) in &pairs {
            assert_eq!(*child, pairs[0].0);
            app.anonymous().bearer(access).get("/api/v1/me").await.assert(200);
        }
        assert_ne!(pairs[0].0, token);
        token.clone_from(&pairs[0].0);
    }
});

on_both!(parallel_replays_end_the_session_and_tell_its_owner_once, |app| {
    let ada = app.user(ADA).await;
    let nodes = nodes(&app).await;
    let child = app.anonymous().refresh(&ada.refresh).await.assert(200).at("/refreshToken");
    app.advance(TimeDelta::seconds(10) + TimeDelta::milliseconds(1));
    let codes = at_once(16, |n| {
        let (node, token) = (Arc::clone(&nodes[n % 2]), ada.refresh.clone());
        async move {
            let reply = patiently(node.anonymous(), "/api/v1/auth/refresh", &json!({ "refreshToken": token })).await;
            reply.assert_problem(401, "invalid_refresh_token").at("/reason")
        }
    })
    .await;
    assert!(codes.iter().all(|reason| reason == "refresh_reuse"), "{codes:?}");
    app.anonymous().refresh(&child).await.assert(401);
    app.run_jobs().await;
    let mails = app.mails(ADA).await;
    assert_eq!(mails.iter().filter(|mail| mail.0.subject.contains("ended one of your sessions")).count(), 1);
});

on_both!(a_thief_and_the_owner_never_hold_two_living_branches, |app| {
    let ada = app.user(ADA).await;
    let nodes = nodes(&app).await;
    let child = app.anonymous().refresh(&ada.refresh).await.assert(200).at("/refreshToken");
    app.advance(TimeDelta::seconds(11));
    // The owner goes on with the child while the thief tries the spent token.
    let replies = at_once(16, |n| {
        let (node, stolen) = (Arc::clone(&nodes[n % 2]), n % 4 < 2);
        let token = if stolen { ada.refresh.clone() } else { child.clone() };
        async move {
            let reply = patiently(node.anonymous(), "/api/v1/auth/refresh", &json!({ "refreshToken": token })).await;
            let status = reply.status.as_u16();
            (stolen, status, if status == 200 { reply.at("/refreshToken") } else { reply.at("/reason") })
        }
    })
    .await;
    let mut children: Vec<_> = replies.iter().filter(|(_, status, _)| *status == 200).map(|(stolen, _, token)| (*stolen, token.clone())).collect();
    children.dedup();
    assert!(children.len() <= 1 && children.iter().all(|(stolen, _)| !stolen), "{replies:?}");
    assert!(replies.iter().all(|(_, status, text)| *status == 200 || text == "refresh_reuse"), "{replies:?}");
    for token in children.iter().map(|(_, token)| token).chain([&child, &ada.refresh]) {
        assert_eq!(app.anonymous().refresh(token).await.assert_problem(401, "invalid_refresh_token").at("/reason"), "refresh_reuse");
    }
});

on_both!(a_log_out_wins_against_every_refresh_beside_it, |app| {
    let ada = app.user(ADA).await;
    let nodes = nodes(&app).await;
    let tokens = at_once(16, |n| {
        let (node, ada) = (Arc::clone(&nodes[n % 2]), ada.clone());
        async move {
            if n == 7 {
                patiently(node.anonymous().bearer(&ada.access), "/api/v1/auth/logout", &json!({})).await.assert(204);
                return None;
            }
            let reply = patiently(node.anonymous(), "/api/v1/auth/refresh", &json!({ "refreshToken": ada.refresh })).await;
            (reply.status.as_u16() == 200).then(|| reply.at("/refreshToken"))
        }
    })
    .await;
    for token in tokens.into_iter().flatten().chain([ada.refresh.clone()]) {
        let reply = app.anonymous().refresh(&token).await.assert_problem(401, "invalid_refresh_token");
        assert_eq!(reply.at("/reason"), "logged_out");
    }
    app.anonymous().bearer(&ada.access).get("/api/v1/me").await.assert_problem(401, "session_ended");
});

on_both!(a_lock_wins_against_every_login_beside_it, |app| {
    app.user(ADA).await;
    let nodes = nodes(&app).await;
    let operator = app.operator().await;
    let replies = at_once(13, |n| {
        let (node, operator) = (Arc::clone(&nodes[n % 2]), operator.clone());
        async move {
            if n == 6 {
                realmgate::service::users::lock(&node.app, &operator, ADA).await.expect("locked");
                return None;
            }
            let reply = patiently(node.anonymous(), "/api/v1/auth/login", &json!({ "email": ADA, "password": PASSWORD })).await;
            assert!([200, 401, 403].contains(&reply.status.as_u16()), "{}", reply.text());
            (reply.status.as_u16() == 200).then(|| reply.at("/tokens/accessToken"))
        }
    })
    .await;
    for node in &nodes {
        node.follow_changes().await;
        for access in replies.iter().flatten() {
            node.anonymous().bearer(access).get("/api/v1/me").await.assert_problem(401, "session_ended");
        }
    }
    app.anonymous().log_in(ADA, PASSWORD).await.assert_problem(403, "account_locked");
});

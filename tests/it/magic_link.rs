//! Signing in by a mailed link, and disowning a sign-in by one.

use chrono::TimeDelta;
use serde_json::json;

use crate::{
    on_both,
    support::{
        PASSWORD, TestApp,
        at_once::at_once,
        browser::path_of,
        factors::{Enrolled, list},
        people::OTHER,
        tab::Tab,
    },
};

const ADA: &str = "ada@example.com";

async fn link(app: &TestApp) -> String {
    app.anonymous().post("/api/v1/auth/magic-link", &json!({ "email": ADA })).await.assert(202);
    app.run_jobs().await;
    app.last_mail(ADA).await.token()
}

async fn follow(app: &TestApp, token: &str) -> crate::support::Reply {
    app.anonymous().post("/api/v1/auth/magic-link/login", &json!({ "token": token })).await
}

on_both!(a_link_signs_in_once_where_the_realm_offers_it, |app| {
    app.user(ADA).await;
    app.anonymous().post("/api/v1/auth/magic-link", &json!({ "email": ADA })).await.assert_problem(404, "not_found");
    app.settings_of("localhost", |settings| settings.magic_link = true).await;
    let token = link(&app).await;
    let entered = follow(&app, &token).await.assert(200);
    let told = app.anonymous().bearer(&entered.at("/tokens/accessToken")).get("/api/v1/auth/token").await;
    assert_eq!(list(&told, "/amr"), ["email"]);
    follow(&app, &token).await.assert_problem(400, "invalid_token");
    let old = link(&app).await;
    app.advance(TimeDelta::minutes(10));
    follow(&app, &old).await.assert_problem(400, "invalid_token");
    // It is nothing else, and nothing else is it.
    app.advance(TimeDelta::hours(1));
    let token = link(&app).await;
    app.anonymous().reset(&token, OTHER).await.assert_problem(400, "invalid_token");
    let reset = app.reset_token(ADA).await;
    follow(&app, &reset).await.assert_problem(400, "invalid_token");
    app.settings_of("localhost", |settings| settings.magic_link = false).await;
    follow(&app, &token).await.assert_problem(404, "not_found");
});

on_both!(strangers_learn_nothing_and_the_unproved_get_nothing, |app| {
    app.settings_of("localhost", |settings| settings.magic_link = true).await;
    app.user(ADA).await;
    app.unverified("grace@example.com").await;
    let ask = async |email: &str| app.anonymous().post("/api/v1/auth/magic-link", &json!({ "email": email })).await.assert(202);
    let known = ask(ADA).await;
    ask("grace@example.com").await.assert_like(&known);
    ask("nobody@example.com").await.assert_like(&known);
    let (ada, grace) = (app.mails(ADA).await.len(), app.mails("grace@example.com").await.len());
    app.run_jobs().await;
    assert_eq!((app.mails(ADA).await.len(), app.mails("grace@example.com").await.len()), (ada + 1, grace));
    assert!(app.mails("nobody@example.com").await.is_empty());
});

on_both!(a_second_factor_is_asked_for_all_the_same, |app| {
    app.settings_of("localhost", |settings| settings.magic_link = true).await;
    let Enrolled { secret, .. } = app.enrolled(ADA).await;
    let token = link(&app).await;
    let waiting = follow(&app, &token).await.assert_problem(403, "mfa_required").at("/mfaToken");
    follow(&app, &token).await.assert_problem(400, "invalid_token");
    let entered = app.anonymous().answer(&waiting, "totp", &app.code(&secret)).await.assert(200);
    let told = app.anonymous().bearer(&entered.at("/tokens/accessToken")).get("/api/v1/auth/token").await;
    assert_eq!(list(&told, "/amr"), ["email", "otp", "mfa"]);
});

on_both!(of_many_who_follow_one_link_one_is_in, |app| {
    app.settings_of("localhost", |settings| settings.magic_link = true).await;
    app.user(ADA).await;
    let (node, token) = (std::sync::Arc::clone(app.app()), std::sync::Arc::new(link(&app).await));
    let results = at_once(16, move |number| {
        let (node, token) = (std::sync::Arc::clone(&node), std::sync::Arc::clone(&token));
        async move {
            let ctx = crate::guesses::stranger(&node, "localhost", &format!("198.51.100.{number}"), None).await;
            realmgate::service::magic_link::follow(&node, &ctx, &token).await.is_ok()
        }
    })
    .await;
    assert_eq!(results.iter().filter(|entered| **entered).count(), 1);
});

on_both!(the_page_asks_for_a_click_and_a_look_consumes_nothing, |app| {
    app.settings_of("localhost", |settings| settings.magic_link = true).await;
    app.user(ADA).await;
    let mut tab = Tab::new(app.anonymous());
    assert!(tab.get("/ui/sign-in").await.text().contains("&#x2f;ui&#x2f;sign-in&#x2f;link"));
    tab.get("/ui/sign-in/link").await.assert(200);
    let sent = tab.post("/ui/sign-in/link", &[("email", ADA)]).await;
    tab.follow(&sent, "/ui/done").await.assert(200);
    app.run_jobs().await;
    let path = path_of(&app.last_mail(ADA).await.link());
    for _ in 0..5 {
        tab.get(&path).await.assert(200);
    }
    let token = app.last_mail(ADA).await.token();
    let entered = tab.post("/ui/magic-link", &[("token", &token)]).await;
    assert!(tab.follow(&entered, "/ui/account").await.assert(200).text().contains(ADA));
    let mut another = Tab::new(app.anonymous());
    another.get("/ui/sign-in").await.assert(200);
    let again = another.post("/ui/magic-link", &[("token", &token)]).await;
    assert_eq!(again.status.as_u16(), 400);
});

on_both!(a_strangers_sign_in_is_disowned_with_everything_that_came_after, |app| {
    let ada = app.user(ADA).await;
    app.advance(TimeDelta::minutes(1));
    let thief = app.anonymous().header("user-agent", "Thief/1").log_in(ADA, PASSWORD).await.user("localhost", ADA);
    // They add a factor of their own, before the mail is sent.
    let client = app.anonymous().bearer(&thief.access);
    let secret = client.begin_totp().await.assert(200).at("/secret");
    client.confirm_totp(&app.code(&secret)).await.assert(200);
    app.run_jobs().await;
    let notice = app.mails(ADA).await.into_iter().find(|mail| mail.0.text.contains("/ui/not-me?token=")).expect("a notice");
    let mut tab = Tab::new(app.anonymous());
    for _ in 0..3 {
        tab.get(&path_of(&notice.link())).await.assert(200);
    }
    app.anonymous().bearer(&thief.access).me().await.assert(200);
    let done = tab.post("/ui/not-me", &[("token", &notice.token())]).await;
    tab.follow(&done, "/ui/done").await.assert(200);
    for access in [&thief.access, &ada.access] {
        app.anonymous().bearer(access).me().await.assert_problem(401, "session_ended");
    }
    app.anonymous().log_in(ADA, PASSWORD).await.assert_problem(401, "invalid_credentials");
    app.run_jobs().await;
    let reset = app.last_mail(ADA).await.token();
    app.anonymous().reset(&reset, OTHER).await.assert(204);
    // The thief's factor does not stand in the way.
    app.anonymous().log_in(ADA, OTHER).await.assert(200);
    app.anonymous().post("/api/v1/auth/not-me", &json!({ "token": notice.token() })).await.assert_problem(400, "invalid_token");
});

on_both!(what_its_owner_had_before_stays, |app| {
    let Enrolled { secret, .. } = app.enrolled(ADA).await;
    app.advance(TimeDelta::minutes(1));
    let token = app.anonymous().header("user-agent", "Thief/1").first_half(ADA).await;
    app.anonymous().header("user-agent", "Thief/1").answer(&token, "totp", &app.code(&secret)).await.assert(200);
    app.run_jobs().await;
    let notice = app.mails(ADA).await.into_iter().find(|mail| mail.0.text.contains("/ui/not-me?token=")).expect("a notice");
    app.anonymous().post("/api/v1/auth/not-me", &json!({ "token": notice.token() })).await.assert(204);
    app.run_jobs().await;
    let reset = app.last_mail(ADA).await.token();
    app.anonymous().reset(&reset, OTHER).await.assert(204);
    app.anonymous().log_in(ADA, OTHER).await.assert_problem(403, "mfa_required");
});

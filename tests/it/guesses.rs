//! The throttle of guesses: places slow down, accounts under siege ask unknown devices for a mailed link, and nobody is
//! locked out. What strangers are told is always the same.

use std::{net::IpAddr, sync::Arc};

use chrono::TimeDelta;
use poem::http::StatusCode;
use realmgate::{
    app::App,
    domain::{Error, Result},
    service::{Ctx, Principal, login, realms},
    store,
};
use serde_json::json;

use crate::{
    on_both,
    support::{Mail, PASSWORD, TestApp, at_once::at_once, browser::Form, people::OTHER},
};

const EMAIL: &str = "ada@example.com";

/// Somebody at `ip`, with a device token perhaps.
pub(crate) async fn stranger(app: &App, realm: &str, ip: &str, device: Option<&str>) -> Ctx {
    let realm = realms::by_host(app, realm).await.unwrap().expect("a realm");
    let mut ctx = Ctx::operator(realm);
    ctx.principal = Principal::Anonymous;
    ctx.client.ip = ip.parse::<IpAddr>().unwrap();
    ctx.on_device(device.map(Into::into))
}

pub(crate) async fn try_from(app: &App, ip: &str, email: &str, password: &str, device: Option<&str>) -> Result<()> {
    let ctx = stranger(app, "localhost", ip, device).await;
    login::with_password(app, &ctx, email, &password.into()).await.map(drop)
}

#[track_caller]
pub(crate) fn refused(result: Result<()>) {
    assert!(matches!(result, Err(Error::InvalidCredentials)), "{result:?}");
}

/// Five wrong passwords from each of twenty addresses.
async fn siege(app: &TestApp, realm: &str, email: &str) {
    for host in 0..20 {
        let ctx = stranger(app.app(), realm, &format!("198.51.100.{host}"), None).await;
        for _ in 0..5 {
            refused(login::with_password(app.app(), &ctx, email, &OTHER.into()).await.map(drop));
        }
    }
}

/// Besieges an account and answers the token of the link that its owner is mailed.
pub(crate) async fn link_after_a_siege(app: &TestApp, realm: &str, email: &str) -> String {
    siege(app, realm, email).await;
    let ctx = stranger(app.app(), realm, "192.0.2.1", None).await;
    refused(login::with_password(app.app(), &ctx, email, &PASSWORD.into()).await.map(drop));
    app.run_jobs().await;
    app.last_mail(email).await.token()
}

pub(crate) async fn counts(app: &TestApp, place: &str) -> Vec<String> {
    app.sql(&format!("SELECT attempts || ' ' || guesses AS v FROM password_guesses WHERE place = '{place}'")).await
}

on_both!(after_five_wrong_passwords_a_place_pauses_for_longer_and_longer, |app| {
    app.user(EMAIL).await;
    let wrong = app.anonymous().log_in(EMAIL, OTHER).await.assert_problem(401, "invalid_credentials");
    for _ in 0..4 {
        app.anonymous().log_in(EMAIL, OTHER).await.assert_like(&wrong);
    }
    for pause in [2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900] {
        app.advance(TimeDelta::milliseconds(pause * 1_000 - 1));
        // Not even the right password, and it is told nothing else.
        app.anonymous().log_in(EMAIL, PASSWORD).await.assert_like(&wrong);
        app.advance(TimeDelta::milliseconds(1));
        app.anonymous().log_in(EMAIL, OTHER).await.assert_like(&wrong);
    }
    app.advance(TimeDelta::minutes(15));
    app.anonymous().log_in(EMAIL, PASSWORD).await.assert(200);
    assert!(counts(&app, "network 127.0.0.1").await.is_empty(), "a success takes it all back");
    assert_eq!(app.sql("SELECT guesses AS v FROM password_guesses WHERE place = ''").await, ["0"]);
});

on_both!(strangers_cannot_tell_who_is_slowed_down, |app| {
    app.realm("acme.example.com").await;
    app.user(EMAIL).await;
    app.user("locked@example.com").await;
    app.lock("locked@example.com").await;
    app.unverified("waiting@example.com").await;
    app.user_in("acme.example.com", "elsewhere@example.com").await;
    let first = app.anonymous().log_in("nobody@example.com", OTHER).await.assert_problem(401, "invalid_credentials");
    for email in [EMAIL, "locked@example.com", "waiting@example.com", "elsewhere@example.com", "nobody@example.com", "no address", ""] {
        for _ in 0..7 {
            app.anonymous().log_in(email, OTHER).await.assert_like(&first);
        }
        app.anonymous().log_in(email, PASSWORD).await.assert_like(&first);
    }
    assert_eq!(first.header("retry-after"), "");
    // Beyond the limit of the account it is the same once more.
    siege(&app, "localhost", "besieged@example.com").await;
    app.anonymous().log_in("besieged@example.com", OTHER).await.assert_like(&first);
});

on_both!(spellings_of_one_address_are_one_account, |app| {
    app.user(EMAIL).await;
    for email in ["ADA@example.com", " ada@example.com ", "ada@EXAMPLE.com", "Ada@Example.Com", "\tada@example.com"] {
        app.anonymous().log_in(email, OTHER).await.assert(401);
    }
    app.anonymous().log_in(EMAIL, PASSWORD).await.assert(401);
    for email in ["Nobody@Example.com", "nobody@example.com", " NOBODY@example.com"] {
        app.anonymous().log_in(email, OTHER).await.assert(401);
    }
    assert_eq!(counts(&app, "network 127.0.0.1").await, ["6 5", "3 3"]);
});

on_both!(five_hundred_wrong_passwords_at_once_count_as_five_hundred, |app| {
    app.user(EMAIL).await;
    let second = app.join(2).await;
    let nodes = [Arc::clone(app.app()), Arc::clone(&second.app)];
    let results = at_once(500, |number| {
        let app = Arc::clone(&nodes[number % 2]);
        async move { try_from(&app, "203.0.113.7", EMAIL, OTHER, None).await }
    })
    .await;
    for result in results {
        assert!(matches!(result, Err(Error::InvalidCredentials | Error::Busy { .. })), "{result:?}");
    }
    assert_eq!(counts(&app, "network 203.0.113.7").await, ["500 5"], "all are counted, five were looked at");
    refused(try_from(app.app(), "203.0.113.7", EMAIL, PASSWORD, None).await);
    try_from(app.app(), "203.0.113.8", EMAIL, PASSWORD, None).await.expect("another address");
    assert!(nodes.iter().all(|node| node.turns.is_empty()), "nobody waits any more");
});

on_both!(right_passwords_at_once_do_not_slow_each_other_down, |app| {
    app.user(EMAIL).await;
    let second = app.join(2).await;
    let nodes = [Arc::clone(app.app()), Arc::clone(&second.app)];
    let results = at_once(50, |number| {
        let app = Arc::clone(&nodes[number % 2]);
        async move { try_from(&app, "203.0.113.7", EMAIL, PASSWORD, None).await }
    })
    .await;
    for result in results {
        result.expect("a right password");
    }
    assert_eq!(app.sql("SELECT COUNT(*) AS v FROM sessions WHERE ended_at IS NULL").await, ["5"]);
});

on_both!(counts_survive_a_failed_sign_in_and_a_restart, |app| {
    app.user(EMAIL).await;
    for _ in 0..5 {
        refused(try_from(app.app(), "203.0.113.7", EMAIL, OTHER, None).await);
    }
    let restarted = app.join(2).await;
    refused(try_from(&restarted.app, "203.0.113.7", EMAIL, PASSWORD, None).await);
    app.advance(TimeDelta::seconds(2));
    try_from(&restarted.app, "203.0.113.7", EMAIL, PASSWORD, None).await.expect("the right one after the wait");
});

/// The mails with a link that allows a device.
async fn links(app: &TestApp) -> Vec<Mail> {
    app.mails(EMAIL).await.into_iter().filter(|mail| mail.0.text.contains("/ui/unlock-sign-in?token=")).collect()
}

on_both!(a_siege_leaves_known_devices_alone_and_costs_new_ones_a_mail, |app| {
    app.user(EMAIL).await;
    let known = app.anonymous().log_in(EMAIL, PASSWORD).await.at("/deviceToken");
    siege(&app, "localhost", EMAIL).await;
    for _ in 0..20 {
        try_from(app.app(), "198.51.100.1", EMAIL, PASSWORD, Some(&known)).await.expect("a known device, even at a guesser's address");
    }
    // A new device is told nothing, not even that its password is right.
    refused(try_from(app.app(), "192.0.2.1", EMAIL, PASSWORD, None).await);
    refused(try_from(app.app(), "192.0.2.2", EMAIL, OTHER, None).await);
    app.run_jobs().await;
    let mail = links(&app).await.pop().expect("a link");
    assert!(mail.0.subject.contains("Sign in"), "{}", mail.0.subject);
    assert_eq!(links(&app).await.len(), 1, "one mail for both");

    let unlock = |token: String| app.anonymous().post_owned("/api/v1/auth/unlock-sign-in", json!({ "token": token }));
    let device = unlock(mail.token()).await.assert(200).at("/deviceToken");
    unlock(mail.token()).await.assert_problem(400, "invalid_token");
    try_from(app.app(), "192.0.2.99", EMAIL, PASSWORD, Some(&device)).await.expect("the device that followed the link");
    refused(try_from(app.app(), "192.0.2.99", EMAIL, OTHER, Some(&device)).await);
    for _ in 0..6 {
        try_from(app.app(), "127.0.0.1", EMAIL, PASSWORD, None).await.expect("the address that followed it");
    }
    refused(try_from(app.app(), "192.0.2.3", EMAIL, PASSWORD, None).await);
    app.advance(TimeDelta::minutes(61));
    refused(try_from(app.app(), "127.0.0.1", EMAIL, PASSWORD, None).await);
    app.run_jobs().await;
    assert_eq!(links(&app).await.len(), 2, "the next mail comes when the last link is old");
    try_from(app.app(), "192.0.2.99", EMAIL, PASSWORD, Some(&device)).await.expect("a device stays known");
});

on_both!(five_minutes_of_guessing_lock_nobody_out, |app| {
    app.user(EMAIL).await;
    let known = app.anonymous().log_in(EMAIL, PASSWORD).await.at("/deviceToken");
    let mut signed_in = 0;
    // Twenty addresses, ten guesses a second between them.
    for second in 0..300_u32 {
        for guess in 0..10 {
            refused(try_from(app.app(), &format!("198.51.100.{}", (second * 10 + guess) % 20), EMAIL, OTHER, None).await);
        }
        if second % 15 == 0 {
            try_from(app.app(), "192.0.2.50", EMAIL, PASSWORD, Some(&known)).await.expect("a known device");
            signed_in += 1;
        }
        app.advance(TimeDelta::seconds(1));
    }
    assert_eq!(signed_in, 20, "of 20");
    // A new device is in by the mailed link, with nobody's help.
    refused(try_from(app.app(), "192.0.2.77", EMAIL, PASSWORD, None).await);
    app.run_jobs().await;
    let token = links(&app).await.pop().expect("a link").token();
    let device = app.anonymous().post_owned("/api/v1/auth/unlock-sign-in", json!({ "token": token })).await.assert(200).at("/deviceToken");
    try_from(app.app(), "192.0.2.77", EMAIL, PASSWORD, Some(&device)).await.expect("the device that followed the link");
});

on_both!(a_welcome_address_pauses_like_every_other, |app| {
    app.user(EMAIL).await;
    let token = link_after_a_siege(&app, "localhost", EMAIL).await;
    app.anonymous().post_owned("/api/v1/auth/unlock-sign-in", json!({ "token": token })).await.assert(200);
    for _ in 0..5 {
        app.anonymous().log_in(EMAIL, OTHER).await.assert(401);
    }
    app.anonymous().log_in(EMAIL, PASSWORD).await.assert(401);
    app.advance(TimeDelta::seconds(2));
    app.anonymous().log_in(EMAIL, PASSWORD).await.assert(200);
});

on_both!(nobody_else_gets_a_mail_of_a_siege, |app| {
    app.user("locked@example.com").await;
    app.lock("locked@example.com").await;
    for email in ["nobody@example.com", "locked@example.com"] {
        let before = app.mails(email).await.len();
        siege(&app, "localhost", email).await;
        refused(try_from(app.app(), "192.0.2.1", email, PASSWORD, None).await);
        app.run_jobs().await;
        assert_eq!(app.mails(email).await.len(), before, "{email}");
    }
    assert_eq!(app.count("mail_requests").await, 0);
});

on_both!(a_links_token_is_good_for_nothing_else_and_not_for_long, |app| {
    app.realm("acme.example.com").await;
    app.user(EMAIL).await;
    let token = link_after_a_siege(&app, "localhost", EMAIL).await;
    let body = json!({ "token": token });
    app.anonymous().realm("acme.example.com").post("/api/v1/auth/unlock-sign-in", &body).await.assert_problem(400, "invalid_token");
    app.anonymous().verify(&token).await.assert_problem(400, "invalid_token");
    app.anonymous().reset(&token, OTHER).await.assert_problem(400, "invalid_token");
    let reset = app.reset_token(EMAIL).await;
    app.anonymous().post_owned("/api/v1/auth/unlock-sign-in", json!({ "token": reset })).await.assert_problem(400, "invalid_token");
    app.advance(TimeDelta::hours(1));
    app.anonymous().post("/api/v1/auth/unlock-sign-in", &body).await.assert_problem(400, "invalid_token");
});

on_both!(the_page_of_the_link_makes_the_browser_known, |app| {
    app.user(EMAIL).await;
    let token = link_after_a_siege(&app, "localhost", EMAIL).await;
    let path = format!("/ui/unlock-sign-in?token={token}");
    for _ in 0..20 {
        app.anonymous().get(&path).await.assert(200);
    }
    let page = app.anonymous().get(&path).await;
    let form = Form::of(&page, "");
    let done = form.send(&app.anonymous(), "/ui/unlock-sign-in", &[]).await.assert(303);
    let cookie = done.header("set-cookie");
    assert!(cookie.starts_with("realmgate_device=") && cookie.contains("HttpOnly; SameSite=Lax") && cookie.contains("Path=/"), "{cookie}");
    let device = cookie.split(['=', ';']).nth(1).unwrap();
    try_from(app.app(), "192.0.2.50", EMAIL, PASSWORD, Some(device)).await.expect("the browser's device");
    assert_eq!(form.post(&app.anonymous(), "/ui/unlock-sign-in", &[]).await.status, StatusCode::BAD_REQUEST);
});

on_both!(a_new_password_ends_the_siege, |app| {
    app.user(EMAIL).await;
    siege(&app, "localhost", EMAIL).await;
    let reset = app.reset_token(EMAIL).await;
    app.anonymous().reset(&reset, OTHER).await.assert(204);
    try_from(app.app(), "192.0.2.1", EMAIL, OTHER, None).await.expect("what was guessed at is no password any more");
});

on_both!(proofs_of_the_current_password_are_counted_by_the_session, |app| {
    let ada = app.user(EMAIL).await;
    let other = app.anonymous().log_in(EMAIL, PASSWORD).await.user("localhost", EMAIL);
    let (thief, owner) = (app.anonymous().bearer(&ada.access), app.anonymous().bearer(&other.access));
    let wrong = thief.change_password(OTHER, "copper lantern meadow").await.assert_problem(403, "wrong_password");
    for _ in 0..4 {
        thief.change_password(OTHER, "copper lantern meadow").await.assert_like(&wrong);
    }
    thief.change_password(PASSWORD, "copper lantern meadow").await.assert_like(&wrong);
    assert_eq!(counts(&app, &format!("session {}", ada.session)).await, ["6 5"]);
    assert_eq!(app.sql("SELECT guesses AS v FROM password_guesses WHERE place = ''").await, ["5"], "one count for every door");
    app.anonymous().log_in(EMAIL, PASSWORD).await.assert(200);
    // A right proof is no failure, even if the new password is none.
    for _ in 0..6 {
        owner.change_password(PASSWORD, "short").await.assert_problem(422, "validation_failed");
    }
    owner.change_password(PASSWORD, "copper lantern meadow").await.assert(204);
});

on_both!(the_operators_lock_is_another_thing, |app| {
    app.user(EMAIL).await;
    app.lock(EMAIL).await;
    for _ in 0..6 {
        // The right password is no failure.
        app.anonymous().log_in(EMAIL, PASSWORD).await.assert_problem(403, "account_locked");
    }
    realmgate::service::users::unlock(app.app(), &app.operator().await, EMAIL).await.unwrap();
    app.anonymous().log_in(EMAIL, PASSWORD).await.assert(200);
});

on_both!(realms_and_networks_are_counted_apart, |app| {
    app.realm("acme.example.com").await;
    app.user(EMAIL).await;
    app.user_in("acme.example.com", EMAIL).await;
    for host in 1..=5 {
        refused(try_from(app.app(), &format!("2001:db8:1:2::{host}"), EMAIL, OTHER, None).await);
    }
    refused(try_from(app.app(), "2001:db8:1:2:9::9", EMAIL, PASSWORD, None).await);
    try_from(app.app(), "2001:db8:1:3::1", EMAIL, PASSWORD, None).await.expect("another network");
    let there = stranger(app.app(), "acme.example.com", "2001:db8:1:2::1", None).await;
    login::with_password(app.app(), &there, EMAIL, &PASSWORD.into()).await.expect("another realm");
});

on_both!(counts_are_swept_when_nobody_guesses_any_more, |app| {
    for number in 0..30 {
        app.anonymous().log_in(&format!("nobody-{number}@example.com"), OTHER).await.assert(401);
    }
    let sweep = || async { store::sweep::sweep(&app.app().db.write, app.app().clock.now()).await.unwrap() };
    assert_eq!((sweep().await, app.count("password_guesses").await), (0, 60));
    app.advance(TimeDelta::hours(7));
    sweep().await;
    assert_eq!(app.count("password_guesses").await, 30);
    app.advance(TimeDelta::days(7));
    sweep().await;
    assert_eq!(app.count("password_guesses").await, 0);
});

//! Known devices: a token that a sign-in answers and the next one sends along. It opens nothing by itself.

use std::sync::Arc;

use chrono::TimeDelta;
use realmgate::store;
use serde_json::json;

use crate::{
    guesses::try_from,
    on_both,
    support::{Client, PASSWORD, Reply, at_once::at_once, people::OTHER},
};

const LOGIN: &str = "/api/v1/auth/login";

impl Client<'_> {
    pub(crate) async fn log_in_from(&self, email: &str, password: &str, device: &str) -> Reply {
        self.post(LOGIN, &json!({ "email": email, "password": password, "deviceToken": device })).await
    }
}

on_both!(a_device_is_known_again_by_its_token, |app| {
    app.user("ada@example.com").await;
    assert_eq!(app.count("devices").await, 1);
    let first = app.anonymous().log_in("ada@example.com", PASSWORD).await.assert(200).at("/deviceToken");
    assert_eq!(app.count("devices").await, 2, "without a token it is another device");
    let again = app.anonymous().log_in_from("ada@example.com", PASSWORD, &first).await.assert(200).at("/deviceToken");
    assert_eq!(again, first);
    assert_eq!(app.count("devices").await, 2);
    app.anonymous().log_in_from("ada@example.com", OTHER, &first).await.assert_problem(401, "invalid_credentials");
});

on_both!(tokens_that_are_not_this_persons_are_a_new_device, |app| {
    app.realm("acme.example.com").await;
    app.user("ada@example.com").await;
    app.user("bob@example.com").await;
    app.user_in("acme.example.com", "ada@example.com").await;
    let bobs = app.anonymous().log_in("bob@example.com", PASSWORD).await.at("/deviceToken");
    let elsewhere = app.anonymous().realm("acme.example.com").log_in("ada@example.com", PASSWORD).await.at("/deviceToken");
    let mut devices = app.count("devices").await;
    for token in [&bobs, &elsewhere, &"A".repeat(64), "", "x", &"y".repeat(4_000), "\u{202e}"] {
        let mine = app.anonymous().log_in_from("ada@example.com", PASSWORD, token).await.assert(200).at("/deviceToken");
        assert_ne!(&mine, token);
        devices += 1;
        assert_eq!(app.count("devices").await, devices);
    }
    let null = json!({ "email": "ada@example.com", "password": PASSWORD, "deviceToken": null });
    app.anonymous().post(LOGIN, &null).await.assert(200);
    let number = json!({ "email": "ada@example.com", "password": PASSWORD, "deviceToken": 7 });
    app.anonymous().post(LOGIN, &number).await.assert_problem(400, "invalid_request");
});

on_both!(a_new_password_makes_strangers_of_all_devices, |app| {
    let ada = app.user("ada@example.com").await;
    let device = app.anonymous().log_in("ada@example.com", PASSWORD).await.at("/deviceToken");
    app.anonymous().bearer(&ada.access).change_password(PASSWORD, OTHER).await.assert(204);
    let next = app.anonymous().log_in_from("ada@example.com", OTHER, &device).await.assert(200).at("/deviceToken");
    assert_ne!(next, device);
    app.run_jobs().await;
    let reset = app.reset_token("ada@example.com").await;
    app.anonymous().reset(&reset, PASSWORD).await.assert(204);
    assert_ne!(app.anonymous().log_in_from("ada@example.com", PASSWORD, &next).await.assert(200).at("/deviceToken"), next);
});

on_both!(devices_are_bounded_and_forgotten_when_unused, |app| {
    app.user("ada@example.com").await;
    let kept = app.anonymous().log_in("ada@example.com", PASSWORD).await.at("/deviceToken");
    for _ in 0..25 {
        app.advance(TimeDelta::hours(25));
        app.anonymous().log_in("ada@example.com", PASSWORD).await.assert(200);
        assert_eq!(app.anonymous().log_in_from("ada@example.com", PASSWORD, &kept).await.at("/deviceToken"), kept, "what is in use stays");
    }
    assert_eq!(app.count("devices").await, 20);
    app.advance(TimeDelta::days(181));
    assert_ne!(app.anonymous().log_in_from("ada@example.com", PASSWORD, &kept).await.at("/deviceToken"), kept);
    store::sweep::sweep(&app.app().db.write, app.app().clock.now()).await.unwrap();
    assert_eq!(app.count("devices").await, 1);
});

on_both!(a_device_token_is_stored_as_its_hash_alone, |app| {
    app.user("ada@example.com").await;
    let token = app.anonymous().log_in("ada@example.com", PASSWORD).await.at("/deviceToken");
    for column in app.text_columns().await {
        assert!(!column.values.iter().any(|value| value.contains(&token)), "{}.{}", column.table, column.column);
    }
});

on_both!(many_new_devices_at_once_stay_within_the_cap, |app| {
    app.user("ada@example.com").await;
    let results = at_once(40, |number| {
        let app = Arc::clone(app.app());
        async move { try_from(&app, &format!("203.0.113.{number}"), "ada@example.com", PASSWORD, None).await }
    })
    .await;
    for result in results {
        result.expect("a right password");
    }
    assert_eq!(app.count("devices").await, 20);
});

//! Word by mail of what happens to one's account: sign-ins from elsewhere, sessions that made room; in one's own language.

use chrono::TimeDelta;
use serde_json::json;

use crate::{
    on_both,
    support::{Client, PASSWORD, TestApp},
};

const ADA: &str = "ada@example.com";
const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:142.0) Gecko/20100101 Firefox/142.0";
const NEW_DEVICE: &str = "New sign-in to localhost";
const EVICTED: &str = "You were signed out of localhost on one device";

/// The subjects of the mails that came since the last look.
async fn subjects(app: &TestApp, seen: &mut usize) -> Vec<String> {
    app.run_jobs().await;
    let mails = app.mails(ADA).await;
    let new: Vec<_> = mails[..mails.len() - *seen].iter().map(|mail| mail.0.subject.clone()).collect();
    *seen = mails.len();
    new
}

fn firefox(app: &TestApp) -> Client<'_> {
    app.anonymous().header("user-agent", FIREFOX)
}

on_both!(a_sign_in_from_elsewhere_is_told_and_one_from_a_usual_place_is_not, |app| {
    let mut seen = 0;
    app.user(ADA).await;
    assert_eq!(subjects(&app, &mut seen).await.len(), 1, "the first device is no news: the verification alone was mailed");
    app.anonymous().log_in(ADA, PASSWORD).await.assert(200);
    assert_eq!(subjects(&app, &mut seen).await, Vec::<String>::new(), "the same program at the same place");
    let device = firefox(&app).log_in(ADA, PASSWORD).await.assert(200).at("/deviceToken");
    assert_eq!(subjects(&app, &mut seen).await, [NEW_DEVICE]);
    let mail = app.last_mail(ADA).await;
    assert!(mail.0.text.contains("Firefox on Linux") && mail.0.text.contains("127.0.0.1"), "{}", mail.0.text);
    app.anonymous().header("user-agent", "OtherApp/1").log_in_from(ADA, PASSWORD, &device).await.assert(200);
    assert_eq!(subjects(&app, &mut seen).await, Vec::<String>::new(), "the device is known by its token");
    app.anonymous().header("user-agent", "Thief/1").log_in(ADA, "not the password").await.assert(401);
    assert_eq!(subjects(&app, &mut seen).await, Vec::<String>::new(), "who did not get in is no sign-in");
});

on_both!(of_new_places_five_a_day_are_told, |app| {
    let mut seen = 0;
    app.user(ADA).await;
    subjects(&app, &mut seen).await;
    let elsewhere = async |number: usize| {
        app.anonymous().header("user-agent", &format!("Thief{number}/1")).log_in(ADA, PASSWORD).await.assert(200);
    };
    for number in 0..8 {
        elsewhere(number).await;
    }
    let told = subjects(&app, &mut seen).await;
    assert_eq!(told.iter().filter(|subject| *subject == NEW_DEVICE).count(), 5, "{told:?}");
    // A node that was not asked before finds the day's places taken, too.
    let other = app.join(2).await;
    other.anonymous().header("user-agent", "Thief8/1").log_in(ADA, PASSWORD).await.assert(200);
    assert_eq!(subjects(&app, &mut seen).await, Vec::<String>::new());
    app.advance(TimeDelta::hours(25));
    elsewhere(9).await;
    assert_eq!(subjects(&app, &mut seen).await, [NEW_DEVICE], "another day");
});

on_both!(a_session_that_made_room_is_told_once_a_day, |app| {
    let mut seen = 0;
    app.user(ADA).await;
    subjects(&app, &mut seen).await;
    for _ in 0..4 {
        app.advance(TimeDelta::seconds(1));
        app.anonymous().log_in(ADA, PASSWORD).await.assert(200);
    }
    assert_eq!(subjects(&app, &mut seen).await, Vec::<String>::new());
    for _ in 0..3 {
        app.advance(TimeDelta::seconds(1));
        app.anonymous().log_in(ADA, PASSWORD).await.assert(200);
    }
    assert_eq!(subjects(&app, &mut seen).await, [EVICTED]);
});

on_both!(a_person_is_written_to_in_their_own_language, |app| {
    let german = app.anonymous().header("accept-language", "de");
    german.sign_up(ADA, PASSWORD).await.assert(202);
    app.run_jobs().await;
    assert!(app.last_mail(ADA).await.0.subject.starts_with("Bestätigen Sie"), "the browser's, where nobody chose");
    let token = app.last_mail(ADA).await.token();
    app.anonymous().verify(&token).await.assert(200);
    let ada = app.anonymous().log_in(ADA, PASSWORD).await.user("localhost", ADA);
    let me = app.anonymous().bearer(&ada.access);
    assert!(me.me().await.json().get("locale").is_none());
    assert_eq!(me.patch("/api/v1/me", &json!({ "locale": "en-GB" })).await.assert(200).at("/locale"), "en");
    german.forgot(ADA).await.assert(202);
    app.run_jobs().await;
    assert_eq!(app.last_mail(ADA).await.0.subject, "Choose a new password for localhost", "one's own wish wins");
    me.patch("/api/v1/me", &json!({ "locale": "de" })).await.assert(200);
    app.anonymous().forgot(ADA).await.assert(202);
    app.run_jobs().await;
    assert_eq!(app.last_mail(ADA).await.0.subject, "Neues Passwort für localhost wählen");
    for bad in ["fr", "", "deutsch", "xx-DE"] {
        let refused = me.patch("/api/v1/me", &json!({ "locale": bad })).await.assert_problem(422, "validation_failed");
        assert_eq!(refused.faults(), ["locale:unknown_language"], "{bad}");
    }
    assert!(me.patch("/api/v1/me", &json!({ "locale": null })).await.assert(200).json().get("locale").is_none());
});

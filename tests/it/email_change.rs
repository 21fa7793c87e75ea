//! Another address: asked for with the password, confirmed at the new one, taken back from the old one. Nobody learns who
//! is here, and every older proof dies.

use std::sync::Arc;

use chrono::TimeDelta;
use poem::http::Method;
use realmgate::{
    domain::realm::RealmStatus,
    service::realms::{self, RealmChange},
};
use serde_json::json;

use crate::{
    on_both,
    support::{
        Client, PASSWORD, Reply, TestApp, User,
        at_once::at_once,
        browser::{assert_page, open, path_of},
        keys::{Key, plain_key},
        people::{OTHER, tampered},
    },
};

const OLD: &str = "ada@example.com";
const NEW: &str = "ada.king@example.com";
const TAKEN: &str = "bob@example.com";

impl Client<'_> {
    async fn change_email(&self, email: &str, password: &str) -> Reply {
        self.post("/api/v1/me/email", &json!({ "email": email, "password": password })).await
    }

    async fn confirm_email(&self, token: &str) -> Reply {
        self.post("/api/v1/auth/change-email/confirm", &json!({ "token": token })).await
    }

    async fn undo_email(&self, token: &str) -> Reply {
        self.post("/api/v1/auth/change-email/undo", &json!({ "token": token })).await
    }
}

/// Asks for the change and answers the token that the new address got.
async fn asked(app: &TestApp, ada: &User) -> String {
    app.anonymous().bearer(&ada.access).change_email(NEW, PASSWORD).await.assert(202);
    app.run_jobs().await;
    app.last_mail(NEW).await.token()
}

/// Changes the address and answers the token that the old one got.
async fn changed(app: &TestApp, ada: &User) -> String {
    let token = asked(app, ada).await;
    app.anonymous().confirm_email(&token).await.assert(200);
    app.run_jobs().await;
    let mail = app.last_mail(OLD).await;
    assert_eq!(mail.0.subject, "Your e-mail address for localhost was changed");
    mail.token()
}

/// Posts tokens at once through two nodes and answers the statuses.
async fn everywhere(app: &TestApp, count: usize, token: impl Fn(usize) -> String, path: &'static str) -> Vec<u16> {
    let nodes = [Arc::new(app.join(2).await), Arc::new(app.join(3).await)];
    at_once(count, |number| {
        let (node, body) = (Arc::clone(&nodes[number % 2]), json!({ "token": token(number) }));
        async move { node.anonymous().post(path, &body).await.status.as_u16() }
    })
    .await
}

on_both!(an_address_changes_when_the_new_one_is_confirmed, |app| {
    let ada = app.user(OLD).await;
    let me = app.anonymous().bearer(&ada.access);
    let before = app.mails(OLD).await.len();
    let token = asked(&app, &ada).await;
    assert_eq!(me.me().await.at("/email"), OLD, "nothing has changed yet");
    assert_eq!(app.mails(OLD).await.len(), before);
    let done = app.anonymous().confirm_email(&token).await.assert(200);
    assert_eq!(done.json(), json!({ "email": NEW, "verified": true }));
    assert_eq!((me.me().await.at("/email"), me.me().await.at("/emailVerified")), (NEW.to_owned(), "true".to_owned()));
    app.anonymous().log_in(NEW, PASSWORD).await.assert(200);
    app.anonymous().log_in(OLD, PASSWORD).await.assert_problem(401, "invalid_credentials");
    app.anonymous().confirm_email(&token).await.assert_problem(400, "invalid_token");
});

on_both!(the_answer_is_the_same_for_a_taken_address_and_its_owner_hears_nothing, |app| {
    let ada = app.user(OLD).await;
    app.user(TAKEN).await;
    let me = app.anonymous().bearer(&ada.access);
    let before = app.mails(TAKEN).await.len();
    let free = me.change_email(NEW, PASSWORD).await.assert(202);
    me.change_email(TAKEN, PASSWORD).await.assert(202).assert_like(&free);
    app.run_jobs().await;
    assert_eq!(app.mails(TAKEN).await.len(), before);
    assert!(app.mails(NEW).await.is_empty(), "the second wish replaced the first");
});

on_both!(a_change_asks_for_the_password_and_an_address, |app| {
    let ada = app.user(OLD).await;
    let me = app.anonymous().bearer(&ada.access);
    me.change_email(NEW, OTHER).await.assert_problem(403, "wrong_password");
    assert_eq!(me.change_email("no address", PASSWORD).await.assert_problem(422, "validation_failed").faults(), ["email:invalid_email"]);
    assert_eq!(me.change_email("ADA@example.com", PASSWORD).await.assert_problem(422, "validation_failed").faults(), ["email:unchanged"]);
    app.anonymous().change_email(NEW, PASSWORD).await.assert_problem(401, "missing_credential");
    app.run_jobs().await;
    assert!(app.mails(NEW).await.is_empty());
});

on_both!(an_address_that_somebody_proved_meanwhile_stays_theirs, |app| {
    let ada = app.user(OLD).await;
    let token = asked(&app, &ada).await;
    app.user(NEW).await;
    app.anonymous().confirm_email(&token).await.assert_problem(409, "taken");
    assert_eq!(app.anonymous().bearer(&ada.access).me().await.at("/email"), OLD);
    app.anonymous().log_in(OLD, PASSWORD).await.assert(200);
});

on_both!(an_address_that_nobody_proved_is_in_nobodys_way, |app| {
    let ada = app.user(OLD).await;
    let token = asked(&app, &ada).await;
    app.unverified(NEW).await;
    app.anonymous().confirm_email(&token).await.assert(200);
    assert_eq!(app.sql("SELECT email AS v FROM users").await, [NEW]);
});

on_both!(a_change_dies_with_a_new_password_a_newer_change_and_its_time, |app| {
    let ada = app.user(OLD).await;
    let me = app.anonymous().bearer(&ada.access);
    let first = asked(&app, &ada).await;
    let second = asked(&app, &ada).await;
    app.anonymous().confirm_email(&first).await.assert_problem(400, "invalid_token");
    me.change_password(PASSWORD, OTHER).await.assert(204);
    app.anonymous().confirm_email(&second).await.assert_problem(400, "invalid_token");
    me.change_email(NEW, OTHER).await.assert(202);
    app.run_jobs().await;
    let third = app.last_mail(NEW).await.token();
    let reset = app.reset_token(OLD).await;
    app.anonymous().reset(&reset, PASSWORD).await.assert(204);
    app.anonymous().confirm_email(&third).await.assert_problem(400, "invalid_token");
    app.advance(TimeDelta::hours(1));
    let ada = app.anonymous().log_in(OLD, PASSWORD).await.user("localhost", OLD);
    app.advance(TimeDelta::minutes(10));
    let late = asked(&app, &ada).await;
    app.advance(TimeDelta::seconds(1_800));
    app.anonymous().confirm_email(&late).await.assert_problem(400, "invalid_token");
    assert_eq!(app.sql("SELECT email AS v FROM users").await, [OLD]);
});

on_both!(a_change_waits_for_nobody_who_is_locked_and_no_realm_that_is_suspended, |app| {
    let ada = app.user(OLD).await;
    let token = asked(&app, &ada).await;
    app.lock(OLD).await;
    app.anonymous().confirm_email(&token).await.assert_problem(400, "invalid_token");
    app.realm("acme.example.com").await;
    let bob = app.user_in("acme.example.com", TAKEN).await;
    let me = app.anonymous().bearer(&bob.access);
    me.change_email(NEW, PASSWORD).await.assert(202);
    let before = app.mails(NEW).await.len();
    let suspended = RealmChange { status: Some(RealmStatus::Suspended), ..RealmChange::default() };
    realms::change(app.app(), &app.operator().await, "acme.example.com", suspended).await.unwrap();
    app.run_jobs().await;
    assert_eq!(app.mails(NEW).await.len(), before, "a suspended realm sends nothing");
    assert_eq!(app.sql("SELECT email AS v FROM users ORDER BY email").await, [OLD, TAKEN]);
});

on_both!(a_key_may_do_nothing_of_this, |app| {
    let ada = app.owner(OLD).await;
    let key = Key::of(app.anonymous().bearer(&ada.user.access).make_key(&ada.account, &plain_key()).await);
    let program = app.anonymous().bearer(&key.text);
    program.change_email(NEW, PASSWORD).await.assert_problem(403, "not_permitted");
    program.get("/api/v1/me/export").await.assert_problem(403, "not_permitted");
    let body = json!({ "password": PASSWORD }).to_string();
    program.send(Method::DELETE, "/api/v1/me", Some("application/json"), body).await.assert_problem(403, "not_permitted");
    app.anonymous().log_in(OLD, PASSWORD).await.assert(200);
});

on_both!(every_mailed_token_of_the_old_address_dies_with_it, |app| {
    let ada = app.user(OLD).await;
    let token = asked(&app, &ada).await;
    let reset = app.reset_token(OLD).await;
    app.anonymous().confirm_email(&token).await.assert(200);
    app.anonymous().reset(&reset, OTHER).await.assert_problem(400, "invalid_token");
    for bad in [&tampered(&token), &reset, "x", ""] {
        app.anonymous().confirm_email(bad).await.assert_problem(400, "invalid_token");
        app.anonymous().undo_email(bad).await.assert_problem(400, "invalid_token");
    }
});

on_both!(of_many_confirmations_at_once_one_counts, |app| {
    let ada = app.user(OLD).await;
    let token = asked(&app, &ada).await;
    let before = app.mails(OLD).await.len();
    let statuses = everywhere(&app, 8, |_| token.clone(), "/api/v1/auth/change-email/confirm").await;
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| [200, 400].contains(status)), "{statuses:?}");
    app.run_jobs().await;
    assert_eq!(app.mails(OLD).await.len(), before + 1, "one notice");
});

on_both!(of_two_people_who_want_one_address_one_gets_it, |app| {
    let ada = app.user(OLD).await;
    let bob = app.user(TAKEN).await;
    let tokens = [asked(&app, &ada).await, asked(&app, &bob).await];
    let statuses = everywhere(&app, 2, |number| tokens[number].clone(), "/api/v1/auth/change-email/confirm").await;
    let mut sorted = statuses.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, [200, 409], "{statuses:?}");
});

on_both!(the_old_address_takes_the_change_back, |app| {
    let ada = app.user(OLD).await;
    let undo = changed(&app, &ada).await;
    // What a thief would do next harms nothing.
    let thief = app.anonymous().log_in(NEW, PASSWORD).await.user("localhost", NEW);
    app.anonymous().bearer(&thief.access).change_password(PASSWORD, OTHER).await.assert(204);
    app.anonymous().sign_up(OLD, PASSWORD).await.assert(202);
    app.advance(TimeDelta::hours(71));
    assert_eq!(app.anonymous().undo_email(&undo).await.assert(200).at("/email"), OLD);
    for access in [&ada.access, &thief.access] {
        assert_eq!(app.anonymous().bearer(access).me().await.status.as_u16(), 401);
    }
    for (email, password) in [(OLD, PASSWORD), (OLD, OTHER), (NEW, PASSWORD), (NEW, OTHER)] {
        app.anonymous().log_in(email, password).await.assert_problem(401, "invalid_credentials");
    }
    app.run_jobs().await;
    let mail = app.last_mail(OLD).await;
    assert_eq!(mail.0.subject, "Choose a new password for localhost");
    app.anonymous().reset(&mail.token(), "violet lantern meadow").await.assert(204);
    let again = app.anonymous().log_in(OLD, "violet lantern meadow").await.user("localhost", OLD);
    assert_eq!(again.id, ada.id);
    app.anonymous().undo_email(&undo).await.assert_problem(400, "invalid_token");
});

on_both!(a_thief_who_changes_twice_can_not_come_back, |app| {
    let ada = app.user(OLD).await;
    let first = changed(&app, &ada).await;
    app.anonymous().bearer(&ada.access).change_email("thief@example.com", PASSWORD).await.assert(202);
    app.run_jobs().await;
    let token = app.last_mail("thief@example.com").await.token();
    app.anonymous().confirm_email(&token).await.assert(200);
    app.run_jobs().await;
    let second = app.last_mail(NEW).await.token();
    app.anonymous().undo_email(&first).await.assert(200);
    app.anonymous().undo_email(&second).await.assert_problem(400, "invalid_token");
    assert_eq!(app.sql("SELECT email AS v FROM users").await, [OLD]);
});

on_both!(of_many_who_take_it_back_at_once_one_does_and_not_after_three_days, |app| {
    let ada = app.user(OLD).await;
    let undo = changed(&app, &ada).await;
    let statuses = everywhere(&app, 6, |_| undo.clone(), "/api/v1/auth/change-email/undo").await;
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    let bob = app.user(TAKEN).await;
    app.anonymous().bearer(&bob.access).change_email("bobby@example.com", PASSWORD).await.assert(202);
    app.run_jobs().await;
    app.anonymous().confirm_email(&app.last_mail("bobby@example.com").await.token()).await.assert(200);
    app.run_jobs().await;
    let late = app.last_mail(TAKEN).await.token();
    app.advance(TimeDelta::hours(72));
    app.anonymous().undo_email(&late).await.assert_problem(400, "invalid_token");
});

on_both!(a_token_of_one_realm_is_noise_in_another, |app| {
    app.realm("acme.example.com").await;
    let ada = app.user(OLD).await;
    let token = asked(&app, &ada).await;
    app.anonymous().realm("acme.example.com").confirm_email(&token).await.assert_problem(400, "invalid_token");
    app.anonymous().undo_email(&token).await.assert_problem(400, "invalid_token");
    app.anonymous().confirm_email(&token).await.assert(200);
});

on_both!(other_nodes_show_the_new_address_within_a_second, |app| {
    let ada = app.user(OLD).await;
    let other = app.join(2).await;
    let there = other.anonymous().bearer(&ada.access);
    assert_eq!(there.me().await.at("/email"), OLD);
    changed(&app, &ada).await;
    other.follow_changes().await;
    assert_eq!(there.me().await.at("/email"), NEW);
});

on_both!(the_mailed_pages_change_and_take_back_with_a_click_alone, |app| {
    let ada = app.user(OLD).await;
    asked(&app, &ada).await;
    let client = app.anonymous();
    let path = path_of(&app.last_mail(NEW).await.link());
    for _ in 0..3 {
        assert_page(client.get(&path).await, 200, "Confirm your new e-mail address");
    }
    let form = open(&client, &path).await;
    assert_page(client.form("/ui/change-email", &[("token", &form.token)]).await, 403, "did not come from this site");
    assert_page(form.post(&client, "/ui/change-email", &[]).await, 200, "E-mail address changed");
    assert_page(form.post(&client, "/ui/change-email", &[]).await, 400, "This link no longer works");
    app.run_jobs().await;
    let path = path_of(&app.last_mail(OLD).await.link());
    assert!(path.starts_with("/ui/undo-email-change?"), "{path}");
    let form = open(&client, &path).await;
    assert_eq!(app.anonymous().bearer(&ada.access).me().await.at("/email"), NEW, "looking changes nothing");
    assert_page(form.post(&client, "/ui/undo-email-change", &[]).await, 200, "Your former address is back");
    assert_page(form.post(&client, "/ui/undo-email-change", &[]).await, 400, "This link no longer works");
    assert_eq!(app.sql("SELECT email AS v FROM users").await, [OLD]);
});

//! Signing up: what a person gets, and how little a stranger learns.
//! Addresses that are taken, unproved or new can't be told apart from outside.

use chrono::TimeDelta;
use realmgate::domain::realm::RealmSettings;
use serde_json::json;

use crate::{
    on_both,
    support::{
        PASSWORD,
        people::{OTHER, camel, with},
    },
};

const SIGN_UP: &str = "/api/v1/auth/signup";

on_both!(new_unproved_and_taken_addresses_get_the_same_answer, |app| {
    let client = app.anonymous();
    let fresh = client.sign_up("ada@example.com", PASSWORD).await.assert(202);
    let unproved = client.sign_up("ada@example.com", PASSWORD).await.assert(202);
    app.run_jobs().await;
    client.verify(&app.last_mail("ada@example.com").await.token()).await.assert(200);
    let taken = client.sign_up("ada@example.com", PASSWORD).await.assert(202);
    fresh.assert_like(&unproved);
    fresh.assert_like(&taken);
    assert_eq!(fresh.at("/user/email"), "ada@example.com");
    assert!(fresh.json().get("tokens").is_none() && fresh.json().get("session").is_none());
    assert_eq!(app.count("users").await, 1);
    assert_eq!(app.count("sessions").await, 0);
});

on_both!(the_owner_of_a_taken_address_is_told_by_mail, |app| {
    app.user("ada@example.com").await;
    app.anonymous().sign_up("ada@example.com", OTHER).await.assert(202);
    app.run_jobs().await;
    let mails = app.mails("ada@example.com").await;
    assert_eq!(mails.len(), 2);
    assert!(mails[0].0.subject.starts_with("You already have an account"), "{}", mails[0].0.subject);
    assert!(!mails[0].0.text.contains("token="), "the notice proves nothing");
    app.anonymous().log_in("ada@example.com", OTHER).await.assert_problem(401, "invalid_credentials");
    app.anonymous().log_in("ada@example.com", PASSWORD).await.assert(200);
});

on_both!(bad_fields_are_judged_alike_for_new_and_taken_addresses, |app| {
    app.user("ada@example.com").await;
    let body = |email: &str| json!({ "name": "", "email": email, "password": "short", "phone": "x" });
    let taken = app.anonymous().post(SIGN_UP, &body("ada@example.com")).await.assert_problem(422, "validation_failed");
    let fresh = app.anonymous().post(SIGN_UP, &body("new@example.com")).await;
    taken.assert_like(&fresh);
    let mut faults = taken.faults();
    faults.sort();
    assert_eq!(faults, ["name:required", "password:too_short", "phone:invalid_character"]);
});

on_both!(a_sign_up_at_the_root_realm_makes_a_free_account, |app| {
    let before = app.count("accounts").await;
    for (email, company, account) in [("ada@example.com", Some("Analytical Engines"), "Analytical Engines"), ("bob@example.com", None, "Test Person")] {
        let body = json!({ "name": "Test Person", "email": email, "password": PASSWORD, "company": company });
        app.anonymous().post(SIGN_UP, &body).await.assert(202);
        app.run_jobs().await;
        app.anonymous().verify(&app.last_mail(email).await.token()).await.assert(200);
        let user = app.anonymous().log_in(email, PASSWORD).await.user("localhost", email);
        let me = app.anonymous().bearer(&user.access).me().await.assert(200);
        assert_eq!(me.json()["accounts"].as_array().unwrap().len(), 1);
        assert_eq!(me.at("/accounts/0/name"), account);
        assert_eq!(me.at("/accounts/0/role"), "owner");
        assert_eq!(app.sql(&format!("SELECT plan_id AS v FROM accounts WHERE name = '{account}'")).await, ["free"]);
    }
    assert_eq!(app.count("accounts").await, before + 2);
    let below = "SELECT c.name AS v FROM accounts c JOIN accounts p ON p.id = c.parent_id WHERE p.parent_id IS NULL ORDER BY c.name";
    assert_eq!(app.sql(below).await, ["Analytical Engines", "Test Person"]);
});

on_both!(a_sign_up_at_another_realm_makes_no_account, |app| {
    app.realm("acme.example.com").await;
    let before = app.count("accounts").await;
    let ada = app.user_in("acme.example.com", "ada@example.com").await;
    let me = app.anonymous().bearer(&ada.access).me().await.assert(200);
    assert_eq!(me.json()["accounts"], json!([]));
    assert_eq!(me.at("/realm"), "acme.example.com");
    assert_eq!(app.count("accounts").await, before);
    assert_eq!(app.count("memberships").await, 0);
});

on_both!(a_realm_with_sign_up_off_refuses_everybody, |app| {
    app.realm_with("closed.example.com", RealmSettings { sign_up: false, ..RealmSettings::default() }).await;
    app.anonymous().realm("closed.example.com").sign_up("ada@example.com", PASSWORD).await.assert_problem(403, "not_permitted");
    app.run_jobs().await;
    assert_eq!(app.count("users").await, 0);
    assert!(app.mails("ada@example.com").await.is_empty());
});

on_both!(one_address_in_two_realms_is_two_people, |app| {
    app.realm("acme.example.com").await;
    app.realm("other.example.com").await;
    let (acme, other) = (app.anonymous().realm("acme.example.com"), app.anonymous().realm("other.example.com"));
    acme.sign_up("ada@example.com", PASSWORD).await.assert(202);
    app.run_jobs().await;
    let acme_token = app.last_mail("ada@example.com").await.token();
    other.sign_up("ada@example.com", OTHER).await.assert(202);
    app.run_jobs().await;
    assert_eq!(app.mails("ada@example.com").await.len(), 2);
    let other_token = app.last_mail("ada@example.com").await.token();
    // The proof in one realm proves nothing in the other.
    acme.verify(&acme_token).await.assert(200);
    other.log_in("ada@example.com", OTHER).await.assert_problem(403, "email_not_verified");
    other.verify(&other_token).await.assert(200);
    let one = acme.log_in("ada@example.com", PASSWORD).await.user("acme.example.com", "ada@example.com");
    let two = other.log_in("ada@example.com", OTHER).await.user("other.example.com", "ada@example.com");
    assert_ne!(one.id, two.id);
    acme.log_in("ada@example.com", OTHER).await.assert_problem(401, "invalid_credentials");
    other.log_in("ada@example.com", PASSWORD).await.assert_problem(401, "invalid_credentials");
    // A reset in one leaves the other's password and sessions alone.
    acme.forgot("ada@example.com").await.assert(202);
    app.run_jobs().await;
    let reset = app.last_mail("ada@example.com").await.token();
    other.reset(&reset, "a third harbour pilot").await.assert_problem(400, "invalid_token");
    acme.reset(&reset, "a third harbour pilot").await.assert(204);
    app.anonymous().bearer(&one.access).me().await.assert_problem(401, "session_ended");
    app.anonymous().bearer(&two.access).me().await.assert(200);
    other.log_in("ada@example.com", OTHER).await.assert(200);
});

on_both!(mails_of_one_realm_do_not_use_up_another_realms_share, |app| {
    app.realm("acme.example.com").await;
    for _ in 0..5 {
        app.anonymous().sign_up("ada@example.com", PASSWORD).await.assert(202);
    }
    app.run_jobs().await;
    app.anonymous().realm("acme.example.com").sign_up("ada@example.com", PASSWORD).await.assert(202);
    app.run_jobs().await;
    app.anonymous().realm("acme.example.com").verify(&app.last_mail("ada@example.com").await.token()).await.assert(200);
});

on_both!(the_last_mailed_sign_up_of_an_unproved_address_counts, |app| {
    let client = app.anonymous();
    let first = app.unverified("ada@example.com").await;
    let body = json!({ "name": "Ada Herself", "email": "ada@example.com", "password": OTHER });
    client.post(SIGN_UP, &body).await.assert(202);
    app.run_jobs().await;
    let second = app.last_mail("ada@example.com").await;
    assert!(second.0.text.contains("Hello Ada Herself"), "the mail greets who asked for it");
    client.verify(&first).await.assert_problem(400, "invalid_token");
    client.log_in("ada@example.com", OTHER).await.assert_problem(401, "invalid_credentials");
    client.verify(&second.token()).await.assert(200);
    client.log_in("ada@example.com", PASSWORD).await.assert_problem(401, "invalid_credentials");
    let reply = client.log_in("ada@example.com", OTHER).await.assert(200);
    assert_eq!(reply.at("/user/name"), "Ada Herself");
    assert_eq!(app.count("users").await, 1);
});

on_both!(a_resent_mail_stands_for_the_last_sign_up_even_when_its_link_has_expired, |app| {
    let client = app.anonymous();
    app.unverified("ada@example.com").await;
    client.sign_up("ada@example.com", OTHER).await.assert(202);
    app.run_jobs().await;
    app.advance(TimeDelta::hours(25));
    client.resend("ada@example.com").await.assert(202);
    app.run_jobs().await;
    client.verify(&app.last_mail("ada@example.com").await.token()).await.assert(200);
    client.log_in("ada@example.com", PASSWORD).await.assert_problem(401, "invalid_credentials");
    client.log_in("ada@example.com", OTHER).await.assert(200);
});

on_both!(sweeping_does_not_bring_an_earlier_sign_up_back, |app| {
    let client = app.anonymous();
    app.unverified("ada@example.com").await;
    client.sign_up("ada@example.com", OTHER).await.assert(202);
    app.run_jobs().await;
    app.advance(TimeDelta::days(40));
    realmgate::store::sweep::sweep(&app.app().db.write, realmgate::domain::clock::Clock::now(app.clock.as_ref())).await.unwrap();
    client.resend("ada@example.com").await.assert(202);
    app.run_jobs().await;
    client.verify(&app.last_mail("ada@example.com").await.token()).await.assert(200);
    client.log_in("ada@example.com", PASSWORD).await.assert_problem(401, "invalid_credentials");
    client.log_in("ada@example.com", OTHER).await.assert(200);
});

on_both!(a_lock_and_its_end_do_not_bring_an_earlier_sign_up_back, |app| {
    let client = app.anonymous();
    app.unverified("ada@example.com").await;
    client.sign_up("ada@example.com", OTHER).await.assert(202);
    app.run_jobs().await;
    app.lock("ada@example.com").await;
    realmgate::service::users::unlock(app.app(), &app.operator().await, "ada@example.com").await.unwrap();
    client.resend("ada@example.com").await.assert(202);
    app.run_jobs().await;
    client.verify(&app.last_mail("ada@example.com").await.token()).await.assert(200);
    client.log_in("ada@example.com", PASSWORD).await.assert_problem(401, "invalid_credentials");
    client.log_in("ada@example.com", OTHER).await.assert(200);
});

on_both!(spellings_of_one_address_are_one_person, |app| {
    let spellings = ["Ada@Bücher.Example", "ada@xn--bcher-kva.example", " ADA@XN--BCHER-KVA.EXAMPLE ", "ada@bücher。example"];
    let canonical = "ada@xn--bcher-kva.example";
    for spelling in spellings {
        let reply = app.anonymous().sign_up(spelling, PASSWORD).await.assert(202);
        assert_eq!(reply.at("/user/email"), canonical, "{spelling}");
    }
    assert_eq!(app.sql("SELECT email AS v FROM users").await, [canonical]);
    app.run_jobs().await;
    assert_eq!(app.mails(canonical).await.len(), 1, "only the last mail owed has a live link; at most three are owed");
    app.anonymous().verify(&app.last_mail(canonical).await.token()).await.assert(200);
    for spelling in spellings {
        app.anonymous().log_in(spelling, PASSWORD).await.assert(200);
    }
});

on_both!(an_extra_field_is_refused_and_makes_nobody, |app| {
    let base = json!({ "name": "Test Person", "email": "ada@example.com", "password": PASSWORD });
    let mut extra = app.columns("users").await;
    assert!(extra.iter().any(|column| column == "email_verified_at"));
    extra.retain(|column| !["name", "email", "company", "country", "phone"].contains(&column.as_str()));
    extra.extend(["role", "plan", "plan_id", "account_id", "is_admin"].map(str::to_owned));
    for column in extra {
        for field in [column.clone(), camel(&column)] {
            let reply = app.anonymous().post(SIGN_UP, &with(&base, &field, json!("x"))).await.assert_problem(400, "invalid_request");
            assert_eq!(reply.faults(), [format!("{field}:unknown")]);
        }
    }
    assert_eq!(app.count("users").await, 0);
    assert_eq!(app.count("jobs").await, 0);
});

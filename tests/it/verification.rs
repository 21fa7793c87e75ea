//! Proving an address by the mailed link or code: once, in time, by whoever got the mail.
//! Whatever is wrong with a token or code, the answer is the same.

use chrono::TimeDelta;
use poem::http::Method;
use serde_json::json;

use crate::{
    on_both,
    support::{
        PASSWORD,
        people::{OTHER, tampered},
    },
};

const VERIFY: &str = "/api/v1/auth/verify-email";

/// Six digits that are not `code`.
fn wrong(code: &str, nth: u32) -> String {
    format!("{:06}", (code.parse::<u32>().unwrap() + nth + 1) % 1_000_000)
}

on_both!(the_link_proves_the_address_once, |app| {
    let token = app.unverified("ada@example.com").await;
    let reply = app.anonymous().verify(&token).await.assert(200);
    assert_eq!(reply.json(), json!({ "email": "ada@example.com", "verified": true }));
    app.anonymous().verify(&token).await.assert_problem(400, "invalid_token");
    let ada = app.anonymous().log_in("ada@example.com", PASSWORD).await.user("localhost", "ada@example.com");
    let me = app.anonymous().bearer(&ada.access).me().await.assert(200);
    assert_eq!(me.json()["emailVerified"], true);
});

on_both!(the_code_proves_the_address_once, |app| {
    let token = app.unverified("ada@example.com").await;
    let code = app.last_mail("ada@example.com").await.code();
    let reply = app.anonymous().verify_code("ADA@Example.com", &code).await.assert(200);
    assert_eq!(reply.json(), json!({ "email": "ada@example.com", "verified": true }));
    app.anonymous().verify_code("ada@example.com", &code).await.assert_problem(400, "invalid_token");
    app.anonymous().verify(&token).await.assert_problem(400, "invalid_token");
    app.anonymous().log_in("ada@example.com", PASSWORD).await.assert(200);
});

on_both!(looking_at_the_link_consumes_nothing, |app| {
    let token = app.unverified("ada@example.com").await;
    let link = app.last_mail("ada@example.com").await.link();
    let path = &link[link.find("/ui/").unwrap()..];
    for _ in 0..20 {
        app.anonymous().get(path).await.assert(200);
        app.anonymous().send(Method::HEAD, path, None, "").await;
    }
    app.anonymous().get(&format!("{VERIFY}?token={token}")).await.assert_problem(405, "method_not_allowed");
    app.anonymous().log_in("ada@example.com", PASSWORD).await.assert_problem(403, "email_not_verified");
    app.anonymous().verify(&token).await.assert(200);
});

on_both!(five_wrong_codes_wear_out_the_code_and_not_the_link, |app| {
    let token = app.unverified("ada@example.com").await;
    let code = app.last_mail("ada@example.com").await.code();
    for nth in 0..5 {
        app.anonymous().verify_code("ada@example.com", &wrong(&code, nth)).await.assert_problem(400, "invalid_token");
    }
    app.anonymous().verify_code("ada@example.com", &code).await.assert_problem(400, "invalid_token");
    app.anonymous().verify(&token).await.assert(200);
});

on_both!(four_wrong_codes_leave_the_code_good, |app| {
    app.unverified("ada@example.com").await;
    let code = app.last_mail("ada@example.com").await.code();
    for nth in 0..4 {
        app.anonymous().verify_code("ada@example.com", &wrong(&code, nth)).await.assert_problem(400, "invalid_token");
    }
    app.anonymous().verify_code("ada@example.com", &code).await.assert(200);
});

on_both!(guesses_beside_each_other_are_counted_each, |app| {
    app.unverified("ada@example.com").await;
    let code = app.last_mail("ada@example.com").await.code();
    let app = std::sync::Arc::new(app);
    let barrier = std::sync::Arc::new(tokio::sync::Barrier::new(20));
    let guesses = (0..20).map(|nth| {
        let (app, barrier, guess) = (std::sync::Arc::clone(&app), std::sync::Arc::clone(&barrier), wrong(&code, nth));
        tokio::spawn(async move {
            barrier.wait().await;
            app.anonymous().verify_code("ada@example.com", &guess).await.assert_problem(400, "invalid_token");
        })
    });
    for guess in guesses.collect::<Vec<_>>() {
        guess.await.unwrap();
    }
    assert_eq!(app.sql("SELECT tries AS v FROM one_time_tokens").await, ["5"]);
    app.anonymous().verify_code("ada@example.com", &code).await.assert_problem(400, "invalid_token");
});

on_both!(the_code_ends_after_ten_minutes_and_the_link_does_not, |app| {
    app.anonymous().sign_up("ada@example.com", PASSWORD).await.assert(202);
    app.anonymous().sign_up("bob@example.com", PASSWORD).await.assert(202);
    app.run_jobs().await;
    let (ada, bob) = (app.last_mail("ada@example.com").await, app.last_mail("bob@example.com").await);
    app.advance(TimeDelta::seconds(599));
    app.anonymous().verify_code("bob@example.com", &bob.code()).await.assert(200);
    app.advance(TimeDelta::seconds(2));
    app.anonymous().verify_code("ada@example.com", &ada.code()).await.assert_problem(400, "invalid_token");
    app.anonymous().verify(&ada.token()).await.assert(200);
});

on_both!(the_link_ends_after_a_day, |app| {
    app.anonymous().sign_up("ada@example.com", PASSWORD).await.assert(202);
    app.anonymous().sign_up("bob@example.com", PASSWORD).await.assert(202);
    app.run_jobs().await;
    let (ada, bob) = (app.last_mail("ada@example.com").await, app.last_mail("bob@example.com").await);
    app.advance(TimeDelta::hours(24) - TimeDelta::seconds(1));
    app.anonymous().verify(&bob.token()).await.assert(200);
    app.advance(TimeDelta::seconds(2));
    app.anonymous().verify(&ada.token()).await.assert_problem(400, "invalid_token");
    app.anonymous().log_in("ada@example.com", PASSWORD).await.assert_problem(403, "email_not_verified");
});

on_both!(a_fresh_mail_kills_the_older_link_and_code, |app| {
    let old_token = app.unverified("ada@example.com").await;
    let old_code = app.last_mail("ada@example.com").await.code();
    app.anonymous().resend("ada@example.com").await.assert(202);
    app.run_jobs().await;
    let fresh = app.last_mail("ada@example.com").await;
    assert_ne!(fresh.token(), old_token);
    assert_ne!(fresh.code(), old_code);
    app.anonymous().verify(&old_token).await.assert_problem(400, "invalid_token");
    app.anonymous().verify_code("ada@example.com", &old_code).await.assert_problem(400, "invalid_token");
    app.anonymous().verify_code("ada@example.com", &fresh.code()).await.assert(200);
});

on_both!(every_bad_token_gets_the_same_answer_and_changes_nothing, |app| {
    app.realm("acme.example.com").await;
    let spent = app.unverified("bob@example.com").await;
    app.anonymous().verify(&spent).await.assert(200);
    let reset = app.reset_token("bob@example.com").await;
    let good = app.unverified("ada@example.com").await;
    let unknown = tampered(&"A".repeat(64));
    let random = tampered(&good);
    let reply = app.anonymous().verify(&spent).await.assert_problem(400, "invalid_token");
    for bad in [&*reset, &*random, &*unknown, "", "x", "../../etc", &good[1..], &format!("{good}A")] {
        app.anonymous().verify(bad).await.assert_like(&reply);
    }
    app.anonymous().realm("acme.example.com").verify(&good).await.assert_like(&reply);
    app.anonymous().reset(&good, OTHER).await.assert_like(&reply);
    app.anonymous().log_in("ada@example.com", PASSWORD).await.assert_problem(403, "email_not_verified");
    // The tokens themselves are as good as they were, each where it belongs.
    app.anonymous().verify(&good).await.assert(200);
    app.anonymous().reset(&reset, OTHER).await.assert(204);
});

on_both!(a_code_is_good_for_its_own_address_and_realm_alone, |app| {
    app.realm("acme.example.com").await;
    app.unverified("ada@example.com").await;
    app.unverified("bob@example.com").await;
    let code = app.last_mail("ada@example.com").await.code();
    assert_ne!(code, app.last_mail("bob@example.com").await.code());
    let wrong = app.anonymous().verify_code("bob@example.com", &code).await.assert_problem(400, "invalid_token");
    app.anonymous().verify_code("nobody@example.com", &code).await.assert_like(&wrong);
    app.anonymous().realm("acme.example.com").verify_code("ada@example.com", &code).await.assert_like(&wrong);
    app.anonymous().verify_code("ada@example.com", &code).await.assert(200);
});

on_both!(a_body_must_choose_between_token_and_code, |app| {
    let token = app.unverified("ada@example.com").await;
    let code = app.last_mail("ada@example.com").await.code();
    for body in [
        json!({ "token": token, "email": "ada@example.com", "code": code }),
        json!({ "token": token, "code": code }),
        json!({ "token": token, "email": "ada@example.com" }),
        json!({ "email": "ada@example.com" }),
        json!({ "code": code }),
        json!({}),
    ] {
        app.anonymous().post(VERIFY, &body).await.assert_problem(422, "validation_failed");
    }
    app.anonymous().verify(&token).await.assert(200);
});

on_both!(asking_again_gets_one_answer_whoever_asks, |app| {
    app.user("known@example.com").await;
    app.unverified("waiting@example.com").await;
    app.unverified("locked@example.com").await;
    app.lock("locked@example.com").await;
    let unknown = app.anonymous().resend("nobody@example.com").await.assert(202);
    for email in ["known@example.com", "waiting@example.com", "locked@example.com"] {
        app.anonymous().resend(email).await.assert_like(&unknown);
    }
    app.run_jobs().await;
    let mut counts = Vec::new();
    for email in ["nobody@example.com", "known@example.com", "waiting@example.com", "locked@example.com"] {
        counts.push(app.mails(email).await.len());
    }
    assert_eq!(counts, [0, 1, 2, 1], "a fresh mail went to the one who waits for it");
    assert_eq!(app.count("mail_requests").await, 0, "answered requests are deleted");
});

on_both!(one_address_gets_three_mails_an_hour, |app| {
    app.unverified("ada@example.com").await;
    let first = app.anonymous().resend("ada@example.com").await.assert(202);
    for _ in 0..9 {
        app.run_jobs().await;
        app.anonymous().resend("Ada@EXAMPLE.com").await.assert_like(&first);
        app.anonymous().sign_up("ada@example.com", PASSWORD).await.assert(202);
    }
    app.run_jobs().await;
    assert_eq!(app.mails("ada@example.com").await.len(), 3);
    let last = app.last_mail("ada@example.com").await.token();
    app.advance(TimeDelta::hours(1));
    app.anonymous().resend("ada@example.com").await.assert_like(&first);
    app.run_jobs().await;
    assert_eq!(app.mails("ada@example.com").await.len(), 4);
    app.anonymous().verify(&last).await.assert_problem(400, "invalid_token");
    app.anonymous().verify(&app.last_mail("ada@example.com").await.token()).await.assert(200);
});

on_both!(requests_beyond_the_share_leave_the_last_link_alive, |app| {
    app.unverified("ada@example.com").await;
    for _ in 0..6 {
        app.anonymous().resend("ada@example.com").await.assert(202);
        app.anonymous().sign_up("ada@example.com", OTHER).await.assert(202);
        app.run_jobs().await;
    }
    // Three at most: a link that a newer request has replaced before its mail went out is not mailed any more.
    let mails = app.mails("ada@example.com").await;
    assert!((2..=3).contains(&mails.len()));
    // Which of two mails of one moment comes first is left to chance.
    let mut verified = 0;
    for mail in mails {
        verified += usize::from(app.anonymous().verify(&mail.token()).await.status == 200);
    }
    assert_eq!(verified, 1);
});

on_both!(what_is_no_address_is_refused_by_name, |app| {
    let reply = app.anonymous().resend("ada@").await.assert_problem(422, "validation_failed");
    assert_eq!(reply.faults(), ["email:invalid_email"]);
    let reply = app.anonymous().verify_code("ada@", "123456").await.assert_problem(422, "validation_failed");
    assert_eq!(reply.faults(), ["email:invalid_email"]);
    assert_eq!(app.count("mail_requests").await, 0);
});

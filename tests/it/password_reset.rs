//! A forgotten password: the same answer for everybody, mail for who is due one, and a new password that ends the old life.
//! A token is good once, in time, for one user of one realm.

use chrono::TimeDelta;
use serde_json::json;

use crate::{
    on_both,
    support::{
        PASSWORD,
        people::{OTHER, tampered},
    },
};

on_both!(asking_gets_one_answer_and_mail_goes_to_who_is_due_one, |app| {
    app.user("known@example.com").await;
    app.unverified("waiting@example.com").await;
    app.user("locked@example.com").await;
    app.lock("locked@example.com").await;
    let unknown = app.anonymous().forgot("nobody@example.com").await.assert(202);
    let people = ["known@example.com", "waiting@example.com", "locked@example.com"];
    for email in people {
        app.anonymous().forgot(email).await.assert_like(&unknown);
    }
    // The request itself does the same for each: one row, one job, and no look at who it is.
    assert_eq!(app.count("mail_requests").await, 4);
    assert_eq!(app.sql("SELECT DISTINCT kind AS v FROM jobs").await, ["answer_mail_request"]);
    app.run_jobs().await;
    let mut counts = vec![app.mails("nobody@example.com").await.len()];
    for email in people {
        counts.push(app.mails(email).await.len() - 1);
    }
    assert_eq!(counts, [0, 1, 1, 0], "unknown, known, waiting, locked");
    assert_eq!(app.count("mail_requests").await, 0);
});

on_both!(fifty_requests_in_a_minute_send_three_mails, |app| {
    app.user("ada@example.com").await;
    app.advance(TimeDelta::hours(1));
    let first = app.anonymous().forgot("ada@example.com").await.assert(202);
    for _ in 1..50 {
        app.advance(TimeDelta::seconds(1));
        app.anonymous().forgot("ada@example.com").await.assert_like(&first);
    }
    app.run_jobs().await;
    assert_eq!(app.mails("ada@example.com").await.len(), 1 + 3);
    app.advance(TimeDelta::hours(1));
    app.anonymous().forgot("ada@example.com").await.assert_like(&first);
    app.run_jobs().await;
    assert_eq!(app.mails("ada@example.com").await.len(), 1 + 4);
});

on_both!(a_request_beyond_the_share_leaves_the_last_link_alive, |app| {
    app.user("ada@example.com").await;
    app.reset_token("ada@example.com").await;
    let last = app.reset_token("ada@example.com").await;
    app.anonymous().forgot("ada@example.com").await.assert(202);
    app.run_jobs().await;
    app.anonymous().reset(&last, OTHER).await.assert(204);
});

on_both!(the_mail_names_who_asked_and_the_configured_address_alone, |app| {
    app.user("ada@example.com").await;
    let evil = app.anonymous().header("x-forwarded-host", "evil.example").header("forwarded", "host=evil.example;proto=http").header("host", "evil.example");
    evil.forgot("ada@example.com").await.assert(202);
    app.run_jobs().await;
    let mail = app.last_mail("ada@example.com").await;
    assert!(!mail.0.text.contains("evil") && !mail.0.html.contains("evil"), "{}", mail.0.text);
    let start = format!("{}/ui/reset-password?token=", app.app().settings.public_url);
    assert!(mail.link().starts_with(&start), "{}", mail.link());
});

on_both!(a_refused_password_leaves_the_token_good, |app| {
    app.user("ada@example.com").await;
    let token = app.reset_token("ada@example.com").await;
    for (password, code) in [
        ("7 bytes", "too_short"),
        ("password1", "too_common"),
        ("ada@example.com", "too_personal"),
        ("Test Person", "too_personal"),
        (&"long ".repeat(300), "too_long"),
    ] {
        let reply = app.anonymous().reset(&token, password).await.assert_problem(422, "validation_failed");
        assert_eq!(reply.faults(), [format!("newPassword:{code}")]);
        assert!(!reply.text().contains(password), "the refusal quotes the password");
    }
    app.anonymous().log_in("ada@example.com", PASSWORD).await.assert(200);
    app.anonymous().reset(&token, OTHER).await.assert(204);
    app.anonymous().log_in("ada@example.com", OTHER).await.assert(200);
});

on_both!(a_reset_ends_every_session_on_every_node, |app| {
    let first = app.user("ada@example.com").await;
    let second = app.anonymous().log_in("ada@example.com", PASSWORD).await.user("localhost", "ada@example.com");
    let node = app.join(2).await;
    node.anonymous().bearer(&second.access).me().await.assert(200);
    let bystander = app.user("bob@example.com").await;
    let token = app.reset_token("ada@example.com").await;
    let reply = app.anonymous().reset(&token, OTHER).await.assert(204);
    assert!(reply.body.is_empty() && reply.header("set-cookie").is_empty(), "a reset begins no session");
    node.follow_changes().await;
    for user in [&first, &second] {
        for client in [app.anonymous(), node.anonymous()] {
            let dead = client.clone().bearer(&user.access).me().await.assert_problem(401, "session_ended");
            assert_eq!(dead.at("/reason"), "password_changed");
            let dead = client.refresh(&user.refresh).await.assert_problem(401, "invalid_refresh_token");
            assert_eq!(dead.at("/reason"), "password_changed");
        }
    }
    app.anonymous().bearer(&bystander.access).me().await.assert(200);
    app.anonymous().log_in("ada@example.com", PASSWORD).await.assert_problem(401, "invalid_credentials");
    app.run_jobs().await;
    let notice = app.last_mail("ada@example.com").await;
    assert!(notice.0.subject.contains("was changed"), "{}", notice.0.subject);
});

on_both!(a_token_is_good_once, |app| {
    app.user("ada@example.com").await;
    let token = app.reset_token("ada@example.com").await;
    app.anonymous().reset(&token, OTHER).await.assert(204);
    app.anonymous().reset(&token, "a third harbour pilot").await.assert_problem(400, "invalid_token");
    // The verdict on the password comes after the one on the token: a spent token learns nothing of the policy.
    app.anonymous().reset(&token, "x").await.assert_problem(400, "invalid_token");
    app.anonymous().log_in("ada@example.com", OTHER).await.assert(200);
});

on_both!(of_many_at_once_one_sets_the_password, |app| {
    app.user("ada@example.com").await;
    let token = app.reset_token("ada@example.com").await;
    let mails = app.mails("ada@example.com").await.len();
    let app = std::sync::Arc::new(app);
    let barrier = std::sync::Arc::new(tokio::sync::Barrier::new(8));
    let tries = (0..8).map(|nth| {
        let (app, barrier, token) = (std::sync::Arc::clone(&app), std::sync::Arc::clone(&barrier), token.clone());
        tokio::spawn(async move {
            barrier.wait().await;
            app.anonymous().reset(&token, &format!("{OTHER} {nth}")).await.status.as_u16()
        })
    });
    let mut statuses = Vec::new();
    for one in tries.collect::<Vec<_>>() {
        statuses.push(one.await.unwrap());
    }
    let winners: Vec<_> = (0..8).filter(|nth| statuses[*nth] == 204).collect();
    assert_eq!(winners.len(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| [204, 400].contains(status)), "{statuses:?}");
    for nth in 0..8 {
        // Longer than any pause after wrong ones.
        app.advance(TimeDelta::minutes(15));
        let status = app.anonymous().log_in("ada@example.com", &format!("{OTHER} {nth}")).await.status.as_u16();
        assert_eq!(status, if nth == winners[0] { 200 } else { 401 });
    }
    app.run_jobs().await;
    assert_eq!(app.mails("ada@example.com").await.len(), mails + 1, "one notice");
});

on_both!(a_token_ends_after_half_an_hour, |app| {
    app.user("ada@example.com").await;
    app.user("bob@example.com").await;
    let (ada, bob) = (app.reset_token("ada@example.com").await, app.reset_token("bob@example.com").await);
    app.advance(TimeDelta::minutes(30) - TimeDelta::seconds(1));
    app.anonymous().reset(&bob, OTHER).await.assert(204);
    app.advance(TimeDelta::seconds(2));
    app.anonymous().reset(&ada, OTHER).await.assert_problem(400, "invalid_token");
    app.anonymous().log_in("ada@example.com", PASSWORD).await.assert(200);
});

on_both!(a_newer_token_kills_the_older, |app| {
    app.user("ada@example.com").await;
    let older = app.reset_token("ada@example.com").await;
    let newer = app.reset_token("ada@example.com").await;
    app.anonymous().reset(&older, OTHER).await.assert_problem(400, "invalid_token");
    app.anonymous().reset(&newer, OTHER).await.assert(204);
});

on_both!(every_bad_token_gets_the_same_answer, |app| {
    app.realm("acme.example.com").await;
    app.user("ada@example.com").await;
    let verify = app.unverified("bob@example.com").await;
    let good = app.reset_token("ada@example.com").await;
    let reply = app.anonymous().reset("x", OTHER).await.assert_problem(400, "invalid_token");
    for bad in [&*tampered(&good), &*verify, "", &good[2..], &"A".repeat(64)] {
        app.anonymous().reset(bad, OTHER).await.assert_like(&reply);
    }
    app.anonymous().realm("acme.example.com").reset(&good, OTHER).await.assert_like(&reply);
    app.anonymous().verify(&good).await.assert_like(&reply);
    app.anonymous().reset(&good, OTHER).await.assert(204);
});

on_both!(a_reset_proves_the_address_and_kills_the_verification_mail, |app| {
    let verify = app.unverified("ada@example.com").await;
    let code = app.last_mail("ada@example.com").await.code();
    let reset = app.reset_token("ada@example.com").await;
    app.anonymous().reset(&reset, OTHER).await.assert(204);
    app.anonymous().verify(&verify).await.assert_problem(400, "invalid_token");
    app.anonymous().verify_code("ada@example.com", &code).await.assert_problem(400, "invalid_token");
    let reply = app.anonymous().log_in("ada@example.com", OTHER).await.assert(200);
    assert_eq!(reply.json()["user"]["emailVerified"], true);
    assert_eq!(app.sql("SELECT COUNT(*) AS v FROM one_time_tokens WHERE consumed_at IS NULL").await, ["0"]);
});

on_both!(a_reset_wins_over_a_pending_sign_up_of_the_same_address, |app| {
    app.unverified("ada@example.com").await;
    app.anonymous().sign_up("ada@example.com", "a third harbour pilot").await.assert(202);
    app.run_jobs().await;
    let pending = app.last_mail("ada@example.com").await.token();
    let reset = app.reset_token("ada@example.com").await;
    app.anonymous().reset(&reset, OTHER).await.assert(204);
    app.anonymous().verify(&pending).await.assert_problem(400, "invalid_token");
    app.anonymous().log_in("ada@example.com", "a third harbour pilot").await.assert_problem(401, "invalid_credentials");
    app.anonymous().log_in("ada@example.com", OTHER).await.assert(200);
});

on_both!(a_locked_user_can_not_reset, |app| {
    app.user("ada@example.com").await;
    let token = app.reset_token("ada@example.com").await;
    app.lock("ada@example.com").await;
    app.anonymous().reset(&token, OTHER).await.assert_problem(400, "invalid_token");
    app.anonymous().log_in("ada@example.com", PASSWORD).await.assert_problem(403, "account_locked");
    realmgate::service::users::unlock(app.app(), &app.operator().await, "ada@example.com").await.unwrap();
    app.anonymous().reset(&token, OTHER).await.assert_problem(400, "invalid_token");
    app.anonymous().log_in("ada@example.com", PASSWORD).await.assert(200);
});

on_both!(a_lock_between_request_and_mail_sends_nothing, |app| {
    app.user("ada@example.com").await;
    app.anonymous().forgot("ada@example.com").await.assert(202);
    app.lock("ada@example.com").await;
    app.run_jobs().await;
    assert_eq!(app.mails("ada@example.com").await.len(), 1, "the verification mail alone");
});

on_both!(what_is_no_address_is_refused_by_name, |app| {
    let reply = app.anonymous().post("/api/v1/auth/password/forgot", &json!({ "email": "ada" })).await.assert_problem(422, "validation_failed");
    assert_eq!(reply.faults(), ["email:invalid_email"]);
    assert_eq!(app.count("mail_requests").await, 0);
});

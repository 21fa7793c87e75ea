//! Wrong mailed tokens and codes by the hundred, bounded by where they come from and never at the cost of the person they
//! are for; and requests for mails, bounded by whom they are for.

use chrono::TimeDelta;
use realmgate::{
    domain::Error,
    service::{password_reset, verification},
};
use serde_json::json;

use crate::{
    guesses::stranger,
    on_both,
    support::{Backend, PASSWORD, TestApp, people::OTHER},
};

const EMAIL: &str = "ada@example.com";

on_both!(a_network_that_sends_wrong_tokens_is_stopped_and_nobody_else_is, |app| {
    app.user(EMAIL).await;
    let reset = app.reset_token(EMAIL).await;
    let mut tells = Vec::new();
    for number in 0..120 {
        let token = format!("{number:064}");
        let reply = match number % 5 {
            0 => app.anonymous().reset(&token, OTHER).await,
            1 => app.anonymous().verify(&token).await,
            2 => app.anonymous().post("/api/v1/auth/unlock-sign-in", &json!({ "token": token })).await,
            3 => app.anonymous().post("/api/v1/auth/change-email/confirm", &json!({ "token": token })).await,
            _ => app.anonymous().post("/api/v1/auth/change-email/undo", &json!({ "token": token })).await,
        };
        tells.push(reply.status.as_u16());
    }
    assert!(tells[..100].iter().all(|status| *status == 400) && tells[100..].iter().all(|status| *status == 429), "{tells:?}");
    let stopped = app.anonymous().reset(&reset, OTHER).await.assert_problem(429, "rate_limited");
    assert_eq!(stopped.header("retry-after"), "3599");
    let elsewhere = stranger(app.app(), "localhost", "192.0.2.1", None).await;
    password_reset::confirm(app.app(), &elsewhere, &reset, OTHER.into()).await.expect("the owner, from their own network");
    app.advance(TimeDelta::hours(1));
    app.anonymous().verify("x").await.assert_problem(400, "invalid_token");
});

on_both!(right_tokens_and_refused_passwords_are_no_wrong_ones, |app| {
    app.user(EMAIL).await;
    app.advance(TimeDelta::hours(1));
    for _ in 0..40 {
        let reset = app.reset_token(EMAIL).await;
        for _ in 0..3 {
            app.anonymous().reset(&reset, "short").await.assert_problem(422, "validation_failed");
        }
        app.anonymous().reset(&reset, PASSWORD).await.assert(204);
        app.run_jobs().await;
        app.advance(TimeDelta::minutes(25));
    }
});

on_both!(codes_are_counted_by_network_too, |app| {
    app.unverified(EMAIL).await;
    let attacker = stranger(app.app(), "localhost", "198.51.100.7", None).await;
    for number in 0..100 {
        let guessed = verification::verify_by_code(app.app(), &attacker, &format!("nobody-{number}@example.com"), "000000").await;
        assert!(matches!(guessed, Err(Error::InvalidOneTimeToken)), "{guessed:?}");
    }
    let code = app.last_mail(EMAIL).await.code();
    let stopped = verification::verify_by_code(app.app(), &attacker, EMAIL, &code).await;
    assert!(matches!(stopped, Err(Error::RateLimited { .. })), "{stopped:?}");
    app.anonymous().verify_code(EMAIL, &code).await.assert(200);
});

on_both!(fifty_requests_in_a_minute_are_three_mails_and_one_answer, |app| {
    app.user(EMAIL).await;
    app.advance(TimeDelta::hours(2));
    let before = app.mails(EMAIL).await.len();
    let first = app.anonymous().forgot(EMAIL).await.assert(202);
    for _ in 0..49 {
        app.advance(TimeDelta::seconds(1));
        app.anonymous().forgot(EMAIL).await.assert_like(&first);
    }
    app.run_jobs().await;
    assert_eq!(app.mails(EMAIL).await.len(), before + 3);
    app.advance(TimeDelta::minutes(58));
    app.anonymous().resend(EMAIL).await.assert(202);
    app.anonymous().forgot(EMAIL).await.assert_like(&first);
    app.run_jobs().await;
    assert_eq!(app.mails(EMAIL).await.len(), before + 3, "whatever they ask for");
    app.advance(TimeDelta::minutes(3));
    app.anonymous().forgot(EMAIL).await.assert_like(&first);
    app.run_jobs().await;
    assert_eq!(app.mails(EMAIL).await.len(), before + 4);
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_many_wrong_ones_is_a_setting() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let Some(app) = TestApp::with(backend, |settings| settings.limit_wrong_token = 2).await else { continue };
        for status in [400, 400, 429, 429] {
            app.anonymous().verify(&"0".repeat(64)).await.assert(status);
        }
    }
}

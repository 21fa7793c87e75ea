//! Owed mails: sent when and only when what owes them was committed, once in a mailbox however often a node dies, later
//! when the mail server is away, and visibly buried in the end.

use std::sync::Arc;

use chrono::TimeDelta;
use realmgate::{
    app::App,
    domain::{id::JobId, job::Job, realm::RealmStatus},
    service::{jobs, mailer, realms},
    store,
};
use sea_orm::ConnectionTrait as _;
use serde_json::json;
use tokio::sync::Barrier;

use crate::{
    on_both,
    support::{Backend, Mail, PASSWORD, TestApp},
};

const EMAIL: &str = "ada@example.com";
const LEASE: TimeDelta = TimeDelta::seconds(120);

async fn pending(app: &App) -> u64 {
    store::jobs::counts(&app.db.read).await.unwrap().pending
}

fn same(mail: &Mail) -> (String, String, String) {
    (mail.0.message_id.clone(), mail.link(), mail.0.text.clone())
}

on_both!(a_mail_owed_in_a_transaction_that_rolled_back_is_not_sent, |app| {
    let ada = app.user(EMAIL).await;
    let before = app.mails(EMAIL).await.len();
    let node = app.app();
    let job = Job::SendPasswordChanged { realm_id: node.root().unwrap().realm, user_id: ada.id.parse().unwrap() };
    for (commit, sent) in [(false, 0), (true, 1)] {
        let now = node.clock.now();
        let tx = store::transaction::begin_write(&node.db).await.unwrap();
        store::jobs::enqueue(&tx, JobId::new(now, node.entropy.as_ref()), &job, now, now).await.unwrap();
        if commit {
            tx.commit().await.unwrap();
        } else {
            tx.rollback().await.unwrap();
        }
        assert_eq!(pending(node).await, sent);
        app.run_jobs().await;
        assert_eq!(app.mails(EMAIL).await.len() as u64, before as u64 + sent);
    }
});

on_both!(a_refused_sign_up_owes_no_mail, |app| {
    app.anonymous().sign_up(EMAIL, "short").await.assert_problem(422, "validation_failed");
    app.anonymous().sign_up("no address", PASSWORD).await.assert_problem(422, "validation_failed");
    assert_eq!(pending(app.app()).await, 0);
    app.anonymous().sign_up(EMAIL, PASSWORD).await.assert(202);
    assert_eq!(pending(app.app()).await, 1);
});

on_both!(two_nodes_that_run_jobs_at_once_send_each_mail_once, |app| {
    const PEOPLE: usize = 30;
    for number in 0..PEOPLE {
        app.anonymous().sign_up(&format!("p{number}@example.com"), PASSWORD).await.assert(202);
    }
    assert_eq!(pending(app.app()).await, PEOPLE as u64);
    let other = app.join(2).await;
    let barrier = Arc::new(Barrier::new(4));
    let runners = [app.app(), &other.app, app.app(), &other.app].map(|node| {
        let (node, barrier) = (Arc::clone(node), Arc::clone(&barrier));
        tokio::spawn(async move {
            barrier.wait().await;
            let mut run = 0;
            loop {
                let count = jobs::run_due(&node).await.unwrap();
                run += count;
                // Another runner may still hold what is left.
                if count == 0 {
                    return run;
                }
            }
        })
    });
    let mut run = 0;
    for runner in runners {
        run += runner.await.unwrap();
    }
    // The mailbox hides copies, the number of runs does not.
    assert_eq!(run, PEOPLE, "each job ran once");
    assert_eq!(pending(app.app()).await, 0);
    for number in 0..PEOPLE {
        assert_eq!(app.mails(&format!("p{number}@example.com")).await.len(), 1);
    }
});

on_both!(a_job_of_a_node_that_died_is_sent_again_as_the_same_mail, |app| {
    let (node, other) = (app.app(), app.join(2).await);
    app.anonymous().sign_up(EMAIL, PASSWORD).await.assert(202);
    let claimed = store::jobs::claim(&node.db.write, node.clock.now(), LEASE, 8).await.unwrap();
    assert_eq!(claimed.len(), 1);
    // It sent the mail and died before it could say so.
    mailer::run(node, &claimed[0]).await.unwrap();
    let first = same(&app.last_mail(EMAIL).await);
    assert!(first.0.starts_with(&format!("<{}@", claimed[0].id)), "{}", first.0);
    app.advance(LEASE - TimeDelta::milliseconds(1));
    assert_eq!(jobs::run_due(&other.app).await.unwrap(), 0, "the lease still runs");
    app.advance(TimeDelta::milliseconds(1));
    assert_eq!(jobs::run_due(&other.app).await.unwrap(), 1);
    assert_eq!(app.mails(EMAIL).await.len(), 1, "the mailbox drops the copy");
    assert_eq!(pending(node).await, 0);
    let token = app.last_mail(EMAIL).await.token();
    app.anonymous().post("/api/v1/auth/verify-email", &json!({ "token": token })).await.assert(200);
});

on_both!(a_repeated_mail_has_the_same_link_and_message_id, |app| {
    let (node, other) = (app.app(), app.join(2).await);
    app.anonymous().sign_up(EMAIL, PASSWORD).await.assert(202);
    let claimed = store::jobs::claim(&node.db.write, node.clock.now(), LEASE, 8).await.unwrap();
    mailer::run(node, &claimed[0]).await.unwrap();
    let first = same(&app.last_mail(EMAIL).await);
    // With the first copy out of the way the second one shows.
    node.db.write.execute_unprepared("DELETE FROM mailbox").await.unwrap();
    app.advance(LEASE);
    assert_eq!(jobs::run_due(&other.app).await.unwrap(), 1);
    assert_eq!(same(&app.last_mail(EMAIL).await), first);
});

on_both!(a_reset_mail_repeated_by_another_node_is_no_second_mail, |app| {
    app.user(EMAIL).await;
    let (node, other) = (app.app(), app.join(2).await);
    let before = app.mails(EMAIL).await.len();
    app.anonymous().post("/api/v1/auth/password/forgot", &json!({ "email": EMAIL })).await.assert(202);
    let claimed = store::jobs::claim(&node.db.write, node.clock.now(), LEASE, 8).await.unwrap();
    mailer::run(node, &claimed[0]).await.unwrap();
    let token = app.last_mail(EMAIL).await.token();
    app.advance(LEASE);
    assert_eq!(jobs::run_due(&other.app).await.unwrap(), 1);
    assert_eq!(app.mails(EMAIL).await.len(), before + 1);
    // And the repetition did not spoil the link that is out.
    let body = json!({ "token": token, "newPassword": "another harbour otter" });
    app.anonymous().post("/api/v1/auth/password/reset", &body).await.assert(204);
});

on_both!(a_suspended_realm_sends_no_mail, |app| {
    app.realm("acme.example.com").await;
    app.anonymous().realm("acme.example.com").sign_up(EMAIL, PASSWORD).await.assert(202);
    app.anonymous().sign_up("root@example.com", PASSWORD).await.assert(202);
    let change = realms::RealmChange { status: Some(RealmStatus::Suspended), ..realms::RealmChange::default() };
    realms::change(app.app(), &app.operator().await, "acme.example.com", change).await.unwrap();
    app.run_jobs().await;
    assert!(app.mails(EMAIL).await.is_empty());
    assert_eq!(app.mails("root@example.com").await.len(), 1, "other realms go on");
    let dead = store::jobs::dead(&app.app().db.read, 10).await.unwrap();
    assert_eq!(dead.iter().map(|job| (job.kind.as_str(), job.last_error.as_str())).collect::<Vec<_>>(), [("send_verification", "realm_suspended")]);
    let ready = app.anonymous().get("/healthz/ready").await.assert(200);
    assert_eq!((&ready.json()["jobs"]["pending"], &ready.json()["jobs"]["dead"]), (&json!(0), &json!(1)));
});

/// Nodes whose mail server is away: nobody listens on port 1.
async fn without_a_mail_server() -> Vec<TestApp> {
    let mut all = Vec::new();
    for backend in [Backend::Sqlite, Backend::Postgres] {
        all.extend(TestApp::with(backend, |settings| settings.smtp_url = Some("smtp://127.0.0.1:1".into())).await);
    }
    assert!(!all.is_empty());
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_that_can_not_leave_is_tried_with_growing_pauses_and_buried_in_the_end() {
    for app in without_a_mail_server().await {
        let node = app.app();
        app.anonymous().sign_up(EMAIL, PASSWORD).await.assert(202);
        let mut pause = TimeDelta::seconds(5);
        for attempt in 1..=13 {
            assert_eq!(jobs::run_due(node).await.unwrap(), 1, "attempt {attempt}");
            assert_eq!((pending(node).await, store::jobs::dead(&node.db.read, 10).await.unwrap().len()), (1, 0), "attempt {attempt}");
            app.advance(pause - TimeDelta::milliseconds(1));
            assert_eq!(jobs::run_due(node).await.unwrap(), 0, "not before the pause {attempt} is over");
            // A tenth of the pause is left to chance.
            app.advance(pause / 10 + TimeDelta::milliseconds(1));
            pause = (pause * 2).min(TimeDelta::hours(12));
        }
        assert_eq!(jobs::run_due(node).await.unwrap(), 1, "the last attempt");
        let dead = store::jobs::dead(&node.db.read, 10).await.unwrap();
        assert_eq!((pending(node).await, dead.len()), (0, 1));
        assert_eq!(dead[0].kind, "send_verification");
        assert!(!dead[0].last_error.is_empty() && !dead[0].last_error.contains('@'), "{}", dead[0].last_error);
        let ready = app.anonymous().get("/healthz/ready").await.assert(200);
        assert_eq!((&ready.json()["jobs"]["pending"], &ready.json()["jobs"]["dead"]), (&json!(0), &json!(1)));
        app.advance(TimeDelta::days(2));
        assert_eq!(jobs::run_due(node).await.unwrap(), 0, "a buried job rests");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_server_that_is_away_is_no_matter_for_requests() {
    for app in without_a_mail_server().await {
        let client = app.anonymous();
        client.sign_up(EMAIL, PASSWORD).await.assert(202);
        assert_eq!(jobs::run_due(app.app()).await.unwrap(), 1);
        client.sign_up("bob@example.com", PASSWORD).await.assert(202);
        client.post("/api/v1/auth/password/forgot", &json!({ "email": EMAIL })).await.assert(202);
        client.post("/api/v1/auth/verify-email/resend", &json!({ "email": EMAIL })).await.assert(202);
        client.log_in(EMAIL, PASSWORD).await.assert_problem(403, "email_not_verified");
        let ready = client.get("/healthz/ready").await.assert(200);
        assert_eq!((ready.at("/status"), ready.at("/jobs/pending")), ("ok".to_owned(), "4".to_owned()));
        client.get("/dev/mailbox/messages").await.assert_problem(404, "not_found");
    }
}

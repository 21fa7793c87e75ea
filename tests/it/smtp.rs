//! Mail over SMTP: what arrives is the whole mail, people get in by it, and each is sent once. A server that refuses now or
//! for ever is told apart.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use chrono::TimeDelta;
use realmgate::{service::jobs, store};
use serde_json::json;
use tokio::sync::Barrier;

use crate::support::{
    Backend, PASSWORD, TestApp,
    browser::{assert_page, followed, open, path_of},
    server::token_of,
    smtp::{RealServer, Sink},
};

const PUBLIC_URL: &str = "https://id.example.com";

/// Nodes on every database there is, that send to `url`.
async fn nodes(url: &str) -> Vec<TestApp> {
    let mut all = Vec::new();
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let change = |settings: &mut realmgate::config::Settings| {
            settings.smtp_url = Some(url.into());
            settings.public_url = PUBLIC_URL.to_owned();
            settings.mail_from = "Acme Sign-in <no-reply@acme.example>".to_owned();
        };
        all.extend(TestApp::with(backend, change).await);
    }
    assert!(!all.is_empty());
    all
}

/// An address that no other test and no earlier run used: the real server's folder keeps all mails.
fn address() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("ada-{}-{}@example.com", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_server_gets_the_whole_mail() {
    // Without TEST_SMTP_URL there is no server; tests/run says so in its summary.
    let Some(server) = RealServer::find() else { return };
    for app in nodes(&server.url).await {
        let email = address();
        // A Host of the client's choice must not get into the link.
        app.anonymous().header("host", "evil.example").sign_up(&email, PASSWORD).await.assert(202);
        let claimed = store::jobs::claim(&app.app().db.write, app.app().clock.now(), TimeDelta::seconds(1), 8).await.unwrap();
        app.advance(TimeDelta::seconds(1));
        app.run_jobs().await;
        let mails = server.mails(&email);
        assert_eq!(mails.len(), 1);
        let mail = &mails[0];
        assert_eq!((mail.from.as_str(), mail.to.as_slice()), ("no-reply@acme.example", [email.clone()].as_slice()));
        assert_eq!(mail.header("to"), email);
        assert_eq!(mail.header("from"), "\"Acme Sign-in\" <no-reply@acme.example>");
        assert!(!mail.header("subject").is_empty());
        assert_eq!(mail.header("message-id"), format!("<{}@id.example.com>", claimed[0].id));
        assert_eq!(mail.header("auto-submitted"), "auto-generated");
        assert!(mail.header("content-type").starts_with("multipart/alternative"), "{}", mail.header("content-type"));
        let parts = mail.parts();
        let kinds: Vec<_> = parts.iter().map(|(kind, _)| kind.split(';').next().unwrap()).collect();
        assert_eq!(kinds, ["text/plain", "text/html"]);
        let link = mail.link();
        assert!(link.starts_with(&format!("{PUBLIC_URL}/ui/verify-email?token=")), "{link}");
        assert!(parts[1].1.contains(&token_of(&link)), "both parts carry the link");
        assert!(!mail.raw.contains("evil.example"));
        assert!(mail.raw.lines().all(|line| line.len() <= 998), "RFC 5322 section 2.1.1");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_life_over_real_mail() {
    let Some(server) = RealServer::find() else { return };
    for app in nodes(&server.url).await {
        let email = address();
        let client = app.anonymous();
        client.sign_up(&email, PASSWORD).await.assert(202);
        app.run_jobs().await;
        let form = open(&client, &path_of(&server.mails(&email)[0].link())).await;
        let fields = [("csrf", form.csrf.as_str()), ("token", form.token.as_str())];
        let posted = followed(&client, form.own(&client).header("origin", PUBLIC_URL).form("/ui/verify-email", &fields).await).await;
        assert_page(posted, 200, "E-mail address confirmed");
        client.log_in(&email, PASSWORD).await.assert(200);

        client.post("/api/v1/auth/password/forgot", &json!({ "email": email })).await.assert(202);
        app.run_jobs().await;
        let mails = server.mails(&email);
        assert_eq!(mails.len(), 2);
        let reset = mails[1].link();
        assert!(reset.starts_with(&format!("{PUBLIC_URL}/ui/reset-password?token=")), "{reset}");
        let body = json!({ "token": token_of(&reset), "newPassword": "another harbour otter" });
        client.post("/api/v1/auth/password/reset", &body).await.assert(204);
        client.log_in(&email, "another harbour otter").await.assert(200);
        app.run_jobs().await;
        let mails = server.mails(&email);
        assert_eq!(mails.len(), 3, "and the notice of the change");
        let ids: HashSet<_> = mails.iter().map(|mail| mail.header("message-id")).collect();
        assert_eq!(ids.len(), 3);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_at_once_send_each_mail_once_to_a_real_server() {
    let Some(server) = RealServer::find() else { return };
    for app in nodes(&server.url).await {
        let people: Vec<_> = (0..24).map(|_| address()).collect();
        for email in &people {
            app.anonymous().sign_up(email, PASSWORD).await.assert(202);
        }
        let other = app.join(2).await;
        let barrier = Arc::new(Barrier::new(2));
        let runners = [app.app(), &other.app].map(|node| {
            let (node, barrier) = (Arc::clone(node), Arc::clone(&barrier));
            tokio::spawn(async move {
                barrier.wait().await;
                while jobs::run_due(&node).await.unwrap() > 0 {}
            })
        });
        for runner in runners {
            runner.await.unwrap();
        }
        for email in &people {
            assert_eq!(server.mails(email).len(), 1, "{email}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_for_now_is_repeated_as_the_same_mail() {
    let sink = Sink::start();
    for app in nodes(&sink.url).await {
        let (client, email, known) = (app.anonymous(), address(), sink.mails().len());
        client.sign_up(&email, PASSWORD).await.assert(202);
        app.run_jobs().await;
        client.post("/api/v1/auth/verify-email", &json!({ "token": token_of(&sink.mails()[known].link()) })).await.assert(200);
        client.post("/api/v1/auth/password/forgot", &json!({ "email": email })).await.assert(202);
        sink.answer("451 4.7.1 later");
        app.run_jobs().await;
        assert_eq!(store::jobs::counts(&app.app().db.read).await.unwrap().pending, 1);
        sink.answer("250 taken");
        app.advance(TimeDelta::seconds(6));
        app.run_jobs().await;
        assert_eq!(store::jobs::counts(&app.app().db.read).await.unwrap().pending, 0);
        let mails = sink.mails().split_off(known + 1);
        assert_eq!(mails.len(), 2, "one that was refused and one that was taken");
        assert_eq!(mails[0].header("message-id"), mails[1].header("message-id"));
        assert_eq!(mails[0].text(), mails[1].text(), "the same link");
        let body = json!({ "token": token_of(&mails[1].link()), "newPassword": "another harbour otter" });
        client.post("/api/v1/auth/password/reset", &body).await.assert(204);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_for_ever_is_buried_without_quoting_the_server() {
    let sink = Sink::start();
    sink.answer("550 5.1.1 <canary@example.com> no such user");
    for app in nodes(&sink.url).await {
        let known = sink.mails().len();
        app.anonymous().sign_up(&address(), PASSWORD).await.assert(202);
        app.run_jobs().await;
        let dead = store::jobs::dead(&app.app().db.read, 10).await.unwrap();
        assert_eq!(dead.len(), 1);
        assert!(dead[0].last_error.contains("5.1.1") && !dead[0].last_error.contains("canary"), "{}", dead[0].last_error);
        app.advance(TimeDelta::days(3));
        app.run_jobs().await;
        assert_eq!(sink.mails().len(), known + 1, "it is not tried again");
    }
}

//! Two nodes on one PostgreSQL: they start on an empty database together, share the cap of sessions, single-use tokens and
//! the queue of mails, and hear of each other's revocations in time.

use std::{sync::Arc, time::Duration};

use serde_json::json;

use crate::{
    client::Client,
    smtp::Smtp,
    support::{
        PASSWORD,
        at_once::at_once,
        server::{Server, Tokens, token_of},
    },
    world::{KEY, Outcome, World, percentile, spread, until},
};

const AT_ONCE: usize = 20;
/// What the change feed promises, and what a machine with other work gets on top.
const PROMISE: Duration = Duration::from_secs(1);
const SLACK: Duration = Duration::from_secs(1);

pub async fn two_nodes_are_one_service(world: Arc<World>) -> Outcome {
    let mut pair = None;
    let starts = world.pick(2, 10);
    for round in 0..starts {
        let Some(place) = world.postgres().await else { return Outcome::NotRun("PostgreSQL's server programs are not installed".to_owned()) };
        let smtp = Smtp::start().await;
        let url = smtp.url();
        let settings = [("DATABASE_URL", place.url.as_str()), ("MASTER_KEY", KEY), ("SMTP_URL", url.as_str())];
        let (a, b) = tokio::join!(Server::start(place.path(), "a", &settings), Server::start(place.path(), "b", &settings));
        assert_eq!(place.sql("SELECT CAST(COUNT(*) - COUNT(DISTINCT version) AS TEXT) AS v FROM seaql_migrations").await, ["0"]);
        assert_eq!(place.sql("SELECT CAST(COUNT(*) AS TEXT) AS v FROM realms").await, ["1"], "round {round}: one installation");
        pair = Some((place, smtp, a, b));
    }
    let (place, smtp, a, b) = pair.expect("at least one round");
    let both = [Client::new(&a.url), Client::new(&b.url)];

    // Mails: each is taken by one node.
    let people = world.pick(30, 200);
    let signed_up = at_once(people, |number| {
        let client = both[number % 2].clone();
        async move { client.sign_up(&format!("p{number}@example.com"), PASSWORD).await.status }
    })
    .await;
    assert!(signed_up.iter().all(|status| *status == 202), "{signed_up:?}");
    until("the mails are out", Duration::from_secs(60), async || both[0].get("/healthz/ready", "").await.body["jobs"]["pending"] == 0).await;
    let mails = smtp.mails().len();
    assert!((0..people).all(|number| smtp.to(&format!("p{number}@example.com")).len() == 1), "{mails} mails to {people} people");

    // Single-use tokens, and the cap.
    let (mut spent, rounds) = (0, world.pick(3, 20));
    let mut most = 0;
    for number in 0..rounds {
        let email = format!("p{number}@example.com");
        let token = token_of(&smtp.to(&email)[0].text());
        let statuses = at_once(AT_ONCE, |turn| {
            let (client, token) = (both[turn % 2].clone(), token.clone());
            async move { client.post("/auth/verify-email", "", json!({ "token": token })).await.status }
        })
        .await;
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
        spent += 1;
        let logins = at_once(AT_ONCE, |turn| {
            let (client, email) = (both[turn % 2].clone(), email.clone());
            async move { client.log_in(&email, PASSWORD).await.status }
        })
        .await;
        assert!(logins.iter().all(|status| *status == 200), "{logins:?}");
        let live =
            format!("SELECT CAST(COUNT(*) AS TEXT) AS v FROM sessions s JOIN users u ON u.id = s.user_id WHERE u.email = '{email}' AND s.ended_at IS NULL");
        let live: usize = place.sql(&live).await[0].parse().unwrap();
        most = most.max(live);
        assert_eq!(live, 5, "the cap");
        assert_eq!(both[0].post("/auth/password/forgot", "", json!({ "email": email })).await.status, 202);
        let mut link = None;
        until("a reset mail", Duration::from_secs(20), async || {
            link = smtp.to(&email).into_iter().map(|mail| mail.text()).find(|text| text.contains("reset-password?token="));
            link.is_some()
        })
        .await;
        let token = token_of(&link.expect("just seen"));
        let statuses = at_once(AT_ONCE, |turn| {
            let (client, body) = (both[turn % 2].clone(), json!({ "token": token, "newPassword": format!("{PASSWORD} {turn}") }));
            async move { client.post("/auth/password/reset", "", body).await.status }
        })
        .await;
        assert_eq!(statuses.iter().filter(|status| **status == 204).count(), 1, "{statuses:?}");
        spent += 1;
    }

    // Revocations: a log-out at one node, asked for at the other every 10 ms.
    let mut times = Vec::new();
    let email = format!("p{rounds}@example.com");
    let token = token_of(&smtp.to(&email)[0].text());
    let verified = both[0].post("/auth/verify-email", "", json!({ "token": token })).await;
    assert_eq!(verified.status, 200, "{}", verified.text);
    for turn in 0..world.pick(10, 100) {
        let (here, there) = (&both[turn % 2], &both[(turn + 1) % 2]);
        let tokens = Tokens::of(&here.log_in(&email, PASSWORD).await.body["tokens"]);
        assert_eq!(there.me(&tokens.access).await.status, 200);
        assert_eq!(here.post("/auth/logout", &tokens.access, json!({})).await.status, 204);
        assert_eq!(here.me(&tokens.access).await.status, 401, "at once where it was asked for");
        times.push(until("the other node hears of it", Duration::from_secs(5), async || there.me(&tokens.access).await.status == 401).await);
    }
    let figures = spread(&mut times);
    assert!(percentile(&mut times, 100) <= PROMISE + SLACK, "{figures}");
    for node in &both {
        crate::secrets::search_metrics(node).await;
    }
    let (a, b) = (a.stop().await, b.stop().await);
    place.search(&world);
    assert!(!a.contains("panicked") && !b.contains("panicked"));
    Outcome::Passed(vec![format!(
        "two nodes: {starts} starts together, 1 migrator each; {people} mails, 0 twice; {spent} single-use tokens x {AT_ONCE}, each good once; \
         {AT_ONCE} logins at once leave {most} sessions; a revocation reaches the other node after {figures} (p50/p99/max)"
    )])
}

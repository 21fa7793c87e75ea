//! PostgreSQL stopped, restarted, frozen, its connections killed, its pool used up: what needs it gets a 503 with
//! `Retry-After` in time, what does not need it goes on, and everything comes back without a restart.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    client::{Answer, Client},
    postgres,
    support::{PASSWORD, server::Server},
    world::{KEY, Outcome, Place, World, percentile, until},
};

/// What is promised, and what a machine with other work is given on top before a test says that it is broken.
const PROMISE: Duration = Duration::from_secs(2);
const SLACK: Duration = Duration::from_millis(1_500);
const BACK_WITHIN: Duration = Duration::from_secs(5);

/// Texts that only a database or its driver writes.
const INSIDE: &[&str] = &["SELECT", "INSERT", "UPDATE ", "relation", "sqlx", "postgres", "PoolTimedOut", "connection", "statement"];

#[derive(Default)]
pub struct Seen {
    pub refused: u64,
    pub answered: u64,
    pub times: Vec<Duration>,
    /// The longest wait for a 503, and for which one.
    pub slowest: (Duration, &'static str),
}

impl Seen {
    /// A 503 as promised, or an answer as always.
    fn note(&mut self, what: &'static str, answer: &Answer, good: u16) {
        assert!(answer.status == 503 || answer.status == good, "{} {}", answer.status, answer.text);
        if answer.status == 503 {
            assert!(answer.retry_after.is_some(), "a 503 says when to come back");
            assert!(!INSIDE.iter().any(|word| answer.text.contains(word)), "{}", answer.text);
            self.refused += 1;
            self.slowest = self.slowest.max((answer.took, what));
        } else {
            self.answered += 1;
        }
        self.times.push(answer.took);
    }
}

/// Asks for a login, a sign-up and readiness, again and again, until `ends`.
pub async fn ask(client: &Client, ends: Instant, number: &mut u32) -> Seen {
    let mut seen = Seen::default();
    while Instant::now() < ends {
        *number += 1;
        let email = format!("new{number}@example.com");
        let (login, sign_up, ready) =
            tokio::join!(client.log_in("ada@example.com", PASSWORD), client.sign_up(&email, PASSWORD), client.get("/healthz/ready", ""));
        seen.note("a login", &login, 200);
        seen.note("a sign-up", &sign_up, 202);
        seen.note("readiness", &ready, 200);
    }
    seen
}

/// The time until a login and a sign-up work again.
pub async fn back(client: &Client) -> Duration {
    until("it comes back", BACK_WITHIN * 4, async || {
        let (login, ready) = tokio::join!(client.log_in("ada@example.com", PASSWORD), client.get("/healthz/ready", ""));
        login.status == 200 && ready.status == 200
    })
    .await
}

pub async fn no_partial_write(place: &Place) {
    let lonely = "SELECT CAST(COUNT(*) AS TEXT) AS v FROM users u WHERE NOT EXISTS (SELECT 1 FROM credentials c WHERE c.user_id = u.id)
        OR NOT EXISTS (SELECT 1 FROM memberships m WHERE m.user_id = u.id)";
    assert_eq!(place.sql(lonely).await, ["0"], "users without a password or an account");
    let dumb = "SELECT CAST(COUNT(*) AS TEXT) AS v FROM sessions s WHERE (s.generation = 0) <> (s.rotated_at IS NULL)";
    assert_eq!(place.sql(dumb).await, ["0"], "sessions that were refreshed at no time");
}

pub async fn a_database_that_is_gone_is_a_503_and_comes_back(world: Arc<World>) -> Outcome {
    let Some(place) = world.postgres().await else { return Outcome::NotRun("PostgreSQL's server programs are not installed".to_owned()) };
    let cluster = world.cluster.as_ref().expect("it made the place");
    let settings = [("DATABASE_URL", place.url.as_str()), ("MASTER_KEY", KEY), ("DATABASE_MAX_CONNECTIONS", "8")];
    let server = Server::start(place.path(), "a", &settings).await;
    server.user("ada@example.com").await;
    // Ada's many logins end her older sessions; Bob's stays.
    let bob = server.user("bob@example.com").await;
    let client = Client::new(&server.url);
    assert_eq!(client.me(&bob.access).await.status, 200);
    let (mut number, mut lines) = (0, Vec::new());
    let mut report = |fault: &str, mut seen: Seen, back: Duration| {
        let (p95, (slowest, which)) = (percentile(&mut seen.times, 95), seen.slowest);
        lines.push(format!(
            "postgres {fault}: {} answers 503 with Retry-After, the slowest after {} ms ({which}), {} as always, none 500; p95 of all {} ms; back after {} ms",
            seen.refused,
            slowest.as_millis(),
            seen.answered,
            p95.as_millis(),
            back.as_millis()
        ));
        assert!(slowest <= PROMISE + SLACK, "{fault}: {which} was a 503 after {slowest:?}");
        assert!(back <= BACK_WITHIN + SLACK, "{fault}: back after {back:?}");
    };
    let for_a_while = Duration::from_secs(world.pick(3, 8));

    // Stopped. A token that is known goes on being good while the node knows what it may not know.
    cluster.down("fast");
    let known = client.me(&bob.access).await;
    assert_eq!(known.status, 200, "{}", known.text);
    let seen = ask(&client, Instant::now() + for_a_while, &mut number).await;
    assert!(seen.refused > 0 && seen.answered == 0, "it was stopped");
    cluster.up();
    report("stopped", seen, back(&client).await);

    // Restarted under load.
    let asking = tokio::spawn({
        let client = client.clone();
        async move { ask(&client, Instant::now() + Duration::from_secs(3), &mut 10_000).await }
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    cluster.down("immediate");
    cluster.up();
    let seen = asking.await.unwrap();
    report("crashed and restarted", seen, back(&client).await);

    // Frozen for five seconds, in the middle of work.
    let asking = tokio::spawn({
        let client = client.clone();
        async move { ask(&client, Instant::now() + Duration::from_millis(5_500), &mut 20_000).await }
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(client.me(&bob.access).await.status, 200);
    cluster.freeze();
    let known = client.me(&bob.access).await;
    assert_eq!(known.status, 200, "a known token needs no database: {}", known.text);
    tokio::time::sleep(Duration::from_secs(5)).await;
    cluster.thaw();
    let thawed = Instant::now();
    let seen = asking.await.unwrap();
    assert!(seen.refused > 0, "it was frozen");
    back(&client).await;
    report("frozen 5 s", seen, thawed.elapsed());

    // Every connection killed, again and again.
    let asking = tokio::spawn({
        let client = client.clone();
        async move { ask(&client, Instant::now() + Duration::from_secs(3), &mut 30_000).await }
    });
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(250)).await;
        cluster.kill_backends().await;
    }
    let seen = asking.await.unwrap();
    report("backends killed 10 times", seen, back(&client).await);

    // The pool used up: a lock that all sign-ups wait for.
    let holder = tokio::spawn({
        let url = place.url.clone();
        async move { postgres::execute(&url, "BEGIN; LOCK TABLE users IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(4); COMMIT").await }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let flood: Vec<_> = (0..32)
        .map(|number| {
            let client = client.clone();
            tokio::spawn(async move { client.sign_up(&format!("flood{number}@example.com"), PASSWORD).await })
        })
        .collect();
    let mut seen = Seen::default();
    for one in flood {
        seen.note("a sign-up", &one.await.unwrap(), 202);
    }
    assert!(seen.refused > 0, "the pool was used up");
    holder.await.unwrap();
    report("pool exhausted", seen, back(&client).await);

    no_partial_write(&place).await;
    let dead = client.post("/auth/logout", &bob.access, json!({})).await;
    assert_eq!(dead.status, 204, "{}", dead.text);
    crate::secrets::search_metrics(&client).await;
    server.stop().await;
    place.search(&world);
    Outcome::Passed(lines)
}

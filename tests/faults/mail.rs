//! A mail server that is down, grey, busy, strict, slow or rude: whoever signs up notices nothing, what can be sent later
//! is sent later, with growing pauses, and what can't is there to be seen.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    client::Client,
    smtp::{Mood, Smtp},
    support::{Backend, PASSWORD, server::Server},
    world::{KEY, Outcome, Place, World, percentile, until},
};

/// What is promised, and what a machine with other work gets on top.
const PROMISE: Duration = Duration::from_millis(250);
const SLACK: u32 = 4;

pub async fn a_mail_server_in_any_mood_is_nobodys_problem(world: Arc<World>) -> Outcome {
    let mut lines = Vec::new();
    let places = if world.long { world.places().await } else { vec![world.sqlite()] };
    for place in places {
        lines.push(one_database(&world, &place).await);
    }
    Outcome::Passed(lines)
}

/// Sign-ups and requests for a reset, a few at a time; the 95th percentile of their times.
async fn ask(client: &Client, word: &str, count: usize) -> Duration {
    let mut times = Vec::new();
    for number in 0..count {
        let email = format!("{word}{number}@example.com");
        let (new, unknown, known) = tokio::join!(
            client.sign_up(&email, PASSWORD),
            client.post("/auth/password/forgot", "", json!({ "email": format!("nobody-{email}") })),
            client.log_in("ada@example.com", PASSWORD),
        );
        assert_eq!((new.status, unknown.status, known.status), (202, 202, 200), "{} {}", new.text, unknown.text);
        times.extend([new.took, unknown.took, known.took]);
    }
    percentile(&mut times, 95)
}

async fn one_database(world: &World, place: &Place) -> String {
    let smtp = Smtp::start().await;
    let url = smtp.url();
    let server = Server::start(place.path(), "a", &[("DATABASE_URL", &place.url), ("MASTER_KEY", KEY), ("SMTP_URL", &url)]).await;
    let client = Client::new(&server.url);
    // Ada's address is proved by the link, as anybody's.
    assert_eq!(client.sign_up("ada@example.com", PASSWORD).await.status, 202);
    until("Ada's mail", Duration::from_secs(20), async || !smtp.to("ada@example.com").is_empty()).await;
    let token = crate::support::server::token_of(&smtp.to("ada@example.com")[0].text());
    assert_eq!(client.post("/auth/verify-email", "", json!({ "token": token })).await.status, 200);

    let count = world.pick(12, 60);
    ask(&client, "warm", 4).await;
    let usual = ask(&client, "usual", count).await;
    let mut figures = Vec::new();
    let mut check = |mood: &str, p95: Duration| {
        figures.push(format!("{mood} {:.1}", p95.as_secs_f64() / usual.as_secs_f64()));
        assert!(p95 <= (PROMISE.max(usual)) * SLACK, "{mood}: p95 {p95:?}, usually {usual:?}");
    };

    smtp.down();
    check("down", ask(&client, "down", count).await);
    smtp.up().await;
    smtp.feel(Mood::Grey);
    check("grey", ask(&client, "grey", count).await);
    smtp.feel(Mood::Rude);
    check("rude", ask(&client, "rude", count).await);
    smtp.feel(Mood::Busy);
    check("busy", ask(&client, "busy", count).await);
    let pauses = growing_pauses(place, &client).await;

    // All of it arrives once the server is well.
    smtp.feel(Mood::Well);
    let began = Instant::now();
    until("everything owed is sent", Duration::from_secs(60), async || {
        due_now(place).await;
        client.get("/healthz/ready", "").await.body["jobs"]["pending"] == 0
    })
    .await;
    let drained = began.elapsed();
    for word in ["usual", "down", "grey", "rude", "busy"] {
        for number in 0..count {
            assert_eq!(smtp.to(&format!("{word}{number}@example.com")).len(), 1, "{word}{number}");
        }
    }
    assert_eq!(client.get("/healthz/ready", "").await.body["jobs"]["dead"], 0);

    // What is refused for good is given up at once, and seen.
    smtp.feel(Mood::Strict);
    check("strict", ask(&client, "strict", count).await);
    until("the dead are counted", Duration::from_secs(30), async || client.get("/healthz/ready", "").await.body["jobs"]["dead"] == count).await;
    let why = place.sql("SELECT DISTINCT last_error AS v FROM jobs WHERE status = 'dead'").await;
    assert_eq!(why, ["reply 550 5.1.1"]);

    smtp.feel(Mood::Slow);
    check("slow 60 s", ask(&client, "slow", count).await);
    let offered = smtp.attempts();
    assert!(offered > 0);
    crate::secrets::search_metrics(&client).await;
    let log = server.stop().await;
    place.search(world);
    assert!(log.contains("job given up") && !log.contains("example.com"), "the log says so and names nobody");
    format!(
        "{:?}: SMTP faults, {} requests each, all answered as always: p95 usually {} ms, under faults x {}; pauses after 1 to 3 failures {} s; backlog sent in {:.1} s; {count} dead letters seen",
        place.backend,
        count * 3,
        usual.as_millis(),
        figures.join(", x "),
        pauses.join(", "),
        drained.as_secs_f32(),
    )
}

/// Nobody waits for hours here: all that waits is due.
async fn due_now(place: &Place) {
    crate::postgres::execute(&place.url, "UPDATE jobs SET run_at = created_at WHERE status = 'pending' AND locked_until IS NULL").await;
}

/// The pauses, in seconds, that one job is given after each of its first three failures.
async fn growing_pauses(place: &Place, client: &Client) -> Vec<String> {
    let email = "patience@example.com";
    let user = format!("(SELECT id FROM users WHERE email = '{email}')");
    assert_eq!(client.sign_up(email, PASSWORD).await.status, 202);
    let job = match place.backend {
        Backend::Sqlite => format!(
            "payload LIKE '%' || (SELECT lower(substr(h, 1, 8) || '-' || substr(h, 9, 4) || '-' || substr(h, 13, 4) || '-' || substr(h, 17, 4) || '-' || substr(h, 21)) FROM (SELECT hex(id) AS h FROM users WHERE email = '{email}')) || '%'"
        ),
        Backend::Postgres => format!("payload LIKE '%' || CAST({user} AS TEXT) || '%'"),
    };
    let left = match place.backend {
        Backend::Sqlite => "CAST(CAST(round((julianday(run_at) - julianday('now')) * 86400) AS INTEGER) AS TEXT)",
        Backend::Postgres => "CAST(CAST(round(extract(epoch FROM run_at - now())) AS INTEGER) AS TEXT)",
    };
    let mut pauses = Vec::new();
    for failures in 1..=3 {
        let mut pause = Vec::new();
        until("a failure more", Duration::from_secs(30), async || {
            pause = place.sql(&format!("SELECT {left} AS v FROM jobs WHERE attempts = {failures} AND {job}")).await;
            !pause.is_empty()
        })
        .await;
        let seconds: i64 = pause[0].parse().expect("a number");
        let least = 5 << (failures - 1);
        assert!((least - 4..=least * 11 / 10 + 1).contains(&seconds), "after {failures} failures: {seconds} s");
        pauses.push(pause.swap_remove(0));
        crate::postgres::execute(&place.url, &format!("UPDATE jobs SET run_at = created_at WHERE {job}")).await;
    }
    pauses
}

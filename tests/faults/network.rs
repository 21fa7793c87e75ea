//! A bad network between the program and its database or its mail server: late, narrow, deaf, torn.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    client::Client,
    outage::{ask, back, no_partial_write},
    proxy::{Line, Proxy},
    smtp::Smtp,
    support::{PASSWORD, server::Server},
    world::{KEY, Outcome, World, percentile, until},
};

const PROMISE: Duration = Duration::from_millis(3_500);
const BACK_WITHIN: Duration = Duration::from_millis(6_500);

pub async fn a_bad_line_to_the_database_is_a_503_in_time(world: Arc<World>) -> Outcome {
    let Some(place) = world.postgres().await else { return Outcome::NotRun("PostgreSQL's server programs are not installed".to_owned()) };
    let cluster = world.cluster.as_ref().expect("it made the place");
    let proxy = Proxy::to(([127, 0, 0, 1], cluster.port).into()).await;
    let url = place.url.replace(&format!(":{}/", cluster.port), &format!(":{}/", proxy.port));
    let server = Server::start(place.path(), "a", &[("DATABASE_URL", &url), ("MASTER_KEY", KEY), ("DATABASE_MAX_CONNECTIONS", "8")]).await;
    server.user("ada@example.com").await;
    let client = Client::new(&server.url);
    let (mut lines, mut number) = (Vec::new(), 0);
    let span = Duration::from_secs(world.pick(3, 10));
    let ten = Duration::from_millis(10);
    let mut bad = vec![("500 ms late", Line::Late(ten * 50)), ("half-open", Line::Deaf), ("reset after 3,000 bytes", Line::Torn(3_000))];
    if world.long {
        bad.extend([("10 ms late", Line::Late(ten)), ("64 kbit/s", Line::Narrow(8_000))]);
    }
    for (word, line) in bad {
        proxy.set(line);
        let mut seen = ask(&client, Instant::now() + span, &mut number).await;
        proxy.set(Line::Good);
        let back = back(&client).await;
        let (p95, max) = (percentile(&mut seen.times, 95), percentile(&mut seen.times, 100));
        lines.push(format!(
            "line to PostgreSQL {word}: {} answers 503, {} as always, none 500; p95 {} ms, max {} ms; back after {} ms",
            seen.refused,
            seen.answered,
            p95.as_millis(),
            max.as_millis(),
            back.as_millis()
        ));
        // On a slow line each of several calls may take nearly its whole time; what must not be is a wait without an end.
        let promise = if matches!(line, Line::Late(_) | Line::Narrow(_)) { PROMISE * 4 } else { PROMISE };
        assert!(p95 <= promise && back <= BACK_WITHIN, "{}", lines.last().expect("just pushed"));
        assert!(!matches!(line, Line::Deaf) || seen.refused > 0, "nobody was heard");
    }
    no_partial_write(&place).await;
    server.stop().await;
    place.search(&world);
    Outcome::Passed(lines)
}

pub async fn a_bad_line_to_the_mail_server_delays_mail_alone(world: Arc<World>) -> Outcome {
    let place = world.sqlite();
    let smtp = Smtp::start().await;
    let proxy = Proxy::to(smtp.address()).await;
    let url = format!("smtp://127.0.0.1:{}", proxy.port);
    let server = Server::start(place.path(), "a", &[("MASTER_KEY", KEY), ("SMTP_URL", &url)]).await;
    let client = Client::new(&server.url);
    let mut times = Vec::new();
    let mut bad = vec![("late", "late", Line::Late(Duration::from_millis(100))), ("torn", "torn", Line::Torn(600))];
    if world.long {
        // What hangs in a deaf line is given up after 30 s and tried again 5 s later.
        bad.push(("deaf", "half-open", Line::Deaf));
    }
    for (word, _, line) in bad.iter().copied() {
        proxy.set(line);
        for number in 0..4 {
            let answer = client.sign_up(&format!("{word}{number}@example.com"), PASSWORD).await;
            assert_eq!(answer.status, 202, "{}", answer.text);
            times.push(answer.took);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    proxy.set(Line::Good);
    let back = until("all mails are there", Duration::from_secs(120), async || {
        bad.iter().all(|(word, ..)| (0..4).all(|number| !smtp.to(&format!("{word}{number}@example.com")).is_empty()))
    })
    .await;
    // Where the server's answer was lost, the mail came and comes again, by the same name.
    let mails = smtp.mails();
    let names: HashSet<_> = mails.iter().map(|mail| mail.header("message-id")).collect();
    let count = bad.len() * 4;
    assert_eq!(names.len(), count, "one Message-ID a mail");
    let twice = mails.len() - names.len();
    let p95 = percentile(&mut times, 95);
    assert!(p95 <= Duration::from_secs(1), "{p95:?}");
    server.stop().await;
    Outcome::Passed(vec![format!(
        "line to the mail server {}: {count} sign-ups, p95 {} ms, {count} mails, {twice} copies with the same Message-ID, the last {} s after the line was good",
        bad.iter().map(|(_, name, _)| *name).collect::<Vec<_>>().join(", "),
        p95.as_millis(),
        back.as_secs()
    )])
}

//! SIGTERM under load: whoever was heard is answered, on connections that stay open until they are told that they close.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    support::{PASSWORD, server::Server},
    world::{KEY, Outcome, Place, World, percentile, spread},
};

const CLIENTS: usize = 24;
/// The longest that requests in flight are waited for.
const DRAIN: Duration = Duration::from_secs(10);

pub async fn a_stop_under_load_drops_nobody(world: Arc<World>) -> Outcome {
    let mut lines = Vec::new();
    for place in world.places().await {
        lines.push(one_database(&world, &place).await);
    }
    Outcome::Passed(lines)
}

async fn one_database(world: &World, place: &Place) -> String {
    let settings = [("DATABASE_URL", place.url.as_str()), ("MASTER_KEY", KEY)];
    let stops = world.pick(3, 30);
    let (mut answered, mut last, mut times) = (0, 0, Vec::new());
    for round in 0..stops {
        let mut server = Server::start(place.path(), &format!("stop{round}"), &settings).await;
        if round == 0 {
            server.user("ada@example.com").await;
            server.user("bob@example.com").await;
        }
        // Ada's many logins end her older sessions; Bob's stays.
        let access = server.log_in("bob@example.com").await.access;
        let replies = Arc::new(AtomicUsize::new(0));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let (address, replies) = (server.url.trim_start_matches("http://").to_owned(), Arc::clone(&replies));
                let request = request(number, round, &access);
                tokio::spawn(async move { client(&address, request, &replies).await })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(200 + world.below(300))).await;
        let (asked, before) = (Instant::now(), replies.load(Ordering::Relaxed));
        server.terminate();
        for client in clients {
            client.await.unwrap();
        }
        assert!(server.ended().await.success());
        times.push(asked.elapsed());
        answered += replies.load(Ordering::Relaxed);
        last += replies.load(Ordering::Relaxed) - before;
    }
    assert!(answered > 0 && last > 0, "nobody asked while it stopped");
    let longest = percentile(&mut times, 100);
    assert!(longest <= DRAIN, "it ended after {longest:?}");
    place.search(world);
    format!(
        "{:?}: SIGTERM {stops} times under {CLIENTS} busy clients: {answered} answers, {last} of them after the signal, 0 resets, 0 torn; ended after {} (p50/p99/max)",
        place.backend,
        spread(&mut times)
    )
}

/// A third of the clients reads, a third logs in, a third signs up.
fn request(number: usize, round: usize, access: &str) -> String {
    let (method, path, body) = match number % 3 {
        0 => ("GET", "/api/v1/me", String::new()),
        1 => ("POST", "/api/v1/auth/login", json!({ "email": "ada@example.com", "password": PASSWORD }).to_string()),
        _ => (
            "POST",
            "/api/v1/auth/signup",
            json!({ "name": "Test Person", "email": format!("p{round}-{number}@example.com"), "password": PASSWORD }).to_string(),
        ),
    };
    let bearer = if number.is_multiple_of(3) { format!("authorization: Bearer {access}\r\n") } else { String::new() };
    format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n{bearer}content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// Asks the same again and again on one connection, until an answer says that it closes. Plain bytes, because a client
/// that tries again by itself would hide what this looks for.
async fn client(address: &str, request: String, replies: &AtomicUsize) {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    loop {
        stream.write_all(request.as_bytes()).await.expect("a request is taken");
        let head = reply(&mut stream).await;
        let status = head.split(' ').nth(1).unwrap_or_default();
        assert!(matches!(status, "200" | "202"), "{head}");
        replies.fetch_add(1, Ordering::Relaxed);
        if head.contains("connection: close") {
            return;
        }
    }
}

/// Reads one whole answer; its head in lower case.
async fn reply(stream: &mut TcpStream) -> String {
    let (mut data, mut part) = (Vec::new(), [0; 4_096]);
    loop {
        let count = stream.read(&mut part).await.expect("no reset");
        assert!(count > 0, "closed after {} bytes of an answer", data.len());
        data.extend_from_slice(&part[..count]);
        let text = String::from_utf8_lossy(&data);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let head = head.to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
        if body.len() >= length {
            return head;
        }
    }
}

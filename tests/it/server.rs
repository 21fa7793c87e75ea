//! The real program: it starts, says what it does in one JSON line each, ends without dropping a request, and remembers
//! after a crash and across processes who is in and who is out.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::{Arc, Barrier},
    time::{Duration, Instant},
};

use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    Backend, Database, PASSWORD,
    server::{Server, Tokens, eventually, program},
};

const ME: &str = "/api/v1/me";
/// What the change feed promises.
const PROMISE: Duration = Duration::from_secs(1);

/// Moves the use of spent tokens back by more than their ten seconds of grace.
const EARLIER: &str =
    "UPDATE sessions SET rotated_at = strftime('%Y-%m-%dT%H:%M:%f', rotated_at, '-20 seconds') || '+00:00', burst_at = NULL WHERE rotated_at IS NOT NULL";

/// Waits until a token is refused, and says how long that took.
async fn refused(server: &Server, access: &str) -> Duration {
    eventually("the token is refused", async || (server.status(ME, access).await == 401).then_some(())).await.1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_log_line_is_one_json_object_and_names_no_query() {
    let folder = TempDir::new().unwrap();
    let server = Server::start(folder.path(), "a", &[]).await;
    let ada = server.user("ada@example.com").await;
    let mut ids = Vec::new();
    for (path, route) in [
        ("/api/v1/me?canary=inquery", "/api/v1/me"),
        ("/ui/verify-email?token=inquery", "/ui/verify-email"),
        ("/realms/localhost/.well-known/jwks.json?canary=inquery", "/realms/{realm}/.well-known/jwks.json"),
        ("/api/v1/none/inquery?canary=inquery", ""),
        ("/ui/inquery", ""),
    ] {
        let reply = server.get(path, &ada.access).await.unwrap();
        ids.push((reply.headers()["x-request-id"].to_str().unwrap().to_owned(), route, reply.status().as_u16()));
    }
    let gone = server.http.delete(format!("{}/api/v1/me/sessions/inquery", server.url)).bearer_auth(&ada.access).send().await.unwrap();
    ids.push((gone.headers()["x-request-id"].to_str().unwrap().to_owned(), "/api/v1/me/sessions/{id}", gone.status().as_u16()));
    let log = server.stop().await;
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"))).collect();
    assert!(lines.iter().all(|line| line.is_object() && line["timestamp"].is_string() && line["level"].is_string() && line["message"].is_string()));
    for (id, route, status) in ids {
        let found: Vec<_> = lines.iter().filter(|line| line["request_id"] == id.as_str() && line["message"] == "request").collect();
        assert_eq!(found.len(), 1, "{id}");
        assert_eq!((found[0]["route"].as_str().unwrap(), found[0]["status"].as_u64().unwrap()), (route, u64::from(status)));
        assert!(found[0]["duration_us"].is_u64() && found[0]["method"].is_string());
    }
    assert!(!log.contains("inquery") && !log.contains("ada@example.com"), "{log}");
    for word in ["ready", "stopped"] {
        assert_eq!(lines.iter().filter(|line| line["message"] == word).count(), 1, "{word}");
    }
}

/// What became of a request on a plain socket.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    /// A whole reply, and whether the connection stays.
    Full { status: u16, stays: bool },
    /// Closed or refused before a byte of an answer.
    Unheard,
    /// An answer that breaks off.
    Torn,
}

fn read_reply(stream: &mut TcpStream) -> Fate {
    let (mut data, mut part) = (Vec::new(), [0; 4_096]);
    loop {
        let count = stream.read(&mut part).unwrap_or(0);
        if count == 0 {
            return if data.is_empty() { Fate::Unheard } else { Fate::Torn };
        }
        data.extend_from_slice(&part[..count]);
        let text = String::from_utf8_lossy(&data);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let head = head.to_ascii_lowercase();
        let length: usize = head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |length| length.parse().unwrap());
        if body.len() >= length {
            let status = head.split(' ').nth(1).unwrap().parse().unwrap();
            return Fate::Full { status, stays: !head.contains("connection: close") };
        }
    }
}

fn request(method: &str, path: &str, body: &str) -> String {
    let length = body.len();
    format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
}

fn connect(server: &Server) -> Option<TcpStream> {
    let stream = TcpStream::connect(server.url.trim_start_matches("http://")).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    Some(stream)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_in_flight_at_sigterm_get_their_replies() {
    let folder = TempDir::new().unwrap();
    // One slow hash after the other, so that most wait when the signal comes.
    let slow = [("HASH_MEMORY_KIB", "65536"), ("HASH_ITERATIONS", "2"), ("HASH_PERMITS", "1")];
    let mut server = Server::start(folder.path(), "a", &slow).await;
    server.user("ada@example.com").await;
    let login = request("POST", "/api/v1/auth/login", &json!({ "email": "ada@example.com", "password": PASSWORD }).to_string());
    let mut streams: Vec<_> = (0..8).map(|_| connect(&server).unwrap()).collect();
    for stream in &mut streams {
        // A first reply proves that the connection was accepted, and keeps it open.
        stream.write_all(request("GET", "/healthz/live", "").as_bytes()).unwrap();
        assert_eq!(read_reply(stream), Fate::Full { status: 200, stays: true });
    }
    for stream in &mut streams {
        stream.write_all(login.as_bytes()).unwrap();
    }
    let (done, first) = std::sync::mpsc::channel();
    let readers: Vec<_> = streams
        .into_iter()
        .map(|mut stream| {
            let done = done.clone();
            std::thread::spawn(move || {
                let fate = read_reply(&mut stream);
                done.send(()).unwrap();
                fate
            })
        })
        .collect();
    first.recv().unwrap();
    server.terminate();
    let fates: Vec<_> = readers.into_iter().map(|reader| reader.join().unwrap()).collect();
    assert!(fates.iter().all(|fate| matches!(fate, Fate::Full { status: 200, .. })), "{fates:?}");
    assert!(fates.contains(&Fate::Full { status: 200, stays: false }), "nobody was in flight when the signal came");
    assert_eq!(server.ended().await.code(), Some(0));
    assert!(connect(&server).is_none(), "nobody listens any more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn busy_clients_lose_no_request_to_sigterm() {
    let folder = TempDir::new().unwrap();
    let mut server = Server::start(folder.path(), "a", &[]).await;
    let ada = server.user("ada@example.com").await;
    let mut streams: Vec<_> = (0..8).map(|_| connect(&server).unwrap()).collect();
    let text = request("GET", ME, "").replace("content-length: 0", &format!("authorization: Bearer {}", ada.access));
    let barrier = Arc::new(Barrier::new(9));
    let clients: Vec<_> = streams
        .drain(..)
        .map(|mut stream| {
            let (text, barrier) = (text.clone(), Arc::clone(&barrier));
            std::thread::spawn(move || {
                let mut full = 0;
                loop {
                    let written = stream.write_all(text.as_bytes()).is_ok();
                    match read_reply(&mut stream) {
                        Fate::Full { status, stays } => {
                            assert!(written && status == 200, "{status}");
                            full += 1;
                            if full == 50 {
                                barrier.wait();
                            }
                            if !stays {
                                return (full, Fate::Full { status, stays });
                            }
                        }
                        fate => return (full, fate),
                    }
                }
            })
        })
        .collect();
    barrier.wait();
    server.terminate();
    let ends: Vec<_> = clients.into_iter().map(|client| client.join().unwrap()).collect();
    assert_eq!(server.ended().await.code(), Some(0));
    let log = std::fs::read_to_string(&server.out).unwrap();
    let answered = log.lines().filter(|line| line.contains("\"route\":\"/api/v1/me\"")).count();
    let replies: usize = ends.iter().map(|(full, _)| full).sum();
    let unheard = ends.iter().filter(|(_, fate)| *fate == Fate::Unheard).count();
    println!("measured: {replies} full replies, {unheard} of 8 clients lost a request");
    assert!(ends.iter().all(|(_, fate)| matches!(fate, Fate::Full { .. })), "a request was lost: {ends:?}");
    assert_eq!(replies, answered, "every request that the server took got its whole reply");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_crash_who_was_in_is_in_and_who_was_out_is_out() {
    let folder = TempDir::new().unwrap();
    let server = Server::start(folder.path(), "a", &[]).await;
    let stays = server.user("ada@example.com").await;
    let leaves = server.log_in("ada@example.com").await;
    let replayed = server.log_in("ada@example.com").await;
    assert_eq!(server.post("/api/v1/auth/logout", &leaves.access, &json!({})).await.0, 204);
    let (status, body) = server.refresh(&replayed.refresh).await;
    assert_eq!(status, 200, "{body}");
    let child = Tokens::of(&body);
    server.kill();

    let file = sea_orm::Database::connect(format!("sqlite://{}", folder.path().join("realmgate.db").display())).await.unwrap();
    let moved = file.execute_unprepared(EARLIER).await.unwrap();
    assert_eq!(moved.rows_affected(), 1);
    file.close().await.unwrap();

    let server = Server::start(folder.path(), "b", &[]).await;
    assert_eq!(server.status(ME, &stays.access).await, 200);
    assert_eq!(server.status(ME, &leaves.access).await, 401);
    assert_eq!(server.refresh(&leaves.refresh).await.0, 401);
    assert_eq!(server.status(ME, &child.access).await, 200);
    let (status, body) = server.refresh(&replayed.refresh).await;
    assert_eq!((status, body["reason"].as_str()), (401, Some("refresh_reuse")), "{body}");
    assert_eq!(server.status(ME, &child.access).await, 401);
    server.kill();

    let server = Server::start(folder.path(), "c", &[]).await;
    assert_eq!(server.refresh(&stays.refresh).await.0, 200);
    for dead in [&leaves, &replayed, &child] {
        assert_eq!(server.status(ME, &dead.access).await, 401);
        assert_eq!(server.refresh(&dead.refresh).await.0, 401);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_command_line_does_a_running_server_sees() {
    let folder = TempDir::new().unwrap();
    let server = Server::start(folder.path(), "a", &[]).await;
    let ada = server.user("ada@example.com").await;
    let bob = server.user("bob@example.com").await;
    assert_eq!((server.status(ME, &ada.access).await, server.status(ME, &bob.access).await), (200, 200));
    let lock = program(folder.path(), &[("LOG", "off")]).args(["user", "lock", "ada@example.com"]).output().unwrap();
    assert!(lock.status.success(), "{}", String::from_utf8_lossy(&lock.stderr));
    let took = refused(&server, &ada.access).await;
    println!("measured: a lock by another process was seen after {} ms", took.as_millis());
    assert!(took <= PROMISE, "{took:?}");
    let (status, body) = server.post("/api/v1/auth/login", "", &json!({ "email": "ada@example.com", "password": PASSWORD })).await;
    assert_eq!((status, body["code"].as_str()), (403, Some("account_locked")));
    assert_eq!(server.refresh(&ada.refresh).await.0, 401);
    assert_eq!(server.status(ME, &bob.access).await, 200, "others stay in");
}

const KEY: &str = "k1:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_on_one_database_agree_within_a_second() {
    // Without TEST_DATABASE_URL there is no server to share; tests/run says so in its summary.
    let Some(database) = Database::fresh(Backend::Postgres).await else { return };
    let (one, two) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let settings = [("DATABASE_URL", database.url.as_str()), ("MASTER_KEY", KEY)];
    let a = Server::start(one.path(), "a", &settings).await;
    let b = Server::start(two.path(), "b", &settings).await;
    let first = a.user("ada@example.com").await;
    let mut slowest = Duration::ZERO;
    for _ in 0..5 {
        let tokens = a.log_in("ada@example.com").await;
        assert_eq!(b.status(ME, &tokens.access).await, 200, "the keys are shared");
        let started = Instant::now();
        assert_eq!(a.post("/api/v1/auth/logout", &tokens.access, &json!({})).await.0, 204);
        refused(&b, &tokens.access).await;
        slowest = slowest.max(started.elapsed());
    }
    println!("measured: a log-out at one node was seen by the other after {} ms at most", slowest.as_millis());
    assert!(slowest <= PROMISE, "{slowest:?}");
    let next = b.refresh(&first.refresh).await;
    assert_eq!(next.0, 200);
    assert_eq!(a.status(ME, &Tokens::of(&next.1).access).await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_master_key_refuses_to_start_and_says_what_to_do() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let Some(database) = Database::fresh(backend).await else { continue };
        let folder = database.folder.path();
        let mut server = Server::start(folder, "a", &[("DATABASE_URL", &database.url), ("MASTER_KEY", KEY)]).await;
        server.terminate();
        assert!(server.ended().await.success());
        for wrong in ["k1:AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=", "k2:AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM="] {
            let refused = program(folder, &[("DATABASE_URL", &database.url), ("MASTER_KEY", wrong)]).arg("serve").output().unwrap();
            assert_eq!(refused.status.code(), Some(2));
            let words = String::from_utf8_lossy(&refused.stderr);
            assert!(words.contains("master key") && words.contains("REALMGATE_MASTER_KEY"), "no cure: {words}");
            let all = format!("{words}{}", String::from_utf8_lossy(&refused.stdout));
            assert!(!all.contains("AwMDAwMD"), "the key is not shown: {all}");
        }
        // The right one still opens it.
        Server::start(folder, "b", &[("DATABASE_URL", &database.url), ("MASTER_KEY", KEY)]).await.stop().await;
    }
}

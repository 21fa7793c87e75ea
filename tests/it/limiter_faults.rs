//! What harm to Redis does to limits: each node falls back to its share, nothing opens, nobody is shut out, and all of it
//! ends by itself. A Redis of the test's own, since it is stopped, frozen and emptied.

use std::{
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use realmgate::{
    domain::limit::{Ask, Key, Rule, Standing},
    limiter::{Books, Limiter, Shared},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::support::{
    Backend, TestApp,
    keys::{self, plain_key},
    server::eventually,
};

/// A Redis server that ends with its test.
struct OwnRedis {
    child: Child,
    port: u16,
}

impl OwnRedis {
    /// `None` where no such program is installed.
    async fn start() -> Option<Self> {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Self::spawn(port)?;
        let redis = Self { child, port };
        redis.answers().await;
        Some(redis)
    }

    fn spawn(port: u16) -> Option<Child> {
        let arguments = ["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
        Command::new("redis-server").args(arguments).stdout(Stdio::null()).spawn().ok()
    }

    async fn answers(&self) {
        eventually("Redis answers", async || self.ask("PING").ok().filter(|answer| answer.starts_with("+PONG"))).await;
    }

    /// One command over a connection of its own.
    fn ask(&self, command: &str) -> std::io::Result<String> {
        use std::io::{Read as _, Write as _};
        let mut line = std::net::TcpStream::connect(("127.0.0.1", self.port))?;
        line.set_read_timeout(Some(Duration::from_millis(500)))?;
        line.write_all(format!("{command}\r\n").as_bytes())?;
        let mut answer = [0; 512];
        let length = line.read(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
    }

    fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap().success());
    }

    fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    async fn restart(&mut self) {
        self.child = Self::spawn(self.port).unwrap();
        self.answers().await;
    }

    fn node(&self) -> Limiter {
        let limiter = Limiter::Shared(Shared::new(&format!("redis://127.0.0.1:{}", self.port), "harm", None).unwrap());
        limiter.set_nodes(2);
        limiter
    }
}

impl Drop for OwnRedis {
    fn drop(&mut self) {
        // One that is frozen can still be killed; one that is gone already needs nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn ask(number: u8) -> Ask {
    Ask { key: Key::address(Rule::Address, [192, 0, 2, number].into()), limit: 100 }
}

async fn take(node: &Limiter, number: u8) -> Standing {
    node.take(&[ask(number)], 1, crate::support::start()).await[0]
}

/// Takes until refused, 300 times at most.
async fn drain(node: &Limiter, number: u8) -> u32 {
    for admitted in 0..300 {
        if !take(node, number).await.admitted {
            return admitted;
        }
    }
    300
}

async fn back_to_shared(node: &Limiter) {
    let look = async || (node.books() == Books::Shared).then_some(());
    eventually("the books are shared again", look).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_frozen_or_emptied_redis_neither_opens_nor_closes_limits() {
    let Some(mut redis) = OwnRedis::start().await else {
        eprintln!("NOT RUN: redis-server is not installed");
        return;
    };
    let nodes = [redis.node(), redis.node()];
    assert_eq!(drain(&nodes[0], 1).await, 100);
    assert_eq!(drain(&nodes[1], 1).await, 0, "the other node's units count");

    // Emptied: what this node let in itself, it remembers.
    assert!(redis.ask("FLUSHALL").unwrap().starts_with("+OK"));
    assert_eq!(drain(&nodes[0], 1).await, 0);
    // Something else under the name: it heals.
    let name = "harm:limit:address:00000000000000000000ffffc0000202";
    assert_eq!(take(&nodes[0], 2).await.remaining, 99);
    assert!(redis.ask(&format!("SET {name} rubbish")).unwrap().starts_with("+OK"));
    assert!(take(&nodes[1], 2).await.admitted);
    assert!(redis.ask(&format!("TYPE {name}")).unwrap().starts_with("+hash"));
    assert!(redis.ask(&format!("PTTL {name}")).unwrap().trim_start_matches(':').trim().parse::<i64>().unwrap() > 60_000, "it ends by itself");

    // Stopped: each node its half, 40 of which one of them has used.
    for _ in 0..40 {
        assert!(take(&nodes[0], 3).await.admitted);
    }
    redis.stop();
    assert_eq!((drain(&nodes[0], 3).await, drain(&nodes[1], 3).await), (10, 50));
    assert_eq!(drain(&nodes[0], 1).await, 0, "who was at the limit stays there");
    assert_eq!(nodes.each_ref().map(Limiter::books), [Books::Share; 2]);
    redis.restart().await;
    for node in &nodes {
        back_to_shared(node).await;
    }
    assert_eq!(drain(&nodes[0], 4).await + drain(&nodes[1], 4).await, 100);

    // Frozen: one call waits for it, the others don't.
    redis.signal("-STOP");
    let started = Instant::now();
    assert_eq!(drain(&nodes[0], 5).await, 50);
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    redis.signal("-CONT");
    back_to_shared(&nodes[0]).await;
    assert!(take(&nodes[0], 6).await.admitted);
}

/// A line to a server whose answers take their time.
struct SlowLine {
    port: u16,
    delay: Arc<AtomicU64>,
}

impl SlowLine {
    async fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let delay = Arc::new(AtomicU64::new(0));
        let span = Arc::clone(&delay);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let span = Arc::clone(&span);
                tokio::spawn(async move {
                    let far = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                    let ((mut near_in, mut near_out), (mut far_in, mut far_out)) = (near.into_split(), far.into_split());
                    let there = tokio::io::copy(&mut near_in, &mut far_out);
                    let back = async {
                        let mut piece = [0; 4_096];
                        while let Ok(length @ 1..) = far_in.read(&mut piece).await {
                            tokio::time::sleep(Duration::from_millis(span.load(Ordering::Relaxed))).await;
                            if near_out.write_all(&piece[..length]).await.is_err() {
                                break;
                            }
                        }
                    };
                    tokio::join!(there, back)
                });
            }
        });
        Self { port, delay }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_slow_redis_verifying_goes_on_and_falls_back_to_the_share() {
    let Some(redis) = OwnRedis::start().await else {
        eprintln!("NOT RUN: redis-server is not installed");
        return;
    };
    let line = SlowLine::to(redis.port).await;
    let url = format!("redis://127.0.0.1:{}", line.port);
    let app = TestApp::limited(Backend::Sqlite, |settings| (settings.redis_url, settings.nodes) = (Some(url.into()), 2)).await.unwrap();
    app.app().limiter.set_nodes(2);
    let ada = app.owner("ada@example.com").await;
    let key = keys::Key::of(app.anonymous().bearer(&ada.user.access).make_key(&ada.account, &plain_key()).await);
    app.set_plan(&ada.account, "starter").await;
    let ask = async || {
        let started = Instant::now();
        let status = app.anonymous().bearer(&key.text).get("/gateway/nginx?scope=chat:read").await.status.as_u16();
        (status, started.elapsed())
    };
    assert_eq!(ask().await.0, 204);
    assert_eq!(app.app().limiter.books(), Books::Shared);

    // Each call waits for its answer and no longer, and is counted for all; after five seconds of it nobody waits any more.
    line.delay.store(200, Ordering::Relaxed);
    let (started, mut slow, mut slowest) = (Instant::now(), 0, Duration::ZERO);
    while app.app().limiter.books() == Books::Shared {
        let (status, took) = ask().await;
        assert_eq!(status, 204);
        (slow, slowest) = (slow + 1, slowest.max(took));
        assert!(started.elapsed() < Duration::from_secs(15), "it was waited for all the time");
    }
    println!("measured: {slow} calls waited, {slowest:?} at most, for {:?} in all", started.elapsed());
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");

    // By its share: half of 500, what went before included, and nobody waits.
    let (mut admitted, mut refused, started) = (0, 0, Instant::now());
    for _ in 0..400 {
        match ask().await.0 {
            204 => admitted += 1,
            429 => refused += 1,
            other => panic!("{other}"),
        }
    }
    let each = started.elapsed() / 400;
    println!("measured: by the share {admitted} admitted, {refused} refused, {each:?} each");
    assert!(admitted + slow <= 250 && admitted + slow >= 245, "{admitted} after {slow}");
    assert!(each < Duration::from_millis(100), "{each:?}");
    assert_eq!(app.app().limiter.books(), Books::Share, "an answer after 200 ms is none");

    // It heals by itself, and what was admitted meanwhile is remembered.
    line.delay.store(0, Ordering::Relaxed);
    back_to_shared(&app.app().limiter).await;
    assert!(ask().await.1 < Duration::from_secs(1));
}

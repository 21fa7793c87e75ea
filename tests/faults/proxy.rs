//! A line that can be made bad: a small TCP proxy in front of a server.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::JoinHandle,
};

#[derive(Clone, Copy, Debug)]
pub enum Line {
    Good,
    /// Every piece comes so much later.
    Late(Duration),
    /// Bytes a second.
    Narrow(u32),
    /// What is sent is swallowed, on old connections and new ones; a connection that lost a byte stays dead.
    Deaf,
    /// Cut off after so many bytes.
    Torn(usize),
}

pub struct Proxy {
    pub port: u16,
    line: Arc<Mutex<Line>>,
    task: JoinHandle<()>,
}

impl Proxy {
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let line = Arc::new(Mutex::new(Line::Good));
        let task = tokio::spawn({
            let line = Arc::clone(&line);
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    let Ok(server) = TcpStream::connect(target).await else { continue };
                    let (from_client, to_client) = client.into_split();
                    let (from_server, to_server) = server.into_split();
                    let state = Arc::new(State { line: Arc::clone(&line), dead: AtomicBool::new(false), passed: AtomicUsize::new(0) });
                    tokio::spawn(pump(from_client, to_server, Arc::clone(&state)));
                    tokio::spawn(pump(from_server, to_client, state));
                }
            }
        });
        Self { port, line, task }
    }

    pub fn set(&self, line: Line) {
        *self.line.lock().expect("no panic") = line;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Of one connection, both ways.
struct State {
    line: Arc<Mutex<Line>>,
    dead: AtomicBool,
    passed: AtomicUsize,
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, state: Arc<State>) {
    let mut piece = vec![0; 4_096];
    loop {
        let Ok(count @ 1..) = from.read(&mut piece).await else { return };
        let line = *state.line.lock().expect("no panic");
        match line {
            Line::Late(by) => tokio::time::sleep(by).await,
            Line::Narrow(rate) => tokio::time::sleep(Duration::from_secs_f64(f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / f64::from(rate))).await,
            Line::Deaf => state.dead.store(true, Ordering::Relaxed),
            Line::Torn(after) if state.passed.fetch_add(count, Ordering::Relaxed) + count > after => return,
            Line::Good | Line::Torn(_) => {}
        }
        if !state.dead.load(Ordering::Relaxed) && to.write_all(&piece[..count]).await.is_err() {
            return;
        }
    }
}

//! The accept loop: sockets in, requests to an endpoint, an orderly end. poem's own server sets no deadline for request
//! heads, no cap on connections and speaks HTTP/2, which nobody needs behind a proxy; hyper offers a timer a request, which
//! costs more than the single sweep a second that is used here. Bodies are bounded by the edge, TLS by whoever is in front.

use std::{
    collections::HashMap,
    convert::Infallible,
    future::poll_fn,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
    },
    task::{Poll, Waker},
    time::Duration,
};

use hyper::{
    body::{Body as _, Incoming},
    server::conn::http1,
    service::service_fn,
};
use poem::{
    Addr, Body, Endpoint, Request, RequestParts,
    http::{HeaderValue, header, uri::Scheme},
    web::{LocalAddr, RemoteAddr},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch},
    time::{Instant, MissedTickBehavior, interval, sleep, timeout_at},
};

use super::client_io::ClientIo;
use crate::app::meters::Meters;

/// Bounds of the listener.
#[derive(Clone, Copy, Debug)]
pub(super) struct ListenerOptions {
    /// Connections at once; more wait in the system's queue.
    pub(super) max_connections: usize,
    /// Time for a request's head, and for the first byte of a fresh connection.
    pub(super) head_timeout: Duration,
    /// Time a connection may rest between requests. Longer than the usual 60 s of proxies, so that the proxy closes first
    /// and never sends a request into a closing connection.
    pub(super) idle_timeout: Duration,
    /// Time for requests in flight once the end has been called.
    pub(super) drain: Duration,
}

/// Most headers that a request may have.
const MAX_HEADERS: usize = 64;
/// Largest head in bytes.
const MAX_HEAD: usize = 32 << 10;
/// How long clients are still heard after the end was called, if any are connected.
const FAREWELL: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(20);
/// How often deadlines are looked at.
const SWEEP: Duration = Duration::from_secs(1);

/// Serves until `stop` turns true, then finishes what is in flight within `drain`. Returns how many connections had to be
/// cut off.
pub async fn serve(
    listener: TcpListener,
    endpoint: impl Endpoint + 'static,
    max_connections: usize,
    meters: Arc<Meters>,
    mut stop: watch::Receiver<bool>,
    drain: Duration,
) -> usize {
    let options = ListenerOptions { max_connections, head_timeout: Duration::from_secs(10), idle_timeout: Duration::from_secs(75), drain };
    let stopped = async move {
        // A closed channel means that nobody is left to say stop; then it is time to.
        let _ = stop.wait_for(|stop| *stop).await;
    };
    serve_until(listener, endpoint, meters, stopped, options).await
}

async fn serve_until<E>(listener: TcpListener, endpoint: E, meters: Arc<Meters>, shutdown: impl Future<Output = ()>, options: ListenerOptions) -> usize
where
    E: Endpoint + 'static,
{
    let endpoint = Arc::new(endpoint);
    let seats = Arc::new(Semaphore::new(options.max_connections));
    let connections = Arc::new(Connections { meters, ..Connections::default() });
    // Held by every connection's task; the channel closes when the last one is gone.
    let (alive, mut gone) = mpsc::channel::<()>(1);
    let mut shutdown = pin!(shutdown);
    let mut sweep = interval(SWEEP);
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut accept = pin!(accept(&listener, &seats));
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            _ = sweep.tick() => connections.sweep(&options),
            (socket, seat) = &mut accept => {
                let connection = connections.open();
                tokio::spawn(serve_one(socket, Arc::clone(&endpoint), Arc::clone(&connections), connection, (seat, alive.clone())));
                accept.set(self::accept(&listener, &seats));
            }
        }
    }
    // A connection closed at once would take the request along that its client is just writing. So clients are heard a
    // little longer, with replies that say it was the last one.
    connections.leaving.store(true, Ordering::Release);
    let farewell = Instant::now() + FAREWELL;
    while !connections.lock().1.is_empty() && Instant::now() < farewell {
        tokio::select! {
            () = sleep(LOOK) => {}
            (socket, seat) = &mut accept => {
                let connection = connections.open();
                tokio::spawn(serve_one(socket, Arc::clone(&endpoint), Arc::clone(&connections), connection, (seat, alive.clone())));
                accept.set(self::accept(&listener, &seats));
            }
        }
    }
    drop(alive);
    connections.drain();
    let deadline = Instant::now() + options.drain;
    loop {
        let tick = (Instant::now() + SWEEP).min(deadline);
        // Nothing is ever sent: the only message is that all senders are gone.
        if timeout_at(tick, gone.recv()).await.is_ok() {
            return 0;
        }
        if tick == deadline {
            break;
        }
        connections.sweep(&options);
    }
    let cut = connections.abort();
    let _ = timeout_at(Instant::now() + SWEEP, gone.recv()).await;
    cut
}

/// The next connection, once there is a seat for it.
async fn accept(listener: &TcpListener, seats: &Arc<Semaphore>) -> (TcpStream, OwnedSemaphorePermit) {
    loop {
        let Ok(seat) = Arc::clone(seats).acquire_owned().await else { return std::future::pending().await };
        match listener.accept().await {
            Ok((socket, _)) => return (socket, seat),
            Err(error) => {
                // Out of file descriptors, or a client that left in the queue. A pause keeps the loop from spinning.
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn serve_one<E: Endpoint + 'static>(
    socket: TcpStream,
    endpoint: Arc<E>,
    connections: Arc<Connections>,
    connection: (u64, Arc<Connection>),
    held: (OwnedSemaphorePermit, mpsc::Sender<()>),
) {
    let (id, state) = connection;
    let addresses = socket.local_addr().and_then(|local| Ok((local, socket.peer_addr()?)));
    if let Ok((local, peer)) = addresses {
        let _ = socket.set_nodelay(true);
        let (local, peer) = (LocalAddr(Addr::from(local)), RemoteAddr(Addr::from(peer)));
        let service = service_fn(|request: hyper::Request<Incoming>| {
            state.enter(Phase::Busy, &connections);
            let (request, endpoint) = (into_poem(request, local.clone(), peer.clone()), Arc::clone(&endpoint));
            let (state, connections) = (Arc::clone(&state), Arc::clone(&connections));
            async move {
                let mut response: hyper::Response<_> = endpoint.get_response(request).await.into();
                if connections.leaving.load(Ordering::Acquire) {
                    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                state.enter(Phase::Idle, &connections);
                Ok::<_, Infallible>(response)
            }
        });
        let io = ClientIo::new(socket, Arc::clone(&state), Arc::clone(&connections));
        let mut builder = http1::Builder::new();
        builder.header_read_timeout(None).max_headers(MAX_HEADERS).max_header_size(MAX_HEAD).half_close(false);
        let mut served = pin!(builder.serve_connection(io, service));
        let mut draining = false;
        poll_fn(|cx| {
            state.register(cx.waker());
            match state.command.load(Ordering::Acquire) {
                ABORT => return Poll::Ready(()),
                DRAIN if !draining => {
                    draining = true;
                    served.as_mut().graceful_shutdown();
                }
                _ => {}
            }
            // What ends a connection is the client's business; requests have logged themselves.
            served.as_mut().poll(cx).map(|_| ())
        })
        .await;
    }
    connections.close(id);
    drop(held);
}

/// A request without a body, which is most of them, needs no box around its body.
fn into_poem(request: hyper::Request<Incoming>, local: LocalAddr, peer: RemoteAddr) -> Request {
    if request.body().is_end_stream() {
        let (parts, _) = request.into_parts();
        Request::from_parts(RequestParts::from((parts, local, peer, Scheme::HTTP)), Body::empty())
    } else {
        Request::from((request, local, peer, Scheme::HTTP))
    }
}

/// What a connection is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// Its first byte.
    Fresh,
    /// The rest of a request's head.
    Head,
    /// A handler.
    Busy,
    /// The next request.
    Idle,
}

const DRAIN: u8 = 1;
const ABORT: u8 = 2;

/// State of one connection: written by its own task, read by the sweep.
pub(super) struct Connection {
    phase: AtomicU8,
    /// Tick in which the phase began.
    since: AtomicU64,
    command: AtomicU8,
    /// A task's waker never changes, so it is stored once.
    waker: std::sync::OnceLock<Waker>,
}

impl Connection {
    fn enter(&self, phase: Phase, connections: &Connections) {
        self.phase.store(phase as u8, Ordering::Relaxed);
        self.since.store(connections.tick.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Bytes have come in: outside a handler they begin a head. The deadline of a head is not moved by further bytes.
    pub(super) fn received(&self, connections: &Connections) {
        let phase = self.phase.load(Ordering::Relaxed);
        if phase == Phase::Fresh as u8 {
            self.phase.store(Phase::Head as u8, Ordering::Relaxed);
        } else if phase == Phase::Idle as u8 {
            self.enter(Phase::Head, connections);
        }
    }

    /// Bytes have gone out: a client that takes its reply slowly is not idle.
    pub(super) fn sent(&self, connections: &Connections) {
        if self.phase.load(Ordering::Relaxed) == Phase::Idle as u8 {
            self.since.store(connections.tick.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    fn register(&self, waker: &Waker) {
        self.waker.get_or_init(|| waker.clone());
    }

    fn order(&self, command: u8) {
        self.command.store(command, Ordering::Release);
        if let Some(waker) = self.waker.get() {
            waker.wake_by_ref();
        }
    }
}

/// All open connections.
#[derive(Default)]
pub(super) struct Connections {
    open: Mutex<(u64, HashMap<u64, Arc<Connection>>)>,
    /// Sweeps so far, as a clock that costs nothing to read.
    tick: AtomicU64,
    /// The end was called: each reply is its connection's last.
    leaving: AtomicBool,
    meters: Arc<Meters>,
}

impl Connections {
    fn lock(&self) -> MutexGuard<'_, (u64, HashMap<u64, Arc<Connection>>)> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> (u64, Arc<Connection>) {
        let since = self.tick.load(Ordering::Relaxed);
        let connection = Arc::new(Connection {
            phase: AtomicU8::new(Phase::Fresh as u8),
            since: AtomicU64::new(since),
            command: AtomicU8::new(0),
            waker: std::sync::OnceLock::new(),
        });
        let mut open = self.lock();
        open.0 += 1;
        let id = open.0;
        open.1.insert(id, Arc::clone(&connection));
        self.meters.connections.fetch_add(1, Ordering::Relaxed);
        (id, connection)
    }

    fn close(&self, id: u64) {
        self.lock().1.remove(&id);
        self.meters.connections.fetch_sub(1, Ordering::Relaxed);
    }

    /// Ends connections that are over their time.
    fn sweep(&self, options: &ListenerOptions) {
        let now = self.tick.fetch_add(1, Ordering::Relaxed) + 1;
        for connection in self.lock().1.values() {
            let phase = connection.phase.load(Ordering::Relaxed);
            let limit = if phase == Phase::Idle as u8 { options.idle_timeout } else { options.head_timeout };
            let age = now.saturating_sub(connection.since.load(Ordering::Relaxed));
            if phase != Phase::Busy as u8 && age > limit.as_secs() {
                connection.order(ABORT);
            }
        }
    }

    /// Asks every connection to end after its present request; those that have sent nothing yet end at once.
    fn drain(&self) {
        for connection in self.lock().1.values() {
            let fresh = connection.phase.load(Ordering::Relaxed) == Phase::Fresh as u8;
            connection.order(if fresh { ABORT } else { DRAIN });
        }
    }

    fn abort(&self) -> usize {
        let open = self.lock();
        open.1.values().for_each(|connection| connection.order(ABORT));
        open.1.len()
    }
}

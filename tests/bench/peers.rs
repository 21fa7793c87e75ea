//! The bare peers: a poem handler that answers a constant, and Argon2id on every core. Each is the least that the
//! server's own work can cost with the same libraries.
//!
//! The write transaction has a file of its own, `transactions`.

use std::{
    net::SocketAddr,
    process::Command,
    sync::{Arc, Barrier},
    thread,
    time::{Duration, Instant},
};

use argon2::{Algorithm, Argon2, Block, Params, Version};
use poem::{
    EndpointExt as _, Response, Route, Server, get, handler,
    http::{HeaderMap, HeaderName, StatusCode},
    listener::TcpListener,
    web::{Data, Json},
};
use serde::{Deserialize, Serialize};

use crate::{
    Args, Outcome, load,
    process::{Child, free_address, own_cpu},
    report::{Report, Row, Target, median},
    transactions,
};

/// The bare poem server as a child process.
pub(crate) struct BarePoem {
    pub(crate) child: Child,
    pub(crate) addr: SocketAddr,
    status: u16,
    _dir: tempfile::TempDir,
}

impl BarePoem {
    /// Starts this very program as the bare server and waits until it answers.
    pub(crate) fn start() -> Outcome<Self> {
        Self::answering(&BareReply::default())
    }

    /// The same with a reply of one's own.
    pub(crate) fn answering(reply: &BareReply) -> Outcome<Self> {
        let addr = free_address()?;
        let dir = tempfile::tempdir()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("--serve-bare").arg(addr.port().to_string()).arg("--bare-reply").arg(serde_json::to_string(reply)?);
        let mut child = Child::start("the bare poem server", &mut command, &dir.path().join("log"))?;
        child.wait_ready(addr, "/ready")?;
        Ok(Self { child, addr, status: reply.status, _dir: dir })
    }

    /// The request of its only operation.
    pub(crate) fn dialogue(&self) -> load::Repeat {
        load::Repeat { request: crate::http::get(self.addr, "/", None), status: self.status }
    }
}

/// What the bare server answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct BareReply {
    pub(crate) status: u16,
    /// If none, the reply is a small JSON document.
    pub(crate) headers: Vec<(String, String)>,
}

impl Default for BareReply {
    fn default() -> Self {
        Self { status: 200, headers: Vec::new() }
    }
}

#[handler]
fn answer() -> Json<serde_json::Value> {
    Json(serde_json::json!({ "ok": true }))
}

#[handler]
fn answer_as_told(reply: Data<&Arc<(StatusCode, HeaderMap)>>) -> Response {
    let (status, headers) = reply.0.as_ref();
    let mut response = Response::builder().status(*status).finish();
    *response.headers_mut() = headers.clone();
    response
}

/// Is the bare poem server: stock `poem::Server`, stock runtime, one handler. Ends with its standard input.
pub(crate) fn serve(port: u16, reply: &BareReply) -> Outcome<()> {
    // Whoever started this keeps the pipe open; when they end, however that happens, so does this.
    thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut headers = HeaderMap::new();
    for (name, value) in &reply.headers {
        headers.insert(name.parse::<HeaderName>()?, value.parse()?);
    }
    let route = Route::new().at("/ready", get(answer));
    let route = if headers.is_empty() {
        route.at("/", get(answer))
    } else {
        route.at("/", get(answer_as_told).data(Arc::new((StatusCode::from_u16(reply.status)?, headers))))
    };
    runtime.block_on(Server::new(TcpListener::bind(("127.0.0.1", port))).run(route.boxed()))?;
    Ok(())
}

/// What bare hashing came to.
#[derive(Clone, Copy)]
pub(crate) struct Hashes {
    pub(crate) per_second: f64,
    /// Processor time of one hash, in milliseconds.
    pub(crate) cpu_ms: f64,
}

/// Hashes with Argon2id 19456/2/1 on every core for `span`; each thread keeps its memory blocks.
pub(crate) fn hash(span: Duration) -> Outcome<Hashes> {
    let cores = thread::available_parallelism()?.get();
    let barrier = Barrier::new(cores + 1);
    let (count, started, cpu) = thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(|| hash_until(&barrier, span))).collect();
        barrier.wait();
        let (started, cpu) = (Instant::now(), own_cpu());
        let mut count = Ok(0);
        for thread in threads {
            let own = thread.join().unwrap_or_else(|_| Err("a hashing thread panicked".into()));
            count = count.and_then(|sum| own.map(|own| sum + own));
        }
        (count, started, cpu)
    });
    let elapsed = started.elapsed().as_secs_f64();
    let used = own_cpu()?.saturating_sub(cpu?).as_secs_f64();
    let count = f64::from(count?);
    Ok(Hashes { per_second: count / elapsed, cpu_ms: used * 1_000.0 / count })
}

fn hash_until(barrier: &Barrier, span: Duration) -> Outcome<u32> {
    let params = Params::new(19_456, 2, 1, Some(32)).map_err(|fault| fault.to_string())?;
    let mut blocks = vec![Block::default(); params.block_count()];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut out = [0; 32];
    barrier.wait();
    let started = Instant::now();
    let mut count = 0;
    while started.elapsed() < span {
        argon2.hash_password_into_with_memory(b"a password of usual length", b"sixteen byte salt", &mut out, &mut blocks).map_err(|fault| fault.to_string())?;
        count += 1;
    }
    Ok(count)
}

/// Measures the peers alone.
pub(crate) fn measure(args: &Args, report: &mut Report) -> Outcome<()> {
    let poem = BarePoem::start()?;
    for connections in [16, 64] {
        let mut samples = Vec::new();
        let mut micros = Vec::new();
        for _ in 0..args.rounds {
            let before = poem.child.cpu()?;
            let (sample, _) = load::run(poem.addr, vec![poem.dialogue(); connections], args.round())?;
            micros.push(cpu_micros(poem.child.cpu()?.saturating_sub(before), sample.count));
            samples.push(sample);
        }
        let note = format!("{}, {:.1} µs CPU", latencies(samples.iter()), median(micros.into_iter()));
        report.add(Row::alone(format!("bare poem, {connections} connections"), "/s", median(samples.iter().map(|s| s.per_second)), Target::None, note));
    }
    let hashes = (0..args.rounds).map(|_| hash(args.round())).collect::<Outcome<Vec<_>>>()?;
    let note = format!("{:.2} ms CPU", median(hashes.iter().map(|h| h.cpu_ms)));
    report.add(Row::alone("bare Argon2id 19456/2/1, all cores", "/s", median(hashes.iter().map(|h| h.per_second)), Target::None, note));
    for place in std::iter::once(None).chain(args.postgres.as_deref().map(Some)) {
        let bare = transactions::Bare::open(place)?;
        for tasks in [1, 16] {
            let rates = (0..args.rounds).map(|_| bare.run(tasks, args.round())).collect::<Outcome<Vec<_>>>()?;
            report.add(Row::alone(format!("bare write transaction, {}, {tasks} at once", bare.name()), "/s", median(rates.into_iter()), Target::None, ""));
        }
    }
    Ok(())
}

/// Median latencies of some rounds, for a note.
pub(crate) fn latencies<'a>(samples: impl Iterator<Item = &'a load::Sample> + Clone) -> String {
    let of = |share| median(samples.clone().map(|sample| sample.latency_ms(share)));
    format!("p50 {:.2} ms, p99 {:.2} ms", of(0.5), of(0.99))
}

/// Processor time a request, in microseconds.
pub(crate) fn cpu_micros(used: Duration, count: usize) -> f64 {
    let count = count.max(1) as f64;
    used.as_secs_f64() * 1e6 / count
}

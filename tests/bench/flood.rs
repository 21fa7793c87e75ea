//! Five hundred people who log in at the same moment: how much memory that takes, and what everybody else waits for.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

use crate::{
    Args, Outcome,
    gateway::PATH,
    http::{self, Connection, Reply},
    load::Dialogue as _,
    people::{self, Person},
    refresh::Chain,
    report::{Report, Row, Target},
    server::Stage,
};

const CROWD: usize = 500;
/// Memory of one hash.
const HASH_MIB: f64 = 19.0;
/// What the connections, the queue and the replies may take beside the hashes.
const BESIDE_MIB: f64 = 40.0;
/// How often each of the others asks.
const EVERY: Duration = Duration::from_millis(5);

/// Sends one wave of logins a round.
pub(crate) fn measure(args: &Args, stage: &Stage, people: &[Person], report: &mut Report) -> Outcome<()> {
    eprintln!("flood of logins");
    let session = people::log_in(stage, &people[..1])?.remove(0);
    let key = people::make_keys(stage, std::slice::from_ref(&session.access))?.remove(0);
    let logins: Vec<_> = (0..CROWD).map(|at| people[at % people.len()].login(stage.server.addr)).collect();
    let before = stage.server.child.resident_mib()?;
    stage.server.child.forget_peak()?;
    let others = Others::start(stage.server.addr, key, session.refresh);
    let (mut entered, mut told_to_wait) = (0, 0);
    for _ in 0..args.rounds {
        for status in wave(stage.server.addr, &logins)? {
            match status {
                200 => entered += 1,
                503 => told_to_wait += 1,
                other => return Err(format!("a login in the crowd got {other}").into()),
            }
        }
    }
    let note = format!("of health, a key at the gateway and a refresh; {entered} logins, {told_to_wait} told to come back");
    report.add(Row::alone("p99 of others while 500 log in", "ms", others.stop()?, Target::AtMost(100.0), note));
    let permits = std::thread::available_parallelism().map_or(1, usize::from) as f64;
    let most = HASH_MIB * permits + BESIDE_MIB;
    let peak = stage.server.child.peak_mib()? - before;
    report.add(Row::alone("memory that 500 logins at once add", "MiB", peak, Target::AtMost(most), format!("to {before:.0} MiB")));
    Ok(())
}

/// All of them at once; their statuses.
fn wave(addr: SocketAddr, logins: &[Vec<u8>]) -> Outcome<Vec<u16>> {
    people::block_on(async {
        let mut connections = Vec::with_capacity(logins.len());
        for login in logins {
            connections.push((Connection::open(addr).await?, login.clone()));
        }
        let mut tasks = JoinSet::new();
        for (mut connection, login) in connections {
            tasks.spawn(async move { connection.exchange(&login).await.map(|reply| reply.status) });
        }
        let mut statuses = Vec::new();
        while let Some(done) = tasks.join_next().await {
            statuses.push(done??);
        }
        Ok(statuses)
    })
}

/// Somebody who asks for other things meanwhile.
struct Others {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<Outcome<Vec<Duration>>>,
}

impl Others {
    fn start(addr: SocketAddr, key: String, refresh: String) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            people::block_on(async {
                let mut connection = Connection::open(addr).await?;
                let (health, gateway) = (http::get(addr, "/healthz/live", None), http::get(addr, PATH, Some(&key)));
                let (mut chain, mut request) = (Chain { addr, token: refresh }, Vec::new());
                let (mut beat, mut latencies) = (tokio::time::interval(EVERY), Vec::new());
                while !stopped.load(Ordering::Relaxed) {
                    request.clear();
                    chain.request(&mut request);
                    for (request, status) in [(&health, 200), (&gateway, 204), (&request, 200)] {
                        beat.tick().await;
                        let asked = Instant::now();
                        let reply: Reply<'_> = connection.exchange(request).await?;
                        latencies.push(asked.elapsed());
                        if reply.status != status {
                            return Err(format!("{} instead of {status}: {}", reply.status, reply.excerpt()).into());
                        }
                        if !reply.body.is_empty() && reply.body.starts_with(b"{\"accessToken\"") {
                            chain.reply(&reply)?;
                        }
                    }
                }
                Ok(latencies)
            })
        });
        Self { stop, thread }
    }

    /// The latency that all but one of a hundred stayed within, in milliseconds.
    fn stop(self) -> Outcome<f64> {
        self.stop.store(true, Ordering::Relaxed);
        let mut latencies = self.thread.join().map_err(|_| "the others panicked")??;
        latencies.sort_unstable();
        let at = (latencies.len() * 99 / 100).min(latencies.len().saturating_sub(1));
        Ok(latencies.get(at).map_or(0.0, |latency| latency.as_secs_f64() * 1_000.0))
    }
}

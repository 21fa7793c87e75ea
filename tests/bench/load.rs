//! A closed-loop load on one thread: every connection sends its next request when the last was answered.
//!
//! One thread like `wrk -t1`, so that the client takes at most one processor. Latencies are of the closed loop: a slow
//! server is asked less often, which flatters its worst cases; rates and medians are what the report uses.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

use crate::{
    Outcome,
    http::{Connection, Reply},
};

/// One connection's side of a conversation.
pub(crate) trait Dialogue: Send + 'static {
    /// Writes the next request into `out`, which is empty.
    fn request(&mut self, out: &mut Vec<u8>);
    /// Takes the reply; a fault ends the run.
    fn reply(&mut self, reply: &Reply<'_>) -> Outcome<()>;
}

/// The same request over and over.
#[derive(Clone)]
pub(crate) struct Repeat {
    pub(crate) request: Vec<u8>,
    pub(crate) status: u16,
}

impl Dialogue for Repeat {
    fn request(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.request);
    }

    fn reply(&mut self, reply: &Reply<'_>) -> Outcome<()> {
        if reply.status == self.status { Ok(()) } else { Err(format!("status {} instead of {}: {}", reply.status, self.status, reply.excerpt()).into()) }
    }
}

/// Several requests in turn, each to be answered with 200.
pub(crate) struct Round {
    requests: Vec<Vec<u8>>,
    next: usize,
}

impl Round {
    /// One round a connection; every connection has its share of the requests, so that no two send the same at once.
    pub(crate) fn shares(requests: &[Vec<u8>], connections: usize) -> Vec<Self> {
        let share = |first: usize| requests.iter().skip(first).step_by(connections).cloned().collect();
        (0..connections).map(|first| Self { requests: share(first), next: 0 }).collect()
    }
}

impl Dialogue for Round {
    fn request(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.requests[self.next]);
        self.next = (self.next + 1) % self.requests.len();
    }

    fn reply(&mut self, reply: &Reply<'_>) -> Outcome<()> {
        if reply.status == 200 { Ok(()) } else { Err(format!("status {} instead of 200: {}", reply.status, reply.excerpt()).into()) }
    }
}

/// What a load came to.
pub(crate) struct Sample {
    pub(crate) count: usize,
    pub(crate) per_second: f64,
    latencies: Vec<Duration>,
}

impl Sample {
    /// The latency that `share` of all requests stayed within, in milliseconds.
    pub(crate) fn latency_ms(&self, share: f64) -> f64 {
        let at = ((self.latencies.len() as f64 * share) as usize).min(self.latencies.len().saturating_sub(1));
        self.latencies.get(at).map_or(0.0, |latency| latency.as_secs_f64() * 1_000.0)
    }
}

/// Runs one dialogue a connection for `span` and hands the dialogues back, so that the next round goes on from there.
///
/// The clock runs until the last reply is in: at the end the server still works off what was sent, and both count.
pub(crate) fn run<D: Dialogue>(addr: SocketAddr, dialogues: Vec<D>, span: Duration) -> Outcome<(Sample, Vec<D>)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut connections = Vec::with_capacity(dialogues.len());
        for dialogue in dialogues {
            connections.push((Connection::open(addr).await?, dialogue));
        }
        let started = Instant::now();
        let mut tasks = JoinSet::new();
        for (connection, dialogue) in connections {
            tasks.spawn(talk(connection, dialogue, started + span));
        }
        let (mut dialogues, mut latencies) = (Vec::new(), Vec::new());
        while let Some(done) = tasks.join_next().await {
            let (dialogue, mut own) = done??;
            dialogues.push(dialogue);
            latencies.append(&mut own);
        }
        let elapsed = started.elapsed();
        latencies.sort_unstable();
        let count = latencies.len();
        let per_second = count as f64 / elapsed.as_secs_f64();
        Ok((Sample { count, per_second, latencies }, dialogues))
    })
}

async fn talk<D: Dialogue>(mut connection: Connection, mut dialogue: D, until: Instant) -> Outcome<(D, Vec<Duration>)> {
    let mut latencies = Vec::with_capacity(16_384);
    let mut request = Vec::with_capacity(2_048);
    let mut sent = Instant::now();
    while sent < until {
        request.clear();
        dialogue.request(&mut request);
        dialogue.reply(&connection.exchange(&request).await?)?;
        let answered = Instant::now();
        latencies.push(answered - sent);
        sent = answered;
    }
    Ok((dialogue, latencies))
}

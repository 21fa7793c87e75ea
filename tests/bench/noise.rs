//! A noisy neighbour: what others wait for while one account calls a hundred times as often as its plan allows.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::{
    Args, Outcome,
    gateway::PATH,
    http::{self, Connection},
    load::{self, Repeat},
    people::{self, Person},
    report::{Report, Row, Target},
    server::Stage,
};

/// A hundred times what the plan `noisy` allows: 100 a minute.
const EVERY: Duration = Duration::from_millis(6);
const OTHERS: usize = 4;

/// Takes quiet and noisy rounds in turns.
pub(crate) fn measure(args: &Args, stage: &Stage, people: &[Person], report: &mut Report) -> Outcome<()> {
    eprintln!("noisy neighbour");
    let tokens: Vec<_> = people::log_in(stage, &people[..=OTHERS])?.into_iter().map(|tokens| tokens.access).collect();
    let keys = people::make_keys(stage, &tokens)?;
    stage.operate(&["plan", "create", "noisy", "--requests-per-minute", "100"])?;
    stage.operate(&["account", "set-plan", &people::account_of(stage, &tokens[0])?, "noisy"])?;
    // A running server sees such a change within a second.
    std::thread::sleep(Duration::from_millis(1_500));
    let addr = stage.server.addr;
    let others: Vec<_> = keys[1..].iter().map(|key| Repeat { request: http::get(addr, PATH, Some(key)), status: 204 }).collect();
    load::run(addr, others.clone(), Duration::from_millis(500))?;
    let (mut pairs, mut refused) = (Vec::new(), 0);
    for _ in 0..args.rounds {
        let (quiet, _) = load::run(addr, others.clone(), args.round())?;
        let noise = Noise::start(addr, keys[0].clone());
        let (noisy, _) = load::run(addr, others.clone(), args.round())?;
        refused += noise.stop()?;
        pairs.push((noisy.latency_ms(0.95), quiet.latency_ms(0.95)));
    }
    let note = format!("{refused} calls of the noisy one were refused");
    report.add(Row::paired("p95 of others beside an account at 100 x its limit", "ms", &pairs, Target::RatioAtMost(2.0), note));
    Ok(())
}

struct Noise {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<Outcome<u32>>,
}

impl Noise {
    fn start(addr: SocketAddr, key: String) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            people::block_on(async {
                let mut connection = Connection::open(addr).await?;
                let request = http::get(addr, PATH, Some(&key));
                let mut beat = tokio::time::interval(EVERY);
                let mut refused = 0;
                while !stopped.load(Ordering::Relaxed) {
                    beat.tick().await;
                    refused += u32::from(connection.exchange(&request).await?.status == 429);
                }
                Ok(refused)
            })
        });
        Self { stop, thread }
    }

    /// How many of its calls were refused.
    fn stop(self) -> Outcome<u32> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| "the noise panicked")?
    }
}

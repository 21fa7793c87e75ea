//! What the time of a refused login tells a stranger: pairs of attempts at addresses of different kinds, one after the other
//! in changing order.
//!
//! Told by two numbers for each kind beside "nobody has this address". AUC is the chance that an attempt of that kind takes
//! longer than the other: one half where nothing can be told. The gap is between the medians. Every address is tried a few
//! times at most, so that the throttle leaves no attempt unseen; the last kind says how far two equal ones differ by chance.

use std::time::Instant;

use crate::{
    Args, Fault, Outcome,
    http::Connection,
    people::{self, Person},
    report::{Report, Row, Target, median},
    seed,
    server::Stage,
};

/// Pairs of each kind.
const PAIRS: u32 = 1_000;
/// Attempts at one address: the throttle makes the sixth wrong one wait.
const TRIES: u32 = 4;
/// Addresses of each kind.
const ADDRESSES: u32 = PAIRS / TRIES;
/// What an address may be. The first is what the others are compared with.
const KINDS: [&str; 5] = ["nobody's address", "wrong password", "locked by an operator", "no password", "nobody's address, once more"];

/// Measures the kinds side by side.
pub(crate) fn measure(args: &Args, report: &mut Report) -> Outcome<()> {
    eprintln!("timing");
    let mut stage = Stage::sqlite(&args.binary)?;
    people::sign_up(&stage, 1)?;
    let among = |kind: u32, number: u32| seed::address(kind * ADDRESSES + number);
    stage.without_server(|seed| {
        seed.people(3 * ADDRESSES)?;
        let listed = |kind: u32| (1..=ADDRESSES).map(|number| format!("'{}'", among(kind, number))).collect::<Vec<_>>().join(",");
        seed.run(&[
            format!("UPDATE users SET status = 'locked' WHERE email IN ({})", listed(1)),
            format!("DELETE FROM credentials WHERE user_id IN (SELECT id FROM users WHERE email IN ({}))", listed(2)),
        ])
    })?;
    let addr = stage.server.addr;
    let nobody = |kind: usize, number: u32| Person::known(format!("nobody-{kind}-{number}@example.com"), None).guess(addr);
    let somebody = |kind: u32, number: u32| Person::known(among(kind, number), None).guess(addr);
    let mut taken: [Vec<f64>; KINDS.len()] = Default::default();
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let mut connection = Connection::open(addr).await?;
        for pair in 0..PAIRS + 20 {
            let number = pair % ADDRESSES + 1;
            // Each kind goes first, second and so on equally often.
            for step in 0..KINDS.len() {
                let kind = (step + pair as usize) % KINDS.len();
                let request = match kind {
                    1 => somebody(0, number),
                    2 => somebody(1, number),
                    3 => somebody(2, number),
                    kind => nobody(kind, number),
                };
                let started = Instant::now();
                let reply = connection.exchange(&request).await?;
                let ms = started.elapsed().as_secs_f64() * 1_000.0;
                if reply.status != 401 {
                    return Err(Fault::from(format!("a guess was answered {}: {}", reply.status, reply.excerpt())));
                }
                // The first ones fill caches.
                if pair >= 20 {
                    taken[kind].push(ms);
                }
            }
        }
        Ok(())
    })?;
    let usual = median(taken[0].iter().copied());
    for (kind, times) in KINDS.iter().zip(&taken).skip(1) {
        let own = median(times.iter().copied());
        let note = format!("median {own:.3} ms, nobody's {usual:.3} ms, {} pairs", times.len());
        report.add(Row::alone(format!("AUC of a guess: {kind}"), "", auc(&taken[0], times), Target::Between(0.45, 0.55), note));
        report.add(Row::alone(format!("gap of its median: {kind}"), "%", (own / usual - 1.0).abs() * 100.0, Target::AtMost(5.0), ""));
    }
    Ok(())
}

/// The chance that one of `second` is larger than one of `first`; equal ones count half.
fn auc(first: &[f64], second: &[f64]) -> f64 {
    let mut sorted = first.to_vec();
    sorted.sort_by(f64::total_cmp);
    let above: f64 =
        second.iter().map(|time| (sorted.partition_point(|other| other < time) + sorted.partition_point(|other| other <= time)) as f64 / 2.0).sum();
    above / (first.len() * second.len()) as f64
}

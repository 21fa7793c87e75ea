//! Logins beside bare Argon2id: how much of the machine's hashing reaches the people who log in.

use crate::{
    Args, Outcome,
    load::{self, Repeat},
    peers::{self, cpu_micros, latencies},
    people::Person,
    report::{Report, Row, Target, median},
    server::Stage,
};

/// The load of `connections` people who log in over and over; each login beyond the fifth ends their oldest session.
pub(crate) fn logins(stage: &Stage, people: &[Person], connections: usize) -> Vec<Repeat> {
    (0..connections).map(|at| Repeat { request: people[at % people.len()].login(stage.server.addr), status: 200 }).collect()
}

/// Takes bare hashes and logins at 16 and 64 connections in turns.
pub(crate) fn measure(args: &Args, stage: &Stage, people: &[Person], report: &mut Report) -> Outcome<()> {
    const CONNECTIONS: [usize; 2] = [16, 64];
    eprintln!("hash");
    let mut rounds = CONNECTIONS.map(|_| Vec::new());
    for _ in 0..args.rounds {
        let bare = peers::hash(args.round())?;
        for (rounds, connections) in rounds.iter_mut().zip(CONNECTIONS) {
            let before = stage.server.child.cpu()?;
            let (sample, _) = load::run(stage.server.addr, logins(stage, people, connections), args.round())?;
            let cpu_ms = cpu_micros(stage.server.child.cpu()?.saturating_sub(before), sample.count) / 1_000.0;
            rounds.push((sample, cpu_ms, bare));
        }
    }
    for (rounds, connections) in rounds.into_iter().zip(CONNECTIONS) {
        let pairs: Vec<_> = rounds.iter().map(|(sample, _, bare)| (sample.per_second, bare.per_second)).collect();
        let beyond = median(rounds.iter().map(|(_, cpu_ms, bare)| cpu_ms - bare.cpu_ms));
        let hash_ms = median(rounds.iter().map(|(_, _, bare)| bare.cpu_ms));
        let samples: Vec<_> = rounds.into_iter().map(|(sample, ..)| sample).collect();
        report.add(Row::paired(format!("logins, {connections} connections, to bare hashes"), "/s", &pairs, Target::Ratio(0.85), latencies(samples.iter())));
        let note = format!("a bare hash takes {hash_ms:.2} ms CPU");
        report.add(Row::alone(format!("CPU of a login beyond its hash, {connections} connections"), "ms", beyond, Target::AtMost(2.0), note));
    }
    Ok(())
}

//! Operations behind a warm bearer token beside a bare poem handler: what the whole frame and the check of a token cost.

use std::time::Duration;

use crate::{
    Args, Outcome, http,
    load::{self, Repeat},
    peers::{BarePoem, latencies},
    people::{self, Person},
    report::{Report, Row, Target, median},
    rounds::Round,
    server::Stage,
};

/// Path and least ratio: the first answers from the token alone, the second may read one row.
const OPERATIONS: [(&str, f64); 2] = [("/api/v1/auth/token", 0.7), ("/api/v1/me", 0.4)];

/// How long each operation is called before it is measured.
const WARM_UP: Duration = Duration::from_millis(500);

/// Takes bare and ours in turns, at 16 and 64 connections, each connection with a token of its own.
pub(crate) fn measure(args: &Args, stage: &Stage, people: &[Person], report: &mut Report) -> Outcome<()> {
    eprintln!("bearer");
    let addr = stage.server.addr;
    let tokens = people::log_in(stage, people)?;
    let bare = BarePoem::start()?;
    for connections in [16, 64] {
        let ours = OPERATIONS.map(|(path, _)| {
            let dialogue = |at: usize| Repeat { request: http::get(addr, path, Some(&tokens[at % tokens.len()].access)), status: 200 };
            (0..connections).map(dialogue).collect::<Vec<_>>()
        });
        let bare_dialogues = vec![bare.dialogue(); connections];
        // The first requests fill the server's caches and are not counted.
        load::run(bare.addr, bare_dialogues.clone(), WARM_UP)?;
        for dialogues in &ours {
            load::run(addr, dialogues.clone(), WARM_UP)?;
        }
        let mut bare_rounds = Vec::new();
        let mut our_rounds = OPERATIONS.map(|_| Vec::new());
        for _ in 0..args.rounds {
            bare_rounds.push(Round::take(&bare.child, bare.addr, &bare_dialogues, args.round())?);
            for (rounds, dialogues) in our_rounds.iter_mut().zip(&ours) {
                rounds.push(Round::take(&stage.server.child, addr, dialogues, args.round())?);
            }
        }
        for ((path, least), rounds) in OPERATIONS.into_iter().zip(our_rounds) {
            let pairs: Vec<_> = rounds.iter().zip(&bare_rounds).map(|(ours, bare)| (ours.sample.per_second, bare.sample.per_second)).collect();
            let cpu = |rounds: &[Round]| median(rounds.iter().map(|round| round.micros));
            let (ours, bare) = (cpu(&rounds), cpu(&bare_rounds));
            let note = format!("{}, CPU {ours:.1} µs, bare {bare:.1} µs", latencies(rounds.iter().map(|round| &round.sample)));
            report.add(Row::paired(format!("GET {path}, {connections} connections"), "/s", &pairs, Target::Ratio(least), note));
        }
    }
    Ok(())
}

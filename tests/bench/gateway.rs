//! What a reverse proxy waits for: `/gateway/nginx` with a warm API key and with a warm access token, beside a bare poem
//! handler that answers the very same bytes.

use std::{net::SocketAddr, time::Duration};

use crate::{
    Args, Outcome,
    http::{self, Connection},
    load::{self, Repeat},
    peers::{BarePoem, BareReply, latencies},
    people::{self, Person},
    report::{Report, Row, Target, median},
    rounds::Round,
    server::Stage,
    table,
};

pub(crate) const PATH: &str = "/gateway/nginx?scope=chat:read";
const CONNECTIONS: [usize; 3] = [1, 16, 64];
/// How much slower than the bare handler one answer of a hundred may be at 64 connections.
const SLOWEST: f64 = 2.0;
const WARM_UP: Duration = Duration::from_millis(500);

/// Takes bare and ours in turns; each connection has a credential of an account of its own. `books` says where limits are
/// counted, `least` which ratio that must leave.
pub(crate) fn measure(args: &Args, stage: &Stage, people: &[Person], (books, least): (&str, f64), report: &mut Report) -> Outcome<()> {
    eprintln!("gateway, limits {books}");
    let addr = stage.server.addr;
    let tokens: Vec<_> = people::log_in(stage, people)?.into_iter().map(|tokens| tokens.access).collect();
    let keys = people::make_keys(stage, &tokens)?;
    let bare = BarePoem::answering(&sample(addr, &keys[0])?)?;
    for connections in CONNECTIONS {
        let mut rounds = [Vec::new(), Vec::new(), Vec::new()];
        let theirs = vec![bare.dialogue(); connections];
        let [keys, tokens] = [&keys, &tokens].map(|credentials| dialogues(addr, credentials, connections));
        let all = [(&bare.child, bare.addr, &theirs), (&stage.server.child, addr, &keys), (&stage.server.child, addr, &tokens)];
        for (_, addr, dialogues) in all {
            load::run(addr, dialogues.clone(), WARM_UP)?;
        }
        for _ in 0..args.rounds {
            for (rounds, (child, addr, dialogues)) in rounds.iter_mut().zip(all) {
                rounds.push(Round::take(child, addr, dialogues, args.round())?);
            }
        }
        let [bare, keys, tokens] = rounds;
        for (kind, ours) in [("key", keys), ("token", tokens)] {
            let what = format!("{books}, warm {kind}, {connections} connections");
            let pairs = |of: fn(&Round) -> f64| ours.iter().zip(&bare).map(|(ours, bare)| (of(ours), of(bare))).collect::<Vec<_>>();
            let cpu = |rounds: &[Round]| median(rounds.iter().map(|round| round.micros));
            let note = format!("{}, CPU {:.1} µs, bare {:.1} µs", latencies(ours.iter().map(|round| &round.sample)), cpu(&ours), cpu(&bare));
            if kind == "key" && connections == 64 {
                let (counting, call) = (table::usage_micros(), cpu(&ours));
                let note = format!("{counting:.2} of {call:.1} µs");
                report.add(Row::alone(format!("counting a key's use, limits {books}"), "% of a call", 100.0 * counting / call, Target::AtMost(5.0), note));
            }
            report.add(Row::paired(format!("gateway, {what}"), "/s", &pairs(|round| round.sample.per_second), Target::Ratio(least), note));
            if connections == 64 {
                let slowest = pairs(|round| round.sample.latency_ms(0.99));
                report.add(Row::paired(format!("p99 of the gateway, {what}"), "ms", &slowest, Target::RatioAtMost(SLOWEST), ""));
            }
        }
    }
    Ok(())
}

fn dialogues(addr: SocketAddr, credentials: &[String], connections: usize) -> Vec<Repeat> {
    let dialogue = |at: usize| Repeat { request: http::get(addr, PATH, Some(&credentials[at % credentials.len()])), status: 204 };
    (0..connections).map(dialogue).collect()
}

/// What the server answers, for the bare handler to answer as well.
fn sample(addr: SocketAddr, key: &str) -> Outcome<BareReply> {
    people::block_on(async {
        let mut connection = Connection::open(addr).await?;
        let reply = connection.exchange(&http::get(addr, PATH, Some(key))).await?;
        if reply.status != 204 {
            return Err(format!("GET {PATH} answered {}: {}", reply.status, reply.excerpt()).into());
        }
        // hyper writes the date itself.
        let headers = reply.headers().filter(|(name, _)| !name.eq_ignore_ascii_case("date")).map(|(name, value)| (name.to_owned(), value.to_owned()));
        Ok(BareReply { status: reply.status, headers: headers.collect() })
    })
}

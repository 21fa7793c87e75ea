//! Refreshes beside a bare write transaction of the same kind of database.

use std::net::SocketAddr;

use crate::{
    Args, Outcome,
    http::{Reply, write_post},
    load::{self, Dialogue},
    peers::latencies,
    people::{self, Person},
    report::{Report, Row, Target},
    server::Stage,
    transactions::Bare,
};

/// The most sessions that are refreshed at once; so many users are needed.
pub(crate) const MOST_CONNECTIONS: u32 = 16;

/// Takes bare transactions and refreshes in turns, one at a time and sixteen at once.
pub(crate) fn measure(args: &Args, stage: &Stage, people: &[Person], report: &mut Report) -> Outcome<()> {
    let bare = Bare::open(stage.cluster.as_deref())?;
    eprintln!("refresh, {}", bare.name());
    for connections in [1, MOST_CONNECTIONS as usize] {
        let tokens = people::log_in(stage, &people[..connections])?;
        let mut chains: Vec<_> = tokens.into_iter().map(|tokens| Chain { addr: stage.server.addr, token: tokens.refresh }).collect();
        let (mut pairs, mut samples) = (Vec::new(), Vec::new());
        for _ in 0..args.rounds {
            let bare_rate = bare.run(connections, args.round())?;
            let sample;
            (sample, chains) = load::run(stage.server.addr, chains, args.round())?;
            pairs.push((sample.per_second, bare_rate));
            samples.push(sample);
        }
        let what = format!("refreshes, {}, {connections} at once, to bare transactions", bare.name());
        report.add(Row::paired(what, "/s", &pairs, Target::Ratio(0.5), latencies(samples.iter())));
    }
    Ok(())
}

/// One session: every refresh sends the token that the last one brought.
pub(crate) struct Chain {
    pub(crate) addr: SocketAddr,
    pub(crate) token: String,
}

impl Dialogue for Chain {
    fn request(&mut self, out: &mut Vec<u8>) {
        write_post(out, self.addr, "/api/v1/auth/refresh", &format!(r#"{{"refreshToken":"{}"}}"#, self.token));
    }

    fn reply(&mut self, reply: &Reply<'_>) -> Outcome<()> {
        let body = reply.json(200, "POST /api/v1/auth/refresh")?;
        self.token = body["refreshToken"].as_str().ok_or("the refresh's reply has no refreshToken")?.to_owned();
        Ok(())
    }
}

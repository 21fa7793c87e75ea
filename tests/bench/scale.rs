//! A large installation beside a small one: 10,000 realms to one, and a million people to a thousand.
//!
//! All of them run at once and are loaded in turns, so that a bad moment of the machine meets them alike. The load is the
//! same number of people everywhere, spread evenly over those there are.

use std::time::Duration;

use crate::{
    Args, Outcome, http,
    load::{self, Round},
    people::{self, Person},
    report::{Report, Row, Target, median},
    seed,
    server::Stage,
};

/// Realms of the installation with many.
const MANY_REALMS: usize = 10_000;
/// People of the small installation, and of the one with many.
const FEW_PEOPLE: u32 = 1_000;
const MANY_PEOPLE: u32 = 1_000_000;
/// How many of them log in and ask who they are.
const ACTIVE: u32 = 64;
/// Few enough that a login is not mostly a wait for the ones before it.
const LOGINS_AT_ONCE: usize = 2;
const ASK_AT_ONCE: usize = 16;
/// By how much a worst case may grow.
const MOST_RATIO: f64 = 1.2;
/// By how many MiB the process may grow.
const MOST_GROWTH: f64 = 20.0;

struct Town {
    stage: Stage,
    logins: Vec<Vec<u8>>,
    asks: Vec<Vec<u8>>,
}

/// Measures on SQLite, and on PostgreSQL if there is one.
pub(crate) fn measure(args: &Args, report: &mut Report) -> Outcome<()> {
    on(args, None, report)?;
    args.postgres.as_deref().map_or(Ok(()), |cluster| on(args, Some(cluster), report))
}

fn on(args: &Args, cluster: Option<&str>, report: &mut Report) -> Outcome<()> {
    let database = if cluster.is_some() { "PostgreSQL" } else { "SQLite" };
    eprintln!("scale, {database}");
    let stage = || -> Outcome<Stage> {
        let stage = match cluster {
            Some(cluster) => Stage::postgres(&args.binary, cluster)?,
            None => Stage::sqlite(&args.binary)?,
        };
        people::sign_up(&stage, 1)?;
        Ok(stage)
    };
    let small = town(stage()?, FEW_PEOPLE)?;
    let crowded = town(stage()?, MANY_PEOPLE)?;
    let mut wide = stage()?;
    eprintln!("  making {MANY_REALMS} realms");
    let took = wide.without_server(|seed| {
        let took = seed.realms(MANY_REALMS)?;
        seed.one_person_a_realm()?;
        Ok(took)
    })?;
    let ms = |part: &[Duration]| median(part.iter().map(|took| took.as_secs_f64() * 1_000.0));
    let tenth = MANY_REALMS / 10;
    let (first, last) = (ms(&took[..tenth]), ms(&took[MANY_REALMS - tenth..]));
    let note = "the last thousand of 10,000 to the first; medians";
    report.add(Row::paired(format!("making a realm, {database}"), "ms", &[(last, first)], Target::RatioAtMost(MOST_RATIO), note));
    let spread = |at: u32| at as usize * (MANY_REALMS / ACTIVE as usize);
    let wide = ready(wide, (0..ACTIVE).map(|at| Person::known(people::FIRST.to_owned(), Some(seed::realm_name(spread(at))))).collect())?;

    let towns = [(&small, ""), (&wide, "10,000 realms to 1"), (&crowded, "1,000,000 people to 1,000")];
    let mut rounds: Vec<[Vec<f64>; 2]> = towns.iter().map(|_| Default::default()).collect();
    for round in 0..=args.rounds {
        for ((town, _), rounds) in towns.iter().zip(&mut rounds) {
            let worst = town.worst(args)?;
            // The first round fills caches and is not counted.
            if round > 0 {
                rounds.iter_mut().zip(worst).for_each(|(all, one)| all.push(one));
            }
        }
    }
    let at_rest = small.stage.server.child.resident_mib()?;
    for ((town, what), own) in towns.iter().zip(&rounds).skip(1) {
        for (at, operation) in ["login", "GET /api/v1/me"].into_iter().enumerate() {
            let pairs: Vec<_> = own[at].iter().copied().zip(rounds[0][at].iter().copied()).collect();
            report.add(Row::paired(format!("{operation}, p99, {what}, {database}"), "ms", &pairs, Target::RatioAtMost(MOST_RATIO), "the small one as bare"));
        }
        let now = town.stage.server.child.resident_mib()?;
        let note = format!("{now:.1} MiB to {at_rest:.1} MiB after the same load");
        report.add(Row::alone(format!("memory, {what}, {database}"), "MiB more", now - at_rest, Target::AtMost(MOST_GROWTH), note));
    }
    Ok(())
}

/// An installation of one realm with so many people.
fn town(mut stage: Stage, count: u32) -> Outcome<Town> {
    eprintln!("  making {count} people");
    stage.without_server(|seed| seed.people(count))?;
    ready(stage, (1..=ACTIVE).map(|at| Person::known(seed::address(at * (count / ACTIVE)), None)).collect())
}

fn ready(stage: Stage, active: Vec<Person>) -> Outcome<Town> {
    let addr = stage.server.addr;
    let tokens = people::log_in(&stage, &active)?;
    Ok(Town {
        logins: active.iter().map(|person| person.login(addr)).collect(),
        asks: tokens.iter().map(|tokens| http::get(addr, "/api/v1/me", Some(&tokens.access))).collect(),
        stage,
    })
}

impl Town {
    /// The 99th percentile of logins and of questions, in milliseconds.
    fn worst(&self, args: &Args) -> Outcome<[f64; 2]> {
        let addr = self.stage.server.addr;
        let (asks, _) = load::run(addr, Round::shares(&self.asks, ASK_AT_ONCE), args.round())?;
        let (logins, _) = load::run(addr, Round::shares(&self.logins, LOGINS_AT_ONCE), args.round())?;
        Ok([logins.latency_ms(0.99), asks.latency_ms(0.99)])
    }
}

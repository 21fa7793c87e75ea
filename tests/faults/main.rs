//! Faults done to the real program, to its database, its mail server, its network, its disk and its clock. Each case runs
//! on SQLite and on a throw-away PostgreSQL of its own, and says in one line what was measured.
//!
//! `tests/faults/run [--long] [--seed N] [case …]`; the short form is part of `cargo test` and so of `tests/run`. What can't be
//! run on this machine is named as such and is no failure.
#![expect(clippy::unwrap_used, reason = "a test that can't go on must stop")]
#![expect(unreachable_pub, reason = "one binary, which nobody depends on")]

mod client;
mod clock;
mod kill;
mod mail;
mod network;
mod nodes;
mod outage;
mod postgres;
mod proxy;
mod scarce;
mod secrets;
mod smtp;
mod stop;
#[expect(dead_code, reason = "shared with tests/it; not all of it is needed here")]
#[path = "../it/support/mod.rs"]
mod support;
mod world;

use std::{future::Future, panic::AssertUnwindSafe, pin::Pin, process::ExitCode, sync::Arc, time::Instant};

use futures_util::FutureExt as _;
use world::{Outcome, World};

type Running = Pin<Box<dyn Future<Output = Outcome>>>;
type Case = (&'static str, fn(Arc<World>) -> Running);

/// Cases whose short form needs no PostgreSQL: there they go beside the others, since most of a fault is waiting.
const BESIDE: &[&str] = &["mail::", "network::a_bad_line_to_the_mail_server", "scarce::"];
/// What looks at all that the others left behind.
const LAST: &str = "secrets::";

macro_rules! cases {
    ($($module:ident::$name:ident),+ $(,)?) => {
        &[$((concat!(stringify!($module), "::", stringify!($name)), |world| Box::pin($module::$name(world)))),+]
    };
}

const CASES: &[Case] = cases![
    mail::a_mail_server_in_any_mood_is_nobodys_problem,
    kill::killed_at_any_moment_it_keeps_its_word,
    outage::a_database_that_is_gone_is_a_503_and_comes_back,
    network::a_bad_line_to_the_database_is_a_503_in_time,
    network::a_bad_line_to_the_mail_server_delays_mail_alone,
    nodes::two_nodes_are_one_service,
    stop::a_stop_under_load_drops_nobody,
    scarce::a_full_disk_refuses_writes_alone,
    scarce::without_file_descriptors_it_lives_on,
    clock::a_clock_that_jumps_revives_nothing,
    secrets::no_secret_of_the_whole_run_was_written_down,
];

fn main() -> ExitCode {
    let (mut long, mut seed, mut filters, mut list) = (false, None, Vec::new(), false);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--long" => long = true,
            "--seed" => seed = words.next().and_then(|text| text.parse().ok()),
            "--list" => list = true,
            // Flags of the usual test harness.
            other if other.starts_with('-') => {}
            _ => filters.push(word),
        }
    }
    let chosen: Vec<_> = CASES.iter().copied().filter(|(name, _)| filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str()))).collect();
    if list || chosen.is_empty() {
        chosen.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let started = Instant::now();
    let world = Arc::new(World::new(long, seed));
    println!("\nfaults, {} form, seed {}", if long { "long" } else { "short" }, world.seed);
    let (last, rest): (Vec<_>, Vec<_>) = chosen.into_iter().partition(|(name, _)| name.starts_with(LAST));
    let (beside, main): (Vec<_>, Vec<_>) = rest.into_iter().partition(|(name, _)| !long && BESIDE.iter().any(|start| name.starts_with(start)));
    let mut tally = std::thread::scope(|scope| {
        let beside = scope.spawn(|| run(&world, &beside));
        run(&world, &main).and(beside.join().expect("cases that panic are caught"))
    });
    tally = tally.and(run(&world, &last));
    drop(world);
    let Tally { passed, failed, ignored } = tally;
    let word = if failed == 0 { "ok" } else { "FAILED" };
    println!("\ntest result: {word}. {passed} passed; {failed} failed; {ignored} ignored; faults in {:.0} s\n", started.elapsed().as_secs_f32());
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(101) }
}

#[derive(Clone, Copy, Default)]
struct Tally {
    passed: u32,
    failed: u32,
    ignored: u32,
}

impl Tally {
    fn and(self, other: Self) -> Self {
        Self { passed: self.passed + other.passed, failed: self.failed + other.failed, ignored: self.ignored + other.ignored }
    }
}

/// Runs one case after the other, and says of each what came of it.
fn run(world: &Arc<World>, cases: &[Case]) -> Tally {
    let mut tally = Tally::default();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().expect("a runtime");
    for (name, case) in cases {
        let begun = Instant::now();
        let ended = runtime.block_on(AssertUnwindSafe(case(Arc::clone(world))).catch_unwind());
        let seconds = begun.elapsed().as_secs_f32();
        match ended {
            Ok(Outcome::Passed(lines)) => {
                tally.passed += 1;
                let lines: String = lines.iter().map(|line| format!("\n    {line}")).collect();
                println!("test {name} ... ok ({seconds:.1} s){lines}");
            }
            Ok(Outcome::NotRun(why)) => {
                tally.ignored += 1;
                println!("test {name} ... NOT RUN: {why}");
            }
            // The panic's own text stands above.
            Err(_) => {
                tally.failed += 1;
                println!("test {name} ... FAILED ({seconds:.1} s), seed {}", world.seed);
            }
        }
    }
    tally
}

//! `cargo bench --bench ratios`: what the server does in a second, beside the least that the same work can cost here.
//!
//! Starts the real binary and bare peers as processes of their own, loads them in turns and prints ratios, because
//! absolute numbers say more about the machine than about the program. `tests/bench/run` adds a PostgreSQL server. It
//! measures only; whether the answers are right is the tests' business (a wrong status still fails the run).

mod bearer;
mod flood;
mod gateway;
mod hash;
mod http;
mod load;
mod memory;
mod noise;
mod peers;
mod people;
mod process;
mod refresh;
mod report;
mod rounds;
mod scale;
mod seed;
mod server;
mod start;
mod table;
mod timing;
mod transactions;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::{Parser, ValueEnum};

use report::Report;
use server::Stage;

/// Any fault ends the run with its text.
pub(crate) type Fault = Box<dyn std::error::Error + Send + Sync>;
/// The result of every step.
pub(crate) type Outcome<T> = Result<T, Fault>;

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Group {
    /// Start to ready with an existing database.
    Start,
    /// Idle memory, and the peak with 64 logins at once.
    Memory,
    /// Operations behind a warm bearer token, beside a bare poem handler.
    Bearer,
    /// The gateway with a warm key and a warm token, beside a bare poem handler that answers the same.
    Gateway,
    /// Five hundred logins at once: memory, and what others wait for.
    Flood,
    /// Many keys: a table of a million beside one of a thousand, memory for a hundred thousand in use.
    Keys,
    /// What others notice of an account far over its limit.
    Noise,
    /// Refreshes, beside a bare write transaction.
    Refresh,
    /// Logins, beside bare Argon2id hashes.
    Hash,
    /// A large installation beside a small one; takes minutes, and is run only if asked for.
    Scale,
    /// What the time of a refused login tells; only if asked for.
    Timing,
    /// The bare peers alone, without the server: what this machine and this client can do.
    Bare,
}

/// Compares the server with the least that its work can cost on this machine.
#[derive(Parser)]
#[command(name = "cargo bench --bench ratios --")]
pub(crate) struct Args {
    /// Length of one round in seconds.
    #[arg(long, default_value_t = 2.0)]
    secs: f64,
    /// Rounds of each measurement; the median counts.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// What to measure; everything if not given.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Group>,
    /// Prints JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// A PostgreSQL server whose user may create databases; refreshes are measured there too.
    #[arg(long, env = "BENCH_DATABASE_URL", hide_env_values = true, value_name = "URL")]
    postgres: Option<String>,
    /// A Redis server; the gateway is measured with limits there too.
    #[arg(long, env = "BENCH_REDIS_URL", hide_env_values = true, value_name = "URL")]
    redis: Option<String>,
    /// Users who log in, at least 64.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(64..))]
    users: u32,
    /// Another build of the server to measure, such as an older one; the one just built if not given.
    #[arg(long, value_name = "PATH", default_value = env!("CARGO_BIN_EXE_realmgate"), hide_default_value = true)]
    binary: PathBuf,
    /// Given by `cargo bench`; without it (`cargo test --benches`) nothing is measured.
    #[arg(long, hide = true)]
    bench: bool,
    /// Internal: be the bare poem server on this port until standard input ends.
    #[arg(long, hide = true, value_name = "PORT")]
    serve_bare: Option<u16>,
    /// Internal: what the bare poem server answers.
    #[arg(long, hide = true, value_name = "JSON", value_parser = bare_reply, default_value = r#"{"status":200,"headers":[]}"#)]
    bare_reply: peers::BareReply,
}

fn bare_reply(text: &str) -> Result<peers::BareReply, serde_json::Error> {
    serde_json::from_str(text)
}

impl Args {
    fn round(&self) -> Duration {
        Duration::from_secs_f64(self.secs)
    }

    fn wants(&self, group: Group) -> bool {
        if self.only.is_empty() { !matches!(group, Group::Bare | Group::Scale | Group::Timing) } else { self.only.contains(&group) }
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    let result = match args.serve_bare {
        Some(port) => peers::serve(port, &args.bare_reply).map(|()| true),
        None if args.bench => measure(&args),
        None => {
            println!("nothing is measured in a test run: use `cargo bench --bench ratios`");
            Ok(true)
        }
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(fault) => {
            eprintln!("benchmark failed: {fault}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the wanted groups and prints the report; whether every target was met.
fn measure(args: &Args) -> Outcome<bool> {
    if !(args.secs > 0.0 && args.secs <= 600.0) || args.rounds == 0 {
        return Err("--secs must be above 0 and at most 600, --rounds at least 1".into());
    }
    let mut report = Report::default();
    if args.wants(Group::Bare) {
        peers::measure(args, &mut report)?;
    }
    if args.wants(Group::Start) {
        start::measure(args, &mut report)?;
    }
    if [Group::Memory, Group::Bearer, Group::Gateway, Group::Noise, Group::Flood, Group::Refresh, Group::Hash].into_iter().any(|group| args.wants(group)) {
        let stage = Stage::sqlite(&args.binary)?;
        if args.wants(Group::Memory) {
            memory::idle(&stage, &mut report)?;
        }
        eprintln!("signing up {} users", args.users);
        let people = people::sign_up(&stage, args.users)?;
        if args.wants(Group::Bearer) {
            bearer::measure(args, &stage, &people, &mut report)?;
        }
        if args.wants(Group::Gateway) {
            gateway::measure(args, &stage, &people, ("in process", 0.6), &mut report)?;
        }
        if args.wants(Group::Noise) {
            noise::measure(args, &stage, &people, &mut report)?;
        }
        if args.wants(Group::Flood) {
            flood::measure(args, &stage, &people, &mut report)?;
        }
        if args.wants(Group::Refresh) {
            refresh::measure(args, &stage, &people, &mut report)?;
        }
        if args.wants(Group::Hash) {
            hash::measure(args, &stage, &people, &mut report)?;
        }
        if args.wants(Group::Memory) {
            memory::peak(args, &stage, &people, &mut report)?;
        }
    }
    if args.wants(Group::Keys) {
        table::measure(args, &mut report)?;
    }
    if let (true, Some(redis)) = (args.wants(Group::Gateway), &args.redis) {
        let prefix = format!("bench-{}", std::process::id());
        let stage = Stage::with(&args.binary, &[("REDIS_URL", redis), ("REDIS_PREFIX", &prefix)])?;
        let people = people::sign_up(&stage, args.users)?;
        gateway::measure(args, &stage, &people, ("in Redis", 0.3), &mut report)?;
    }
    if let (true, Some(cluster)) = (args.wants(Group::Refresh), &args.postgres) {
        let stage = Stage::postgres(&args.binary, cluster)?;
        let people = people::sign_up(&stage, refresh::MOST_CONNECTIONS)?;
        refresh::measure(args, &stage, &people, &mut report)?;
    }
    if args.wants(Group::Timing) {
        timing::measure(args, &mut report)?;
    }
    if args.wants(Group::Scale) {
        scale::measure(args, &mut report)?;
    }
    report.print(args.json)?;
    Ok(report.all_met())
}

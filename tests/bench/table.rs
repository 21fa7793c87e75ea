//! Keys in large numbers: what a node pays for a key that it never saw, in a table of a thousand keys and of a million, and
//! how much memory a hundred thousand keys in use take.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use realmgate::{
    crypto::{entropy::SystemEntropy, hash::sha256_hex},
    domain::{api_key::KeyText, clock::Clock as _, clock::SystemClock, id::ApiKeyId},
};
use sea_orm::{ConnectOptions, ConnectionTrait as _, Database, DbBackend, Statement};
use tokio::task::JoinSet;

use crate::{
    Args, Outcome,
    gateway::PATH,
    http::{self, Connection},
    load::Repeat,
    people,
    report::{Report, Row, Target, median},
    rounds::Round,
    server::Stage,
};

const SMALL: usize = 1_000;
const LARGE: usize = 1_000_000;
/// Keys in use for the measurement of memory.
const IN_USE: usize = 100_000;
const CONNECTIONS: usize = 16;
/// What they may take, all caches and limits together, in MiB.
const MEMORY: f64 = 200.0;

/// Fills two tables and measures on both in turns.
pub(crate) fn measure(args: &Args, report: &mut Report) -> Outcome<()> {
    eprintln!("keys in the table");
    let (mut small, small_keys) = filled(args, SMALL)?;
    let (mut large, large_keys) = filled(args, LARGE)?;
    let every = large_keys.len() / SMALL;
    let spread: Vec<String> = large_keys.iter().step_by(every).take(SMALL).cloned().collect();
    let (mut cold, mut warm) = (Vec::new(), Vec::new());
    for _ in 0..args.rounds {
        let mut rates = Vec::new();
        for (stage, keys) in [(&mut large, &spread), (&mut small, &small_keys)] {
            stage.restart()?;
            let took = once_each(stage, keys)?.as_secs_f64();
            let dialogues: Vec<_> =
                keys.iter().take(CONNECTIONS).map(|key| Repeat { request: http::get(stage.server.addr, PATH, Some(key)), status: 204 }).collect();
            let warm = Round::take(&stage.server.child, stage.server.addr, &dialogues, args.round())?;
            rates.push((keys.len() as f64 / took, warm.sample.per_second));
        }
        cold.push((rates[0].0, rates[1].0));
        warm.push((rates[0].1, rates[1].1));
    }
    let beside = "beside a table of 1,000";
    report.add(Row::paired("gateway, known keys, 1,000,000 in the table", "/s", &warm, Target::Ratio(1.0 / 1.1), beside));
    report.add(Row::paired("gateway, keys never seen, 1,000,000 in the table", "/s", &cold, Target::Ratio(1.0 / 1.1), beside));
    large.restart()?;
    let before = large.server.child.resident_mib()?;
    let mut after = Vec::new();
    // The second hundred thousand must take the place of the first.
    for half in [&large_keys[..IN_USE], &large_keys[large_keys.len() - IN_USE..]] {
        once_each(&large, half)?;
        after.push(large.server.child.resident_mib()? - before);
    }
    let note = format!("beyond {before:.0} MiB at the start; {:.0} MiB after another 100,000", after[1]);
    report.add(Row::alone("memory for 100,000 keys in use", "MiB", after[0].max(after[1]), Target::AtMost(MEMORY), note));
    Ok(())
}

/// A server with so many keys in its table, and 200,000 of them at most, spread over the table.
fn filled(args: &Args, count: usize) -> Outcome<(Stage, Vec<String>)> {
    let stage = Stage::sqlite(&args.binary)?;
    let person = people::sign_up(&stage, 1)?;
    let tokens: Vec<_> = people::log_in(&stage, &person)?.into_iter().map(|tokens| tokens.access).collect();
    people::make_keys(&stage, &tokens)?;
    let url = format!("sqlite://{}", stage.database_file().display());
    let keep_every = (count / (2 * IN_USE)).max(1);
    let keys = people::block_on(async {
        let mut options = ConnectOptions::new(url);
        options.max_connections(1).sqlx_logging(false);
        let db = Database::connect(options).await?;
        // Nothing of this has to outlast the machine.
        db.execute_unprepared("PRAGMA synchronous = OFF").await?;
        let sample = "SELECT hex(account_id) AS account, hex(realm_id) AS realm, created_at AS at FROM api_keys";
        let row = db.query_one_raw(Statement::from_string(DbBackend::Sqlite, sample)).await?.ok_or("no key")?;
        let (account, realm, at): (String, String, String) = (row.try_get("", "account")?, row.try_get("", "realm")?, row.try_get("", "at")?);
        let mut keys = Vec::new();
        for batch in 0..count.div_ceil(500) {
            let mut sql =
                "INSERT INTO api_keys (id, account_id, realm_id, name, prefix, last4, secret_hash, scopes, ip_allowlist, created_at, updated_at) VALUES"
                    .to_owned();
            for number in batch * 500..(count).min((batch + 1) * 500) {
                let id = ApiKeyId::new(SystemClock.now(), &SystemEntropy);
                let text = KeyText::mint("conv", false, id, &SystemEntropy);
                let (hash, prefix, comma) = (sha256_hex(text.secret().as_bytes()), text.shown_prefix(), if number % 500 == 0 { "" } else { "," });
                write!(
                    sql,
                    "{comma}(x'{}',x'{account}',x'{realm}','Bench','{prefix}','{}','{hash}','chat:read','','{at}','{at}')",
                    id.0.simple(),
                    text.last4()
                )?;
                if number % keep_every == 0 {
                    keys.push(text.reveal());
                }
            }
            db.execute_unprepared(&sql).await?;
        }
        db.execute_unprepared("PRAGMA wal_checkpoint(TRUNCATE)").await?;
        db.close().await?;
        Ok(keys)
    })?;
    Ok((stage, keys))
}

/// Shows each of the keys once; how long all of them took.
fn once_each(stage: &Stage, keys: &[String]) -> Outcome<Duration> {
    let addr = stage.server.addr;
    people::block_on(async {
        let mut tasks = JoinSet::new();
        let started = Instant::now();
        for part in keys.chunks(keys.len().div_ceil(CONNECTIONS)) {
            let requests: Vec<_> = part.iter().map(|key| http::get(addr, PATH, Some(key))).collect();
            tasks.spawn(async move {
                let mut connection = Connection::open(addr).await?;
                for request in requests {
                    let reply = connection.exchange(&request).await?;
                    if reply.status != 204 {
                        return Err(format!("a key got {}: {}", reply.status, reply.excerpt()).into());
                    }
                }
                Ok(())
            });
        }
        while let Some(done) = tasks.join_next().await {
            let outcome: Outcome<()> = done?;
            outcome?;
        }
        Ok(started.elapsed())
    })
}

/// What counting a key's use costs, in microseconds, with as many threads as the machine has cores.
pub(crate) fn usage_micros() -> f64 {
    const NOTES: u32 = 500_000;
    let (usage, now) = (realmgate::app::usage::Usage::default(), SystemClock.now());
    let account = realmgate::domain::id::AccountId::new(now, &SystemEntropy);
    let ids: Vec<ApiKeyId> = (0..64).map(|_| ApiKeyId::new(now, &SystemEntropy)).collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let spans: Vec<Duration> = std::thread::scope(|scope| {
        let note = || {
            let started = Instant::now();
            for at in 0..NOTES as usize {
                usage.note(account, ids[at % ids.len()], realmgate::domain::usage::Outcome::Valid, Some([192, 0, 2, 1].into()), now);
            }
            started.elapsed()
        };
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(note)).collect();
        running.into_iter().filter_map(|thread| thread.join().ok()).collect()
    });
    median(spans.iter().map(|span| span.as_secs_f64() * 1e6 / f64::from(NOTES)))
}

//! `check`: the settings in force, and everything that would keep this installation from working, each with its cure.
//!
//! What settings alone can tell stands in `config`. Here is what this machine tells, and with `--online` what the servers
//! tell that the settings name. Nothing is made and nothing is changed.

use std::path::Path;

use secrecy::ExposeSecret as _;
use serde_json::json;

use super::{address, count, print_json};
use crate::{
    config::{Problem, Profile, Settings},
    crypto::keyring::Keyring,
    domain::{
        Error, Result,
        clock::{Clock as _, SystemClock},
    },
    limiter::shared,
    mail::{self, Transport},
    store,
};

/// 2025-01-01: no clock that is right says less.
const BUILT_AFTER: i64 = 1_735_689_600;
/// How far this machine's clock and the database's may be apart, in seconds: the leeway of access tokens.
const SKEW: i64 = 5;

pub(super) async fn check(settings: &Settings, online: bool, json: bool) -> Result<()> {
    let mut problems = settings.problems();
    local(settings, &mut problems);
    // What can't be read can't be asked either.
    if online && problems.is_empty() {
        database(settings, &mut problems).await;
        redis(settings, &mut problems).await;
        mail_server(settings, &mut problems).await;
    }
    show(settings, &problems, json);
    if problems.is_empty() { Ok(()) } else { Err(Error::Setup(format!("{} to solve before this can start", count(problems.len(), "problem")))) }
}

fn local(settings: &Settings, problems: &mut Vec<Problem>) {
    // One fault that is found twice is told once.
    let mut add = |setting, problem: String, cure: &str| {
        if problems.iter().all(|known| known.setting != setting) {
            problems.push(Problem::new(setting, &problem, cure));
        }
    };
    match &settings.master_key {
        Some(text) => {
            if let Err(error) = Keyring::parse(text.expose_secret()) {
                add("master_key", format!("can't be used: {error}"), "set REALMGATE_MASTER_KEY to k1: and the base64 of 32 random bytes");
            }
        }
        None => {
            if let Err(error) = Keyring::inspect(&settings.master_key_file) {
                add("master_key_file", format!("can't be used: {error}"), "give the file to the user that Realmgate runs as, with mode 600");
            }
        }
    }
    if let Some(Err(error)) = settings.smtp_url.as_ref().map(Transport::smtp) {
        add("smtp_url", format!("can't be used: {error}"), "set it to smtps://user:password@host");
    }
    if let Err(error) = mail::check_sender(&settings.mail_from) {
        add("mail_from", format!("can't be used: {error}"), "set it to an address such as Example <no-reply@example.com>");
    }
    if let Err(cause) = writable(&settings.data_dir) {
        let cure = format!("give {} to the user that Realmgate runs as, or set data_dir", settings.data_dir.display());
        add("data_dir", format!("can't be written into: {cause}"), &cure);
    }
    if SystemClock.now().timestamp() < BUILT_AFTER {
        add("clock", "of this machine is years behind".to_owned(), "set it, and let NTP keep it; tokens and links live by it");
    }
}

/// Whether files can be made in a folder, or the folder itself where it is not there yet.
fn writable(folder: &Path) -> std::io::Result<()> {
    let absolute = std::path::absolute(folder)?;
    let there = absolute.ancestors().find(|path| path.exists()).unwrap_or(&absolute);
    let probe = there.join(format!(".realmgate-check-{}", std::process::id()));
    std::fs::File::create_new(&probe)?;
    std::fs::remove_file(&probe)
}

async fn database(settings: &Settings, problems: &mut Vec<Problem>) {
    let cure = "start it, or set REALMGATE_DATABASE_URL to where it is";
    match store::migrate::inspect(&address(settings)).await {
        Ok(found) => {
            let skew = found.clock.map_or(0, |theirs| (theirs - SystemClock.now()).num_seconds().abs());
            if skew > SKEW {
                let problem = format!("of this machine and the database's are {skew} s apart");
                problems.push(Problem::new("clock", &problem, "let NTP keep the clocks of all machines"));
            }
        }
        Err(Error::Setup(problem)) => problems.push(Problem::new("database_url", &problem, "start the version that wrote it, or restore a backup")),
        Err(error) => {
            let cause = std::error::Error::source(&error).map_or_else(|| error.to_string(), |cause| super::brief(&cause));
            problems.push(Problem::new("database_url", &format!("can't be used: {cause}"), cure));
        }
    }
}

async fn redis(settings: &Settings, problems: &mut Vec<Problem>) {
    if let Some(url) = &settings.redis_url
        && let Err(error) = shared::probe(url.expose_secret()).await
    {
        problems.push(Problem::new("redis_url", &format!("leads nowhere: {error}"), "start it, or set REALMGATE_REDIS_URL to where it is"));
    }
}

async fn mail_server(settings: &Settings, problems: &mut Vec<Problem>) {
    if let Some(Ok(Transport::Smtp(smtp))) = settings.smtp_url.as_ref().map(Transport::smtp)
        && let Err(fault) = smtp.probe().await
    {
        problems.push(Problem::new("smtp_url", &format!("leads nowhere: {fault}"), "start the server, or set REALMGATE_SMTP_URL to where it is"));
    }
}

fn show(settings: &Settings, problems: &[Problem], json: bool) {
    let shown = settings.masked();
    if json {
        print_json(&json!({ "settings": shown, "problems": problems }));
        return;
    }
    for (name, value) in shown.as_object().into_iter().flatten() {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        println!("{name:<26} {value}");
    }
    println!();
    if problems.is_empty() {
        let profile = if settings.profile == Profile::Dev { "development" } else { "production" };
        println!("No problems. Ready for {profile}.");
    }
    for problem in problems {
        println!("problem: `{}` {}\n   cure: {}", problem.setting, problem.problem, problem.cure);
    }
}

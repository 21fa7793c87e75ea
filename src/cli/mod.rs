//! The command line: `serve` and its helpers, and what an operator does without a browser.
//!
//! People get tables and sentences, programs get `--json`. Exit codes: 0 done, 1 failed, 2 wrong usage or settings.

mod admin;
mod backup;
mod check;
mod key;
mod keys;
mod member;
mod plan;
mod serve;

use std::{os::unix::fs::DirBuilderExt as _, path::PathBuf, process::ExitCode, sync::Arc};

use clap::{Args, Parser, Subcommand};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::{
    app::App,
    config::{Overrides, Settings},
    crypto::{entropy::SystemEntropy, keyring::Keyring},
    domain::{Error, Result, clock::SystemClock},
    http, service,
    store::{self, Db, connection::Address, migration_plan::PlannedStep},
};

/// Identity for multi-tenant SaaS: accounts, realms, sign-in, sessions, keys and limits in one binary.
#[derive(Parser)]
#[command(name = "realmgate", version, about)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Args)]
struct Common {
    /// Settings file [default: realmgate.toml, if there is one]
    #[arg(long, global = true, env = "REALMGATE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder of database and master key [setting: `data_dir`]
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Log level or filter [setting: log]
    #[arg(long, global = true, value_name = "FILTER")]
    log: Option<String>,
    /// Print JSON for programs
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Answer requests (the default)
    Serve(serve::ServeArgs),
    /// Send mails and run other owed work, without answering requests
    Worker,
    /// Bring the database's schema up to date
    Migrate {
        /// Only say what would be done
        #[arg(long)]
        plan: bool,
    },
    /// Show the settings in force, secrets masked, and every problem with its cure
    Check {
        /// Ask the database, Redis and the mail server too
        #[arg(long)]
        online: bool,
    },
    /// Copy the database to a file, while the service runs
    Backup {
        /// A file that is not there yet
        #[arg(value_name = "FILE")]
        target: PathBuf,
    },
    /// Print or export the OpenAPI documents
    Openapi {
        /// Which dialect
        #[arg(long, default_value = "native", value_parser = ["native"])]
        family: String,
        /// Write all documents into this folder instead
        #[arg(long, value_name = "DIR")]
        write: Option<PathBuf>,
    },
    /// Customer organisations
    #[command(subcommand)]
    Account(admin::AccountCommand),
    /// What accounts may use
    #[command(subcommand)]
    Plan(plan::PlanCommand),
    /// Identity spaces
    #[command(subcommand)]
    Realm(admin::RealmCommand),
    /// Keys that sign tokens and seal secrets
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Who belongs to an account
    #[command(subcommand)]
    Member(member::MemberCommand),
    /// People
    #[command(subcommand)]
    User(admin::UserCommand),
    /// API keys
    #[command(subcommand)]
    Key(key::KeyCommand),
}

/// Runs the command line and answers its exit code.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&Error::Setup(format!("no threads can be started: {error}")), cli.common.json),
    };
    let json = cli.common.json;
    match runtime.block_on(run(cli)) {
        Ok(code) => code,
        Err(error) => fail(&error, json),
    }
}

/// Says what went wrong and what to do.
fn fail(error: &Error, json: bool) -> ExitCode {
    let (mut text, code) = match error {
        Error::Setup(text) => (text.clone(), 2),
        Error::Invalid(faults) => (faults.iter().map(|fault| format!("{} {}", fault.field, fault.message)).collect::<Vec<_>>().join("; "), 2),
        Error::NotFound => ("there is no such thing; the `list` commands show what there is".to_owned(), 1),
        Error::RealmNotFound => ("there is no such realm; `realmgate realm list` shows them".to_owned(), 1),
        Error::Unavailable(cause) => (format!("the database can't be reached: {}; check REALMGATE_DATABASE_URL", brief(cause)), 1),
        Error::Internal(cause) => (format!("internal error: {}", brief(cause)), 1),
        other => (other.to_string(), 1),
    };
    if json {
        text = json!({ "error": { "code": error.code(), "message": text } }).to_string();
        println!("{text}");
    } else {
        eprintln!("error: {text}");
    }
    ExitCode::from(code)
}

/// A cause in one line. Database faults never quote the address they were given.
fn brief(cause: &dyn std::fmt::Display) -> String {
    cause.to_string().lines().next().unwrap_or_default().to_owned()
}

async fn run(cli: Cli) -> Result<ExitCode> {
    let common = cli.common;
    let mut overrides = Overrides { config: common.config, data_dir: common.data_dir, log: common.log, ..Overrides::default() };
    let command = cli.command.unwrap_or_else(|| Command::Serve(serve::ServeArgs::default()));
    match command {
        Command::Serve(args) => {
            args.apply(&mut overrides);
            serve::serve(&Settings::load(&overrides)?, args.no_worker).await
        }
        Command::Worker => serve::worker(&Settings::load(&overrides)?).await,
        Command::Migrate { plan } => migrate(&Settings::load(&overrides)?, plan, common.json).await,
        Command::Check { online } => check::check(&Settings::load(&overrides)?, online, common.json).await,
        Command::Backup { target } => backup::backup(&Settings::load(&overrides)?, &target, common.json).await,
        Command::Openapi { write, .. } => openapi(write.as_deref()),
        Command::Account(command) => admin::account(&open(&Settings::load(&overrides)?).await?, command, common.json).await,
        Command::Plan(command) => plan::run(&open(&Settings::load(&overrides)?).await?, command, common.json).await,
        Command::Realm(command) => admin::realm(&open(&Settings::load(&overrides)?).await?, command, common.json).await,
        Command::Key(key::KeyCommand::CheckFormat) => return key::check_format(&Settings::load(&overrides)?, common.json),
        Command::Key(command) => key::key(&open(&Settings::load(&overrides)?).await?, command, common.json).await,
        Command::Keys(command) => keys::run(&open(&Settings::load(&overrides)?).await?, command, common.json).await,
        Command::Member(command) => member::run(&open(&Settings::load(&overrides)?).await?, command, common.json).await,
        Command::User(command) => admin::user(&open(&Settings::load(&overrides)?).await?, command, common.json).await,
    }?;
    Ok(ExitCode::SUCCESS)
}

fn address(settings: &Settings) -> Address {
    Address { url: settings.database_url.clone(), max_connections: settings.database_max_connections }
}

/// Refuses settings that can't go together.
fn refuse_problems(settings: &Settings) -> Result<()> {
    let problems = settings.problems();
    if problems.is_empty() {
        return Ok(());
    }
    let lines: Vec<_> = problems.iter().map(|problem| format!("`{}` {}: {}", problem.setting, problem.problem, problem.cure)).collect();
    Err(Error::Setup(lines.join("\n       ")))
}

/// Puts a node together on its database: folder, key, schema, installation.
async fn open(settings: &Settings) -> Result<Arc<App>> {
    refuse_problems(settings)?;
    let entropy = Arc::new(SystemEntropy);
    // Database and key are nobody else's business.
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&settings.data_dir)
        .map_err(|cause| Error::Setup(format!("can't make the data folder {}: {cause}; set data_dir", settings.data_dir.display())))?;
    let keyring = match &settings.master_key {
        Some(text) => Keyring::parse(text.expose_secret())?,
        None => Keyring::load_or_create(&settings.master_key_file, entropy.as_ref())?,
    };
    let address = address(settings);
    let db = Db::connect(&address).await?;
    if !store::migrate::is_current(&db).await? {
        let steps = store::migrate::migrate(&address).await?;
        tracing::info!(steps = steps.len(), "schema brought up to date");
    }
    let app = Arc::new(App::new(settings.clone(), db, Arc::new(SystemClock), entropy, Arc::new(keyring))?);
    service::installation::ensure(&app).await?;
    Ok(app)
}

async fn migrate(settings: &Settings, plan: bool, json: bool) -> Result<()> {
    let address = address(settings);
    if plan {
        let steps = store::migration_plan::plan(&address).await?;
        return show_plan(&steps, json);
    }
    let steps = store::migrate::migrate(&address).await?;
    if json {
        print_json(&json!({ "applied": steps }));
    } else if steps.is_empty() {
        println!("The schema is up to date.");
    } else {
        steps.iter().for_each(|step| println!("applied  {step}"));
    }
    Ok(())
}

fn show_plan(steps: &[PlannedStep], json: bool) -> Result<()> {
    if json {
        let names: Vec<_> = steps.iter().map(|step| &step.name).collect();
        print_json(&json!({ "pending": names, "steps": steps }));
        return Ok(());
    }
    if steps.is_empty() {
        println!("The schema is up to date.");
    }
    for step in steps {
        println!("pending  {}", step.name);
        step.statements.iter().for_each(|statement| println!("         {:<44}  {}", statement.action, statement.lock));
    }
    Ok(())
}

fn openapi(folder: Option<&std::path::Path>) -> Result<()> {
    let Some(folder) = folder else {
        let native = http::documents().into_iter().next().map(|(_, text)| text);
        print!("{}", native.unwrap_or_default());
        return Ok(());
    };
    let failed = |cause: std::io::Error| Error::Setup(format!("can't write into {}: {cause}", folder.display()));
    std::fs::create_dir_all(folder).map_err(failed)?;
    for (name, text) in http::documents() {
        std::fs::write(folder.join(name), text).map_err(failed)?;
    }
    Ok(())
}

/// Names in order, whatever `serde_json` was built with, so that what programs read does not change with a dependency.
fn print_json(value: &Value) {
    let mut value = value.clone();
    value.sort_all_objects();
    println!("{value:#}");
}

fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

//! `account`, `realm`, `user`: what an operator does on the command line, through the same services as everybody.

use std::{io::Read as _, sync::Arc};

use clap::Subcommand;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::print_json;
use crate::{
    app::App,
    domain::{
        Error, Result,
        account::{Account, AccountStatus},
        id::AccountId,
        realm::{Realm, RealmSettings, RealmStatus},
        user::User,
    },
    service::{Ctx, accounts, realms, users},
    store,
};

#[derive(Subcommand)]
pub(super) enum AccountCommand {
    /// Make an account
    Create {
        name: String,
        /// Id of the account above it [default: the root account]
        #[arg(long)]
        parent: Option<String>,
        /// free, starter, business, pro or another plan [default: free]
        #[arg(long)]
        plan: Option<String>,
    },
    /// List all accounts, or one and those below it
    List {
        #[arg(long, value_name = "ID")]
        below: Option<String>,
    },
    /// Move an account to another plan
    SetPlan { id: String, plan: String },
    /// Let an account act no more: its people and keys may do nothing in its name
    Disable { id: String },
    /// Let it act again
    Enable { id: String },
}

#[derive(Subcommand)]
pub(super) enum RealmCommand {
    /// Make a realm
    Create {
        /// A DNS-like name such as acme.example.com
        name: String,
        /// Id of the account that owns it [default: the root account]
        #[arg(long)]
        account: Option<String>,
        /// Settings as JSON, such as {"passwordMin":12}
        #[arg(long, value_name = "JSON")]
        settings: Option<String>,
    },
    /// List realms
    List {
        #[arg(long, value_name = "ID")]
        account: Option<String>,
    },
    /// Change a realm: `realm set acme.example.com passwordMin=12 'families=["native","converse"]'`
    Set {
        name: String,
        /// Settings, `name=value` with JSON values; a dot leads into `lifetimes`
        #[arg(value_name = "SETTING=VALUE")]
        settings: Vec<String>,
        /// All custom domains, comma separated; an empty text removes them
        #[arg(long)]
        domains: Option<String>,
        /// active or suspended
        #[arg(long, value_parser = ["active", "suspended"])]
        status: Option<String>,
    },
}

#[derive(Subcommand)]
pub(super) enum UserCommand {
    /// Make a verified user; the password is read from standard input
    Create {
        email: String,
        #[arg(long)]
        name: String,
        /// The user's realm [default: the root realm]
        #[arg(long)]
        realm: Option<String>,
    },
    /// List a realm's users
    List {
        #[arg(long)]
        realm: Option<String>,
        /// Only those made after this user
        #[arg(long, value_name = "ID")]
        after: Option<String>,
        #[arg(long, default_value_t = 100)]
        limit: u64,
    },
    /// Lock a user: ends all sessions, refuses every sign-in
    Lock {
        email: String,
        #[arg(long)]
        realm: Option<String>,
    },
    /// Lift the lock
    Unlock {
        email: String,
        #[arg(long)]
        realm: Option<String>,
    },
}

/// The operator in a realm, by default the root realm.
pub(super) async fn operator(app: &App, realm: Option<&str>) -> Result<Ctx> {
    let realm = match realm {
        Some(name) => realms::by_host(app, name).await?.ok_or(Error::RealmNotFound)?,
        None => realms::get(app, app.root()?.realm).await?,
    };
    Ok(Ctx::operator(realm))
}

pub(super) fn account_id(text: Option<&String>) -> Result<Option<AccountId>> {
    let parse = |text: &String| text.parse().map_err(|_| Error::invalid("id", "invalid", "must be an account's id, as `realmgate account list` shows it"));
    text.map(parse).transpose()
}

pub(super) async fn account(app: &Arc<App>, command: AccountCommand, json: bool) -> Result<()> {
    let ctx = operator(app, None).await?;
    let accounts = match command {
        AccountCommand::Create { name, parent, plan } => vec![accounts::create(app, &ctx, &name, account_id(parent.as_ref())?, plan.as_deref()).await?],
        AccountCommand::SetPlan { id, plan } => {
            let id = account_id(Some(&id))?.ok_or(Error::NotFound)?;
            vec![accounts::set_plan(app, &ctx, id, &plan).await?]
        }
        AccountCommand::Disable { id } => vec![set_status(app, &ctx, &id, AccountStatus::Disabled).await?],
        AccountCommand::Enable { id } => vec![set_status(app, &ctx, &id, AccountStatus::Active).await?],
        AccountCommand::List { below } => accounts::list(app, &ctx, account_id(below.as_ref())?).await?,
    };
    let line = |account: &Account| json!({ "id": account.id, "name": account.name, "plan": account.plan_id, "status": account.status.as_str(), "parentId": account.parent_id, "createdAt": account.created_at });
    show(accounts.iter().map(line), &["id", "plan", "status", "name"], json);
    Ok(())
}

async fn set_status(app: &App, ctx: &Ctx, id: &str, status: AccountStatus) -> Result<Account> {
    let id = account_id(Some(&id.to_owned()))?.ok_or(Error::NotFound)?;
    accounts::set_status(app, ctx, id, status).await
}

pub(super) async fn realm(app: &Arc<App>, command: RealmCommand, json: bool) -> Result<()> {
    let ctx = operator(app, None).await?;
    let realms = match command {
        RealmCommand::Create { name, account, settings } => {
            let settings = settings.map_or_else(|| Ok(RealmSettings::default()), |text| read_settings(&text))?;
            let account = account_id(account.as_ref())?.map_or_else(|| app.root().map(|root| root.account), Ok)?;
            vec![realms::create(app, &ctx, account, &name, settings).await?]
        }
        RealmCommand::List { account } => realms::list(app, &ctx, account_id(account.as_ref())?).await?,
        RealmCommand::Set { name, settings, domains, status } => {
            let current = realms::by_host(app, &name).await?.ok_or(Error::RealmNotFound)?;
            let settings = if settings.is_empty() { None } else { Some(changed(&current.settings, &settings)?) };
            let domains = domains.map(|list| list.split(',').map(str::trim).filter(|domain| !domain.is_empty()).map(str::to_owned).collect());
            let status = status.as_deref().and_then(RealmStatus::parse);
            vec![realms::change(app, &ctx, &name, realms::RealmChange { settings, status, domains }).await?]
        }
    };
    let mut lines = Vec::new();
    for realm in &realms {
        lines.push(realm_line(realm, &store::realms::domains(&app.db.read, realm.id).await?));
    }
    show(lines.into_iter(), &["name", "status", "accountId"], json);
    Ok(())
}

fn realm_line(realm: &Realm, domains: &[String]) -> Value {
    json!({
        "id": realm.id, "name": realm.name, "accountId": realm.account_id, "status": realm.status.as_str(),
        "domains": domains, "settings": realm.settings, "createdAt": realm.created_at,
    })
}

/// Settings from JSON text; what is left out has its default.
fn read_settings(text: &str) -> Result<RealmSettings> {
    // serde_json's text names the field and the place, and settings hold no secrets.
    serde_json::from_str(text).map_err(|cause| Error::Setup(format!("these realm settings can't be used: {cause}")))
}

/// Settings with some changed, each as `name=value`.
fn changed(current: &RealmSettings, changes: &[String]) -> Result<RealmSettings> {
    let mut settings = serde_json::to_value(current).map_err(Error::internal)?;
    for change in changes {
        let (name, value) = change.split_once('=').ok_or_else(|| Error::Setup(format!("`{change}` must be name=value")))?;
        // A bare word is a string.
        let value: Value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
        let pointer = format!("/{}", name.replace('.', "/"));
        match settings.pointer_mut(&pointer) {
            Some(place) => *place = value,
            None => return Err(Error::Setup(format!("there is no realm setting `{name}`; `realmgate realm list --json` shows all of them"))),
        }
    }
    read_settings(&settings.to_string())
}

pub(super) async fn user(app: &Arc<App>, command: UserCommand, json: bool) -> Result<()> {
    let people = match command {
        UserCommand::Create { email, name, realm } => {
            let ctx = operator(app, realm.as_deref()).await?;
            vec![users::create(app, &ctx, &name, &email, read_password()?).await?]
        }
        UserCommand::List { realm, after, limit } => {
            let ctx = operator(app, realm.as_deref()).await?;
            let wrong = |_| Error::invalid("after", "invalid", "must be a user's id");
            let after = after.map(|id| id.parse().map_err(wrong)).transpose()?;
            users::list(app, &ctx, after, limit).await?
        }
        UserCommand::Lock { email, realm } => vec![users::lock(app, &operator(app, realm.as_deref()).await?, &email).await?],
        UserCommand::Unlock { email, realm } => vec![users::unlock(app, &operator(app, realm.as_deref()).await?, &email).await?],
    };
    let line = |user: &User| {
        let verified = user.email_verified_at.is_some();
        json!({ "id": user.id, "email": user.email.as_str(), "name": user.name, "status": user.status.as_str(), "emailVerified": verified, "createdAt": user.created_at })
    };
    show(people.iter().map(line), &["id", "status", "email", "name"], json);
    Ok(())
}

/// The password on standard input, up to the end of its first line: an argument would show in the list of processes.
fn read_password() -> Result<SecretString> {
    use std::io::IsTerminal as _;
    if std::io::stdin().is_terminal() {
        eprintln!("password (end with Enter and Ctrl-D):");
    }
    let mut text = String::new();
    std::io::stdin().take(4_096).read_to_string(&mut text).map_err(|cause| Error::Setup(format!("can't read the password from standard input: {cause}")))?;
    Ok(text.lines().next().unwrap_or_default().into())
}

/// A table of `columns` for people, everything for programs.
pub(super) fn show(lines: impl Iterator<Item = Value>, columns: &[&str], json: bool) {
    let lines: Vec<Value> = lines.collect();
    if json {
        print_json(&json!({ "items": lines }));
        return;
    }
    let cell = |line: &Value, column: &str| line[column].as_str().map_or_else(|| line[column].to_string(), str::to_owned);
    let width = |column: &str| lines.iter().map(|line| cell(line, column).chars().count()).chain([column.len()]).max().unwrap_or_default();
    let widths: Vec<usize> = columns.iter().map(|column| width(column)).collect();
    let row = |cells: Vec<String>| {
        let padded: Vec<String> = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        println!("{}", padded.join("  ").trim_end());
    };
    row(columns.iter().map(|column| (*column).to_owned()).collect());
    for line in &lines {
        row(columns.iter().map(|column| cell(line, column)).collect());
    }
}

//! `key`: what an operator does with API keys, through the same services as everybody; and what needs no database, to tell
//! whether a text is spelt as a key.

use std::{io::Read as _, process::ExitCode, sync::Arc};

use chrono::{DateTime, Utc};
use clap::Subcommand;
use serde_json::{Value, json};

use super::{admin, print_json};
use crate::{
    app::App,
    config::Settings,
    domain::{
        Error, Result,
        api_key::{ApiKey, FormatFault, KeyText},
        id::{AccountId, ApiKeyId},
        page::PageRequest,
    },
    service::api_keys::{self, NewKey},
};

#[derive(Subcommand)]
pub(super) enum KeyCommand {
    /// Make a key and show it, this once
    Create {
        name: String,
        /// Id of the account that owns it [default: the root account]
        #[arg(long, value_name = "ID")]
        account: Option<String>,
        /// What it may do, such as chat:read; may stand several times
        #[arg(long = "scope", required = true)]
        scopes: Vec<String>,
        /// Its realm, whose scopes it may have [default: the root realm]
        #[arg(long)]
        realm: Option<String>,
        /// When it ends, such as 2030-01-31T12:00:00Z [default: never]
        #[arg(long, value_name = "INSTANT")]
        expires_at: Option<DateTime<Utc>>,
        /// An address or CIDR range that it may be used from; may stand several times
        #[arg(long = "ip", value_name = "CIDR")]
        ip_allowlist: Vec<String>,
        /// Requests per minute, if fewer than the plan's
        #[arg(long, value_name = "N")]
        rate_limit: Option<i64>,
        /// Spell it as a test key
        #[arg(long)]
        test: bool,
    },
    /// List an account's keys
    List {
        /// Id of the account [default: the root account]
        #[arg(long, value_name = "ID")]
        account: Option<String>,
        /// Only those made after this key
        #[arg(long, value_name = "ID")]
        after: Option<String>,
        #[arg(long, default_value_t = 100)]
        limit: u64,
    },
    /// Revoke a key at once
    Revoke {
        id: String,
        /// Id of the account that owns it [default: the root account]
        #[arg(long, value_name = "ID")]
        account: Option<String>,
    },
    /// Tell whether the text on standard input is spelt as a key; exit code 1 if not
    CheckFormat,
}

fn account(app: &App, text: Option<&String>) -> Result<AccountId> {
    admin::account_id(text)?.map_or_else(|| app.root().map(|root| root.account), Ok)
}

fn key_id(text: &str) -> Result<ApiKeyId> {
    text.parse().map_err(|_| Error::invalid("id", "invalid", "must be a key's id, as `realmgate key list` shows it"))
}

pub(super) async fn key(app: &Arc<App>, command: KeyCommand, json: bool) -> Result<()> {
    match command {
        KeyCommand::Create { name, account: owner, scopes, realm, expires_at, ip_allowlist, rate_limit, test } => {
            let ctx = admin::operator(app, realm.as_deref()).await?;
            let ip_allowlist = if ip_allowlist.is_empty() { None } else { Some(ip_allowlist) };
            let new = NewKey { name, scopes, expires_at, ip_allowlist, rate_limit, test };
            let made = api_keys::create(app, &ctx, account(app, owner.as_ref())?, new).await?;
            if json {
                print_json(&json!({ "key": made.text.reveal(), "apiKey": line(app, &made.key) }));
            } else {
                println!("{}", made.text.reveal());
                eprintln!("This is the only time that the key is shown. Its id is {}.", made.key.id);
            }
        }
        KeyCommand::List { account: owner, after, limit } => {
            let ctx = admin::operator(app, None).await?;
            let page = PageRequest { limit, after: after.as_deref().map(key_id).transpose()? };
            let keys = api_keys::list(app, &ctx, account(app, owner.as_ref())?, page).await?;
            admin::show(keys.items.iter().map(|key| line(app, key)), &["id", "status", "prefix", "last4", "name"], json);
        }
        KeyCommand::Revoke { id, account: owner } => {
            let ctx = admin::operator(app, None).await?;
            let key = api_keys::revoke(app, &ctx, account(app, owner.as_ref())?, key_id(&id)?).await?;
            admin::show(std::iter::once(line(app, &key)), &["id", "status", "prefix", "last4", "name"], json);
        }
        // Answered before a database is opened.
        KeyCommand::CheckFormat => {}
    }
    Ok(())
}

fn line(app: &App, key: &ApiKey) -> Value {
    let settings = &key.settings;
    json!({
        "id": key.id, "accountId": key.account_id, "name": settings.name, "prefix": key.prefix, "last4": key.last4,
        "scopes": settings.scopes, "status": key.status(app.clock.now()).as_str(), "createdAt": key.created_at, "createdBy": key.created_by,
        "expiresAt": settings.expires_at, "ipAllowlist": settings.ip_allowlist, "rateLimit": settings.rate_limit,
        "lastUsedAt": key.last_used_at, "lastUsedIp": key.last_used_ip,
    })
}

/// Reads the key from standard input: an argument would show in the list of processes.
pub(super) fn check_format(settings: &Settings, json: bool) -> Result<ExitCode> {
    let mut text = String::new();
    let read = std::io::stdin().take(4_096).read_to_string(&mut text);
    read.map_err(|cause| Error::Setup(format!("can't read the key from standard input: {cause}")))?;
    let prefix = &settings.api_key_prefix;
    match KeyText::parse(prefix, text.lines().next().unwrap_or_default()) {
        Ok(key) if json => print_json(&json!({ "wellFormed": true, "id": key.id, "prefix": key.shown_prefix(), "last4": key.last4() })),
        Ok(key) => println!("This is spelt as a key. Its id is {}. Whether it exists, `realmgate key list` tells.", key.id),
        Err(fault) => {
            let text = match fault {
                FormatFault::Prefix => format!("a key begins with {prefix}_ or {prefix}_test_"),
                FormatFault::Length => "a key has 71 characters after its prefix".to_owned(),
                FormatFault::Alphabet => "a key holds letters and digits alone".to_owned(),
                FormatFault::Checksum => "the last six characters do not fit the rest: it is mistyped, cut or made up".to_owned(),
                FormatFault::Id => "its id is none that was ever given out".to_owned(),
            };
            if json {
                print_json(&json!({ "wellFormed": false, "reason": text }));
            } else {
                println!("This is no key: {text}.");
            }
            return Ok(ExitCode::from(1));
        }
    }
    Ok(ExitCode::SUCCESS)
}

//! `keys`: the keys that sign tokens, and the master keys that seal everything.

use std::sync::Arc;

use clap::Subcommand;
use serde_json::{Value, json};

use super::{admin, print_json};
use crate::{
    app::App,
    domain::Result,
    service::{Ctx, master_keys, realms, signing},
    store::signing_keys::{KeyStatus, StoredKey},
};

#[derive(Subcommand)]
pub(super) enum KeysCommand {
    /// List a realm's signing keys
    List {
        /// [default: the root realm]
        #[arg(long, conflicts_with = "all")]
        realm: Option<String>,
        /// Every realm's
        #[arg(long)]
        all: bool,
    },
    /// Put a new signing key after the present one: published at once, signing after 15 minutes
    Rotate {
        /// [default: the root realm]
        #[arg(long, conflicts_with = "all")]
        realm: Option<String>,
        /// Every realm's
        #[arg(long)]
        all: bool,
    },
    /// Revoke a signing key whose secret got out: its tokens are worth nothing from now on
    Revoke {
        /// As `keys list` shows it
        #[arg(allow_hyphen_values = true)]
        kid: String,
    },
    /// Seal everything with the current master key, and say which older ones are still needed
    Reseal,
}

pub(super) async fn run(app: &Arc<App>, command: KeysCommand, json: bool) -> Result<()> {
    match command {
        KeysCommand::List { realm, all } => {
            let mut items = Vec::new();
            for ctx in contexts(app, realm.as_deref(), all).await? {
                let keys = signing::list(app, &ctx).await?;
                items.extend(keys.iter().map(|key| line(app, &ctx, key, &keys)));
            }
            admin::show(items.into_iter(), &["kid", "state", "signsFrom", "verifiesUntil", "realm"], json);
        }
        KeysCommand::Rotate { realm, all } => {
            let mut items = Vec::new();
            for ctx in contexts(app, realm.as_deref(), all).await? {
                match signing::rotate(app, &ctx).await? {
                    Some(key) => items.push(line(app, &ctx, &key, &signing::list(app, &ctx).await?)),
                    None => eprintln!("{}: a new key is on its way already", ctx.realm.name),
                }
            }
            admin::show(items.into_iter(), &["kid", "state", "signsFrom", "realm"], json);
        }
        KeysCommand::Revoke { kid } => {
            signing::revoke(app, &admin::operator(app, None).await?, &kid).await?;
            if json {
                print_json(&json!({ "revoked": kid }));
            } else {
                println!("Revoked. Running nodes refuse its tokens within a second.");
            }
        }
        KeysCommand::Reseal => reseal(app, json).await?,
    }
    Ok(())
}

async fn reseal(app: &Arc<App>, json: bool) -> Result<()> {
    let ctx = admin::operator(app, None).await?;
    let progress = |values: u64| {
        if !json {
            eprintln!("{values} sealed anew");
        }
    };
    let done = master_keys::reseal(app, &ctx, progress).await?;
    if json {
        let key = |key: &master_keys::KeyUse| json!({ "id": key.id, "current": key.current, "passwords": key.passwords, "links": key.links, "recoveryCodes": key.recovery_codes, "needed": key.needed() });
        print_json(&json!({ "resealed": done.values, "keys": done.keys.iter().map(key).collect::<Vec<_>>() }));
        return Ok(());
    }
    println!("{} sealed anew with the master key `{}`.", super::count(usize::try_from(done.values).unwrap_or(usize::MAX), "value"), app.keyring.current_id());
    for key in done.keys.iter().filter(|key| !key.current) {
        if key.needed() {
            println!(
                "`{}` is still needed: {} passwords, {} mailed links, {} recovery codes. Keep it on every node.",
                key.id, key.passwords, key.links, key.recovery_codes
            );
        } else {
            println!("`{}` is needed no more: you may remove it from every node.", key.id);
        }
    }
    Ok(())
}

/// The operator in one realm, or in each.
async fn contexts(app: &Arc<App>, realm: Option<&str>, all: bool) -> Result<Vec<Ctx>> {
    let ctx = admin::operator(app, realm).await?;
    if !all {
        return Ok(vec![ctx]);
    }
    Ok(realms::list(app, &ctx, None).await?.into_iter().map(|realm| Ctx::operator(Arc::new(realm))).collect())
}

fn line(app: &App, ctx: &Ctx, key: &StoredKey, all: &[StoredKey]) -> Value {
    let now = app.clock.now();
    let signer = signing::signer(all, now).map(|signer| signer.id);
    let state = match key.status {
        KeyStatus::Revoked => "revoked",
        _ if !key.verifies(now) => "expired",
        _ if signer == Some(key.id) => "current",
        _ if key.signs_from > now => "next",
        _ => "previous",
    };
    json!({ "kid": key.kid, "realm": ctx.realm.name, "state": state, "createdAt": key.created_at, "signsFrom": key.signs_from, "verifiesUntil": key.verifies_until })
}

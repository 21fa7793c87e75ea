//! Master keys and what still needs them.
//!
//! Every stored value names the key that it was made with. The database keeps a list of all such keys, each with a
//! constant that only it opens, so that a node that lacks one says so at its start and not to people at their sign-in.

use chrono::TimeDelta;

use super::{Ctx, signing, totp};
use crate::{
    app::App,
    domain::{Result, clock::Entropy},
    store,
};

const BATCH: u64 = 100;

/// Checks that this node holds every key that stored values need, and adds its current one to them.
///
/// # Errors
/// [`crate::domain::Error::Setup`] that names the key and says what to do.
pub(super) async fn ensure(app: &App) -> Result<()> {
    let needed = store::master_keys::list(&app.db.read).await?;
    for (id, sealed) in &needed {
        app.keyring.check(id, sealed)?;
    }
    let current = app.keyring.current_id();
    if !needed.iter().any(|(id, _)| id == current) {
        let sealed = app.keyring.key_check(entropy(app))?;
        store::master_keys::insert_if_absent(&app.db.write, current, &sealed, app.clock.now()).await?;
    }
    Ok(())
}

fn entropy(app: &App) -> &dyn Entropy {
    app.entropy.as_ref()
}

/// A key and what still needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyUse {
    pub id: String,
    /// Whether new values are made with it.
    pub current: bool,
    /// Passwords that were set or last used while it was current. They move when their people sign in.
    pub passwords: u64,
    /// Mailed links that are not used and not expired.
    pub links: u64,
    /// Recovery codes that are not used. Their people move them by making new ones.
    pub recovery_codes: u64,
}

impl KeyUse {
    /// Whether every node must hold it.
    #[must_use]
    pub fn needed(&self) -> bool {
        self.current || self.passwords > 0 || self.links > 0 || self.recovery_codes > 0
    }
}

/// What [`reseal`] did and found.
#[derive(Clone, Debug)]
pub struct Resealed {
    /// Values that moved to the current key.
    pub values: u64,
    pub keys: Vec<KeyUse>,
}

/// Seals everything with the current master key and strikes keys that nothing needs any more off the list. To be run when
/// every node has the new key in first place. `progress` is told how many values moved so far.
///
/// # Errors
/// [`crate::domain::Error::NotPermitted`] for everybody but the operator; what was sealed by then stays so.
pub async fn reseal(app: &App, ctx: &Ctx, progress: impl Fn(u64)) -> Result<Resealed> {
    ctx.require_operator()?;
    let current = app.keyring.current_id();
    let mut values = 0;
    let mut after = None;
    loop {
        let rows = store::signing_keys::sealed_otherwise(&app.db.read, current, after, BATCH).await?;
        let Some(last) = rows.last() else { break };
        after = Some(last.id);
        for row in &rows {
            values += u64::from(signing::reseal(app, row).await?);
        }
        progress(values);
    }
    let mut after = None;
    loop {
        let rows = store::totp_secrets::sealed_otherwise(&app.db.read, current, after, BATCH).await?;
        let Some(last) = rows.last() else { break };
        after = Some(last.id);
        for row in &rows {
            values += u64::from(totp::reseal(app, row).await?);
        }
        progress(values);
    }
    if let Some(found) = store::installation::find(&app.db.read).await?
        && !app.keyring.is_current(&found.key_check)
    {
        let check = app.keyring.key_check(entropy(app))?;
        values += u64::from(store::installation::replace_check_if(&app.db.write, &found.key_check, &check).await?);
        progress(values);
    }
    let mut keys = Vec::new();
    for (id, _) in store::master_keys::list(&app.db.read).await? {
        let key = uses(app, &id).await?;
        if !key.needed() {
            store::master_keys::delete(&app.db.write, &id).await?;
        }
        keys.push(key);
    }
    Ok(Resealed { values, keys })
}

async fn uses(app: &App, id: &str) -> Result<KeyUse> {
    let now = app.clock.now();
    let mark = crate::crypto::password_pool::key_mark(id);
    let mut links = store::one_time_tokens::count_live_of_key(&app.db.read, id, now - TimeDelta::minutes(1)).await?;
    links += store::invitations::count_pending_of_key(&app.db.read, id, now - TimeDelta::minutes(1)).await?;
    let setup = store::installation::find(&app.db.read).await?;
    links += u64::from(setup.is_some_and(|setup| setup.setup_used_at.is_none() && setup.setup_nonce.starts_with(&format!("{id}."))));
    let passwords = store::credentials::count_marked(&app.db.read, &mark).await? + store::one_time_tokens::count_pending_marked(&app.db.read, &mark).await?;
    let recovery_codes = store::recovery_codes::count_of_key(&app.db.read, id).await?;
    Ok(KeyUse { id: id.to_owned(), current: id == app.keyring.current_id(), passwords, links, recovery_codes })
}

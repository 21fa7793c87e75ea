//! The first start, and the operator's one-time set-up link.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::SecretString;

use super::{Ctx, master_keys, signing, users};
use crate::{
    app::{App, Root},
    config::Profile,
    crypto::hash::ct_eq,
    domain::{
        Error, Result,
        account::{Account, AccountStatus},
        id::{AccountId, RealmId},
        realm::{Family, Realm, RealmSettings, RealmStatus, host_name},
    },
    store::{self, installation::Installation, write_tx},
};

/// Creates root account, root realm and its signing key if the database is new, and checks that the master key fits
/// it. Two nodes may do so at once: one creates, the other finds.
///
/// # Errors
/// [`Error::Setup`] if the master key does not fit.
pub async fn ensure(app: &App) -> Result<()> {
    let found = match store::installation::find(&app.db.read).await? {
        Some(found) => found,
        None => create(app).await?,
    };
    app.keyring.check(app.keyring.id_of(&found.key_check), &found.key_check)?;
    master_keys::ensure(app).await?;
    // Set once; a second call finds the same values.
    let _ = app.root.set(Root { account: found.root_account, realm: found.root_realm });
    Ok(())
}

async fn create(app: &App) -> Result<Installation> {
    let now = app.clock.now();
    let dev = app.settings.profile == Profile::Dev;
    let families = if dev { vec![Family::Native, Family::Converse, Family::Conversant, Family::Vonage] } else { vec![Family::Native] };
    let account = Account {
        id: AccountId::new(now, app.entropy.as_ref()),
        parent_id: None,
        name: "Root".to_owned(),
        plan_id: "pro".to_owned(),
        status: AccountStatus::Active,
        created_at: now,
    };
    let realm = Realm {
        id: RealmId::new(now, app.entropy.as_ref()),
        account_id: account.id,
        name: host_name("root_realm", &app.settings.root_realm)?,
        status: RealmStatus::Active,
        settings: RealmSettings { families, ..RealmSettings::default() },
        created_at: now,
    };
    let mut nonce = [0; 16];
    app.entropy.fill(&mut nonce);
    let installation = Installation {
        root_account: account.id,
        root_realm: realm.id,
        key_check: app.keyring.key_check(app.entropy.as_ref())?,
        setup_nonce: format!("{}.{}", app.keyring.current_id(), URL_SAFE_NO_PAD.encode(nonce)),
        setup_used_at: None,
    };
    write_tx!(&app.db, |tx| {
        // Looked up again behind the write lock: another node may have been faster.
        if let Some(found) = store::installation::find(tx).await? {
            return Ok(found);
        }
        store::accounts::create(tx, &account, now).await?;
        store::realms::create(tx, &realm).await?;
        signing::create(app, tx, &realm, now).await?;
        store::installation::create(tx, &installation, now).await?;
        Ok(installation.clone())
    })
}

/// The set-up link, the same at each start until it was used; `None` afterwards.
///
/// # Errors
/// What the database says.
pub async fn setup_link(app: &App) -> Result<Option<String>> {
    let Some(found) = store::installation::find(&app.db.read).await? else { return Ok(None) };
    if found.setup_used_at.is_some() {
        return Ok(None);
    }
    Ok(Some(format!("{}/ui/setup?token={}", app.settings.public_url, setup_token(app, &found)?)))
}

fn setup_token(app: &App, found: &Installation) -> Result<String> {
    let key = found.setup_nonce.split_once('.').map_or("", |(key, _)| key);
    let mac = app.keyring.mac_with(key, "setup", found.setup_nonce.as_bytes());
    mac.map(|mac| URL_SAFE_NO_PAD.encode(mac)).ok_or_else(|| Error::internal("the master key that made the set-up link is gone"))
}

/// Uses the set-up link: makes the first operator, owner of the root account.
///
/// # Errors
/// [`Error::InvalidOneTimeToken`] for a wrong or used link, [`Error::Invalid`] naming each bad field (the link then
/// stays good), [`Error::Taken`] for an address in use.
pub async fn set_up(app: &App, ctx: &Ctx, token: &str, name: &str, email: &str, password: SecretString) -> Result<()> {
    let found = store::installation::find(&app.db.read).await?.ok_or(Error::InvalidOneTimeToken)?;
    if found.setup_used_at.is_some() || !ct_eq(setup_token(app, &found)?.as_bytes(), token.as_bytes()) {
        return Err(Error::InvalidOneTimeToken);
    }
    let realm = super::realms::get(app, found.root_realm).await?;
    let ctx = Ctx { realm, ..ctx.clone() };
    let user = users::prepare(app, &ctx, name, email, password).await?;
    write_tx!(&app.db, |tx| {
        if !store::installation::consume_setup(tx, app.clock.now()).await? {
            return Err(Error::InvalidOneTimeToken);
        }
        users::make_owner(app, tx, &ctx, &user).await
    })
}

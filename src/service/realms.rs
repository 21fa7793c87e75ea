//! Realms: which one a request means, and what an operator does with them.

use std::sync::Arc;

use super::{Ctx, signing};
use crate::{
    app::App,
    domain::{
        Error, Result,
        event::Action,
        id::{AccountId, EventId, RealmId},
        realm::{Realm, RealmSettings, RealmStatus, host_name},
    },
    store::{self, revocations::RevocationKind, write_tx},
};

/// The realm of that name or custom domain, from memory once warm.
///
/// # Errors
/// What the database says.
pub async fn by_host(app: &App, host: &str) -> Result<Option<Arc<Realm>>> {
    if is_address(host) {
        return Ok(None);
    }
    match app.caches.host(host) {
        Some(None) => return Ok(None),
        Some(Some(id)) => return get(app, id).await.map(Some),
        None => {}
    }
    // What can't be a name is not worth a row's read, and must not fill the cache.
    let Ok(name) = host_name("host", host) else { return Ok(None) };
    let epoch = app.caches.epoch();
    let realm = store::realms::find_by_host(&app.db.read, &name).await?.map(Arc::new);
    app.caches.put_host(epoch, host, realm.as_ref().map(|realm| realm.id));
    if let Some(realm) = &realm {
        app.caches.put_realm(epoch, realm);
    }
    Ok(realm)
}

/// Whether a host is an address, which is no realm's: with one look, for they come often.
fn is_address(host: &str) -> bool {
    host.starts_with('[') || host.bytes().last().is_some_and(|last| last.is_ascii_digit()) && host.parse::<std::net::Ipv4Addr>().is_ok()
}

/// The realm of that id.
///
/// # Errors
/// [`Error::RealmNotFound`].
pub async fn get(app: &App, id: RealmId) -> Result<Arc<Realm>> {
    if let Some(realm) = app.caches.realm(id) {
        return Ok(realm);
    }
    let epoch = app.caches.epoch();
    let realm = Arc::new(store::realms::find(&app.db.read, id).await?.ok_or(Error::RealmNotFound)?);
    app.caches.put_realm(epoch, &realm);
    Ok(realm)
}

/// The realm that a request without a credential means: the named one, else the one of its host, else the root realm.
///
/// # Errors
/// [`Error::RealmNotFound`] if `named` is no realm, [`Error::RealmSuspended`].
pub async fn resolve(app: &App, named: Option<&str>, host: Option<&str>) -> Result<Arc<Realm>> {
    let realm = match named {
        Some(name) => by_host(app, &name.to_ascii_lowercase()).await?.ok_or(Error::RealmNotFound)?,
        None => match host {
            Some(host) => match by_host(app, host).await? {
                Some(realm) => realm,
                None => get(app, app.root()?.realm).await?,
            },
            None => get(app, app.root()?.realm).await?,
        },
    };
    if realm.status == RealmStatus::Active { Ok(realm) } else { Err(Error::RealmSuspended) }
}

/// The realm that a request names besides its credential, if any. The host of the root realm names nothing: it is the
/// address of the installation itself, where every realm's people come.
///
/// # Errors
/// [`Error::RealmMismatch`] if the named realm does not exist: no credential can be of it.
pub async fn mentioned(app: &App, named: Option<&str>, host: Option<&str>) -> Result<Option<RealmId>> {
    if let Some(name) = named {
        return by_host(app, &name.to_ascii_lowercase()).await?.map(|realm| Some(realm.id)).ok_or(Error::RealmMismatch);
    }
    let Some(host) = host.filter(|host| !is_address(host)) else { return Ok(None) };
    let realm = match app.caches.host(host) {
        Some(known) => known,
        None => by_host(app, host).await?.map(|realm| realm.id),
    };
    Ok(realm.filter(|id| app.root().is_ok_and(|root| root.realm != *id)))
}

/// Creates a realm of `account` with its first signing key.
///
/// # Errors
/// [`Error::Invalid`] for a bad name or setting, [`Error::Taken`] for a name in use, [`Error::NotFound`], [`Error::AccountDisabled`],
/// [`Error::PlanLimit`] if the account has as many realms as its plan allows.
pub async fn create(app: &App, ctx: &Ctx, account: AccountId, name: &str, settings: RealmSettings) -> Result<Realm> {
    ctx.require_operator()?;
    settings.check()?;
    let now = app.clock.now();
    let realm = Realm {
        id: RealmId::new(now, app.entropy.as_ref()),
        account_id: account,
        name: host_name("name", name)?,
        status: RealmStatus::Active,
        settings,
        created_at: now,
    };
    write_tx!(&app.db, |tx| {
        store::accounts::hold(tx, account).await?;
        if !store::accounts::find(tx, account).await?.ok_or(Error::NotFound)?.is_active() {
            return Err(Error::AccountDisabled);
        }
        if !store::realms::create_below_limit(tx, &realm).await? {
            return Err(Error::PlanLimit { what: "realms", cap: "maxRealms" });
        }
        signing::create(app, tx, &realm, app.clock.now()).await?;
        store::revocations::insert(tx, realm.id, RevocationKind::Realm, realm.id.0, "created", now).await?;
        let mut event = ctx.event(Action::RealmCreated, None);
        (event.realm_id, event.account_id) = (Some(realm.id), Some(account));
        store::audit::insert(tx, EventId::new(now, app.entropy.as_ref()), &event, now).await
    })?;
    app.caches.forget_realm(realm.id);
    app.bell.ring();
    Ok(realm)
}

/// What an operator changes of a realm; `None` leaves a thing as it is.
#[derive(Debug, Default)]
pub struct RealmChange {
    pub settings: Option<RealmSettings>,
    pub status: Option<RealmStatus>,
    /// All custom domains, replacing the former ones.
    pub domains: Option<Vec<String>>,
}

/// Changes the realm of that name.
///
/// # Errors
/// [`Error::RealmNotFound`], [`Error::Invalid`], [`Error::Taken`] for a domain in use.
pub async fn change(app: &App, ctx: &Ctx, name: &str, change: RealmChange) -> Result<Realm> {
    ctx.require_operator()?;
    let domains = change.domains.map(|domains| domains.iter().map(|domain| host_name("domains", domain)).collect::<Result<Vec<_>>>()).transpose()?;
    if let Some(settings) = &change.settings {
        settings.check()?;
    }
    let now = app.clock.now();
    let realm = write_tx!(&app.db, |tx| {
        let mut realm = store::realms::find_by_host(tx, name).await?.ok_or(Error::RealmNotFound)?;
        if let Some(settings) = &change.settings {
            realm.settings = settings.clone();
        }
        realm.status = change.status.unwrap_or(realm.status);
        store::realms::update_settings(tx, realm.id, &realm.settings, realm.status, now).await?;
        if let Some(domains) = &domains {
            store::realms::set_domains(tx, realm.id, domains).await?;
        }
        store::revocations::insert(tx, realm.id, RevocationKind::Realm, realm.id.0, "changed", now).await?;
        let mut event = ctx.event(Action::RealmChanged, None);
        (event.realm_id, event.account_id) = (Some(realm.id), Some(realm.account_id));
        store::audit::insert(tx, EventId::new(now, app.entropy.as_ref()), &event, now).await?;
        Ok(realm)
    })?;
    app.caches.forget_realm(realm.id);
    app.bell.ring();
    Ok(realm)
}

/// All realms, or those of one account, by name.
///
/// # Errors
/// [`Error::NotPermitted`] for everybody but the operator.
pub async fn list(app: &App, ctx: &Ctx, account: Option<AccountId>) -> Result<Vec<Realm>> {
    ctx.require_operator()?;
    store::realms::list(&app.db.read, account).await
}

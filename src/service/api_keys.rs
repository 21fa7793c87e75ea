//! API keys: made, changed, rotated and revoked by the owners and admins of their account.
//!
//! A key is shown once, in the answer that makes it. What makes one, or gives one more rights, asks for a fresh proof of
//! who calls; taking rights away does not. Whoever is owner or admin has all scopes that their realm knows, and so may
//! give any of them to a key. A revocation counts at once here, and on other nodes when they read the change feed.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Ctx, Faults, Principal, access};
use crate::{
    app::App,
    crypto::hash::sha256_hex,
    domain::{
        Error, Result,
        account::Plan,
        api_key::{self, ApiKey, KeySettings, KeyText},
        event::Action,
        id::{AccountId, ApiKeyId, EventId},
        page::{Page, PageRequest},
        scope, text,
    },
    store::{self, Connection, revocations::RevocationKind, write_tx},
};

/// Longest time that a rotated key goes on beside its successor.
const MAX_OVERLAP: i64 = 7 * 86_400;

/// A key to be.
#[derive(Debug)]
pub struct NewKey {
    pub name: String,
    pub scopes: Vec<String>,
    pub expires_at: Option<DateTime<Utc>>,
    pub ip_allowlist: Option<Vec<String>>,
    pub rate_limit: Option<i64>,
    /// Whether it is spelt `conv_test_…`.
    pub test: bool,
}

/// Changes to a key: an outer `None` leaves a thing alone, an inner one clears it.
#[derive(Debug, Default)]
pub struct KeyChange {
    pub name: Option<String>,
    pub scopes: Option<Vec<String>>,
    pub expires_at: Option<Option<DateTime<Utc>>>,
    pub ip_allowlist: Option<Option<Vec<String>>>,
    pub rate_limit: Option<Option<i64>>,
}

/// A key and the only sight of its text.
#[derive(Debug)]
pub struct MadeKey {
    pub key: ApiKey,
    pub text: KeyText,
}

/// Makes a key of `account`.
///
/// # Errors
/// [`Error::StepUpRequired`], the refusals of [`access::administers`], [`Error::Invalid`] naming each bad field,
/// [`Error::PlanLimit`] if the account has as many keys as its plan allows.
pub async fn create(app: &App, ctx: &Ctx, account: AccountId, new: NewKey) -> Result<MadeKey> {
    let now = app.clock.now();
    access::proved(app, ctx).await?;
    let NewKey { name, scopes, expires_at, ip_allowlist, rate_limit, test } = new;
    let wanted =
        KeyChange { name: Some(name), scopes: Some(scopes), expires_at: Some(expires_at), ip_allowlist: Some(ip_allowlist), rate_limit: Some(rate_limit) };
    let blank = KeySettings { name: String::new(), scopes: Vec::new(), expires_at: None, ip_allowlist: Vec::new(), rate_limit: None };
    let id = ApiKeyId::new(now, app.entropy.as_ref());
    let text = KeyText::mint(&app.settings.api_key_prefix, test, id, app.entropy.as_ref());
    let key = write_tx!(&app.db, |tx| {
        access::administers(tx, ctx, account).await?;
        let plan = hold(tx, account).await?;
        let settings = settle(ctx, &blank, &wanted, &plan, now)?;
        let key = shape(ctx, account, &text, settings, now);
        if !store::api_keys::insert_below_limit(tx, &key, &hash(&text)).await? {
            return Err(Error::PlanLimit { what: "API keys", cap: "maxApiKeys" });
        }
        audit(app, ctx, tx, Action::ApiKeyCreated, &key).await?;
        Ok(key)
    })?;
    Ok(MadeKey { key, text })
}

/// The account's keys in the order of their making, revoked and expired ones too.
///
/// # Errors
/// The refusals of [`access::administers`].
pub async fn list(app: &App, ctx: &Ctx, account: AccountId, page: PageRequest<ApiKeyId>) -> Result<Page<ApiKey>> {
    access::administers(&app.db.read, ctx, account).await?;
    let keys = store::api_keys::list(&app.db.read, account, &page).await?;
    let keys = keys.into_iter().map(|key| seen(app, key)).collect();
    Ok(page.page(keys, |key: &ApiKey| key.id.to_string()))
}

/// One of the account's keys.
///
/// # Errors
/// The refusals of [`access::administers`], [`Error::NotFound`].
pub async fn get(app: &App, ctx: &Ctx, account: AccountId, id: ApiKeyId) -> Result<ApiKey> {
    access::administers(&app.db.read, ctx, account).await?;
    store::api_keys::find(&app.db.read, account, id).await?.map(|key| seen(app, key)).ok_or(Error::NotFound)
}

/// A key with its last use on this node, if that is not written yet.
fn seen(app: &App, mut key: ApiKey) -> ApiKey {
    if let Some(last) = app.usage.last(key.id) {
        key.last_used_at = Some(last.at);
        key.last_used_ip = last.ip.map(|ip| ip.to_string());
    }
    key
}

/// Changes a live key's settings.
///
/// # Errors
/// [`Error::StepUpRequired`], the refusals of [`access::administers`], [`Error::NotFound`], [`Error::KeyNotActive`],
/// [`Error::Invalid`] naming each bad field.
pub async fn change(app: &App, ctx: &Ctx, account: AccountId, id: ApiKeyId, change: KeyChange) -> Result<ApiKey> {
    let now = app.clock.now();
    access::proved(app, ctx).await?;
    let key = write_tx!(&app.db, |tx| {
        access::administers(tx, ctx, account).await?;
        // Whoever changes the same key waits here, so that neither undoes the other's fields.
        let plan = hold(tx, account).await?;
        let mut key = store::api_keys::find(tx, account, id).await?.ok_or(Error::NotFound)?;
        key.settings = settle(ctx, &key.settings, &change, &plan, now)?;
        if !store::api_keys::change(tx, account, id, &key.settings, now).await? {
            return Err(Error::KeyNotActive);
        }
        spread(tx, &key, "changed", now).await?;
        audit(app, ctx, tx, Action::ApiKeyChanged, &key).await?;
        Ok(key)
    })?;
    app.caches.forget_key(id);
    app.bell.ring();
    Ok(key)
}

/// Makes a key with the same settings that takes the place of `id`, which ends after `overlap_seconds` (now, if that is
/// 0) or at its own end, whatever is earlier. What `id` itself had replaced ends now: a line of keys has two live ones
/// at most.
///
/// # Errors
/// [`Error::StepUpRequired`], the refusals of [`access::administers`], [`Error::NotFound`], [`Error::KeyNotActive`],
/// [`Error::Invalid`] for an overlap of more than seven days.
pub async fn rotate(app: &App, ctx: &Ctx, account: AccountId, id: ApiKeyId, overlap_seconds: i64) -> Result<MadeKey> {
    let now = app.clock.now();
    access::proved(app, ctx).await?;
    if !(0..=MAX_OVERLAP).contains(&overlap_seconds) {
        return Err(Error::invalid("overlapSeconds", "out_of_range", format!("must be 0 to {MAX_OVERLAP}")));
    }
    let new_id = ApiKeyId::new(now, app.entropy.as_ref());
    let test_head = format!("{}_test_", app.settings.api_key_prefix);
    let (made, ended) = write_tx!(&app.db, |tx| {
        access::administers(tx, ctx, account).await?;
        hold(tx, account).await?;
        let old = store::api_keys::find(tx, account, id).await?.ok_or(Error::NotFound)?;
        let text = KeyText::mint(&app.settings.api_key_prefix, old.prefix.starts_with(&test_head), new_id, app.entropy.as_ref());
        let key = ApiKey { realm_id: old.realm_id, ..shape(ctx, account, &text, old.settings.clone(), now) };
        if !store::api_keys::replace(tx, account, id, new_id, now + TimeDelta::seconds(overlap_seconds), now).await? {
            return Err(Error::KeyNotActive);
        }
        if overlap_seconds == 0 {
            store::api_keys::revoke(tx, account, id, now).await?;
        }
        store::api_keys::insert(tx, &key, &hash(&text)).await?;
        let mut ended = store::api_keys::revoke_replaced_by(tx, account, id, now).await?;
        ended.push(old);
        for key in &ended {
            spread(tx, key, "rotated", now).await?;
        }
        audit(app, ctx, tx, Action::ApiKeyRotated, &key).await?;
        Ok((MadeKey { key, text }, ended))
    })?;
    ended.iter().for_each(|key| app.caches.forget_key(key.id));
    app.bell.ring();
    Ok(made)
}

/// Revokes a key at once.
///
/// # Errors
/// The refusals of [`access::administers`], [`Error::NotFound`]. A key that is revoked already stays so.
pub async fn revoke(app: &App, ctx: &Ctx, account: AccountId, id: ApiKeyId) -> Result<ApiKey> {
    let now = app.clock.now();
    let key = write_tx!(&app.db, |tx| {
        access::administers(tx, ctx, account).await?;
        if store::api_keys::revoke(tx, account, id, now).await? {
            let key = store::api_keys::find(tx, account, id).await?.ok_or(Error::NotFound)?;
            spread(tx, &key, "revoked", now).await?;
            audit(app, ctx, tx, Action::ApiKeyRevoked, &key).await?;
            return Ok(key);
        }
        store::api_keys::find(tx, account, id).await?.ok_or(Error::NotFound)
    })?;
    app.caches.forget_key(id);
    app.bell.ring();
    Ok(key)
}

/// Holds the account's row and answers its plan.
async fn hold(tx: &impl Connection, account: AccountId) -> Result<Plan> {
    store::accounts::hold(tx, account).await?;
    let terms = store::accounts::find_terms(tx, account).await?.ok_or(Error::NotFound)?;
    if terms.account.is_active() { Ok(terms.plan) } else { Err(Error::AccountDisabled) }
}

/// `now` with the changes that are wanted, every one of them checked.
fn settle(ctx: &Ctx, now_set: &KeySettings, change: &KeyChange, plan: &Plan, now: DateTime<Utc>) -> Result<KeySettings> {
    let mut faults = Faults::default();
    let mut settings = now_set.clone();
    if let Some(name) = &change.name {
        settings.name = faults.take(text::name("name", name))?.unwrap_or_default();
    }
    if let Some(scopes) = &change.scopes {
        faults.take(scope::check("scopes", &ctx.realm.settings, scopes))?;
        settings.scopes.clone_from(scopes);
    }
    if let Some(expires_at) = change.expires_at {
        settings.expires_at = expires_at.map(|at| faults.take(api_key::expiry(at, now))).transpose()?.flatten();
    }
    if let Some(list) = &change.ip_allowlist {
        let networks = list.as_deref().map(|list| faults.take(api_key::ip_allowlist("ipAllowlist", list))).transpose()?;
        settings.ip_allowlist = networks.flatten().unwrap_or_default();
    }
    if let Some(rate) = change.rate_limit {
        settings.rate_limit = rate.map(|rate| faults.take(below_plan(rate, plan))).transpose()?.flatten();
    }
    faults.settle()?;
    Ok(settings)
}

fn below_plan(rate: i64, plan: &Plan) -> Result<i32> {
    let most = plan.requests_per_minute;
    let fits = i32::try_from(rate).ok().filter(|rate| (1..=most).contains(rate));
    fits.ok_or_else(|| Error::invalid("rateLimit", "out_of_range", format!("must be 1 to {most}, the plan's own limit")))
}

fn shape(ctx: &Ctx, account: AccountId, text: &KeyText, settings: KeySettings, now: DateTime<Utc>) -> ApiKey {
    let created_by = match &ctx.principal {
        Principal::User(me) => Some(me.user_id),
        _ => None,
    };
    ApiKey {
        id: text.id,
        account_id: account,
        realm_id: ctx.realm.id,
        created_by,
        settings,
        prefix: text.shown_prefix(),
        last4: text.last4(),
        created_at: now,
        revoked_at: None,
        replaced_by: None,
        last_used_at: None,
        last_used_ip: None,
    }
}

fn hash(text: &KeyText) -> String {
    sha256_hex(text.secret().as_bytes())
}

/// Leaves word of a change for the other nodes.
async fn spread(tx: &impl Connection, key: &ApiKey, reason: &str, now: DateTime<Utc>) -> Result<()> {
    store::revocations::insert(tx, key.realm_id, RevocationKind::ApiKey, key.id.0, reason, now).await
}

async fn audit(app: &App, ctx: &Ctx, tx: &impl Connection, action: Action, key: &ApiKey) -> Result<()> {
    let now = app.clock.now();
    let mut event = ctx.event(action, None);
    (event.account_id, event.target) = (Some(key.account_id), Some(key.id.0));
    store::audit::insert(tx, EventId::new(now, app.entropy.as_ref()), &event, now).await
}

//! Whose limit a call counts against, and what is left of it.
//!
//! Every call counts once: a good credential's against its account, whatever the credential is; any other against the
//! client's address. What strangers may try counts under a stricter rule of its own as well.

use std::{
    net::IpAddr,
    sync::{Arc, OnceLock},
};

use super::{
    Ctx, Principal, access,
    credentials::{self, Known},
    profile,
};
use crate::{
    app::App,
    domain::{
        Error, Result,
        account::Terms,
        api_key::ApiKey,
        id::{AccountId, ApiKeyId},
        limit::{Ask, Key, Rule, Standing},
    },
    store,
};

/// What the limits say of one request, on its way from where that is counted to where the reply is written.
#[derive(Clone, Debug, Default)]
pub struct Meter(Arc<[OnceLock<Standing>; 2]>);

impl Meter {
    pub(super) fn note(&self, standing: Standing) {
        // A request counts against two rules at most; the first two are what its reply speaks of.
        if let Err(standing) = self.0[0].set(standing) {
            let _ = self.0[1].set(standing);
        }
    }

    /// What was noted, the general rule first.
    pub fn standings(&self) -> impl Iterator<Item = &Standing> {
        self.0.iter().filter_map(OnceLock::get)
    }
}

/// Counts this call: a person's against their account, a stranger's against their address.
///
/// # Errors
/// [`Error::RateLimited`].
pub async fn charge(app: &App, ctx: &Ctx) -> Result<()> {
    match &ctx.principal {
        Principal::Anonymous => address(app, ctx.client.ip, Rule::Address, &ctx.meter).await,
        Principal::User(_) => {
            let account = account_of(app, ctx).await?;
            let ask = ask_account(terms(app, account).await?.as_ref());
            admit(&ctx.meter, app.limiter.take(&[ask], 1, app.clock.now()).await)
        }
        Principal::Key(known) => {
            let (account, now) = (ask_account(&known.terms), app.clock.now());
            match ask_key(known) {
                Some(own) => admit(&ctx.meter, app.limiter.take(&[account, own], 1, now).await),
                None => admit(&ctx.meter, app.limiter.take(&[account], 1, now).await),
            }
        }
        Principal::Holder(known) => admit(&ctx.meter, app.limiter.take(&[ask_account(&known.terms)], 1, app.clock.now()).await),
        Principal::Operator => Ok(()),
    }
}

/// Counts what a stranger tries under a stricter rule, besides the call itself.
///
/// # Errors
/// [`Error::RateLimited`].
pub async fn stranger(app: &App, ctx: &Ctx, rule: Rule) -> Result<()> {
    address(app, ctx.client.ip, rule, &ctx.meter).await
}

/// Counts against a client address: for calls that have no context yet, or will have none because their credential is bad.
///
/// # Errors
/// [`Error::RateLimited`].
pub async fn address(app: &App, ip: IpAddr, rule: Rule, meter: &Meter) -> Result<()> {
    let settings = &app.settings;
    let limit = match rule {
        Rule::SignIn => settings.limit_sign_in,
        Rule::SignUp => settings.limit_sign_up,
        Rule::Mail => settings.limit_mail,
        Rule::MailedToken => settings.limit_mailed_token,
        Rule::Address | Rule::Account | Rule::ApiKey => settings.limit_address,
    };
    let ask = Ask { key: Key::address(rule, ip), limit };
    admit(meter, app.limiter.take(&[ask], 1, app.clock.now()).await)
}

fn admit<const N: usize>(meter: &Meter, standings: [Standing; N]) -> Result<()> {
    for standing in standings {
        meter.note(standing);
    }
    match standings.iter().filter(|standing| !standing.admitted).map(Standing::free_in_seconds).max() {
        Some(seconds) => Err(Error::RateLimited { retry_after: seconds.max(1) }),
        None => Ok(()),
    }
}

/// The account that a person acts for: the first that they belong to, else the one that owns their realm.
///
/// # Errors
/// What the database says.
pub async fn account_of(app: &App, ctx: &Ctx) -> Result<AccountId> {
    match profile::get(app, ctx).await {
        Ok(profile) => Ok(credentials::acting_for(&ctx.realm, &profile).0),
        // Deleted a moment ago; the operation itself will say so.
        Err(Error::NotFound) => Ok(ctx.realm.account_id),
        Err(error) => Err(error),
    }
}

/// An account with its plan, from memory once warm. A change counts at once here and within a second on other nodes.
///
/// # Errors
/// [`Error::NotFound`].
pub async fn terms(app: &App, account: AccountId) -> Result<Arc<Terms>> {
    if let Some(terms) = app.caches.terms(account) {
        return Ok(terms);
    }
    let epoch = app.caches.epoch();
    let terms = Arc::new(store::accounts::find_terms(&app.db.read, account).await?.ok_or(Error::NotFound)?);
    app.caches.put_terms(epoch, &terms);
    Ok(terms)
}

/// The question that an account's calls are: its plan's requests a minute.
#[must_use]
pub fn ask_account(terms: &Terms) -> Ask {
    Ask { key: Key::account(terms.account.id), limit: u32::try_from(terms.plan.requests_per_minute).unwrap_or_default() }
}

/// The question that the calls of a key with a limit of its own are, besides its account's.
#[must_use]
pub fn ask_key(known: &Known) -> Option<Ask> {
    key_ask(known.key.as_ref()?, &known.terms)
}

fn key_ask(key: &ApiKey, terms: &Terms) -> Option<Ask> {
    let own = u32::try_from(key.settings.rate_limit?).unwrap_or_default();
    // The plan may have become smaller than what the key was given.
    let limit = own.min(u32::try_from(terms.plan.requests_per_minute).unwrap_or_default());
    Some(Ask { key: Key { rule: Rule::ApiKey, subject: *key.id.0.as_bytes() }, limit })
}

/// How all buckets of an account stand.
#[derive(Debug)]
pub struct Buckets {
    pub terms: Arc<Terms>,
    /// The account's own first, then those of keys with a limit of their own.
    pub items: Vec<(Option<ApiKeyId>, Standing)>,
}

/// Every bucket of an account that the caller sees, without taking a unit of any.
///
/// # Errors
/// [`Error::NotFound`].
pub async fn buckets(app: &App, ctx: &Ctx, account: AccountId) -> Result<Buckets> {
    access::sees(&app.db.read, ctx, account).await?;
    let (terms, now) = (terms(app, account).await?, app.clock.now());
    let keys = store::api_keys::list_with_limit(&app.db.read, account, now).await?;
    let asks = keys.iter().filter_map(|key| Some((Some(key.id), key_ask(key, &terms)?)));
    let asks: Vec<_> = std::iter::once((None, ask_account(&terms))).chain(asks).collect();
    let mut items = Vec::with_capacity(asks.len());
    for (key, ask) in asks {
        let [standing] = app.limiter.look(&[ask], now).await;
        items.push((key, standing));
    }
    Ok(Buckets { terms, items })
}

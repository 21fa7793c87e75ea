//! One verify for every credential: is it good, for these scopes, from this address, and is there a unit left?
//!
//! Two ask: the verify operation, which answers only about what is the asker's or below, and the gateway, where whoever
//! shows a credential asks about themselves. A call that gets as far as the limits takes its units from the
//! credential's account; what comes of a key is counted for its account to read.

use std::net::IpAddr;

use super::{Ctx, Principal, access, credentials, limits, profile};
use crate::{
    app::App,
    domain::{Error, Result, id::AccountId, limit::Standing, scope, usage::Outcome, user::Role, verdict::Code},
};

pub use super::credentials::Known;

/// Most scopes of one question.
const MOST_SCOPES: usize = 100;
/// Most units of one question.
const MOST_COST: i64 = 1_000;

/// What is asked of a credential.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    pub credential: &'a str,
    /// All of these must be among its scopes.
    pub scopes: &'a [String],
    /// Where it is used from; without it no list of addresses is looked at.
    pub ip: Option<IpAddr>,
    /// Units that the call takes; 0 only looks.
    pub cost: u32,
}

/// The answer.
#[derive(Clone, Debug)]
pub struct Verdict {
    pub code: Code,
    /// Whose it is; `None` with [`Code::NotFound`] alone.
    pub known: Option<Known>,
    /// How it stands with the tighter of its limits, if the question got that far.
    pub standing: Option<Standing>,
}

impl Verdict {
    fn not_found() -> Self {
        Self { code: Code::NotFound, known: None, standing: None }
    }

    /// Whether the credential lets its bearer in.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.code == Code::Valid
    }
}

/// Reads a question's address and cost as a client sent them, and bounds its scopes.
///
/// # Errors
/// [`Error::Invalid`] on `scopes`, `ip` or `cost`.
pub fn bounds(scopes: &[String], ip: Option<&str>, cost: Option<i64>) -> Result<(Option<IpAddr>, u32)> {
    if scopes.len() > MOST_SCOPES {
        return Err(Error::invalid("scopes", "too_many", format!("must be {MOST_SCOPES} at most")));
    }
    let ip = ip.map(|ip| ip.parse().map_err(|_| Error::invalid("ip", "invalid_ip", "must be an IP address"))).transpose()?;
    let cost = u32::try_from(cost.unwrap_or(1)).ok().filter(|cost| i64::from(*cost) <= MOST_COST);
    let cost = cost.ok_or_else(|| Error::invalid("cost", "out_of_range", format!("must be 0 to {MOST_COST}")))?;
    Ok((ip, cost))
}

/// Answers a caller with the right to ask, about the credentials of their own accounts and of those below.
///
/// What takes no unit of the credential's account takes one of the caller's.
///
/// # Errors
/// [`Error::InsufficientScope`] for a key without `credentials:verify`, [`Error::NotPermitted`] for a person who is owner
/// or admin nowhere, [`Error::RateLimited`] if the caller's own limit is reached.
pub async fn answer(app: &App, ctx: &Ctx, question: &Question<'_>) -> Result<Verdict> {
    let places = places(app, ctx).await?;
    let verdict = match credentials::recognise(app, question.credential).await? {
        Some(known) if sees(app, &places, known.terms.account.id).await? => judge(app, question, known).await,
        _ => Verdict::not_found(),
    };
    if verdict.standing.is_none() || question.cost == 0 {
        limits::charge(app, ctx).await?;
    }
    Ok(verdict)
}

/// The accounts that the caller asks for.
async fn places(app: &App, ctx: &Ctx) -> Result<Vec<AccountId>> {
    match &ctx.principal {
        Principal::Key(known) => {
            ctx.require_scope(scope::VERIFY)?;
            Ok(vec![known.terms.account.id])
        }
        Principal::User(_) => {
            let profile = profile::get(app, ctx).await?;
            let manages = profile.memberships.iter().filter(|place| matches!(place.role, Role::Owner | Role::Admin));
            let mut places = Vec::new();
            for place in manages {
                if limits::terms(app, place.account_id).await?.account.is_active() {
                    places.push(place.account_id);
                }
            }
            if places.is_empty() { Err(Error::NotPermitted) } else { Ok(places) }
        }
        Principal::Holder(_) => Err(Error::NotPermitted),
        Principal::Anonymous | Principal::Operator => Err(Error::MissingCredential),
    }
}

async fn sees(app: &App, places: &[AccountId], target: AccountId) -> Result<bool> {
    for place in places {
        if access::acts_on(app, *place, target).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Judges a credential that was recognised, without a look at who asks.
pub async fn judge(app: &App, question: &Question<'_>, known: Known) -> Verdict {
    let (code, standing) = match refusal(question, &known) {
        Some(code) => (code, None),
        None => {
            let standing = take(app, &known, question.cost).await;
            (if standing.admitted { Code::Valid } else { Code::RateLimited }, Some(standing))
        }
    };
    count(app, &known, code, question.ip);
    Verdict { code, known: Some(known), standing }
}

/// Takes the units of a call from the account, and from the key if it has a limit of its own; answers the tighter one.
async fn take(app: &App, known: &Known, cost: u32) -> Standing {
    let (account, now) = (limits::ask_account(&known.terms), app.clock.now());
    let Some(own) = limits::ask_key(known) else {
        let [standing] = app.limiter.take(&[account], cost, now).await;
        return standing;
    };
    let [account, own] = app.limiter.take(&[account, own], cost, now).await;
    if !account.admitted || (own.admitted && account.remaining < own.remaining) { account } else { own }
}

fn refusal(question: &Question<'_>, known: &Known) -> Option<Code> {
    if known.fault.is_some() {
        return known.fault;
    }
    if let (Some(key), Some(ip)) = (&known.key, question.ip)
        && !key.allows(ip)
    {
        return Some(Code::IpNotAllowed);
    }
    if question.scopes.iter().all(|scope| known.may(scope)) { None } else { Some(Code::InsufficientScope) }
}

/// Counts what came of a key.
pub(super) fn count(app: &App, known: &Known, code: Code, ip: Option<IpAddr>) {
    let Some(key) = &known.key else { return };
    let outcome = match code {
        Code::Valid => Outcome::Valid,
        Code::RateLimited => Outcome::RateLimited,
        Code::InsufficientScope => Outcome::InsufficientScope,
        Code::Expired => Outcome::Expired,
        Code::Revoked => Outcome::Revoked,
        Code::IpNotAllowed => Outcome::IpNotAllowed,
        Code::Disabled | Code::NotFound => return,
    };
    app.usage.note(key.account_id, key.id, outcome, ip, app.clock.now());
}

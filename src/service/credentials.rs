//! Whose a credential is, whatever its kind: one look at its shape decides who is asked. A new kind is one arm in
//! [`recognise`] and one function.
//!
//! Everything read here comes from memory once warm, and is as fresh as the change feed: rights are those of this
//! moment, what the credential was made with cut by what its account and realm allow now.

use std::{net::IpAddr, sync::Arc};

use chrono::{DateTime, Utc};

use super::{Ctx, Principal, authentication, key_check, limits, profile, realms, verify};
use crate::{
    app::App,
    crypto::signing,
    domain::{
        Error, Result,
        account::Terms,
        api_key::{ApiKey, KeyStatus, KeyText},
        id::{RealmId, UserId},
        realm::{Realm, RealmStatus},
        scope,
        session::EndReason,
        user::{Profile, Role},
        verdict::{Code, Kind},
    },
};

/// A credential that is one of ours.
#[derive(Clone, Debug)]
pub struct Known {
    pub kind: Kind,
    /// The id of the person or of the key.
    pub subject: uuid::Uuid,
    pub realm: Arc<Realm>,
    /// The account that it acts for, with its plan.
    pub terms: Arc<Terms>,
    /// Whether it is of a person who administers the account.
    manages: bool,
    pub key: Option<Arc<ApiKey>>,
    pub expires_at: Option<DateTime<Utc>>,
    /// Why it lets nobody in, if so, before it is asked what for.
    pub fault: Option<Code>,
}

impl Known {
    /// What it may do at this moment: of a key what its realm still knows of what it was given, of owners and admins all
    /// that their realm knows. Looked up and never copied, for this is asked at every call.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        let (settings, key) = (&self.realm.settings, self.key.as_deref());
        let of_key = key.into_iter().flat_map(|key| &key.settings.scopes).map(String::as_str).filter(|scope| scope::is_known(settings, scope));
        let of_person = if key.is_none() { Some("openid") } else { None };
        let of_realm = self.manages.then(|| scope::known(settings)).into_iter().flatten();
        of_key.chain(of_person).chain(of_realm)
    }

    /// Whether `scope` is among them.
    #[must_use]
    pub fn may(&self, scope: &str) -> bool {
        self.scopes().any(|own| own == scope)
    }

    /// All of them with blanks between, as RFC 6749 writes them.
    #[must_use]
    pub fn scope_text(&self) -> String {
        self.scopes().collect::<Vec<_>>().join(" ")
    }
}

/// The credential's owner and rights; `None` if it is none of ours.
///
/// # Errors
/// What the database says.
pub async fn recognise(app: &App, credential: &str) -> Result<Option<Known>> {
    if KeyText::claims(&app.settings.api_key_prefix, credential) {
        api_key(app, credential).await
    } else if credential.bytes().filter(|byte| *byte == b'.').count() == 2 {
        access_token(app, credential).await
    } else {
        Ok(None)
    }
}

/// The key behind a credential.
///
/// # Errors
/// What the database says.
pub async fn api_key(app: &App, credential: &str) -> Result<Option<Known>> {
    let Some(key) = key_check::prove(app, credential).await? else { return Ok(None) };
    let (realm, terms) = (realms::get(app, key.realm_id).await?, limits::terms(app, key.account_id).await?);
    let fault = match key.status(app.clock.now()) {
        KeyStatus::Revoked => Some(Code::Revoked),
        KeyStatus::Expired => Some(Code::Expired),
        KeyStatus::Active if !terms.account.is_active() || realm.status != RealmStatus::Active => Some(Code::Disabled),
        KeyStatus::Active => None,
    };
    Ok(Some(Known { kind: Kind::ApiKey, subject: key.id.0, realm, terms, manages: false, expires_at: key.settings.expires_at, fault, key: Some(key) }))
}

/// Who calls one of our own operations: a person with an access token, or a program with a key.
///
/// `mentioned` is the realm that the request names, if it names one: it must be the credential's own.
///
/// # Errors
/// Those of [`authentication::bearer`]; of a key [`Error::InvalidApiKey`], [`Error::RealmMismatch`],
/// [`Error::RealmSuspended`], [`Error::AccountDisabled`], [`Error::IpNotAllowed`].
pub async fn caller(app: &App, credential: &str, mentioned: Option<RealmId>, ip: IpAddr) -> Result<(Arc<Realm>, Principal)> {
    if !KeyText::claims(&app.settings.api_key_prefix, credential) {
        let (realm, person) = authentication::bearer(app, credential, mentioned).await?;
        return Ok((realm, Principal::User(person)));
    }
    let known = api_key(app, credential).await?.ok_or(Error::InvalidApiKey)?;
    if mentioned.is_some_and(|realm| realm != known.realm.id) {
        return Err(Error::RealmMismatch);
    }
    let refused = match known.fault {
        Some(Code::Disabled) if known.realm.status != RealmStatus::Active => Some((Code::Disabled, Error::RealmSuspended)),
        Some(Code::Disabled) => Some((Code::Disabled, Error::AccountDisabled)),
        Some(code) => Some((code, Error::InvalidApiKey)),
        None if known.key.as_ref().is_some_and(|key| !key.allows(ip)) => Some((Code::IpNotAllowed, Error::IpNotAllowed)),
        None => None,
    };
    match refused {
        Some((code, error)) => {
            verify::count(app, &known, code, Some(ip));
            Err(error)
        }
        None => Ok((Arc::clone(&known.realm), Principal::Key(Arc::new(known)))),
    }
}

/// Counts what came of a call by a key that was good.
pub fn count_call(app: &App, ctx: &Ctx, outcome: &Result<()>) {
    let Principal::Key(known) = &ctx.principal else { return };
    let code = match outcome {
        Ok(()) => Code::Valid,
        Err(Error::RateLimited { .. }) => Code::RateLimited,
        Err(Error::InsufficientScope { .. }) => Code::InsufficientScope,
        Err(_) => return,
    };
    verify::count(app, known, code, Some(ctx.client.ip));
}

async fn access_token(app: &App, token: &str) -> Result<Option<Known>> {
    let fault = match authentication::bearer(app, token, None).await {
        Ok((realm, person)) => {
            let expires_at = DateTime::from_timestamp(person.expires_at, 0);
            return of_person(app, realm.id, person.user_id, expires_at, None).await;
        }
        Err(Error::AccessTokenExpired) => Code::Expired,
        Err(Error::SessionEnded { reason: EndReason::Idle | EndReason::Expired }) => Code::Expired,
        Err(Error::SessionEnded { reason: EndReason::UserDisabled }) | Err(Error::RealmSuspended) => Code::Disabled,
        Err(Error::SessionEnded { .. }) => Code::Revoked,
        Err(Error::InvalidAccessToken | Error::RealmMismatch | Error::RealmNotFound) => return Ok(None),
        Err(error) => return Err(error),
    };
    // These faults are found after the signature was proved, so that what the token says of itself can be believed.
    let Some(claimed) = signing::peek(token) else { return Ok(None) };
    let name = claimed.iss.strip_prefix(&app.issuer("")).unwrap_or_default();
    let (Some(realm), Ok(user)) = (realms::by_host(app, name).await?, claimed.sub.parse::<UserId>()) else { return Ok(None) };
    of_person(app, realm.id, user, None, Some(fault)).await
}

async fn of_person(app: &App, realm: RealmId, user: UserId, expires_at: Option<DateTime<Utc>>, fault: Option<Code>) -> Result<Option<Known>> {
    let profile = match profile::of(app, realm, user).await {
        Ok(profile) => profile,
        Err(Error::NotFound) => return Ok(None),
        Err(error) => return Err(error),
    };
    let realm = realms::get(app, realm).await?;
    let (account, role) = acting_for(&realm, &profile);
    let terms = limits::terms(app, account).await?;
    let manages = matches!(role, Some(Role::Owner | Role::Admin));
    let fault = fault.or(if terms.account.is_active() { None } else { Some(Code::Disabled) });
    Ok(Some(Known { kind: Kind::AccessToken, subject: user.0, realm, terms, manages, key: None, expires_at, fault }))
}

/// The account that a person acts for, and as what: the first that they belong to, else the one that owns their realm,
/// without a role.
#[must_use]
pub fn acting_for(realm: &Realm, profile: &Profile) -> (crate::domain::id::AccountId, Option<Role>) {
    profile.memberships.first().map_or((realm.account_id, None), |place| (place.account_id, Some(place.role)))
}

//! Whose a credential is, whatever its kind: one look at its shape decides who is asked. A new kind is one arm in
//! [`recognise`] and one function.
//!
//! Everything read here comes from memory once warm, and is as fresh as the change feed: rights are those of this
//! moment, what the credential was made with cut by what its account and realm allow now.

use std::{net::IpAddr, sync::Arc};

use chrono::{DateTime, Utc};

use super::{
    Ctx, Principal, authentication,
    held_tokens::{self, Proved},
    key_check, limits, profile, realms, verify,
};
use crate::{
    app::{App, held::Remembered},
    crypto::signing,
    domain::{
        Error, Result,
        account::Terms,
        api_key::{ApiKey, KeyStatus, KeyText},
        held_token::{TokenKind, TokenStatus},
        id::{AccountId, RealmId, UserId},
        realm::{Realm, RealmStatus},
        scope,
        session::EndReason,
        user::{Profile, Role, UserStatus},
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
    /// The opaque token of another dialect that it is, if so.
    pub token: Option<Arc<Remembered>>,
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

    /// The person behind an opaque token, if it is one's.
    #[must_use]
    pub fn user(&self) -> Option<UserId> {
        self.token.as_ref().and_then(|token| token.token.user_id)
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
    } else if let Some(kind) = TokenKind::claims(credential) {
        match held_tokens::prove(app, kind, credential).await? {
            Some(proved) => of_token(app, proved, None).await,
            None => Ok(None),
        }
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
    Ok(Some(Known {
        kind: Kind::ApiKey,
        subject: key.id.0,
        realm,
        terms,
        manages: false,
        token: None,
        expires_at: key.settings.expires_at,
        fault,
        key: Some(key),
    }))
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
    Ok(Some(Known { kind: Kind::AccessToken, subject: user.0, realm, terms, manages, key: None, token: None, expires_at, fault }))
}

/// What an opaque token is worth, in the account that its bearer picked, if they did.
///
/// # Errors
/// [`Error::NotPermitted`] if the picked account is none of theirs.
async fn of_token(app: &App, proved: Proved, picked: Option<AccountId>) -> Result<Option<Known>> {
    let Proved { token, profile, status } = proved;
    let realm = realms::get(app, token.token.realm_id).await?;
    let family = token.token.kind.family();
    let kind = match token.token.kind {
        TokenKind::User => Kind::UserToken,
        TokenKind::Auth => Kind::AuthToken,
    };
    let (account, role) = match (&profile, picked.or(token.token.account_id)) {
        (Some(profile), Some(account)) => {
            let place = profile.memberships.iter().find(|place| place.account_id == account);
            if place.is_none() && picked.is_some() {
                return Err(Error::NotPermitted);
            }
            (account, place.map(|place| place.role))
        }
        (Some(profile), None) => acting_for(&realm, profile),
        (None, Some(account)) => (account, Some(Role::Admin)),
        (None, None) => return Ok(None),
    };
    let terms = limits::terms(app, account).await?;
    let locked = profile.as_ref().is_some_and(|profile| profile.user.status != UserStatus::Active);
    let fault = match status {
        TokenStatus::Expired => Some(Code::Expired),
        TokenStatus::Ended => Some(Code::Revoked),
        TokenStatus::Active if locked || realm.status != RealmStatus::Active || !realm.serves(family) || !terms.account.is_active() => Some(Code::Disabled),
        TokenStatus::Active => None,
    };
    let subject = token.token.user_id.map_or(account.0, |user| user.0);
    let manages = matches!(role, Some(Role::Owner | Role::Admin));
    let expires_at = token.token.timeout.seconds().and_then(|_| token.end());
    Ok(Some(Known { kind, subject, realm, terms, manages, key: None, token: Some(token), expires_at, fault }))
}

/// Who calls an operation of another dialect with one of its tokens, in the account that they pick or in their default one.
///
/// `mentioned` is the realm that the request names, if it names one: it must be the token's own.
///
/// # Errors
/// [`Error::InvalidAccessToken`], [`Error::AccessTokenExpired`], [`Error::RealmMismatch`], [`Error::RealmSuspended`],
/// [`Error::AccountDisabled`], [`Error::NotFound`] where the dialect is off, [`Error::NotPermitted`] for an account that is none of theirs.
pub async fn holder(app: &App, kind: TokenKind, text: &str, mentioned: Option<RealmId>, picked: Option<AccountId>) -> Result<(Arc<Realm>, Principal)> {
    let proved = held_tokens::prove(app, kind, text).await?.ok_or(Error::InvalidAccessToken)?;
    if mentioned.is_some_and(|realm| realm != proved.token.token.realm_id) {
        return Err(Error::RealmMismatch);
    }
    match proved.status {
        TokenStatus::Expired => return Err(Error::AccessTokenExpired),
        TokenStatus::Ended => return Err(Error::InvalidAccessToken),
        TokenStatus::Active => {}
    }
    let known = of_token(app, proved, picked).await?.ok_or(Error::InvalidAccessToken)?;
    match known.fault {
        None => Ok((Arc::clone(&known.realm), Principal::Holder(Arc::new(known)))),
        Some(_) if known.realm.status != RealmStatus::Active => Err(Error::RealmSuspended),
        Some(_) if !known.realm.serves(kind.family()) => Err(Error::NotFound),
        Some(_) if !known.terms.account.is_active() => Err(Error::AccountDisabled),
        Some(_) => Err(Error::InvalidAccessToken),
    }
}

/// The account that a person acts for, and as what: the first that they belong to, else the one that owns their realm,
/// without a role.
#[must_use]
pub fn acting_for(realm: &Realm, profile: &Profile) -> (crate::domain::id::AccountId, Option<Role>) {
    profile.memberships.first().map_or((realm.account_id, None), |place| (place.account_id, Some(place.role)))
}

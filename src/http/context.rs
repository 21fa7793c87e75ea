//! From a request to a [`Ctx`]: which realm, who calls, from where.
//!
//! An extractor says at the operation's signature who may call it: [`Public`], [`Session`], [`StepUp`], [`Scoped`]. Without one of them a
//! handler has no context and can reach no use case, so that an operation without an access rule does not compile.

use std::{marker::PhantomData, sync::Arc};

use poem::{FromRequest, Request, RequestBody, http::header};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    registry::{MetaSecurityScheme, Registry},
};

use super::{client, failure::Failure};
use crate::{
    app::App,
    domain::{
        Error, Result,
        held_token::TokenKind,
        id::AccountId,
        limit::Rule,
        realm::{Family, Realm},
        request_id::RequestId,
        scope,
    },
    service::{self, Client, Ctx, Principal, SignedIn, credentials, limits, realms},
};

/// Names of the security schemes: the access rules, as the OpenAPI files show them.
const BEARER: &str = "bearer";
const STEP_UP: &str = "stepUp";
const API_KEY: &str = "apiKey";

/// The header that names a realm.
const REALM_HEADER: &str = "x-realm";

/// Anybody may call: the realm is the named one, the host's, else the root realm. A credential is not looked at.
pub(super) struct Public(pub(super) Ctx);

/// A signed-in person: an access token in `Authorization: Bearer` (RFC 6750 section 2.1). Its realm is the realm.
pub(super) struct Session(pub(super) Ctx);

/// A signed-in person whose call takes no unit of their account: it counts against their address.
pub(super) struct Uncounted(pub(super) Ctx);

/// A signed-in person who proved who they are within the last ten minutes: for what a stolen token must not do.
pub(super) struct StepUp(pub(super) Ctx);

/// A signed-in person, or a program with an API key that has the scope of `S`. Whether that person may is the service's
/// to say.
pub(super) struct Scoped<S> {
    pub(super) ctx: Ctx,
    scope: PhantomData<S>,
}

/// The scope of an operation that takes keys.
pub(super) trait ScopeRule: Send {
    const SCOPE: &'static str;
    /// Whether a call takes a unit of the caller's account; if not, its service sees to what it takes.
    const CHARGED: bool = true;
}

/// Of asking who a credential is of: the call is that credential's, not the asker's.
pub(super) struct VerifyScope;

impl ScopeRule for VerifyScope {
    const SCOPE: &'static str = scope::VERIFY;
    const CHARGED: bool = false;
}

/// What every context starts from.
struct Origin<'a> {
    app: &'a Arc<App>,
    named: Option<&'a str>,
    host: Option<String>,
    client: Client,
    request_id: RequestId,
    meter: limits::Meter,
}

fn origin(req: &Request) -> Result<Origin<'_>> {
    let app = req.data::<Arc<App>>().ok_or_else(|| Error::internal("the application is not attached to the request"))?;
    let named = match req.headers().get(REALM_HEADER) {
        None => None,
        Some(value) => Some(value.to_str().map_err(|_| Error::RealmNotFound)?.trim()),
    };
    let client = client::resolve(req, &app.settings.trusted_proxies);
    let (request_id, meter) = traits(req);
    Ok(Origin { app, named, host: host(req), client, request_id, meter })
}

/// What the edge attached to the request.
/// What the edge noted of a request: its id, its meter, and the dialect that its realm must serve.
type Noted = (RequestId, limits::Meter, Option<Family>);

fn traits(req: &Request) -> (RequestId, limits::Meter) {
    req.data::<Noted>().map(|(id, meter, _)| (*id, meter.clone())).unwrap_or_default()
}

/// The host that the client asked for, without its port, in lower case.
fn host(req: &Request) -> Option<String> {
    let text = req.headers().get(header::HOST).and_then(|value| value.to_str().ok()).or_else(|| req.uri().host())?;
    let name = match text.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => text,
    };
    Some(name.to_ascii_lowercase())
}

/// A dialect that is switched off in a realm answers as if it were not there.
fn served(req: &Request, realm: &Realm) -> Result<()> {
    let family = req.data::<Noted>().and_then(|(_, _, family)| *family);
    if family.is_none_or(|family| realm.serves(family)) { Ok(()) } else { Err(Error::NotFound) }
}

async fn public(req: &Request) -> Result<Ctx> {
    let origin = origin(req)?;
    // Before anything is looked up: a made-up realm costs a read.
    limits::address(origin.app, origin.client.ip, Rule::Address, &origin.meter).await?;
    unproved(req, origin).await
}

/// The context of one of our pages, which counts against the account of `person`, whom the browser's session is of; without
/// one against the address. Of which realm the page is, and so whether they are signed in there, is for the page to say.
pub(super) async fn of_page(req: &Request, person: Option<&(Arc<Realm>, Arc<SignedIn>)>) -> Result<Ctx> {
    let origin = origin(req)?;
    match person {
        None => limits::address(origin.app, origin.client.ip, Rule::Address, &origin.meter).await?,
        Some((realm, person)) => {
            let (client, request_id, meter) = (origin.client.clone(), origin.request_id, origin.meter.clone());
            let ctx = Ctx { realm: Arc::clone(realm), principal: Principal::User(Arc::clone(person)), client, request_id, meter };
            limits::charge(origin.app, &ctx).await?;
        }
    }
    unproved(req, origin).await
}

async fn unproved(req: &Request, origin: Origin<'_>) -> Result<Ctx> {
    let realm = realms::resolve(origin.app, origin.named, origin.host.as_deref()).await?;
    served(req, &realm)?;
    Ok(Ctx { realm, principal: Principal::Anonymous, client: origin.client, request_id: origin.request_id, meter: origin.meter })
}

/// Where a request comes from and what its limits say: for who asks about a credential and not with one.
pub(super) fn visitor(req: &Request, app: &App) -> (Client, limits::Meter) {
    (client::resolve(req, &app.settings.trusted_proxies), traits(req).1)
}

/// Whoever calls with a good credential, which must have `scope` if it is a key. `charged` says that the call takes a
/// unit here; else its service sees to what it takes.
async fn caller(req: &Request, scope: Option<&'static str>, charged: bool) -> Result<Ctx> {
    let origin = origin_of_caller(req)?;
    let proved = proved(req, &origin).await;
    let (app, ctx) = known(origin, proved).await?;
    let mut outcome = if charged { limits::charge(app, &ctx).await } else { Ok(()) };
    if let Some(scope) = scope {
        outcome = outcome.and_then(|()| ctx.require_scope(scope));
    }
    credentials::count_call(app, &ctx, &outcome);
    outcome?;
    served(req, &ctx.realm)?;
    Ok(ctx)
}

/// Whoever calls another dialect with one of its tokens, which stands where that dialect has it; in the account that they
/// pick, or in their default one. The call takes a unit of that account.
pub(super) async fn holder(req: &Request, kind: TokenKind, shown: Result<&str>, picked: Result<Option<AccountId>>) -> Result<Ctx> {
    let origin = origin_of_caller(req)?;
    let proved = async {
        let (text, picked) = (shown?, picked?);
        let mentioned = realms::mentioned(origin.app, origin.named, origin.host.as_deref()).await?;
        credentials::holder(origin.app, kind, text, mentioned, picked).await
    };
    let proved = proved.await;
    let (app, ctx) = known(origin, proved).await?;
    limits::charge(app, &ctx).await?;
    served(req, &ctx.realm)?;
    Ok(ctx)
}

fn origin_of_caller(req: &Request) -> Result<Origin<'_>> {
    origin(req).map_err(|error| match error {
        // A name that is no text is one more name of no realm: see `realms::mentioned`.
        Error::RealmNotFound => Error::RealmMismatch,
        error => error,
    })
}

/// The context of whom a credential proved. Whoever has no good one is a stranger, and counts as one.
async fn known(origin: Origin<'_>, proved: Result<(Arc<Realm>, Principal)>) -> Result<(&Arc<App>, Ctx)> {
    match proved {
        Ok((realm, principal)) => Ok((origin.app, Ctx { realm, principal, client: origin.client, request_id: origin.request_id, meter: origin.meter })),
        Err(error) => {
            limits::address(origin.app, origin.client.ip, Rule::Address, &origin.meter).await?;
            Err(error)
        }
    }
}

async fn proved(req: &Request, origin: &Origin<'_>) -> Result<(Arc<Realm>, Principal)> {
    let token = shown_by(req, Carrier::Bearer)?;
    let mentioned = realms::mentioned(origin.app, origin.named, origin.host.as_deref()).await?;
    credentials::caller(origin.app, token, mentioned, origin.client.ip).await
}

async fn session(req: &Request) -> Result<Ctx> {
    let ctx = caller(req, None, true).await?;
    ctx.signed_in()?;
    Ok(ctx)
}

async fn uncounted(req: &Request) -> Result<Ctx> {
    let ctx = caller(req, None, false).await?;
    ctx.signed_in()?;
    let app = req.data::<Arc<App>>().ok_or_else(|| Error::internal("the application is not attached to the request"))?;
    limits::address(app, ctx.client.ip, Rule::Address, &ctx.meter).await?;
    Ok(ctx)
}

async fn step_up(req: &Request) -> Result<Ctx> {
    let ctx = session(req).await?;
    let app = req.data::<Arc<App>>().ok_or_else(|| Error::internal("the application is not attached to the request"))?;
    service::step_up::require(app, &ctx).await?;
    Ok(ctx)
}

/// Where a credential may stand in a request's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carrier {
    /// `Authorization: Bearer` (RFC 6750 section 2.1).
    Bearer,
    /// `X-CONVERSE-TOKEN`.
    ConverseToken,
    /// `X-Auth-Token`.
    AuthToken,
}

impl Carrier {
    const ALL: [Self; 3] = [Self::Bearer, Self::ConverseToken, Self::AuthToken];

    /// What it carries; its own header once.
    fn text(self, req: &Request) -> Result<&str> {
        let name = match self {
            Self::Bearer => return bearer_token(req),
            Self::ConverseToken => "x-converse-token",
            Self::AuthToken => "x-auth-token",
        };
        let mut values = req.headers().get_all(name).iter();
        let value = values.next().ok_or(Error::MissingCredential)?;
        if values.next().is_some() {
            return Err(Error::AmbiguousCredential);
        }
        value.to_str().map_err(|_| Error::InvalidAccessToken)
    }
}

/// What a request shows in `carrier`. With another credential elsewhere nobody could say who calls (OWASP ASVS 5.0 6.3.4).
pub(super) fn shown_by(req: &Request, carrier: Carrier) -> Result<&str> {
    let shown = carrier.text(req);
    if let Ok(own) = shown {
        for other in Carrier::ALL {
            if other != carrier && matches!(other.text(req), Ok(text) if text != own) {
                return Err(Error::AmbiguousCredential);
            }
        }
    }
    shown
}

/// The one bearer token of a request. Two `Authorization` headers are refused: proxies disagree on which one counts.
pub(super) fn bearer_token(req: &Request) -> Result<&str> {
    let mut values = req.headers().get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or(Error::MissingCredential)?;
    if values.next().is_some() {
        return Err(Error::InvalidAccessToken);
    }
    let text = value.to_str().map_err(|_| Error::InvalidAccessToken)?;
    let (scheme, token) = text.split_once(' ').ok_or(Error::MissingCredential)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Error::MissingCredential);
    }
    Ok(token.trim())
}

impl<'a> FromRequest<'a> for Public {
    async fn from_request(req: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        public(req).await.map(Self).map_err(|error| Failure::from(error).into())
    }
}

/// A security scheme whose credential is a bearer token of that format.
fn bearer_scheme(registry: &mut Registry, name: &'static str, format: &'static str, description: &'static str) {
    registry.create_security_scheme(
        name,
        MetaSecurityScheme {
            ty: "http",
            description: Some(description),
            name: None,
            key_in: None,
            scheme: Some("bearer"),
            bearer_format: Some(format),
            flows: None,
            openid_connect_url: None,
        },
    );
}

impl<'a> ApiExtractor<'a> for Session {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        bearer_scheme(registry, BEARER, "JWT", "The access token of a sign-in: `Authorization: Bearer <token>`.");
    }

    fn security_schemes() -> Vec<&'static str> {
        vec![BEARER]
    }

    async fn from_request(req: &'a Request, _: &mut RequestBody, _: ExtractParamOptions<Self::ParamType>) -> poem::Result<Self> {
        session(req).await.map(Self).map_err(|error| Failure::from(error).into())
    }
}

impl<'a> ApiExtractor<'a> for Uncounted {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        Session::register(registry);
    }

    fn security_schemes() -> Vec<&'static str> {
        vec![BEARER]
    }

    async fn from_request(req: &'a Request, _: &mut RequestBody, _: ExtractParamOptions<Self::ParamType>) -> poem::Result<Self> {
        uncounted(req).await.map(Self).map_err(|error| Failure::from(error).into())
    }
}

impl<'a> ApiExtractor<'a> for StepUp {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        bearer_scheme(registry, STEP_UP, "JWT", "The access token of a sign-in that is at most ten minutes old; else 401 `step_up_required`.");
    }

    fn security_schemes() -> Vec<&'static str> {
        vec![STEP_UP]
    }

    async fn from_request(req: &'a Request, _: &mut RequestBody, _: ExtractParamOptions<Self::ParamType>) -> poem::Result<Self> {
        step_up(req).await.map(Self).map_err(|error| Failure::from(error).into())
    }
}

impl<'a, S: ScopeRule> ApiExtractor<'a> for Scoped<S> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        Session::register(registry);
        bearer_scheme(registry, API_KEY, "API key", "An API key with the scope that the operation asks for: `Authorization: Bearer conv_…`.");
    }

    fn security_schemes() -> Vec<&'static str> {
        vec![BEARER, API_KEY]
    }

    async fn from_request(req: &'a Request, _: &mut RequestBody, _: ExtractParamOptions<Self::ParamType>) -> poem::Result<Self> {
        match caller(req, Some(S::SCOPE), S::CHARGED).await {
            Ok(ctx) => Ok(Self { ctx, scope: PhantomData }),
            Err(error) => Err(Failure::from(error).into()),
        }
    }
}

#[cfg(test)]
mod tests;

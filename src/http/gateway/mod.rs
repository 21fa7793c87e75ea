//! Forward-auth: a reverse proxy asks here about each request before it passes it on, in the way that the proxy knows.
//!
//! All of them get the same answer in the same headers; what differs is where a proxy lets the required scopes be written
//! and which status it takes for a yes. Nothing that the client sent is believed but its credential. Every header is
//! always written, so that a proxy that copies them overwrites what the client made up.

use std::{collections::HashMap, sync::Arc};

use poem::{
    EndpointExt as _, Request, Response, Result, Route,
    endpoint::BoxEndpoint,
    handler,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode},
    web::Data,
};

use super::{
    context::{self, Carrier},
    failure::Failure,
    route,
};
use crate::{
    app::App,
    domain::{Error, verdict::Kind},
    service::{
        gateway::{self, Shown},
        verify::Known,
    },
};

const SUBJECT: HeaderName = HeaderName::from_static("x-auth-subject");
const ACCOUNT: HeaderName = HeaderName::from_static("x-auth-account");
const REALM: HeaderName = HeaderName::from_static("x-auth-realm");
const PLAN: HeaderName = HeaderName::from_static("x-auth-plan");
const SCOPES: HeaderName = HeaderName::from_static("x-auth-scopes");
const METHOD: HeaderName = HeaderName::from_static("x-auth-method");
const KEY_ID: HeaderName = HeaderName::from_static("x-auth-key-id");

/// What a header says that has nothing to say: one left out, or an empty one, would leave the client's own standing at
/// some proxies.
const NOTHING: HeaderValue = HeaderValue::from_static("-");

/// Where the required scopes stand in the query.
const BY_QUERY: [&str; 2] = ["/gateway/nginx", "/gateway/traefik"];

/// What needs no router to be found.
pub(super) fn hot() -> HashMap<&'static str, BoxEndpoint<'static>> {
    BY_QUERY.into_iter().map(|path| (path, route::named(path, by_query).boxed())).collect()
}

/// Adds the routes of this file.
pub(super) fn routes(route: Route) -> Route {
    BY_QUERY
        .into_iter()
        .fold(route, |route, path| route.at(path, route::named(path, by_query)))
        .at("/gateway/envoy/:scopes", route::named("/gateway/envoy/{scopes}", by_path))
        .at("/gateway/envoy/:scopes/*rest", route::named("/gateway/envoy/{scopes}/{rest}", by_path))
}

/// nginx (`auth_request`), Traefik (`ForwardAuth`), Caddy (`forward_auth`), `HAProxy`: required scopes stand in the query,
/// `?scope=chat:read&scope=chat:write`.
#[handler]
async fn by_query(req: &Request, app: Data<&Arc<App>>) -> Result<Response> {
    let query = req.uri().query().unwrap_or_default();
    let named = url::form_urlencoded::parse(query.as_bytes()).filter(|(name, scope)| name == "scope" && !scope.is_empty());
    let scopes: Vec<String> = named.map(|(_, scope)| scope.into_owned()).collect();
    answer(req, &app, &scopes, StatusCode::NO_CONTENT).await
}

/// Envoy (`ext_authz` over HTTP) asks with the request's own method, path and query behind a prefix: required scopes are
/// the prefix' last segment, `chat:read,chat:write`, or `-` for none. Envoy passes a request on a 200 alone.
#[handler]
async fn by_path(req: &Request, app: Data<&Arc<App>>) -> Result<Response> {
    let named = req.raw_path_param("scopes").unwrap_or_default().split(',').filter(|scope| !scope.is_empty() && *scope != "-");
    let scopes: Vec<String> = named.map(str::to_owned).collect();
    answer(req, &app, &scopes, StatusCode::OK).await
}

async fn answer(req: &Request, app: &App, scopes: &[String], yes: StatusCode) -> Result<Response> {
    let (client, meter) = context::visitor(req, app);
    let known = gateway::check(app, &client, &meter, shown(req), scopes).await.map_err(Failure::from)?;
    let mut reply = Response::builder().status(yes).finish();
    put(reply.headers_mut(), &known);
    Ok(reply)
}

/// The one credential of a request, in whichever dialect's header it stands. Proxies take no 400 for a no.
fn shown(req: &Request) -> crate::domain::Result<Shown<'_>> {
    const CARRIERS: [(Carrier, &[Kind]); 3] = [
        (Carrier::Bearer, &[Kind::AccessToken, Kind::ApiKey, Kind::AuthToken]),
        (Carrier::ConverseToken, &[Kind::UserToken]),
        (Carrier::AuthToken, &[Kind::AuthToken]),
    ];
    for (carrier, kinds) in CARRIERS {
        match context::shown_by(req, carrier) {
            Ok(text) => return Ok(Shown { text, kinds }),
            Err(Error::MissingCredential) => {}
            Err(_) => return Err(Error::InvalidAccessToken),
        }
    }
    Err(Error::MissingCredential)
}

fn put(headers: &mut HeaderMap, known: &Known) {
    let account = known.terms.account.id.to_string();
    let key = known.key.as_ref().map(|key| key.id.to_string());
    for (name, value) in [
        (SUBJECT, known.subject.to_string().as_str()),
        (ACCOUNT, &account),
        (REALM, &known.realm.name),
        (PLAN, &known.terms.plan.id),
        (SCOPES, &known.scope_text()),
        (METHOD, known.kind.as_str()),
        (KEY_ID, key.as_deref().unwrap_or_default()),
    ] {
        // Ids, host names, plans and scopes are plain ASCII.
        let value = if value.is_empty() { Ok(NOTHING) } else { HeaderValue::from_str(value) };
        headers.insert(name, value.unwrap_or(NOTHING));
    }
}

//! For whoever runs the service: health, key sets, discovery documents, the specs and their reader.

use std::sync::{Arc, atomic::Ordering};

use poem::{
    IntoResponse, Response, Result, Route, get, handler,
    http::{StatusCode, header},
    web::{Data, Path},
};
use serde_json::{Value, json};

use super::{converse, docs, failure::Failure, native, route, spec};
use crate::{
    app::App,
    domain::{Error, realm::Realm},
    service::{
        health::{self, Health},
        realms, signing,
    },
};

/// The routes of this file.
pub(super) fn routes(route: Route) -> Route {
    route
        .at("/healthz/live", route::named("/healthz/live", get(live)))
        .at("/healthz/ready", route::named("/healthz/ready", get(ready)))
        .at("/realms/:realm/.well-known/jwks.json", route::named("/realms/{realm}/.well-known/jwks.json", get(jwks)))
        .at("/realms/:realm/.well-known/openid-configuration", route::named("/realms/{realm}/.well-known/openid-configuration", get(discovery)))
        .at("/openapi/native.json", route::named("/openapi/native.json", route::fixed("application/json", || spec::v3_1(&native::api().spec()))))
        .at("/openapi/native-3.0.json", route::named("/openapi/native-3.0.json", route::fixed("application/json", || spec::v3_0(&native::api().spec()))))
        .at("/openapi/native-rust.json", route::named("/openapi/native-rust.json", route::fixed("application/json", || spec::for_rust(&native::api().spec()))))
        .at("/openapi/converse.json", route::named("/openapi/converse.json", route::fixed("application/json", || spec::v3_1(&converse::api().spec()))))
        .at("/docs", route::named("/docs", docs::page()))
}

/// The process answers.
#[handler]
fn live() -> Response {
    json_reply(StatusCode::OK, &json!({ "status": "ok" }), "no-store")
}

/// The process answers, its database does, and it will go on answering for a while.
#[handler]
async fn ready(app: Data<&Arc<App>>) -> Response {
    if app.draining.load(Ordering::Relaxed) {
        return unready(&json!({ "status": "draining" }));
    }
    let feed = json!({ "ageSeconds": app.caches.feed_age().as_secs() });
    match health::check(&app).await {
        Ok(Health { jobs_pending, jobs_dead, jobs_oldest, books, judged_alone }) => {
            let jobs = json!({ "pending": jobs_pending, "dead": jobs_dead, "oldestSeconds": jobs_oldest });
            let limits = json!({ "books": books.as_str(), "judgedAlone": judged_alone });
            json_reply(StatusCode::OK, &json!({ "status": "ok", "database": "ok", "feed": feed, "jobs": jobs, "limits": limits }), "no-store")
        }
        Err(error) => {
            tracing::warn!(code = error.code(), "not ready");
            unready(&json!({ "status": "unavailable", "database": "unavailable", "feed": feed }))
        }
    }
}

fn unready(body: &Value) -> Response {
    let mut reply = json_reply(StatusCode::SERVICE_UNAVAILABLE, body, "no-store");
    reply.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("2"));
    reply
}

async fn realm(app: &App, name: &str) -> Result<Arc<Realm>> {
    let realm = realms::by_host(app, name).await.map_err(Failure::from)?;
    Ok(realm.filter(|realm| realm.name == name).ok_or_else(|| Failure::from(Error::RealmNotFound))?)
}

/// A realm's public keys (RFC 7517 section 5).
#[handler]
async fn jwks(app: Data<&Arc<App>>, name: Path<String>) -> Result<Response> {
    let realm = realm(&app, &name).await?;
    let keys = signing::keys(&app, realm.id).await.map_err(Failure::from)?;
    Ok(json_reply(StatusCode::OK, &keys.jwks, "public, max-age=300"))
}

/// A realm's metadata (OpenID Connect Discovery section 4): what a resource server needs to check our access tokens.
#[handler]
async fn discovery(app: Data<&Arc<App>>, name: Path<String>) -> Result<Response> {
    let realm = realm(&app, &name).await?;
    let issuer = app.issuer(&realm.name);
    let base = &app.settings.public_url;
    let body = json!({
        "issuer": issuer,
        "jwks_uri": format!("{issuer}/.well-known/jwks.json"),
        "token_endpoint": format!("{base}/api/v1/auth/refresh"),
        "id_token_signing_alg_values_supported": ["ES256"],
        "subject_types_supported": ["public"],
        "response_types_supported": [],
        "claims_supported": ["iss", "aud", "sub", "sid", "jti", "iat", "exp", "scope", "amr", "auth_time", "ver"],
        "service_documentation": format!("{base}/docs"),
    });
    Ok(json_reply(StatusCode::OK, &body, "public, max-age=300"))
}

fn json_reply(status: StatusCode, body: &Value, cache: &'static str) -> Response {
    Response::builder().status(status).content_type("application/json").header(header::CACHE_CONTROL, cache).body(body.to_string()).into_response()
}

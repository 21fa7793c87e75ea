//! `/ui/step-up`: a fresh proof of who looks, before what a stolen session must not do; then back to where it was asked for.

use poem::{
    Request, Response, Result, Route, get, handler,
    http::{StatusCode, header},
    web::{Form, Query},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::{csrf::Tie, guest::Guest, visit::Visit};
use crate::{
    domain::{Error, factor::Method},
    http::{
        failure::Failure,
        route,
        view::{Asking, FactorPage, Fault},
    },
    service::{proofs::Proof, step_up},
};

/// Adds the routes of this file.
pub(super) fn routes(route: Route) -> Route {
    route.at("/ui/step-up", route::named("/ui/step-up", get(show).post(take)))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Wish {
    realm: Option<String>,
    /// Where to go on, by a word of [`place`].
    to: String,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Fields {
    csrf: String,
    to: String,
    password: SecretString,
    code: SecretString,
    ceremony: String,
    credential: String,
}

/// The pages that may ask for a fresh proof.
fn place(to: &str) -> &'static str {
    match to {
        "totp" => "/ui/account/totp",
        "passkey" => "/ui/account/passkeys/new",
        _ => "/ui/account",
    }
}

#[handler]
async fn show(req: &Request, guest: Guest, wish: Query<Wish>) -> Result<Response> {
    let visit = Visit::of_person(req, guest, wish.realm.as_deref()).await?;
    if !visit.is_signed_in() {
        return Ok(visit.go("/ui/sign-in"));
    }
    page(visit, StatusCode::OK, wish.0.to, Vec::new()).await
}

async fn page(mut visit: Visit<'_>, status: StatusCode, to: String, faults: Vec<Fault>) -> Result<Response> {
    let methods = step_up::methods(visit.app, &visit.ctx).await.map_err(Failure::from)?;
    let asking = if methods.contains(&Method::Passkey) {
        let asked = step_up::ask_passkey(visit.app, &visit.ctx).await.map_err(Failure::from)?;
        Some(Asking { ceremony: asked.ceremony, options: asked.options.to_string() })
    } else {
        None
    };
    let page = FactorPage {
        realm: visit.realm_name(),
        csrf: visit.form(Tie::Session),
        says: "page.step_up",
        action: "step-up",
        code: methods.iter().any(|method| [Method::Totp, Method::RecoveryCode].contains(method)),
        password: methods.contains(&Method::Password),
        asking,
        trust_days: 0,
        back: visit.href("/ui/account"),
        to,
        faults,
    };
    Ok(visit.page(status, &page))
}

#[handler]
async fn take(req: &Request, guest: Guest, fields: Form<Fields>) -> Result<Response> {
    let Fields { csrf, to, password, code, ceremony, credential } = fields.0;
    let visit = Visit::posted(req, guest, &csrf, Tie::Session).await?;
    if !visit.is_signed_in() {
        return Ok(visit.go("/ui/sign-in"));
    }
    let proof = if !credential.is_empty() {
        Proof::Passkey { ceremony, answer: serde_json::from_str(&credential).unwrap_or_default() }
    } else if code.expose_secret().is_empty() {
        Proof::Password(password)
    } else {
        Proof::of_code(code)
    };
    let (status, faults, wait) = match step_up::prove_on_pages(visit.app, &visit.ctx, &proof).await {
        Ok(()) => return Ok(visit.go(place(&to))),
        Err(Error::WrongPassword) => (StatusCode::FORBIDDEN, visit.fault("password", "page.account.wrong_password"), None),
        Err(Error::InvalidFactorCode | Error::NotPermitted) => (StatusCode::UNPROCESSABLE_ENTITY, visit.fault("code", "page.factor.wrong"), None),
        Err(Error::InvalidPasskey) => (StatusCode::UNPROCESSABLE_ENTITY, visit.fault("", "page.passkey.refused"), None),
        Err(Error::RateLimited { retry_after }) => (StatusCode::TOO_MANY_REQUESTS, visit.wait(retry_after), Some(retry_after)),
        Err(error) => return Err(Failure::from(error).into()),
    };
    let mut reply = page(visit, status, to, faults).await?;
    if let Some(seconds) = wait {
        reply.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    Ok(reply)
}

//! `/ui/sign-in` and `/ui/sign-out`.
//!
//! Says the same to strangers as the API does. A sign-in always begins a new session; the one that the browser had ends.

use poem::{
    Request, Response, Result, Route, get, handler,
    http::{StatusCode, header},
    web::{Form, Query},
};
use secrecy::SecretString;
use serde::Deserialize;

use super::{
    csrf::Tie,
    flow::{Flow, Notice},
    guest::Guest,
    second_half::lead_on,
    visit::Visit,
};
use crate::{
    domain::{Error, factor::MfaPolicy, return_to::ReturnTo},
    http::{
        failure::Failure,
        route,
        view::{Fault, Link, SignInPage, SignOutPage},
    },
    service::{login, sessions},
};

/// Adds the routes of this file.
pub(super) fn routes(route: Route) -> Route {
    route
        .at("/ui/sign-in", route::named("/ui/sign-in", get(show).post(take)))
        .at("/ui/sign-out", route::named("/ui/sign-out", get(show_sign_out).post(take_sign_out)))
}

/// What a link to a page may say.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Arrival {
    /// The realm, where the address does not tell it.
    pub(super) realm: Option<String>,
    /// Where to go once signed in.
    pub(super) return_to: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct SignInFields {
    csrf: String,
    email: String,
    password: SecretString,
    return_to: String,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct SignOutFields {
    csrf: String,
}

#[handler]
async fn show(req: &Request, guest: Guest, arrival: Query<Arrival>) -> Result<Response> {
    let mut visit = Visit::shown(req, guest, arrival.realm.as_deref()).await?;
    let flow = visit.flow();
    let place = visit.place(arrival.return_to.as_deref().or(flow.return_to.as_deref()));
    if visit.is_signed_in() {
        return Ok(enter(visit, place.as_ref()));
    }
    let notice = visit.take_notice();
    Ok(form(visit, StatusCode::OK, flow.email.unwrap_or_default(), place.as_ref(), notice, Vec::new()))
}

fn form(mut visit: Visit<'_>, status: StatusCode, email: String, place: Option<&ReturnTo>, notice: Option<String>, faults: Vec<Fault>) -> Response {
    let sign_up = visit.ctx.realm.settings.sign_up.then(|| visit.href_with("/ui/sign-up", place));
    let mut ways = Vec::new();
    if visit.ctx.realm.settings.mfa != MfaPolicy::Off {
        ways.push(Link { label: visit.say("page.sign_in.passkey"), href: visit.href_with("/ui/sign-in/passkey", place) });
    }
    if visit.ctx.realm.settings.magic_link {
        ways.push(Link { label: visit.say("page.sign_in.link"), href: visit.href("/ui/sign-in/link") });
    }
    let page = SignInPage {
        realm: visit.realm_name(),
        ways,
        csrf: visit.form(Tie::Browser),
        email,
        return_to: place.map(|place| place.href().to_owned()).unwrap_or_default(),
        sign_up,
        forgot: visit.href("/ui/forgot-password"),
        notice,
        faults,
    };
    visit.page_to(status, &page, place)
}

/// On to where the person wanted to go.
pub(super) fn enter(visit: Visit<'_>, place: Option<&ReturnTo>) -> Response {
    match place {
        Some(place) => visit.go_on(place),
        None => visit.go("/ui/account"),
    }
}

#[handler]
async fn take(req: &Request, guest: Guest, fields: Form<SignInFields>) -> Result<Response> {
    let SignInFields { csrf, email, password, return_to } = fields.0;
    let mut visit = Visit::posted(req, guest, &csrf, Tie::Browser).await?;
    let place = visit.place(Some(&return_to));
    let (status, faults, wait) = match login::on_pages(visit.app, &visit.ctx, &email, &password, visit.had).await {
        Ok(entered) => {
            visit.sign_in(&entered);
            visit.keep(&Flow::default());
            return Ok(enter(visit, place.as_ref()));
        }
        Err(Error::EmailNotVerified) => {
            let realm = visit.ctx.realm.name.clone();
            visit.keep(&Flow {
                realm,
                email: Some(email),
                return_to: place.map(|place| place.href().to_owned()),
                notice: Some(Notice::Unverified),
                done: None,
            });
            return Ok(visit.go("/ui/verify-email/code"));
        }
        Err(Error::InvalidCredentials) => (StatusCode::UNPROCESSABLE_ENTITY, visit.fault("email", "page.sign_in.wrong"), None),
        Err(Error::AccountLocked) => (StatusCode::FORBIDDEN, visit.fault("", "page.sign_in.locked"), None),
        Err(Error::RateLimited { retry_after }) => (StatusCode::TOO_MANY_REQUESTS, visit.wait(retry_after), Some(retry_after)),
        Err(error) => match lead_on(visit, error, place.as_ref()) {
            Ok(reply) => return Ok(reply),
            Err(other) => return Err(Failure::from(other.1).into()),
        },
    };
    let mut reply = form(visit, status, email, place.as_ref(), None, faults);
    if let Some(seconds) = wait {
        reply.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    Ok(reply)
}

#[handler]
async fn show_sign_out(req: &Request, guest: Guest, arrival: Query<Arrival>) -> Result<Response> {
    let mut visit = Visit::of_person(req, guest, arrival.realm.as_deref()).await?;
    if !visit.is_signed_in() {
        return Ok(visit.go("/ui/sign-in"));
    }
    let page = SignOutPage { realm: visit.realm_name(), csrf: visit.form(Tie::Session), account: visit.href("/ui/account") };
    Ok(visit.page(StatusCode::OK, &page))
}

#[handler]
async fn take_sign_out(req: &Request, guest: Guest, fields: Form<SignOutFields>) -> Result<Response> {
    let mut visit = Visit::posted(req, guest, &fields.csrf, Tie::Session).await?;
    if visit.is_signed_in() {
        sessions::log_out(visit.app, &visit.ctx).await.map_err(Failure::from)?;
    }
    visit.sign_out();
    visit.leave_notice(Notice::SignedOut);
    Ok(visit.go("/ui/sign-in"))
}

//! `/ui/sign-in/factor`, `/ui/sign-in/enrol`, `/ui/sign-in/passkey`, `/ui/sign-in/link`, `/ui/magic-link`, `/ui/not-me`: what a
//! sign-in asks for beside the password, and the ways in without one.
//!
//! A sign-in that waits is carried by a cookie of its own, which opens nothing but these pages.

use poem::{
    Request, Response, Result, Route, get, handler,
    http::{StatusCode, header},
    web::{Form, Query},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::{
    csrf::Tie,
    factors::{codes_or, sheet_page},
    flow::{Done, Flow, Notice},
    guest::Guest,
    pages::Mailed,
    sign_in::{Arrival, enter},
    visit::Visit,
};
use crate::{
    domain::{Error, Result as Outcome, factor::Method, return_to::ReturnTo},
    http::{
        failure::Failure,
        route,
        view::{AskLinkPage, Asking, FactorPage, Fault, Link, NoticePage, PasskeySignInPage, PressPage, Tone},
    },
    service::{login::LoggedInOnPages, magic_link, mfa, not_me, passkey_login, passkeys, proofs::Proof},
};

/// Adds the routes of this file.
pub(super) fn routes(route: Route) -> Route {
    route
        .at("/ui/sign-in/factor", route::named("/ui/sign-in/factor", get(show_factor).post(take_factor)))
        .at("/ui/sign-in/enrol", route::named("/ui/sign-in/enrol", get(show_enrol).post(take_enrol)))
        .at("/ui/sign-in/passkey", route::named("/ui/sign-in/passkey", get(show_passkey).post(take_passkey)))
        .at("/ui/sign-in/link", route::named("/ui/sign-in/link", get(show_ask_link).post(take_ask_link)))
        .at("/ui/magic-link", route::named("/ui/magic-link", get(show_link).post(take_link)))
        .at("/ui/not-me", route::named("/ui/not-me", get(show_not_me).post(take_not_me)))
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Fields {
    csrf: String,
    code: SecretString,
    trust: String,
    ceremony: String,
    credential: String,
    email: String,
    token: String,
    to: String,
}

/// Where to go once in, as the page before kept it.
fn place_of(visit: &Visit<'_>) -> Option<ReturnTo> {
    let flow = visit.flow();
    visit.place(flow.return_to.as_deref())
}

/// In, and on to where the person wanted to go.
fn enter_with(mut visit: Visit<'_>, entered: &LoggedInOnPages) -> Response {
    let place = place_of(&visit);
    visit.sign_in(entered);
    visit.forget_waiting();
    visit.keep(&Flow::default());
    enter(visit, place.as_ref())
}

/// The sign-in waits no more: from the start.
fn again(mut visit: Visit<'_>) -> Response {
    visit.forget_waiting();
    visit.leave_notice(Notice::SignInAgain);
    visit.go("/ui/sign-in")
}

/// A sign-in that asked for more than its first proof, led on; any other error as it is.
pub(super) fn lead_on<'a>(mut visit: Visit<'a>, error: Error, place: Option<&ReturnTo>) -> Outcome<Response, Box<(Visit<'a>, Error)>> {
    let (token, path) = match &error {
        Error::FactorWanted { token, .. } => (token, "/ui/sign-in/factor"),
        Error::EnrolmentWanted { token, .. } => (token, "/ui/sign-in/enrol"),
        _ => return Err(Box::new((visit, error))),
    };
    visit.keep_waiting(token);
    visit.keep(&Flow { realm: visit.ctx.realm.name.clone(), return_to: place.map(|place| place.href().to_owned()), ..Flow::default() });
    Ok(visit.go(path))
}

#[handler]
async fn show_factor(req: &Request, guest: Guest, arrival: Query<Arrival>) -> Result<Response> {
    let visit = Visit::shown(req, guest, arrival.realm.as_deref()).await?;
    factor_page(visit, StatusCode::OK, Vec::new()).await
}

async fn factor_page(mut visit: Visit<'_>, status: StatusCode, faults: Vec<Fault>) -> Result<Response> {
    let Some(token) = visit.waiting() else { return Ok(again(visit)) };
    let methods = match mfa::methods(visit.app, &visit.ctx, &token).await {
        Ok(methods) => methods,
        Err(Error::InvalidFactorToken) => return Ok(again(visit)),
        Err(error) => return Err(Failure::from(error).into()),
    };
    let asking = if methods.contains(&Method::Passkey) {
        let asked = mfa::ask_passkey(visit.app, &visit.ctx, &token).await.map_err(Failure::from)?;
        Some(Asking { ceremony: asked.ceremony, options: asked.options.to_string() })
    } else {
        None
    };
    let page = FactorPage {
        realm: visit.realm_name(),
        csrf: visit.form(Tie::Browser),
        says: "page.factor",
        action: "sign-in/factor",
        code: methods.iter().any(|method| [Method::Totp, Method::RecoveryCode].contains(method)),
        password: false,
        asking,
        trust_days: visit.ctx.realm.settings.lifetimes.trusted_device / 86_400,
        back: visit.href("/ui/sign-in"),
        to: String::new(),
        faults,
    };
    // The form may lead on to a foreign place.
    let place = place_of(&visit);
    Ok(visit.page_to(status, &page, place.as_ref()))
}

#[handler]
async fn take_factor(req: &Request, guest: Guest, fields: Form<Fields>) -> Result<Response> {
    let Fields { csrf, code, trust, ceremony, credential, .. } = fields.0;
    let visit = Visit::posted(req, guest, &csrf, Tie::Browser).await?;
    let Some(token) = visit.waiting() else { return Ok(again(visit)) };
    let proof =
        if credential.is_empty() { Proof::of_code(code) } else { Proof::Passkey { ceremony, answer: serde_json::from_str(&credential).unwrap_or_default() } };
    let answer = mfa::Answer { token: &token, proof: &proof, trust: trust == "yes" };
    let (status, faults, wait) = match mfa::verify_on_pages(visit.app, &visit.ctx, answer, visit.had).await {
        Ok(entered) => return Ok(enter_with(visit, &entered)),
        Err(Error::InvalidFactorToken) => return Ok(again(visit)),
        Err(Error::InvalidFactorCode) => (StatusCode::UNPROCESSABLE_ENTITY, visit.fault("code", "page.factor.wrong"), None),
        Err(Error::InvalidPasskey) => (StatusCode::UNPROCESSABLE_ENTITY, visit.fault("", "page.passkey.refused"), None),
        Err(Error::RateLimited { retry_after }) => (StatusCode::TOO_MANY_REQUESTS, visit.wait(retry_after), Some(retry_after)),
        Err(error) => return Err(Failure::from(error).into()),
    };
    waiting(factor_page(visit, status, faults).await?, wait)
}

fn waiting(mut reply: Response, wait: Option<u64>) -> Result<Response> {
    if let Some(seconds) = wait {
        reply.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    Ok(reply)
}

#[handler]
async fn show_enrol(req: &Request, guest: Guest, arrival: Query<Arrival>) -> Result<Response> {
    let visit = Visit::shown(req, guest, arrival.realm.as_deref()).await?;
    enrol_page(visit, StatusCode::OK, Vec::new()).await
}

async fn enrol_page(mut visit: Visit<'_>, status: StatusCode, faults: Vec<Fault>) -> Result<Response> {
    let Some(token) = visit.waiting() else { return Ok(again(visit)) };
    let sheet = match mfa::pending_totp(visit.app, &visit.ctx, &token).await {
        Ok(Some(sheet)) => Ok(sheet),
        Ok(None) => mfa::begin_totp(visit.app, &visit.ctx, &token).await,
        Err(error) => Err(error),
    };
    match sheet {
        Ok(sheet) => {
            let (csrf, back) = (visit.form(Tie::Browser), visit.href("/ui/sign-in"));
            let page = sheet_page(&visit, &sheet, ("page.enrol", "sign-in/enrol"), (csrf, back, faults)).map_err(Failure::from)?;
            Ok(visit.page(status, &page))
        }
        Err(Error::InvalidFactorToken) => Ok(again(visit)),
        Err(error) => Err(Failure::from(error).into()),
    }
}

#[handler]
async fn take_enrol(req: &Request, guest: Guest, fields: Form<Fields>) -> Result<Response> {
    let mut visit = Visit::posted(req, guest, &fields.csrf, Tie::Browser).await?;
    let Some(token) = visit.waiting() else { return Ok(again(visit)) };
    let first = mfa::First::Totp(fields.code.expose_secret());
    match mfa::enrol_on_pages(visit.app, &visit.ctx, &token, first, visit.had).await {
        Ok((entered, codes)) => {
            let place = place_of(&visit);
            let href = place.as_ref().map_or_else(|| visit.href("/ui/account"), |place| place.href().to_owned());
            let on = Link { label: visit.say("page.codes.go_on"), href };
            visit.sign_in(&entered);
            visit.forget_waiting();
            visit.keep(&Flow::default());
            Ok(codes_or(visit, codes, Notice::FactorAdded, on))
        }
        Err(Error::InvalidFactorToken) => Ok(again(visit)),
        Err(Error::InvalidFactorCode) => {
            let faults = visit.fault("code", "page.factor.wrong");
            enrol_page(visit, StatusCode::UNPROCESSABLE_ENTITY, faults).await
        }
        Err(error) => Err(Failure::from(error).into()),
    }
}

#[handler]
async fn show_passkey(req: &Request, guest: Guest, arrival: Query<Arrival>) -> Result<Response> {
    let visit = Visit::shown(req, guest, arrival.realm.as_deref()).await?;
    let place = visit.place(arrival.return_to.as_deref());
    passkey_page(visit, StatusCode::OK, place.as_ref(), Vec::new()).await
}

async fn passkey_page(mut visit: Visit<'_>, status: StatusCode, place: Option<&ReturnTo>, faults: Vec<Fault>) -> Result<Response> {
    let asked = passkeys::ask_anybody(visit.app, &visit.ctx).await.map_err(Failure::from)?;
    let page = PasskeySignInPage {
        realm: visit.realm_name(),
        csrf: visit.form(Tie::Browser),
        asking: Asking { ceremony: asked.ceremony, options: asked.options.to_string() },
        back: visit.href_with("/ui/sign-in", place),
        return_to: place.map(|place| place.href().to_owned()).unwrap_or_default(),
        faults,
    };
    Ok(visit.page_to(status, &page, place))
}

#[handler]
async fn take_passkey(req: &Request, guest: Guest, fields: Form<Fields>) -> Result<Response> {
    let Fields { csrf, ceremony, credential, to, .. } = fields.0;
    let mut visit = Visit::posted(req, guest, &csrf, Tie::Browser).await?;
    let place = visit.place(Some(&to));
    let answer = serde_json::from_str(&credential).unwrap_or_default();
    let (status, faults, wait) = match passkey_login::with_passkey_on_pages(visit.app, &visit.ctx, &ceremony, &answer, visit.had).await {
        Ok(entered) => {
            visit.sign_in(&entered);
            visit.keep(&Flow::default());
            return Ok(enter(visit, place.as_ref()));
        }
        Err(Error::InvalidPasskey) => (StatusCode::UNPROCESSABLE_ENTITY, visit.fault("", "page.passkey.refused"), None),
        Err(Error::AccountLocked) => (StatusCode::FORBIDDEN, visit.fault("", "page.sign_in.locked"), None),
        Err(Error::RateLimited { retry_after }) => (StatusCode::TOO_MANY_REQUESTS, visit.wait(retry_after), Some(retry_after)),
        Err(error) => return Err(Failure::from(error).into()),
    };
    waiting(passkey_page(visit, status, place.as_ref(), faults).await?, wait)
}

#[handler]
async fn show_ask_link(req: &Request, guest: Guest, arrival: Query<Arrival>) -> Result<Response> {
    let visit = Visit::shown(req, guest, arrival.realm.as_deref()).await?;
    if !visit.ctx.realm.settings.magic_link {
        return Err(Failure::from(Error::NotFound).into());
    }
    let email = visit.flow().email.unwrap_or_default();
    Ok(ask_link_page(visit, StatusCode::OK, email, Vec::new()))
}

fn ask_link_page(mut visit: Visit<'_>, status: StatusCode, email: String, faults: Vec<Fault>) -> Response {
    let page = AskLinkPage { realm: visit.realm_name(), csrf: visit.form(Tie::Browser), email, back: visit.href("/ui/sign-in"), faults };
    visit.page(status, &page)
}

#[handler]
async fn take_ask_link(req: &Request, guest: Guest, fields: Form<Fields>) -> Result<Response> {
    let visit = Visit::posted(req, guest, &fields.csrf, Tie::Browser).await?;
    match magic_link::request(visit.app, &visit.ctx, &fields.email).await {
        Ok(()) => Ok(visit.done(Done::LinkComing)),
        Err(Error::Invalid(faults)) => {
            let faults = visit.faults(&faults);
            Ok(ask_link_page(visit, StatusCode::UNPROCESSABLE_ENTITY, fields.0.email, faults))
        }
        Err(Error::RateLimited { retry_after }) => {
            let faults = visit.wait(retry_after);
            waiting(ask_link_page(visit, StatusCode::TOO_MANY_REQUESTS, fields.0.email, faults), Some(retry_after))
        }
        Err(error) => Err(Failure::from(error).into()),
    }
}

fn press(mut visit: Visit<'_>, token: String, (says, action): (&'static str, &'static str)) -> Response {
    let page = PressPage { realm: visit.realm_name(), csrf: visit.form(Tie::Browser), token, says, action };
    visit.page(StatusCode::OK, &page)
}

fn dead(visit: Visit<'_>) -> Response {
    let notice = NoticePage { realm: Some(visit.realm_name()), says: "page.notice.link_dead".to_owned(), tone: Tone::Bad, link: Some(visit.way_on()) };
    visit.page(StatusCode::BAD_REQUEST, &notice)
}

#[handler]
async fn show_link(req: &Request, guest: Guest, link: Query<Mailed>) -> Result<Response> {
    let visit = Visit::shown(req, guest, link.realm.as_deref()).await?;
    Ok(press(visit, link.0.token, ("page.magic_link", "magic-link")))
}

#[handler]
async fn take_link(req: &Request, guest: Guest, fields: Form<Fields>) -> Result<Response> {
    let mut visit = Visit::posted(req, guest, &fields.csrf, Tie::Browser).await?;
    match magic_link::follow_on_pages(visit.app, &visit.ctx, &fields.token, visit.had).await {
        Ok(entered) => {
            visit.sign_in(&entered);
            visit.keep(&Flow::default());
            Ok(enter(visit, None))
        }
        Err(Error::InvalidOneTimeToken) => Ok(dead(visit)),
        Err(error) => match lead_on(visit, error, None) {
            Ok(reply) => Ok(reply),
            Err(other) => Err(Failure::from(other.1).into()),
        },
    }
}

#[handler]
async fn show_not_me(req: &Request, guest: Guest, link: Query<Mailed>) -> Result<Response> {
    let visit = Visit::shown(req, guest, link.realm.as_deref()).await?;
    Ok(press(visit, link.0.token, ("page.not_me", "not-me")))
}

#[handler]
async fn take_not_me(req: &Request, guest: Guest, fields: Form<Fields>) -> Result<Response> {
    let visit = Visit::posted(req, guest, &fields.csrf, Tie::Browser).await?;
    match not_me::disown(visit.app, &visit.ctx, &fields.token).await {
        Ok(()) => Ok(visit.done(Done::SignInDisowned)),
        Err(Error::InvalidOneTimeToken) => Ok(dead(visit)),
        Err(error) => Err(Failure::from(error).into()),
    }
}

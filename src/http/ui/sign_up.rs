//! `/ui/sign-up`, and `/ui/verify-email/code` behind it: look into your mailbox, or type the code of the mail.
//!
//! Both say the same whether or not the address has an account already.

use poem::{
    Request, Response, Result, Route, get, handler,
    http::StatusCode,
    web::{Form, Query},
};
use secrecy::SecretString;
use serde::Deserialize;

use super::{
    csrf::Tie,
    flow::{Flow, Notice},
    guest::Guest,
    sign_in::Arrival,
    visit::Visit,
};
use crate::{
    domain::{Error, return_to::ReturnTo},
    http::{
        failure::Failure,
        route,
        view::{CodePage, Fault, NoticePage, SignUpPage, Tone},
    },
    service::{
        registration::{self, SignUp},
        verification,
    },
};

/// Adds the routes of this file.
pub(super) fn routes(route: Route) -> Route {
    route
        .at("/ui/sign-up", route::named("/ui/sign-up", get(show).post(take)))
        .at("/ui/verify-email/code", route::named("/ui/verify-email/code", get(show_code).post(take_code)))
        .at("/ui/verify-email/code/resend", route::named("/ui/verify-email/code/resend", poem::post(take_resend)))
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct SignUpFields {
    csrf: String,
    name: String,
    email: String,
    password: SecretString,
    company: String,
    return_to: String,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct CodeFields {
    csrf: String,
    email: String,
    code: String,
}

#[handler]
async fn show(req: &Request, guest: Guest, arrival: Query<Arrival>) -> Result<Response> {
    let visit = Visit::shown(req, guest, arrival.realm.as_deref()).await?;
    let place = visit.place(arrival.return_to.as_deref());
    if visit.is_signed_in() {
        return Ok(visit.go("/ui/account"));
    }
    if !visit.ctx.realm.settings.sign_up {
        return Ok(closed(visit));
    }
    form(visit, StatusCode::OK, SignUpFields::default(), place.as_ref(), Vec::new())
}

fn closed(visit: Visit<'_>) -> Response {
    let page = NoticePage { realm: Some(visit.realm_name()), says: "page.notice.sign_up_closed".to_owned(), tone: Tone::Info, link: None };
    visit.page(StatusCode::FORBIDDEN, &page)
}

fn form(mut visit: Visit<'_>, status: StatusCode, typed: SignUpFields, place: Option<&ReturnTo>, faults: Vec<Fault>) -> Result<Response> {
    // At the root realm the person gets an account, which is named after the company.
    let with_company = visit.app.root().map_err(Failure::from)?.realm == visit.ctx.realm.id;
    let page = SignUpPage {
        realm: visit.realm_name(),
        csrf: visit.form(Tie::Browser),
        name: typed.name,
        email: typed.email,
        company: with_company.then_some(typed.company),
        min: visit.ctx.realm.settings.password_min,
        return_to: place.map(|place| place.href().to_owned()).unwrap_or_default(),
        sign_in: visit.href_with("/ui/sign-in", place),
        faults,
    };
    Ok(visit.page(status, &page))
}

#[handler]
async fn take(req: &Request, guest: Guest, fields: Form<SignUpFields>) -> Result<Response> {
    let mut fields = fields.0;
    let mut visit = Visit::posted(req, guest, &fields.csrf, Tie::Browser).await?;
    let place = visit.place(Some(&fields.return_to));
    let (name, email, password) = (fields.name.clone(), fields.email.clone(), std::mem::take(&mut fields.password));
    let input = SignUp { name, email, password, company: Some(fields.company.clone()), country: None, phone: None };
    match registration::sign_up(visit.app, &visit.ctx, input).await {
        Ok(signed_up) => {
            let (realm, email) = (visit.ctx.realm.name.clone(), signed_up.email.to_string());
            visit.keep(&Flow { realm, email: Some(email), return_to: place.map(|place| place.href().to_owned()), notice: None, done: None });
            Ok(visit.go("/ui/verify-email/code"))
        }
        Err(Error::Invalid(faults)) => {
            let faults = visit.faults(&faults);
            form(visit, StatusCode::UNPROCESSABLE_ENTITY, fields, place.as_ref(), faults)
        }
        Err(Error::RateLimited { retry_after }) => {
            let faults = visit.wait(retry_after);
            form(visit, StatusCode::TOO_MANY_REQUESTS, fields, place.as_ref(), faults)
        }
        Err(Error::NotPermitted) => Ok(closed(visit)),
        Err(error) => Err(Failure::from(error).into()),
    }
}

#[handler]
async fn show_code(req: &Request, guest: Guest, arrival: Query<Arrival>) -> Result<Response> {
    let mut visit = Visit::shown(req, guest, arrival.realm.as_deref()).await?;
    let notice = visit.take_notice();
    Ok(code_form(visit, StatusCode::OK, String::new(), notice, Vec::new()))
}

fn code_form(mut visit: Visit<'_>, status: StatusCode, typed: String, notice: Option<String>, faults: Vec<Fault>) -> Response {
    let flow = visit.flow();
    let place = visit.place(flow.return_to.as_deref());
    let sign_up = visit.ctx.realm.settings.sign_up.then(|| visit.href_with("/ui/sign-up", place.as_ref()));
    let page = CodePage {
        realm: visit.realm_name(),
        csrf: visit.form(Tie::Browser),
        email: flow.email,
        typed,
        sign_up,
        sign_in: visit.href_with("/ui/sign-in", place.as_ref()),
        notice,
        faults,
    };
    visit.page(status, &page)
}

#[handler]
async fn take_code(req: &Request, guest: Guest, fields: Form<CodeFields>) -> Result<Response> {
    let CodeFields { csrf, email: typed, code } = fields.0;
    let mut visit = Visit::posted(req, guest, &csrf, Tie::Browser).await?;
    let flow = visit.flow();
    let email = flow.email.clone().unwrap_or_else(|| typed.clone());
    // People copy the digits with the spaces that a mail program puts between them.
    let digits: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    let (status, faults) = match verification::verify_by_code(visit.app, &visit.ctx, &email, &digits).await {
        Ok(email) => {
            visit.keep(&Flow { email: Some(email.to_string()), notice: Some(Notice::Verified), ..flow });
            return Ok(visit.go("/ui/sign-in"));
        }
        Err(Error::InvalidOneTimeToken) => (StatusCode::BAD_REQUEST, visit.fault("code", "page.code.wrong")),
        Err(Error::Invalid(faults)) => (StatusCode::UNPROCESSABLE_ENTITY, visit.faults(&faults)),
        Err(Error::RateLimited { retry_after }) => (StatusCode::TOO_MANY_REQUESTS, visit.wait(retry_after)),
        Err(error) => return Err(Failure::from(error).into()),
    };
    Ok(code_form(visit, status, typed, None, faults))
}

#[handler]
async fn take_resend(req: &Request, guest: Guest, fields: Form<CodeFields>) -> Result<Response> {
    let mut visit = Visit::posted(req, guest, &fields.csrf, Tie::Browser).await?;
    let flow = visit.flow();
    let email = flow.email.clone().unwrap_or_else(|| fields.email.clone());
    match verification::resend(visit.app, &visit.ctx, &email).await {
        Ok(()) => {
            visit.keep(&Flow { email: Some(email), notice: Some(Notice::Resent), ..flow });
            Ok(visit.go("/ui/verify-email/code"))
        }
        Err(Error::Invalid(faults)) => {
            let faults = visit.faults(&faults);
            Ok(code_form(visit, StatusCode::UNPROCESSABLE_ENTITY, email, None, faults))
        }
        Err(error) => Err(Failure::from(error).into()),
    }
}

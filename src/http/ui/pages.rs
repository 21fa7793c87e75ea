//! `/ui/verify-email`, `/ui/reset-password`, `/ui/forgot-password`, `/ui/unlock-sign-in`, `/ui/setup`: show the form, take the form.
//!
//! What was done is told by `/ui/done`, to which a good post leads, so that loading the page again repeats nothing. A post
//! that failed shows its form again.

use poem::{
    Request, Response, Result, Route, get, handler,
    http::{StatusCode, header},
    web::{Form, Query},
};
use secrecy::SecretString;
use serde::Deserialize;

use super::{csrf::Tie, flow::Done, guest::Guest, visit::Visit};
use crate::{
    domain::Error,
    http::{
        failure::Failure,
        route,
        view::{ForgotPasswordPage, NoticePage, ResetPasswordPage, STYLESHEET, SetupPage, Tone, UnlockSignInPage, VerifyEmailFailedPage, VerifyEmailPage},
    },
    service::{installation, password_reset, sign_in_link, verification},
};

/// Adds the routes of this file.
pub(super) fn routes(route: Route) -> Route {
    route
        .at("/ui/style.css", route::named("/ui/style.css", get(style)))
        .at("/ui/verify-email", route::named("/ui/verify-email", get(show_verify).post(take_verify)))
        .at("/ui/verify-email/resend", route::named("/ui/verify-email/resend", poem::post(take_resend)))
        .at("/ui/reset-password", route::named("/ui/reset-password", get(show_reset).post(take_reset)))
        .at("/ui/forgot-password", route::named("/ui/forgot-password", get(show_forgot).post(take_forgot)))
        .at("/ui/unlock-sign-in", route::named("/ui/unlock-sign-in", get(show_unlock).post(take_unlock)))
        .at("/ui/setup", route::named("/ui/setup", get(show_setup).post(take_setup)))
        .at("/ui/done", route::named("/ui/done", get(show_done)))
}

/// The style sheet; its address names its content, so that it may be kept.
#[handler]
fn style() -> Response {
    Response::builder().content_type("text/css; charset=utf-8").header(header::CACHE_CONTROL, "public, max-age=31536000, immutable").body(STYLESHEET)
}

/// What a mailed link carries.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Mailed {
    pub(super) token: String,
    /// The realm, where the address does not tell it.
    pub(super) realm: Option<String>,
}

/// The fields of every form here; one that a form lacks is empty.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Fields {
    pub(super) token: String,
    pub(super) csrf: String,
    email: String,
    name: String,
    password: SecretString,
}

/// What the last post did.
#[handler]
async fn show_done(req: &Request, guest: Guest, link: Query<Mailed>) -> Result<Response> {
    let visit = Visit::shown(req, guest, link.realm.as_deref()).await?;
    Ok(match visit.flow().done {
        Some(done) => {
            let notice = NoticePage { realm: Some(visit.realm_name()), says: done.key().to_owned(), tone: done.tone(), link: Some(visit.way_on()) };
            visit.page(StatusCode::OK, &notice)
        }
        None => visit.go("/ui/sign-in"),
    })
}

#[handler]
async fn show_verify(req: &Request, guest: Guest, link: Query<Mailed>) -> Result<Response> {
    let mut visit = Visit::shown(req, guest, link.realm.as_deref()).await?;
    let page = VerifyEmailPage { realm: visit.realm_name(), token: link.0.token, csrf: visit.form(Tie::Browser) };
    Ok(visit.page(StatusCode::OK, &page))
}

#[handler]
async fn take_verify(req: &Request, guest: Guest, fields: Form<Fields>) -> Result<Response> {
    let visit = Visit::posted(req, guest, &fields.csrf, Tie::Browser).await?;
    match verification::verify_by_token(visit.app, &visit.ctx, &fields.token).await {
        Ok(_) => Ok(visit.done(Done::Verified)),
        Err(Error::InvalidOneTimeToken) => Ok(verify_failed(visit, String::new(), Vec::new())),
        Err(error) => Err(Failure::from(error).into()),
    }
}

fn verify_failed(mut visit: Visit<'_>, email: String, errors: Vec<String>) -> Response {
    let page = VerifyEmailFailedPage { realm: visit.realm_name(), csrf: visit.form(Tie::Browser), email, errors };
    visit.page(StatusCode::BAD_REQUEST, &page)
}

#[handler]
async fn take_resend(req: &Request, guest: Guest, fields: Form<Fields>) -> Result<Response> {
    let visit = Visit::posted(req, guest, &fields.csrf, Tie::Browser).await?;
    match verification::resend(visit.app, &visit.ctx, &fields.email).await {
        Ok(()) => Ok(visit.done(Done::VerificationComing)),
        Err(Error::Invalid(faults)) => {
            let errors = visit.sentences(&faults);
            Ok(verify_failed(visit, fields.0.email, errors))
        }
        Err(error) => Err(Failure::from(error).into()),
    }
}

#[handler]
async fn show_forgot(req: &Request, guest: Guest, link: Query<Mailed>) -> Result<Response> {
    let visit = Visit::shown(req, guest, link.realm.as_deref()).await?;
    Ok(forgot(visit, StatusCode::OK, String::new(), false, Vec::new()))
}

fn forgot(mut visit: Visit<'_>, status: StatusCode, email: String, expired: bool, errors: Vec<String>) -> Response {
    let page = ForgotPasswordPage { realm: visit.realm_name(), csrf: visit.form(Tie::Browser), email, expired, errors };
    visit.page(status, &page)
}

#[handler]
async fn take_forgot(req: &Request, guest: Guest, fields: Form<Fields>) -> Result<Response> {
    let visit = Visit::posted(req, guest, &fields.csrf, Tie::Browser).await?;
    match password_reset::request(visit.app, &visit.ctx, &fields.email).await {
        Ok(()) => Ok(visit.done(Done::ResetComing)),
        Err(Error::Invalid(faults)) => {
            let errors = visit.sentences(&faults);
            Ok(forgot(visit, StatusCode::UNPROCESSABLE_ENTITY, fields.0.email, false, errors))
        }
        Err(error) => Err(Failure::from(error).into()),
    }
}

#[handler]
async fn show_reset(req: &Request, guest: Guest, link: Query<Mailed>) -> Result<Response> {
    let visit = Visit::shown(req, guest, link.realm.as_deref()).await?;
    if link.token.is_empty() {
        return Ok(forgot(visit, StatusCode::OK, String::new(), true, Vec::new()));
    }
    Ok(reset_form(visit, StatusCode::OK, link.0.token, Vec::new()))
}

fn reset_form(mut visit: Visit<'_>, status: StatusCode, token: String, errors: Vec<String>) -> Response {
    let min = visit.ctx.realm.settings.password_min;
    let page = ResetPasswordPage { realm: visit.realm_name(), token, csrf: visit.form(Tie::Browser), min, errors };
    visit.page(status, &page)
}

#[handler]
async fn take_reset(req: &Request, guest: Guest, fields: Form<Fields>) -> Result<Response> {
    let visit = Visit::posted(req, guest, &fields.csrf, Tie::Browser).await?;
    let fields = fields.0;
    match password_reset::confirm(visit.app, &visit.ctx, &fields.token, fields.password).await {
        Ok(()) => Ok(visit.done(Done::PasswordSet)),
        Err(Error::Invalid(faults)) => {
            let errors = visit.sentences(&faults);
            Ok(reset_form(visit, StatusCode::UNPROCESSABLE_ENTITY, fields.token, errors))
        }
        Err(Error::InvalidOneTimeToken) => Ok(forgot(visit, StatusCode::BAD_REQUEST, String::new(), true, Vec::new())),
        Err(error) => Err(Failure::from(error).into()),
    }
}

#[handler]
async fn show_unlock(req: &Request, guest: Guest, link: Query<Mailed>) -> Result<Response> {
    let mut visit = Visit::shown(req, guest, link.realm.as_deref()).await?;
    let page = UnlockSignInPage { realm: visit.realm_name(), token: link.0.token, csrf: visit.form(Tie::Browser) };
    Ok(visit.page(StatusCode::OK, &page))
}

#[handler]
async fn take_unlock(req: &Request, guest: Guest, fields: Form<Fields>) -> Result<Response> {
    let mut visit = Visit::posted(req, guest, &fields.csrf, Tie::Browser).await?;
    match sign_in_link::follow(visit.app, &visit.ctx, &fields.token).await {
        Ok(device) => {
            visit.know(&device);
            Ok(visit.done(Done::SignInUnlocked))
        }
        Err(Error::InvalidOneTimeToken) => {
            let says = "page.notice.unlock_link_dead".to_owned();
            let notice = NoticePage { realm: Some(visit.realm_name()), says, tone: Tone::Bad, link: Some(visit.way_on()) };
            Ok(visit.page(StatusCode::BAD_REQUEST, &notice))
        }
        Err(error) => Err(Failure::from(error).into()),
    }
}

#[handler]
async fn show_setup(req: &Request, guest: Guest, link: Query<Mailed>) -> Result<Response> {
    let visit = Visit::shown(req, guest, None).await?;
    Ok(setup_form(visit, StatusCode::OK, link.0.token, (String::new(), String::new()), Vec::new()))
}

fn setup_form(mut visit: Visit<'_>, status: StatusCode, token: String, typed: (String, String), errors: Vec<String>) -> Response {
    let (name, email) = typed;
    let page = SetupPage { token, csrf: visit.form(Tie::Browser), min: visit.ctx.realm.settings.password_min, name, email, errors };
    visit.page(status, &page)
}

#[handler]
async fn take_setup(req: &Request, guest: Guest, fields: Form<Fields>) -> Result<Response> {
    let visit = Visit::posted(req, guest, &fields.csrf, Tie::Browser).await?;
    let Fields { token, name, email, password, .. } = fields.0;
    let errors = match installation::set_up(visit.app, &visit.ctx, &token, &name, &email, password).await {
        Ok(()) => return Ok(visit.done(Done::SetUp)),
        Err(Error::Invalid(faults)) => visit.sentences(&faults),
        Err(Error::Taken { .. }) => vec![visit.say("page.setup.taken")],
        Err(Error::InvalidOneTimeToken) => vec![visit.say("page.setup.used")],
        Err(error) => return Err(Failure::from(error).into()),
    };
    Ok(setup_form(visit, StatusCode::BAD_REQUEST, token, (name, email), errors))
}

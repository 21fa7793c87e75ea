//! `/ui/verify-email`, `/ui/reset-password`, `/ui/forgot-password`, `/ui/unlock-sign-in`, `/ui/setup`: show the form, take the form.

use std::sync::Arc;

use poem::{
    Request, Response, Result, Route, get, handler,
    http::{StatusCode, header},
    web::{Data, Form, Query},
};
use secrecy::SecretString;
use serde::Deserialize;

use super::{
    cookies::Cookie,
    csrf::{self, Tie},
    guest::Guest,
};
use crate::{
    app::App,
    domain::{Error, device::KNOWN_FOR},
    http::{
        failure::Failure,
        html::{SharedViews, shown},
        route,
        view::{
            ForgotPasswordPage, Link, NoticePage, ResetPasswordDonePage, ResetPasswordPage, STYLESHEET, SetupPage, Tone, UnlockSignInPage, VerifyEmailDonePage,
            VerifyEmailFailedPage, VerifyEmailPage,
        },
    },
    service::{Ctx, installation, password_reset, realms, sign_in_link, verification},
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
}

/// The style sheet; its address names its content, so that it may be kept.
#[handler]
fn style() -> Response {
    Response::builder().content_type("text/css; charset=utf-8").header(header::CACHE_CONTROL, "public, max-age=31536000, immutable").body(STYLESHEET)
}

/// What a mailed link carries.
#[derive(Deserialize)]
pub(super) struct Mailed {
    #[serde(default)]
    pub(super) token: String,
    /// The realm, where the address does not tell it.
    pub(super) realm: Option<String>,
}

/// The fields of every form here; one that a form lacks is empty.
#[derive(Deserialize)]
pub(super) struct Fields {
    #[serde(default)]
    pub(super) token: String,
    #[serde(default)]
    csrf: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    password: SecretString,
}

/// The context of a page: the realm that its link names, else the request's.
pub(super) async fn shown_in(app: &App, ctx: Ctx, realm: Option<&str>) -> Result<Ctx> {
    match realm.filter(|name| !name.is_empty()) {
        None => Ok(ctx),
        Some(name) => {
            let realm = realms::resolve(app, Some(name), None).await.map_err(Failure::from)?;
            Ok(Ctx { realm, ..ctx })
        }
    }
}

/// The context of a posted form: the realm that it was shown for. Refuses a form that is not of our own pages.
pub(super) async fn posted_in(app: &App, req: &Request, ctx: Ctx, fields: &Fields) -> Result<Ctx> {
    let realm = csrf::realm_of(app, req.headers(), &fields.csrf, Tie::Browser).ok_or_else(Failure::cross_site)?;
    shown_in(app, ctx, Some(&realm)).await
}

pub(super) fn status(mut reply: Response, status: StatusCode) -> Response {
    reply.set_status(status);
    reply
}

/// The way on once an address is proved or a password set. Outside the root realm the link names the realm, as mailed
/// links do.
pub(super) fn sign_in(app: &App, views: &SharedViews, ctx: &Ctx) -> Option<Link> {
    let view = views.speak(ctx.language());
    let realm = if app.root().is_ok_and(|root| root.realm == ctx.realm.id) { String::new() } else { format!("?realm={}", ctx.realm.name) };
    Some(Link { label: view.say("page.sign_in.button", &[]), href: format!("{}/ui/sign-in{realm}", view.base()) })
}

pub(super) fn name_of(ctx: &Ctx) -> String {
    ctx.realm.display_name().to_owned()
}

#[handler]
async fn show_verify(req: &Request, app: Data<&Arc<App>>, views: Data<&SharedViews>, guest: Guest, link: Query<Mailed>) -> Result<Response> {
    let ctx = shown_in(&app, guest.ctx, link.realm.as_deref()).await?;
    let form = csrf::token(&app, req, &ctx.realm, Tie::Browser);
    let html = VerifyEmailPage { realm: name_of(&ctx), token: link.0.token, csrf: form.field.clone() };
    Ok(form.put_cookie(shown(&views, &ctx, &html)))
}

#[handler]
async fn take_verify(req: &Request, app: Data<&Arc<App>>, views: Data<&SharedViews>, guest: Guest, fields: Form<Fields>) -> Result<Response> {
    let ctx = posted_in(&app, req, guest.ctx, &fields).await?;
    match verification::verify_by_token(&app, &ctx, &fields.token).await {
        Ok(_) => Ok(shown(&views, &ctx, &VerifyEmailDonePage { realm: name_of(&ctx), link: sign_in(&app, &views, &ctx) })),
        Err(Error::InvalidOneTimeToken) => Ok(verify_failed(&app, req, &views, &ctx, String::new(), Vec::new())),
        Err(error) => Err(Failure::from(error).into()),
    }
}

fn verify_failed(app: &App, req: &Request, views: &SharedViews, ctx: &Ctx, email: String, errors: Vec<String>) -> Response {
    let form = csrf::token(app, req, &ctx.realm, Tie::Browser);
    let html = VerifyEmailFailedPage { realm: name_of(ctx), csrf: form.field.clone(), email, errors };
    form.put_cookie(status(shown(views, ctx, &html), StatusCode::BAD_REQUEST))
}

#[handler]
async fn take_resend(req: &Request, app: Data<&Arc<App>>, views: Data<&SharedViews>, guest: Guest, fields: Form<Fields>) -> Result<Response> {
    let ctx = posted_in(&app, req, guest.ctx, &fields).await?;
    match verification::resend(&app, &ctx, &fields.email).await {
        Ok(()) => Ok(mail_is_coming(&views, &ctx, "page.notice.verification_coming")),
        Err(Error::Invalid(faults)) => Ok(verify_failed(&app, req, &views, &ctx, fields.0.email, views.speak(ctx.language()).sentences(&faults))),
        Err(error) => Err(Failure::from(error).into()),
    }
}

fn mail_is_coming(views: &SharedViews, ctx: &Ctx, says: &str) -> Response {
    let notice = NoticePage { realm: Some(name_of(ctx)), says: says.to_owned(), tone: Tone::Info, link: None };
    shown(views, ctx, &notice)
}

#[handler]
async fn show_forgot(req: &Request, app: Data<&Arc<App>>, views: Data<&SharedViews>, guest: Guest, link: Query<Mailed>) -> Result<Response> {
    let ctx = shown_in(&app, guest.ctx, link.realm.as_deref()).await?;
    Ok(forgot(&app, req, &views, &ctx, String::new(), false, Vec::new()))
}

fn forgot(app: &App, req: &Request, views: &SharedViews, ctx: &Ctx, email: String, expired: bool, errors: Vec<String>) -> Response {
    let form = csrf::token(app, req, &ctx.realm, Tie::Browser);
    let html = ForgotPasswordPage { realm: name_of(ctx), csrf: form.field.clone(), email, expired, errors };
    form.put_cookie(shown(views, ctx, &html))
}

#[handler]
async fn take_forgot(req: &Request, app: Data<&Arc<App>>, views: Data<&SharedViews>, guest: Guest, fields: Form<Fields>) -> Result<Response> {
    let ctx = posted_in(&app, req, guest.ctx, &fields).await?;
    match password_reset::request(&app, &ctx, &fields.email).await {
        Ok(()) => Ok(mail_is_coming(&views, &ctx, "page.notice.reset_coming")),
        Err(Error::Invalid(faults)) => {
            Ok(status(forgot(&app, req, &views, &ctx, fields.0.email, false, views.speak(ctx.language()).sentences(&faults)), StatusCode::UNPROCESSABLE_ENTITY))
        }
        Err(error) => Err(Failure::from(error).into()),
    }
}

#[handler]
async fn show_reset(req: &Request, app: Data<&Arc<App>>, views: Data<&SharedViews>, guest: Guest, link: Query<Mailed>) -> Result<Response> {
    let ctx = shown_in(&app, guest.ctx, link.realm.as_deref()).await?;
    if link.token.is_empty() {
        return Ok(forgot(&app, req, &views, &ctx, String::new(), true, Vec::new()));
    }
    Ok(reset_form(&app, req, &views, &ctx, link.0.token, Vec::new()))
}

fn reset_form(app: &App, req: &Request, views: &SharedViews, ctx: &Ctx, token: String, errors: Vec<String>) -> Response {
    let form = csrf::token(app, req, &ctx.realm, Tie::Browser);
    let html = ResetPasswordPage { realm: name_of(ctx), token, csrf: form.field.clone(), min: ctx.realm.settings.password_min, errors };
    form.put_cookie(shown(views, ctx, &html))
}

#[handler]
async fn take_reset(req: &Request, app: Data<&Arc<App>>, views: Data<&SharedViews>, guest: Guest, fields: Form<Fields>) -> Result<Response> {
    let ctx = posted_in(&app, req, guest.ctx, &fields).await?;
    let fields = fields.0;
    match password_reset::confirm(&app, &ctx, &fields.token, fields.password).await {
        Ok(()) => Ok(shown(&views, &ctx, &ResetPasswordDonePage { realm: name_of(&ctx), link: sign_in(&app, &views, &ctx) })),
        Err(Error::Invalid(faults)) => {
            Ok(status(reset_form(&app, req, &views, &ctx, fields.token, views.speak(ctx.language()).sentences(&faults)), StatusCode::UNPROCESSABLE_ENTITY))
        }
        Err(Error::InvalidOneTimeToken) => Ok(status(forgot(&app, req, &views, &ctx, String::new(), true, Vec::new()), StatusCode::BAD_REQUEST)),
        Err(error) => Err(Failure::from(error).into()),
    }
}

#[handler]
async fn show_unlock(req: &Request, app: Data<&Arc<App>>, views: Data<&SharedViews>, guest: Guest, link: Query<Mailed>) -> Result<Response> {
    let ctx = shown_in(&app, guest.ctx, link.realm.as_deref()).await?;
    let form = csrf::token(&app, req, &ctx.realm, Tie::Browser);
    let html = UnlockSignInPage { realm: name_of(&ctx), token: link.0.token, csrf: form.field.clone() };
    Ok(form.put_cookie(shown(&views, &ctx, &html)))
}

#[handler]
async fn take_unlock(req: &Request, app: Data<&Arc<App>>, views: Data<&SharedViews>, guest: Guest, fields: Form<Fields>) -> Result<Response> {
    let ctx = posted_in(&app, req, guest.ctx, &fields).await?.on_device(Cookie::Device.read(&app, req.headers()).map(SecretString::from));
    let notice =
        |says: &str, tone| shown(&views, &ctx, &NoticePage { realm: Some(name_of(&ctx)), says: says.to_owned(), tone, link: sign_in(&app, &views, &ctx) });
    match sign_in_link::follow(&app, &ctx, &fields.token).await {
        Ok(token) => {
            let mut reply = notice("page.notice.sign_in_unlocked", Tone::Good);
            if let Ok(value) = Cookie::Device.set(&app, &token.reveal(), Some(KNOWN_FOR)).parse() {
                reply.headers_mut().append(header::SET_COOKIE, value);
            }
            Ok(reply)
        }
        Err(Error::InvalidOneTimeToken) => Ok(status(notice("page.notice.unlock_link_dead", Tone::Bad), StatusCode::BAD_REQUEST)),
        Err(error) => Err(Failure::from(error).into()),
    }
}

#[handler]
async fn show_setup(req: &Request, app: Data<&Arc<App>>, views: Data<&SharedViews>, guest: Guest, link: Query<Mailed>) -> Result<Response> {
    Ok(setup_form(&app, req, &views, &guest.ctx, link.0.token, (String::new(), String::new()), Vec::new()))
}

fn setup_form(app: &App, req: &Request, views: &SharedViews, ctx: &Ctx, token: String, typed: (String, String), errors: Vec<String>) -> Response {
    let form = csrf::token(app, req, &ctx.realm, Tie::Browser);
    let (name, email) = typed;
    let html = SetupPage { token, csrf: form.field.clone(), min: ctx.realm.settings.password_min, name, email, errors };
    form.put_cookie(shown(views, ctx, &html))
}

#[handler]
async fn take_setup(req: &Request, app: Data<&Arc<App>>, views: Data<&SharedViews>, guest: Guest, fields: Form<Fields>) -> Result<Response> {
    let ctx = posted_in(&app, req, guest.ctx, &fields).await?;
    let Fields { token, name, email, password, .. } = fields.0;
    let view = views.speak(ctx.language());
    let errors = match installation::set_up(&app, &ctx, &token, &name, &email, password).await {
        Ok(()) => {
            let notice = NoticePage { realm: None, says: "page.notice.set_up".to_owned(), tone: Tone::Good, link: sign_in(&app, &views, &ctx) };
            return Ok(shown(&views, &ctx, &notice));
        }
        Err(Error::Invalid(faults)) => view.sentences(&faults),
        Err(Error::Taken { .. }) => vec![view.say("page.setup.taken", &[])],
        Err(Error::InvalidOneTimeToken) => vec![view.say("page.setup.used", &[])],
        Err(error) => return Err(Failure::from(error).into()),
    };
    Ok(status(setup_form(&app, req, &views, &ctx, token, (name, email), errors), StatusCode::BAD_REQUEST))
}

//! `/ui/verify-email`, `/ui/reset-password`, `/ui/setup`: show the form, take the form.

use std::sync::Arc;

use poem::{
    IntoResponse, Request, Response, Result, Route, get, handler,
    http::{StatusCode, header},
    web::{Data, Form, Query},
};
use secrecy::SecretString;
use serde::Deserialize;

use super::{
    SharedViews, csrf, page,
    view::{NoticePage, ResetPasswordPage, SetupPage, Tone, VerifyEmailPage, VerifyFailedPage},
};
use crate::{
    app::App,
    domain::{Error, FieldError},
    http::{
        context::Public,
        failure::{Failure, failure_page},
        route,
    },
    service::{Ctx, installation, password_reset, verification},
};

const STYLE: &str = include_str!("../../../templates/ui/style.css");

/// The routes of this file.
pub(crate) fn routes(route: Route) -> Route {
    route
        .at("/ui/style.css", route::named("/ui/style.css", get(style)))
        .at("/ui/verify-email", route::named("/ui/verify-email", get(show_verify).post(take_verify)))
        .at("/ui/verify-email/resend", route::named("/ui/verify-email/resend", poem::post(take_resend)))
        .at("/ui/reset-password", route::named("/ui/reset-password", get(show_reset).post(take_reset)))
        .at("/ui/setup", route::named("/ui/setup", get(show_setup).post(take_setup)))
}

#[handler]
fn style() -> Response {
    Response::builder().content_type("text/css; charset=utf-8").header(header::CACHE_CONTROL, "public, max-age=86400").body(STYLE).into_response()
}

#[derive(Deserialize)]
struct Link {
    #[serde(default)]
    token: String,
    /// The realm of the link; it is not in the address outside the root realm.
    realm: Option<String>,
}

/// The fields of every form here; a form that lacks one has it empty.
#[derive(Deserialize)]
struct Fields {
    #[serde(default)]
    token: String,
    realm: Option<String>,
    #[serde(default)]
    csrf: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    password: String,
}

impl Fields {
    fn secret(&mut self) -> SecretString {
        std::mem::take(&mut self.password).into()
    }
}

/// The context of a page: the realm that link or form names, else the request's.
async fn in_realm(app: &App, ctx: Ctx, realm: Option<&str>) -> Result<Ctx> {
    match realm.filter(|name| !name.is_empty()) {
        None => Ok(ctx),
        Some(name) => {
            let realm = crate::service::realms::resolve(app, Some(name), None).await.map_err(Failure::from)?;
            Ok(Ctx { realm, ..ctx })
        }
    }
}

fn with_cookie(mut response: Response, token: &csrf::FormToken) -> Response {
    if let Some(cookie) = &token.set_cookie
        && let Ok(value) = cookie.parse()
    {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
    response
}

fn status(mut response: Response, status: StatusCode) -> Response {
    response.set_status(status);
    response
}

/// Refuses a form that is not of our own pages.
fn check_form(app: &App, req: &Request, fields: &Fields) -> Result<()> {
    if csrf::is_ours(app, req.headers(), &fields.csrf) { Ok(()) } else { Err(Failure::cross_site().into()) }
}

fn messages(faults: &[FieldError]) -> Vec<String> {
    faults.iter().map(|fault| fault.message.clone()).collect()
}

#[handler]
async fn show_verify(req: &Request, app: Data<&Arc<App>>, views: Data<&SharedViews>, ctx: Public, link: Query<Link>) -> Result<Response> {
    let ctx = in_realm(&app, ctx.0, link.realm.as_deref()).await?;
    let form = csrf::token(&app, req);
    let html = VerifyEmailPage {
        realm_name: ctx.realm.display_name().to_owned(),
        realm: link.0.realm.unwrap_or_default(),
        token: link.0.token,
        csrf: form.field.clone(),
    }
    .render(&views);
    Ok(with_cookie(page(html), &form))
}

#[handler]
async fn take_verify(req: &Request, app: Data<&Arc<App>>, views: Data<&SharedViews>, ctx: Public, fields: Form<Fields>) -> Result<Response> {
    check_form(&app, req, &fields)?;
    let ctx = in_realm(&app, ctx.0, fields.realm.as_deref()).await?;
    let realm_name = ctx.realm.display_name().to_owned();
    match verification::verify_by_token(&app, &ctx, &fields.token).await {
        Ok(email) => Ok(page(
            NoticePage {
                realm_name,
                title: "Your e-mail address is verified".to_owned(),
                text: format!("{} is proved to be yours. You can sign in now.", email.as_str()),
                tone: Tone::Good,
                link: None,
            }
            .render(&views),
        )),
        Err(Error::InvalidOneTimeToken) => {
            let form = csrf::token(&app, req);
            let html =
                VerifyFailedPage { realm_name, realm: fields.0.realm.unwrap_or_default(), csrf: form.field.clone() }.render(&views);
            Ok(with_cookie(status(page(html), StatusCode::BAD_REQUEST), &form))
        }
        Err(error) => Ok(failure_page(&Failure::from(error))),
    }
}

#[handler]
async fn take_resend(req: &Request, app: Data<&Arc<App>>, views: Data<&SharedViews>, ctx: Public, fields: Form<Fields>) -> Result<Response> {
    check_form(&app, req, &fields)?;
    let ctx = in_realm(&app, ctx.0, fields.realm.as_deref()).await?;
    verification::resend(&app, &ctx, &fields.email).await.map_err(Failure::from)?;
    Ok(page(mail_sent(&ctx, "If this address waits for its proof, a fresh mail is on its way.").render(&views)))
}

fn mail_sent(ctx: &Ctx, text: &str) -> NoticePage {
    NoticePage { realm_name: ctx.realm.display_name().to_owned(), title: "Check your mail".to_owned(), text: text.to_owned(), tone: Tone::Good, link: None }
}

#[handler]
async fn show_reset(req: &Request, app: Data<&Arc<App>>, views: Data<&SharedViews>, ctx: Public, link: Query<Link>) -> Result<Response> {
    let ctx = in_realm(&app, ctx.0, link.realm.as_deref()).await?;
    let form = csrf::token(&app, req);
    let html = reset_page(&ctx, link.0.realm, link.0.token, &form, Vec::new()).render(&views);
    Ok(with_cookie(page(html), &form))
}

/// With a token the form for a new password, without one the form that asks for the mail.
fn reset_page(ctx: &Ctx, realm: Option<String>, token: String, form: &csrf::FormToken, errors: Vec<String>) -> ResetPasswordPage {
    ResetPasswordPage {
        realm_name: ctx.realm.display_name().to_owned(),
        realm: realm.unwrap_or_default(),
        token,
        csrf: form.field.clone(),
        min: ctx.realm.settings.password_min,
        errors,
    }
}

#[handler]
async fn take_reset(req: &Request, app: Data<&Arc<App>>, views: Data<&SharedViews>, ctx: Public, fields: Form<Fields>) -> Result<Response> {
    check_form(&app, req, &fields)?;
    let mut fields = fields.0;
    let ctx = in_realm(&app, ctx.0, fields.realm.as_deref()).await?;
    let realm_name = ctx.realm.display_name().to_owned();
    if fields.token.is_empty() {
        password_reset::request(&app, &ctx, &fields.email).await.map_err(Failure::from)?;
        return Ok(page(mail_sent(&ctx, "If this address is known, a mail with a link is on its way.").render(&views)));
    }
    let form = csrf::token(&app, req);
    let password = fields.secret();
    match password_reset::confirm(&app, &ctx, &fields.token, password).await {
        Ok(()) => Ok(page(
            NoticePage {
                realm_name,
                title: "Your password is changed".to_owned(),
                text: "You were signed out everywhere. Sign in with the new password.".to_owned(),
                tone: Tone::Good,
                link: None,
            }
            .render(&views),
        )),
        Err(Error::Invalid(faults)) => {
            let html = reset_page(&ctx, fields.realm, fields.token, &form, messages(&faults)).render(&views);
            Ok(with_cookie(status(page(html), StatusCode::UNPROCESSABLE_ENTITY), &form))
        }
        Err(Error::InvalidOneTimeToken) => {
            let errors = vec!["This link was used already or has expired. Ask for a new one below.".to_owned()];
            let html = reset_page(&ctx, fields.realm, String::new(), &form, errors).render(&views);
            Ok(with_cookie(status(page(html), StatusCode::BAD_REQUEST), &form))
        }
        Err(error) => Ok(failure_page(&Failure::from(error))),
    }
}

#[handler]
async fn show_setup(req: &Request, app: Data<&Arc<App>>, views: Data<&SharedViews>, link: Query<Link>) -> Result<Response> {
    let form = csrf::token(&app, req);
    let html = SetupPage { token: link.0.token, csrf: form.field.clone(), name: String::new(), email: String::new(), errors: Vec::new() }.render(&views);
    Ok(with_cookie(page(html), &form))
}

#[handler]
async fn take_setup(req: &Request, app: Data<&Arc<App>>, views: Data<&SharedViews>, ctx: Public, fields: Form<Fields>) -> Result<Response> {
    check_form(&app, req, &fields)?;
    let mut fields = fields.0;
    let password = fields.secret();
    let realm_name = ctx.0.realm.display_name().to_owned();
    let errors = match installation::set_up(&app, &ctx.0, &fields.token, &fields.name, &fields.email, password).await {
        Ok(()) => {
            let page_text = "You own the root account now. Sign in with the address and the password that you chose.";
            let notice = NoticePage { realm_name, title: "Realmgate is set up".to_owned(), text: page_text.to_owned(), tone: Tone::Good, link: None };
            return Ok(page(notice.render(&views)));
        }
        Err(Error::Invalid(faults)) => messages(&faults),
        Err(Error::Taken { .. }) => vec!["This address is in use already.".to_owned()],
        Err(Error::InvalidOneTimeToken) => vec!["This link was used already. Operators are made with `realmgate user create`.".to_owned()],
        Err(error) => return Ok(failure_page(&Failure::from(error))),
    };
    let form = csrf::token(&app, req);
    let html = SetupPage { token: fields.token, csrf: form.field.clone(), name: fields.name, email: fields.email, errors }.render(&views);
    Ok(with_cookie(status(page(html), StatusCode::BAD_REQUEST), &form))
}

//! `/ui/account`: profile, address, password and sessions of the signed-in person, each form with an address of its own.
//!
//! Whoever is not signed in (any more) is led to the sign-in page. Forms are tied to the session that they were shown in.

use poem::{
    Request, Response, Result, Route, get, handler,
    http::{StatusCode, header},
    web::{Form, Query},
};
use secrecy::SecretString;
use serde::Deserialize;

use super::{csrf::Tie, factors, flow::Notice, guest::Guest, members, sign_in::Arrival, visit::Visit};
use crate::{
    domain::{Error, user::User},
    http::{
        failure::Failure,
        route,
        view::{AccountPage, Fault, ProfileFields, SessionItem},
    },
    service::{email_change, password_change, profile, sessions},
};

/// Adds the routes of this file.
pub(super) fn routes(route: Route) -> Route {
    route
        .at("/ui/account", route::named("/ui/account", get(show)))
        .at("/ui/account/profile", route::named("/ui/account/profile", poem::post(take_profile)))
        .at("/ui/account/email", route::named("/ui/account/email", poem::post(take_email)))
        .at("/ui/account/password", route::named("/ui/account/password", poem::post(take_password)))
        .at("/ui/account/sessions/end", route::named("/ui/account/sessions/end", poem::post(take_end)))
        .at("/ui/account/sessions/end-all", route::named("/ui/account/sessions/end-all", poem::post(take_end_all)))
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Profile {
    csrf: String,
    name: String,
    company: String,
    country: String,
    phone: String,
    /// A language's tag; empty for what the realm or the browser says.
    locale: String,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct NewAddress {
    csrf: String,
    email: String,
    password: SecretString,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct Passwords {
    csrf: String,
    current_password: SecretString,
    new_password: SecretString,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Ending {
    csrf: String,
    id: String,
}

#[handler]
async fn show(req: &Request, guest: Guest, arrival: Query<Arrival>) -> Result<Response> {
    let mut visit = Visit::of_person(req, guest, arrival.realm.as_deref()).await?;
    if !visit.is_signed_in() {
        return Ok(visit.go("/ui/sign-in"));
    }
    let notice = visit.take_notice();
    page(visit, StatusCode::OK, Typed::default(), notice, Vec::new()).await
}

fn fields(user: &User) -> ProfileFields {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    ProfileFields {
        name: user.name.clone(),
        company: text(&user.company),
        country: text(&user.country),
        phone: text(&user.phone),
        locale: user.locale.map_or_else(String::new, |language| language.tag().to_owned()),
    }
}

/// What was refused, for its fields.
#[derive(Default)]
struct Typed {
    profile: Option<ProfileFields>,
    email: String,
}

/// The page.
async fn page(mut visit: Visit<'_>, status: StatusCode, typed: Typed, notice: Option<String>, faults: Vec<Fault>) -> Result<Response> {
    let profile = profile::get(visit.app, &visit.ctx).await.map_err(Failure::from)?;
    let factors = factors::part(&visit).await.map_err(Failure::from)?;
    let listed = sessions::list(visit.app, &visit.ctx).await.map_err(Failure::from)?;
    let sessions = listed.into_iter().map(|listed| SessionItem {
        id: listed.session.id.to_string(),
        device: listed.session.device,
        ip: listed.session.ip,
        created_at: listed.session.created_at,
        last_used_at: listed.session.last_used_at,
        current: listed.current,
    });
    let teams = members::teams(&visit, &profile).await?;
    let content = AccountPage {
        realm: visit.realm_name(),
        csrf: visit.form(Tie::Session),
        name: profile.user.name.clone(),
        email: profile.user.email.to_string(),
        profile: typed.profile.unwrap_or_else(|| fields(&profile.user)),
        new_email: typed.email,
        erase: visit.href("/ui/account/erase"),
        min: visit.ctx.realm.settings.password_min,
        factors,
        sessions: sessions.collect(),
        teams,
        notice,
        faults,
    };
    Ok(visit.page(status, &content))
}

/// The page with what was wrong with a form that is handled elsewhere.
pub(super) async fn with_faults(visit: Visit<'_>, status: StatusCode, faults: Vec<Fault>) -> Result<Response> {
    page(visit, status, Typed::default(), None, faults).await
}

/// A form of this page; the person may have been signed out meanwhile.
pub(super) async fn posted<'a>(req: &'a Request, guest: Guest, csrf: &str) -> Result<Result<Visit<'a>, Response>> {
    let visit = Visit::posted(req, guest, csrf, Tie::Session).await?;
    Ok(if visit.is_signed_in() { Ok(visit) } else { Err(visit.go("/ui/sign-in")) })
}

pub(super) fn done(mut visit: Visit<'_>, notice: Notice) -> Response {
    visit.leave_notice(notice);
    visit.go("/ui/account")
}

#[handler]
async fn take_profile(req: &Request, guest: Guest, fields: Form<Profile>) -> Result<Response> {
    let Profile { csrf, name, company, country, phone, locale } = fields.0;
    let visit = match posted(req, guest, &csrf).await? {
        Ok(visit) => visit,
        Err(reply) => return Ok(reply),
    };
    let typed = ProfileFields { name: name.clone(), company: company.clone(), country: country.clone(), phone: phone.clone(), locale: locale.clone() };
    let locale = Some(Some(locale).filter(|tag| !tag.is_empty()));
    let change = profile::Change { name: Some(name), company: Some(Some(company)), country: Some(Some(country)), phone: Some(Some(phone)), locale };
    match profile::change(visit.app, &visit.ctx, change).await {
        Ok(_) => Ok(done(visit, Notice::ProfileSaved)),
        Err(Error::Invalid(faults)) => {
            let faults = visit.faults(&faults);
            page(visit, StatusCode::UNPROCESSABLE_ENTITY, Typed { profile: Some(typed), ..Typed::default() }, None, faults).await
        }
        Err(error) => Err(Failure::from(error).into()),
    }
}

#[handler]
async fn take_email(req: &Request, guest: Guest, fields: Form<NewAddress>) -> Result<Response> {
    let NewAddress { csrf, email, password } = fields.0;
    let visit = match posted(req, guest, &csrf).await? {
        Ok(visit) => visit,
        Err(reply) => return Ok(reply),
    };
    let (status, faults) = match email_change::request(visit.app, &visit.ctx, &email, Some(&password)).await {
        Ok(()) => return Ok(done(visit, Notice::EmailChangeComing)),
        Err(Error::WrongPassword) => (StatusCode::FORBIDDEN, visit.fault("password", "page.account.wrong_password")),
        Err(Error::Invalid(faults)) => (StatusCode::UNPROCESSABLE_ENTITY, visit.faults(&faults)),
        Err(error) => return Err(Failure::from(error).into()),
    };
    page(visit, status, Typed { email, ..Typed::default() }, None, faults).await
}

#[handler]
async fn take_password(req: &Request, guest: Guest, fields: Form<Passwords>) -> Result<Response> {
    let Passwords { csrf, current_password, new_password } = fields.0;
    let visit = match posted(req, guest, &csrf).await? {
        Ok(visit) => visit,
        Err(reply) => return Ok(reply),
    };
    let (status, faults, wait) = match password_change::change(visit.app, &visit.ctx, Some(&current_password), new_password).await {
        Ok(()) => return Ok(done(visit, Notice::PasswordChanged)),
        Err(Error::WrongPassword) => (StatusCode::FORBIDDEN, visit.fault("currentPassword", "page.account.wrong_password"), None),
        Err(Error::Invalid(faults)) => (StatusCode::UNPROCESSABLE_ENTITY, visit.faults(&faults), None),
        Err(Error::RateLimited { retry_after }) => (StatusCode::TOO_MANY_REQUESTS, visit.wait(retry_after), Some(retry_after)),
        Err(error) => return Err(Failure::from(error).into()),
    };
    let mut reply = page(visit, status, Typed::default(), None, faults).await?;
    if let Some(seconds) = wait {
        reply.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    Ok(reply)
}

#[handler]
async fn take_end(req: &Request, guest: Guest, fields: Form<Ending>) -> Result<Response> {
    let mut visit = match posted(req, guest, &fields.csrf).await? {
        Ok(visit) => visit,
        Err(reply) => return Ok(reply),
    };
    let own = visit.had.is_some_and(|(_, session)| session.to_string() == fields.id);
    let ended = match fields.id.parse() {
        Ok(id) => sessions::revoke(visit.app, &visit.ctx, id).await,
        Err(_) => Err(Error::NotFound),
    };
    match ended {
        Ok(()) if own => {
            visit.sign_out();
            visit.leave_notice(Notice::SignedOut);
            Ok(visit.go("/ui/sign-in"))
        }
        // One that ended by itself meanwhile is what the person wanted.
        Ok(()) | Err(Error::NotFound) => Ok(done(visit, Notice::SessionEnded)),
        Err(error) => Err(Failure::from(error).into()),
    }
}

#[handler]
async fn take_end_all(req: &Request, guest: Guest, fields: Form<Ending>) -> Result<Response> {
    let mut visit = match posted(req, guest, &fields.csrf).await? {
        Ok(visit) => visit,
        Err(reply) => return Ok(reply),
    };
    match sessions::log_out_everywhere(visit.app, &visit.ctx).await {
        Ok(()) => {}
        Err(Error::StepUpRequired { .. }) => return Ok(visit.go_asking("/ui/step-up", &[("to", "account")])),
        Err(error) => return Err(Failure::from(error).into()),
    }
    visit.sign_out();
    visit.leave_notice(Notice::SignedOutEverywhere);
    Ok(visit.go("/ui/sign-in"))
}

//! `/ui/account/export` and `/ui/account/erase`: taking a copy of what is kept, and leaving for good.
//!
//! Leaving has a page of its own, which says what goes and asks for the password.

use poem::{
    Request, Response, Result, Route, get, handler,
    http::{StatusCode, header},
    web::{Data, Form, Query},
};
use secrecy::SecretString;
use serde::Deserialize;

use super::{csrf::Tie, flow::Done, guest::Guest, sign_in::Arrival, visit::Visit};
use crate::{
    domain::Error,
    http::{
        ExportDocument,
        failure::Failure,
        route,
        view::{ErasePage, Fault},
    },
    service::{erase, export},
};

/// Adds the routes of this file.
pub(super) fn routes(route: Route) -> Route {
    route
        .at("/ui/account/export", route::named("/ui/account/export", poem::post(take_export)))
        .at("/ui/account/erase", route::named("/ui/account/erase", get(show).post(take)))
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Fields {
    csrf: String,
    password: SecretString,
}

#[handler]
async fn take_export(req: &Request, guest: Guest, document: Data<&ExportDocument>, fields: Form<Fields>) -> Result<Response> {
    let visit = Visit::posted(req, guest, &fields.csrf, Tie::Session).await?;
    if !visit.is_signed_in() {
        return Ok(visit.go("/ui/sign-in"));
    }
    let export = export::export(visit.app, &visit.ctx).await.map_err(Failure::from)?;
    let name = format!("attachment; filename=\"{}-{}.json\"", visit.ctx.realm.name, export.at.format("%Y-%m-%d"));
    let reply = Response::builder().content_type("application/json").header(header::CACHE_CONTROL, "no-store").header(header::CONTENT_DISPOSITION, name);
    Ok(reply.body(document.0.0(&visit.ctx, export)))
}

#[handler]
async fn show(req: &Request, guest: Guest, arrival: Query<Arrival>) -> Result<Response> {
    let visit = Visit::of_person(req, guest, arrival.realm.as_deref()).await?;
    if !visit.is_signed_in() {
        return Ok(visit.go("/ui/sign-in"));
    }
    Ok(form(visit, StatusCode::OK, Vec::new()))
}

fn form(mut visit: Visit<'_>, status: StatusCode, faults: Vec<Fault>) -> Response {
    let page = ErasePage { realm: visit.realm_name(), csrf: visit.form(Tie::Session), account: visit.href("/ui/account"), faults };
    visit.page(status, &page)
}

#[handler]
async fn take(req: &Request, guest: Guest, fields: Form<Fields>) -> Result<Response> {
    let mut visit = Visit::posted(req, guest, &fields.csrf, Tie::Session).await?;
    if !visit.is_signed_in() {
        return Ok(visit.go("/ui/sign-in"));
    }
    let (status, faults) = match erase::erase(visit.app, &visit.ctx, Some(&fields.password)).await {
        Ok(()) => {
            visit.sign_out();
            return Ok(visit.done(Done::Erased));
        }
        Err(Error::WrongPassword) => (StatusCode::FORBIDDEN, visit.fault("password", "page.account.wrong_password")),
        Err(Error::LastOwner) => (StatusCode::CONFLICT, visit.fault("", "page.erase.last_owner")),
        Err(error) => return Err(Failure::from(error).into()),
    };
    Ok(form(visit, status, faults))
}

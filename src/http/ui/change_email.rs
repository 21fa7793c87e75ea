//! `/ui/change-email` and `/ui/undo-email-change`, where the links of the mails about another address lead: show the form,
//! take the form.

use poem::{
    Request, Response, Result, Route, get, handler,
    http::StatusCode,
    web::{Form, Query},
};

use super::{
    csrf::Tie,
    flow::Done,
    guest::Guest,
    pages::{Fields, Mailed},
    visit::Visit,
};
use crate::{
    domain::{Error, email::Email},
    http::{
        failure::Failure,
        route,
        view::{Change, ChangeEmailPage, ChangeState},
    },
    service::email_change,
};

/// Adds the routes of this file.
pub(super) fn routes(route: Route) -> Route {
    route
        .at("/ui/change-email", route::named("/ui/change-email", get(show_confirm).post(take_confirm)))
        .at("/ui/undo-email-change", route::named("/ui/undo-email-change", get(show_undo).post(take_undo)))
}

#[handler]
async fn show_confirm(req: &Request, guest: Guest, link: Query<Mailed>) -> Result<Response> {
    ask(req, guest, link.0, Change::Confirm).await
}

#[handler]
async fn take_confirm(req: &Request, guest: Guest, fields: Form<Fields>) -> Result<Response> {
    let visit = Visit::posted(req, guest, &fields.csrf, Tie::Browser).await?;
    let done = email_change::confirm(visit.app, &visit.ctx, &fields.token).await;
    answer(visit, Change::Confirm, done)
}

#[handler]
async fn show_undo(req: &Request, guest: Guest, link: Query<Mailed>) -> Result<Response> {
    ask(req, guest, link.0, Change::Undo).await
}

#[handler]
async fn take_undo(req: &Request, guest: Guest, fields: Form<Fields>) -> Result<Response> {
    let visit = Visit::posted(req, guest, &fields.csrf, Tie::Browser).await?;
    let done = email_change::undo(visit.app, &visit.ctx, &fields.token).await;
    answer(visit, Change::Undo, done)
}

async fn ask(req: &Request, guest: Guest, link: Mailed, change: Change) -> Result<Response> {
    let mut visit = Visit::shown(req, guest, link.realm.as_deref()).await?;
    let state = ChangeState::Ask { token: link.token, csrf: visit.form(Tie::Browser) };
    let page = ChangeEmailPage { realm: visit.realm_name(), change, state };
    Ok(visit.page(StatusCode::OK, &page))
}

fn answer(visit: Visit<'_>, change: Change, done: Result<Email, Error>) -> Result<Response> {
    let (status, state) = match (done, change) {
        (Ok(_), Change::Confirm) => return Ok(visit.done(Done::EmailChanged)),
        (Ok(_), Change::Undo) => return Ok(visit.done(Done::EmailChangeUndone)),
        (Err(Error::InvalidOneTimeToken), _) => (StatusCode::BAD_REQUEST, ChangeState::Failed),
        (Err(Error::Taken { .. }), _) => (StatusCode::CONFLICT, ChangeState::Taken),
        (Err(error), _) => return Err(Failure::from(error).into()),
    };
    let page = ChangeEmailPage { realm: visit.realm_name(), change, state };
    Ok(visit.page(status, &page))
}

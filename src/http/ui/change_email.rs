//! `/ui/change-email` and `/ui/undo-email-change`: show the form, take the form.

use std::sync::Arc;

use poem::{
    Request, Response, Result, Route, get, handler,
    http::StatusCode,
    web::{Data, Form, Query},
};

use super::{
    csrf::{self, Tie},
    guest::Guest,
    pages::{Fields, Mailed, name_of, posted_in, shown_in, status},
};
use crate::{
    app::App,
    domain::{Error, email::Email},
    http::{
        failure::Failure,
        html::{SharedViews, shown},
        route,
        view::{Change, ChangeEmailPage, ChangeState},
    },
    service::{Ctx, email_change},
};

/// Adds the routes of this file.
pub(super) fn routes(route: Route) -> Route {
    route
        .at("/ui/change-email", route::named("/ui/change-email", get(show_confirm).post(take_confirm)))
        .at("/ui/undo-email-change", route::named("/ui/undo-email-change", get(show_undo).post(take_undo)))
}

#[handler]
async fn show_confirm(req: &Request, app: Data<&Arc<App>>, views: Data<&SharedViews>, guest: Guest, link: Query<Mailed>) -> Result<Response> {
    ask(&app, req, &views, guest.ctx, link.0, Change::Confirm).await
}

#[handler]
async fn take_confirm(req: &Request, app: Data<&Arc<App>>, views: Data<&SharedViews>, guest: Guest, fields: Form<Fields>) -> Result<Response> {
    let ctx = posted_in(&app, req, guest.ctx, &fields).await?;
    answer(&views, &ctx, Change::Confirm, email_change::confirm(&app, &ctx, &fields.token).await)
}

#[handler]
async fn show_undo(req: &Request, app: Data<&Arc<App>>, views: Data<&SharedViews>, guest: Guest, link: Query<Mailed>) -> Result<Response> {
    ask(&app, req, &views, guest.ctx, link.0, Change::Undo).await
}

#[handler]
async fn take_undo(req: &Request, app: Data<&Arc<App>>, views: Data<&SharedViews>, guest: Guest, fields: Form<Fields>) -> Result<Response> {
    let ctx = posted_in(&app, req, guest.ctx, &fields).await?;
    answer(&views, &ctx, Change::Undo, email_change::undo(&app, &ctx, &fields.token).await)
}

async fn ask(app: &App, req: &Request, views: &SharedViews, ctx: Ctx, link: Mailed, change: Change) -> Result<Response> {
    let ctx = shown_in(app, ctx, link.realm.as_deref()).await?;
    let form = csrf::token(app, req, &ctx.realm, Tie::Browser);
    let state = ChangeState::Ask { token: link.token, csrf: form.field.clone() };
    Ok(form.put_cookie(shown(views, &ctx, &ChangeEmailPage { realm: name_of(&ctx), change, state })))
}

fn answer(views: &SharedViews, ctx: &Ctx, change: Change, done: Result<Email, Error>) -> Result<Response> {
    let (code, state) = match done {
        Ok(_) => (StatusCode::OK, ChangeState::Done),
        Err(Error::InvalidOneTimeToken) => (StatusCode::BAD_REQUEST, ChangeState::Failed),
        Err(Error::Taken { .. }) => (StatusCode::CONFLICT, ChangeState::Taken),
        Err(error) => return Err(Failure::from(error).into()),
    };
    Ok(status(shown(views, ctx, &ChangeEmailPage { realm: name_of(ctx), change, state }), code))
}

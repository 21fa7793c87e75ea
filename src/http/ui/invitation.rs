//! `/ui/invitation`: where the link of a mailed invitation leads. A GET looks and uses nothing up.
//!
//! Whoever is signed in with the invited address joins by a click; whoever has no user makes one; others are shown the
//! way to the sign-in, which leads back here, or out of a session of somebody else.

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
    visit::Visit,
};
use crate::{
    domain::{Error, return_to::ReturnTo},
    http::{
        failure::Failure,
        route,
        view::{Fault, InvitationPage, NoticePage, Offer, Tone},
    },
    service::joining::{self, Invitee, Newcomer},
};

const PATH: &str = "/ui/invitation";

/// Adds the routes of this file.
pub(super) fn routes(route: Route) -> Route {
    route.at(PATH, route::named(PATH, get(show).post(take))).at("/ui/invitation/accept", route::named("/ui/invitation/accept", poem::post(take_accept)))
}

/// What the mailed link carries.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Mailed {
    token: String,
    /// The realm, where the address does not tell it.
    realm: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct SignUpFields {
    csrf: String,
    token: String,
    name: String,
    password: SecretString,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct AcceptFields {
    csrf: String,
    token: String,
}

#[handler]
async fn show(req: &Request, guest: Guest, link: Query<Mailed>) -> Result<Response> {
    let visit = Visit::shown(req, guest, link.realm.as_deref()).await?;
    page(visit, StatusCode::OK, link.0.token, String::new(), Vec::new()).await
}

/// The page for whoever looks; `name` and `faults` are of a form that was refused.
async fn page(mut visit: Visit<'_>, status: StatusCode, token: String, name: String, faults: Vec<Fault>) -> Result<Response> {
    let sight = match joining::look(visit.app, &visit.ctx, &token).await {
        Ok(sight) => sight,
        Err(Error::InvalidOneTimeToken) => return Ok(dead(visit)),
        Err(error) => return Err(Failure::from(error).into()),
    };
    let (tie, offer) = match sight.invitee {
        Invitee::Here => (Tie::Session, Offer::Join),
        Invitee::New => {
            let email = sight.email.to_string();
            (Tie::Browser, Offer::SignUp { email, name, min: visit.ctx.realm.settings.password_min, faults })
        }
        Invitee::Known => (Tie::Browser, Offer::SignIn(visit.href_with("/ui/sign-in", back(&visit, &token).as_ref()))),
        Invitee::SomebodyElse => (Tie::Browser, Offer::SignOut(visit.href("/ui/sign-out"))),
    };
    let page = InvitationPage { realm: visit.realm_name(), account: sight.account, role: sight.role.as_str(), token, csrf: visit.form(tie), offer };
    Ok(visit.page(status, &page))
}

/// This page, as the place that a sign-in leads to.
fn back(visit: &Visit<'_>, token: &str) -> Option<ReturnTo> {
    visit.place(Some(&format!("{PATH}?token={token}&realm={}", visit.ctx.realm.name)))
}

fn dead(visit: Visit<'_>) -> Response {
    notice(visit, StatusCode::BAD_REQUEST, "page.notice.invitation_dead")
}

fn notice(visit: Visit<'_>, status: StatusCode, says: &str) -> Response {
    let page = NoticePage { realm: Some(visit.realm_name()), says: says.to_owned(), tone: Tone::Bad, link: None };
    visit.page(status, &page)
}

/// What a refused click or form leads to.
async fn refused(visit: Visit<'_>, error: Error, token: String, name: String) -> Result<Response> {
    match error {
        Error::InvalidOneTimeToken => Ok(dead(visit)),
        Error::PlanLimit { .. } | Error::AccountDisabled => Ok(notice(visit, StatusCode::FORBIDDEN, "page.notice.invitation_full")),
        Error::Invalid(faults) => {
            let faults = visit.faults(&faults);
            page(visit, StatusCode::UNPROCESSABLE_ENTITY, token, name, faults).await
        }
        Error::RateLimited { retry_after } => {
            let faults = visit.wait(retry_after);
            page(visit, StatusCode::TOO_MANY_REQUESTS, token, name, faults).await
        }
        // Somebody signed in, out or up meanwhile: the page says what is to be done now.
        Error::InviteeExists | Error::NotInvited | Error::MissingCredential => page(visit, StatusCode::CONFLICT, token, name, Vec::new()).await,
        error => Err(Failure::from(error).into()),
    }
}

#[handler]
async fn take(req: &Request, guest: Guest, fields: Form<SignUpFields>) -> Result<Response> {
    let SignUpFields { csrf, token, name, password } = fields.0;
    let mut visit = Visit::posted(req, guest, &csrf, Tie::Browser).await?;
    match joining::sign_up(visit.app, &visit.ctx, &token, Newcomer { name: name.clone(), password }).await {
        Ok(joined) => {
            let realm = visit.ctx.realm.name.clone();
            visit.keep(&Flow { realm, email: Some(joined.email.to_string()), return_to: None, notice: Some(Notice::JoinedNew), done: None });
            Ok(visit.go("/ui/sign-in"))
        }
        Err(error) => refused(visit, error, token, name).await,
    }
}

#[handler]
async fn take_accept(req: &Request, guest: Guest, fields: Form<AcceptFields>) -> Result<Response> {
    let AcceptFields { csrf, token } = fields.0;
    let mut visit = Visit::posted(req, guest, &csrf, Tie::Session).await?;
    match joining::accept(visit.app, &visit.ctx, &token).await {
        Ok(_) => {
            visit.leave_notice(Notice::Joined);
            Ok(visit.go("/ui/account"))
        }
        Err(error) => refused(visit, error, token, String::new()).await,
    }
}

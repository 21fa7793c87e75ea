//! `/ui/account/members/…`: what owners and admins do on the account page about the people of their accounts.

use poem::{Request, Response, Result, Route, handler, http::StatusCode, web::Form};
use serde::Deserialize;

use super::{account, flow::Notice, guest::Guest, visit::Visit};
use crate::{
    domain::{
        Error,
        id::{AccountId, UserId},
        page::PageRequest,
        user::{Profile, Role},
    },
    http::{
        failure::Failure,
        route,
        view::{PersonItem, TeamItem},
    },
    service::members,
};

/// How many people of an account are shown; programs see all.
const SHOWN: u64 = 100;
/// How many accounts of a person are shown.
const ACCOUNTS: usize = 10;

/// Adds the routes of this file.
pub(super) fn routes(route: Route) -> Route {
    route
        .at("/ui/account/members/role", route::named("/ui/account/members/role", poem::post(take_role)))
        .at("/ui/account/members/remove", route::named("/ui/account/members/remove", poem::post(take_remove)))
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct NewRole {
    csrf: String,
    account: String,
    user: String,
    role: String,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Removal {
    csrf: String,
    account: String,
    user: String,
}

/// The accounts that the person looks after, with their people.
pub(super) async fn teams(visit: &Visit<'_>, profile: &Profile) -> Result<Vec<TeamItem>> {
    let mut teams = Vec::new();
    let manages = profile.memberships.iter().filter(|place| matches!(place.role, Role::Owner | Role::Admin));
    for place in manages.take(ACCOUNTS) {
        let list = members::list(visit.app, &visit.ctx, place.account_id, PageRequest { limit: SHOWN, after: None }).await.map_err(Failure::from)?;
        let people = list.items.into_iter().map(|member| {
            let me = member.user_id == profile.user.id;
            let roles = [Role::Owner, Role::Admin, Role::Member].into_iter().filter(|role| place.role.decides_about(*role));
            let offered = if me || !place.role.decides_about(member.role) { Vec::new() } else { roles.collect() };
            PersonItem { id: member.user_id.to_string(), name: member.name, email: member.email, role: member.role, offered, me }
        });
        teams.push(TeamItem { id: place.account_id.to_string(), name: place.account_name.clone(), people: people.collect(), more: list.next_cursor.is_some() });
    }
    Ok(teams)
}

fn ids(account: &str, user: &str) -> Result<(AccountId, UserId), Error> {
    Ok((account.parse().map_err(|_| Error::NotFound)?, user.parse().map_err(|_| Error::NotFound)?))
}

/// The page with what kept a change from being made.
async fn refused(visit: Visit<'_>, error: Error) -> Result<Response> {
    let (status, says) = match error {
        Error::LastOwner => (StatusCode::CONFLICT, "page.members.last_owner"),
        Error::StepUpRequired { .. } => (StatusCode::FORBIDDEN, "page.members.step_up"),
        Error::NotPermitted | Error::NotFound | Error::AccountDisabled | Error::Invalid(_) => (StatusCode::FORBIDDEN, "page.members.not_permitted"),
        error => return Err(Failure::from(error).into()),
    };
    let faults = visit.fault("", says);
    account::with_faults(visit, status, faults).await
}

#[handler]
async fn take_role(req: &Request, guest: Guest, fields: Form<NewRole>) -> Result<Response> {
    let NewRole { csrf, account, user, role } = fields.0;
    let visit = match account::posted(req, guest, &csrf).await? {
        Ok(visit) => visit,
        Err(reply) => return Ok(reply),
    };
    let changed = match ids(&account, &user) {
        Ok((account, user)) => members::set_role(visit.app, &visit.ctx, account, user, &role).await.map(drop),
        Err(error) => Err(error),
    };
    match changed {
        Ok(()) => Ok(account::done(visit, Notice::RoleChanged)),
        Err(error) => refused(visit, error).await,
    }
}

#[handler]
async fn take_remove(req: &Request, guest: Guest, fields: Form<Removal>) -> Result<Response> {
    let Removal { csrf, account, user } = fields.0;
    let visit = match account::posted(req, guest, &csrf).await? {
        Ok(visit) => visit,
        Err(reply) => return Ok(reply),
    };
    let removed = match ids(&account, &user) {
        Ok((account, user)) => members::remove(visit.app, &visit.ctx, account, user).await,
        Err(error) => Err(error),
    };
    match removed {
        Ok(()) => Ok(account::done(visit, Notice::MemberRemoved)),
        Err(error) => refused(visit, error).await,
    }
}

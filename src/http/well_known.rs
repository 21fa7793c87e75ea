//! Addresses that programs guess (RFC 8615): where passwords are changed, and whom to tell about a weakness.

use std::sync::Arc;

use chrono::{SecondsFormat, TimeDelta, Timelike as _};
use poem::{
    Response, Route, get, handler,
    http::{StatusCode, header},
    web::Data,
};

use super::{base_path, route};
use crate::app::App;

const CHANGE_PASSWORD: &str = "/.well-known/change-password";
const SECURITY: &str = "/.well-known/security.txt";
/// How long a copy of the file may be believed; RFC 9116 section 2.5.5 asks for less than a year.
const GOOD_FOR: TimeDelta = TimeDelta::days(180);

/// The routes of this file. Without a contact there is no `security.txt`: it would have nothing to say.
pub(super) fn routes(route: Route, app: &App) -> Route {
    let route = route.at(CHANGE_PASSWORD, route::named(CHANGE_PASSWORD, get(change_password)));
    if app.settings.security_contact.is_empty() { route } else { route.at(SECURITY, route::named(SECURITY, get(security))) }
}

/// Leads password managers to the page (W3C "A Well-Known URL for Changing Passwords"). Whoever is not signed in there is
/// led on to do so, where they may also ask for a mail.
#[handler]
fn change_password(app: Data<&Arc<App>>) -> Response {
    let page = format!("{}/ui/account", base_path(&app));
    Response::builder().status(StatusCode::SEE_OTHER).header(header::LOCATION, page).finish()
}

/// RFC 9116. Its date moves on by the day: as long as the service runs, what its operator has set holds.
#[handler]
fn security(app: Data<&Arc<App>>) -> Response {
    let settings = &app.settings;
    let now = app.clock.now();
    let today = now - TimeDelta::seconds(i64::from(now.num_seconds_from_midnight()));
    let expires = (today + GOOD_FOR).to_rfc3339_opts(SecondsFormat::Secs, true);
    let mut text: String = settings.security_contact.iter().map(|contact| format!("Contact: {contact}\n")).collect();
    text += &format!("Expires: {expires}\n");
    // Below a path the file that counts is the domain's own, and its owner may or may not show ours.
    if base_path(&app).is_empty() {
        text += &format!("Canonical: {}{SECURITY}\n", settings.public_url);
    }
    if let Some(policy) = &settings.security_policy {
        text += &format!("Policy: {policy}\n");
    }
    Response::builder().content_type("text/plain; charset=utf-8").header(header::CACHE_CONTROL, "public, max-age=3600").body(text)
}

//! Forms that only our own pages can post.
//!
//! A signed double submit (OWASP CSRF cheat sheet): a random cookie and, in the form, its HMAC. A foreign page knows
//! neither. What browsers say of themselves (`Sec-Fetch-Site`, `Origin`) is believed first, because it needs no cookie.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use poem::{
    Request,
    http::{HeaderMap, header},
};

use crate::{app::App, crypto::hash::ct_eq};

/// A form's token and the cookie that it belongs to.
pub(crate) struct FormToken {
    /// For the form's hidden field.
    pub(crate) field: String,
    /// A `Set-Cookie` value, if the browser has no such cookie yet.
    pub(crate) set_cookie: Option<String>,
}

/// Over TLS the cookie is bound to this very host (RFC 6265bis section 4.1.3.2); plain http, which only development
/// uses, can't carry that prefix.
fn cookie_name(app: &App) -> &'static str {
    if app.settings.public_url.starts_with("https://") { "__Host-realmgate_form" } else { "realmgate_form" }
}

/// The token for a form that is shown now.
pub(crate) fn token(app: &App, req: &Request) -> FormToken {
    let name = cookie_name(app);
    if let Some(cookie) = cookie(req.headers(), name) {
        return FormToken { field: field(app, &cookie), set_cookie: None };
    }
    let mut random = [0; 18];
    app.entropy.fill(&mut random);
    let value = URL_SAFE_NO_PAD.encode(random);
    let secure = if name.starts_with("__Host-") { "; Secure" } else { "" };
    let set_cookie = format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict{secure}");
    FormToken { field: field(app, &value), set_cookie: Some(set_cookie) }
}

/// Whether a posted form came from a page of ours.
pub(crate) fn is_ours(app: &App, headers: &HeaderMap, posted: &str) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if text("sec-fetch-site").is_some_and(|site| site != "same-origin") {
        return false;
    }
    if let Some(origin) = text("origin")
        && !same_origin(app, origin, text("host"))
    {
        return false;
    }
    cookie(headers, cookie_name(app)).is_some_and(|cookie| ct_eq(field(app, &cookie).as_bytes(), posted.as_bytes()))
}

/// The configured address, or the very host that the form was posted to (a realm's own domain).
fn same_origin(app: &App, origin: &str, host: Option<&str>) -> bool {
    let (scheme, rest) = origin.split_once("://").unwrap_or_default();
    origin == app.settings.public_url || (app.settings.public_url.starts_with(&format!("{scheme}://")) && host.is_some_and(|host| host == rest))
}

fn field(app: &App, cookie: &str) -> String {
    URL_SAFE_NO_PAD.encode(app.keyring.mac("form", cookie.as_bytes()))
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|value| value.split(';')).find_map(|pair| {
        let (key, value) = pair.trim().split_once('=')?;
        (key == name && value.len() == 24).then(|| value.to_owned())
    })
}

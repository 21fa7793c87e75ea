//! Forms that only our own pages can post.
//!
//! A signed double submit (OWASP CSRF cheat sheet): a random cookie and, in the form, its HMAC together with the realm
//! that the form was shown for. A foreign page knows neither, and a form of one realm can't be posted to another.
//! What browsers say of themselves (`Sec-Fetch-Site`, `Origin`) is asked first.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use poem::{
    Request, Response,
    http::{HeaderMap, header},
};

use crate::{app::App, crypto::hash::ct_eq, domain::realm::Realm};

/// Characters of the cookie: 18 random bytes.
const COOKIE: usize = 24;

/// A form's token and the cookie that it belongs to.
pub(super) struct FormToken {
    /// For the form's hidden field.
    pub(super) field: String,
    /// A `Set-Cookie` value, if the browser has no such cookie yet.
    set_cookie: Option<String>,
}

impl FormToken {
    /// Hands the cookie to the browser.
    pub(super) fn put_cookie(&self, mut reply: Response) -> Response {
        if let Some(value) = self.set_cookie.as_deref().and_then(|cookie| cookie.parse().ok()) {
            reply.headers_mut().append(header::SET_COOKIE, value);
        }
        reply
    }
}

/// Over TLS the cookie is bound to this very host (RFC 6265bis section 4.1.3.2); plain http, which only development
/// uses, can't carry that prefix.
fn cookie_name(app: &App) -> &'static str {
    if app.settings.public_url.starts_with("https://") { "__Host-realmgate_form" } else { "realmgate_form" }
}

/// The token for a form of `realm` that is shown now.
pub(super) fn token(app: &App, req: &Request, realm: &Realm) -> FormToken {
    let name = cookie_name(app);
    if let Some(cookie) = cookie(req.headers(), name) {
        return FormToken { field: field(app, &cookie, &realm.name), set_cookie: None };
    }
    let mut random = [0; COOKIE / 4 * 3];
    app.entropy.fill(&mut random);
    let value = URL_SAFE_NO_PAD.encode(random);
    let secure = if name.starts_with("__Host-") { "; Secure" } else { "" };
    let set_cookie = format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict{secure}");
    FormToken { field: field(app, &value, &realm.name), set_cookie: Some(set_cookie) }
}

/// The name of the realm that a posted form was shown for, if it came from a page of ours.
pub(super) fn realm_of(app: &App, headers: &HeaderMap, posted: &str) -> Option<String> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if text("sec-fetch-site").is_some_and(|site| site != "same-origin") {
        return None;
    }
    if text("origin").is_some_and(|origin| !same_origin(app, origin, text("host"))) {
        return None;
    }
    let cookie = cookie(headers, cookie_name(app))?;
    let (_, realm) = posted.split_once('.')?;
    ct_eq(field(app, &cookie, realm).as_bytes(), posted.as_bytes()).then(|| realm.to_owned())
}

/// The configured address, or the very host that the form was posted to (a realm's own domain).
fn same_origin(app: &App, origin: &str, host: Option<&str>) -> bool {
    let Some((scheme, rest)) = origin.split_once("://") else { return false };
    let Some((public_scheme, public_rest)) = app.settings.public_url.split_once("://") else { return false };
    let public_host = public_rest.split('/').next().unwrap_or_default();
    scheme == public_scheme && (rest.eq_ignore_ascii_case(public_host) || host.is_some_and(|host| host.eq_ignore_ascii_case(rest)))
}

fn field(app: &App, cookie: &str, realm: &str) -> String {
    let mac = app.keyring.mac("form", format!("{cookie}|{realm}").as_bytes());
    format!("{}.{realm}", URL_SAFE_NO_PAD.encode(mac))
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|value| value.split(';')).find_map(|pair| {
        let (key, value) = pair.trim().split_once('=')?;
        (key == name && value.len() == COOKIE).then(|| value.to_owned())
    })
}

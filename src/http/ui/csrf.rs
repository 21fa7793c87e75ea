//! Forms that only our own pages can post.
//!
//! A signed double submit (OWASP CSRF cheat sheet): a random cookie and, in the form, its HMAC together with the realm
//! that the form was shown for. A foreign page knows neither, and a form of one realm can't be posted to another. Forms of
//! a signed-in person are tied to their session too: one that is left open does nothing to whoever signs in next.
//! What browsers say of themselves (`Sec-Fetch-Site`, `Origin`) is asked first.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use poem::{Request, http::HeaderMap};

use super::cookies::Cookie;
use crate::{
    app::App,
    crypto::hash::{ct_eq, sha256_hex},
    domain::realm::Realm,
};

/// Characters of the cookie: 18 random bytes.
const COOKIE: usize = 24;

/// What a form is tied to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tie {
    /// The browser that it was shown in.
    Browser,
    /// The session that it was shown in.
    Session,
}

/// A form's token and the cookie that it belongs to.
pub(super) struct FormToken {
    /// For the form's hidden field.
    pub(super) field: String,
    /// A `Set-Cookie` value, if the browser has no such cookie yet.
    pub(super) set_cookie: Option<String>,
}

/// The token for a form of `realm` that is shown now.
pub(super) fn token(app: &App, req: &Request, realm: &Realm, tie: Tie) -> FormToken {
    if let Some(cookie) = cookie(app, req.headers()) {
        return FormToken { field: field(app, req.headers(), cookie, &realm.name, tie), set_cookie: None };
    }
    let mut random = [0; COOKIE / 4 * 3];
    app.entropy.fill(&mut random);
    let value = URL_SAFE_NO_PAD.encode(random);
    FormToken { field: field(app, req.headers(), &value, &realm.name, tie), set_cookie: Some(Cookie::Form.set(app, &value, None)) }
}

/// The name of the realm that a posted form was shown for, if it came from a page of ours.
pub(super) fn realm_of(app: &App, headers: &HeaderMap, posted: &str, tie: Tie) -> Option<String> {
    if !from_here(app, headers) {
        return None;
    }
    let cookie = cookie(app, headers)?;
    let (_, realm) = posted.split_once('.')?;
    ct_eq(field(app, headers, cookie, realm, tie).as_bytes(), posted.as_bytes()).then(|| realm.to_owned())
}

/// Whether the browser says that a page of ours sent the form.
///
/// Pages under `Referrer-Policy: no-referrer`, as ours are, post with `Origin: null` (Fetch section 3.2), so that `null`
/// counts where `Sec-Fetch-Site` vouches for it. A browser that sends neither header says nothing, which is not enough.
fn from_here(app: &App, headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let origin = text("origin").filter(|origin| *origin != "null");
    match text("sec-fetch-site") {
        Some(site) => site == "same-origin" && origin.is_none_or(|origin| same_origin(app, origin, text("host"))),
        None => origin.is_some_and(|origin| same_origin(app, origin, text("host"))),
    }
}

/// The configured address, or the very host that the form was posted to (a realm's own domain).
fn same_origin(app: &App, origin: &str, host: Option<&str>) -> bool {
    let Some((scheme, rest)) = origin.split_once("://") else { return false };
    let Some((public_scheme, public_rest)) = app.settings.public_url.split_once("://") else { return false };
    let public_host = public_rest.split('/').next().unwrap_or_default();
    scheme == public_scheme && (rest.eq_ignore_ascii_case(public_host) || host.is_some_and(|host| host.eq_ignore_ascii_case(rest)))
}

fn field(app: &App, headers: &HeaderMap, cookie: &str, realm: &str, tie: Tie) -> String {
    let mac = match tie {
        Tie::Browser => app.keyring.mac("form", format!("{cookie}|{realm}").as_bytes()),
        Tie::Session => {
            let session = sha256_hex(Cookie::Session.read(app, headers).unwrap_or_default().as_bytes());
            app.keyring.mac("session form", format!("{cookie}|{realm}|{session}").as_bytes())
        }
    };
    format!("{}.{realm}", URL_SAFE_NO_PAD.encode(mac))
}

fn cookie<'a>(app: &App, headers: &'a HeaderMap) -> Option<&'a str> {
    Cookie::Form.read(app, headers).filter(|value| value.len() == COOKIE)
}

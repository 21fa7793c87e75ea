//! The cookie by which a browser is known again at sign-in; see `service::devices`.

use poem::{
    Response,
    http::{HeaderMap, header},
};
use secrecy::SecretString;

use crate::{
    app::App,
    domain::{device::KNOWN_FOR, token::OpaqueToken},
};

fn name(app: &App) -> &'static str {
    if app.settings.public_url.starts_with("https://") { "__Host-realmgate_device" } else { "realmgate_device" }
}

/// The device token that the browser sent.
pub(super) fn token(app: &App, headers: &HeaderMap) -> Option<SecretString> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|value| value.split(';')).find_map(|pair| {
        let (key, value) = pair.trim().split_once('=')?;
        (key == name(app)).then(|| SecretString::from(value))
    })
}

/// Hands a device token to the browser, for as long as it counts.
pub(super) fn put(app: &App, mut reply: Response, token: &OpaqueToken) -> Response {
    let name = name(app);
    let secure = if name.starts_with("__Host-") { "; Secure" } else { "" };
    let cookie = format!("{name}={}; Path=/; Max-Age={}; HttpOnly; SameSite=Lax{secure}", token.reveal(), KNOWN_FOR.num_seconds());
    if let Ok(value) = cookie.parse() {
        reply.headers_mut().append(header::SET_COOKIE, value);
    }
    reply
}

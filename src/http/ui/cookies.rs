//! The cookies of the pages: how they are called, read and set.
//!
//! Over TLS each name has the prefix `__Host-`, which a browser takes only with `Secure`, `Path=/` and no `Domain`, so that
//! neither another host of the same site nor plain http can set it (RFC 6265bis section 4.1.3.2). Plain http, which only
//! development uses, has names without it: not every browser takes `Secure` cookies from `http://localhost`.

use chrono::TimeDelta;
use poem::http::{HeaderMap, header};

use crate::app::App;

/// One of our cookies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cookie {
    /// Ties forms to this browser, see `csrf`.
    Form,
    /// Carries a session: `<token>.<realm>`.
    Session,
    /// Tells at a sign-in that this browser is known, see `service::devices`.
    Device,
    /// Carries words from one page to the next, sealed, see `flow`.
    Flow,
    /// Carries a sign-in that waits for a second factor: `<token>.<realm>`.
    Factor,
}

impl Cookie {
    fn name(self, app: &App) -> String {
        let stem = match self {
            Self::Form => "realmgate_form",
            Self::Session => "realmgate_session",
            Self::Device => "realmgate_device",
            Self::Flow => "realmgate_flow",
            Self::Factor => "realmgate_factor",
        };
        if secure(app) { format!("__Host-{stem}") } else { stem.to_owned() }
    }

    /// Forms are posted from our own pages only; the others must also arrive when a mailed link is followed.
    fn same_site(self) -> &'static str {
        if self == Self::Form { "Strict" } else { "Lax" }
    }

    /// Its value in a request.
    pub(super) fn read<'a>(self, app: &App, headers: &'a HeaderMap) -> Option<&'a str> {
        let name = self.name(app);
        let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        all.flat_map(|value| value.split(';')).find_map(|pair| {
            let (key, value) = pair.trim().split_once('=')?;
            (key == name && !value.is_empty()).then_some(value)
        })
    }

    /// A `Set-Cookie` value; without `life` the browser forgets it when it closes.
    pub(super) fn set(self, app: &App, value: &str, life: Option<TimeDelta>) -> String {
        let age = life.map(|life| format!("; Max-Age={}", life.num_seconds())).unwrap_or_default();
        let secure = if secure(app) { "; Secure" } else { "" };
        format!("{}={value}; Path=/; HttpOnly; SameSite={}{age}{secure}", self.name(app), self.same_site())
    }

    /// A `Set-Cookie` value that takes it away.
    pub(super) fn clear(self, app: &App) -> String {
        self.set(app, "", Some(TimeDelta::zero()))
    }
}

fn secure(app: &App) -> bool {
    app.settings.public_url.starts_with("https://")
}

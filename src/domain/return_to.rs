//! Where a page may lead a browser once it is done: a page of ours, or an address that the realm has named beforehand.
//!
//! Everything else is no place at all, so that no link of ours can end at somebody else's site (RFC 9700 section 4.11).

use url::Url;

use super::realm::Realm;

/// Longest address that is looked at.
const MAX: usize = 512;

/// A checked place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnTo {
    href: String,
    source: Option<String>,
}

impl ReturnTo {
    /// The place that `text` names, if `realm` allows it.
    ///
    /// Own places are paths below `/ui/`. Others must be one of the realm's `allowedRedirectUris`, byte for byte, with
    /// `https`, `http` or a private-use scheme with a dot in it (RFC 8252 section 7.1).
    #[must_use]
    pub fn parse(realm: &Realm, text: &str) -> Option<Self> {
        if text.len() > MAX || !text.bytes().all(|b| b.is_ascii_graphic() && !b"\"'<>\\^`{|}".contains(&b)) {
            return None;
        }
        if text.starts_with("/ui/") {
            let up = text.split(['?', '#']).next().unwrap_or_default().split('/').any(|part| part == ".." || part.contains('%'));
            return (!up).then(|| Self { href: text.to_owned(), source: None });
        }
        if !realm.settings.allowed_redirect_uris.iter().any(|uri| uri == text) {
            return None;
        }
        let url = Url::parse(text).ok()?;
        let source = match url.scheme() {
            "https" | "http" => url.origin().ascii_serialization(),
            scheme if scheme.contains('.') => format!("{scheme}:"),
            _ => return None,
        };
        Some(Self { href: text.to_owned(), source: Some(source) })
    }

    /// The address: a path of ours without the installation's base path, or a whole one.
    #[must_use]
    pub fn href(&self) -> &str {
        &self.href
    }

    /// What a content security policy calls a foreign place (`form-action`); `None` for one of ours.
    #[must_use]
    pub fn source(&self) -> Option<&str> {
        self.source.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::domain::{
        id::{AccountId, RealmId},
        realm::{RealmSettings, RealmStatus},
    };

    fn parse(text: &str) -> Option<ReturnTo> {
        let allowed = ["https://app.example.com/in?x=1", "com.example.app:/in", "javascript:alert(1)", "data:text/html,x", "/elsewhere", "//evil.example"];
        let settings = RealmSettings { allowed_redirect_uris: allowed.map(str::to_owned).to_vec(), ..RealmSettings::default() };
        let (id, account_id) = (RealmId(uuid::Uuid::nil()), AccountId(uuid::Uuid::nil()));
        let realm = Realm { id, account_id, name: "acme".to_owned(), status: RealmStatus::Active, settings, created_at: DateTime::UNIX_EPOCH };
        ReturnTo::parse(&realm, text)
    }

    #[test]
    fn own_pages_and_named_addresses_are_places() {
        assert_eq!(parse("/ui/account?realm=acme").map(|place| place.source), Some(None));
        assert_eq!(parse("https://app.example.com/in?x=1").and_then(|place| place.source).as_deref(), Some("https://app.example.com"));
        assert_eq!(parse("com.example.app:/in").and_then(|place| place.source).as_deref(), Some("com.example.app:"));
    }

    #[test]
    fn nothing_else_is_one() {
        let long = format!("/ui/{}", "a".repeat(MAX));
        let nowhere = [
            "",
            "/",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "https://evil.example",
            "https:evil.example",
            "/ui",
            "/ui/../dev/mailbox",
            "/ui/%2e%2e/dev",
            "/ui/\r\nSet-Cookie: a=b",
            "/ui/ x",
            "/ui/\u{e9}",
            "/elsewhere",
            "javascript:alert(1)",
            "data:text/html,x",
            "https://app.example.com/in?x=1#",
            "https://app.example.com/in",
            "https://app.example.com",
            "HTTPS://app.example.com/in?x=1",
            "https://app.example.com/in?x=1 ",
            " https://app.example.com/in?x=1",
            "https://app.example.com/in?x=1@evil.example",
            long.as_str(),
        ];
        for text in nowhere {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}

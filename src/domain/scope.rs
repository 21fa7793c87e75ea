//! Scopes: what a key may do, as `noun:verb` words. `write` does not imply `read`.
//!
//! Most are the product's own: it asks for them at the verify service or the gateway. This service itself honours
//! `credentials:verify` and `webhooks:*`. A realm's owner registers further ones in its settings.

use super::{Error, FieldError, Result, realm::RealmSettings};

/// The scopes that every realm knows.
pub const STANDARD: [&str; 11] = [
    "agents:read",
    "agents:write",
    "chat:read",
    "chat:write",
    "knowledge:read",
    "knowledge:write",
    "integrations:read",
    "integrations:write",
    "webhooks:read",
    "webhooks:write",
    VERIFY,
];

/// The right to ask who a credential is of.
pub const VERIFY: &str = "credentials:verify";

/// Most scopes a realm may register.
const MOST: usize = 100;

/// Whether a realm knows a scope.
#[must_use]
pub fn is_known(settings: &RealmSettings, scope: &str) -> bool {
    STANDARD.contains(&scope) || settings.scopes.iter().any(|known| known == scope)
}

/// All scopes that a realm knows, in a fixed order.
pub fn known(settings: &RealmSettings) -> impl Iterator<Item = &str> {
    STANDARD.into_iter().chain(settings.scopes.iter().map(String::as_str))
}

/// Checks the scopes asked for a key: at least one, each known to the realm, none twice.
///
/// # Errors
/// [`Error::Invalid`] naming each faulty place below `field`, never what stands there.
pub fn check(field: &str, settings: &RealmSettings, scopes: &[String]) -> Result<()> {
    if scopes.is_empty() {
        return Err(Error::invalid(field, "required", "must name at least one scope"));
    }
    let mut faults = Vec::new();
    for (at, scope) in scopes.iter().enumerate() {
        if !is_known(settings, scope) {
            faults.push(FieldError::new(format!("{field}.{at}"), "unknown_scope", "is not a scope of this realm"));
        } else if scopes[..at].contains(scope) {
            faults.push(FieldError::new(format!("{field}.{at}"), "duplicate", "stands in the list twice"));
        }
    }
    // A list as long as a body allows would otherwise be answered by one as long.
    faults.truncate(20);
    if faults.is_empty() { Ok(()) } else { Err(Error::Invalid(faults)) }
}

/// Checks the scopes that a realm registers: words of a-z, 0-9, `_`, `-`, `.` joined by colons, none of them standard.
pub(super) fn check_registered(field: &str, scopes: &[String]) -> Vec<FieldError> {
    let word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-' | b'.'));
    let good = |scope: &String| scope.len() <= 64 && scope.contains(':') && scope.split(':').all(word);
    let mut faults = Vec::new();
    if scopes.len() > MOST {
        faults.push(FieldError::new(field, "too_many", format!("must be {MOST} at most")));
    }
    for (at, scope) in scopes.iter().take(MOST).enumerate() {
        let place = format!("{field}.{at}");
        if !good(scope) {
            faults.push(FieldError::new(place, "invalid_scope", "must be words of a-z, 0-9, `_`, `-` and `.`, joined by colons, 64 characters at most"));
        } else if STANDARD.contains(&scope.as_str()) || scopes[..at].contains(scope) {
            faults.push(FieldError::new(place, "duplicate", "is known already"));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(scopes: &[&str]) -> Vec<String> {
        let settings = RealmSettings { scopes: vec!["orders:read".to_owned()], ..RealmSettings::default() };
        let scopes: Vec<String> = scopes.iter().map(|&scope| scope.to_owned()).collect();
        match check("scopes", &settings, &scopes) {
            Ok(()) => Vec::new(),
            Err(Error::Invalid(faults)) => faults.iter().map(|fault| format!("{}:{}", fault.field, fault.code)).collect(),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn scopes_are_known_words_each_once() {
        assert_eq!(faults(&["chat:read", "orders:read", VERIFY]), [""; 0]);
        assert_eq!(faults(&[]), ["scopes:required"]);
        assert_eq!(faults(&["chat:read", "chat:read", "orders:write"]), ["scopes.1:duplicate", "scopes.2:unknown_scope"]);
        for wrong in ["*", "chat:*", "CHAT:READ", " chat:read", "chat:read ", "chat", "", "chat:read chat:write", "chаt:read"] {
            assert_eq!(faults(&[wrong]), ["scopes.0:unknown_scope"], "{wrong}");
        }
        assert_eq!(faults(&["x"; 5_000]).len(), 20);
    }

    #[test]
    fn registered_scopes_are_new_words() {
        let codes = |scopes: &[&str]| -> Vec<&'static str> {
            let scopes: Vec<String> = scopes.iter().map(|&scope| scope.to_owned()).collect();
            check_registered("scopes", &scopes).iter().map(|fault| fault.code).collect()
        };
        assert_eq!(codes(&["orders:read", "orders:line-items:read"]), [""; 0]);
        assert_eq!(codes(&["chat:read", "a:b", "a:b"]), ["duplicate", "duplicate"]);
        assert_eq!(codes(&["a", ":", "a:", "A:b", "a b:c", "a:*"]), ["invalid_scope"; 6]);
        assert_eq!(codes(&["x"; 101])[0], "too_many");
    }
}

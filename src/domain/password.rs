//! Which passwords are good enough: the same verdict wherever one is set (NIST SP 800-63B-4, OWASP ASVS 5.0 6.2). There are
//! no composition rules and no folding; hashing is the business of `crypto`.
//!
//! `common_passwords.txt` is data: the entries of 8 or more bytes of the public 20,000-entry list by Royce Williams that
//! Django ships too, lower-cased, without broken encodings, sorted by bytes.

use std::sync::LazyLock;

use secrecy::{ExposeSecret as _, SecretString};

use super::{Error, FieldError, Result};

/// Longest password in bytes; hashing cost must not depend on what a stranger sends.
pub const MAX_PASSWORD: usize = 1_024;

/// The product's own name, a context word everywhere.
const PRODUCT: &str = "realmgate";
/// Shortest context word, in characters, that a password may not equal.
const EQUAL_FROM: usize = 4;
/// Shortest context word, in characters, that may not make up most of a password.
const CONTAINED_FROM: usize = 5;

static COMMON: LazyLock<Vec<&'static str>> = LazyLock::new(|| include_str!("common_passwords.txt").lines().collect());

/// A password that passed the policy and may be hashed.
pub struct NewPassword(SecretString);

impl NewPassword {
    /// Applies the policy: `min` (realm setting) to 1,024 bytes exactly as received, not on the common-password list, and
    /// not personal.
    ///
    /// Personal means, for each word of `context` (name, address, realm; whole, its local part, its parts between
    /// punctuation, and all of these run together) and for the product's name, ignoring case: the password is the word (from
    /// 4 characters), or the word (from 5 characters) makes up more than half of the password. So `Lovelace1815!` is
    /// refused to Ada Lovelace, while a long phrase that mentions her is fine.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming `field`, code `too_short`, `too_long`, `too_common` or `too_personal`; never quotes the
    /// password.
    pub fn check(field: &str, password: SecretString, min: usize, context: &[&str]) -> Result<Self> {
        let text = password.expose_secret();
        if text.len() < min {
            return Err(Error::Invalid(vec![FieldError::new(field, "too_short", format!("must be at least {min} bytes long")).with_limit(min as u64)]));
        }
        if text.len() > MAX_PASSWORD {
            return Err(Error::Invalid(vec![
                FieldError::new(field, "too_long", format!("must be at most {MAX_PASSWORD} bytes long")).with_limit(MAX_PASSWORD as u64),
            ]));
        }
        let lower = SecretString::from(text.to_lowercase());
        let lower = lower.expose_secret();
        if COMMON.binary_search(&lower).is_ok() || COMMON.binary_search(&lower.trim()).is_ok() {
            return Err(Error::invalid(field, "too_common", "is one of the most common passwords; choose another"));
        }
        if context.iter().chain([&PRODUCT]).any(|word| is_personal(lower, word)) {
            return Err(Error::invalid(field, "too_personal", "is too close to the name, the address or the service; choose another"));
        }
        Ok(Self(password))
    }

    /// The password, for hashing.
    #[must_use]
    pub fn secret(&self) -> &SecretString {
        &self.0
    }
}

impl std::fmt::Debug for NewPassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NewPassword([REDACTED])")
    }
}

fn is_personal(password: &str, context: &str) -> bool {
    let context = context.trim().to_lowercase();
    let length = password.chars().count();
    let too_close = |word: &str| {
        let size = word.chars().count();
        (size >= EQUAL_FROM && password == word) || (size >= CONTAINED_FROM && size * 2 > length && password.contains(word))
    };
    let local = context.split_once('@').map_or("", |(local, _)| local);
    let run_together = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
    too_close(&context)
        || too_close(local)
        || too_close(&run_together(&context))
        || too_close(&run_together(local))
        || context.split(|c: char| !c.is_alphanumeric()).any(too_close)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: [&str; 3] = ["Ada Lovelace", "ada.byron@engine.example.com", "acme.example.com"];

    fn verdict(text: &str, min: usize) -> &'static str {
        match NewPassword::check("password", text.into(), min, &ADA) {
            Ok(_) => "ok",
            Err(Error::Invalid(faults)) => faults[0].code,
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn length_counts_bytes_as_received() {
        assert_eq!(verdict("k9#Lq2x", 8), "too_short");
        assert_eq!(verdict("k9#Lq2xé", 8), "ok");
        assert_eq!(verdict("äöüß", 8), "ok");
        assert_eq!(verdict("       ", 8), "too_short");
        assert_eq!(verdict("correct horse", 15), "too_short");
        assert_eq!(verdict(&"xy ".repeat(342)[..1_024], 8), "ok");
        assert_eq!(verdict(&"xy ".repeat(342)[..1_025], 8), "too_long");
    }

    #[test]
    fn common_passwords_are_refused_in_any_case() {
        for common in ["password", "Password1", "12345678", "QWERTYUIOP", "iloveyou ", "letmein123"] {
            assert_eq!(verdict(common, 8), "too_common", "{common}");
        }
    }

    #[test]
    fn personal_passwords_are_refused_and_phrases_are_not() {
        for personal in [
            "adalovelace",
            "Ada Lovelace",
            "Lovelace1815!",
            "LOVELACE",
            "ada.byron@engine.example.com",
            "ada.byron",
            "adabyron12",
            "engine2024",
            "acme.example.com",
            "Realmgate1!",
            "realmgate",
        ] {
            assert_eq!(verdict(personal, 8), "too_personal", "{personal}");
        }
        for fine in ["a lovelace engine that counts", "adagio-42x", "comcomco", "exam-ple-7"] {
            assert_eq!(verdict(fine, 8), "ok", "{fine}");
        }
    }

    #[test]
    fn the_list_is_fit_for_binary_search_and_long_enough() {
        assert!(COMMON.len() > 3_000);
        assert!(COMMON.is_sorted());
        assert!(COMMON.iter().all(|word| word.len() >= 8 && *word == word.to_lowercase()));
    }

    #[test]
    fn debug_output_hides_the_password() {
        let password = NewPassword::check("password", "k9#Lq2xv".into(), 8, &[]).unwrap();
        assert_eq!(format!("{password:?}"), "NewPassword([REDACTED])");
    }
}

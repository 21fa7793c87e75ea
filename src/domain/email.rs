//! E-mail addresses in one canonical form: what a person may type for one mailbox becomes one text, so that uniqueness,
//! throttling and mailing all mean the same thing. Deliverability is not judged here; a mailed proof does that.

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

use super::{Error, Result};

/// Longest address in bytes (RFC 5321 section 4.5.3.1.3: a path of 256 with its brackets).
const MAX_ADDRESS: usize = 254;
/// Longest local part in bytes (RFC 5321 section 4.5.3.1.1).
const MAX_LOCAL: usize = 64;
/// Longest input worth looking at: names in other scripts shrink when they become A-labels, but never from this far.
const MAX_INPUT: usize = 1_024;

/// A canonical e-mail address: ASCII local part in lower case, domain as lower-case A-labels.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Email(String);

impl Email {
    /// Reads an address as typed; `field` is named in the fault. ASCII white space around it is dropped. The domain is
    /// checked after its normalisation (UTS 46 with STD3, hyphen and DNS length rules), because full-width and other
    /// look-alike dots, letters and at-signs only then show what they are. Quoted local parts, comments, display names and
    /// IP literals are refused: they are legal mail syntax, yet give one mailbox many spellings.
    ///
    /// # Errors
    /// [`Error::Invalid`] with code `invalid_email` for what is no single plain address; the value is never quoted.
    pub fn parse(field: &str, text: &str) -> Result<Self> {
        canonical(text.trim_ascii())
            .map(Self)
            .ok_or_else(|| Error::invalid(field, "invalid_email", "must be one plain e-mail address such as `ada@example.com`"))
    }

    /// An address from our own database, canonical already.
    #[must_use]
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The canonical text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands before the at-sign.
    #[must_use]
    pub fn local_part(&self) -> &str {
        self.0.split_once('@').map_or("", |(local, _)| local)
    }
}

impl std::fmt::Display for Email {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

fn canonical(text: &str) -> Option<String> {
    if text.len() > MAX_INPUT {
        return None;
    }
    let (local, domain) = text.split_once('@')?;
    if local.len() > MAX_LOCAL || !local.split('.').all(is_atom) {
        return None;
    }
    let domain = Uts46::new().to_ascii(domain.as_bytes(), AsciiDenyList::STD3, Hyphens::Check, DnsLength::Verify).ok()?;
    let last = domain.rsplit('.').next()?;
    // A numeric last label would be an IPv4 address to most software (RFC 3696 section 2).
    if last.bytes().all(|b| b.is_ascii_digit()) || (last.len() == domain.len() && domain != "localhost") {
        return None;
    }
    let address = format!("{}@{domain}", local.to_ascii_lowercase());
    (address.len() <= MAX_ADDRESS).then_some(address)
}

/// One or more `atext` characters (RFC 5322 section 3.2.3).
fn is_atom(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spellings_of_one_mailbox_become_one_text() {
        for (typed, stored) in [
            ("Ada@Example.COM", "ada@example.com"),
            (" ada+tag@example.com\r\n", "ada+tag@example.com"),
            ("root@localhost", "root@localhost"),
            ("ada@Bücher.example", "ada@xn--bcher-kva.example"),
            ("ada@XN--BCHER-KVA.example", "ada@xn--bcher-kva.example"),
            ("ada@example。com", "ada@example.com"),
            ("ada@ｅｘａｍｐｌｅ.com", "ada@example.com"),
            ("o'brien!#$%&*/=?^_`{|}~-@a.b", "o'brien!#$%&*/=?^_`{|}~-@a.b"),
        ] {
            assert_eq!(Email::parse("email", typed).unwrap().as_str(), stored, "{typed:?}");
        }
    }

    #[test]
    fn everything_but_one_plain_address_is_refused() {
        let long_local = format!("{}@example.com", "a".repeat(65));
        let long_label = format!("a@{}.com", "b".repeat(64));
        let long_address = format!("{}@{}.com", "a".repeat(64), vec!["b".repeat(60); 4].join("."));
        for typed in [
            "",
            "@",
            "ada",
            "ada@",
            "@example.com",
            "ada@example",
            "ada@example.com,eve@example.com",
            "ada@example.com eve@example.com",
            "ada@eve@example.com",
            "Ada <ada@example.com>",
            "<ada@example.com>",
            "\"ada\"@example.com",
            "\"a b\"@example.com",
            "ada(x)@example.com",
            "ada@example.com(x)",
            "ada@[127.0.0.1]",
            "ada@127.0.0.1",
            "ada@[IPv6:::1]",
            "ada@example.1",
            ".ada@example.com",
            "ada.@example.com",
            "a..da@example.com",
            "ada@example.com.",
            "ada@example.com。",
            "ada@.example.com",
            "ada@example..com",
            "ada@-example.com",
            "ada@example-.com",
            "ada@ab--cd.com",
            "ada@xn--example-.org",
            "ada@xn--a.com",
            "ada@exa_mple.com",
            "ada@exam ple.com",
            "a da@example.com",
            "ada@example.com\0",
            "a\0da@example.com",
            "ada@exa\nmple.com",
            "ada\r\nBcc: eve@example.com",
            "аda@example.com",
            "ada＠example.com",
            "a@b＠example.com",
            "ada@example.com%00",
            "ada@\u{202e}example.com",
            "mailto:ada@example.com",
            &long_local,
            &long_label,
            &long_address,
        ] {
            let Err(Error::Invalid(faults)) = Email::parse("email", typed) else { panic!("{typed:?} was accepted") };
            assert_eq!((faults[0].field.as_str(), faults[0].code), ("email", "invalid_email"));
        }
    }

    #[test]
    fn the_longest_address_fits() {
        let domain = format!("{}.{}.{}.com", "b".repeat(61), "c".repeat(61), "d".repeat(61));
        let address = format!("{}@{domain}", "a".repeat(MAX_ADDRESS - 1 - domain.len()));
        assert_eq!(Email::parse("email", &address).unwrap().as_str().len(), MAX_ADDRESS);
        assert!(Email::parse("email", &format!("a{address}")).is_err());
    }

    proptest! {
        #[test]
        fn a_canonical_address_is_its_own_canonical_form(local in "\\PC{1,12}|[a-zA-Z.+]{1,12}", domain in "\\PC{1,12}\\.\\PC{1,6}|[a-zA-Z0-9ßäé.-]{1,16}\\.[a-z]{2,4}") {
            if let Ok(email) = Email::parse("email", &format!("{local}@{domain}")) {
                prop_assert!(email.as_str().bytes().all(|b| b.is_ascii_graphic() && !b.is_ascii_uppercase()));
                prop_assert_eq!(email.as_str().matches('@').count(), 1);
                prop_assert_eq!(&Email::parse("email", email.as_str()).unwrap(), &email);
            }
        }
    }
}

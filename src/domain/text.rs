//! Short texts that people type: names, countries, telephone numbers. The rules keep them on one line and visible, so that
//! they can stand in mail headers, logs and pages; escaping for each of those is the business of whoever prints them.

use super::{Error, FieldError, Result};

/// Longest name in characters.
const MAX_NAME: usize = 100;
/// Longest country in characters.
const MAX_COUNTRY: usize = 100;
/// Longest telephone number in characters; E.164 needs 15 digits, the rest is for how people group them.
const MAX_PHONE: usize = 32;

/// A person's or thing's name: trimmed, 1 to 100 characters, one line.
///
/// # Errors
/// [`Error::Invalid`] naming `field`, code `required`, `too_long` or `invalid_character`.
pub fn name(field: &str, text: &str) -> Result<String> {
    optional_line(field, Some(text), MAX_NAME)?.ok_or_else(|| Error::invalid(field, "required", "must not be blank"))
}

/// An optional line of at most `max` characters; blank means none.
///
/// # Errors
/// [`Error::Invalid`] naming `field`, code `too_long` or `invalid_character`.
pub fn optional_line(field: &str, text: Option<&str>, max: usize) -> Result<Option<String>> {
    let Some(line) = text.map(str::trim) else { return Ok(None) };
    // Length first: the other looks then never see more than a line.
    if line.chars().nth(max).is_some() {
        return Err(Error::Invalid(vec![FieldError::new(field, "too_long", format!("must be at most {max} characters")).with_limit(max as u64)]));
    }
    if line.chars().any(breaks_line) {
        return Err(Error::invalid(field, "invalid_character", "must be one line without control or text-direction characters"));
    }
    Ok(line.chars().any(|c| !is_invisible(c)).then(|| line.to_owned()))
}

/// An optional country, as its owner writes it: an ISO 3166 code or a name, at most 100 characters.
///
/// # Errors
/// [`Error::Invalid`] naming `field`, code `too_long` or `invalid_character`.
pub fn country(field: &str, text: Option<&str>) -> Result<Option<String>> {
    optional_line(field, text, MAX_COUNTRY)
}

/// An optional telephone number as typed: at most 32 digits, spaces and `+ ( ) -`, with a digit among them.
///
/// # Errors
/// [`Error::Invalid`] naming `field`, code `too_long` or `invalid_character`.
pub fn phone(field: &str, text: Option<&str>) -> Result<Option<String>> {
    let Some(line) = optional_line(field, text, MAX_PHONE)? else { return Ok(None) };
    if line.chars().all(|c| c.is_ascii_digit() || " +()-".contains(c)) && line.contains(|c: char| c.is_ascii_digit()) {
        Ok(Some(line))
    } else {
        Err(Error::invalid(field, "invalid_character", "must be a telephone number of digits, spaces and + ( ) -"))
    }
}

/// Control characters (NUL, CR, LF and the C1 set among them), Unicode's own line ends, and the characters that turn the
/// direction of all text after them (CVE-2021-42574): with these a name could forge a header, a log line or its neighbours.
fn breaks_line(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// White space and the common zero-width characters: legitimate between letters, but a text of nothing else is blank.
fn is_invisible(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{00AD}' | '\u{061C}' | '\u{200B}'..='\u{200F}' | '\u{2060}'..='\u{2064}' | '\u{2800}' | '\u{3164}' | '\u{FEFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code<T: std::fmt::Debug>(result: Result<T>) -> &'static str {
        match result {
            Err(Error::Invalid(faults)) => faults[0].code,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn names_are_one_visible_line() {
        assert_eq!(name("name", "  Ada Lovelace\n").unwrap(), "Ada Lovelace");
        assert_eq!(name("name", "علي\u{200F}").unwrap(), "علي\u{200F}");
        assert_eq!(name("name", &"é".repeat(100)).unwrap().chars().count(), 100);
        assert_eq!(code(name("name", &"é".repeat(101))), "too_long");
        for blank in ["", " \t", "\u{200B}", "\u{FEFF} \u{3164}"] {
            assert_eq!(code(name("name", blank)), "required", "{blank:?}");
        }
        for bad in ["a\r\nBcc: x", "a\nb", "a\0b", "a\u{85}b", "a\u{1b}[31m", "a\u{7f}b", "a\u{2028}b", "\u{202e}gro.elpmaxe", "a\u{2066}b"] {
            assert_eq!(code(name("name", bad)), "invalid_character", "{bad:?}");
        }
    }

    #[test]
    fn optional_texts_may_be_absent_or_blank() {
        assert_eq!(optional_line("company", None, 5).unwrap(), None);
        assert_eq!(optional_line("company", Some("  "), 5).unwrap(), None);
        assert_eq!(optional_line("company", Some(" 12345 "), 5).unwrap().as_deref(), Some("12345"));
        assert_eq!(code(optional_line("company", Some("123456"), 5)), "too_long");
        assert_eq!(country("country", Some("Côte d'Ivoire")).unwrap().as_deref(), Some("Côte d'Ivoire"));
    }

    #[test]
    fn telephone_numbers_hold_digits_and_their_grouping() {
        assert_eq!(phone("phone", Some(" +49 (0)30 1234-567 ")).unwrap().as_deref(), Some("+49 (0)30 1234-567"));
        assert_eq!(phone("phone", Some("")).unwrap(), None);
        for bad in ["12a", "()-", "１２３", "1;2", "tel:12"] {
            assert_eq!(code(phone("phone", Some(bad))), "invalid_character", "{bad:?}");
        }
        assert_eq!(code(phone("phone", Some(&"1".repeat(33)))), "too_long");
    }
}

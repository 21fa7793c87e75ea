//! Makes harmless what strangers typed before it is put in a mail that bears the customer's name.
//!
//! Escaping for HTML is the template engine's part; this file deals with what no escaping covers: a "name" that mail
//! programs would turn into a link, that spills over its line, or that turns the text around it backwards.

use crate::domain::realm::host_name;

/// Longest piece of foreign text in a mail, in characters.
const LONGEST: usize = 100;

/// A person's name, a device, or anything else that anybody may have typed: one line of at most 100 characters in which
/// no mail program finds an address to link (`http://evil.example` becomes `http: //evil. example`).
#[must_use]
pub(super) fn foreign(text: &str) -> String {
    let line = line(text).replace("://", ": //");
    let mut out = String::with_capacity(line.len() + 8);
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next() {
        out.push(c);
        // Gmail and others link bare domains; one cannot begin a top-level label after a space. A digit may follow, so
        // that IP addresses and version numbers stay as they are. The other three are full stops to IDNA (RFC 3490).
        if matches!(c, '.' | '。' | '．' | '｡') && rest.peek().is_some_and(|next| next.is_alphabetic()) {
            out.push(' ');
        }
    }
    cut(&out)
}

/// A realm's display name: a DNS name stays as it is, for that is what realms are called; all else is [`foreign`].
#[must_use]
pub(super) fn realm(text: &str) -> String {
    let text = line(text);
    if host_name("realm", &text).is_ok() { text } else { foreign(&text) }
}

/// One line: runs of white space and control characters become one space, marks that change the direction or hide
/// text are dropped. Joiners (U+200C, U+200D) stay: names in several scripts need them.
#[must_use]
pub(super) fn line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => {}
            c if c.is_control() || c.is_whitespace() => {
                if !out.is_empty() && !out.ends_with(' ') {
                    out.push(' ');
                }
            }
            c => out.push(c),
        }
    }
    out.truncate(out.trim_end().len());
    out
}

fn cut(text: &str) -> String {
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(LONGEST - 1).collect();
    short.truncate(short.trim_end().len());
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_one_line_that_nobody_links() {
        assert_eq!(foreign("Eve\r\nBcc: x@evil.example\0"), "Eve Bcc: x@evil. example");
        assert_eq!(foreign("http://evil.example/a?b"), "http: //evil. example/a?b");
        assert_eq!(foreign("www.evil.example"), "www. evil. example");
        assert_eq!(foreign("evil。example"), "evil。 example");
        assert_eq!(foreign("Ann \u{202e}moc.live"), "Ann moc. live");
    }

    #[test]
    fn ordinary_text_stays_as_it_is() {
        for text in ["Zoë O'Neil-Łukasz", "J. R. R. Tolkien", "curl/8.5.0", "203.0.113.7", "Firefox on Linux", "علی\u{200c}رضا"] {
            assert_eq!(foreign(text), text);
        }
        assert_eq!(realm("acme.example.com"), "acme.example.com");
        assert_eq!(realm("Win at evil.example"), "Win at evil. example");
    }

    #[test]
    fn long_text_is_cut_with_a_sign_of_it() {
        let short = foreign(&"ä".repeat(500));
        assert_eq!(short.chars().count(), 100);
        assert!(short.ends_with("ä…"));
    }
}

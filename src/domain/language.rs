//! The languages that people are spoken to in, and how one is chosen: their own wish, else the realm's, else what their
//! browser asked for, else English.
//!
//! Only mails and pages are for people; the texts of the API are for programmers and stay English, their codes are what
//! programs translate. A further language is a variant here and a catalogue, see [`super::words`].

use super::{Error, Result};

/// A language that every mail and every page exists in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Language {
    /// What is spoken where nobody asked for anything else.
    #[default]
    #[serde(rename = "en")]
    English,
    #[serde(rename = "de")]
    German,
}

impl Language {
    /// All of them, in the order in which they are offered.
    pub const ALL: [Self; 2] = [Self::English, Self::German];

    /// The BCP 47 tag: stored, public, and the `lang` of what is written in it.
    #[must_use]
    pub fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
        }
    }

    /// What its speakers call it.
    #[must_use]
    pub fn own_name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::German => "Deutsch",
        }
    }

    /// The known language that a BCP 47 tag asks for, whatever its script or region: `de-AT` is German.
    #[must_use]
    pub fn parse(tag: &str) -> Option<Self> {
        let primary = tag.trim().split(['-', '_']).next()?;
        Self::ALL.into_iter().find(|language| language.tag().eq_ignore_ascii_case(primary))
    }

    /// The same, for whoever chose it.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming `field`, code `unknown_language`.
    pub fn known(field: &str, tag: &str) -> Result<Self> {
        Self::parse(tag).ok_or_else(|| Error::invalid(field, "unknown_language", "must be a language that there is: `en` or `de`"))
    }

    /// The known language that an `Accept-Language` (RFC 9110 section 12.5.4) likes best; of equals, the first. A
    /// header that asks for none of ours, or that can't be read, asks for nothing.
    #[must_use]
    pub fn accepted(header: &str) -> Option<Self> {
        let mut best: Option<(u16, Self)> = None;
        for range in header.split(',').take(MOST_RANGES) {
            let mut parts = range.split(';');
            let Some(language) = parts.next().and_then(Self::parse) else { continue };
            let quality = parts.find_map(|part| part.trim().strip_prefix("q=")).map_or(Some(1_000), quality);
            match quality {
                Some(quality) if quality > best.map_or(0, |(best, _)| best) => best = Some((quality, language)),
                _ => {}
            }
        }
        best.map(|(_, language)| language)
    }
}

/// Ranges of a header that are looked at; browsers send a handful.
const MOST_RANGES: usize = 32;

/// A weight in thousandths, if it is one.
fn quality(text: &str) -> Option<u16> {
    let value: f32 = text.trim().parse().ok()?;
    // At most 1000, so that the cast loses nothing but the fraction.
    (0.0..=1.0).contains(&value).then_some((value * 1_000.0) as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_names_a_language_whatever_its_region() {
        for (tag, wanted) in [("de", Some(Language::German)), ("de-AT", Some(Language::German)), ("EN_us", Some(Language::English)), ("deu", None), ("", None)]
        {
            assert_eq!(Language::parse(tag), wanted, "{tag}");
        }
        for language in Language::ALL {
            assert_eq!(Language::parse(language.tag()), Some(language));
            assert_eq!(serde_json::to_value(language).unwrap(), language.tag());
        }
    }

    #[test]
    fn the_best_liked_known_language_is_taken() {
        let cases = [
            ("de", Some(Language::German)),
            ("de-CH,de;q=0.9,en;q=0.8", Some(Language::German)),
            ("fr, en;q=0.5, de;q=0.7", Some(Language::German)),
            ("en;q=0.5,de;q=0.5", Some(Language::English)),
            ("de;q=0, en;q=0.1", Some(Language::English)),
            ("fr", None),
            ("*", None),
            ("de;q=2", None),
            ("de;q=nan", None),
            (";;;,,,q=", None),
        ];
        for (header, wanted) in cases {
            assert_eq!(Language::accepted(header), wanted, "{header}");
        }
    }
}

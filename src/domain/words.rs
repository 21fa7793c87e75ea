//! What mails and pages say, in every [`Language`]: one catalogue a language, `templates/words/<tag>.toml`.
//!
//! Templates hold structure and no sentence. Where one is due they write `{{ t("page.reset_password.title", realm=realm) }}`:
//! the key is the entry's path in the catalogue, and a named argument fills the `{realm}` of the sentence. An entry whose
//! words depend on a number has the forms `one` and `other` and is asked for with `count=`. Code that needs a sentence
//! asks [`Words::say`] in the same way. Sentences are plain text: whoever prints one escapes it, arguments included.
//!
//! To add a sentence, add it to *every* catalogue: a test here fails while the catalogues differ in an entry or in an
//! entry's arguments. To add a language, add its variant and its catalogue; nothing else knows how many there are.

use std::{collections::BTreeMap, sync::OnceLock};

use super::{Error, Result, language::Language};

/// The catalogue of one language.
#[derive(Clone, Debug)]
pub struct Words(BTreeMap<String, String>);

impl Words {
    /// The catalogue of `language`, read when it is first asked for.
    ///
    /// # Errors
    /// [`Error::Internal`] if it is malformed, which the tests of this file rule out.
    pub fn of(language: Language) -> Result<&'static Self> {
        static READ: [OnceLock<Words>; Language::ALL.len()] = [const { OnceLock::new() }; Language::ALL.len()];
        let place = &READ[language as usize];
        match place.get() {
            Some(words) => Ok(words),
            None => Self::read(language).map(|words| place.get_or_init(|| words)),
        }
    }

    fn read(language: Language) -> Result<Self> {
        let source = match language {
            Language::English => include_str!("../../templates/words/en.toml"),
            Language::German => include_str!("../../templates/words/de.toml"),
        };
        let table: toml::Table = source.parse().map_err(|fault: toml::de::Error| Error::internal(fault))?;
        let mut words = BTreeMap::new();
        flatten(&mut words, "", &table)?;
        Ok(Self(words))
    }

    /// The sentence at `key` with its arguments filled in, or `None` if there is no such entry or an argument is missing.
    /// An argument named `count` chooses between the forms of an entry that has them.
    #[must_use]
    pub fn say(&self, key: &str, args: &[(&str, &str)]) -> Option<String> {
        let entry = self.0.get(key).or_else(|| {
            let (_, count) = args.iter().find(|(name, _)| *name == "count")?;
            self.0.get(&format!("{key}.{}", if *count == "1" { "one" } else { "other" }))
        })?;
        let mut out = String::with_capacity(entry.len() + 32);
        let mut rest = entry.as_str();
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}')?;
            out.push_str(before);
            out.push_str(args.iter().find(|(given, _)| *given == name)?.1);
            rest = after;
        }
        out.push_str(rest);
        Some(out)
    }

    /// Whether there is such an entry.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }
}

fn flatten(into: &mut BTreeMap<String, String>, path: &str, table: &toml::Table) -> Result<()> {
    for (name, value) in table {
        let key = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match value {
            toml::Value::Table(table) => flatten(into, &key, table)?,
            toml::Value::String(text) => {
                into.insert(key, text.clone());
            }
            _ => return Err(Error::internal(format!("the catalogue's entry `{key}` is no text"))),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn arguments(text: &str) -> BTreeSet<&str> {
        text.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name).collect()
    }

    #[test]
    fn every_language_has_every_entry_with_the_same_arguments() {
        let english = Words::of(Language::English).unwrap();
        assert!(english.0.len() > 50, "the catalogue was not read");
        for language in Language::ALL {
            let words = Words::of(language).unwrap();
            let keys = |words: &Words| words.0.keys().cloned().collect::<BTreeSet<_>>();
            let apart: Vec<_> = keys(words).symmetric_difference(&keys(english)).cloned().collect();
            assert_eq!(apart, Vec::<String>::new(), "entries that {language:?} or English lacks");
            for (key, text) in &words.0 {
                assert_eq!(arguments(text), arguments(&english.0[key]), "{language:?}: {key}");
                assert!(!text.trim().is_empty() && text.trim() == text && !text.contains(['\n', '<']), "{language:?}: {key} is one plain line");
                assert_eq!(text.matches('{').count(), text.matches('}').count(), "{language:?}: {key}");
            }
        }
    }

    #[test]
    fn no_language_repeats_the_sentences_of_another() {
        let english = Words::of(Language::English).unwrap();
        let german = Words::of(Language::German).unwrap();
        for (key, text) in german.0.iter().filter(|(_, text)| text.split(' ').count() > 3) {
            assert_ne!(text, &english.0[key], "{key} was left in English");
        }
    }

    #[test]
    fn sentences_are_filled_in_once() {
        let words = Words([("a", "{x} and {y}"), ("n.one", "{count} hour"), ("n.other", "{count} hours")].map(|(k, v)| (k.to_owned(), v.to_owned())).into());
        assert_eq!(words.say("a", &[("x", "{y}"), ("y", "{x}")]).as_deref(), Some("{y} and {x}"));
        assert_eq!(words.say("a", &[("x", "1")]), None, "an argument is missing");
        assert_eq!(words.say("n", &[("count", "1")]).as_deref(), Some("1 hour"));
        assert_eq!(words.say("n", &[("count", "24")]).as_deref(), Some("24 hours"));
        assert_eq!((words.say("b", &[]), words.say("n", &[])), (None, None));
    }
}

//! Teaches a template engine one language: `t("key", name=value)` and `lang`.
//!
//! Mails use it, and so do the pages of `http/view.rs`. One engine a language: a macro of an imported file then speaks the
//! right one without being told. What entries are and how one is added is said in [`crate::domain::words`].

use minijinja::{
    Environment, Error, ErrorKind,
    value::{Kwargs, Value},
};

use crate::domain::{Result, language::Language, words::Words};

/// Adds `t` and `lang` to `environment` and answers the catalogue, for whoever needs a sentence outside a template.
///
/// # Errors
/// [`crate::domain::Error::Internal`] if the catalogue is malformed, which the tests of [`crate::domain::words`] rule out.
pub fn teach(environment: &mut Environment<'static>, language: Language) -> Result<Words> {
    let words = Words::of(language)?;
    let known = words.clone();
    environment.add_global("lang", language.tag());
    environment.add_function("t", move |key: &str, args: Kwargs| -> Result<String, Error> {
        let values: Vec<(String, String)> =
            args.args().map(|name| Ok((name.to_owned(), args.get::<Value>(name)?.to_string()))).collect::<Result<_, Error>>()?;
        let pairs: Vec<(&str, &str)> = values.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        known.say(key, &pairs).ok_or_else(|| Error::new(ErrorKind::UndefinedError, format!("the catalogue has no `{key}` with these arguments")))
    });
    Ok(words)
}

//! Teaches a template engine one language: `t("key", name=value)` and `lang`.
//!
//! Mails use it, and so do the pages of `http/view.rs`. One engine a language: a macro of an imported file then speaks the
//! right one without being told. What entries are and how one is added is said in [`crate::domain::words`].

use minijinja::{
    Environment, Error, ErrorKind,
    value::{Kwargs, Value},
};

use crate::domain::{language::Language, words::Words};

/// Adds `t` and `lang` to `environment`.
pub fn teach(environment: &mut Environment<'static>, language: Language) {
    environment.add_global("lang", language.tag());
    environment.add_function("t", move |key: &str, args: Kwargs| -> Result<String, Error> {
        let values: Vec<(String, String)> =
            args.args().map(|name| Ok((name.to_owned(), args.get::<Value>(name)?.to_string()))).collect::<Result<_, Error>>()?;
        let pairs: Vec<(&str, &str)> = values.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let said = Words::of(language).ok().and_then(|words| words.say(key, &pairs));
        said.ok_or_else(|| Error::new(ErrorKind::UndefinedError, format!("the catalogue has no `{key}` with these arguments")))
    });
}

/// Lets `environment` find its templates in `known`, name and source. Each is compiled when it is first shown: a node that starts
/// need not wait for pages that nobody asks it for, nor keep them.
pub fn load_from(environment: &mut Environment<'static>, known: impl Fn(&str) -> Option<&'static str> + Send + Sync + 'static) {
    environment.set_loader(move |name| Ok(known(name).map(str::to_owned)));
}

//! What the pages look like: one struct a page with exactly what its template shows, rendered to a whole HTML document.
//!
//! Neighbours are `templates/ui/` and nothing else: no requests, no services, no realm rows. Pages work without
//! scripts, load one stylesheet of our own and nothing from elsewhere; [`PAGE_POLICY`] lets a browser hold them to it.
//!
//! # Languages
//! A template holds no sentence. It writes `{{ t("page.setup.title") }}`, or `{{ t("page.reset_password.text", realm=realm) }}`
//! where the sentence has a `{realm}`; the words stand in `templates/words/<language>.toml` and have to be added to every
//! one of them, see [`crate::domain::words`]. A handler of `ui/` shows a page with `visit.page(status, &page)`, which speaks
//! what the signed-in person chose, else the language of [`Ctx::language`](crate::service::Ctx::language). A sentence that a
//! handler needs itself is `visit.say("page.…")`, and faults of fields are `visit.faults(&faults)`. A page of a few words
//! needs no template: [`NoticePage`] and an entry under `page.notice`.

use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, context};

use crate::{
    domain::{Error, FieldError, Result, language::Language, words::Words},
    mail::speak,
};

mod account;
mod change_email;
mod factors;
mod invitation;
mod mailbox;
mod members;
mod pages;
mod people;

pub(crate) use account::{AccountPage, ErasePage, ProfileFields, SessionItem, SignOutPage};
pub(crate) use change_email::{Change, ChangeEmailPage, State as ChangeState};
pub(crate) use factors::{AskLinkPage, Asking, CodesPage, FactorPage, FactorsPart, NewPasskeyPage, PasskeySignInPage, PressPage, Thing, TotpPage};
pub(crate) use invitation::{InvitationPage, Offer};
pub(crate) use mailbox::{MailboxItem, MailboxPage};
pub(crate) use members::{PersonItem, TeamItem};
pub(crate) use pages::{ForgotPasswordPage, NoticePage, ResetPasswordPage, SetupPage, Tone, UnlockSignInPage, VerifyEmailFailedPage, VerifyEmailPage};
pub(crate) use people::{CodePage, SignInPage, SignUpPage};

/// The stylesheet of all pages, for `GET /ui/style.css`. Its address changes with its content, so that it may be cached for
/// ever: `Cache-Control: public, max-age=31536000, immutable`.
pub(crate) const STYLESHEET: &str = include_str!("../../templates/ui/style.css");

/// `Content-Security-Policy` of every page but the mailbox.
pub(crate) const PAGE_POLICY: &str = "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// The script of the few pages that ask for a passkey, for `GET /ui/passkey.js`; kept as the stylesheet is.
pub(crate) const SCRIPT: &str = include_str!("../../templates/ui/passkey.js");

/// `Content-Security-Policy` of the pages that load [`SCRIPT`]: that file of ours, and no other.
pub(crate) const SCRIPT_POLICY: &str =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// `Content-Security-Policy` of the development mailbox: mails carry their style inline, and the frame that shows one
/// inherits the page's policy.
pub(crate) const MAILBOX_POLICY: &str =
    "default-src 'none'; style-src 'self' 'unsafe-inline'; img-src data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// What is sent should a template fail, which the tests of this file rule out.
const BROKEN: &str = "<!doctype html><html lang=\"en\"><title>Something went wrong</title><h1>Something went wrong</h1><p>Please try again later.</p></html>";

const TEMPLATES: [(&str, &str); 24] = [
    ("layout.html", include_str!("../../templates/ui/layout.html")),
    ("parts.html", include_str!("../../templates/ui/parts.html")),
    ("fields.html", include_str!("../../templates/ui/fields.html")),
    ("sign_in.html", include_str!("../../templates/ui/sign_in.html")),
    ("sign_up.html", include_str!("../../templates/ui/sign_up.html")),
    ("code.html", include_str!("../../templates/ui/code.html")),
    ("account.html", include_str!("../../templates/ui/account.html")),
    ("erase.html", include_str!("../../templates/ui/erase.html")),
    ("sign_out.html", include_str!("../../templates/ui/sign_out.html")),
    ("verify_email.html", include_str!("../../templates/ui/verify_email.html")),
    ("reset_password.html", include_str!("../../templates/ui/reset_password.html")),
    ("unlock_sign_in.html", include_str!("../../templates/ui/unlock_sign_in.html")),
    ("invitation.html", include_str!("../../templates/ui/invitation.html")),
    ("change_email.html", include_str!("../../templates/ui/change_email.html")),
    ("setup.html", include_str!("../../templates/ui/setup.html")),
    ("factor.html", include_str!("../../templates/ui/factor.html")),
    ("passkey_sign_in.html", include_str!("../../templates/ui/passkey_sign_in.html")),
    ("passkey_new.html", include_str!("../../templates/ui/passkey_new.html")),
    ("totp.html", include_str!("../../templates/ui/totp.html")),
    ("codes.html", include_str!("../../templates/ui/codes.html")),
    ("press.html", include_str!("../../templates/ui/press.html")),
    ("ask_link.html", include_str!("../../templates/ui/ask_link.html")),
    ("message.html", include_str!("../../templates/ui/message.html")),
    ("mailbox.html", include_str!("../../templates/ui/mailbox.html")),
];

/// The page templates of every language; made once, shared by all.
#[derive(Debug)]
pub(crate) struct Views(Vec<View>);

/// The page templates in one language.
#[derive(Debug)]
pub(crate) struct View {
    language: Language,
    environment: Environment<'static>,
    base: String,
}

impl Views {
    /// `base` is the path under which the public address serves us: empty, or such as `/id`; links and forms begin with it.
    #[must_use]
    pub(crate) fn new(base: &str) -> Self {
        Self(Language::ALL.into_iter().map(|language| View::new(language, base)).collect())
    }

    /// The pages in `language`.
    #[must_use]
    pub(crate) fn speak(&self, language: Language) -> &View {
        // Made from all languages, so that the first is never taken for another.
        self.0.iter().find(|view| view.language == language).unwrap_or(&self.0[0])
    }
}

impl View {
    fn new(language: Language, base: &str) -> Self {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        speak::load_from(&mut environment, |name| TEMPLATES.iter().find(|(known, _)| *known == name).map(|(_, source)| *source));
        speak::teach(&mut environment, language);
        Self { language, environment, base: base.trim_end_matches('/').to_owned() }
    }

    fn words(&self) -> Option<&'static Words> {
        Words::of(self.language).ok()
    }

    /// The path below which the public address serves us: empty, or such as `/id`.
    #[must_use]
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// The sentence at `key`, for what a template can't know; the key itself should there be none, which the tests of
    /// this file rule out.
    #[must_use]
    pub(crate) fn say(&self, key: &str, args: &[(&str, &str)]) -> String {
        self.words().and_then(|words| words.say(key, args)).unwrap_or_else(|| key.to_owned())
    }

    /// Whether the catalogue has an entry `key`.
    #[must_use]
    pub(crate) fn has(&self, key: &str) -> bool {
        self.words().is_some_and(|words| words.has(key))
    }

    /// Faults of fields as sentences; a page shows them above its form.
    #[must_use]
    pub(crate) fn sentences(&self, faults: &[FieldError]) -> Vec<String> {
        let sentence = |fault: &FieldError| {
            let field = match fault.field.as_str() {
                "newPassword" => "password",
                other => other,
            };
            let say = |key: String, args: &[(&str, &str)]| self.words().and_then(|words| words.say(&key, args));
            let field = say(format!("page.field.{field}"), &[]).unwrap_or_else(|| self.say("page.field.other", &[]));
            let limit = fault.limit.map(|limit| limit.to_string());
            let mut args = vec![("field", field.as_str())];
            args.extend(limit.as_deref().map(|limit| ("limit", limit)));
            say(format!("page.fault.{}", fault.code), &args).unwrap_or_else(|| self.say("page.fault.other", &args))
        };
        faults.iter().map(sentence).collect()
    }

    /// The address of [`STYLESHEET`], with a mark of its content.
    #[must_use]
    pub(crate) fn style_href(&self) -> String {
        format!("{}/ui/style.css?v={STYLE_MARK:08x}", self.base)
    }

    fn render(&self, template: &str, values: Value) -> Result<String> {
        let script_href = format!("{}/ui/passkey.js?v={SCRIPT_MARK:08x}", self.base);
        let values = context! { base => self.base.as_str(), style_href => self.style_href(), script_href, ..values };
        self.environment.get_template(template).and_then(|template| template.render(values)).map_err(Error::internal)
    }
}

const STYLE_MARK: u32 = mark(STYLESHEET);
const SCRIPT_MARK: u32 = mark(SCRIPT);

/// FNV-1a of a file: tells versions apart, and is no secret.
const fn mark(file: &str) -> u32 {
    let (bytes, mut hash, mut at) = (file.as_bytes(), 0x811c_9dc5_u32, 0);
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u32).wrapping_mul(0x0100_0193);
        at += 1;
    }
    hash
}

/// A page that knows its template and its values.
pub(crate) trait Page {
    /// The template's file name.
    const TEMPLATE: &'static str;

    /// Whether it loads [`SCRIPT`].
    #[must_use]
    fn has_script(&self) -> bool {
        false
    }

    /// What the template sees.
    fn values(&self, view: &View) -> Value;

    /// The whole HTML document.
    #[must_use]
    fn render(&self, view: &View) -> String {
        view.render(Self::TEMPLATE, self.values(view)).unwrap_or_else(|_| BROKEN.to_owned())
    }
}

/// Something that is wrong with a form, told above it and beside its field.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    /// Id of the field's input; empty for the form as a whole.
    pub(crate) field: String,
    /// A sentence.
    pub(crate) text: String,
}

fn told(faults: &[Fault]) -> Vec<Value> {
    faults.iter().map(|fault| context! { field => fault.field.as_str(), text => fault.text.as_str() }).collect()
}

/// A way on, shown as a button.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    /// What the button says.
    pub(crate) label: String,
    /// Where it leads: an `http(s)` address or a path of ours; a link to anything else is not shown.
    pub(crate) href: String,
}

fn shown(link: Option<&Link>) -> Option<Value> {
    let link = link.filter(|link| ["https://", "http://", "/"].iter().any(|start| link.href.starts_with(start)))?;
    Some(context! { label => link.label.as_str(), href => link.href.as_str() })
}

#[cfg(test)]
mod tests;

//! The pages that customers' users and the operator see: proof of an address, new passwords, set-up, and notices.
//!
//! Each struct is one state of one page; what decides between them is the handler's. Their words stand in
//! `templates/ui/`, and the development mailbox has a file of its own.

use minijinja::{Value, context};

use super::{Link, Page, View, shown};

/// `GET /ui/verify-email?token=`: asks for a click, which posts `token` and `csrf` to the same address.
#[derive(Clone, Debug)]
pub(crate) struct VerifyEmailPage {
    /// Display name of the realm.
    pub(crate) realm: String,
    /// As in the mailed link.
    pub(crate) token: String,
    /// The form's own token.
    pub(crate) csrf: String,
}

impl Page for VerifyEmailPage {
    const TEMPLATE: &'static str = "verify_email.html";

    fn values(&self, _: &View) -> Value {
        context! { state => "ask", realm => self.realm.as_str(), token => self.token.as_str(), csrf => self.csrf.as_str(), errors_list => no_errors() }
    }
}

/// The link is worth nothing; the form posts `email` and `csrf` to `/ui/verify-email/resend`.
#[derive(Clone, Debug)]
pub(crate) struct VerifyEmailFailedPage {
    /// Display name of the realm.
    pub(crate) realm: String,
    /// The form's own token.
    pub(crate) csrf: String,
    /// What stands in the field already: what was typed before, or nothing.
    pub(crate) email: String,
    /// What was wrong with the last post.
    pub(crate) errors: Vec<String>,
}

impl Page for VerifyEmailFailedPage {
    const TEMPLATE: &'static str = "verify_email.html";

    fn values(&self, _: &View) -> Value {
        context! { state => "failed", realm => self.realm.as_str(), csrf => self.csrf.as_str(), email => self.email.as_str(), errors_list => self.errors.clone() }
    }
}

/// `GET /ui/reset-password?token=`: the form posts `password`, `token` and `csrf` to the same address.
#[derive(Clone, Debug)]
pub(crate) struct ResetPasswordPage {
    /// Display name of the realm.
    pub(crate) realm: String,
    /// As in the mailed link.
    pub(crate) token: String,
    /// The form's own token.
    pub(crate) csrf: String,
    /// Shortest password the realm takes.
    pub(crate) min: usize,
    /// What was wrong with the last post.
    pub(crate) errors: Vec<String>,
}

impl Page for ResetPasswordPage {
    const TEMPLATE: &'static str = "reset_password.html";

    fn values(&self, _: &View) -> Value {
        context! {
            state => "form",
            realm => self.realm.as_str(),
            token => self.token.as_str(),
            csrf => self.csrf.as_str(),
            min => self.min,
            errors_list => self.errors.clone(),
        }
    }
}

/// Asks for the address to mail a reset link to: `GET /ui/forgot-password`, and in place of the reset form when the link is
/// worth nothing. The form posts `email` and `csrf` to `/ui/forgot-password`.
#[derive(Clone, Debug)]
pub(crate) struct ForgotPasswordPage {
    /// Display name of the realm.
    pub(crate) realm: String,
    /// The form's own token.
    pub(crate) csrf: String,
    /// What stands in the field already: what was typed before, or nothing.
    pub(crate) email: String,
    /// Whether a dead link led here.
    pub(crate) expired: bool,
    /// What was wrong with the last post.
    pub(crate) errors: Vec<String>,
}

impl Page for ForgotPasswordPage {
    const TEMPLATE: &'static str = "reset_password.html";

    fn values(&self, _: &View) -> Value {
        context! {
            state => if self.expired { "expired" } else { "forgot" },
            realm => self.realm.as_str(),
            csrf => self.csrf.as_str(),
            email => self.email.as_str(),
            errors_list => self.errors.clone(),
        }
    }
}

/// `GET /ui/unlock-sign-in?token=`: asks for a click, which posts `token` and `csrf` to the same address.
#[derive(Clone, Debug)]
pub(crate) struct UnlockSignInPage {
    /// Display name of the realm.
    pub(crate) realm: String,
    /// As in the mailed link.
    pub(crate) token: String,
    /// The form's own token.
    pub(crate) csrf: String,
}

impl Page for UnlockSignInPage {
    const TEMPLATE: &'static str = "unlock_sign_in.html";

    fn values(&self, _: &View) -> Value {
        context! { realm => self.realm.as_str(), token => self.token.as_str(), csrf => self.csrf.as_str() }
    }
}

/// The operator's one-time set-up; the form posts `name`, `email`, `password`, `token` and `csrf` to `/ui/setup`.
#[derive(Clone, Debug)]
pub(crate) struct SetupPage {
    /// As in the printed link.
    pub(crate) token: String,
    /// The form's own token.
    pub(crate) csrf: String,
    /// Shortest password the root realm takes.
    pub(crate) min: usize,
    /// What was typed before.
    pub(crate) name: String,
    /// What was typed before.
    pub(crate) email: String,
    /// What was wrong with the last post.
    pub(crate) errors: Vec<String>,
}

impl Page for SetupPage {
    const TEMPLATE: &'static str = "setup.html";

    fn values(&self, _: &View) -> Value {
        context! {
            realm => None::<&str>,
            token => self.token.as_str(),
            csrf => self.csrf.as_str(),
            min => self.min,
            name => self.name.as_str(),
            email => self.email.as_str(),
            errors_list => self.errors.clone(),
        }
    }
}

/// The mood of a [`NoticePage`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// It is done.
    Good,
    /// Something to know or to do.
    Info,
    /// It failed.
    Bad,
}

/// A few words and perhaps a way on: "look into your mailbox", "the operator is set up", and every error page.
#[derive(Clone, Debug)]
pub(crate) struct NoticePage {
    /// Display name of the realm, if there is one to speak for.
    pub(crate) realm: Option<String>,
    /// The entry of the catalogue with its `title` and its `text`, such as `page.notice.set_up`.
    pub(crate) says: String,
    /// Its sign and colour.
    pub(crate) tone: Tone,
    /// The way on.
    pub(crate) link: Option<Link>,
}

impl Page for NoticePage {
    const TEMPLATE: &'static str = "message.html";

    fn values(&self, _: &View) -> Value {
        let tone = match self.tone {
            Tone::Good => "good",
            Tone::Info => "info",
            Tone::Bad => "bad",
        };
        context! { realm => self.realm.as_deref(), says => self.says.as_str(), tone, link => shown(self.link.as_ref()) }
    }
}

/// For the states without a form, whose template asks all the same.
fn no_errors() -> Vec<String> {
    Vec::new()
}

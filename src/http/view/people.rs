//! The pages by which people come in: sign-in, sign-up, and the code of the mail that proves an address.

use minijinja::{Value, context};

use super::{Fault, Link, Page, View, shown, told};

/// `GET /ui/sign-in`: posts `email`, `password`, `return_to` and `csrf` to the same address.
///
/// Further ways in stand below the form, in the block `ways` of its template.
#[derive(Clone, Debug)]
pub(crate) struct SignInPage {
    /// Display name of the realm.
    pub(crate) realm: String,
    /// The form's own token.
    pub(crate) csrf: String,
    /// What stands in the field already.
    pub(crate) email: String,
    /// A checked place to go to afterwards, or empty.
    pub(crate) return_to: String,
    /// Where to sign up, if strangers may.
    pub(crate) sign_up: Option<String>,
    /// Where to ask for a new password.
    pub(crate) forgot: String,
    /// Good news from the page before.
    pub(crate) notice: Option<String>,
    /// What was wrong with the last post.
    pub(crate) faults: Vec<Fault>,
    /// Other ways in.
    pub(crate) ways: Vec<Link>,
}

impl Page for SignInPage {
    const TEMPLATE: &'static str = "sign_in.html";

    fn values(&self, _: &View) -> Value {
        context! {
            ways => self.ways.iter().map(|way| shown(Some(way))).collect::<Vec<_>>(),
            realm => self.realm.as_str(),
            csrf => self.csrf.as_str(),
            email => self.email.as_str(),
            return_to => self.return_to.as_str(),
            sign_up => self.sign_up.as_deref(),
            forgot => self.forgot.as_str(),
            notice => self.notice.as_deref(),
            faults => told(&self.faults),
        }
    }
}

/// `GET /ui/sign-up`: posts `name`, `email`, `password`, `company`, `return_to` and `csrf` to the same address.
#[derive(Clone, Debug)]
pub(crate) struct SignUpPage {
    /// Display name of the realm.
    pub(crate) realm: String,
    /// The form's own token.
    pub(crate) csrf: String,
    /// What was typed before.
    pub(crate) name: String,
    /// What was typed before.
    pub(crate) email: String,
    /// What was typed before, where people get an account that is named after it.
    pub(crate) company: Option<String>,
    /// Shortest password the realm takes.
    pub(crate) min: usize,
    /// A checked place to go to once signed in, or empty.
    pub(crate) return_to: String,
    /// Where to sign in instead.
    pub(crate) sign_in: String,
    /// What was wrong with the last post.
    pub(crate) faults: Vec<Fault>,
}

impl Page for SignUpPage {
    const TEMPLATE: &'static str = "sign_up.html";

    fn values(&self, _: &View) -> Value {
        context! {
            realm => self.realm.as_str(),
            csrf => self.csrf.as_str(),
            name => self.name.as_str(),
            email => self.email.as_str(),
            company => self.company.as_deref(),
            min => self.min,
            return_to => self.return_to.as_str(),
            sign_in => self.sign_in.as_str(),
            faults => told(&self.faults),
        }
    }
}

/// `GET /ui/verify-email/code`: "look into your mailbox". Posts `code`, `csrf` and, where the address is not known,
/// `email` to the same address; the other form asks for another mail.
#[derive(Clone, Debug)]
pub(crate) struct CodePage {
    /// Display name of the realm.
    pub(crate) realm: String,
    /// The forms' own token.
    pub(crate) csrf: String,
    /// The address that the mail went to, if this browser typed it lately.
    pub(crate) email: Option<String>,
    /// What was typed, where the page had to ask for the address.
    pub(crate) typed: String,
    /// Where to sign up with another address.
    pub(crate) sign_up: Option<String>,
    /// Where to sign in.
    pub(crate) sign_in: String,
    /// News from the page before.
    pub(crate) notice: Option<String>,
    /// What was wrong with the last post.
    pub(crate) faults: Vec<Fault>,
}

impl Page for CodePage {
    const TEMPLATE: &'static str = "code.html";

    fn values(&self, _: &View) -> Value {
        context! {
            realm => self.realm.as_str(),
            csrf => self.csrf.as_str(),
            email => self.email.as_deref(),
            typed => self.typed.as_str(),
            sign_up => self.sign_up.as_deref(),
            sign_in => self.sign_in.as_str(),
            notice => self.notice.as_deref(),
            faults => told(&self.faults),
        }
    }
}

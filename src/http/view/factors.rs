//! The pages of second factors: asked for at a sign-in, added and looked after, and proved once more.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use minijinja::{Value, context};

use super::{Fault, Link, Page, View, account::moments, shown, told};

/// A question to the browser's authenticator, which our one script asks.
#[derive(Clone, Debug)]
pub(crate) struct Asking {
    /// Sent back with the answer.
    pub(crate) ceremony: String,
    /// `publicKey` of the question, as JSON.
    pub(crate) options: String,
}

fn asking(asking: Option<&Asking>) -> Option<Value> {
    asking.map(|asking| context! { ceremony => asking.ceremony.as_str(), options => asking.options.as_str() })
}

/// `GET /ui/sign-in/factor`, and `GET /ui/step-up` for whoever has a factor: posts `code` or `ceremony` and `credential`, with
/// `csrf`, to the same address.
#[derive(Clone, Debug)]
pub(crate) struct FactorPage {
    /// Display name of the realm.
    pub(crate) realm: String,
    /// The forms' own token.
    pub(crate) csrf: String,
    /// The entry of the catalogue with title and text.
    pub(crate) says: &'static str,
    /// Where the forms post to, below `/ui/`.
    pub(crate) action: &'static str,
    /// Whether a code of an app or a recovery code helps.
    pub(crate) code: bool,
    /// Whether the password is asked for.
    pub(crate) password: bool,
    /// For a passkey.
    pub(crate) asking: Option<Asking>,
    /// Days that the device may be trusted for; 0 if not.
    pub(crate) trust_days: u32,
    /// The way out.
    pub(crate) back: String,
    /// What leads on after a fresh proof.
    pub(crate) to: String,
    /// What was wrong with the last post.
    pub(crate) faults: Vec<Fault>,
}

impl Page for FactorPage {
    const TEMPLATE: &'static str = "factor.html";

    fn has_script(&self) -> bool {
        self.asking.is_some()
    }

    fn values(&self, _: &View) -> Value {
        context! {
            realm => self.realm.as_str(),
            csrf => self.csrf.as_str(),
            says => self.says,
            action => self.action,
            code => self.code,
            password => self.password,
            asking => asking(self.asking.as_ref()),
            trust_days => self.trust_days,
            back => self.back.as_str(),
            to => self.to.as_str(),
            faults => told(&self.faults),
        }
    }
}

/// `GET /ui/sign-in/passkey`: asks for a passkey, and posts `ceremony` and `credential` to the same address.
#[derive(Clone, Debug)]
pub(crate) struct PasskeySignInPage {
    /// Display name of the realm.
    pub(crate) realm: String,
    /// The form's own token.
    pub(crate) csrf: String,
    pub(crate) asking: Asking,
    /// The other way in.
    pub(crate) back: String,
    pub(crate) return_to: String,
    /// What was wrong with the last post.
    pub(crate) faults: Vec<Fault>,
}

impl Page for PasskeySignInPage {
    const TEMPLATE: &'static str = "passkey_sign_in.html";

    fn has_script(&self) -> bool {
        true
    }

    fn values(&self, _: &View) -> Value {
        context! {
            realm => self.realm.as_str(),
            csrf => self.csrf.as_str(),
            asking => asking(Some(&self.asking)),
            back => self.back.as_str(),
            return_to => self.return_to.as_str(),
            faults => told(&self.faults),
        }
    }
}

/// `GET /ui/account/passkeys/new`: posts `name`, `ceremony` and `credential` to `/ui/account/passkeys`.
#[derive(Clone, Debug)]
pub(crate) struct NewPasskeyPage {
    /// Display name of the realm.
    pub(crate) realm: String,
    /// The form's own token.
    pub(crate) csrf: String,
    pub(crate) asking: Asking,
    /// A name for it, as it was typed or as this device is called.
    pub(crate) name: String,
    /// The way back.
    pub(crate) back: String,
    /// What was wrong with the last post.
    pub(crate) faults: Vec<Fault>,
}

impl Page for NewPasskeyPage {
    const TEMPLATE: &'static str = "passkey_new.html";

    fn has_script(&self) -> bool {
        true
    }

    fn values(&self, _: &View) -> Value {
        context! {
            realm => self.realm.as_str(),
            csrf => self.csrf.as_str(),
            asking => asking(Some(&self.asking)),
            name => self.name.as_str(),
            back => self.back.as_str(),
            faults => told(&self.faults),
        }
    }
}

/// `GET /ui/account/totp` and `GET /ui/sign-in/enrol`: a secret for an app; posts `code` to the same address.
#[derive(Clone, Debug)]
pub(crate) struct TotpPage {
    /// Display name of the realm.
    pub(crate) realm: String,
    /// The form's own token.
    pub(crate) csrf: String,
    /// The entry of the catalogue with title and text.
    pub(crate) says: &'static str,
    /// Where the form posts to, below `/ui/`.
    pub(crate) action: &'static str,
    /// The secret for typing, in groups of four.
    pub(crate) secret: String,
    /// The link that opens an app on the same device.
    pub(crate) uri: String,
    /// The QR code, an SVG document.
    pub(crate) svg: String,
    /// The way back.
    pub(crate) back: String,
    /// What was wrong with the last post.
    pub(crate) faults: Vec<Fault>,
}

impl Page for TotpPage {
    const TEMPLATE: &'static str = "totp.html";

    fn values(&self, _: &View) -> Value {
        context! {
            realm => self.realm.as_str(),
            csrf => self.csrf.as_str(),
            says => self.says,
            action => self.action,
            secret => self.secret.as_str(),
            uri => self.uri.as_str(),
            picture => format!("data:image/svg+xml;base64,{}", STANDARD.encode(&self.svg)),
            back => self.back.as_str(),
            faults => told(&self.faults),
        }
    }
}

/// Recovery codes, shown once.
#[derive(Clone, Debug)]
pub(crate) struct CodesPage {
    /// Display name of the realm.
    pub(crate) realm: String,
    pub(crate) codes: Vec<String>,
    /// The way on.
    pub(crate) link: Link,
}

impl Page for CodesPage {
    const TEMPLATE: &'static str = "codes.html";

    fn values(&self, _: &View) -> Value {
        context! { realm => self.realm.as_str(), codes => &self.codes, link => shown(Some(&self.link)) }
    }
}

/// `GET /ui/magic-link` and `GET /ui/not-me`: asks for a click, which posts `token` and `csrf` to the same address.
#[derive(Clone, Debug)]
pub(crate) struct PressPage {
    /// Display name of the realm.
    pub(crate) realm: String,
    /// The form's own token.
    pub(crate) csrf: String,
    /// The mailed token.
    pub(crate) token: String,
    /// The entry of the catalogue with title, text and button.
    pub(crate) says: &'static str,
    /// Where the form posts to, below `/ui/`.
    pub(crate) action: &'static str,
}

impl Page for PressPage {
    const TEMPLATE: &'static str = "press.html";

    fn values(&self, _: &View) -> Value {
        context! { realm => self.realm.as_str(), csrf => self.csrf.as_str(), token => self.token.as_str(), says => self.says, action => self.action }
    }
}

/// `GET /ui/sign-in/link`: posts `email` and `csrf` to the same address.
#[derive(Clone, Debug)]
pub(crate) struct AskLinkPage {
    /// Display name of the realm.
    pub(crate) realm: String,
    /// The form's own token.
    pub(crate) csrf: String,
    /// The address as it was typed.
    pub(crate) email: String,
    /// The other way in.
    pub(crate) back: String,
    /// What was wrong with the last post.
    pub(crate) faults: Vec<Fault>,
}

impl Page for AskLinkPage {
    const TEMPLATE: &'static str = "ask_link.html";

    fn values(&self, _: &View) -> Value {
        context! {
            realm => self.realm.as_str(),
            csrf => self.csrf.as_str(),
            email => self.email.as_str(),
            back => self.back.as_str(),
            faults => told(&self.faults),
        }
    }
}

/// A passkey or a trusted device in a list.
#[derive(Clone, Debug)]
pub(crate) struct Thing {
    /// As its form posts it.
    pub(crate) id: String,
    pub(crate) name: String,
    /// Since when it is there.
    pub(crate) since: DateTime<Utc>,
    /// When it was last used, or until when it is trusted.
    pub(crate) other: Option<DateTime<Utc>>,
}

fn thing(thing: &Thing) -> Value {
    let (since_exact, since) = moments(thing.since);
    let other = thing.other.map(moments);
    context! {
        id => thing.id.as_str(),
        name => thing.name.as_str(),
        since => since,
        since_exact => since_exact,
        other => other.as_ref().map(|(_, short)| short.as_str()),
        other_exact => other.as_ref().map(|(exact, _)| exact.as_str()),
    }
}

/// What the account's page says of second factors; nothing where the realm has none.
#[derive(Clone, Debug)]
pub(crate) struct FactorsPart {
    pub(crate) totp: bool,
    /// Recovery codes that are left; none without a factor.
    pub(crate) codes_left: Option<u64>,
    pub(crate) passkeys: Vec<Thing>,
    pub(crate) devices: Vec<Thing>,
    /// Where to begin with an app, and where with a passkey.
    pub(crate) new_totp: String,
    pub(crate) new_passkey: String,
}

/// The same for the template.
pub(super) fn part(part: Option<&FactorsPart>) -> Option<Value> {
    let part = part?;
    Some(context! {
        totp => part.totp,
        codes_left => part.codes_left,
        passkeys => part.passkeys.iter().map(thing).collect::<Vec<_>>(),
        devices => part.devices.iter().map(thing).collect::<Vec<_>>(),
        new_totp => part.new_totp.as_str(),
        new_passkey => part.new_passkey.as_str(),
    })
}

//! The page on which a signed-in person looks after their account, and the one that asks before it lets them go.

use chrono::{DateTime, SecondsFormat, Utc};
use minijinja::{Value, context};

use super::{
    Fault, Page, TeamItem, View,
    factors::{self, FactorsPart},
    members, told,
};
use crate::domain::language::Language;

/// What stands in the fields of the profile.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProfileFields {
    pub(crate) name: String,
    pub(crate) company: String,
    pub(crate) country: String,
    pub(crate) phone: String,
    /// The language's tag, or nothing.
    pub(crate) locale: String,
}

/// One of the person's sessions.
#[derive(Clone, Debug)]
pub(crate) struct SessionItem {
    /// As its form posts it.
    pub(crate) id: String,
    /// What it is called.
    pub(crate) device: String,
    /// Where it was begun.
    pub(crate) ip: String,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) last_used_at: DateTime<Utc>,
    /// Whether it is the one that looks.
    pub(crate) current: bool,
}

/// `GET /ui/account`. Each of its forms posts to an address of its own below, with `csrf`: `profile`, `email`, `password`,
/// `sessions/end` (with `id`), `sessions/end-all` and `export`, those of [`TeamItem`]; the one of the header to `/ui/sign-out`.
#[derive(Clone, Debug)]
pub(crate) struct AccountPage {
    /// Display name of the realm.
    pub(crate) realm: String,
    /// The forms' own token.
    pub(crate) csrf: String,
    /// Whom the page is about.
    pub(crate) name: String,
    /// Their address.
    pub(crate) email: String,
    /// The profile as it is, or as it was typed.
    pub(crate) profile: ProfileFields,
    /// An address to be, as it was typed.
    pub(crate) new_email: String,
    /// Where to leave for good.
    pub(crate) erase: String,
    /// Shortest password the realm takes.
    pub(crate) min: usize,
    /// What there is of second factors, where the realm has them.
    pub(crate) factors: Option<FactorsPart>,
    /// Newest first.
    pub(crate) sessions: Vec<SessionItem>,
    /// The accounts that they look after.
    pub(crate) teams: Vec<TeamItem>,
    /// Good news from the page before.
    pub(crate) notice: Option<String>,
    /// What was wrong with the last post.
    pub(crate) faults: Vec<Fault>,
}

impl Page for AccountPage {
    const TEMPLATE: &'static str = "account.html";

    fn values(&self, _: &View) -> Value {
        let profile = &self.profile;
        context! {
            realm => self.realm.as_str(),
            csrf => self.csrf.as_str(),
            person => self.name.as_str(),
            email => self.email.as_str(),
            name => profile.name.as_str(),
            company => profile.company.as_str(),
            country => profile.country.as_str(),
            phone => profile.phone.as_str(),
            locale => profile.locale.as_str(),
            languages => Language::ALL.map(|language| context! { tag => language.tag(), name => language.own_name() }),
            new_email => self.new_email.as_str(),
            erase => self.erase.as_str(),
            min => self.min,
            teams => self.teams.iter().map(members::team).collect::<Vec<_>>(),
            factors => factors::part(self.factors.as_ref()),
            sessions => self.sessions.iter().map(session).collect::<Vec<_>>(),
            notice => self.notice.as_deref(),
            faults => told(&self.faults),
        }
    }
}

/// An instant for programs, and for people.
pub(super) fn moments(at: DateTime<Utc>) -> (String, String) {
    (at.to_rfc3339_opts(SecondsFormat::Secs, true), at.format("%Y-%m-%d %H:%M UTC").to_string())
}

fn session(item: &SessionItem) -> Value {
    let ((created_exact, created), (used_exact, used)) = (moments(item.created_at), moments(item.last_used_at));
    context! {
        id => item.id.as_str(),
        device => item.device.as_str(),
        ip => item.ip.as_str(),
        created_exact,
        created,
        used_exact,
        used,
        current => item.current,
    }
}

/// `GET /ui/sign-out`: asks for a click, which posts `csrf` to the same address.
#[derive(Clone, Debug)]
pub(crate) struct SignOutPage {
    /// Display name of the realm.
    pub(crate) realm: String,
    /// The form's own token.
    pub(crate) csrf: String,
    /// Back to the account.
    pub(crate) account: String,
}

impl Page for SignOutPage {
    const TEMPLATE: &'static str = "sign_out.html";

    fn values(&self, _: &View) -> Value {
        context! { realm => self.realm.as_str(), csrf => self.csrf.as_str(), account => self.account.as_str() }
    }
}

/// `GET /ui/account/erase`: says what goes; the form posts `password` and `csrf` to the same address.
#[derive(Clone, Debug)]
pub(crate) struct ErasePage {
    /// Display name of the realm.
    pub(crate) realm: String,
    /// The form's own token.
    pub(crate) csrf: String,
    /// The way back.
    pub(crate) account: String,
    /// What was wrong with the last post.
    pub(crate) faults: Vec<Fault>,
}

impl Page for ErasePage {
    const TEMPLATE: &'static str = "erase.html";

    fn values(&self, _: &View) -> Value {
        context! { realm => self.realm.as_str(), csrf => self.csrf.as_str(), account => self.account.as_str(), faults => told(&self.faults) }
    }
}

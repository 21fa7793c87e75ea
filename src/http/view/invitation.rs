//! The page of a mailed invitation.

use minijinja::{Value, context};

use super::{Fault, Page, View, told};

/// What the page offers.
#[derive(Clone, Debug)]
pub(crate) enum Offer {
    /// A button for whoever is signed in with the address; posts `token` and `csrf` to `/ui/invitation/accept`.
    Join,
    /// A form for who has no user; posts `name`, `password`, `token` and `csrf` to `/ui/invitation`.
    SignUp {
        /// The invited address.
        email: String,
        /// What was typed before.
        name: String,
        /// Shortest password the realm takes.
        min: usize,
        /// What was wrong with the last post.
        faults: Vec<Fault>,
    },
    /// The way to the sign-in, which leads back here.
    SignIn(String),
    /// The way out for whoever is signed in with another address.
    SignOut(String),
}

/// `GET /ui/invitation?token=`.
#[derive(Clone, Debug)]
pub(crate) struct InvitationPage {
    /// Display name of the realm.
    pub(crate) realm: String,
    /// The account's name.
    pub(crate) account: String,
    /// The role's word.
    pub(crate) role: &'static str,
    /// As in the mailed link.
    pub(crate) token: String,
    /// The form's own token.
    pub(crate) csrf: String,
    pub(crate) offer: Offer,
}

impl Page for InvitationPage {
    const TEMPLATE: &'static str = "invitation.html";

    fn values(&self, _: &View) -> Value {
        let plain = context! { faults => told(&[]) };
        let (state, offer) = match &self.offer {
            Offer::Join => ("join", plain),
            Offer::SignUp { email, name, min, faults } => {
                ("new", context! { email => email.as_str(), name => name.as_str(), min => *min, faults => told(faults) })
            }
            Offer::SignIn(href) => ("known", context! { href => href.as_str(), ..plain }),
            Offer::SignOut(href) => ("somebody_else", context! { href => href.as_str(), ..plain }),
        };
        context! {
            state,
            realm => self.realm.as_str(),
            account => self.account.as_str(),
            role => self.role,
            token => self.token.as_str(),
            csrf => self.csrf.as_str(),
            ..offer
        }
    }
}

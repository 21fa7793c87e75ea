//! The pages that confirm another address, and that take such a change back.

use minijinja::{Value, context};

use super::{Page, View};

/// Which of the two it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// `/ui/change-email`: the new address is confirmed.
    Confirm,
    /// `/ui/undo-email-change`: the former one comes back.
    Undo,
}

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// `GET …?token=`: asks for a click, which posts `token` and `csrf` to the same address.
    Ask { token: String, csrf: String },
    /// The link is worth nothing.
    Failed,
    /// Somebody else has the address.
    Taken,
}

/// One of the two pages in one of its states.
#[derive(Clone, Debug)]
pub(crate) struct ChangeEmailPage {
    /// Display name of the realm.
    pub(crate) realm: String,
    pub(crate) change: Change,
    pub(crate) state: State,
}

impl Page for ChangeEmailPage {
    const TEMPLATE: &'static str = "change_email.html";

    fn values(&self, _: &View) -> Value {
        let (says, action) = match self.change {
            Change::Confirm => ("page.change_email", "change-email"),
            Change::Undo => ("page.undo_email_change", "undo-email-change"),
        };
        let (state, token, csrf) = match &self.state {
            State::Ask { token, csrf } => ("ask", Some(token.as_str()), Some(csrf.as_str())),
            State::Failed => ("failed", None, None),
            State::Taken => ("taken", None, None),
        };
        context! { realm => self.realm.as_str(), says, action, state, token, csrf }
    }
}

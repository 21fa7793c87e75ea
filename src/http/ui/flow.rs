//! What one page tells the next, in a cookie of its own: whose address it is about, where the person came from, and a
//! sentence to show once.
//!
//! Sealed, so that nobody can put words into our pages, and not in the address, where histories and logs would keep an
//! e-mail address. It proves nothing: whoever loses it types the address again.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::cookies::Cookie;
use crate::{app::App, http::view::Tone};

/// What the seal is tied to.
const PLACE: &str = "pages|flow";
/// How long it is kept: about as long as a mail may take.
const LIFE: TimeDelta = TimeDelta::hours(1);

/// A sentence that the next page shows once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Notice {
    /// The address is proved.
    Verified,
    /// The password was right, the address waits for its proof.
    Unverified,
    /// Another mail is on its way.
    Resent,
    /// The person signed out here.
    SignedOut,
    /// The person signed out everywhere.
    SignedOutEverywhere,
    /// A mail is on its way to the address that is to be.
    EmailChangeComing,
    /// The profile is saved.
    ProfileSaved,
    /// The password is changed, other sessions are over.
    PasswordChanged,
    /// Another session is over.
    SessionEnded,
    /// Somebody was taken out of an account.
    MemberRemoved,
    /// Somebody is something else in an account.
    RoleChanged,
    /// The person has a place in an account.
    Joined,
    /// The same, with a user that was made for it.
    JoinedNew,
    /// A second factor, or codes to recover, are there.
    FactorAdded,
    /// A second factor is gone.
    FactorRemoved,
    /// The realm wants one to stay.
    LastFactor,
    /// A device is trusted no more.
    DeviceDistrusted,
    /// The sign-in waited too long for its second factor.
    SignInAgain,
}

impl Notice {
    /// Its entry in the catalogue.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Verified => "page.told.verified",
            Self::Unverified => "page.told.unverified",
            Self::Resent => "page.told.resent",
            Self::SignedOut => "page.told.signed_out",
            Self::SignedOutEverywhere => "page.told.signed_out_everywhere",
            Self::EmailChangeComing => "page.told.email_change_coming",
            Self::ProfileSaved => "page.told.profile_saved",
            Self::MemberRemoved => "page.told.member_removed",
            Self::RoleChanged => "page.told.role_changed",
            Self::PasswordChanged => "page.told.password_changed",
            Self::SessionEnded => "page.told.session_ended",
            Self::Joined => "page.told.joined",
            Self::JoinedNew => "page.told.joined_new",
            Self::FactorAdded => "page.told.factor_added",
            Self::FactorRemoved => "page.told.factor_removed",
            Self::LastFactor => "page.told.last_factor",
            Self::DeviceDistrusted => "page.told.device_distrusted",
            Self::SignInAgain => "page.told.sign_in_again",
        }
    }
}

/// What a post did, told on a page of its own, `/ui/done`: it can be loaded again and repeats nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Done {
    /// The address is proved.
    Verified,
    /// A mail to prove it is on its way, if it waits for that.
    VerificationComing,
    /// A mail with a link to a new password is on its way, if the address is known.
    ResetComing,
    /// The new password counts.
    PasswordSet,
    /// This browser may sign in.
    SignInUnlocked,
    /// The operator has a user.
    SetUp,
    /// The new address counts.
    EmailChanged,
    /// The former address counts again.
    EmailChangeUndone,
    /// The person is gone.
    Erased,
    /// A mail with a link that signs in is on its way, if the address is known.
    LinkComing,
    /// A stranger's sign-in is over, and everything that they may hold is worthless.
    SignInDisowned,
}

impl Done {
    /// Its entry in the catalogue, with a title and a text.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Verified => "page.done.verified",
            Self::VerificationComing => "page.done.verification_coming",
            Self::ResetComing => "page.done.reset_coming",
            Self::PasswordSet => "page.done.password_set",
            Self::SignInUnlocked => "page.done.sign_in_unlocked",
            Self::SetUp => "page.done.set_up",
            Self::EmailChanged => "page.done.email_changed",
            Self::EmailChangeUndone => "page.done.email_change_undone",
            Self::Erased => "page.done.erased",
            Self::LinkComing => "page.done.link_coming",
            Self::SignInDisowned => "page.done.sign_in_disowned",
        }
    }

    /// Whether it is done, or something is left to do.
    pub(super) fn tone(self) -> Tone {
        match self {
            Self::VerificationComing | Self::ResetComing | Self::LinkComing => Tone::Info,
            _ => Tone::Good,
        }
    }
}

/// The cookie's content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Flow {
    /// The realm that it is about, by name; at another it counts for nothing.
    pub(super) realm: String,
    /// The address that was typed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) email: Option<String>,
    /// Where to go once signed in; checked again when it is used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) return_to: Option<String>,
    /// What to show once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) notice: Option<Notice>,
    /// What the last post did, until something else is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) done: Option<Done>,
}

impl Flow {
    /// What the browser brings, if it is about `realm`.
    pub(super) fn read(app: &App, value: &str, realm: &str) -> Self {
        let plain = app.keyring.unseal(PLACE, value).ok();
        let flow = plain.and_then(|plain| serde_json::from_slice::<Self>(&plain).ok());
        flow.filter(|flow| flow.realm == realm).unwrap_or_else(|| Self { realm: realm.to_owned(), ..Self::default() })
    }

    /// The `Set-Cookie` value that keeps it; what says nothing is taken away.
    pub(super) fn cookie(&self, app: &App) -> String {
        if self.email.is_none() && self.return_to.is_none() && self.notice.is_none() && self.done.is_none() {
            return Cookie::Flow.clear(app);
        }
        let sealed = serde_json::to_vec(self).ok().and_then(|plain| app.keyring.seal(PLACE, &plain, app.entropy.as_ref()).ok());
        sealed.map_or_else(|| Cookie::Flow.clear(app), |sealed| Cookie::Flow.set(app, &sealed, Some(LIFE)))
    }
}

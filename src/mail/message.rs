//! Every mail the service sends, each with exactly what its template may say.
//!
//! A variant's folder under `templates/email/` holds its subject, text and HTML part. A new mail is a variant here, its
//! folder, its three lines in `render.rs` and a sample; the test there renders all samples, so none is forgotten.

mod samples;

use minijinja::{Value, context};

use super::plain;

/// A mail, before it is put into words. Names, realms and devices are as people typed them; rendering makes
/// them harmless. Links are ours, from the configured public address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Proof of an address, by link or by code.
    VerifyEmail {
        /// Who signed up, in their own words.
        name: String,
        /// Display name of the realm.
        realm: String,
        /// The page that asks for a click; opening it proves nothing yet.
        link: String,
        /// Six digits.
        code: String,
        /// Life of the link in whole hours.
        link_hours: u32,
        /// Life of the code in whole minutes.
        code_minutes: u32,
    },
    /// Somebody signed up with the address of an existing user; only its owner learns so.
    AccountExists {
        /// The existing user's name, never the one just typed.
        name: String,
        /// Display name of the realm.
        realm: String,
        /// Where to sign in, if the installation knows.
        sign_in_link: Option<String>,
        /// Where to ask for a new password, if the installation knows.
        forgot_link: Option<String>,
    },
    /// The way to a new password.
    ResetPassword {
        /// The user's name.
        name: String,
        /// Display name of the realm.
        realm: String,
        /// The page with the form.
        link: String,
        /// Life of the link in whole minutes.
        minutes: u32,
        /// Where the request came from, as text.
        ip: Option<String>,
    },
    /// Notice after the fact, so that a thief can't take over in silence.
    PasswordChanged {
        /// The user's name.
        name: String,
        /// Display name of the realm.
        realm: String,
        /// When, as people read it, with its zone.
        at: String,
        /// Where the change came from, as text.
        ip: Option<String>,
        /// Where to ask for a new password, if the installation knows.
        forgot_link: Option<String>,
    },
    /// The way in for a device that is not known, while strangers guess at the password.
    UnlockSignIn {
        /// The user's name.
        name: String,
        /// Display name of the realm.
        realm: String,
        /// The page with the button.
        link: String,
        /// Life of the link in whole minutes.
        minutes: u32,
        /// Where to ask for a new password, if the installation knows.
        forgot_link: Option<String>,
    },
    /// A spent refresh token came back, and the session was ended for it.
    RefreshReuse {
        /// The user's name.
        name: String,
        /// Display name of the realm.
        realm: String,
        /// The session's device, as the session list shows it.
        device: String,
        /// Where to ask for a new password, if the installation knows.
        forgot_link: Option<String>,
    },
    /// A key was shown to us by somebody who found it, and was revoked.
    ApiKeyLeaked {
        /// The owner's name.
        name: String,
        /// Display name of the realm.
        realm: String,
        /// The account's name.
        account: String,
        /// The key's name.
        key: String,
        /// How the key begins and ends, as lists show it.
        prefix: String,
        last4: String,
        /// When, as people read it, with its zone.
        at: String,
    },
    /// A place in an account is offered to an address, whether or not that has a user.
    Invitation {
        /// Who invites, in their own words, if that is a person who is still there.
        inviter: Option<String>,
        /// Display name of the realm.
        realm: String,
        /// The account's name.
        account: String,
        /// The role's word.
        role: &'static str,
        /// The page with the button.
        link: String,
        /// End of the link, as people read it, with its zone.
        until: String,
    },
    /// Somebody else took the reader's place in an account away.
    MemberRemoved {
        /// The user's name.
        name: String,
        /// Display name of the realm.
        realm: String,
        /// The account's name.
        account: String,
    },
    /// The reader is something else in an account now.
    RoleChanged {
        /// The user's name.
        name: String,
        /// Display name of the realm.
        realm: String,
        /// The account's name.
        account: String,
        /// The new role's word.
        role: &'static str,
    },
    /// Proof of an address that is to take the place of another; goes to the new one.
    ChangeEmail {
        /// The user's name.
        name: String,
        /// Display name of the realm.
        realm: String,
        /// The page that asks for a click.
        link: String,
        /// Life of the link in whole minutes.
        minutes: u32,
    },
    /// Word to the former address, with a way back.
    EmailChanged {
        /// The user's name.
        name: String,
        /// Display name of the realm.
        realm: String,
        /// When, as people read it, with its zone.
        at: String,
        /// The page that takes the change back.
        link: String,
        /// Life of the link in whole hours.
        hours: u32,
    },
    /// Somebody signed in from a device that was not seen before.
    NewDevice {
        /// The user's name.
        name: String,
        /// Display name of the realm.
        realm: String,
        /// When, as people read it, with its zone.
        at: String,
        /// The session's device, as the session list shows it.
        device: String,
        /// Its network address, as text.
        ip: String,
        /// The page that says "this wasn't me".
        link: String,
    },
    /// The way in without a password.
    MagicLink {
        /// The user's name.
        name: String,
        /// Display name of the realm.
        realm: String,
        /// The page with the button.
        link: String,
        /// Life of the link in whole minutes.
        minutes: u32,
    },
    /// A second factor was added or taken away.
    FactorChanged {
        /// The user's name.
        name: String,
        /// Display name of the realm.
        realm: String,
        /// Which, by its public word.
        method: String,
        added: bool,
        /// When, as people read it, with its zone.
        at: String,
        /// Where to ask for a new password, if the installation knows.
        forgot_link: Option<String>,
    },
    /// A token was made in somebody's name that never ends.
    EndlessToken {
        /// The user's name.
        name: String,
        /// Display name of the realm.
        realm: String,
        /// When, as people read it, with its zone.
        at: String,
        /// How the token begins, as lists show it.
        prefix: String,
        /// Where to ask for a new password, if the installation knows.
        forgot_link: Option<String>,
    },
    /// A session made room for another one.
    SessionEvicted {
        /// The user's name.
        name: String,
        /// Display name of the realm.
        realm: String,
        /// The session's device, as the session list shows it.
        device: String,
        /// Where to ask for a new password, if the installation knows.
        forgot_link: Option<String>,
    },
}

impl Message {
    /// The folder of its templates; also its stable name in logs and metrics.
    #[must_use]
    pub fn folder(&self) -> &'static str {
        match self {
            Self::VerifyEmail { .. } => "verify_email",
            Self::AccountExists { .. } => "account_exists",
            Self::ResetPassword { .. } => "reset_password",
            Self::PasswordChanged { .. } => "password_changed",
            Self::UnlockSignIn { .. } => "unlock_sign_in",
            Self::RefreshReuse { .. } => "refresh_reuse",
            Self::ApiKeyLeaked { .. } => "api_key_leaked",
            Self::Invitation { .. } => "invitation",
            Self::MemberRemoved { .. } => "member_removed",
            Self::RoleChanged { .. } => "role_changed",
            Self::ChangeEmail { .. } => "change_email",
            Self::EmailChanged { .. } => "email_changed",
            Self::NewDevice { .. } => "new_device",
            Self::EndlessToken { .. } => "endless_token",
            Self::SessionEvicted { .. } => "session_evicted",
            Self::MagicLink { .. } => "magic_link",
            Self::FactorChanged { .. } => "factor_changed",
        }
    }

    /// What the template sees: foreign text made harmless, our own links as they are.
    pub(super) fn context(&self) -> Value {
        match self {
            Self::VerifyEmail { name, realm, link, code, link_hours, code_minutes } => context! {
                name => plain::foreign(name),
                realm => plain::realm(realm),
                link => link.as_str(),
                code => code.as_str(),
                link_hours => *link_hours,
                code_minutes => *code_minutes,
            },
            Self::AccountExists { name, realm, sign_in_link, forgot_link } => context! {
                name => plain::foreign(name),
                realm => plain::realm(realm),
                sign_in_link => sign_in_link.as_deref(),
                forgot_link => forgot_link.as_deref(),
            },
            Self::ResetPassword { name, realm, link, minutes, ip } => context! {
                name => plain::foreign(name),
                realm => plain::realm(realm),
                link => link.as_str(),
                minutes => *minutes,
                ip => ip.as_deref().map(plain::foreign),
            },
            Self::PasswordChanged { name, realm, at, ip, forgot_link } => context! {
                name => plain::foreign(name),
                realm => plain::realm(realm),
                at => plain::line(at),
                ip => ip.as_deref().map(plain::foreign),
                forgot_link => forgot_link.as_deref(),
            },
            Self::UnlockSignIn { name, realm, link, minutes, forgot_link } => context! {
                name => plain::foreign(name),
                realm => plain::realm(realm),
                link => link.as_str(),
                minutes => *minutes,
                forgot_link => forgot_link.as_deref(),
            },
            Self::ChangeEmail { name, realm, link, minutes } => context! {
                name => plain::foreign(name),
                realm => plain::realm(realm),
                link => link.as_str(),
                minutes => *minutes,
            },
            Self::EmailChanged { name, realm, at, link, hours } => context! {
                name => plain::foreign(name),
                realm => plain::realm(realm),
                at => plain::line(at),
                link => link.as_str(),
                hours => *hours,
            },
            Self::NewDevice { name, realm, at, device, ip, link } => context! {
                name => plain::foreign(name),
                realm => plain::realm(realm),
                at => plain::line(at),
                device => plain::foreign(device),
                ip => plain::foreign(ip),
                link => link.as_str(),
            },
            Self::MagicLink { name, realm, link, minutes } => context! {
                name => plain::foreign(name),
                realm => plain::realm(realm),
                link => link.as_str(),
                minutes => *minutes,
            },
            Self::FactorChanged { name, realm, method, added, at, forgot_link } => context! {
                name => plain::foreign(name),
                realm => plain::realm(realm),
                method => plain::line(method),
                change => if *added { "added" } else { "removed" },
                at => plain::line(at),
                forgot_link => forgot_link.as_deref(),
            },
            Self::EndlessToken { name, realm, at, prefix, forgot_link } => context! {
                name => plain::foreign(name),
                realm => plain::realm(realm),
                at => plain::line(at),
                prefix => prefix.as_str(),
                forgot_link => forgot_link.as_deref(),
            },
            Self::RefreshReuse { name, realm, device, forgot_link } | Self::SessionEvicted { name, realm, device, forgot_link } => context! {
                name => plain::foreign(name),
                realm => plain::realm(realm),
                device => plain::foreign(device),
                forgot_link => forgot_link.as_deref(),
            },
            Self::ApiKeyLeaked { name, realm, account, key, prefix, last4, at } => context! {
                name => plain::foreign(name),
                realm => plain::realm(realm),
                account => plain::foreign(account),
                key => plain::foreign(key),
                prefix => prefix.as_str(),
                last4 => last4.as_str(),
                at => plain::line(at),
            },
            Self::MemberRemoved { name, realm, account } => context! {
                name => plain::foreign(name),
                realm => plain::realm(realm),
                account => plain::foreign(account),
            },
            Self::RoleChanged { name, realm, account, role } => context! {
                name => plain::foreign(name),
                realm => plain::realm(realm),
                account => plain::foreign(account),
                role => *role,
            },
            Self::Invitation { inviter, realm, account, role, link, until } => context! {
                inviter => inviter.as_deref().map(plain::foreign),
                realm => plain::realm(realm),
                account => plain::foreign(account),
                role => *role,
                link => link.as_str(),
                until => plain::line(until),
            },
        }
    }
}

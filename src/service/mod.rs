//! Use cases: one function each, one transaction each, the authorisation as its first statement.
//!
//! Every function takes `&App` and `&Ctx` first and speaks domain types only; which protocol asks is not known here.

mod access;
pub mod accounts;
pub mod api_keys;
pub mod authentication;
pub mod change_feed;
pub mod credentials;
pub mod devices;
pub mod email_change;
pub mod erase;
pub mod export;
pub mod factors;
pub mod gateway;
mod guesses;
pub mod health;
pub mod held_tokens;
pub mod installation;
pub mod invitations;
pub mod jobs;
pub mod joining;
pub mod key_check;
pub mod key_leaks;
pub mod limits;
pub mod login;
pub mod magic_link;
pub mod mailer;
pub mod master_keys;
pub mod members;
pub mod mfa;
pub mod nodes;
pub mod not_me;
mod notices;
pub mod one_time;
pub mod page_session;
pub mod passkey_login;
pub mod passkeys;
pub mod password_change;
pub mod password_reset;
pub mod plans;
pub mod profile;
pub mod proofs;
pub mod realms;
pub mod refresh;
pub mod registration;
pub mod sessions;
pub mod sign_in_link;
pub mod signing;
mod single_factor;
pub mod step_up;
mod token_guesses;
pub mod totp;
pub mod trusted_devices;
pub mod usage;
pub mod user_tokens;
pub mod users;
pub mod verification;
pub mod verify;

use std::{net::IpAddr, sync::Arc};

use chrono::{DateTime, Utc};
use secrecy::SecretString;

use crate::{
    app::App,
    domain::{
        Error, FieldError, Result,
        event::{Action, Actor, Event},
        id::{JobId, UserId},
        job::Job,
        language::Language,
        realm::Realm,
        request_id::RequestId,
    },
    store::{self, Connection},
};

pub use crate::domain::session::SignedIn;

/// How old the proof behind a session may be where a stolen access token would do lasting harm.
const STEP_UP_SECONDS: i64 = 600;

/// Who is calling, after authentication.
#[derive(Clone, Debug)]
pub enum Principal {
    /// No credential was presented.
    Anonymous,
    /// A person with a session.
    User(Arc<SignedIn>),
    /// A program with an API key.
    Key(Arc<credentials::Known>),
    /// A person, or an account's program, with an opaque token of another dialect.
    Holder(Arc<credentials::Known>),
    /// Whoever holds the command line.
    Operator,
}

/// Where a request comes from.
#[derive(Clone, Debug)]
pub struct Client {
    pub ip: IpAddr,
    pub user_agent: String,
    /// The device token that came along, proved by nothing yet; see [`devices`].
    pub device: Option<SecretString>,
    /// What its browser asks for, if that is a language of ours.
    pub language: Option<Language>,
}

/// Who calls, in which realm, from where. Always the second argument, right after `app`.
#[derive(Clone, Debug)]
pub struct Ctx {
    pub realm: Arc<Realm>,
    pub principal: Principal,
    pub client: Client,
    pub request_id: RequestId,
    /// What the limits say of this request.
    pub meter: limits::Meter,
}

impl Ctx {
    /// The command line's context in `realm`.
    #[must_use]
    pub fn operator(realm: Arc<Realm>) -> Self {
        let client = Client { ip: IpAddr::from([127, 0, 0, 1]), user_agent: "realmgate".to_owned(), device: None, language: None };
        Self { realm, principal: Principal::Operator, client, request_id: RequestId::default(), meter: limits::Meter::default() }
    }

    /// The same context, from the device that `token` speaks of.
    #[must_use]
    pub fn on_device(mut self, token: Option<SecretString>) -> Self {
        self.client.device = token;
        self
    }

    /// What to speak to somebody in of whom only the request is known.
    #[must_use]
    pub fn language(&self) -> Language {
        self.realm.settings.language.or(self.client.language).unwrap_or_default()
    }

    /// The signed-in caller.
    ///
    /// # Errors
    /// [`Error::MissingCredential`] if there is none.
    pub fn signed_in(&self) -> Result<&SignedIn> {
        match &self.principal {
            Principal::User(user) => Ok(user),
            // A key is good, but no person: it never does what people do.
            Principal::Key(_) | Principal::Holder(_) => Err(Error::NotPermitted),
            Principal::Anonymous | Principal::Operator => Err(Error::MissingCredential),
        }
    }

    /// The caller with an opaque token of another dialect.
    ///
    /// # Errors
    /// [`Error::MissingCredential`] if there is none.
    pub fn holder(&self) -> Result<&credentials::Known> {
        match &self.principal {
            Principal::Holder(known) => Ok(known),
            _ => Err(Error::MissingCredential),
        }
    }

    /// Whether the caller may do what `scope` names: keys need it, to a person it is not asked.
    ///
    /// # Errors
    /// [`Error::InsufficientScope`].
    pub fn require_scope(&self, scope: &'static str) -> Result<()> {
        match &self.principal {
            Principal::Key(known) if !known.may(scope) => Err(Error::InsufficientScope { scope }),
            _ => Ok(()),
        }
    }

    /// The signed-in caller, if they proved who they are within the last ten minutes (security decision D13). How they can
    /// do so anew is for [`step_up::require`] to tell.
    ///
    /// # Errors
    /// [`Error::StepUpRequired`] if that is longer ago, [`Error::MissingCredential`] without a session.
    pub fn stepped_up(&self, now: DateTime<Utc>) -> Result<&SignedIn> {
        let me = self.signed_in()?;
        if now.timestamp() - me.auth_time <= STEP_UP_SECONDS { Ok(me) } else { Err(Error::StepUpRequired { max_age: STEP_UP_SECONDS, methods: Vec::new() }) }
    }

    /// The right to run the installation.
    ///
    /// # Errors
    /// [`Error::NotPermitted`] for everybody but the operator.
    pub fn require_operator(&self) -> Result<()> {
        if matches!(self.principal, Principal::Operator) { Ok(()) } else { Err(Error::NotPermitted) }
    }

    /// Owes `job` in the caller's transaction, in the language of whoever causes it.
    async fn owe(&self, app: &App, db: &impl Connection, job: &Job, now: DateTime<Utc>) -> Result<()> {
        store::jobs::enqueue_in(db, JobId::new(now, app.entropy.as_ref()), job, self.client.language, now, now).await
    }

    /// An audit line about `subject` in this context's realm.
    fn event(&self, action: Action, subject: Option<UserId>) -> Event {
        let actor = match &self.principal {
            Principal::Anonymous => Actor::Anonymous,
            Principal::User(user) => Actor::User(user.user_id, user.session_id),
            Principal::Key(known) => known.key.as_ref().map_or(Actor::Anonymous, |key| Actor::Key(key.id)),
            Principal::Holder(known) => known.user().map_or(Actor::Anonymous, Actor::Holder),
            Principal::Operator => Actor::Operator,
        };
        Event {
            realm_id: Some(self.realm.id),
            account_id: Some(self.realm.account_id),
            actor,
            action,
            subject,
            target: None,
            ip: self.client.ip.to_string(),
            request_id: self.request_id.to_string(),
        }
    }
}

/// Gathers the faults of several fields, so that one answer names them all.
#[derive(Default)]
struct Faults(Vec<FieldError>);

impl Faults {
    /// The value, or `None` with its faults kept.
    fn take<T>(&mut self, result: Result<T>) -> Result<Option<T>> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(Error::Invalid(faults)) => {
                self.0.extend(faults);
                Ok(None)
            }
            Err(other) => Err(other),
        }
    }

    /// # Errors
    /// [`Error::Invalid`] if any fault was kept.
    fn settle(self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::Invalid(self.0)) }
    }
}

/// Seconds from `from` until `to`, never negative.
fn seconds_between(from: DateTime<Utc>, to: DateTime<Utc>) -> u64 {
    u64::try_from((to - from).num_seconds()).unwrap_or_default()
}

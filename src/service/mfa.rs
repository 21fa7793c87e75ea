//! Second factors at a sign-in: the first proof was good, and the person is not in yet.
//!
//! What they get instead of a session is a token that is good for five minutes and five answers, here and nowhere else. No
//! session exists meanwhile, so that nothing can mistake one half of a sign-in for the whole (security row S11). Where the
//! realm requires a factor and the person has none, the token is good for adding one, which is their second proof.

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde_json::Value;
use uuid::Uuid;

use super::{
    Ctx, limits,
    login::{self, LoggedIn, LoggedInOnPages},
    passkeys::{self, Asked},
    proofs::{self, Checked, Proof},
    sessions::{Begun, Carrier, Entrant},
    totp, trusted_devices,
};
use crate::{
    app::App,
    crypto::{hash::sha256_hex, totp::Sheet},
    domain::{
        Error, Result,
        event::Action,
        factor::{CHALLENGE_LIFE, Method, MfaPolicy, amr_with},
        id::{EventId, FactorChallengeId, RealmId, SessionId},
        limit::Rule,
        token::OpaqueToken,
        user::{User, UserStatus},
    },
    store::{
        self, Transaction,
        batch::Batch,
        factor_challenges::{Challenge, Purpose},
        passkey_ceremonies::Kind,
        passkeys::Passkey,
        write_tx,
    },
};

/// A sign-in that waits, on its way to whoever began it.
pub(super) struct Wanted {
    token: OpaqueToken,
    purpose: Purpose,
    methods: Vec<Method>,
}

impl From<Wanted> for Error {
    fn from(Wanted { token, purpose, methods }: Wanted) -> Self {
        let token = SecretString::from(token.reveal());
        match purpose {
            Purpose::Verify => Self::FactorWanted { token, methods },
            Purpose::Enrol => Self::EnrolmentWanted { token, methods },
        }
    }
}

/// What keeps somebody who has made their first proof from being in, if anything does: written down with `batch`.
pub(super) fn wanted(app: &App, ctx: &Ctx, batch: &mut Batch, entrant: &Entrant<'_>, now: DateTime<Utc>) -> Option<Wanted> {
    let Entrant { user, amr, factors, .. } = entrant;
    let policy = ctx.realm.settings.mfa;
    let is_multi = amr.split(' ').any(|word| word == "mfa");
    let is_trusted = entrant.device.as_ref().is_some_and(|device| device.is_trusted(now));
    if policy == MfaPolicy::Off || is_multi || (factors.any() && is_trusted) {
        return None;
    }
    let (purpose, methods) = match (factors.any(), policy) {
        (true, _) => (Purpose::Verify, factors.methods()),
        (false, MfaPolicy::Required) => (Purpose::Enrol, vec![Method::Totp, Method::Passkey]),
        (false, _) => return None,
    };
    let id = FactorChallengeId::new(now, app.entropy.as_ref());
    let token = OpaqueToken::mint(id.0, app.entropy.as_ref());
    let challenge = Challenge {
        id,
        realm_id: user.realm_id,
        user_id: user.id,
        user_version: user.version,
        token_hash: sha256_hex(token.secret()),
        purpose,
        amr: (*amr).to_owned(),
        created_at: now,
        expires_at: now + CHALLENGE_LIFE,
    };
    store::factor_challenges::add(batch, &challenge);
    store::audit::add(batch, EventId::new(now, app.entropy.as_ref()), &ctx.event(Action::FactorAsked, Some(user.id)), now);
    Some(Wanted { token, purpose, methods })
}

/// A waiting sign-in and whose it is.
pub(super) struct Waiting {
    challenge: Challenge,
    pub(super) user: User,
}

/// Finds the waiting sign-in that `token` is of.
async fn find(app: &App, ctx: &Ctx, token: &str, purpose: Purpose) -> Result<Waiting> {
    let token = OpaqueToken::parse(token).ok_or(Error::InvalidFactorToken)?;
    let (id, hash) = (FactorChallengeId(token.id), sha256_hex(token.secret()));
    let found = store::factor_challenges::find_live(&app.db.read, ctx.realm.id, id, &hash, app.clock.now()).await?;
    let challenge = found.filter(|found| found.purpose == purpose).ok_or(Error::InvalidFactorToken)?;
    let user = store::users::find(&app.db.read, ctx.realm.id, challenge.user_id).await?;
    let user = user.filter(|user| user.version == challenge.user_version && user.status == UserStatus::Active);
    Ok(Waiting { challenge, user: user.ok_or(Error::InvalidFactorToken)? })
}

/// The same, with an answer counted before anybody looks at it.
async fn answered(app: &App, ctx: &Ctx, token: &str, purpose: Purpose) -> Result<Waiting> {
    limits::stranger(app, ctx, Rule::SignIn).await?;
    let waiting = find(app, ctx, token, purpose).await?;
    if store::factor_challenges::count_try(&app.db.write, ctx.realm.id, waiting.challenge.id).await? { Ok(waiting) } else { Err(Error::InvalidFactorToken) }
}

/// How a waiting sign-in can be finished.
///
/// # Errors
/// [`Error::InvalidFactorToken`].
pub async fn methods(app: &App, ctx: &Ctx, token: &str) -> Result<Vec<Method>> {
    let waiting = find(app, ctx, token, Purpose::Verify).await?;
    Ok(store::factors::find(&app.db.read, ctx.realm.id, waiting.user.id).await?.methods())
}

/// An answer to a waiting sign-in.
#[derive(Debug)]
pub struct Answer<'a> {
    pub token: &'a str,
    pub proof: &'a Proof,
    /// Whether the device is not to be asked again for a while.
    pub trust: bool,
}

/// Finishes a sign-in with a second factor; tokens carry the session.
///
/// # Errors
/// [`Error::InvalidFactorToken`] for a token that is not live here, [`Error::InvalidFactorCode`], [`Error::InvalidPasskey`],
/// [`Error::RateLimited`].
pub async fn verify(app: &App, ctx: &Ctx, answer: Answer<'_>) -> Result<LoggedIn> {
    let (user, begun) = finish(app, ctx, answer, Carrier::Tokens).await?;
    login::with_tokens(app, ctx, user, begun).await
}

/// The same at our pages. The session that the browser `had` ends.
///
/// # Errors
/// As [`verify`].
pub async fn verify_on_pages(app: &App, ctx: &Ctx, answer: Answer<'_>, had: Option<(RealmId, SessionId)>) -> Result<LoggedInOnPages> {
    let (_, begun) = finish(app, ctx, answer, Carrier::Cookie { replaces: had }).await?;
    Ok(login::with_cookie(begun))
}

async fn finish(app: &App, ctx: &Ctx, answer: Answer<'_>, carrier: Carrier) -> Result<(User, Begun)> {
    let Waiting { challenge, user } = answered(app, ctx, answer.token, Purpose::Verify).await?;
    if answer.proof.method() == Method::Password {
        return Err(Error::InvalidFactorCode);
    }
    let checked: Checked<'_> = proofs::check(app, ctx, &user, answer.proof, (Kind::Factor, challenge.id.0)).await?;
    let amr = amr_with(&challenge.amr, checked.method);
    let entrant = login::entrant(app, &app.db.read, ctx, &user, &amr, carrier).await?;
    let now = app.clock.now();
    let admission = write_tx!(&app.db, |tx| {
        consume(tx, &challenge, now).await?;
        let mut batch = Batch::on(tx);
        checked.spend(app, tx, ctx, &user, &mut batch).await?;
        let admission = login::admit(app, tx, ctx, &mut batch, entrant.clone(), now).await?;
        if answer.trust {
            trusted_devices::add(app, ctx, &mut batch, &user, &admission, now);
        }
        batch.run(tx).await?;
        Ok(admission)
    })?;
    let begun = login::settle(app, admission)?;
    Ok((user, begun))
}

async fn consume(tx: &Transaction, challenge: &Challenge, now: DateTime<Utc>) -> Result<()> {
    if store::factor_challenges::consume(tx, challenge.realm_id, challenge.id, now).await? { Ok(()) } else { Err(Error::InvalidFactorToken) }
}

/// Asks for one of the passkeys of whoever waits.
///
/// # Errors
/// [`Error::InvalidFactorToken`]; [`Error::InvalidPasskey`] if they have none.
pub async fn ask_passkey(app: &App, ctx: &Ctx, token: &str) -> Result<Asked> {
    let Waiting { challenge, user } = find(app, ctx, token, Purpose::Verify).await?;
    passkeys::ask_user(app, ctx, &user, Kind::Factor, challenge.id.0).await
}

/// A fresh secret for the app of somebody who waits to have a first factor.
///
/// # Errors
/// [`Error::InvalidFactorToken`].
pub async fn begin_totp(app: &App, ctx: &Ctx, token: &str) -> Result<Sheet> {
    let waiting = find(app, ctx, token, Purpose::Enrol).await?;
    totp::begin_for(app, ctx, &waiting.user).await
}

/// The secret that they began with, to be shown again.
///
/// # Errors
/// [`Error::InvalidFactorToken`].
pub async fn pending_totp(app: &App, ctx: &Ctx, token: &str) -> Result<Option<Sheet>> {
    let waiting = find(app, ctx, token, Purpose::Enrol).await?;
    totp::pending_of(app, ctx, &waiting.user).await
}

/// Asks the authenticator of somebody who waits to have a first factor for a new passkey.
///
/// # Errors
/// [`Error::InvalidFactorToken`].
pub async fn begin_passkey(app: &App, ctx: &Ctx, token: &str) -> Result<Asked> {
    let Waiting { challenge, user } = find(app, ctx, token, Purpose::Enrol).await?;
    passkeys::ask_for_new_of(app, ctx, &user, challenge.id.0).await
}

/// What somebody who waits shows of their first factor.
#[derive(Debug)]
pub enum First<'a> {
    /// A code of the secret that they began with.
    Totp(&'a str),
    /// The passkey that was asked for.
    Passkey { name: &'a str, ceremony: &'a str, answer: &'a Value },
}

/// Makes a first factor count and finishes the sign-in with it. Answers its recovery codes too.
///
/// # Errors
/// [`Error::InvalidFactorToken`], [`Error::InvalidFactorCode`], [`Error::InvalidPasskey`], [`Error::Invalid`] on `name`.
pub async fn enrol(app: &App, ctx: &Ctx, token: &str, first: First<'_>) -> Result<(LoggedIn, Vec<String>)> {
    let (user, begun, codes) = enrol_first(app, ctx, token, first, Carrier::Tokens).await?;
    Ok((login::with_tokens(app, ctx, user, begun).await?, codes))
}

/// The same at our pages.
///
/// # Errors
/// As [`enrol`].
pub async fn enrol_on_pages(app: &App, ctx: &Ctx, token: &str, first: First<'_>, had: Option<(RealmId, SessionId)>) -> Result<(LoggedInOnPages, Vec<String>)> {
    let (_, begun, codes) = enrol_first(app, ctx, token, first, Carrier::Cookie { replaces: had }).await?;
    Ok((login::with_cookie(begun), codes))
}

/// A first factor that is right and does not count yet.
enum Made {
    Totp(totp::Waiting),
    Passkey(Box<Passkey>),
}

async fn enrol_first(app: &App, ctx: &Ctx, token: &str, first: First<'_>, carrier: Carrier) -> Result<(User, Begun, Vec<String>)> {
    let Waiting { challenge, user } = answered(app, ctx, token, Purpose::Enrol).await?;
    let place: Uuid = challenge.id.0;
    let (made, method) = match first {
        First::Totp(code) => (Made::Totp(totp::waiting(app, &user, code).await?), Method::Totp),
        First::Passkey { name, ceremony, answer } => {
            (Made::Passkey(Box::new(passkeys::made(app, ctx, &user, name, (ceremony, answer), place).await?)), Method::Passkey)
        }
    };
    let amr = amr_with(&challenge.amr, method);
    let entrant = login::entrant(app, &app.db.read, ctx, &user, &amr, carrier).await?;
    let now = app.clock.now();
    let (admission, codes) = write_tx!(&app.db, |tx| {
        consume(tx, &challenge, now).await?;
        // Somebody else may have proved the same and enrolled meanwhile: then theirs is the factor to be asked for.
        if store::factors::find(tx, user.realm_id, user.id).await?.any() {
            return Err(Error::InvalidFactorToken);
        }
        let codes = match &made {
            Made::Totp(waiting) => totp::enrol(app, tx, ctx, &user, waiting).await?,
            Made::Passkey(made) => passkeys::enrol(app, tx, ctx, &user, made).await?,
        };
        let mut batch = Batch::on(tx);
        let admission = login::admit(app, tx, ctx, &mut batch, entrant.clone(), now).await?;
        batch.run(tx).await?;
        Ok((admission, codes))
    })?;
    app.jobs_due.notify_one();
    let begun = login::settle(app, admission)?;
    Ok((user, begun, codes))
}

//! Passkeys: made, named, listed and taken away by their person, and signed in with by whoever shows one.
//!
//! Which domain and which origins they are good for comes from the configuration and the realm's settings, never from a
//! request. An answer is judged against the one question that it was for, and each question is good for one answer.

use serde_json::Value;
use url::{Host, Url};
use uuid::Uuid;

use super::{Ctx, factors, limits};
use crate::{
    app::App,
    crypto::passkeys::{Answer, Asserted, Holder, Key, NewKey, PasskeyFault, Question, RelyingParty},
    domain::{
        Error, Result,
        event::{Action, Event},
        factor::{ENROLMENT_LIFE, Method, MfaPolicy, PASSKEYS_AT_MOST, UserVerification, amr_with},
        id::{CeremonyId, EventId, PasskeyId, SessionId},
        limit::Rule,
        realm::Realm,
        text,
        user::{User, UserStatus},
    },
    store::{
        self, Transaction,
        passkey_ceremonies::{Ceremony, Kind},
        write_tx,
    },
};

pub use crate::store::passkeys::Passkey;

/// A question on its way to an authenticator.
#[derive(Debug)]
pub struct Asked {
    /// To be sent with the answer.
    pub ceremony: String,
    /// `publicKey` of `navigator.credentials.create` or `.get`.
    pub options: Value,
}

/// Whom a realm's passkeys are made for, and where they may be used.
pub(super) async fn party(app: &App, realm: &Realm) -> Result<RelyingParty> {
    let public = Url::parse(&app.settings.public_url).map_err(Error::internal)?;
    let mut origin = public.clone();
    // An address can't be a domain of keys; a browser on the same machine has a name for it.
    let loopback = match public.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        _ => false,
    };
    if loopback {
        origin.set_host(Some("localhost")).map_err(Error::internal)?;
    }
    let host = origin.host_str().unwrap_or_default().to_owned();
    let id = realm.settings.passkey_domain.clone().unwrap_or(host);
    let mut origins = vec![origin];
    let mut names = store::realms::domains(&app.db.read, realm.id).await?;
    names.push(realm.name.clone());
    for name in names {
        let mut own = public.clone();
        if own.set_host(Some(&name)).is_ok() {
            origins.push(own);
        }
    }
    origins.extend(realm.settings.allowed_origins.iter().filter_map(|origin| Url::parse(origin).ok()));
    origins.retain(|origin| origin.domain().is_some_and(|host| host == id || host.ends_with(&format!(".{id}"))));
    Ok(RelyingParty::new(realm.display_name(), &id, origins))
}

/// Whether a passkey must check its person where it stands beside another proof.
fn verified(realm: &Realm) -> bool {
    realm.settings.passkey_user_verification == UserVerification::Required
}

async fn keep(app: &App, realm: &Realm, question: Question, kind: Kind, whom: Option<(&User, Uuid)>) -> Result<Asked> {
    let now = app.clock.now();
    let id = CeremonyId::new(now, app.entropy.as_ref());
    let ceremony = Ceremony {
        id,
        realm_id: realm.id,
        user_id: whom.map(|(user, _)| user.id),
        kind,
        bound_to: whom.map(|(_, place)| place),
        state: question.state,
        created_at: now,
        expires_at: now + ENROLMENT_LIFE,
    };
    store::passkey_ceremonies::insert(&app.db.write, &ceremony).await?;
    Ok(Asked { ceremony: id.to_string(), options: question.options })
}

async fn take(app: &App, realm: &Realm, ceremony: &str, kind: Kind, whom: Option<(&User, Uuid)>) -> Result<String> {
    let id = ceremony.parse().map_err(|_| Error::InvalidPasskey)?;
    let whom = (whom.map(|(user, _)| user.id), whom.map(|(_, place)| place));
    let taken = store::passkey_ceremonies::consume(&app.db.write, realm.id, id, kind, whom, app.clock.now()).await?;
    taken.ok_or(Error::InvalidPasskey)
}

/// Asks the caller's authenticator for a new passkey.
///
/// # Errors
/// [`Error::FactorsOff`], [`Error::StepUpRequired`], [`Error::Invalid`] if there are as many as may be.
pub async fn ask_for_new(app: &App, ctx: &Ctx) -> Result<Asked> {
    let user = factors::changer(app, ctx).await?;
    ask_for_new_of(app, ctx, &user, ctx.signed_in()?.session_id.0).await
}

pub(super) async fn ask_for_new_of(app: &App, ctx: &Ctx, user: &User, place: Uuid) -> Result<Asked> {
    let had: Vec<_> = store::passkeys::list(&app.db.read, user.realm_id, user.id).await?.into_iter().map(|key| key.credential_id).collect();
    if had.len() as u64 >= PASSKEYS_AT_MOST {
        return Err(too_many());
    }
    let holder = Holder { id: user.id.0, email: user.email.as_str(), name: &user.name };
    let question = party(app, &ctx.realm).await?.ask_for_key(holder, &had, verified(&ctx.realm))?;
    keep(app, &ctx.realm, question, Kind::Register, Some((user, place))).await
}

fn too_many() -> Error {
    Error::invalid("credential", "too_many", format!("nobody can have more than {PASSKEYS_AT_MOST} passkeys"))
}

/// Adds the passkey that was asked for. Answers recovery codes if this is the first factor.
///
/// # Errors
/// [`Error::InvalidPasskey`]; [`Error::Taken`] if somebody of the realm has it already; [`Error::Invalid`] on `name`.
pub async fn add(app: &App, ctx: &Ctx, name: &str, ceremony: &str, answer: &Value) -> Result<(Passkey, Vec<String>)> {
    let user = factors::changer(app, ctx).await?;
    let me = ctx.signed_in()?;
    let made = made(app, ctx, &user, name, (ceremony, answer), me.session_id.0).await?;
    let now = app.clock.now();
    let codes = write_tx!(&app.db, |tx| {
        let codes = enrol(app, tx, ctx, &user, &made).await?;
        store::sessions::prove_again(tx, user.realm_id, SessionId(me.session_id.0), &amr_with(&me.amr.join(" "), Method::Passkey), now).await?;
        Ok(codes)
    })?;
    app.jobs_due.notify_one();
    Ok((made, codes))
}

/// Judges the answer to [`ask_for_new`] of the same `place`.
pub(super) async fn made(app: &App, ctx: &Ctx, user: &User, name: &str, (ceremony, answer): (&str, &Value), place: Uuid) -> Result<Passkey> {
    let name = text::name("name", name)?;
    let state = take(app, &ctx.realm, ceremony, Kind::Register, Some((user, place))).await?;
    let NewKey { credential_id, credential, sign_count, backed_up } =
        party(app, &ctx.realm).await?.take_key(&state, answer).map_err(|_| Error::InvalidPasskey)?;
    let now = app.clock.now();
    let id = PasskeyId::new(now, app.entropy.as_ref());
    let (realm_id, user_id) = (user.realm_id, user.id);
    Ok(Passkey { id, realm_id, user_id, credential_id, credential, sign_count, name, backed_up, created_at: now, last_used_at: None })
}

/// Makes it count, inside a transaction.
pub(super) async fn enrol(app: &App, tx: &Transaction, ctx: &Ctx, user: &User, made: &Passkey) -> Result<Vec<String>> {
    let now = app.clock.now();
    // The row is held, so that keys that are added at once count each other.
    if !store::users::touch_if_active(tx, user.realm_id, user.id, user.version).await? {
        return Err(Error::InvalidPasskey);
    }
    if store::passkeys::count(tx, user.realm_id, user.id).await? >= PASSKEYS_AT_MOST {
        return Err(too_many());
    }
    if !store::passkeys::insert_if_absent(tx, made).await? {
        return Err(Error::Taken { field: "credential" });
    }
    let codes = factors::first_codes(app, tx, user, now).await?;
    factors::changed(app, tx, ctx, user, (Action::PasskeyAdded, Method::Passkey), now).await?;
    Ok(codes)
}

/// The caller's passkeys, oldest first.
///
/// # Errors
/// [`Error::MissingCredential`] without a session.
pub async fn list(app: &App, ctx: &Ctx) -> Result<Vec<Passkey>> {
    let me = ctx.signed_in()?;
    store::passkeys::list(&app.db.read, ctx.realm.id, me.user_id).await
}

/// Gives one of the caller's passkeys another name.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Invalid`] on `name`.
pub async fn rename(app: &App, ctx: &Ctx, id: PasskeyId, name: &str) -> Result<Passkey> {
    let me = ctx.signed_in()?;
    let name = text::name("name", name)?;
    store::passkeys::rename(&app.db.write, ctx.realm.id, me.user_id, id, &name).await?.ok_or(Error::NotFound)
}

/// Takes one of the caller's passkeys away.
///
/// # Errors
/// [`Error::NotFound`], [`Error::LastFactor`], [`Error::StepUpRequired`].
pub async fn remove(app: &App, ctx: &Ctx, id: PasskeyId) -> Result<()> {
    let user = factors::changer(app, ctx).await?;
    let now = app.clock.now();
    write_tx!(&app.db, |tx| {
        if !store::passkeys::delete(tx, user.realm_id, user.id, id).await? {
            return Err(Error::NotFound);
        }
        factors::after_removal(tx, ctx, &user).await?;
        factors::changed(app, tx, ctx, &user, (Action::PasskeyRemoved, Method::Passkey), now).await
    })?;
    app.jobs_due.notify_one();
    Ok(())
}

/// Asks for any passkey of the realm: who answers is told by the answer.
///
/// # Errors
/// [`Error::FactorsOff`], [`Error::RateLimited`].
pub async fn ask_anybody(app: &App, ctx: &Ctx) -> Result<Asked> {
    limits::stranger(app, ctx, Rule::SignIn).await?;
    if ctx.realm.settings.mfa == MfaPolicy::Off {
        return Err(Error::FactorsOff);
    }
    let question = party(app, &ctx.realm).await?.ask(&[], true)?;
    keep(app, &ctx.realm, question, Kind::SignIn, None).await
}

/// Asks for one of `user`'s passkeys.
pub(super) async fn ask_user(app: &App, ctx: &Ctx, user: &User, kind: Kind, place: Uuid) -> Result<Asked> {
    let keys = store::passkeys::list(&app.db.read, user.realm_id, user.id).await?;
    if keys.is_empty() {
        return Err(Error::InvalidPasskey);
    }
    let keys: Vec<_> = keys.iter().map(|key| Key { credential: &key.credential, sign_count: key.sign_count }).collect();
    let question = party(app, &ctx.realm).await?.ask(&keys, verified(&ctx.realm))?;
    keep(app, &ctx.realm, question, kind, Some((user, place))).await
}

/// Judges an answer to [`ask_user`].
pub(super) async fn judge(app: &App, ctx: &Ctx, user: &User, ceremony: &str, answer: &Value, (kind, place): (Kind, Uuid)) -> Result<(PasskeyId, Asserted)> {
    let state = take(app, &ctx.realm, ceremony, kind, Some((user, place))).await?;
    let answer = Answer::read(answer).ok_or(Error::InvalidPasskey)?;
    let key = store::passkeys::find_by_credential(&app.db.read, user.realm_id, &answer.credential_id()).await?;
    let key = key.filter(|key| key.user_id == user.id && answer.holder().is_none_or(|holder| holder == user.id.0)).ok_or(Error::InvalidPasskey)?;
    let asserted = weigh(app, ctx, &state, &answer, &key).await?;
    Ok((key.id, asserted))
}

/// Whose the answer to [`ask_anybody`] is.
pub(super) async fn identify(app: &App, ctx: &Ctx, ceremony: &str, answer: &Value) -> Result<(User, PasskeyId, Asserted)> {
    let state = take(app, &ctx.realm, ceremony, Kind::SignIn, None).await?;
    let answer = Answer::read(answer).ok_or(Error::InvalidPasskey)?;
    let key = store::passkeys::find_by_credential(&app.db.read, ctx.realm.id, &answer.credential_id()).await?;
    // WebAuthn section 7.2, step 6: where nobody is known yet, the answer must say whose the key is.
    let key = key.filter(|key| answer.holder() == Some(key.user_id.0)).ok_or(Error::InvalidPasskey)?;
    let asserted = weigh(app, ctx, &state, &answer, &key).await?;
    let user = store::users::find(&app.db.read, ctx.realm.id, key.user_id).await?.ok_or(Error::InvalidPasskey)?;
    match (user.status, user.email_verified_at) {
        (UserStatus::Locked, _) => Err(Error::AccountLocked),
        (UserStatus::Active, None) => Err(Error::EmailNotVerified),
        (UserStatus::Active, Some(_)) => Ok((user, key.id, asserted)),
    }
}

async fn weigh(app: &App, ctx: &Ctx, state: &str, answer: &Answer, key: &Passkey) -> Result<Asserted> {
    let kept = Key { credential: &key.credential, sign_count: key.sign_count };
    match party(app, &ctx.realm).await?.take(state, answer, kept) {
        Ok(asserted) => Ok(asserted),
        Err(fault) => {
            let now = app.clock.now();
            let action = if fault == PasskeyFault::Cloned { Action::PasskeyCloned } else { Action::FactorFailed };
            let event = Event { target: Some(key.id.0), ..ctx.event(action, Some(key.user_id)) };
            store::audit::insert(&app.db.write, EventId::new(now, app.entropy.as_ref()), &event, now).await?;
            Err(Error::InvalidPasskey)
        }
    }
}

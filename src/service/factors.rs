//! What second factors a person has and what their realm makes of that: the one question that every door asks.

use chrono::{DateTime, Utc};

use super::{Ctx, step_up};
use crate::{
    app::App,
    domain::{
        Error, Result,
        event::Action,
        factor::{Factors, Method, MfaPolicy, RECOVERY_CODES, is_multi, mint_recovery_code},
        id::{EventId, RealmId, UserId},
        job::Job,
        realm::Realm,
        user::User,
    },
    store::{self, Connection, Transaction},
};

/// Whether `user` can't be let in by one proof alone. Doors that know but one (passwords of other dialects, digests) ask
/// this and refuse whoever has a factor or needs one.
///
/// # Errors
/// What the database says.
pub async fn has_factor(app: &App, realm: &Realm, user: UserId) -> Result<bool> {
    Ok(match realm.settings.mfa {
        MfaPolicy::Off => false,
        MfaPolicy::Required => true,
        MfaPolicy::Optional => store::factors::find(&app.db.read, realm.id, user).await?.any(),
    })
}

/// What `user` has that their realm asks for.
pub(super) async fn asked_for(db: &impl Connection, realm: &Realm, user: UserId) -> Result<Factors> {
    match realm.settings.mfa {
        MfaPolicy::Off => Ok(Factors::default()),
        _ => store::factors::find(db, realm.id, user).await,
    }
}

/// What a person sees of their own factors.
#[derive(Debug)]
pub struct Overview {
    pub policy: MfaPolicy,
    pub factors: Factors,
    /// Since when one-time passwords count.
    pub totp_since: Option<DateTime<Utc>>,
    /// When the recovery codes were made.
    pub codes_since: Option<DateTime<Utc>>,
}

/// The caller's factors.
///
/// # Errors
/// [`Error::MissingCredential`] without a session.
pub async fn overview(app: &App, ctx: &Ctx) -> Result<Overview> {
    let me = ctx.signed_in()?;
    let (db, realm) = (&app.db.read, ctx.realm.id);
    let totp = store::totp_secrets::find(db, realm, me.user_id).await?;
    let (left, codes_since) = store::recovery_codes::standing(db, realm, me.user_id).await?;
    let factors = Factors { totp: totp.is_some(), passkeys: store::passkeys::count(db, realm, me.user_id).await?, recovery_codes: left };
    Ok(Overview { policy: ctx.realm.settings.mfa, factors, totp_since: totp.map(|totp| totp.created_at), codes_since })
}

/// The caller, who may change their factors: they proved lately who they are, and by a factor if they have one. A session
/// that a trusted device began with the password alone has not.
///
/// # Errors
/// [`Error::FactorsOff`], [`Error::StepUpRequired`], [`Error::MissingCredential`].
pub(super) async fn changer(app: &App, ctx: &Ctx) -> Result<User> {
    let me = step_up::require(app, ctx).await?;
    if ctx.realm.settings.mfa == MfaPolicy::Off {
        return Err(Error::FactorsOff);
    }
    let factors = store::factors::find(&app.db.read, ctx.realm.id, me.user_id).await?;
    if factors.any() && !is_multi(&me.amr) {
        return Err(Error::StepUpRequired { max_age: super::STEP_UP_SECONDS, methods: factors.methods() });
    }
    store::users::find(&app.db.read, ctx.realm.id, me.user_id).await?.ok_or(Error::NotFound)
}

/// The recovery codes that a person gets with their first factor; none if they have some.
pub(super) async fn first_codes(app: &App, tx: &Transaction, user: &User, now: DateTime<Utc>) -> Result<Vec<String>> {
    let (left, _) = store::recovery_codes::standing(tx, user.realm_id, user.id).await?;
    if left > 0 { Ok(Vec::new()) } else { new_codes(app, tx, user, now).await }
}

/// Fresh recovery codes in the place of all before.
pub(super) async fn new_codes(app: &App, tx: &Transaction, user: &User, now: DateTime<Utc>) -> Result<Vec<String>> {
    let codes: Vec<String> = (0..RECOVERY_CODES).map(|_| mint_recovery_code(app.entropy.as_ref())).collect();
    let key = app.keyring.current_id();
    let hashes: Vec<String> = codes.iter().filter_map(|code| hash(app, key, user.realm_id, user.id, &code.replace('-', ""))).collect();
    store::recovery_codes::replace(tx, user.realm_id, user.id, &hashes, app.entropy.as_ref(), now).await?;
    Ok(codes)
}

/// The hashes that a code may be stored under: one for each master key.
pub(super) fn hashes(app: &App, realm: RealmId, user: UserId, code: &str) -> Vec<String> {
    app.keyring.ids().filter_map(|key| hash(app, key, realm, user, code)).collect()
}

/// `<key id>.<hex>`: a code has fewer bits than a plain hash asks for, so that a key makes guesses at it useless.
fn hash(app: &App, key: &str, realm: RealmId, user: UserId, code: &str) -> Option<String> {
    let mac = app.keyring.mac_with(key, "recovery_code", format!("{realm}|{user}|{code}").as_bytes())?;
    Some(format!("{key}.{}", crate::crypto::hash::sha256_hex(&mac)))
}

/// A change of `user`'s factors inside its transaction: devices are trusted no more, and a mail tells of it.
pub(super) async fn changed(app: &App, tx: &Transaction, ctx: &Ctx, user: &User, (action, method): (Action, Method), now: DateTime<Utc>) -> Result<()> {
    store::devices::distrust_all(tx, user.realm_id, user.id).await?;
    store::audit::insert(tx, EventId::new(now, app.entropy.as_ref()), &ctx.event(action, Some(user.id)), now).await?;
    let added = matches!(action, Action::TotpEnrolled | Action::PasskeyAdded | Action::RecoveryCodesMade);
    let job = Job::SendFactorChanged { realm_id: user.realm_id, user_id: user.id, method: method.as_str().to_owned(), added };
    ctx.owe(app, tx, &job, now).await
}

/// What goes with the last factor of `user`, inside the transaction that took it away. The realm may want one to stay.
///
/// # Errors
/// [`Error::LastFactor`].
pub(super) async fn after_removal(tx: &Transaction, ctx: &Ctx, user: &User) -> Result<()> {
    if store::factors::find(tx, user.realm_id, user.id).await?.any() {
        return Ok(());
    }
    if ctx.realm.settings.mfa == MfaPolicy::Required {
        return Err(Error::LastFactor);
    }
    store::recovery_codes::delete(tx, user.realm_id, user.id).await
}

/// Takes away what was added since `since`, by whom it was not the person's to add, inside a transaction.
pub(super) async fn forget_since(tx: &Transaction, realm: RealmId, user: UserId, since: DateTime<Utc>) -> Result<()> {
    let mut gone = store::totp_secrets::delete(tx, realm, user, Some(since)).await?;
    gone |= store::passkeys::delete_since(tx, realm, user, since).await? > 0;
    store::devices::distrust_all(tx, realm, user).await?;
    if gone && !store::factors::find(tx, realm, user).await?.any() {
        store::recovery_codes::delete(tx, realm, user).await?;
    }
    Ok(())
}

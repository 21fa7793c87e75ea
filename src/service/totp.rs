//! One-time passwords of an authenticator app: enrolled in two steps, of which the first alone counts for nothing.

use secrecy::{ExposeSecret as _, SecretString};

use super::{Ctx, factors};
use crate::{
    app::App,
    crypto::totp::{self, Sheet},
    domain::{
        Error, Result,
        event::Action,
        factor::{ENROLMENT_LIFE, Method, amr_with, read_totp_code},
        id::{RealmId, TotpId},
        user::User,
    },
    store::{self, Transaction, totp_secrets::TotpSecret, write_tx},
};

/// Ties a sealed secret to its place, so that a row copied elsewhere opens nothing.
fn aad(realm: RealmId, id: TotpId) -> String {
    format!("totp_secrets|{realm}|{id}|secret")
}

fn open(app: &App, row: &TotpSecret) -> Result<Vec<u8>> {
    app.keyring.unseal(&aad(row.realm_id, row.id), &row.sealed)
}

/// Seals a secret with the current master key; `false` if somebody else was faster.
pub(super) async fn reseal(app: &App, row: &TotpSecret) -> Result<bool> {
    let sealed = app.keyring.seal(&aad(row.realm_id, row.id), &open(app, row)?, app.entropy.as_ref())?;
    store::totp_secrets::reseal_if(&app.db.write, row.realm_id, row.id, &row.sealed, &sealed).await
}

/// A fresh secret for the caller's app. It counts once [`confirm`] has seen a code of it, within ten minutes.
///
/// # Errors
/// [`Error::FactorsOff`], [`Error::StepUpRequired`].
pub async fn begin(app: &App, ctx: &Ctx) -> Result<Sheet> {
    let user = factors::changer(app, ctx).await?;
    begin_for(app, ctx, &user).await
}

pub(super) async fn begin_for(app: &App, ctx: &Ctx, user: &User) -> Result<Sheet> {
    let now = app.clock.now();
    let secret = totp::mint(app.entropy.as_ref());
    let id = TotpId::new(now, app.entropy.as_ref());
    let row = TotpSecret {
        id,
        realm_id: user.realm_id,
        user_id: user.id,
        sealed: app.keyring.seal(&aad(user.realm_id, id), &secret, app.entropy.as_ref())?,
        last_step: 0,
        created_at: now,
        expires_at: now + ENROLMENT_LIFE,
    };
    store::totp_secrets::put_pending(&app.db.write, &row).await?;
    totp::sheet(&secret, ctx.realm.display_name(), user.email.as_str())
}

/// The secret that the caller began with and that still waits, to be shown again.
///
/// # Errors
/// As [`begin`].
pub async fn pending(app: &App, ctx: &Ctx) -> Result<Option<Sheet>> {
    let user = factors::changer(app, ctx).await?;
    pending_of(app, ctx, &user).await
}

pub(super) async fn pending_of(app: &App, ctx: &Ctx, user: &User) -> Result<Option<Sheet>> {
    let row = store::totp_secrets::find_pending(&app.db.read, user.realm_id, user.id, app.clock.now()).await?;
    row.map(|row| totp::sheet(&open(app, &row)?, ctx.realm.display_name(), user.email.as_str())).transpose()
}

/// Makes the secret count that was begun with, by a code of it. Answers recovery codes if this is the first factor.
///
/// # Errors
/// [`Error::InvalidFactorCode`] for a wrong code, and if nothing was begun or too long ago.
pub async fn confirm(app: &App, ctx: &Ctx, code: &SecretString) -> Result<Vec<String>> {
    let user = factors::changer(app, ctx).await?;
    let me = ctx.signed_in()?;
    let waiting = waiting(app, &user, code.expose_secret()).await?;
    let now = app.clock.now();
    let codes = write_tx!(&app.db, |tx| {
        let codes = enrol(app, tx, ctx, &user, &waiting).await?;
        store::sessions::prove_again(tx, user.realm_id, me.session_id, &amr_with(&me.amr.join(" "), Method::Totp), now).await?;
        Ok(codes)
    })?;
    app.jobs_due.notify_one();
    Ok(codes)
}

/// A secret that waits, and the step of the right code that was shown for it.
pub(super) struct Waiting(TotpId, i64);

/// Finds the secret that waits for `user`, if `code` is of it.
pub(super) async fn waiting(app: &App, user: &User, code: &str) -> Result<Waiting> {
    let now = app.clock.now();
    let code = read_totp_code(code).ok_or(Error::InvalidFactorCode)?;
    let row = store::totp_secrets::find_pending(&app.db.read, user.realm_id, user.id, now).await?.ok_or(Error::InvalidFactorCode)?;
    let step = totp::step_of(&open(app, &row)?, &code, now.timestamp())?.ok_or(Error::InvalidFactorCode)?;
    Ok(Waiting(row.id, step))
}

/// Makes it count, inside a transaction.
pub(super) async fn enrol(app: &App, tx: &Transaction, ctx: &Ctx, user: &User, Waiting(id, step): &Waiting) -> Result<Vec<String>> {
    let now = app.clock.now();
    if !store::totp_secrets::activate(tx, user.realm_id, user.id, *id, *step, now).await? {
        return Err(Error::InvalidFactorCode);
    }
    let codes = factors::first_codes(app, tx, user, now).await?;
    factors::changed(app, tx, ctx, user, (Action::TotpEnrolled, Method::Totp), now).await?;
    Ok(codes)
}

/// Takes the caller's secret away.
///
/// # Errors
/// [`Error::NotFound`] if there is none, [`Error::LastFactor`], [`Error::StepUpRequired`].
pub async fn remove(app: &App, ctx: &Ctx) -> Result<()> {
    let user = factors::changer(app, ctx).await?;
    let now = app.clock.now();
    write_tx!(&app.db, |tx| {
        if !store::totp_secrets::delete(tx, user.realm_id, user.id, None).await? {
            return Err(Error::NotFound);
        }
        factors::after_removal(tx, ctx, &user).await?;
        factors::changed(app, tx, ctx, &user, (Action::TotpRemoved, Method::Totp), now).await
    })?;
    app.jobs_due.notify_one();
    Ok(())
}

/// The step that `code` is of, if it is one of `user`'s. Whether it was used is settled where it is spent.
pub(super) async fn step(app: &App, user: &User, code: &str) -> Result<Option<(TotpId, i64)>> {
    let Some(code) = read_totp_code(code) else { return Ok(None) };
    let Some(row) = store::totp_secrets::find(&app.db.read, user.realm_id, user.id).await? else { return Ok(None) };
    let step = totp::step_of(&open(app, &row)?, &code, app.clock.now().timestamp())?;
    Ok(step.filter(|step| *step > row.last_step).map(|step| (row.id, step)))
}

/// Fresh recovery codes for the caller, in the place of all before; shown this once.
///
/// # Errors
/// [`Error::NotFound`] without a factor that they could help out for, [`Error::StepUpRequired`].
pub async fn new_recovery_codes(app: &App, ctx: &Ctx) -> Result<Vec<String>> {
    let user = factors::changer(app, ctx).await?;
    let now = app.clock.now();
    let codes = write_tx!(&app.db, |tx| {
        if !store::factors::find(tx, user.realm_id, user.id).await?.any() {
            return Err(Error::NotFound);
        }
        let codes = factors::new_codes(app, tx, &user, now).await?;
        factors::changed(app, tx, ctx, &user, (Action::RecoveryCodesMade, Method::RecoveryCode), now).await?;
        Ok(codes)
    })?;
    app.jobs_due.notify_one();
    Ok(codes)
}

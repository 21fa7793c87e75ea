//! Proving once more who one is, before what can't be taken back (security decision D13).
//!
//! A session remembers when its person last proved themselves and how; for ten minutes that counts. Whoever has a second
//! factor proves it with that, for a password is what a thief of a session may know already. Some operations also take the
//! password with the request, which is a proof of that moment.

use secrecy::SecretString;

use super::{
    Ctx, SignedIn, factors, guesses, passkeys,
    proofs::{self, Proof},
    sessions,
};
use crate::{
    app::App,
    domain::{
        Error, Result,
        event::Action,
        factor::{Method, amr_with},
        id::EventId,
        user::User,
    },
    store::{self, batch::Batch, passkey_ceremonies::Kind, write_tx},
};

/// The caller, whose last proof is not older than ten minutes.
///
/// # Errors
/// [`Error::StepUpRequired`] with the ways to make a new one, [`Error::MissingCredential`] without a session,
/// [`Error::NotPermitted`] for keys.
pub async fn require<'a>(app: &App, ctx: &'a Ctx) -> Result<&'a SignedIn> {
    match ctx.stepped_up(app.clock.now()) {
        Err(Error::StepUpRequired { max_age, .. }) => Err(Error::StepUpRequired { max_age, methods: methods(app, ctx).await? }),
        result => result,
    }
}

/// How the caller can prove once more who they are: by their second factor, else by their password.
///
/// # Errors
/// [`Error::MissingCredential`] without a session.
pub async fn methods(app: &App, ctx: &Ctx) -> Result<Vec<Method>> {
    let me = ctx.signed_in()?;
    let factors = factors::asked_for(&app.db.read, &ctx.realm, me.user_id).await?;
    if factors.any() {
        return Ok(factors.methods());
    }
    let password = store::credentials::find_password(&app.db.read, ctx.realm.id, me.user_id).await?;
    Ok(password.map(|_| Method::Password).into_iter().collect())
}

/// What a program gets for a fresh proof.
#[derive(Debug)]
pub struct Renewed {
    pub access_token: String,
    /// Seconds until it ends.
    pub expires_in: u64,
}

/// Takes a fresh proof for the caller's session and signs an access token that tells of it.
///
/// # Errors
/// Those of the proof; [`Error::NotPermitted`] for one that is not among [`methods`].
pub async fn prove(app: &App, ctx: &Ctx, proof: &Proof) -> Result<Renewed> {
    prove_on_pages(app, ctx, proof).await?;
    let me = ctx.signed_in()?;
    let session = store::sessions::find(&app.db.read, ctx.realm.id, me.session_id).await?.ok_or(Error::NotFound)?;
    let (access_token, expires_in) = sessions::issue_access(app, &ctx.realm, &session, app.clock.now()).await?;
    Ok(Renewed { access_token, expires_in })
}

/// The same for a session that a cookie carries.
///
/// # Errors
/// As [`prove`].
pub async fn prove_on_pages(app: &App, ctx: &Ctx, proof: &Proof) -> Result<()> {
    let me = ctx.signed_in()?;
    if !methods(app, ctx).await?.contains(&proof.method()) {
        return Err(Error::NotPermitted);
    }
    let user = store::users::find(&app.db.read, ctx.realm.id, me.user_id).await?.ok_or(Error::NotFound)?;
    let checked = proofs::check(app, ctx, &user, proof, (Kind::StepUp, me.session_id.0)).await?;
    let now = app.clock.now();
    let amr = if checked.method == Method::Password { me.amr.join(" ") } else { amr_with(&me.amr.join(" "), checked.method) };
    write_tx!(&app.db, |tx| {
        let mut batch = Batch::on(tx);
        checked.spend(app, tx, ctx, &user, &mut batch).await?;
        if !store::sessions::prove_again(tx, ctx.realm.id, me.session_id, &amr, now).await? {
            return Err(Error::NotFound);
        }
        store::audit::add(&mut batch, EventId::new(now, app.entropy.as_ref()), &ctx.event(Action::SteppedUp, Some(user.id)), now);
        batch.run(tx).await
    })
}

/// Asks the caller's authenticator for the proof.
///
/// # Errors
/// [`Error::InvalidPasskey`] if they have no passkey.
pub async fn ask_passkey(app: &App, ctx: &Ctx) -> Result<passkeys::Asked> {
    let me = ctx.signed_in()?;
    let user = store::users::find(&app.db.read, ctx.realm.id, me.user_id).await?.ok_or(Error::NotFound)?;
    passkeys::ask_user(app, ctx, &user, Kind::StepUp, me.session_id.0).await
}

/// The caller, who shows their password with the request or proved lately who they are. What follows must guard the version
/// of the user that is answered: the proof was of what stood when they were read.
///
/// # Errors
/// [`Error::MissingCredential`] without a session, [`Error::WrongPassword`] for a wrong password and for one too many,
/// [`Error::StepUpRequired`] without one; [`Error::Busy`].
pub(super) async fn by_password_or_lately(app: &App, ctx: &Ctx, password: Option<&SecretString>) -> Result<User> {
    let me = ctx.signed_in()?;
    if password.is_none() {
        require(app, ctx).await?;
    }
    let user = store::users::find(&app.db.read, ctx.realm.id, me.user_id).await?.ok_or(Error::NotFound)?;
    if let Some(password) = password {
        guesses::prove(app, ctx, &user, password).await?;
    }
    Ok(user)
}

//! Proofs of a person who is known by name: password, one-time password, recovery code, passkey. Checked here, for second
//! factors and fresh proofs alike, and spent in the caller's transaction.

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use uuid::Uuid;

use super::{
    Ctx, factors,
    guesses::{self, Guess},
    passkeys, totp,
};
use crate::{
    app::App,
    crypto::passkeys::Asserted,
    domain::{
        Error, Result,
        event::Action,
        factor::{Method, read_recovery_code, read_totp_code},
        id::{EventId, PasskeyId, TotpId},
        user::User,
    },
    store::{self, Transaction, batch::Batch, passkey_ceremonies::Kind},
};

/// What somebody shows.
#[derive(Debug)]
pub enum Proof {
    Password(SecretString),
    Totp(SecretString),
    RecoveryCode(SecretString),
    /// An authenticator's answer to the question of that id.
    Passkey {
        ceremony: String,
        answer: Value,
    },
}

impl Proof {
    /// The proof that a client calls `method`, of the fields that it sent.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the method is none, or its field is missing.
    pub fn read(method: &str, password: Option<SecretString>, code: Option<SecretString>, passkey: (Option<String>, Option<Value>)) -> Result<Self> {
        let missing = |field: &str| Error::invalid(field, "required", "is required for this method");
        match Method::parse(method) {
            Some(Method::Password) => password.map(Self::Password).ok_or_else(|| missing("password")),
            Some(Method::Totp) => code.map(Self::Totp).ok_or_else(|| missing("code")),
            Some(Method::RecoveryCode) => code.map(Self::RecoveryCode).ok_or_else(|| missing("code")),
            Some(Method::Passkey) => match passkey {
                (Some(ceremony), Some(answer)) => Ok(Self::Passkey { ceremony, answer }),
                (None, _) => Err(missing("ceremonyId")),
                (_, None) => Err(missing("credential")),
            },
            None => Err(Error::invalid("method", "unknown", "must be `password`, `totp`, `recovery_code` or `passkey`")),
        }
    }

    /// A code of an app or a recovery code, whichever it looks like.
    #[must_use]
    pub fn of_code(code: SecretString) -> Self {
        if read_totp_code(code.expose_secret()).is_some() { Self::Totp(code) } else { Self::RecoveryCode(code) }
    }

    /// Its method.
    #[must_use]
    pub fn method(&self) -> Method {
        match self {
            Self::Password(_) => Method::Password,
            Self::Totp(_) => Method::Totp,
            Self::RecoveryCode(_) => Method::RecoveryCode,
            Self::Passkey { .. } => Method::Passkey,
        }
    }
}

/// A proof that was right, to be spent.
pub(super) struct Checked<'a> {
    pub(super) method: Method,
    /// The guess that it was, until it turned out to be none.
    pub(super) guess: Option<Guess<'a>>,
    spends: Spends,
}

/// What is good once.
enum Spends {
    Nothing,
    Step(TotpId, i64),
    Code(Vec<String>),
    Signature(PasskeyId, Asserted),
}

/// Checks what `user` shows; `place` is what a passkey's question was asked in.
///
/// # Errors
/// [`Error::WrongPassword`], [`Error::InvalidFactorCode`], [`Error::InvalidPasskey`]; [`Error::Busy`].
pub(super) async fn check<'a>(app: &'a App, ctx: &Ctx, user: &User, proof: &Proof, place: (Kind, Uuid)) -> Result<Checked<'a>> {
    match proof {
        Proof::Password(password) => {
            guesses::prove(app, ctx, user, password).await?;
            Ok(Checked { method: Method::Password, guess: None, spends: Spends::Nothing })
        }
        Proof::Totp(code) => {
            let guess = guesses::count_code(app, ctx, user).await?;
            let found = totp::step(app, user, code.expose_secret()).await?;
            match found.filter(|_| guess.counts()) {
                Some((id, step)) => Ok(Checked { method: Method::Totp, guess: Some(guess), spends: Spends::Step(id, step) }),
                None => Err(wrong(app, ctx, user).await?),
            }
        }
        Proof::RecoveryCode(code) => {
            let guess = guesses::count_code(app, ctx, user).await?;
            match read_recovery_code(code.expose_secret()).filter(|_| guess.counts()) {
                Some(code) => {
                    let hashes = factors::hashes(app, user.realm_id, user.id, &code);
                    Ok(Checked { method: Method::RecoveryCode, guess: Some(guess), spends: Spends::Code(hashes) })
                }
                None => Err(wrong(app, ctx, user).await?),
            }
        }
        Proof::Passkey { ceremony, answer } => {
            let (kind, bound_to) = place;
            let (passkey, asserted) = passkeys::judge(app, ctx, user, ceremony, answer, (kind, bound_to)).await?;
            Ok(Checked { method: Method::Passkey, guess: None, spends: Spends::Signature(passkey, asserted) })
        }
    }
}

/// A wrong code leaves an audit line.
async fn wrong(app: &App, ctx: &Ctx, user: &User) -> Result<Error> {
    let now = app.clock.now();
    store::audit::insert(&app.db.write, EventId::new(now, app.entropy.as_ref()), &ctx.event(Action::FactorFailed, Some(user.id)), now).await?;
    Ok(Error::InvalidFactorCode)
}

impl Checked<'_> {
    /// Spends what is good once, and takes the guess back. Whoever comes second gets the error of a wrong proof.
    ///
    /// # Errors
    /// [`Error::InvalidFactorCode`], [`Error::InvalidPasskey`].
    pub(super) async fn spend(&self, app: &App, tx: &Transaction, ctx: &Ctx, user: &User, batch: &mut Batch) -> Result<()> {
        let (realm, now) = (user.realm_id, app.clock.now());
        match &self.spends {
            Spends::Nothing => {}
            Spends::Step(id, step) => {
                if !store::totp_secrets::use_step(tx, realm, *id, *step).await? {
                    return Err(Error::InvalidFactorCode);
                }
            }
            Spends::Code(hashes) => {
                if !store::recovery_codes::consume(tx, realm, user.id, hashes, now).await? {
                    return Err(Error::InvalidFactorCode);
                }
                store::audit::add(batch, EventId::new(now, app.entropy.as_ref()), &ctx.event(Action::RecoveryCodeUsed, Some(user.id)), now);
            }
            Spends::Signature(id, asserted) => {
                if !store::passkeys::use_if_newer(tx, realm, *id, asserted.sign_count, asserted.backed_up, now).await? {
                    return Err(Error::InvalidPasskey);
                }
            }
        }
        if let Some(guess) = &self.guess {
            guesses::add_forgiveness(app, ctx, batch, guess);
        }
        Ok(())
    }
}

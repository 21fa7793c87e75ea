//! The one throttle of every password door: sign-in, and wherever a person shows their password once more.
//!
//! A guess is counted before it is looked at, in a transaction of its own, so that neither a failed sign-in nor a crash
//! takes it back. A guess that may not be looked at is compared with nothing, at the price of one that is, and answered
//! like a wrong password: a stranger can't tell unknown, wrong and slowed down apart. Accounts that nobody has are counted
//! just the same. The operator's lock is another thing, see `users`.

use secrecy::SecretString;

use super::{Ctx, Principal, devices, sign_in_link};
use crate::{
    app::{App, turns::Turn},
    crypto::hash::sha256_hex,
    domain::{Error, Result, email::Email, guess::Place, id::UserId, user::User},
    store::{self, Connection, write_tx},
};

/// A guess that was counted.
pub(super) struct Guess<'a> {
    account: String,
    place: String,
    /// Held while it is looked at. Without it, it must not be.
    turn: Option<Turn<'a>>,
}

impl Guess<'_> {
    /// What the password may be compared with: nothing, if it may not be looked at.
    pub(super) fn may_see<'s>(&self, stored: Option<&'s str>) -> Option<&'s str> {
        stored.filter(|_| self.turn.is_some())
    }
}

/// What an account is counted by: its id, whatever name it was called by; else what was typed, in one spelling.
pub(super) fn account_key(user: Option<UserId>, typed: &str) -> String {
    let name = match user {
        Some(id) => format!("user {id}"),
        None => match Email::parse("email", typed) {
            Ok(email) => format!("name {}", email.as_str()),
            Err(_) => format!("name {}", typed.trim().to_lowercase()),
        },
    };
    sha256_hex(name.as_bytes())
}

/// Counts a guess at the password of `user`, or at that of whom `typed` names if there is no such user.
pub(super) async fn count<'a>(app: &'a App, ctx: &Ctx, user: Option<UserId>, typed: &str) -> Result<Guess<'a>> {
    let (realm, now) = (ctx.realm.id, app.clock.now());
    let account = account_key(user, typed);
    let device = devices::recognise(app, &app.db.read, ctx).await?;
    let device = device.zip(user).and_then(|(device, user)| device.belongs_to(user));
    let place = match (&ctx.principal, device) {
        (Principal::User(me), _) => Place::Session(me.session_id),
        (_, Some(device)) => Place::Device(device),
        (_, None) => Place::Network(ctx.client.ip),
    };
    let key = place.key();
    let turn = app.turns.take(format!("{realm} {account} {key}")).await;
    let may_look = write_tx!(&app.db, |tx| {
        if !store::password_guesses::admit(tx, realm, &account, &key, now).await? {
            return Ok(false);
        }
        if !place.is_known() && store::password_guesses::count_whole_if_room(tx, realm, &account, now).await? {
            return Ok(true);
        }
        if place.is_known() || store::password_guesses::is_welcome(tx, realm, &account, &key, now).await? {
            store::password_guesses::count_whole(tx, realm, &account, now).await?;
            return Ok(true);
        }
        store::password_guesses::unadmit(tx, realm, &account, &key).await?;
        sign_in_link::owe(app, tx, ctx, &account, typed).await?;
        Ok(false)
    })?;
    // The next one need not wait for a hash that compares nothing.
    Ok(Guess { account, place: key, turn: may_look.then_some(turn) })
}

/// Takes back what the guess's place counted: the password was right.
pub(super) async fn forgive(app: &App, db: &impl Connection, ctx: &Ctx, guess: &Guess<'_>) -> Result<()> {
    store::password_guesses::forgive(db, ctx.realm.id, &guess.account, &guess.place, app.clock.now()).await
}

/// The proof that the caller asks of a signed-in person before something grave: their password once more.
///
/// # Errors
/// [`Error::WrongPassword`] for a wrong one and for one too many, [`Error::Busy`].
pub(super) async fn prove(app: &App, ctx: &Ctx, user: &User, password: &SecretString) -> Result<()> {
    let stored = store::credentials::find_password(&app.db.read, ctx.realm.id, user.id).await?;
    let guess = count(app, ctx, Some(user.id), "").await?;
    let verdict = app.passwords.verify(password, guess.may_see(stored.as_deref())).await?;
    if !verdict.matches {
        return Err(Error::WrongPassword);
    }
    forgive(app, &app.db.write, ctx, &guess).await
}

//! The one throttle of every door that can be guessed at: sign-in, wherever a person shows their password once more, and the
//! codes of second factors, which are counted apart.
//!
//! A guess is counted before it is looked at, in a transaction of its own, so that neither a failed sign-in nor a crash
//! takes it back. A guess that may not be looked at is compared with nothing, at the price of one that is, and answered
//! like a wrong password: a stranger can't tell unknown, wrong and slowed down apart. Accounts that nobody has are counted
//! just the same. The operator's lock is another thing, see `users`.

use secrecy::SecretString;

use super::{
    Ctx, Principal,
    devices::{self, Recognised},
    sign_in_link,
};
use crate::{
    app::{App, cache::OwedGuess, turns::Turn},
    crypto::{hash::sha256_hex, password_pool::Verdict},
    domain::{Error, Result, email::Email, guess::Place, id::UserId, user::User},
    store::{
        self, Connection,
        batch::Batch,
        password_guesses::{Count, Counted},
        write_tx,
    },
};

/// A guess that was counted.
pub(super) struct Guess<'a> {
    account: String,
    place: String,
    /// Account and place in one word.
    key: String,
    /// The turn is held while it is looked at. Without it, it must not be.
    seen: Option<(Turn<'a>, Count)>,
    /// The device that it comes from, if that is one of the user's.
    pub(super) device: Option<Recognised>,
}

impl Guess<'_> {
    /// Whether it may be looked at. If not, it is wrong.
    pub(super) fn counts(&self) -> bool {
        self.seen.is_some()
    }

    /// Compares what was guessed with the stored hash; with nothing, at the same price, if the guess may not be looked at.
    ///
    /// # Errors
    /// [`Error::Busy`]; the guess was none then, and is taken back at the place's next one.
    pub(super) async fn compare(&self, app: &App, password: &SecretString, stored: Option<&str>) -> Result<Verdict> {
        let verdict = app.passwords.verify(password, stored.filter(|_| self.seen.is_some())).await;
        if verdict.is_err() && self.seen.is_some() {
            app.caches.owe_guess(self.key.clone(), OwedGuess::Unseen);
        }
        verdict
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

/// What the codes of an account's second factor are counted by: who guesses at them knows the password already.
pub(super) fn factor_key(user: UserId) -> String {
    sha256_hex(format!("factor {user}").as_bytes())
}

/// Counts a guess at the password of `user`, or at that of whom `typed` names if there is no such user.
pub(super) async fn count<'a>(app: &'a App, ctx: &Ctx, user: Option<UserId>, typed: &str) -> Result<Guess<'a>> {
    count_at(app, ctx, account_key(user, typed), user, typed).await
}

/// Counts a guess at a code of `user`'s second factor.
pub(super) async fn count_code<'a>(app: &'a App, ctx: &Ctx, user: &User) -> Result<Guess<'a>> {
    count_at(app, ctx, factor_key(user.id), Some(user.id), user.email.as_str()).await
}

async fn count_at<'a>(app: &'a App, ctx: &Ctx, account: String, user: Option<UserId>, typed: &str) -> Result<Guess<'a>> {
    let (realm, now) = (ctx.realm.id, app.clock.now());
    let device = devices::recognise(app, &app.db.read, ctx).await?.filter(|device| user.is_some_and(|user| device.belongs_to(user)));
    let place = match (&ctx.principal, &device) {
        (Principal::User(me), _) => Place::Session(me.session_id),
        (_, Some(device)) => Place::Device(device.id()),
        (_, None) => Place::Network(ctx.client.ip),
    };
    let key = place.key();
    let both = format!("{realm} {account} {key}");
    let turn = app.turns.take(both.clone()).await;
    settle(app, ctx, &account, &key, &both).await?;
    let counted = store::password_guesses::count(&app.db.write, realm, &account, &key, !place.is_known(), now).await;
    let counted = counted.inspect_err(|_| app.caches.owe_guess(both.clone(), OwedGuess::Unseen))?;
    let count = match counted {
        Counted { place: Some(count), whole: true } => Some(count),
        counted => beyond_the_limit(app, ctx, &account, &key, typed, counted).await?,
    };
    // The next one need not wait for a hash that compares nothing.
    Ok(Guess { account, place: key, key: both, seen: count.map(|count| (turn, count)), device })
}

/// Takes back what the database did not hear of when it was time to: else an ill database would slow down people whose
/// passwords are right.
async fn settle(app: &App, ctx: &Ctx, account: &str, place: &str, key: &str) -> Result<()> {
    let Some(owed) = app.caches.take_owed_guess(key) else { return Ok(()) };
    let (realm, now) = (ctx.realm.id, app.clock.now());
    let settled = match owed {
        OwedGuess::Unseen => {
            let counted = Counted { place: Some(Count { guesses: 1, welcome_until: None }), whole: true };
            store::password_guesses::uncount(&app.db.write, realm, account, place, counted, now).await
        }
        OwedGuess::Right(guesses, welcome_until) => {
            let mut batch = Batch::on(&app.db.write);
            store::password_guesses::add_forgiveness(&mut batch, realm, account, place, Count { guesses, welcome_until }, now);
            batch.run(&app.db.write).await
        }
    };
    settled.inspect_err(|_| app.caches.owe_guess(key.to_owned(), owed))
}

/// What becomes of a guess of a place that has to pause, or at an account that has had its limit.
async fn beyond_the_limit(app: &App, ctx: &Ctx, account: &str, place: &str, typed: &str, counted: Counted) -> Result<Option<Count>> {
    let (realm, now) = (ctx.realm.id, app.clock.now());
    let welcome = counted.place.filter(|count| count.welcome_until.is_some_and(|until| until > now));
    let count = write_tx!(&app.db, |tx| {
        if welcome.is_some() {
            store::password_guesses::count_whole(tx, realm, account, now).await?;
            return Ok(welcome);
        }
        store::password_guesses::uncount(tx, realm, account, place, counted, now).await?;
        if counted.place.is_some() {
            sign_in_link::owe(app, tx, ctx, account, typed).await?;
        }
        Ok(None)
    })?;
    if count.is_none() && counted.place.is_some() {
        app.jobs_due.notify_one();
    }
    Ok(count)
}

/// Takes back what the guess's place counted: the password was right. What can't be done now is done at the place's next
/// guess at this node.
pub(super) async fn forgive(app: &App, db: &impl Connection, ctx: &Ctx, guess: &Guess<'_>) -> Result<()> {
    let mut batch = Batch::on(db);
    add_forgiveness(app, ctx, &mut batch, guess);
    let forgiven = batch.run(db).await;
    if let (Err(_), Some((_, count))) = (&forgiven, &guess.seen) {
        app.caches.owe_guess(guess.key.clone(), OwedGuess::Right(count.guesses, count.welcome_until));
    }
    forgiven
}

/// The same, together with other writes.
pub(super) fn add_forgiveness(app: &App, ctx: &Ctx, batch: &mut Batch, guess: &Guess<'_>) {
    if let Some((_, count)) = &guess.seen {
        store::password_guesses::add_forgiveness(batch, ctx.realm.id, &guess.account, &guess.place, *count, app.clock.now());
    }
}

/// The proof that the caller asks of a signed-in person before something grave: their password once more.
///
/// # Errors
/// [`Error::WrongPassword`] for a wrong one and for one too many, [`Error::Busy`].
pub(super) async fn prove(app: &App, ctx: &Ctx, user: &User, password: &SecretString) -> Result<()> {
    let stored = store::credentials::find_password(&app.db.read, ctx.realm.id, user.id).await?;
    let guess = count(app, ctx, Some(user.id), "").await?;
    let verdict = guess.compare(app, password, stored.as_deref()).await?;
    if !verdict.matches {
        return Err(Error::WrongPassword);
    }
    forgive(app, &app.db.write, ctx, &guess).await
}

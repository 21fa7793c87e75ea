//! Signing in: what a password proves, and [`admit`], the one way in for whoever has proved themselves by anything.

use chrono::{DateTime, Utc};
use secrecy::SecretString;

use super::{
    Ctx,
    devices::{self, Here},
    factors, guesses, limits, mfa,
    sessions::{self, Begun, Carrier, Entrant, TokenPair},
};
use crate::{
    app::App,
    domain::{
        Error, Result,
        email::Email,
        event::Action,
        id::{EventId, RealmId, SessionId},
        limit::Rule,
        session::Session,
        token::OpaqueToken,
        user::{User, UserStatus},
    },
    store::{self, Connection, Transaction, batch::Batch, users::ForLogin, write_tx},
};

/// A person who is in with a program.
#[derive(Debug)]
pub struct LoggedIn {
    pub user: User,
    pub session: Session,
    pub tokens: TokenPair,
    /// What tells at the next sign-in that this device is known.
    pub device_token: String,
}

/// A person who is in with a browser, at our pages.
#[derive(Debug)]
pub struct LoggedInOnPages {
    pub session: Session,
    /// For the browser's cookie; [`super::page_session::find`] knows it again.
    pub cookie: OpaqueToken,
    /// For another cookie, which stays when this one goes: it tells at the next sign-in that this browser is known.
    pub device: OpaqueToken,
}

/// Checks address and password and begins a session that tokens carry.
///
/// Unknown address, wrong password and a user without password run one hash each and end in the same fact; that a user
/// is locked or unverified is told only to who knows the password. A guess too many ends there as well, see [`guesses`].
///
/// # Errors
/// [`Error::InvalidCredentials`], [`Error::EmailNotVerified`], [`Error::AccountLocked`], [`Error::FactorWanted`],
/// [`Error::EnrolmentWanted`], [`Error::RateLimited`], [`Error::Busy`].
pub async fn with_password(app: &App, ctx: &Ctx, email: &str, password: &SecretString) -> Result<LoggedIn> {
    let (user, begun) = enter(app, ctx, email, password, Carrier::Tokens).await?;
    with_tokens(app, ctx, user, begun).await
}

/// The same at our pages: a cookie carries the session. The session that the browser `had` ends.
///
/// # Errors
/// As [`with_password`].
pub async fn on_pages(app: &App, ctx: &Ctx, email: &str, password: &SecretString, had: Option<(RealmId, SessionId)>) -> Result<LoggedInOnPages> {
    let (_, begun) = enter(app, ctx, email, password, Carrier::Cookie { replaces: had }).await?;
    Ok(with_cookie(begun))
}

/// What a program gets of its new session.
pub(super) async fn with_tokens(app: &App, ctx: &Ctx, user: User, begun: Begun) -> Result<LoggedIn> {
    let tokens = sessions::issue(app, &ctx.realm, &begun.session, &begun.credential, begun.session.created_at).await?;
    Ok(LoggedIn { user, session: begun.session, tokens, device_token: begun.device.token.reveal() })
}

/// What a browser gets of its new session.
pub(super) fn with_cookie(begun: Begun) -> LoggedInOnPages {
    LoggedInOnPages { session: begun.session, cookie: begun.credential, device: begun.device.token }
}

/// What becomes of somebody who has proved who they are.
#[expect(clippy::large_enum_variant, reason = "there is one a sign-in, on its way out of a transaction")]
pub(super) enum Admission {
    /// They are in.
    In(Begun),
    /// They have to prove it by a second factor too, or to get one.
    Waiting(mfa::Wanted),
}

/// Reads what the sign-in of a `user` who proved themselves otherwise than by a password has to know of their device.
pub(super) async fn entrant<'a>(app: &App, db: &impl Connection, ctx: &Ctx, user: &'a User, amr: &'a str, carrier: Carrier) -> Result<Entrant<'a>> {
    let here = Here::of(ctx);
    let device = devices::recognise(app, db, ctx).await?.filter(|device| device.belongs_to(user.id));
    let places = store::devices::places(db, ctx.realm.id, user.id, &here.name, &here.network).await?;
    let factors = factors::asked_for(db, &ctx.realm, user.id).await?;
    Ok(Entrant { user, amr, carrier, device, here, places, factors })
}

/// Lets somebody in who has proved who they are, by whatever proof: session, device, notices, audit line. Every sign-in
/// comes through here, in the transaction that spends its proof; `batch` takes the writes that can wait, and the caller
/// runs it. [`settle`] does after the commit what remains.
///
/// # Errors
/// [`Error::InvalidCredentials`] if the user was locked or their credentials changed since they were read.
pub(super) async fn admit(app: &App, tx: &Transaction, ctx: &Ctx, batch: &mut Batch, entrant: Entrant<'_>, now: DateTime<Utc>) -> Result<Admission> {
    let user = entrant.user.id;
    if let Some(wanted) = mfa::wanted(app, ctx, batch, &entrant, now) {
        return Ok(Admission::Waiting(wanted));
    }
    let begun = sessions::begin(app, tx, ctx, batch, entrant, now).await?;
    store::audit::add(batch, EventId::new(now, app.entropy.as_ref()), &ctx.event(Action::UserLoggedIn, Some(user)), now);
    Ok(Admission::In(begun))
}

/// What [`admit`] owes to caches and worker after its transaction's commit. Whoever is not in is told why.
///
/// # Errors
/// [`Error::FactorWanted`], [`Error::EnrolmentWanted`].
pub(super) fn settle(app: &App, admission: Admission) -> Result<Begun> {
    let begun = match admission {
        Admission::In(begun) => begun,
        Admission::Waiting(wanted) => return Err(wanted.into()),
    };
    sessions::tell(app, begun.ended.iter().copied());
    if begun.owes_mail {
        app.jobs_due.notify_one();
    }
    Ok(begun)
}

async fn enter(app: &App, ctx: &Ctx, email: &str, password: &SecretString, carrier: Carrier) -> Result<(User, Begun)> {
    limits::stranger(app, ctx, Rule::SignIn).await?;
    let here = Here::of(ctx);
    // What is no address belongs to nobody: it costs a hash like every other unknown one.
    let found = match Email::parse("email", email) {
        Ok(email) => store::users::find_for_login(&app.db.read, ctx.realm.id, &email, &here.name, &here.network).await?,
        Err(_) => None,
    };
    let user = found.as_ref().map(|found| found.user.id);
    let mut guess = guesses::count(app, ctx, user, email).await?;
    let verdict = guess.compare(app, password, found.as_ref().and_then(|found| found.password.as_deref())).await?;
    let refused = match &found {
        Some(ForLogin { user, .. }) if verdict.matches => match (user.status, user.email_verified_at) {
            (UserStatus::Locked, _) => Some(Error::AccountLocked),
            (UserStatus::Active, None) => Some(Error::EmailNotVerified),
            (UserStatus::Active, Some(_)) => None,
        },
        _ => Some(Error::InvalidCredentials),
    };
    if let Some(error) = refused {
        let mut batch = Batch::on(&app.db.write);
        if verdict.matches {
            guesses::add_forgiveness(app, ctx, &mut batch, &guess);
        }
        let now = app.clock.now();
        store::audit::add(&mut batch, EventId::new(now, app.entropy.as_ref()), &ctx.event(Action::LoginFailed, user), now);
        batch.run(&app.db.write).await?;
        return Err(error);
    }
    let Some(ForLogin { user, password: Some(old_hash), places, factors }) = found else { return Err(Error::InvalidCredentials) };
    let rehashed = if verdict.needs_rehash { Some(app.passwords.hash(password, app.entropy.as_ref()).await?) } else { None };
    let now = app.clock.now();
    let device = guess.device.take();
    let admission = write_tx!(&app.db, |tx| {
        let mut batch = Batch::on(tx);
        let entrant = Entrant { user: &user, amr: "pwd", carrier, device: device.clone(), here: here.clone(), places, factors };
        let admission = admit(app, tx, ctx, &mut batch, entrant, now).await?;
        guesses::add_forgiveness(app, ctx, &mut batch, &guess);
        batch.run(tx).await?;
        if let Some(new_hash) = &rehashed {
            // If the password changed meanwhile, the guard leaves the newer one alone.
            store::credentials::replace_password_if(tx, ctx.realm.id, user.id, &old_hash, new_hash, now).await?;
        }
        Ok(admission)
    });
    match admission {
        Ok(admission) => Ok((user, settle(app, admission)?)),
        Err(error) => {
            // Something changed meanwhile, or the database is ill; the password was right all the same. If even this fails,
            // it is done at the next guess, and the first fault is still the one to tell.
            let _ = guesses::forgive(app, &app.db.write.brief(), ctx, &guess).await;
            Err(error)
        }
    }
}

//! Doors of dialects that know a password and nothing else: no second factor, no device, no session.
//!
//! They count guesses as every other door does, and say less: whoever is not let in learns nothing of why.

use secrecy::SecretString;

use super::{Ctx, devices::Here, factors, guesses, limits};
use crate::{
    app::App,
    domain::{
        Error, Result,
        email::Email,
        event::Action,
        id::EventId,
        limit::Rule,
        user::{User, UserStatus},
    },
    store::{self, users::ForLogin},
};

/// Whether `user` may come in by what they know alone: the one place that turns away whoever has a second factor, which
/// these dialects can't ask for.
pub(super) async fn suffices(app: &App, ctx: &Ctx, user: &User) -> Result<bool> {
    Ok(!factors::has_factor(app, &ctx.realm, user.id).await?)
}

/// The active person with a verified address whose password this is.
///
/// # Errors
/// [`Error::InvalidCredentials`] for everybody else, at the same price; [`Error::RateLimited`], [`Error::Busy`].
pub(super) async fn by_email(app: &App, ctx: &Ctx, email: &str, password: &SecretString) -> Result<User> {
    limits::stranger(app, ctx, Rule::SignIn).await?;
    let here = Here::of(ctx);
    let found = match Email::parse("email", email) {
        Ok(email) => store::users::find_for_login(&app.db.read, ctx.realm.id, &email, &here.name, &here.network).await?,
        Err(_) => None,
    };
    let user = found.as_ref().map(|found| found.user.id);
    let guess = guesses::count(app, ctx, user, email).await?;
    let verdict = guess.compare(app, password, found.as_ref().and_then(|found| found.password.as_deref())).await?;
    if verdict.matches {
        guesses::forgive(app, &app.db.write, ctx, &guess).await?;
    }
    let admitted = match &found {
        Some(ForLogin { user, .. }) => {
            verdict.matches && user.status == UserStatus::Active && user.email_verified_at.is_some() && suffices(app, ctx, user).await?
        }
        None => false,
    };
    let now = app.clock.now();
    let Some(ForLogin { user, password: Some(old), .. }) = found.filter(|_| admitted) else {
        store::audit::insert(&app.db.write, EventId::new(now, app.entropy.as_ref()), &ctx.event(Action::LoginFailed, user), now).await?;
        return Err(Error::InvalidCredentials);
    };
    if verdict.needs_rehash {
        let new = app.passwords.hash(password, app.entropy.as_ref()).await?;
        // If the password changed meanwhile, the guard leaves the newer one alone.
        store::credentials::replace_password_if(&app.db.write, ctx.realm.id, user.id, &old, &new, now).await?;
    }
    Ok(user)
}

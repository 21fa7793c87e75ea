//! Changing a password that one knows, or setting a first one.

use secrecy::SecretString;

use super::{Ctx, password_reset, sessions, step_up};
use crate::{
    app::App,
    domain::{Error, Result, event::Action, id::EventId, session::EndReason},
    store::{self, write_tx},
};

/// Replaces the caller's password. The session that asks goes on; every other one ends.
///
/// # Errors
/// [`Error::WrongPassword`] if `current` is wrong, [`Error::StepUpRequired`] without it, [`Error::Invalid`] on `newPassword`.
pub async fn change(app: &App, ctx: &Ctx, current: Option<&SecretString>, new: SecretString) -> Result<()> {
    let me = ctx.signed_in()?;
    let realm = ctx.realm.id;
    let user = step_up::by_password_or_lately(app, ctx, current).await?;
    let new = password_reset::check(ctx, &user, "newPassword", new)?;
    let hash = app.passwords.hash(new.secret(), app.entropy.as_ref()).await?;
    let now = app.clock.now();
    let ended = write_tx!(&app.db, |tx| {
        // The proof was of the password that stood when `user` was read; if that changed meanwhile, it proves nothing.
        let ended = password_reset::replace(app, tx, ctx, &user, &hash, Some(me.session_id)).await?.ok_or(Error::WrongPassword)?;
        store::audit::insert(tx, EventId::new(now, app.entropy.as_ref()), &ctx.event(Action::PasswordChanged, Some(user.id)), now).await?;
        Ok(ended)
    })?;
    app.caches.forget_user(realm, user.id);
    sessions::tell(app, ended.into_iter().map(|id| (id, EndReason::PasswordChanged)));
    app.jobs_due.notify_one();
    Ok(())
}

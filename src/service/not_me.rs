//! "This wasn't me": the link in the notice of a sign-in from a new device. Whoever signed in knows the password or has the
//! mailbox's links, so that everything goes that they may hold, and a mail asks for a new password.

use super::{Ctx, factors, one_time, sessions, token_guesses, verification};
use crate::{
    app::App,
    domain::{Error, Result, event::Action, id::EventId, session::EndReason, token::Purpose, user::UserStatus},
    store::{self, revocations::RevocationKind, write_tx},
};

/// Takes the notice's token: ends every session, makes password and known devices worthless, takes away what second
/// factors were added since that sign-in, and mails a link to a new password.
///
/// # Errors
/// [`Error::InvalidOneTimeToken`]; [`Error::RateLimited`] for too many wrong tokens from one network.
pub async fn disown(app: &App, ctx: &Ctx, token: &str) -> Result<()> {
    token_guesses::watched(app, ctx, Box::pin(end(app, ctx, token))).await
}

async fn end(app: &App, ctx: &Ctx, token: &str) -> Result<()> {
    let realm = ctx.realm.id;
    let (id, hash) = one_time::read(token)?;
    let now = app.clock.now();
    let (user, ended) = write_tx!(&app.db, |tx| {
        let token = store::one_time_tokens::consume(tx, realm, Purpose::NotMe, id, &hash, now).await?.ok_or(Error::InvalidOneTimeToken)?;
        let user = store::users::find(tx, realm, token.user_id).await?.ok_or(Error::InvalidOneTimeToken)?;
        if user.email != token.email || user.status != UserStatus::Active {
            return Err(Error::InvalidOneTimeToken);
        }
        // The user was read in this transaction; if another one got in between, a repetition reads them anew.
        if !store::users::bump_version_if(tx, realm, user.id, user.version, now).await? {
            return Err(Error::Conflict("the user changed meanwhile".into()));
        }
        store::credentials::delete_all(tx, realm, user.id).await?;
        store::devices::forget_all(tx, realm, user.id, now).await?;
        // The token is as old as the sign-in that it disowns.
        factors::forget_since(tx, realm, user.id, token.created_at).await?;
        store::factor_challenges::kill_all(tx, realm, user.id, now).await?;
        store::one_time_tokens::kill_others(tx, realm, user.id, None, None, now).await?;
        let ended = sessions::end_all(tx, realm, user.id, None, EndReason::Revoked, now).await?;
        store::revocations::insert(tx, realm, RevocationKind::User, user.id.0, "changed", now).await?;
        verification::owe_mail(app, tx, ctx, user.email.clone(), Purpose::ResetPassword).await?;
        store::audit::insert(tx, EventId::new(now, app.entropy.as_ref()), &ctx.event(Action::SignInDisowned, Some(user.id)), now).await?;
        Ok((user.id, ended))
    })?;
    app.caches.forget_user(realm, user);
    app.bell.ring();
    sessions::tell(app, ended.into_iter().map(|id| (id, EndReason::Revoked)));
    app.jobs_due.notify_one();
    Ok(())
}

//! Signing in with a passkey alone: the authenticator has checked its person, so that possession and knowledge are both
//! proved, and no second factor is asked for.

use serde_json::Value;

use super::{
    Ctx, limits,
    login::{self, LoggedIn, LoggedInOnPages},
    passkeys,
    sessions::{Begun, Carrier},
};
use crate::{
    app::App,
    domain::{
        Error, Result,
        factor::{Method, MfaPolicy, amr_with},
        id::{RealmId, SessionId},
        limit::Rule,
        user::User,
    },
    store::{self, batch::Batch, write_tx},
};

/// Signs in whoever's passkey answered [`passkeys::ask_anybody`]; tokens carry the session.
///
/// # Errors
/// [`Error::InvalidPasskey`] for every answer that proves nothing here, [`Error::AccountLocked`], [`Error::EmailNotVerified`],
/// [`Error::FactorsOff`], [`Error::RateLimited`].
pub async fn with_passkey(app: &App, ctx: &Ctx, ceremony: &str, answer: &Value) -> Result<LoggedIn> {
    let (user, begun) = enter(app, ctx, ceremony, answer, Carrier::Tokens).await?;
    login::with_tokens(app, ctx, user, begun).await
}

/// The same at our pages. The session that the browser `had` ends.
///
/// # Errors
/// As [`with_passkey`].
pub async fn with_passkey_on_pages(app: &App, ctx: &Ctx, ceremony: &str, answer: &Value, had: Option<(RealmId, SessionId)>) -> Result<LoggedInOnPages> {
    let (_, begun) = enter(app, ctx, ceremony, answer, Carrier::Cookie { replaces: had }).await?;
    Ok(login::with_cookie(begun))
}

async fn enter(app: &App, ctx: &Ctx, ceremony: &str, answer: &Value, carrier: Carrier) -> Result<(User, Begun)> {
    limits::stranger(app, ctx, Rule::SignIn).await?;
    if ctx.realm.settings.mfa == MfaPolicy::Off {
        return Err(Error::FactorsOff);
    }
    let (user, key, asserted) = passkeys::identify(app, ctx, ceremony, answer).await?;
    let amr = amr_with("", Method::Passkey);
    let entrant = login::entrant(app, &app.db.read, ctx, &user, &amr, carrier).await?;
    let now = app.clock.now();
    let admission = write_tx!(&app.db, |tx| {
        if !store::passkeys::use_if_newer(tx, ctx.realm.id, key, asserted.sign_count, asserted.backed_up, now).await? {
            return Err(Error::InvalidPasskey);
        }
        let mut batch = Batch::on(tx);
        let admission = login::admit(app, tx, ctx, &mut batch, entrant.clone(), now).await?;
        batch.run(tx).await?;
        Ok(admission)
    })?;
    Ok((user, login::settle(app, admission)?))
}

//! Signing in by a mailed link, in realms that want that. The link speaks for whoever follows it, so that its life is short,
//! it is good once, and a second factor is asked for all the same.

use super::{
    Ctx,
    login::{self, LoggedIn, LoggedInOnPages},
    one_time,
    sessions::{Begun, Carrier},
    token_guesses, verification,
};
use crate::{
    app::App,
    domain::{
        Error, Result,
        id::{RealmId, SessionId},
        token::Purpose,
        user::{User, UserStatus},
    },
    store::{self, batch::Batch, write_tx},
};

/// How a session is called that began with a mailed link. RFC 8176 has no word for that.
const AMR: &str = "email";

fn offered(ctx: &Ctx) -> Result<()> {
    if ctx.realm.settings.magic_link { Ok(()) } else { Err(Error::NotFound) }
}

/// Asks for a link. Says and does the same for every address: one row, one job; the worker looks the person up.
///
/// # Errors
/// [`Error::NotFound`] in a realm without such links, [`Error::Invalid`] for what is no address.
pub async fn request(app: &App, ctx: &Ctx, email: &str) -> Result<()> {
    offered(ctx)?;
    verification::request_mail(app, ctx, email, Purpose::MagicLink, None).await
}

/// Signs in with a link's token; tokens carry the session.
///
/// # Errors
/// [`Error::InvalidOneTimeToken`] for any token that is not live here, whatever the cause; [`Error::FactorWanted`] and
/// [`Error::EnrolmentWanted`], the token being spent then; [`Error::RateLimited`] for too many wrong ones from one network.
pub async fn follow(app: &App, ctx: &Ctx, token: &str) -> Result<LoggedIn> {
    let (user, begun) = enter(app, ctx, token, Carrier::Tokens).await?;
    login::with_tokens(app, ctx, user, begun).await
}

/// The same at our pages. The session that the browser `had` ends.
///
/// # Errors
/// As [`follow`].
pub async fn follow_on_pages(app: &App, ctx: &Ctx, token: &str, had: Option<(RealmId, SessionId)>) -> Result<LoggedInOnPages> {
    let (_, begun) = enter(app, ctx, token, Carrier::Cookie { replaces: had }).await?;
    Ok(login::with_cookie(begun))
}

async fn enter(app: &App, ctx: &Ctx, token: &str, carrier: Carrier) -> Result<(User, Begun)> {
    offered(ctx)?;
    token_guesses::watched(app, ctx, Box::pin(spend(app, ctx, token, carrier))).await
}

async fn spend(app: &App, ctx: &Ctx, token: &str, carrier: Carrier) -> Result<(User, Begun)> {
    let (id, hash) = one_time::read(token)?;
    let (realm, now) = (ctx.realm.id, app.clock.now());
    let (user, admission) = write_tx!(&app.db, |tx| {
        let token = store::one_time_tokens::consume(tx, realm, Purpose::MagicLink, id, &hash, now).await?.ok_or(Error::InvalidOneTimeToken)?;
        let user = store::users::find(tx, realm, token.user_id).await?.ok_or(Error::InvalidOneTimeToken)?;
        if user.email != token.email || user.status != UserStatus::Active || user.email_verified_at.is_none() {
            return Err(Error::InvalidOneTimeToken);
        }
        let mut batch = Batch::on(tx);
        let entrant = login::entrant(app, tx, ctx, &user, AMR, carrier).await?;
        let admission = login::admit(app, tx, ctx, &mut batch, entrant, now).await?;
        batch.run(tx).await?;
        Ok((user, admission))
    })?;
    Ok((user, login::settle(app, admission)?))
}

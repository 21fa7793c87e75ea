//! The mailed link that lets an unknown device sign in while strangers guess at the account's password.
//!
//! Following it makes the browser that does so a known device and its address welcome for an hour; the password is asked
//! for all the same. It speaks for whoever follows it, never for whoever caused the mail: a link that came unasked does no
//! harm when it is clicked.

use chrono::TimeDelta;

use super::{
    Ctx,
    devices::{self, Here},
    guesses, one_time, token_guesses, verification,
};
use crate::{
    app::App,
    domain::{
        Error, Result,
        email::Email,
        event::Action,
        guess::Place,
        id::EventId,
        token::{OpaqueToken, Purpose},
        user::UserStatus,
    },
    store::{self, Transaction, batch::Batch, write_tx},
};

/// How long an address is welcome after a link was followed there.
const WELCOME: TimeDelta = TimeDelta::hours(1);
/// One mail in so long: half the life of a link, so that a good one is always in the mailbox.
const MAIL_EVERY: TimeDelta = TimeDelta::minutes(30);

/// Owes the mail, for accounts that nobody has as well; the worker looks up whether there is somebody to get it.
pub(super) async fn owe(app: &App, tx: &Transaction, ctx: &Ctx, account: &str, typed: &str) -> Result<()> {
    let Ok(email) = Email::parse("email", typed) else { return Ok(()) };
    let key = format!("sign_in_link:{account}");
    if store::primitive::reserve(tx, ctx.realm.id, &key, 1, MAIL_EVERY, app.clock.now()).await?.is_reserved() {
        verification::owe_mail(app, tx, ctx, email, Purpose::UnlockSignIn).await?;
    }
    Ok(())
}

/// Consumes the link's token and answers a device token for whoever followed it.
///
/// # Errors
/// [`Error::InvalidOneTimeToken`] for any token that is not live here, whatever the cause; [`Error::RateLimited`] for too
/// many of them from one network.
pub async fn follow(app: &App, ctx: &Ctx, token: &str) -> Result<OpaqueToken> {
    token_guesses::watched(app, ctx, consume(app, ctx, token)).await
}

async fn consume(app: &App, ctx: &Ctx, token: &str) -> Result<OpaqueToken> {
    let (id, hash) = one_time::read(token)?;
    let (realm, now) = (ctx.realm.id, app.clock.now());
    write_tx!(&app.db, |tx| {
        let token = store::one_time_tokens::consume(tx, realm, Purpose::UnlockSignIn, id, &hash, now).await?.ok_or(Error::InvalidOneTimeToken)?;
        let user = store::users::find(tx, realm, token.user_id).await?.ok_or(Error::InvalidOneTimeToken)?;
        if user.email != token.email || user.status != UserStatus::Active {
            return Err(Error::InvalidOneTimeToken);
        }
        let place = Place::Network(ctx.client.ip).key();
        // Whether it was the password or a code that strangers guess at, the link is the same.
        for account in [guesses::account_key(Some(user.id), ""), guesses::factor_key(user.id)] {
            store::password_guesses::welcome(tx, realm, &account, &place, now + WELCOME, now).await?;
        }
        store::audit::insert(tx, EventId::new(now, app.entropy.as_ref()), &ctx.event(Action::SignInUnlocked, Some(user.id)), now).await?;
        let recognised = devices::recognise(app, tx, ctx).await?.filter(|device| device.belongs_to(user.id));
        let here = Here::of(ctx);
        let places = store::devices::places(tx, realm, user.id, &here.name, &here.network).await?;
        let mut batch = Batch::on(tx);
        let device = devices::remember(app, &mut batch, &user, recognised, (here, places), now);
        batch.run(tx).await?;
        Ok(device.token)
    })
}

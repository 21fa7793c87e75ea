//! Proving once more who one is, before what can't be taken back.

use secrecy::SecretString;

use super::{Ctx, guesses};
use crate::{
    app::App,
    domain::{Error, Result, user::User},
    store,
};

/// The caller, who knows their password. What follows must guard the version of the user that is answered: the proof was
/// of the password that stood when they were read.
///
/// # Errors
/// [`Error::MissingCredential`] without a session, [`Error::WrongPassword`] for a wrong one and for one too many, [`Error::Busy`].
pub(super) async fn by_password(app: &App, ctx: &Ctx, password: &SecretString) -> Result<User> {
    let me = ctx.signed_in()?;
    let user = store::users::find(&app.db.read, ctx.realm.id, me.user_id).await?.ok_or(Error::NotFound)?;
    guesses::prove(app, ctx, &user, password).await?;
    Ok(user)
}

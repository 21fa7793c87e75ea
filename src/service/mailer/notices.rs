//! Notices: word of what happened to a person's account, which they can't turn off.

use chrono::DateTime;

use super::{Due, Owed, forgot_link, link, moment, with_user};
use crate::{
    app::App,
    domain::{
        Result,
        id::{AccountId, ApiKeyId, OneTimeTokenId, SessionId, UserId},
        realm::Realm,
        session::Session,
        token::Purpose,
        user::User,
    },
    mail::Message,
    service::one_time,
    store::{self, write_tx},
};

/// A notice about one session; of one that is gone, and of a person who is, there is nothing left to say.
pub(super) async fn about_session(
    app: &App,
    realm: &Realm,
    user: UserId,
    session: SessionId,
    message: impl FnOnce(String, String, Session, Option<String>) -> Message,
) -> Result<Due> {
    let Some(session) = store::sessions::find(&app.db.read, realm.id, session).await? else { return Ok(None) };
    with_user(app, realm, user, |user| message(user.name.clone(), realm.display_name().to_owned(), session, forgot_link(app, realm))).await
}

/// Word of a sign-in from elsewhere, with a link that disowns it. The link is as old as the sign-in: what was added since is
/// not its person's.
pub(super) async fn new_device(app: &App, realm: &Realm, owed: Owed, user: UserId, session: SessionId) -> Result<Due> {
    let Some(session) = store::sessions::find(&app.db.read, realm.id, session).await? else { return Ok(None) };
    let Some(user) = store::users::find(&app.db.read, realm.id, user).await? else { return Ok(None) };
    let id = OneTimeTokenId(owed.id.0);
    let token = one_time::mint(app, id, realm, user.id, Purpose::NotMe, &user.email, session.created_at)?;
    let token = write_tx!(&app.db, |tx| {
        if let Some(found) = store::one_time_tokens::find(tx, realm.id, Purpose::NotMe, id).await? {
            return Ok(found);
        }
        store::one_time_tokens::insert_if_absent(tx, &token).await?;
        Ok(token.clone())
    })?;
    let message = Message::NewDevice {
        name: user.name.clone(),
        realm: realm.display_name().to_owned(),
        at: moment(session.created_at),
        device: session.device,
        ip: session.ip,
        link: link(app, realm, "not-me", &one_time::reveal(app, &token)?),
    };
    Ok(Some((user, message)))
}

pub(super) fn account_exists(app: &App, realm: &Realm, user: &User) -> Message {
    let (name, realm_name) = (user.name.clone(), realm.display_name().to_owned());
    Message::AccountExists { name, realm: realm_name, sign_in_link: None, forgot_link: forgot_link(app, realm) }
}

pub(super) fn password_changed(app: &App, realm: &Realm, user: &User) -> Message {
    let at = moment(user.updated_at);
    let (name, realm_name) = (user.name.clone(), realm.display_name().to_owned());
    Message::PasswordChanged { name, realm: realm_name, at, ip: None, forgot_link: forgot_link(app, realm) }
}

/// Word to an owner of an account whose key was found by a stranger.
pub(super) async fn key_leaked(app: &App, realm: &Realm, user: UserId, (account, key): (AccountId, ApiKeyId)) -> Result<Due> {
    let Some(key) = store::api_keys::find(&app.db.read, account, key).await? else { return Ok(None) };
    let account = store::accounts::find(&app.db.read, account).await?.map_or_else(String::new, |account| account.name);
    with_user(app, realm, user, |user| Message::ApiKeyLeaked {
        name: user.name.clone(),
        realm: realm.display_name().to_owned(),
        account,
        at: moment(key.revoked_at.unwrap_or(key.created_at)),
        key: key.settings.name,
        prefix: key.prefix,
        last4: key.last4,
    })
    .await
}

/// Word of a second factor that was added or taken away.
pub(super) async fn factor_changed(app: &App, realm: &Realm, owed: Owed, user: UserId, (method, added): (&str, bool)) -> Result<Due> {
    // The job is as old as the change, and its id tells its age.
    let seconds = owed.id.0.get_timestamp().map_or(0, |at| at.to_unix().0);
    let at = DateTime::from_timestamp(i64::try_from(seconds).unwrap_or_default(), 0).unwrap_or_default();
    with_user(app, realm, user, |user| Message::FactorChanged {
        name: user.name.clone(),
        realm: realm.display_name().to_owned(),
        method: method.to_owned(),
        added,
        at: moment(at),
        forgot_link: forgot_link(app, realm),
    })
    .await
}

/// A notice about a place in an account.
pub(super) async fn about_account(
    app: &App,
    realm: &Realm,
    user: UserId,
    account: AccountId,
    message: impl FnOnce(String, String, String) -> Message,
) -> Result<Due> {
    let Some(account) = store::accounts::find(&app.db.read, account).await? else { return Ok(None) };
    with_user(app, realm, user, |user| message(user.name.clone(), realm.display_name().to_owned(), account.name)).await
}

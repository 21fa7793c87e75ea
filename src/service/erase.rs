//! Erasing a person. What is left is the audit trail, which knows them by an id that leads nowhere any more.

use chrono::{DateTime, Utc};
use secrecy::SecretString;

use super::{Ctx, sessions, step_up};
use crate::{
    app::App,
    domain::{
        Error, Result,
        event::Action,
        id::{AccountId, EventId, SessionId},
        session::EndReason,
        user::{Membership, User},
    },
    store::{self, Transaction, revocations::RevocationKind, write_tx},
};

/// Erases the caller: sessions, tokens, credentials, places, devices and profile, at once and for good. An account that
/// nobody else is in is closed with its owner.
///
/// # Errors
/// [`Error::WrongPassword`]; [`Error::StepUpRequired`] without a password; [`Error::LastOwner`] while an account with other members, realms or accounts of its own would
/// be left without an owner.
pub async fn erase(app: &App, ctx: &Ctx, password: Option<&SecretString>) -> Result<()> {
    ctx.signed_in()?;
    let user = step_up::by_password_or_lately(app, ctx, password).await?;
    let now = app.clock.now();
    let gone = write_tx!(&app.db, |tx| {
        if !store::users::touch_if_active(tx, ctx.realm.id, user.id, user.version).await? {
            return Err(Error::WrongPassword);
        }
        store::invitations::delete_of(tx, ctx.realm.id, &user.email).await?;
        remove(app, tx, ctx, &user, now).await
    })?;
    gone.tell(app);
    Ok(())
}

/// What went with a person, for the caches to hear of after the commit.
#[must_use]
pub(super) struct Gone {
    user: User,
    sessions: Vec<SessionId>,
    accounts: Vec<AccountId>,
}

impl Gone {
    /// Tells this node and rings for the others.
    pub(super) fn tell(self, app: &App) {
        app.caches.forget_user(self.user.realm_id, self.user.id);
        for account in self.accounts {
            app.caches.forget_account(account);
        }
        sessions::tell(app, self.sessions.into_iter().map(|id| (id, EndReason::UserDisabled)));
        app.bell.ring();
    }
}

/// Removes a person inside a transaction, and closes the accounts that nobody else is in.
pub(super) async fn remove(app: &App, tx: &Transaction, ctx: &Ctx, user: &User, now: DateTime<Utc>) -> Result<Gone> {
    let realm = user.realm_id;
    let mut accounts = Vec::new();
    let mut places = store::memberships::list_for_user(tx, realm, user.id).await?;
    // In one order, so that two who go at once don't wait for each other; each is held until the commit, so that they
    // count each other.
    places.sort_by_key(|place| place.account_id);
    for Membership { account_id, .. } in places {
        store::accounts::hold(tx, account_id).await?;
        if store::memberships::delete(tx, account_id, user.id).await? {
            store::invitations::revoke_made_by(tx, account_id, user.id, now).await?;
            continue;
        }
        if !store::accounts::close_if_unused(tx, account_id, user.id, now).await? {
            return Err(Error::LastOwner);
        }
        // Its keys may do nothing any more.
        store::revocations::insert(tx, realm, RevocationKind::Account, account_id.0, "closed", now).await?;
        accounts.push(account_id);
    }
    let sessions = sessions::end_all(tx, realm, user.id, None, EndReason::UserDisabled, now).await?;
    for address in store::one_time_tokens::addresses(tx, realm, user.id).await? {
        // The development mailbox; one that is another's by now keeps what is theirs.
        if address == user.email || store::users::find_by_email(tx, realm, &address).await?.is_none() {
            store::mailbox::delete_of(tx, realm, &address).await?;
        }
    }
    // Sessions, refresh tokens, mailed tokens, credentials, places and devices go with the row.
    store::users::delete(tx, realm, user.id).await?;
    store::mail_requests::delete_of(tx, realm, &user.email).await?;
    store::mailbox::delete_of(tx, realm, &user.email).await?;
    store::revocations::insert(tx, realm, RevocationKind::User, user.id.0, "erased", now).await?;
    let event = crate::domain::event::Event { ip: String::new(), ..ctx.event(Action::UserErased, Some(user.id)) };
    store::audit::insert(tx, EventId::new(now, app.entropy.as_ref()), &event, now).await?;
    store::audit::forget_addresses_of(tx, realm, user.id).await?;
    Ok(Gone { user: user.clone(), sessions, accounts })
}

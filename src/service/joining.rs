//! Taking up an invitation: signed in, with the address that was invited, or as a new person of the realm.
//!
//! The mailed link proves the address, so that a newcomer needs no further mail and a realm that takes no strangers takes
//! them. Only who shows a good link learns whether its address has a user. Looking uses nothing up.

use secrecy::SecretString;

use super::{
    Ctx, Principal, limits, one_time,
    registration::{self, Checked, SignUp},
    sessions, token_guesses,
};
use crate::{
    app::App,
    domain::{
        Error, Result,
        account::Account,
        email::Email,
        event::Action,
        id::{EventId, InvitationId, SessionId, UserId},
        invitation::Invitation,
        limit::Rule,
        session::EndReason,
        user::Role,
    },
    store::{self, Connection, Transaction, revocations::RevocationKind, users::NewUser, write_tx},
};

/// A place that was taken.
#[derive(Clone, Debug)]
pub struct Joined {
    pub account: Account,
    pub role: Role,
    pub email: Email,
}

/// A new person.
#[derive(Debug)]
pub struct Newcomer {
    pub name: String,
    pub password: SecretString,
}

/// What a good link can do for whoever shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invitee {
    /// Signed in with the address: [`accept`].
    Here,
    /// Signed in with another address.
    SomebodyElse,
    /// Has a user, is not signed in.
    Known,
    /// Has none: [`sign_up`].
    New,
}

/// An invitation, as its page shows it.
#[derive(Clone, Debug)]
pub struct Sight {
    pub account: String,
    pub role: Role,
    pub email: Email,
    pub invitee: Invitee,
}

/// What a link invites to; changes nothing.
///
/// # Errors
/// [`Error::InvalidOneTimeToken`] for any token that is not live here, whatever the cause.
pub async fn look(app: &App, ctx: &Ctx, token: &str) -> Result<Sight> {
    let (id, hash) = one_time::read_invitation(token)?;
    let db = &app.db.read;
    let invitation = live(app, db, ctx, id, &hash).await?;
    let account = store::accounts::find(db, invitation.account_id).await?.ok_or(Error::InvalidOneTimeToken)?;
    let user = store::users::find_by_email(db, ctx.realm.id, &invitation.email).await?;
    let invitee = match (&ctx.principal, user) {
        (Principal::User(me), Some(user)) if user.id == me.user_id => Invitee::Here,
        (Principal::User(_), _) => Invitee::SomebodyElse,
        (_, Some(user)) if user.email_verified_at.is_some() => Invitee::Known,
        _ => Invitee::New,
    };
    Ok(Sight { account: account.name, role: invitation.role, email: invitation.email, invitee })
}

/// Takes the place for the signed-in caller. Whoever has one in the account already keeps it as it is.
///
/// # Errors
/// [`Error::InvalidOneTimeToken`] for any token that is not live here, [`Error::NotInvited`] for another address,
/// [`Error::AccountDisabled`], [`Error::PlanLimit`] if the plan was lowered meanwhile, [`Error::RateLimited`].
pub async fn accept(app: &App, ctx: &Ctx, token: &str) -> Result<Joined> {
    let me = ctx.signed_in()?.user_id;
    limits::stranger(app, ctx, Rule::MailedToken).await?;
    token_guesses::watched(app, ctx, async {
        let (id, hash) = one_time::read_invitation(token)?;
        let joined = write_tx!(&app.db, |tx| {
            let invitation = live(app, tx, ctx, id, &hash).await?;
            let user = store::users::find(tx, ctx.realm.id, me).await?.ok_or(Error::NotInvited)?;
            if user.email != invitation.email || user.email_verified_at.is_none() {
                return Err(Error::NotInvited);
            }
            join(app, tx, ctx, invitation, &hash, me).await
        })?;
        tell(app, ctx, me);
        Ok(joined)
    })
    .await
}

/// Makes a user of the invited address, with the place. They have no account of their own, unlike who signs up by
/// themselves at the root realm.
///
/// # Errors
/// [`Error::InvalidOneTimeToken`] for any token that is not live here, [`Error::InviteeExists`] if somebody has proved the
/// address, [`Error::Invalid`] naming each bad field, [`Error::AccountDisabled`], [`Error::PlanLimit`], [`Error::RateLimited`],
/// [`Error::Busy`] under load.
pub async fn sign_up(app: &App, ctx: &Ctx, token: &str, newcomer: Newcomer) -> Result<Joined> {
    limits::stranger(app, ctx, Rule::MailedToken).await?;
    token_guesses::watched(app, ctx, become_user(app, ctx, token, newcomer)).await
}

async fn become_user(app: &App, ctx: &Ctx, token: &str, newcomer: Newcomer) -> Result<Joined> {
    let (id, hash) = one_time::read_invitation(token)?;
    let realm = ctx.realm.id;
    // A read-only look first: hashing is dear, and strangers with made-up tokens shall not cause it.
    let found = live(app, &app.db.read, ctx, id, &hash).await?;
    if let Some(user) = store::users::find_by_email(&app.db.read, realm, &found.email).await?
        && user.email_verified_at.is_some()
    {
        return Err(Error::InviteeExists);
    }
    let Newcomer { name, password } = newcomer;
    let input = SignUp { name, email: found.email.to_string(), password, company: None, country: None, phone: None };
    let checked = registration::check(&ctx.realm, input)?;
    let secret = app.passwords.hash(checked.password.secret(), app.entropy.as_ref()).await?;
    let now = app.clock.now();
    let (joined, user, ended) = write_tx!(&app.db, |tx| {
        let invitation = live(app, tx, ctx, id, &hash).await?;
        let (user, ended) = put_user(app, tx, ctx, &checked, &secret).await?;
        store::audit::insert(tx, EventId::new(now, app.entropy.as_ref()), &ctx.event(Action::UserSignedUp, Some(user)), now).await?;
        Ok((join(app, tx, ctx, invitation, &hash, user).await?, user, ended))
    })?;
    sessions::tell(app, ended.into_iter().map(|id| (id, EndReason::PasswordChanged)));
    tell(app, ctx, user);
    Ok(joined)
}

/// The invited address' user: a new one, or one whose address nobody has proved, whose every proof then was a stranger's
/// and dies.
async fn put_user(app: &App, tx: &Transaction, ctx: &Ctx, checked: &Checked, secret: &str) -> Result<(UserId, Vec<SessionId>)> {
    let (realm, now) = (ctx.realm.id, app.clock.now());
    let (email, name) = (checked.email.clone(), checked.name.clone());
    let id = UserId::new(now, app.entropy.as_ref());
    let new = NewUser { id, email, name, company: None, country: None, phone: None, email_verified_at: Some(now) };
    let (id, ended) = if store::users::insert_if_absent(tx, realm, &new, now).await? {
        (id, Vec::new())
    } else {
        let user = store::users::find_by_email(tx, realm, &checked.email).await?.ok_or(Error::InviteeExists)?;
        if user.email_verified_at.is_some() || !store::users::bump_version_if(tx, realm, user.id, user.version, now).await? {
            return Err(Error::InviteeExists);
        }
        store::users::mark_verified(tx, realm, user.id, now).await?;
        let patch = store::users::ProfilePatch { name: Some(checked.name.clone()), ..Default::default() };
        store::users::update_profile(tx, realm, user.id, &patch, now).await?;
        store::one_time_tokens::kill_others(tx, realm, user.id, None, None, now).await?;
        (user.id, sessions::end_all(tx, realm, user.id, None, EndReason::PasswordChanged, now).await?)
    };
    store::credentials::put_password(tx, realm, id, app.entropy.as_ref(), secret, now).await?;
    Ok((id, ended))
}

/// The pending invitation of that link, in the caller's realm.
async fn live(app: &App, db: &impl Connection, ctx: &Ctx, id: InvitationId, hash: &str) -> Result<Invitation> {
    store::invitations::find_shown(db, ctx.realm.id, id, hash, app.clock.now()).await?.ok_or(Error::InvalidOneTimeToken)
}

/// Uses the invitation up and gives the place.
async fn join(app: &App, tx: &Transaction, ctx: &Ctx, invitation: Invitation, hash: &str, user: UserId) -> Result<Joined> {
    let (realm, now) = (ctx.realm.id, app.clock.now());
    let account_id = invitation.account_id;
    store::accounts::hold(tx, account_id).await?;
    if !store::invitations::consume(tx, realm, invitation.id, hash, now).await? {
        return Err(Error::InvalidOneTimeToken);
    }
    let account = store::accounts::find(tx, account_id).await?.filter(Account::is_active).ok_or(Error::AccountDisabled)?;
    let role = match store::memberships::find(tx, account_id, user).await? {
        Some(member) => member.role,
        None if store::memberships::create_below_limit(tx, account_id, realm, user, invitation.role, now).await? => invitation.role,
        None => return Err(Error::PlanLimit { what: "members", cap: "maxMembers" }),
    };
    store::revocations::insert(tx, realm, RevocationKind::User, user.0, "changed", now).await?;
    let mut event = ctx.event(Action::InvitationAccepted, Some(user));
    (event.account_id, event.target) = (Some(account_id), Some(invitation.id.0));
    store::audit::insert(tx, EventId::new(now, app.entropy.as_ref()), &event, now).await?;
    Ok(Joined { account, role, email: invitation.email })
}

fn tell(app: &App, ctx: &Ctx, user: UserId) {
    app.caches.forget_user(ctx.realm.id, user);
    app.bell.ring();
}

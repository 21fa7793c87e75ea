//! Invitations to an account, as its owners and admins make them. Taking one up is `joining`'s business.
//!
//! Whoever invites learns nothing about an address but what the list of members shows them anyhow: a row is written and a
//! mail is owed in any case. An invitation holds a place of the plan until it ends; the newest one to an address counts.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Ctx, Faults, Principal, access, one_time};
use crate::{
    app::App,
    crypto::hash::sha256_hex,
    domain::{
        Error, Result,
        email::Email,
        event::Action,
        id::{AccountId, EventId, InvitationId, RealmId},
        invitation::{self, Invitation},
        job::Job,
        page::{Page, PageRequest},
        user::Role,
    },
    store::{
        self, Connection,
        primitive::{Reservation, reserve},
        write_tx,
    },
};

/// Invitations that an account may send in an hour.
const PER_ACCOUNT: i32 = 100;
/// Of these, to one address.
const PER_PERSON: i32 = 3;
/// Mails with an invitation that an address of a realm gets in an hour, whoever sends them.
const PER_ADDRESS: i32 = 5;
const HOUR: TimeDelta = TimeDelta::hours(1);

/// An invitation to be.
#[derive(Debug)]
pub struct NewInvitation {
    pub email: String,
    /// `member` if left out.
    pub role: Option<String>,
    /// A week later if left out.
    pub expires_at: Option<DateTime<Utc>>,
}

/// Invites an address to `account`.
///
/// # Errors
/// [`Error::StepUpRequired`], the refusals of [`access::administers`], [`Error::NotPermitted`] for an admin who invites an owner,
/// [`Error::Invalid`] naming each bad field, [`Error::Taken`] if a member has the address, [`Error::AccountDisabled`],
/// [`Error::PlanLimit`] if members and invitations fill the plan, [`Error::RateLimited`] for too many invitations.
pub async fn create(app: &App, ctx: &Ctx, account: AccountId, new: NewInvitation) -> Result<Invitation> {
    let (realm, now) = (ctx.realm.id, app.clock.now());
    access::proved(app, ctx).await?;
    let id = InvitationId::new(now, app.entropy.as_ref());
    let (nonce, hash) = one_time::mint_invitation(app, id, realm)?;
    let invited_by = match &ctx.principal {
        Principal::User(me) => Some(me.user_id),
        _ => None,
    };
    let invitation = write_tx!(&app.db, |tx| {
        let own = access::administers_alone(tx, ctx, account).await?;
        let (email, role, expires_at) = check(&new, now)?;
        if !own.decides_about(role) {
            return Err(Error::NotPermitted);
        }
        if !store::accounts::find(tx, account).await?.ok_or(Error::NotFound)?.is_active() {
            return Err(Error::AccountDisabled);
        }
        if store::memberships::has_address(tx, account, realm, &email).await? {
            return Err(Error::Taken { field: "email" });
        }
        let to_person = format!("invite:{account}:{}", sha256_hex(email.as_str().as_bytes()));
        for (key, limit) in [(format!("invite:{account}"), PER_ACCOUNT), (to_person, PER_PERSON)] {
            if let Reservation::Full { retry_after } = reserve(tx, realm, &key, limit, HOUR, now).await? {
                return Err(Error::RateLimited { retry_after });
            }
        }
        let (nonce, account_id) = (nonce.clone(), account);
        let made =
            Invitation { id, account_id, realm_id: realm, email, role, invited_by, nonce, created_at: now, expires_at, accepted_at: None, revoked_at: None };
        store::invitations::revoke_for_address(tx, account, realm, &made.email, now).await?;
        if !store::invitations::insert_below_limit(tx, &made, &hash).await? {
            return Err(Error::PlanLimit { what: "members", cap: "maxMembers" });
        }
        if may_mail(tx, realm, &made.email, now).await? {
            let job = Job::SendInvitation { realm_id: realm, account_id: account, invitation_id: id };
            // Nobody knows yet what the invited one speaks; whoever invites them speaks to them.
            ctx.owe(app, tx, &job, now).await?;
        }
        audit(app, ctx, tx, Action::InvitationCreated, account, id).await?;
        Ok(made)
    })?;
    app.jobs_due.notify_one();
    Ok(invitation)
}

fn check(new: &NewInvitation, now: DateTime<Utc>) -> Result<(Email, Role, DateTime<Utc>)> {
    let mut faults = Faults::default();
    let email = faults.take(Email::parse("email", &new.email))?;
    let role = faults.take(new.role.as_deref().map_or(Ok(Role::Member), |role| Role::read("role", role)))?;
    let expires_at = faults.take(invitation::expiry(new.expires_at, now))?;
    faults.settle()?;
    match (email, role, expires_at) {
        (Some(email), Some(role), Some(expires_at)) => Ok((email, role, expires_at)),
        _ => Err(Error::internal("a field had neither a value nor a fault")),
    }
}

/// Over the measure the invitation stands and no mail is sent: what others wrote to the address is not the caller's to know.
async fn may_mail(tx: &impl Connection, realm: RealmId, email: &Email, now: DateTime<Utc>) -> Result<bool> {
    let key = format!("invited:{}", sha256_hex(email.as_str().as_bytes()));
    Ok(reserve(tx, realm, &key, PER_ADDRESS, HOUR, now).await?.is_reserved())
}

/// The account's invitations in the order of their making, ended ones too.
///
/// # Errors
/// The refusals of [`access::administers`].
pub async fn list(app: &App, ctx: &Ctx, account: AccountId, page: PageRequest<InvitationId>) -> Result<Page<Invitation>> {
    access::administers(&app.db.read, ctx, account).await?;
    let invitations = store::invitations::list(&app.db.read, account, &page).await?;
    Ok(page.page(invitations, |invitation| invitation.id.to_string()))
}

/// Takes an invitation back. One that ended otherwise stays as it is.
///
/// # Errors
/// The refusals of [`access::administers`], [`Error::NotPermitted`] for an admin where an owner was invited,
/// [`Error::NotFound`], [`Error::InvitationAccepted`].
pub async fn revoke(app: &App, ctx: &Ctx, account: AccountId, id: InvitationId) -> Result<()> {
    let now = app.clock.now();
    write_tx!(&app.db, |tx| {
        let own = access::administers_alone(tx, ctx, account).await?;
        let found = store::invitations::find(tx, account, id).await?.ok_or(Error::NotFound)?;
        if !own.decides_about(found.role) {
            return Err(Error::NotPermitted);
        }
        if found.accepted_at.is_some() {
            return Err(Error::InvitationAccepted);
        }
        if store::invitations::revoke(tx, account, id, now).await? {
            audit(app, ctx, tx, Action::InvitationRevoked, account, id).await?;
        }
        Ok(())
    })
}

/// An audit line about an invitation.
async fn audit(app: &App, ctx: &Ctx, tx: &impl Connection, action: Action, account: AccountId, id: InvitationId) -> Result<()> {
    let now = app.clock.now();
    let mut event = ctx.event(action, None);
    (event.account_id, event.target) = (Some(account), Some(id.0));
    store::audit::insert(tx, EventId::new(now, app.entropy.as_ref()), &event, now).await
}

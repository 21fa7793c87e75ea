//! Who belongs to an account, and as what.
//!
//! Owners decide about everybody, admins about everybody but owners; everybody may leave. An account keeps at least one
//! owner. What makes somebody more asks for a fresh proof of who calls, as what makes a key does. Whose place is taken
//! away, or made a lesser one, loses what it gave at once here and within a second on other nodes, and the invitations
//! that they sent are taken back; the account's keys are the account's, whoever made them. Who did not do it themselves
//! gets a mail.

use super::{Ctx, Principal, access};
use crate::{
    app::App,
    domain::{
        Error, Result,
        event::Action,
        id::{AccountId, EventId, JobId, UserId},
        job::Job,
        page::{Page, PageRequest},
        user::{Member, Role},
    },
    store::{self, Connection, revocations::RevocationKind, write_tx},
};

/// The members of an account that the caller sees, by the age of their users.
///
/// # Errors
/// [`Error::NotFound`] for any other account.
pub async fn list(app: &App, ctx: &Ctx, account: AccountId, page: PageRequest<UserId>) -> Result<Page<Member>> {
    access::sees(&app.db.read, ctx, account).await?;
    let members = store::memberships::list(&app.db.read, account, &page).await?;
    Ok(page.page(members, |member| member.user_id.to_string()))
}

/// Gives somebody who has a user already a place in an account, without an invitation: an operator knows whom they mean.
///
/// # Errors
/// [`Error::NotPermitted`] for everybody but the operator, [`Error::Invalid`] for an unknown role, [`Error::NotFound`] for
/// what is no account or no user of the operator's realm, [`Error::Taken`] for who is a member, [`Error::PlanLimit`].
pub async fn add(app: &App, ctx: &Ctx, account: AccountId, user: UserId, role: &str) -> Result<Member> {
    ctx.require_operator()?;
    let role = Role::read("role", role)?;
    let now = app.clock.now();
    let member = write_tx!(&app.db, |tx| {
        if !store::accounts::hold(tx, account).await? {
            return Err(Error::NotFound);
        }
        if store::memberships::find(tx, account, user).await?.is_some() {
            return Err(Error::Taken { field: "email" });
        }
        if !store::memberships::create_below_limit(tx, account, ctx.realm.id, user, role, now).await? {
            return Err(Error::PlanLimit { what: "members", cap: "maxMembers" });
        }
        let member = store::memberships::find(tx, account, user).await?.ok_or(Error::NotFound)?;
        changed(app, ctx, tx, account, &member, Action::MemberAdded, false).await?;
        Ok(member)
    })?;
    tell(app, &member);
    Ok(member)
}

/// Makes a member owner, admin or plain member.
///
/// # Errors
/// [`Error::StepUpRequired`], the refusals of [`access::administers`], [`Error::NotPermitted`] for an admin where an owner is
/// made or touched, [`Error::Invalid`] for an unknown role, [`Error::NotFound`], [`Error::LastOwner`].
pub async fn set_role(app: &App, ctx: &Ctx, account: AccountId, user: UserId, role: &str) -> Result<Member> {
    access::proved(app, ctx).await?;
    let member = write_tx!(&app.db, |tx| {
        let own = access::administers_alone(tx, ctx, account).await?;
        let role = Role::read("role", role)?;
        let member = store::memberships::find(tx, account, user).await?.ok_or(Error::NotFound)?;
        if !(own.decides_about(member.role) && own.decides_about(role)) {
            return Err(Error::NotPermitted);
        }
        if member.role == role {
            return Ok(member);
        }
        if !store::memberships::set_role(tx, account, user, role).await? {
            return Err(Error::LastOwner);
        }
        changed(app, ctx, tx, account, &member, Action::MemberRoleChanged, !role.covers(member.role)).await?;
        notify(app, ctx, tx, &member, Job::SendRoleChanged { realm_id: member.realm_id, user_id: user, account_id: account }).await?;
        Ok(Member { role, ..member })
    })?;
    tell(app, &member);
    Ok(member)
}

/// Takes a member's place away; whoever asks for their own leaves.
///
/// # Errors
/// The refusals of [`access::administers`], [`Error::NotPermitted`] for an admin who removes an owner, [`Error::NotFound`],
/// [`Error::LastOwner`].
pub async fn remove(app: &App, ctx: &Ctx, account: AccountId, user: UserId) -> Result<()> {
    let leaves = matches!(&ctx.principal, Principal::User(me) if me.user_id == user);
    let member = write_tx!(&app.db, |tx| {
        let own = if leaves { None } else { Some(access::administers_alone(tx, ctx, account).await?) };
        let member = store::memberships::find(tx, account, user).await?.ok_or(Error::NotFound)?;
        match own {
            Some(own) if !own.decides_about(member.role) => return Err(Error::NotPermitted),
            Some(_) => {}
            None => drop(store::accounts::hold(tx, account).await?),
        }
        if !store::memberships::delete(tx, account, user).await? {
            // Somebody else may have been faster.
            let gone = store::memberships::find(tx, account, user).await?.is_none();
            return Err(if gone { Error::NotFound } else { Error::LastOwner });
        }
        changed(app, ctx, tx, account, &member, Action::MemberRemoved, true).await?;
        notify(app, ctx, tx, &member, Job::SendMemberRemoved { realm_id: member.realm_id, user_id: user, account_id: account }).await?;
        Ok(member)
    })?;
    tell(app, &member);
    Ok(())
}

/// Leaves word of a change for the other nodes and in the audit trail. `lessened` says that rights went.
async fn changed(app: &App, ctx: &Ctx, tx: &impl Connection, account: AccountId, member: &Member, action: Action, lessened: bool) -> Result<()> {
    let now = app.clock.now();
    if lessened {
        store::invitations::revoke_made_by(tx, account, member.user_id, now).await?;
    }
    store::revocations::insert(tx, member.realm_id, RevocationKind::User, member.user_id.0, "changed", now).await?;
    let mut event = ctx.event(action, Some(member.user_id));
    event.account_id = Some(account);
    store::audit::insert(tx, EventId::new(now, app.entropy.as_ref()), &event, now).await
}

/// Owes a member word of what somebody else did to their place.
async fn notify(app: &App, ctx: &Ctx, tx: &impl Connection, member: &Member, job: Job) -> Result<()> {
    if matches!(&ctx.principal, Principal::User(me) if me.user_id == member.user_id) {
        return Ok(());
    }
    let now = app.clock.now();
    // In the member's language or their realm's, not in that of whoever did it.
    store::jobs::enqueue(tx, JobId::new(now, app.entropy.as_ref()), &job, now, now).await
}

fn tell(app: &App, member: &Member) {
    app.caches.forget_user(member.realm_id, member.user_id);
    app.bell.ring();
    app.jobs_due.notify_one();
}

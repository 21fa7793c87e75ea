//! From a mail that is owed to a mail that is sent: look up, render, hand over.
//!
//! Links come from the configured public URL alone, never from a request.

use chrono::{DateTime, Utc};

mod notices;

use super::{one_time, realms, registration};
use crate::{
    app::App,
    domain::{
        Error, Result,
        account::Account,
        email::Email,
        id::{AccountId, InvitationId, JobId, MailId, OneTimeTokenId, RealmId, UserId},
        invitation::InvitationStatus,
        job::Job,
        language::Language,
        realm::{Realm, RealmStatus},
        token::Purpose,
        user::{User, UserStatus},
    },
    mail::{Message, Outgoing, SendFault},
    store::{self, Transaction, jobs::ClaimedJob, mailbox::MailRow, one_time_tokens::OneTimeToken, write_tx},
};

/// Why a mail is not out.
#[derive(Debug)]
pub enum Undelivered {
    /// Worth another try later.
    Temporary(String),
    /// Not worth one.
    Permanent(String),
}

impl From<Error> for Undelivered {
    fn from(error: Error) -> Self {
        Self::Temporary(error.code().to_owned())
    }
}

/// What a mail has from the job that owes it.
#[derive(Clone, Copy)]
struct Owed {
    id: JobId,
    /// What whoever caused it would be spoken to in.
    language: Option<Language>,
}

/// Does what a job says. Repeating it sends the same mail with the same Message-ID.
///
/// # Errors
/// [`Undelivered`], with a text that names no address.
pub async fn run(app: &App, claimed: &ClaimedJob) -> Result<(), Undelivered> {
    let ClaimedJob { id, job, language, .. } = claimed;
    let owed = Owed { id: *id, language: *language };
    let realm = realms::get(app, job.realm_id()).await?;
    if realm.status != RealmStatus::Active {
        return Err(Undelivered::Permanent("realm_suspended".to_owned()));
    }
    let due = match job {
        Job::SendVerification { user_id, token_id, .. } => verification(app, &realm, *user_id, *token_id).await?,
        Job::SendAccountExists { user_id, .. } => with_user(app, &realm, *user_id, |user| notices::account_exists(app, &realm, user)).await?,
        Job::AnswerMailRequest { request_id, .. } => return answer_request(app, &realm, owed, *request_id).await,
        Job::SendPasswordChanged { user_id, .. } => with_user(app, &realm, *user_id, |user| notices::password_changed(app, &realm, user)).await?,
        Job::SendRefreshReuse { user_id, session_id, .. } => {
            notices::about_session(app, &realm, *user_id, *session_id, |name, realm, session, forgot_link| Message::RefreshReuse {
                name,
                realm,
                device: session.device,
                forgot_link,
            })
            .await?
        }
        Job::SendApiKeyLeaked { user_id, account_id, key_id, .. } => notices::key_leaked(app, &realm, *user_id, (*account_id, *key_id)).await?,
        Job::SendMemberRemoved { user_id, account_id, .. } => {
            notices::about_account(app, &realm, *user_id, *account_id, |name, realm, account| Message::MemberRemoved { name, realm, account }).await?
        }
        Job::SendRoleChanged { user_id, account_id, .. } => match store::memberships::find(&app.db.read, *account_id, *user_id).await? {
            Some(place) => {
                let role = place.role.as_str();
                notices::about_account(app, &realm, *user_id, *account_id, |name, realm, account| Message::RoleChanged { name, realm, account, role }).await?
            }
            // Taken out since: another mail says so.
            None => None,
        },
        Job::SendInvitation { account_id, invitation_id, .. } => return invitation(app, &realm, owed, *account_id, *invitation_id).await,
        Job::SendNewDevice { user_id, session_id, .. } => notices::new_device(app, &realm, owed, *user_id, *session_id).await?,
        Job::SendFactorChanged { user_id, method, added, .. } => notices::factor_changed(app, &realm, owed, *user_id, (method, *added)).await?,
        Job::SendSessionEvicted { user_id, session_id, .. } => {
            notices::about_session(app, &realm, *user_id, *session_id, |name, realm, session, forgot_link| Message::SessionEvicted {
                name,
                realm,
                device: session.device,
                forgot_link,
            })
            .await?
        }
        Job::SendEndlessToken { user_id, token_id, .. } => match store::held_tokens::find(&app.db.read, realm.id, *token_id).await? {
            Some(token) => {
                with_user(app, &realm, *user_id, |user| Message::EndlessToken {
                    name: user.name.clone(),
                    realm: realm.display_name().to_owned(),
                    at: moment(token.created_at),
                    prefix: token.prefix,
                    forgot_link: forgot_link(app, &realm),
                })
                .await?
            }
            None => None,
        },
        Job::SendEmailChange { user_id, token_id, .. } => return email_change(app, &realm, owed, *user_id, *token_id).await,
        Job::SendEmailChanged { user_id, token_id, .. } => return email_changed(app, &realm, owed, *user_id, *token_id).await,
    };
    match due {
        Some((user, message)) => deliver(app, &realm, owed, (&user.email, user.locale), &message).await,
        None => Ok(()),
    }
}

type Due = Option<(User, Message)>;

async fn with_user(app: &App, realm: &Realm, id: UserId, message: impl FnOnce(&User) -> Message) -> Result<Due> {
    let user = store::users::find(&app.db.read, realm.id, id).await?;
    Ok(user.map(|user| {
        let message = message(&user);
        (user, message)
    }))
}

/// To the new address. Somebody who proved it already gets no mail: nobody learns that they have, and they need not know.
async fn email_change(app: &App, realm: &Realm, owed: Owed, user: UserId, token: OneTimeTokenId) -> Result<(), Undelivered> {
    let Some((user, token)) = pending(app, realm, user, Purpose::ChangeEmail, token).await? else { return Ok(()) };
    let holder = store::users::find_by_email(&app.db.read, realm.id, &token.email).await?;
    if holder.is_some_and(|holder| holder.email_verified_at.is_some()) {
        return Ok(());
    }
    let message = Message::ChangeEmail {
        name: user.name.clone(),
        realm: realm.display_name().to_owned(),
        link: link(app, realm, "change-email", &one_time::reveal(app, &token)?),
        minutes: realm.settings.lifetimes.change_email / 60,
    };
    deliver(app, realm, owed, (&token.email, user.locale), &message).await
}

/// To the former address, which the token is for.
async fn email_changed(app: &App, realm: &Realm, owed: Owed, user: UserId, token: OneTimeTokenId) -> Result<(), Undelivered> {
    let Some((user, token)) = pending(app, realm, user, Purpose::UndoEmailChange, token).await? else { return Ok(()) };
    let message = Message::EmailChanged {
        name: user.name.clone(),
        realm: realm.display_name().to_owned(),
        at: moment(token.created_at),
        link: link(app, realm, "undo-email-change", &one_time::reveal(app, &token)?),
        hours: one_time::UNDO_EMAIL_CHANGE / 3_600,
    };
    deliver(app, realm, owed, (&token.email, user.locale), &message).await
}

/// A token that still waits, with its user.
async fn pending(app: &App, realm: &Realm, user: UserId, purpose: Purpose, token: OneTimeTokenId) -> Result<Option<(User, OneTimeToken)>> {
    let Some(user) = store::users::find(&app.db.read, realm.id, user).await? else { return Ok(None) };
    let token = store::one_time_tokens::find(&app.db.read, realm.id, purpose, token).await?;
    Ok(token.filter(|token| token.consumed_at.is_none() && token.user_id == user.id).map(|token| (user, token)))
}

/// An instant as people read it.
fn moment(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M UTC").to_string()
}

async fn verification(app: &App, realm: &Realm, user: UserId, token: OneTimeTokenId) -> Result<Due> {
    let Some(user) = store::users::find(&app.db.read, realm.id, user).await? else { return Ok(None) };
    let Some(token) = store::one_time_tokens::find(&app.db.read, realm.id, Purpose::VerifyEmail, token).await? else { return Ok(None) };
    if token.consumed_at.is_some() || user.email_verified_at.is_some() || user.email != token.email {
        return Ok(None);
    }
    let message = verify_message(app, realm, &user, &token)?;
    Ok(Some((user, message)))
}

/// An invitation goes to an address, whether or not it has a user.
async fn invitation(app: &App, realm: &Realm, owed: Owed, account: AccountId, id: InvitationId) -> Result<(), Undelivered> {
    let found = store::invitations::find(&app.db.read, account, id).await?;
    let Some(found) = found.filter(|found| found.status(app.clock.now()) == InvitationStatus::Pending) else { return Ok(()) };
    let Some(account) = store::accounts::find(&app.db.read, account).await?.filter(Account::is_active) else { return Ok(()) };
    let inviter = match found.invited_by {
        Some(user) => store::users::find(&app.db.read, realm.id, user).await?.map(|user| user.name),
        None => None,
    };
    let message = Message::Invitation {
        inviter,
        realm: realm.display_name().to_owned(),
        account: account.name,
        role: found.role.as_str(),
        link: link(app, realm, "invitation", &one_time::reveal_invitation(app, &found)?),
        until: moment(found.expires_at),
    };
    deliver(app, realm, owed, (&found.email, None), &message).await
}

fn verify_message(app: &App, realm: &Realm, user: &User, token: &OneTimeToken) -> Result<Message> {
    let spans = &realm.settings.lifetimes;
    Ok(Message::VerifyEmail {
        name: token.pending_name.clone().unwrap_or_else(|| user.name.clone()),
        realm: realm.display_name().to_owned(),
        link: link(app, realm, "verify-email", &one_time::reveal(app, token)?),
        code: one_time::code(app, token)?,
        link_hours: spans.verify_email.div_ceil(3_600),
        code_minutes: spans.verify_code / 60,
    })
}

/// A page of this installation.
fn page(app: &App, page: &str) -> String {
    format!("{}/ui/{page}", app.settings.public_url)
}

/// Where the address does not tell the realm, that is outside the root realm, the link does.
fn is_root(app: &App, realm: &Realm) -> bool {
    app.root().is_ok_and(|root| root.realm == realm.id)
}

/// A link that carries a token.
fn link(app: &App, realm: &Realm, name: &str, token: &str) -> String {
    let suffix = if is_root(app, realm) { String::new() } else { format!("&realm={}", realm.name) };
    format!("{}?token={token}{suffix}", page(app, name))
}

/// The page that asks for a reset mail.
fn forgot_link(app: &App, realm: &Realm) -> Option<String> {
    let suffix = if is_root(app, realm) { String::new() } else { format!("?realm={}", realm.name) };
    Some(format!("{}{suffix}", page(app, "forgot-password")))
}

/// Looks up who a request is about and sends what is due; a request about nobody ends silently.
async fn answer_request(app: &App, realm: &Realm, owed: Owed, id: crate::domain::id::MailRequestId) -> Result<(), Undelivered> {
    let Some(request) = store::mail_requests::find(&app.db.read, realm.id, id).await.map_err(Undelivered::from)? else { return Ok(()) };
    let user = store::users::find_by_email(&app.db.read, realm.id, &request.email).await?;
    if let Some(user) = user.filter(|user| is_due(user, request.purpose))
        && let Some(token) = mint_once(app, realm, &user, request.purpose, OneTimeTokenId(id.0)).await?
    {
        let message = match request.purpose {
            Purpose::VerifyEmail => verify_message(app, realm, &user, &token)?,
            // Not asked for by strangers.
            Purpose::ChangeEmail | Purpose::UndoEmailChange | Purpose::NotMe => return Ok(()),
            Purpose::MagicLink if !realm.settings.magic_link => return Ok(()),
            Purpose::MagicLink => Message::MagicLink {
                name: user.name.clone(),
                realm: realm.display_name().to_owned(),
                link: link(app, realm, "magic-link", &one_time::reveal(app, &token)?),
                minutes: realm.settings.lifetimes.magic_link / 60,
            },
            Purpose::ResetPassword => Message::ResetPassword {
                name: user.name.clone(),
                realm: realm.display_name().to_owned(),
                link: link(app, realm, "reset-password", &one_time::reveal(app, &token)?),
                minutes: realm.settings.lifetimes.reset_password / 60,
                ip: Some(request.ip.clone()),
            },
            Purpose::UnlockSignIn => Message::UnlockSignIn {
                name: user.name.clone(),
                realm: realm.display_name().to_owned(),
                link: link(app, realm, "unlock-sign-in", &one_time::reveal(app, &token)?),
                minutes: one_time::UNLOCK_SECONDS / 60,
                forgot_link: forgot_link(app, realm),
            },
        };
        deliver(app, realm, owed, (&user.email, user.locale), &message).await?;
    }
    store::mail_requests::delete(&app.db.write, realm.id, id).await?;
    Ok(())
}

fn is_due(user: &User, purpose: Purpose) -> bool {
    user.status == UserStatus::Active
        && match purpose {
            Purpose::VerifyEmail => user.email_verified_at.is_none(),
            Purpose::ResetPassword | Purpose::UnlockSignIn => true,
            // Whoever has not proved their address gets in by proving it.
            Purpose::MagicLink => user.email_verified_at.is_some(),
            Purpose::ChangeEmail | Purpose::UndoEmailChange | Purpose::NotMe => false,
        }
}

/// The token of a request: made at the first run of its job, found again at a repeated one.
async fn mint_once(app: &App, realm: &Realm, user: &User, purpose: Purpose, id: OneTimeTokenId) -> Result<Option<OneTimeToken>> {
    let now = app.clock.now();
    let token = one_time::mint(app, id, realm, user.id, purpose, &user.email, now)?;
    write_tx!(&app.db, |tx| {
        if let Some(found) = store::one_time_tokens::find(tx, realm.id, purpose, id).await? {
            return Ok(Some(found).filter(|found| found.consumed_at.is_none()));
        }
        // A link to sign in has a measure of its own: strangers who cause it must not use up what a reset may need.
        if purpose != Purpose::UnlockSignIn && !registration::may_mail(tx, realm.id, &user.email, now).await? {
            return Ok(None);
        }
        if purpose == Purpose::VerifyEmail
            && let Some(former) = store::one_time_tokens::newest_for_user(tx, realm.id, purpose, user.id).await?
        {
            // A fresh mail stands for the same sign-up as the one before it, even if that one has expired.
            let mut token = token.clone();
            (token.pending_secret, token.pending_name) = (former.pending_secret, former.pending_name);
            return store_token(tx, realm.id, user, purpose, token).await.map(Some);
        }
        store_token(tx, realm.id, user, purpose, token.clone()).await.map(Some)
    })
}

async fn store_token(tx: &Transaction, realm: RealmId, user: &User, purpose: Purpose, token: OneTimeToken) -> Result<OneTimeToken> {
    store::one_time_tokens::kill_others(tx, realm, user.id, Some(purpose), Some(token.id), token.created_at).await?;
    store::one_time_tokens::insert_if_absent(tx, &token).await?;
    Ok(token)
}

async fn deliver(app: &App, realm: &Realm, owed: Owed, (to, wish): (&Email, Option<Language>), message: &Message) -> Result<(), Undelivered> {
    let language = wish.or(realm.settings.language).or(owed.language).unwrap_or_default();
    let rendered = app.renderer.render(language, message).map_err(|error| Undelivered::Permanent(error.code().to_owned()))?;
    let host = url::Url::parse(&app.settings.public_url).ok().and_then(|url| url.host_str().map(str::to_owned));
    let message_id = format!("<{}@{}>", owed.id, host.as_deref().unwrap_or("localhost"));
    let now = app.clock.now();
    if app.mail.is_mailbox() {
        let row = MailRow {
            id: MailId(owed.id.0),
            realm_id: realm.id,
            recipient: to.as_str().to_owned(),
            sender: app.settings.mail_from.clone(),
            subject: rendered.subject,
            text: rendered.text,
            html: rendered.html,
            message_id,
            created_at: now,
        };
        store::mailbox::insert_if_absent(&app.db.write, &row).await?;
        return Ok(());
    }
    let outgoing = Outgoing { from: &app.settings.mail_from, to, rendered: &rendered, message_id: &message_id, date: now };
    app.mail.send(&outgoing).await.map_err(|fault| match fault {
        SendFault::Temporary(text) => Undelivered::Temporary(text),
        SendFault::Permanent(text) => Undelivered::Permanent(text),
    })
}

/// The latest mails of the built-in mailbox, newest first; `to` narrows to one recipient.
///
/// # Errors
/// [`Error::NotFound`] where mail goes to a real server.
pub async fn mailbox(app: &App, to: Option<&str>) -> Result<Vec<MailRow>> {
    if !app.mail.is_mailbox() {
        return Err(Error::NotFound);
    }
    let to = to.map(|to| to.trim().to_ascii_lowercase()).filter(|to| !to.is_empty());
    store::mailbox::list(&app.db.read, to.as_deref(), 200).await
}

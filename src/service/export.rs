//! Everything that is kept about a person, for the person: one document, without secrets and without hashes.

use chrono::{DateTime, Utc};

use super::{
    Ctx,
    factors::{self, Overview},
    sessions,
};
use crate::{
    app::App,
    domain::{Error, Result, event::PastEvent, invitation::Invitation, session::Session, token::Purpose, user::Profile},
    store::{self, devices::Device, mail_requests::MailRequest, passkeys::Passkey},
};

/// A mailed token that still waits.
#[derive(Debug)]
pub struct Pending {
    pub purpose: Purpose,
    /// The address that it was mailed to.
    pub email: String,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
}

/// What is kept.
#[derive(Debug)]
pub struct Export {
    pub at: DateTime<Utc>,
    pub profile: Profile,
    /// Live and ended ones, newest first, with what the browser called itself.
    pub sessions: Vec<(Session, String)>,
    /// Kinds of stored credentials and when they were set.
    pub credentials: Vec<(String, DateTime<Utc>, DateTime<Utc>)>,
    pub factors: Overview,
    /// Oldest first.
    pub passkeys: Vec<Passkey>,
    /// Known ones, oldest first.
    pub devices: Vec<Device>,
    pub pending: Vec<Pending>,
    pub mail_requests: Vec<MailRequest>,
    /// To accounts, newest first, ended ones too.
    pub invitations: Vec<Invitation>,
    /// What the person did and what was done to them, newest first.
    pub events: Vec<PastEvent>,
}

/// Gathers the document and notes in the trail that it was asked for.
///
/// # Errors
/// [`Error::MissingCredential`] without a session.
pub async fn export(app: &App, ctx: &Ctx) -> Result<Export> {
    let me = ctx.signed_in()?;
    let (realm, user) = (ctx.realm.id, me.user_id);
    let now = app.clock.now();
    sessions::flush_uses(app).await?;
    let event = ctx.event(crate::domain::event::Action::DataExported, Some(user));
    store::audit::insert(&app.db.write, crate::domain::id::EventId::new(now, app.entropy.as_ref()), &event, now).await?;
    let db = &app.db.read;
    let profile = store::users::profile(db, realm, user).await?.ok_or(Error::NotFound)?;
    let pending = store::one_time_tokens::list_live(db, realm, user, now).await?;
    let pending = pending.into_iter().map(|token| Pending {
        purpose: token.purpose,
        email: token.email.as_str().to_owned(),
        created_at: token.created_at,
        expires_at: token.expires_at,
    });
    Ok(Export {
        at: now,
        sessions: store::sessions::list_all(db, realm, user).await?,
        credentials: store::credentials::list(db, realm, user).await?,
        factors: factors::overview(app, ctx).await?,
        passkeys: store::passkeys::list(db, realm, user).await?,
        devices: store::devices::list(db, realm, user).await?,
        pending: pending.collect(),
        invitations: store::invitations::list_of(db, realm, &profile.user.email).await?,
        mail_requests: store::mail_requests::list(db, realm, &profile.user.email).await?,
        events: store::audit::list_for_user(db, realm, user).await?,
        profile,
    })
}

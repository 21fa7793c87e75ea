//! What a person sees and changes of themselves.

use std::sync::Arc;

use super::{Ctx, Faults};
use crate::{
    app::App,
    domain::{
        Error, Result,
        event::Action,
        id::{EventId, RealmId, UserId},
        language::Language,
        text,
        user::Profile,
    },
    store::{self, revocations::RevocationKind, users::ProfilePatch, write_tx},
};

/// Changes to a profile: an outer `None` leaves a field alone, an inner one clears it.
#[derive(Debug, Default)]
pub struct Change {
    pub name: Option<String>,
    pub company: Option<Option<String>>,
    pub country: Option<Option<String>>,
    pub phone: Option<Option<String>>,
    /// A BCP 47 tag.
    pub locale: Option<Option<String>>,
}

/// The caller with their places in accounts. Answered from memory once warm.
///
/// # Errors
/// [`Error::MissingCredential`] without a session.
pub async fn get(app: &App, ctx: &Ctx) -> Result<Arc<Profile>> {
    let me = ctx.signed_in()?;
    of(app, ctx.realm.id, me.user_id).await
}

/// A person with their places in accounts, from memory once warm.
///
/// # Errors
/// [`Error::NotFound`].
pub(super) async fn of(app: &App, realm: RealmId, user: UserId) -> Result<Arc<Profile>> {
    if let Some(profile) = app.caches.profile(realm, user) {
        return Ok(profile);
    }
    let epoch = app.caches.epoch();
    let profile = Arc::new(store::users::profile(&app.db.read, realm, user).await?.ok_or(Error::NotFound)?);
    app.caches.put_profile(epoch, &profile);
    Ok(profile)
}

/// What a person wants to be spoken to in; nothing for one who is gone.
///
/// # Errors
/// What the database says.
pub async fn language(app: &App, realm: RealmId, user: UserId) -> Result<Option<Language>> {
    match of(app, realm, user).await {
        Ok(profile) => Ok(profile.user.locale),
        Err(Error::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Changes the caller's profile and answers what it is now.
///
/// # Errors
/// [`Error::Invalid`] naming each bad field.
pub async fn change(app: &App, ctx: &Ctx, change: Change) -> Result<Arc<Profile>> {
    let me = ctx.signed_in()?;
    let mut faults = Faults::default();
    let mut line = |field: &str, value: Option<Option<String>>| match value {
        None => Ok(None),
        Some(value) => faults.take(text::optional_line(field, value.as_deref(), 100)),
    };
    let company = line("company", change.company)?;
    let country = line("country", change.country)?;
    let phone = match change.phone {
        None => None,
        Some(phone) => faults.take(text::phone("phone", phone.as_deref()))?,
    };
    let name = match &change.name {
        None => None,
        Some(name) => faults.take(text::name("name", name))?,
    };
    let locale = match &change.locale {
        None => None,
        Some(None) => Some(None),
        Some(Some(tag)) => faults.take(Language::known("locale", tag))?.map(Some),
    };
    faults.settle()?;
    let patch = ProfilePatch { name, company, country, phone, locale };
    let now = app.clock.now();
    let realm = ctx.realm.id;
    write_tx!(&app.db, |tx| {
        if !store::users::update_profile(tx, realm, me.user_id, &patch, now).await? {
            return Err(Error::NotFound);
        }
        store::revocations::insert(tx, realm, RevocationKind::User, me.user_id.0, "changed", now).await?;
        store::audit::insert(tx, EventId::new(now, app.entropy.as_ref()), &ctx.event(Action::ProfileChanged, Some(me.user_id)), now).await
    })?;
    app.caches.forget_user(realm, me.user_id);
    app.bell.ring();
    get(app, ctx).await
}

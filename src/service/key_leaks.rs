//! Keys that somebody found where they should not be: shown here they are revoked, whoever shows them.
//!
//! The answer is the same for a key, for a made-up one and for no key at all. Who has the key could use it; who has not
//! learns nothing.

use secrecy::{ExposeSecret as _, SecretString};

use super::{Ctx, key_check};
use crate::{
    app::App,
    domain::{
        Result,
        event::Action,
        id::{EventId, JobId},
        job::Job,
        user::Role,
    },
    store::{self, revocations::RevocationKind, write_tx},
};

/// Revokes the key and owes its account's owners a mail; does nothing for anything else.
///
/// # Errors
/// What the database says.
pub async fn report(app: &App, ctx: &Ctx, shown: &SecretString) -> Result<()> {
    let Some(key) = key_check::prove(app, shown.expose_secret()).await? else { return Ok(()) };
    let now = app.clock.now();
    write_tx!(&app.db, |tx| {
        if !store::api_keys::revoke(tx, key.account_id, key.id, now).await? {
            return Ok(());
        }
        store::revocations::insert(tx, key.realm_id, RevocationKind::ApiKey, key.id.0, "leaked", now).await?;
        let mut event = ctx.event(Action::ApiKeyLeaked, None);
        (event.realm_id, event.account_id, event.target) = (Some(key.realm_id), Some(key.account_id), Some(key.id.0));
        store::audit::insert(tx, EventId::new(now, app.entropy.as_ref()), &event, now).await?;
        for (realm_id, user_id) in store::memberships::people(tx, key.account_id, Role::Owner).await? {
            let job = Job::SendApiKeyLeaked { realm_id, user_id, account_id: key.account_id, key_id: key.id };
            // In the owner's language or their realm's, not in the finder's.
            store::jobs::enqueue(tx, JobId::new(now, app.entropy.as_ref()), &job, now, now).await?;
        }
        Ok(())
    })?;
    app.caches.forget_key(key.id);
    app.bell.ring();
    app.jobs_due.notify_one();
    Ok(())
}

//! Devices where a person is not asked for their second factor: known by a record here, which they see and can strike out,
//! and not by anything that the device says of itself. The password is asked for all the same.

use chrono::{DateTime, Utc};

use super::{Ctx, login::Admission};
use crate::{
    app::App,
    domain::{
        Error, Result,
        event::Action,
        id::{DeviceId, EventId},
        realm::Lifetimes,
        user::User,
    },
    store::{self, batch::Batch, write_tx},
};

pub use crate::store::devices::Device;

/// Trusts the device that was just let in, together with other writes, if the realm lets devices be trusted.
pub(super) fn add(app: &App, ctx: &Ctx, batch: &mut Batch, user: &User, admission: &Admission, now: DateTime<Utc>) {
    let (Admission::In(begun), span @ 1..) = (admission, ctx.realm.settings.lifetimes.trusted_device) else { return };
    let id = DeviceId(begun.device.token.id);
    store::devices::add_trust(batch, user.realm_id, user.id, id, now + Lifetimes::span(span));
    store::audit::add(batch, EventId::new(now, app.entropy.as_ref()), &ctx.event(Action::DeviceTrusted, Some(user.id)), now);
}

/// The caller's trusted devices, the newest first.
///
/// # Errors
/// [`Error::MissingCredential`] without a session.
pub async fn list(app: &App, ctx: &Ctx) -> Result<Vec<Device>> {
    let me = ctx.signed_in()?;
    store::devices::list_trusted(&app.db.read, ctx.realm.id, me.user_id, app.clock.now()).await
}

/// Trusts one of the caller's devices no more. That makes it safer and needs no fresh proof.
///
/// # Errors
/// [`Error::NotFound`] for anything that is no trusted device of the caller.
pub async fn remove(app: &App, ctx: &Ctx, id: DeviceId) -> Result<()> {
    let me = ctx.signed_in()?;
    let now = app.clock.now();
    write_tx!(&app.db, |tx| {
        if !store::devices::distrust(tx, ctx.realm.id, me.user_id, id, now).await? {
            return Err(Error::NotFound);
        }
        store::audit::insert(tx, EventId::new(now, app.entropy.as_ref()), &ctx.event(Action::DeviceDistrusted, Some(me.user_id)), now).await
    })
}

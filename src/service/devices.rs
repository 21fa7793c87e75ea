//! Known devices: whether a person signed in from this browser or program before.
//!
//! A sign-in answers a device token, and the device sends it with its next one (a field of the body, a cookie of the
//! pages). It is no credential: it opens nothing, it only lets the throttle and the notices tell a person's own device from
//! a stranger's. A new password makes strangers of all devices.

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::ExposeSecret as _;

use super::Ctx;
use crate::{
    app::App,
    crypto::hash::sha256_hex,
    domain::{
        Result,
        device::{self, KNOWN_AT_MOST, KNOWN_FOR},
        id::{DeviceId, UserId},
        token::OpaqueToken,
        user::User,
    },
    store::{self, Connection, devices::Device},
};

/// What a device is to the person who signs in with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Familiarity {
    /// They used it before.
    Known,
    /// They never signed in before.
    First,
    /// It keeps no device token, but something of that name at that network is theirs: programs without a memory are that.
    Usual,
    /// They signed in before, from elsewhere: worth a notice.
    New,
}

/// A device that is known from now on.
#[derive(Debug)]
pub struct Remembered {
    pub familiarity: Familiarity,
    /// For the device to keep.
    pub token: OpaqueToken,
}

/// The device that a request comes from, if its token is good for anybody of the realm. Asked before it is known who
/// signs in; [`Recognised::belongs_to`] says whether it is theirs.
pub(super) async fn recognise(app: &App, db: &impl Connection, ctx: &Ctx) -> Result<Option<Recognised>> {
    let Some(token) = ctx.client.device.as_ref().and_then(|text| OpaqueToken::parse(text.expose_secret())) else { return Ok(None) };
    let since = app.clock.now() - KNOWN_FOR;
    let found = store::devices::find_known(db, ctx.realm.id, DeviceId(token.id), &sha256_hex(token.secret()), since).await?;
    Ok(found.map(|device| Recognised { device, token }))
}

/// A device whose token was good.
pub(super) struct Recognised {
    device: Device,
    token: OpaqueToken,
}

impl Recognised {
    /// Its id, if it is `user`'s.
    pub(super) fn belongs_to(&self, user: UserId) -> Option<DeviceId> {
        (self.device.user_id == user).then_some(self.device.id)
    }
}

/// Makes the request's device known for `user`, inside the transaction that lets them in.
pub(super) async fn remember(app: &App, db: &impl Connection, ctx: &Ctx, user: &User, now: DateTime<Utc>) -> Result<Remembered> {
    let realm = ctx.realm.id;
    if let Some(known) = recognise(app, db, ctx).await?.filter(|known| known.belongs_to(user.id).is_some()) {
        // To the day is exact enough for a span of months.
        if known.device.last_used_at < now - TimeDelta::days(1) {
            store::devices::touch(db, realm, known.device.id, now).await?;
        }
        return Ok(Remembered { familiarity: Familiarity::Known, token: known.token });
    }
    let (name, network) = (device::name(&ctx.client.user_agent), device::network(ctx.client.ip));
    let places = store::devices::places(db, realm, user.id).await?;
    if places.len() >= KNOWN_AT_MOST {
        store::devices::make_room(db, realm, user.id, KNOWN_AT_MOST as u64 - 1).await?;
    }
    let id = DeviceId::new(now, app.entropy.as_ref());
    let token = OpaqueToken::mint(id.0, app.entropy.as_ref());
    let device = Device {
        id,
        realm_id: realm,
        user_id: user.id,
        token_hash: sha256_hex(token.secret()),
        name: name.clone(),
        network: Some(network.clone()),
        created_at: now,
        last_used_at: now,
    };
    store::devices::insert(db, &device).await?;
    let is_here = |(its_name, its_network): &(String, Option<String>)| *its_name == name && its_network.as_ref() == Some(&network);
    let familiarity = match places.as_slice() {
        [] => Familiarity::First,
        places if places.iter().any(is_here) => Familiarity::Usual,
        _ => Familiarity::New,
    };
    Ok(Remembered { familiarity, token })
}

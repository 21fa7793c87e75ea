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
    store::{
        self, Connection,
        batch::Batch,
        devices::{Device, Places},
    },
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

/// The device that a request comes from, as far as the request itself says.
#[derive(Clone, Debug)]
pub(super) struct Here {
    /// What its person would call it.
    pub(super) name: String,
    pub(super) network: String,
}

impl Here {
    pub(super) fn of(ctx: &Ctx) -> Self {
        Self { name: device::name(&ctx.client.user_agent), network: device::network(ctx.client.ip) }
    }
}

/// A device whose token was good.
#[derive(Clone)]
pub(super) struct Recognised {
    device: Device,
    token: OpaqueToken,
}

impl Recognised {
    /// Its id.
    pub(super) fn id(&self) -> DeviceId {
        self.device.id
    }

    /// Whether its person trusts it: they are not asked for a second factor there.
    pub(super) fn is_trusted(&self, now: DateTime<Utc>) -> bool {
        self.device.trusted_until.is_some_and(|until| until > now)
    }

    /// Whether it is `user`'s.
    pub(super) fn belongs_to(&self, user: UserId) -> bool {
        self.device.user_id == user
    }
}

/// Makes the device that lets `user` in known, together with other writes: the one `recognised`, which must be theirs, or
/// one more `here` beside those of `places`.
pub(super) fn remember(
    app: &App,
    batch: &mut Batch,
    user: &User,
    recognised: Option<Recognised>,
    (here, places): (Here, Places),
    now: DateTime<Utc>,
) -> Remembered {
    let realm = user.realm_id;
    if let Some(known) = recognised {
        // To the day is exact enough for a span of months.
        if known.device.last_used_at < now - TimeDelta::days(1) {
            store::devices::add_use(batch, realm, known.device.id, now);
        }
        return Remembered { familiarity: Familiarity::Known, token: known.token };
    }
    let Here { name, network } = here;
    // Asked of the rows of that moment and not of `places`: of many who sign in at once each would count too few.
    store::devices::add_room(batch, realm, user.id, KNOWN_AT_MOST - 1);
    let id = DeviceId::new(now, app.entropy.as_ref());
    let token = OpaqueToken::mint(id.0, app.entropy.as_ref());
    let device = Device {
        id,
        realm_id: realm,
        user_id: user.id,
        token_hash: sha256_hex(token.secret()),
        name,
        network: Some(network),
        created_at: now,
        last_used_at: now,
        trusted_until: None,
    };
    store::devices::add(batch, &device);
    let familiarity = match places {
        Places { had: 0, .. } => Familiarity::First,
        Places { here: true, .. } => Familiarity::Usual,
        Places { .. } => Familiarity::New,
    };
    Remembered { familiarity, token }
}

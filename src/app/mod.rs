//! What a running node has at hand: settings, database, clock, keys, pools and caches, built once and shared.
//!
//! Knows the rings below and no use case. `service::installation` fills in which account and realm are the root.

pub mod bell;
pub mod cache;
pub mod held;
pub mod meters;
pub mod turns;
pub mod usage;

use std::sync::{Arc, OnceLock, atomic::AtomicBool};

use secrecy::ExposeSecret as _;
use tokio::sync::Notify;

use crate::{
    app::{bell::Bell, cache::Caches, held::Held, meters::Meters, turns::Turns, usage::Usage},
    config::Settings,
    crypto::{
        keyring::Keyring,
        password_pool::{HashParams, PasswordPool},
    },
    domain::{
        Error, Result,
        clock::{Clock, Entropy},
        id::{AccountId, RealmId},
    },
    limiter::{Limiter, Memory, Shared},
    mail::{Renderer, Transport},
    store::Db,
};

/// The account and the realm that the installation itself belongs to.
#[derive(Clone, Copy, Debug)]
pub struct Root {
    pub account: AccountId,
    pub realm: RealmId,
}

/// Everything a use case may need besides its arguments.
pub struct App {
    pub settings: Settings,
    pub db: Db,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    pub keyring: Arc<Keyring>,
    pub passwords: PasswordPool,
    pub mail: Transport,
    pub renderer: Renderer,
    pub caches: Caches,
    /// Opaque tokens of other dialects.
    pub held: Held,
    pub usage: Usage,
    /// Whose guess at a password is looked at now.
    pub turns: Turns,
    pub limiter: Limiter,
    /// Rung after a commit that other nodes want to know of.
    pub bell: Bell,
    pub meters: Arc<Meters>,
    /// Rung after a commit that left jobs, so that the worker of this node need not wait for its next look.
    pub jobs_due: Notify,
    /// This node is about to go: it still answers, and tells those who ask that it is no longer ready.
    pub draining: AtomicBool,
    pub(crate) root: OnceLock<Root>,
}

impl App {
    /// Puts a node together on a migrated database.
    ///
    /// # Errors
    /// [`Error::Setup`] for an SMTP or Redis address that can't work.
    pub fn new(settings: Settings, db: Db, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>, keyring: Arc<Keyring>) -> Result<Self> {
        let params = HashParams { memory_kib: settings.hash_memory_kib, iterations: settings.hash_iterations, parallelism: 1 };
        let permits = match settings.hash_permits {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            permits => permits,
        };
        let passwords = PasswordPool::new(params, permits, settings.hash_queue, Arc::clone(&keyring));
        let mail = match &settings.smtp_url {
            Some(url) => Transport::smtp(url)?,
            None => Transport::Mailbox,
        };
        let limiter = match &settings.redis_url {
            Some(url) => Limiter::Shared(Shared::new(url.expose_secret(), &settings.redis_prefix, None)?),
            None => Limiter::Memory(Memory::default()),
        };
        let redis = settings.redis_url.as_ref().map(|url| crate::limiter::shared::client(url.expose_secret())).transpose()?;
        let bell = Bell::new(redis, &settings.redis_prefix);
        Ok(Self {
            settings,
            db,
            clock,
            entropy,
            keyring,
            passwords,
            mail,
            renderer: Renderer::default(),
            caches: Caches::default(),
            held: Held::default(),
            usage: Usage::default(),
            turns: Turns::default(),
            limiter,
            bell,
            meters: Arc::default(),
            jobs_due: Notify::new(),
            draining: AtomicBool::new(false),
            root: OnceLock::new(),
        })
    }

    /// The root account and realm.
    ///
    /// # Errors
    /// [`Error::Internal`] before `service::installation::ensure` ran.
    pub fn root(&self) -> Result<Root> {
        self.root.get().copied().ok_or_else(|| Error::internal("the installation was not ensured yet"))
    }

    /// The issuer of a realm's tokens (OpenID Connect Discovery section 3): its address below the public URL.
    #[must_use]
    pub fn issuer(&self, realm_name: &str) -> String {
        format!("{}/realms/{realm_name}", self.settings.public_url)
    }

    /// The audience of access tokens: the native API of this installation (RFC 9068 section 2.2).
    #[must_use]
    pub fn audience(&self) -> String {
        format!("{}/api", self.settings.public_url)
    }
}

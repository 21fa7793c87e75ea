//! A whole node in the test's process: real database, real migrations, real services and HTTP endpoint; a clock that the
//! test moves, entropy that repeats, cheap password hashes, and jobs that run when the test says so.

pub mod at_once;
pub mod authenticator;
pub mod books;
pub mod breaking;
pub mod browser;
pub mod client;
pub mod database;
pub mod factors;
pub mod keys;
pub mod members;
pub(crate) mod people;
mod raw;
pub mod server;
pub mod shell;
pub mod smtp;
pub mod spec;
pub mod tab;

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use poem::endpoint::BoxEndpoint;
use realmgate::{
    app::App,
    config::Settings,
    crypto::{entropy::SeededEntropy, keyring::Keyring},
    domain::{clock::ManualClock, realm::RealmSettings},
    http::{self, AccessLog},
    service::{self, Ctx, change_feed::Feed},
    store::{self, Db, connection::Address, mailbox::MailRow},
};
use sea_orm::ConnectionTrait as _;
use tokio::sync::Mutex;

pub use client::{Client, Reply, User};
pub use database::{Backend, Database};

/// A password that every policy takes.
pub const PASSWORD: &str = "violet otter harbour";
const MASTER_KEY: &str = "k1:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

/// Declares one test for each database: `on_both!(name, |app| { … })`. The body gets a fresh [`TestApp`].
#[macro_export]
macro_rules! on_both {
    ($(#[$meta:meta])* $name:ident, |$app:ident| $body:block) => {
        $(#[$meta])*
        mod $name {
            #[allow(unused_imports, clippy::allow_attributes, reason = "bodies differ in what they need")]
            use super::*;

            async fn body($app: $crate::support::TestApp) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                body($crate::support::TestApp::on($crate::support::Backend::Sqlite).await.expect("a SQLite file")).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                // Without TEST_DATABASE_URL there is no server to ask; tests/run says so in its summary.
                if let Some(app) = $crate::support::TestApp::on($crate::support::Backend::Postgres).await {
                    body(app).await;
                }
            }
        }
    };
}

/// One node.
pub struct Node {
    pub app: Arc<App>,
    endpoint: BoxEndpoint<'static, poem::Response>,
    feed: Mutex<Feed>,
}

/// A node on its own database; more nodes may join it.
pub struct TestApp {
    pub node: Node,
    pub clock: Arc<ManualClock>,
    settings: Settings,
    pub database: Database,
}

/// When every test begins.
pub fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_780_000_000, 0).expect("a valid instant")
}

impl TestApp {
    /// A node on a fresh database; `None` if there is no Postgres server to make one on.
    pub async fn on(backend: Backend) -> Option<Self> {
        Self::with(backend, |_| {}).await
    }

    /// The same with other settings.
    ///
    /// Limits are out of the way: most tests ask more than a stranger or a free account may in a minute that stands still.
    pub async fn with(backend: Backend, change: impl FnOnce(&mut Settings)) -> Option<Self> {
        Some(Self::at(Database::fresh(backend).await?, change).await)
    }

    /// The same on a database of one's own.
    pub async fn at(database: Database, change: impl FnOnce(&mut Settings)) -> Self {
        let app = Self::limited_at(database, |settings| {
            for limit in [
                &mut settings.limit_address,
                &mut settings.limit_sign_in,
                &mut settings.limit_sign_up,
                &mut settings.limit_mail,
                &mut settings.limit_mailed_token,
            ] {
                *limit = 1_000_000;
            }
            change(settings);
        })
        .await;
        app.app().db.write.execute_unprepared("UPDATE plans SET requests_per_minute = 1000000").await.expect("plans without limits");
        app
    }

    /// A node with the limits that a fresh installation has.
    pub async fn limited(backend: Backend, change: impl FnOnce(&mut Settings)) -> Option<Self> {
        Some(Self::limited_at(Database::fresh(backend).await?, change).await)
    }

    async fn limited_at(database: Database, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::defaults(database.folder.path().to_owned()).expect("defaults");
        settings.database_url = database.url.clone().into();
        settings.database_max_connections = 12;
        (settings.hash_memory_kib, settings.hash_iterations) = (64, 1);
        change(&mut settings);
        let clock = Arc::new(ManualClock::new(start()));
        let node = Node::start(&settings, &clock, 1).await;
        Self { node, clock, settings, database }
    }

    /// Another node on the same database, with caches of its own.
    pub async fn join(&self, seed: u64) -> Node {
        Node::start(&self.settings, &self.clock, seed).await
    }

    pub fn app(&self) -> &Arc<App> {
        &self.node.app
    }

    /// Somebody without a credential, at the root realm.
    pub fn anonymous(&self) -> Client<'_> {
        self.node.anonymous()
    }

    /// Makes a realm of the root account.
    pub async fn realm(&self, name: &str) {
        self.realm_with(name, RealmSettings::default()).await;
    }

    /// Makes a realm with settings.
    pub async fn realm_with(&self, name: &str, settings: RealmSettings) {
        let root = self.app().root().expect("the root");
        service::realms::create(self.app(), &self.operator().await, root.account, name, settings).await.expect("a new realm");
    }

    /// The command line's context at the root realm.
    pub async fn operator(&self) -> Ctx {
        self.operator_in("localhost").await
    }

    pub async fn operator_in(&self, realm: &str) -> Ctx {
        Ctx::operator(service::realms::by_host(self.app(), realm).await.expect("a look-up").expect("a realm"))
    }

    /// Signs up, verifies by the mailed link and signs in, at the root realm.
    pub async fn user(&self, email: &str) -> User {
        self.user_in("localhost", email).await
    }

    /// The same in another realm.
    pub async fn user_in(&self, realm: &str, email: &str) -> User {
        let client = self.anonymous().realm(realm);
        client.sign_up(email, PASSWORD).await.assert(202);
        self.run_jobs().await;
        let token = self.last_mail(email).await.token();
        client.post("/api/v1/auth/verify-email", &serde_json::json!({ "token": token })).await.assert(200);
        client.log_in(email, PASSWORD).await.user(realm, email)
    }

    /// Runs owed work until none is due. A millisecond passes first, so that mails of two runs have an order.
    pub async fn run_jobs(&self) {
        self.advance(TimeDelta::milliseconds(1));
        for _ in 0..100 {
            if service::jobs::run_due(&self.node.app).await.expect("jobs run") == 0 {
                return;
            }
        }
        panic!("jobs never end");
    }

    /// Mails to `to`, newest first.
    pub async fn mails(&self, to: &str) -> Vec<Mail> {
        let rows = store::mailbox::list(&self.app().db.read, Some(to), 200).await.expect("mails");
        rows.into_iter().map(Mail).collect()
    }

    pub async fn last_mail(&self, to: &str) -> Mail {
        self.mails(to).await.into_iter().next().unwrap_or_else(|| panic!("no mail to {to}"))
    }

    pub fn advance(&self, span: TimeDelta) {
        self.clock.advance(span);
    }
}

impl Node {
    async fn start(settings: &Settings, clock: &Arc<ManualClock>, seed: u64) -> Self {
        let address = Address { url: settings.database_url.clone(), max_connections: settings.database_max_connections };
        store::migrate::migrate(&address).await.expect("migrations");
        let db = Db::connect(&address).await.expect("a connection");
        let keys = settings.master_key.as_ref().map_or(MASTER_KEY, |keys| secrecy::ExposeSecret::expose_secret(keys));
        let keyring = Arc::new(Keyring::parse(keys).expect("a key"));
        let entropy = Arc::new(SeededEntropy::new(seed));
        let app = Arc::new(App::new(settings.clone(), db, Arc::<ManualClock>::clone(clock), entropy, keyring).expect("an app"));
        service::installation::ensure(&app).await.expect("an installation");
        let feed = Feed::open(&app).await.expect("the change feed");
        let endpoint = poem::EndpointExt::boxed(http::endpoint(&app, AccessLog::off()));
        Self { app, endpoint, feed: Mutex::new(feed) }
    }

    /// What the background task does twice a second.
    pub async fn follow_changes(&self) {
        self.feed.lock().await.poll(&self.app).await.expect("the change feed");
    }

    pub fn anonymous(&self) -> Client<'_> {
        Client::new(self)
    }
}

/// A mail of the built-in mailbox.
pub struct Mail(pub MailRow);

impl Mail {
    /// The token of its link.
    pub fn token(&self) -> String {
        let rest = self.0.text.split("token=").nth(1).expect("a link with a token");
        rest.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect()
    }

    /// The link itself.
    pub fn link(&self) -> String {
        self.0.text.split_whitespace().find(|word| word.contains("?token=")).expect("a link").to_owned()
    }

    /// The six digits that stand alone on a line.
    pub fn code(&self) -> String {
        let is_code = |line: &&str| line.len() == 6 && line.bytes().all(|b| b.is_ascii_digit());
        self.0.text.lines().map(str::trim).find(is_code).expect("a code").to_owned()
    }
}

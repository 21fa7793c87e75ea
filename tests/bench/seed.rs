//! Many realms and many people, so that a growing installation can be compared with a small one.
//!
//! People are copies of one who signed up, written straight into the database: a million sign-ups would take hours and
//! measure nothing more. Realms are made by the service itself, since each needs a key of its own that opens, and since how
//! long that takes is one of the questions.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use realmgate::{
    app::App,
    config::{Overrides, Settings},
    crypto::{entropy::SystemEntropy, keyring::Keyring},
    domain::{clock::SystemClock, realm::RealmSettings},
    service::{Ctx, accounts, installation, realms},
    store::{Db, connection::Address},
};
use sea_orm::{ConnectOptions, ConnectionTrait as _, Database, DbBackend};

use crate::{Outcome, people::FIRST};

/// Realms that one account owns: no plan allows more than 200.
const REALMS_AN_ACCOUNT: usize = 100;

/// A database that no server uses at the moment, and the folder with its master key.
pub(crate) struct Seed<'a> {
    pub(crate) data: &'a Path,
    pub(crate) url: &'a str,
}

impl Seed<'_> {
    /// Makes `count` realms that [`realm_name`] names, and answers how long each took.
    pub(crate) fn realms(&self, count: usize) -> Outcome<Vec<Duration>> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(async {
            let overrides = Overrides { data_dir: Some(self.data.to_owned()), ..Overrides::default() };
            let settings = Settings::load(&overrides)?;
            let keyring = Keyring::load_or_create(&self.data.join("master.key"), &SystemEntropy)?;
            let db = Db::connect(&Address { url: self.url.into(), max_connections: 4 }).await?;
            let app = App::new(settings, db, Arc::new(SystemClock), Arc::new(SystemEntropy), Arc::new(keyring))?;
            installation::ensure(&app).await?;
            let ctx = Ctx::operator(realms::get(&app, app.root()?.realm).await?);
            let mut took = Vec::with_capacity(count);
            let mut owner = None;
            for number in 0..count {
                if number.is_multiple_of(REALMS_AN_ACCOUNT) {
                    owner = Some(accounts::create(&app, &ctx, &format!("Owner {number}"), None, Some("pro")).await?.id);
                }
                let account = owner.ok_or("no account was made")?;
                let started = Instant::now();
                realms::create(&app, &ctx, account, &realm_name(number), RealmSettings::default()).await?;
                took.push(started.elapsed());
            }
            app.db.clone().close().await?;
            Ok(took)
        })
    }

    /// Puts a copy of the first person into each realm that [`Seed::realms`] made.
    pub(crate) fn one_person_a_realm(&self) -> Outcome<()> {
        let numbered = "(SELECT id AS realm, row_number() OVER (ORDER BY name) AS number FROM realms WHERE name LIKE 'many-%')";
        self.copy("realm", numbered, &format!("'{FIRST}'"))
    }

    /// Puts `count` copies of the first person into the root realm, with the addresses of [`address`].
    pub(crate) fn people(&self, count: u32) -> Outcome<()> {
        let numbers = if self.is_postgres() {
            format!("(SELECT number FROM generate_series(1, {count}) AS number)")
        } else {
            format!("(WITH RECURSIVE row(number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM row WHERE number < {count}) SELECT number FROM row)")
        };
        self.copy("users.realm_id", &numbers, "'many-' || number || '@example.com'")
    }

    fn is_postgres(&self) -> bool {
        !self.url.starts_with("sqlite:")
    }

    /// Copies the first person into `realm` once for each row of `numbers`, with the password, which is bound to no person.
    fn copy(&self, realm: &str, numbers: &str, email: &str) -> Outcome<()> {
        // Ids that rise like the real ones, and are nobody else's.
        let (id, random) = if self.is_postgres() {
            ("('0190' || lpad(to_hex(number), 28, '0'))::uuid", "gen_random_uuid()")
        } else {
            ("unhex('0190' || printf('%028x', number))", "randomblob(16)")
        };
        self.run(&[
            format!(
                "INSERT INTO users (id, realm_id, email, name, email_verified_at, status, version, created_at, updated_at)
                 SELECT {id}, {realm}, {email}, users.name, users.email_verified_at, users.status, users.version, users.created_at, users.updated_at
                 FROM users CROSS JOIN {numbers} AS numbers WHERE users.email = '{FIRST}'"
            ),
            format!(
                "INSERT INTO credentials (id, realm_id, user_id, kind, label, secret, created_at, updated_at)
                 SELECT {random}, users.realm_id, users.id, credentials.kind, credentials.label, credentials.secret, credentials.created_at, credentials.updated_at
                 FROM users CROSS JOIN credentials
                 WHERE credentials.user_id = (SELECT id FROM users WHERE email = '{FIRST}' ORDER BY created_at, id DESC LIMIT 1)
                 AND NOT EXISTS (SELECT 1 FROM credentials AS own WHERE own.user_id = users.id)"
            ),
            "ANALYZE".to_owned(),
        ])
    }

    /// Runs statements, one after the other.
    pub(crate) fn run(&self, statements: &[String]) -> Outcome<()> {
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
            let mut options = ConnectOptions::new(self.url);
            options.max_connections(1).sqlx_logging(false);
            let db = Database::connect(options).await?;
            if db.get_database_backend() == DbBackend::Sqlite {
                db.execute_unprepared("PRAGMA cache_size = -262144").await?;
            }
            for statement in statements {
                db.execute_unprepared(statement).await?;
            }
            db.close().await?;
            Ok(())
        })
    }
}

/// The name of a realm that was made.
pub(crate) fn realm_name(number: usize) -> String {
    format!("many-{number}.example.com")
}

/// The address of a copy, counted from 1.
pub(crate) fn address(number: u32) -> String {
    format!("many-{number}@example.com")
}

//! Throw-away databases: a SQLite file, or a database of its own on the server that `TEST_DATABASE_URL` names.

use sea_orm::ConnectionTrait as _;
use tempfile::TempDir;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    Sqlite,
    Postgres,
}

/// A fresh database and a folder for its node.
pub struct Database {
    pub url: String,
    pub backend: Backend,
    pub folder: TempDir,
}

impl Database {
    /// `None` only for Postgres without `TEST_DATABASE_URL`.
    pub async fn fresh(backend: Backend) -> Option<Self> {
        let folder = TempDir::new().expect("a temporary folder");
        let url = match backend {
            Backend::Sqlite => format!("sqlite://{}", folder.path().join("test.db").display()),
            Backend::Postgres => create(&admin_url()?).await,
        };
        Some(Self { url, backend, folder })
    }
}

#[expect(clippy::disallowed_methods, reason = "the runner hands the server's address over in the environment")]
fn admin_url() -> Option<String> {
    std::env::var("TEST_DATABASE_URL").ok()
}

async fn create(admin: &str) -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("realmgate_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let mut options = sea_orm::ConnectOptions::new(admin);
    options.max_connections(1).sqlx_logging(false);
    let connection = sea_orm::Database::connect(options).await.expect("TEST_DATABASE_URL answers");
    connection.execute_unprepared(&format!("CREATE DATABASE {name}")).await.expect("a new database");
    connection.close().await.expect("closed");
    let (server, _) = admin.rsplit_once('/').expect("an address with a database");
    format!("{server}/{name}")
}

//! The server under test: the real binary with nothing configured but where to listen and where to keep its data.
//!
//! Folders are on the build's disk and not in the system's temporary folder, which is often memory: a flush must cost
//! here what it costs in production.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use sea_orm::{ConnectOptions, ConnectionTrait as _, Database};

use crate::{
    Outcome,
    process::{Child, free_address},
    seed::Seed,
};

/// The server's process and where it listens.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) addr: SocketAddr,
    /// From the start of the process to the first 200 of `/healthz/ready`.
    pub(crate) start_up: Duration,
}

impl Server {
    /// Starts `binary` with its data in `folder` and waits until it is ready.
    pub(crate) fn start(binary: &Path, folder: &Path, settings: &[(&str, &str)]) -> Outcome<Self> {
        let addr = free_address()?;
        // People without an account of their own act for the root account, which is on the largest plan.
        for plan in ["free", "pro"] {
            run(&mut program(binary, folder, addr, settings), &["plan", "set", plan, "--requests-per-minute", "1000000000"])?;
        }
        let mut child = Child::start("the server", &mut program(binary, folder, addr, settings), &folder.join("server.log"))?;
        let start_up = child.wait_ready(addr, "/healthz/ready")?;
        Ok(Self { child, addr, start_up })
    }
}

/// The program with nothing configured but where it works.
fn program(binary: &Path, folder: &Path, addr: SocketAddr, settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(binary);
    // The caller's own settings, and a settings file beside them, must not bend the measurement.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("REALMGATE_")) {
        command.env_remove(name);
    }
    command.current_dir(folder).env("REALMGATE_LISTEN", addr.to_string()).env("REALMGATE_DATA_DIR", folder.join("data"));
    for (name, value) in settings {
        command.env(format!("REALMGATE_{name}"), value);
    }
    // What is measured is work, not how much of it is let in.
    for limit in ["ADDRESS", "SIGN_IN", "SIGN_UP", "MAIL", "MAILED_TOKEN"] {
        command.env(format!("REALMGATE_LIMIT_{limit}"), "1000000000");
    }
    command
}

/// Does what an operator does.
fn run(program: &mut Command, args: &[&str]) -> Outcome<()> {
    let done = program.args(args).output()?;
    if done.status.success() { Ok(()) } else { Err(format!("{args:?} failed: {}", String::from_utf8_lossy(&done.stderr)).into()) }
}

/// A server with a fresh database of one kind.
pub(crate) struct Stage {
    // Fields are dropped in this order: first the process, then what it stands on.
    pub(crate) server: Server,
    /// The PostgreSQL cluster, if it isn't SQLite.
    pub(crate) cluster: Option<String>,
    binary: PathBuf,
    database: Option<ScratchDatabase>,
    folder: tempfile::TempDir,
}

impl Stage {
    /// A server on SQLite.
    pub(crate) fn sqlite(binary: &Path) -> Outcome<Self> {
        Self::with(binary, &[])
    }

    /// The same with further settings.
    pub(crate) fn with(binary: &Path, settings: &[(&str, &str)]) -> Outcome<Self> {
        let folder = scratch_folder()?;
        Ok(Self { server: Server::start(binary, folder.path(), settings)?, cluster: None, binary: binary.to_owned(), database: None, folder })
    }

    /// A server on a new database of a PostgreSQL cluster.
    pub(crate) fn postgres(binary: &Path, cluster: &str) -> Outcome<Self> {
        let folder = scratch_folder()?;
        let database = ScratchDatabase::create(cluster)?;
        let server = Server::start(binary, folder.path(), &[("DATABASE_URL", &database.url())])?;
        Ok(Self { server, cluster: Some(cluster.to_owned()), binary: binary.to_owned(), database: Some(database), folder })
    }

    /// Starts the server anew: it has forgotten everything that it only remembered. SQLite without further settings alone.
    pub(crate) fn restart(&mut self) -> Outcome<()> {
        self.server.child.stop()?;
        self.server = Server::start(&self.binary, self.folder.path(), &[])?;
        Ok(())
    }

    /// Does what an operator does, on SQLite.
    pub(crate) fn operate(&self, args: &[&str]) -> Outcome<()> {
        run(&mut program(&self.binary, self.folder.path(), self.server.addr, &[]), args)
    }

    /// The file of its SQLite database.
    pub(crate) fn database_file(&self) -> PathBuf {
        self.folder.path().join("data/realmgate.db")
    }

    /// Stops the server, lets `change` have the database for itself, and starts the server again.
    pub(crate) fn without_server<T>(&mut self, change: impl FnOnce(&Seed<'_>) -> Outcome<T>) -> Outcome<T> {
        self.server.child.stop()?;
        let data = self.folder.path().join("data");
        let postgres = self.database.as_ref().map(ScratchDatabase::url);
        let url = postgres.clone().unwrap_or_else(|| format!("sqlite://{}", data.join("realmgate.db").display()));
        let changed = change(&Seed { data: &data, url: &url })?;
        let settings: Vec<_> = postgres.iter().map(|url| ("DATABASE_URL", url.as_str())).collect();
        self.server = Server::start(&self.binary, self.folder.path(), &settings)?;
        Ok(changed)
    }
}

/// A folder on the build's disk that goes when it is dropped.
pub(crate) fn scratch_folder() -> Outcome<tempfile::TempDir> {
    let place = env!("CARGO_TARGET_TMPDIR");
    std::fs::create_dir_all(place)?;
    Ok(tempfile::Builder::new().prefix("bench-").tempdir_in(place)?)
}

/// A database in a PostgreSQL cluster that goes when it is dropped.
pub(crate) struct ScratchDatabase {
    cluster: String,
    name: String,
}

impl ScratchDatabase {
    /// Makes it; `cluster` is the URL of any database of the cluster.
    pub(crate) fn create(cluster: &str) -> Outcome<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("realmgate_bench_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        run_sql(cluster, &format!("CREATE DATABASE {name}"))?;
        Ok(Self { cluster: cluster.to_owned(), name })
    }

    /// Its address.
    pub(crate) fn url(&self) -> String {
        let (server, _) = self.cluster.rsplit_once('/').unwrap_or((&self.cluster, ""));
        format!("{server}/{}", self.name)
    }
}

impl Drop for ScratchDatabase {
    fn drop(&mut self) {
        // FORCE, because connections of a killed server linger for a moment.
        if let Err(fault) = run_sql(&self.cluster, &format!("DROP DATABASE {} WITH (FORCE)", self.name)) {
            eprintln!("database {} is left behind: {fault}", self.name);
        }
    }
}

fn run_sql(url: &str, sql: &str) -> Outcome<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let mut options = ConnectOptions::new(url);
        options.max_connections(1).sqlx_logging(false);
        let db = Database::connect(options).await?;
        db.execute_unprepared(sql).await?;
        db.close().await?;
        Ok(())
    })
}

//! A PostgreSQL server of the cases' own, so that it may be stopped, frozen and killed.
//!
//! It does not flush to disk, but commits before it answers: what is killed here is processes, never the machine.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use sea_orm::{ConnectOptions, ConnectionTrait as _, Database, Statement};
use tempfile::TempDir;

pub struct Cluster {
    bin: PathBuf,
    folder: TempDir,
    pub port: u16,
    databases: AtomicU32,
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|out| out.stdout.starts_with(b"0\n"))
}

/// Debian keeps the server's programs out of `PATH`.
fn find() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut found: Vec<_> = versions.flatten().map(|entry| entry.path().join("bin")).filter(|bin| bin.join("initdb").exists()).collect();
    found.sort();
    found.pop()
}

impl Cluster {
    pub fn start() -> Option<Self> {
        let bin = find()?;
        let folder = TempDir::new().expect("a temporary folder");
        if is_root() {
            let done = Command::new("chown").arg("postgres").arg(folder.path()).status().ok()?;
            assert!(done.success(), "the server refuses to run as root, and there is no user `postgres`");
        }
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        drop(listener);
        let cluster = Self { bin, folder, port, databases: AtomicU32::new(0) };
        let made = cluster.run("initdb", &["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]);
        assert!(made, "initdb works");
        cluster.up();
        Some(cluster)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn run(&self, program: &str, args: &[&str]) -> bool {
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(self.bin.join(program));
            command
        } else {
            Command::new(self.bin.join(program))
        };
        command.current_dir(self.folder.path()).arg("--pgdata").arg(self.data()).args(args);
        command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }

    /// Starts it, on the same port each time.
    pub fn up(&self) {
        let options =
            format!("-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=200 -c fsync=off -c full_page_writes=off", self.port);
        let log = self.folder.path().join("server.log").display().to_string();
        assert!(self.run("pg_ctl", &["start", "--wait", "--silent", "--log", &log, "--options", &options]), "PostgreSQL starts; see {log}");
    }

    /// Stops it: `fast` says goodbye to clients, `immediate` is a crash.
    pub fn down(&self, mode: &str) {
        assert!(self.run("pg_ctl", &["stop", "--wait", "--silent", "--mode", mode]), "PostgreSQL stops");
    }

    /// Stops every process of the server in its tracks.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let file = std::fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default();
        let Some(parent) = file.lines().next().map(str::to_owned) else { return };
        let mut all = children(&parent);
        all.insert(0, parent);
        // A child that ended meanwhile is no matter.
        let _ = Command::new("kill").arg(signal).args(&all).stderr(std::process::Stdio::null()).status();
    }

    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// A database of its own.
    pub async fn fresh(&self) -> String {
        let name = format!("faults_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        execute(&self.url("postgres"), &format!("CREATE DATABASE {name}")).await;
        self.url(&name)
    }

    /// All of a database as text.
    pub fn dump(&self, url: &str) -> Vec<u8> {
        let done = Command::new(self.bin.join("pg_dump")).arg("--inserts").arg(url).output().expect("pg_dump runs");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        done.stdout
    }

    /// Kills every connection but its own.
    pub async fn kill_backends(&self) {
        let query = "SELECT CAST(pg_terminate_backend(pid) AS TEXT) AS v FROM pg_stat_activity WHERE application_name = 'realmgate'";
        rows(&self.url("postgres"), query).await;
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.thaw();
        self.run("pg_ctl", &["stop", "--wait", "--silent", "--mode", "immediate"]);
    }
}

/// Processes whose parent is `parent` (the fourth field of `/proc/<pid>/stat`, after a name in brackets).
fn children(parent: &str) -> Vec<String> {
    let is_child = |path: &Path| {
        let stat = std::fs::read_to_string(path.join("stat")).unwrap_or_default();
        stat.rsplit_once(')').is_some_and(|(_, rest)| rest.split_whitespace().nth(1) == Some(parent))
    };
    let processes = std::fs::read_dir("/proc").expect("a system with /proc").flatten();
    processes.filter(|entry| is_child(&entry.path())).filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

async fn connect(url: &str) -> sea_orm::DatabaseConnection {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    Database::connect(options).await.expect("the database answers")
}

pub async fn execute(url: &str, sql: &str) -> u64 {
    let connection = connect(url).await;
    let done = connection.execute_unprepared(sql).await.expect("a statement");
    connection.close().await.expect("closed");
    done.rows_affected()
}

/// The column `v` of each row.
pub async fn rows(url: &str, query: &str) -> Vec<String> {
    let connection = connect(url).await;
    let backend = connection.get_database_backend();
    let rows = connection.query_all_raw(Statement::from_string(backend, query)).await.expect("rows");
    let texts = rows.iter().map(|row| row.try_get::<String>("", "v").expect("text")).collect();
    connection.close().await.expect("closed");
    texts
}

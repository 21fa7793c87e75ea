//! A backup is taken while people sign up; restored elsewhere it holds everybody who was accepted before it began.

use std::{
    path::Path,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    Backend, Database, PASSWORD,
    server::{Server, eventually, program},
};

/// Whom the database knows.
fn known(folder: &Path, settings: &[(&str, &str)]) -> Vec<String> {
    let output = program(folder, settings).args(["user", "list", "--limit", "100000", "--json"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let list: Value = serde_json::from_slice(&output.stdout).unwrap();
    list["items"].as_array().unwrap().iter().map(|user| user["email"].as_str().unwrap().to_owned()).collect()
}

async fn a_backup_under_load_is_whole(backend: Backend) {
    let Some(database) = Database::fresh(backend).await else { return };
    let folder = database.folder.path();
    let settings = [("DATABASE_URL", database.url.as_str())];
    let server = Arc::new(Server::start(folder, "a", &settings).await);
    let ada = server.user("ada@example.com").await;
    // The ledger outside the service: who was accepted.
    let ledger = Arc::new(Mutex::new(Vec::new()));
    let enough = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let (server, ledger, enough) = (Arc::clone(&server), Arc::clone(&ledger), Arc::clone(&enough));
            tokio::spawn(async move {
                for number in 0.. {
                    if enough.load(Ordering::Relaxed) {
                        return;
                    }
                    let email = format!("w{writer}n{number}@example.com");
                    let body = json!({ "name": "Writer", "email": email, "password": PASSWORD });
                    assert_eq!(server.post("/api/v1/auth/signup", "", &body).await.0, 202);
                    ledger.lock().unwrap().push(email);
                }
            })
        })
        .collect();
    eventually("some were accepted", async || (ledger.lock().unwrap().len() >= 40).then_some(())).await;
    let before: Vec<String> = ledger.lock().unwrap().clone();
    let target = folder.join("copy.backup");
    let backup = || program(folder, &settings).args(["backup", target.to_str().unwrap()]).output().unwrap();
    let output = tokio::task::block_in_place(backup);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("master"), "it says what else to keep");
    let during = ledger.lock().unwrap().len() - before.len();
    eventually("writing went on", async || (ledger.lock().unwrap().len() > before.len() + during).then_some(())).await;
    assert_eq!(tokio::task::block_in_place(backup).status.code(), Some(2), "a backup is never written over");
    enough.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    Arc::into_inner(server).unwrap().kill();

    let elsewhere = Database::fresh(backend).await.unwrap();
    restore(backend, &target, &elsewhere);
    let folder = TempDir::new().unwrap();
    std::fs::copy(database.folder.path().join("master.key"), folder.path().join("master.key")).unwrap();
    let settings = [("DATABASE_URL", elsewhere.url.as_str())];
    let found = known(folder.path(), &settings);
    let lost: Vec<_> = before.iter().filter(|email| !found.contains(email)).collect();
    assert!(lost.is_empty(), "{} of {} were accepted before the backup and are not in it: {lost:?}", lost.len(), before.len());
    println!("{backend:?}: {} accepted before, {during} while it was taken, {} in it", before.len(), found.len());
    // And it is a service, not only rows: the session goes on under the same keys.
    let server = Server::start(folder.path(), "b", &settings).await;
    assert_eq!(server.status("/api/v1/me", &ada.access).await, 200);
    server.log_in("ada@example.com").await;
    server.stop().await;
}

/// What the README says.
fn restore(backend: Backend, backup: &Path, to: &Database) {
    match backend {
        Backend::Sqlite => {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(std::fs::metadata(backup).unwrap().permissions().mode() & 0o777, 0o600, "nobody else reads it");
            std::fs::copy(backup, to.url.strip_prefix("sqlite://").unwrap()).unwrap();
        }
        Backend::Postgres => {
            let output = Command::new("pg_restore").args(["--no-owner", "--exit-on-error", "--dbname", &to.url]).arg(backup).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_backup_of_sqlite_under_load_is_whole() {
    a_backup_under_load_is_whole(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_backup_of_postgres_under_load_is_whole() {
    a_backup_under_load_is_whole(Backend::Postgres).await;
}

#[test]
fn a_backup_of_nothing_is_refused() {
    let folder = TempDir::new().unwrap();
    let output = program(folder.path(), &[]).args(["backup", "copy.db"]).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && text.contains("there is no database"), "{text}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
}

//! Migrations when things go wrong: a process that dies at each statement, several at once, an old version on a new
//! schema.

use std::{collections::BTreeSet, process::Stdio, time::Duration};

use migration::{Migrator, MigratorTrait as _};
use realmgate::{
    domain::Error,
    store::{self, connection::Address, migrate::migrate},
};
use sea_orm::{ConnectionTrait as _, DatabaseConnection, Statement};
use tempfile::TempDir;

use crate::support::{Backend, Database, server::program};

fn address(database: &Database) -> Address {
    Address { url: database.url.clone().into(), max_connections: 2 }
}

async fn connect(url: &str) -> DatabaseConnection {
    let mut options = sea_orm::ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    sea_orm::Database::connect(options).await.expect("a connection")
}

/// Every object of the schema in words.
async fn schema(url: &str) -> BTreeSet<String> {
    let connection = connect(url).await;
    let backend = connection.get_database_backend();
    let select = match backend {
        sea_orm::DbBackend::Postgres => {
            "SELECT table_name || ' ' || column_name || ' ' || data_type FROM information_schema.columns WHERE table_schema = 'public' \
             UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' \
             UNION ALL SELECT conrelid::regclass || ' ' || pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid <> 0 AND connamespace = 'public'::regnamespace"
        }
        _ => "SELECT coalesce(sql, name) FROM sqlite_master",
    };
    let rows = connection.query_all_raw(Statement::from_string(backend, select)).await.expect("a schema");
    connection.close().await.expect("closed");
    rows.iter().map(|row| row.try_get_by_index(0).expect("a text")).collect()
}

fn steps() -> Vec<String> {
    Migrator::migrations().iter().map(|step| step.name().to_owned()).collect()
}

async fn several_at_once(backend: Backend) {
    let Some(database) = Database::fresh(backend).await else { return };
    let address = address(&database);
    let tasks: Vec<_> = (0..6)
        .map(|_| {
            tokio::spawn({
                let address = address.clone();
                async move { migrate(&address).await }
            })
        })
        .collect();
    let mut applied = Vec::new();
    for task in tasks {
        applied.push(task.await.unwrap().expect("nobody fails"));
    }
    applied.retain(|steps| !steps.is_empty());
    assert_eq!(applied, [steps()], "one of them does all of it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_that_start_at_once_one_migrates_sqlite() {
    several_at_once(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_that_start_at_once_one_migrates_postgres() {
    several_at_once(Backend::Postgres).await;
}

async fn a_newer_schema_is_refused(backend: Backend) {
    let Some(database) = Database::fresh(backend).await else { return };
    migrate(&address(&database)).await.unwrap();
    let connection = connect(&database.url).await;
    connection.execute_unprepared("INSERT INTO seaql_migrations (version, applied_at) VALUES ('m9999_from_the_future', 0)").await.unwrap();
    connection.close().await.unwrap();
    let before = schema(&database.url).await;
    for result in [migrate(&address(&database)).await.map(drop), store::migration_plan::plan(&address(&database)).await.map(drop)] {
        let Err(Error::Setup(text)) = result else { panic!("it was not refused: {result:?}") };
        assert!(text.contains("m9999_from_the_future") && text.contains("newer version") && text.lines().count() == 1, "{text}");
    }
    let output = program(database.folder.path(), &[("DATABASE_URL", &database.url)]).arg("serve").output().unwrap();
    assert_eq!(output.status.code(), Some(2), "settings, not a crash: {}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(schema(&database.url).await, before, "nothing was touched");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_version_refuses_a_newer_schema_on_sqlite() {
    a_newer_schema_is_refused(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_version_refuses_a_newer_schema_on_postgres() {
    a_newer_schema_is_refused(Backend::Postgres).await;
}

/// A trigger counts statements in a sequence, which no rollback turns back, and ends the connection at a given one.
const KILLER: &str = "CREATE SCHEMA killer; CREATE SEQUENCE killer.statements;
    CREATE FUNCTION killer.strike() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
        IF nextval('killer.statements') = current_setting('killer.at')::bigint THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF;
    END $$;
    CREATE EVENT TRIGGER strike ON ddl_command_end EXECUTE FUNCTION killer.strike();";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_that_dies_at_any_statement_is_completed_by_the_next_postgres() {
    let Some(whole) = Database::fresh(Backend::Postgres).await else { return };
    migrate(&address(&whole)).await.unwrap();
    let wanted = schema(&whole.url).await;
    // One database for all rounds: each takes up where the last one died, with its own statement to die at.
    let (mut deaths, mut round) = (0, 0);
    loop {
        round += 1;
        let database = Database::fresh(Backend::Postgres).await.unwrap();
        let connection = connect(&database.url).await;
        let name = database.url.rsplit('/').next().unwrap();
        connection.execute_unprepared(&format!("ALTER DATABASE {name} SET killer.at = '{round}'")).await.unwrap();
        connection.execute_unprepared(&format!("SET killer.at = '0'; {KILLER}")).await.unwrap();
        connection.execute_unprepared("SELECT setval('killer.statements', 1, false)").await.unwrap();
        connection.close().await.unwrap();
        let died = migrate(&address(&database)).await.is_err();
        deaths += usize::from(died);
        migrate(&address(&database)).await.expect("the next one completes");
        assert_eq!(schema(&database.url).await, wanted, "after a death at statement {round}");
        assert!(migrate(&address(&database)).await.unwrap().is_empty());
        if !died {
            break;
        }
    }
    assert!(deaths >= steps().len(), "only {deaths} deaths");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_that_is_killed_at_any_moment_is_completed_by_the_next_sqlite() {
    let whole = Database::fresh(Backend::Sqlite).await.unwrap();
    migrate(&address(&whole)).await.unwrap();
    let wanted = schema(&whole.url).await;
    let mut unfinished = 0;
    for round in 0..400 {
        let folder = TempDir::new().unwrap();
        let mut child = program(folder.path(), &[]).arg("migrate").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // The moment itself is what the test is about: a little later each time, until the child is done before it.
        tokio::time::sleep(Duration::from_millis(4 * round)).await;
        let over = child.try_wait().unwrap().is_some();
        let _ = child.kill();
        child.wait().unwrap();
        let url = format!("sqlite://{}?mode=rwc", folder.path().join("realmgate.db").display());
        let address = Address { url: url.clone().into(), max_connections: 2 };
        let rest = migrate(&address).await.expect("the next one completes");
        unfinished += usize::from(!rest.is_empty() && rest.len() < steps().len());
        assert_eq!(schema(&url).await, wanted, "after {} ms", 4 * round);
        if over {
            break;
        }
    }
    println!("killed between two steps: {unfinished} times");
}

//! What pending steps would do, statement by statement, and which locks that takes: for whoever must choose the hour.
//!
//! The steps run against a connection that writes down and executes nothing, so that the plan can't differ from the deed.

use std::collections::BTreeMap;

use migration::{Migrator, MigratorTrait as _, SchemaManager};
use sea_orm::{DatabaseConnection, DbBackend, MockDatabase, MockExecResult, Value};
use serde::Serialize;

use super::{connection::Address, migrate};
use crate::domain::Result;

/// More statements than any step has.
const MOST: usize = 200;

/// A step that would be taken, as one transaction: what it locks stays locked until its end.
#[derive(Clone, Debug, Serialize)]
pub struct PlannedStep {
    pub name: String,
    pub statements: Vec<PlannedStatement>,
}

/// One statement of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlannedStatement {
    /// What it does to what.
    pub action: String,
    /// What waits meanwhile.
    pub lock: String,
}

/// The plan for a database. Changes nothing and locks nothing.
///
/// # Errors
/// As [`migrate::migrate`].
pub async fn plan(address: &Address) -> Result<Vec<PlannedStep>> {
    let pending = migrate::pending(address).await?;
    let backend = if address.sqlite_path().is_some() { DbBackend::Sqlite } else { DbBackend::Postgres };
    let mut fresh = Vec::new();
    let mut steps = Vec::new();
    for step in Migrator::migrations().into_iter().filter(|step| pending.iter().any(|name| name == step.name())) {
        let paper = paper(backend);
        let whole = step.up(&SchemaManager::new(&paper)).await.is_ok();
        let written = paper.into_transaction_log();
        let written = written.iter().flat_map(sea_orm::Transaction::statements);
        let mut statements: Vec<_> = written.filter_map(|statement| describe(&statement.sql, backend, &mut fresh)).collect();
        if !whole {
            statements.push(PlannedStatement { action: "and more".to_owned(), lock: "depends on what the tables hold".to_owned() });
        }
        steps.push(PlannedStep { name: step.name().to_owned(), statements });
    }
    Ok(steps)
}

/// A connection that takes everything down and finds every table empty.
fn paper(backend: DbBackend) -> DatabaseConnection {
    let nothing: Vec<BTreeMap<String, Value>> = Vec::new();
    let done = MockExecResult { last_insert_id: 0, rows_affected: 0 };
    MockDatabase::new(backend).append_exec_results(vec![done; MOST]).append_query_results(vec![nothing; MOST]).into_connection()
}

/// Puts a statement into words; `None` if it only reads. `fresh` gathers tables of the plan itself, which nobody waits for.
fn describe(sql: &str, backend: DbBackend, fresh: &mut Vec<String>) -> Option<PlannedStatement> {
    let plain = sql.replace(['"', '(', ')'], " ");
    let words: Vec<&str> = plain.split_whitespace().collect();
    let upper: Vec<String> = words.iter().map(|word| word.to_uppercase()).collect();
    let verb = upper.first()?.as_str();
    let after = |word: &str| {
        let at = upper.iter().position(|known| known == word)?;
        let skipped = upper[at + 1..].iter().take_while(|word| matches!(word.as_str(), "IF" | "NOT" | "EXISTS" | "ONLY")).count();
        words.get(at + 1 + skipped).map(|name| (*name).to_owned())
    };
    let index = verb == "CREATE" && upper.iter().take(3).any(|word| word == "INDEX");
    let (action, table) = match verb {
        "SELECT" | "PRAGMA" => return None,
        "CREATE" if index => (format!("create index {}", after("INDEX")?), after("ON")?),
        "CREATE" if upper.get(1).is_some_and(|word| word == "TABLE") => (format!("create table {}", after("TABLE")?), after("TABLE")?),
        "ALTER" | "DROP" if upper.get(1).is_some_and(|word| word == "TABLE") => (format!("{} table {}", verb.to_lowercase(), after("TABLE")?), after("TABLE")?),
        "UPDATE" => (format!("update rows of {}", after("UPDATE")?), after("UPDATE")?),
        "INSERT" => (format!("insert rows into {}", after("INTO")?), after("INTO")?),
        "DELETE" => (format!("delete rows of {}", after("FROM")?), after("FROM")?),
        _ => (words.iter().take(4).copied().collect::<Vec<_>>().join(" ").to_lowercase(), String::new()),
    };
    let made_here = fresh.contains(&table);
    let lock = if backend != DbBackend::Postgres {
        "the file's write lock: writes wait, reads go on".to_owned()
    } else if action.starts_with("create table") {
        let mut pointed: Vec<&str> = upper.iter().zip(words.iter().skip(1)).filter(|(word, _)| *word == "REFERENCES").map(|(_, name)| *name).collect();
        pointed.retain(|name| *name != table && !fresh.iter().any(|known| known == name));
        pointed.dedup();
        if pointed.is_empty() { "none: the table is new".to_owned() } else { format!("SHARE ROW EXCLUSIVE on {}: writes wait", pointed.join(", ")) }
    } else if made_here {
        "none: the table is new".to_owned()
    } else {
        match verb {
            "CREATE" if index => format!("SHARE on {table} until the index is built: writes wait, reads go on"),
            "UPDATE" | "INSERT" | "DELETE" => format!("ROW EXCLUSIVE on {table}: other writers of the same rows wait"),
            _ => format!("ACCESS EXCLUSIVE on {table}: reads and writes wait"),
        }
    };
    if action.starts_with("create table") {
        fresh.push(table);
    }
    Some(PlannedStatement { action, lock })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_put_into_words() {
        let mut fresh = vec!["new".to_owned()];
        let cases = [
            (r#"CREATE TABLE "made" ( "id" uuid, FOREIGN KEY ("a") REFERENCES "old" ("id") )"#, "create table made", "SHARE ROW EXCLUSIVE on old: writes wait"),
            (r#"CREATE UNIQUE INDEX "ix" ON "made" ("id")"#, "create index ix", "none: the table is new"),
            (r#"CREATE INDEX IF NOT EXISTS "ix" ON "old" ("id")"#, "create index ix", "SHARE on old until the index is built: writes wait, reads go on"),
            (r#"ALTER TABLE "old" ADD COLUMN "x" text"#, "alter table old", "ACCESS EXCLUSIVE on old: reads and writes wait"),
            (r#"UPDATE "old" SET "x" = 1"#, "update rows of old", "ROW EXCLUSIVE on old: other writers of the same rows wait"),
            (r#"INSERT INTO "new" ("x") VALUES (1)"#, "insert rows into new", "none: the table is new"),
        ];
        for (sql, action, lock) in cases {
            let found = describe(sql, DbBackend::Postgres, &mut fresh).unwrap();
            assert_eq!((found.action.as_str(), found.lock.as_str()), (action, lock));
        }
        assert_eq!(describe("SELECT 1", DbBackend::Postgres, &mut fresh), None);
        assert!(describe("DROP TABLE x", DbBackend::Sqlite, &mut fresh).unwrap().lock.contains("reads go on"));
    }
}

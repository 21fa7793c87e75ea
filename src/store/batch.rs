//! Statements that go together and whose outcome nobody asks for, one after the other.
//!
//! On SQLite each call costs two thread switches, to the connection's thread and back: a batch costs that once. Postgres
//! takes one prepared statement a call, so it gets them one by one. On a pool and not in a transaction each is its own.

use sea_orm::{ConnectionTrait, DbBackend, QueryResult, QueryTrait, Statement, StatementBuilder, Values};

use crate::domain::Result;

/// Writes that wait for [`Batch::run`]. Nothing is written without it.
#[derive(Debug)]
#[must_use]
pub struct Batch {
    backend: DbBackend,
    statements: Vec<Statement>,
}

impl Batch {
    /// An empty one for `db`.
    pub fn on(db: &impl ConnectionTrait) -> Self {
        Self { backend: db.get_database_backend(), statements: Vec::new() }
    }

    pub(super) fn add(&mut self, query: &impl QueryTrait) {
        self.add_plain(query.as_query());
    }

    /// For what the ORM has no words for.
    pub(super) fn add_plain(&mut self, query: &impl StatementBuilder) {
        self.statements.push(query.build(&self.backend));
    }

    /// Runs them in their order, up to the first that fails.
    ///
    /// # Errors
    /// What the database says.
    pub async fn run(self, db: &impl ConnectionTrait) -> Result<()> {
        for statement in self.calls() {
            db.execute_raw(statement).await?;
        }
        Ok(())
    }

    /// The same; answers the rows that they return, all in one list.
    pub(super) async fn rows(self, db: &impl ConnectionTrait) -> Result<Vec<QueryResult>> {
        let mut rows = Vec::new();
        for statement in self.calls() {
            rows.extend(db.query_all_raw(statement).await?);
        }
        Ok(rows)
    }

    fn calls(self) -> Vec<Statement> {
        if self.backend == DbBackend::Sqlite { joined(self.statements) } else { self.statements }
    }
}

/// All in one: SQLite's parameters have no numbers, each statement takes the next ones.
fn joined(statements: Vec<Statement>) -> Vec<Statement> {
    let (mut sql, mut values) = (String::new(), Vec::new());
    for statement in statements {
        if !sql.is_empty() {
            sql.push_str("; ");
        }
        sql.push_str(&statement.sql);
        values.extend(statement.values.into_iter().flatten());
    }
    if sql.is_empty() { Vec::new() } else { vec![Statement { sql, values: Some(Values(values)), db_backend: DbBackend::Sqlite }] }
}

//! What a database fault means to the one who asked: wait, repeat, or a fault of ours.

use sea_orm::{DbErr, RuntimeErr, SqlErr};

use crate::domain::Error;

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        match class(&error) {
            Class::Repeat => Self::Conflict(Box::new(error)),
            Class::Wait => Self::Unavailable(Box::new(error)),
            Class::Bug => Self::Internal(Box::new(error)),
        }
    }
}

enum Class {
    Repeat,
    Wait,
    Bug,
}

fn class(error: &DbErr) -> Class {
    let (DbErr::Exec(RuntimeErr::SqlxError(cause)) | DbErr::Query(RuntimeErr::SqlxError(cause)) | DbErr::Conn(RuntimeErr::SqlxError(cause))) = error else {
        return if matches!(error, DbErr::ConnectionAcquire(_) | DbErr::Conn(_)) { Class::Wait } else { Class::Bug };
    };
    match cause.as_ref() {
        sqlx::Error::Database(fault) => {
            let code = fault.code().unwrap_or_default();
            match code.as_ref() {
                // Postgres: serialization failure, deadlock. SQLite: busy, busy snapshot, locked.
                "40001" | "40P01" | "5" | "261" | "517" | "6" => Class::Repeat,
                // Postgres: statement cancelled, shutting down, out of resources, read-only. SQLite: full, I/O, read-only.
                "57014" | "57P01" | "57P02" | "57P03" | "25006" | "13" | "10" | "8" | "14" => Class::Wait,
                other if other.starts_with("53") || other.starts_with("08") || other.starts_with("58") => Class::Wait,
                // SQLite's extended codes keep the plain one in their low byte.
                other => match other.parse::<u32>().map(|code| code & 0xff) {
                    Ok(8 | 10 | 13 | 14) => Class::Wait,
                    Ok(5 | 6) if other.len() < 5 => Class::Repeat,
                    _ => Class::Bug,
                },
            }
        }
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => Class::Wait,
        _ => Class::Bug,
    }
}

/// Whether a statement failed because a unique value is in use.
pub(super) fn is_taken(error: &DbErr) -> bool {
    matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_)))
}

/// The fault of a statement that sets the unique `field`.
pub(super) fn taken(error: DbErr, field: &'static str) -> Error {
    if is_taken(&error) { Error::Taken { field } } else { error.into() }
}

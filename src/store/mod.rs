//! The only place with queries. One file a group of tables: its entity, and plain functions over it.
//!
//! Every function takes the connection first (a pool or a transaction alike) and its scope second. What changes a row
//! under a condition is one guarded statement whose affected rows are looked at; nothing is read to be written later.
//! Entities never leave this folder: callers see domain types.

pub mod accounts;
pub mod api_key_usage;
pub mod api_keys;
pub mod audit;
pub mod backup;
pub mod batch;
pub mod connection;
pub mod credentials;
pub mod devices;
pub mod factor_challenges;
pub mod factors;
pub mod fault;
pub mod held_tokens;
pub mod installation;
pub mod invitations;
pub mod jobs;
mod literal_limit;
pub mod mail_requests;
pub mod mailbox;
pub mod master_keys;
pub mod memberships;
pub mod migrate;
pub mod migration_plan;
pub mod nodes;
pub mod one_time_tokens;
pub mod passkey_ceremonies;
pub mod passkeys;
pub mod password_guesses;
mod plan_caps;
pub mod pool;
pub mod primitive;
pub mod realms;
pub mod recovery_codes;
pub mod revocations;
pub mod sessions;
pub mod shown_keys;
pub mod signing_keys;
pub mod sweep;
pub mod totp_secrets;
pub mod transaction;
pub mod users;

pub use connection::Db;
/// A write transaction that is not committed yet.
pub use pool::Transaction;
/// A pool or a transaction: what every function here takes first.
pub use sea_orm::ConnectionTrait as Connection;
pub use transaction::begin_write;
pub(crate) use transaction::write_tx;

/// Declares the entity of a table in a private module: the columns and nothing else. The schema itself, its keys and
/// its references are the migrations' business.
macro_rules! entity {
    ($table:literal { $($(#[$meta:meta])* $column:ident: $type:ty),+ $(,)? }) => {
        mod entity {
            use sea_orm::entity::prelude::*;
            #[allow(unused_imports, clippy::allow_attributes, reason = "which ids a table needs differs")]
            use crate::domain::id::*;
            #[allow(dead_code, clippy::allow_attributes, reason = "tables without instants exist")]
            type Instant = chrono::DateTime<chrono::Utc>;

            #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
            #[sea_orm(table_name = $table)]
            pub(in crate::store) struct Model {
                $($(#[$meta])* pub $column: $type,)+
            }

            #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
            pub(in crate::store) enum Relation {}

            impl ActiveModelBehavior for ActiveModel {}
        }
    };
}
use entity;

/// A stored word that its enum no longer knows: a row written by a newer version, or by hand.
fn unknown_word(table: &str, word: &str) -> crate::domain::Error {
    crate::domain::Error::internal(format!("{table} holds the unknown word `{word}`"))
}

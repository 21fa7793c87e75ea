//! The database schema of Realmgate, one file a step, the same on SQLite and on Postgres.
//!
//! Only portable column types. Unique and foreign keys carry the scope (`realm_id` or `account_id`), so that a row can't
//! point into another tenant even if the code above it were wrong. Steps only add: two versions of the service may run
//! beside each other during an upgrade.

mod m0001_accounts;
mod m0002_realms;
mod m0003_users;
mod m0004_sessions;
mod m0005_work;
mod m0008_devices;
mod m0009_keys;
mod m0010_page_sessions;
mod m0011_api_keys;
mod m0012_invitations;
mod m0013_nodes;
mod m0014_life;
mod m0016_factors;
mod m0021_opaque_tokens;

use sea_orm_migration::prelude::*;
pub use sea_orm_migration::prelude::{DbErr, MigratorTrait, SchemaManager};

/// All steps in order.
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_accounts::Step),
            Box::new(m0002_realms::Step),
            Box::new(m0003_users::Step),
            Box::new(m0004_sessions::Step),
            Box::new(m0005_work::Step),
            Box::new(m0008_devices::Step),
            Box::new(m0009_keys::Step),
            Box::new(m0010_page_sessions::Step),
            Box::new(m0011_api_keys::Step),
            Box::new(m0012_invitations::Step),
            Box::new(m0013_nodes::Step),
            Box::new(m0014_life::Step),
            Box::new(m0016_factors::Step),
            Box::new(m0021_opaque_tokens::Step),
        ]
    }
}

/// A foreign key from `columns` of `table` to `to_columns` of `to`.
fn reference(
    table: &'static str,
    columns: &[&'static str],
    to: &'static str,
    to_columns: &[&'static str],
    on_delete: ForeignKeyAction,
) -> ForeignKeyCreateStatement {
    let mut key = ForeignKey::create();
    key.name(format!("fk_{table}_{}", columns.join("_"))).on_delete(on_delete);
    for column in columns {
        key.from(Alias::new(table), Alias::new(*column));
    }
    for column in to_columns {
        key.to(Alias::new(to), Alias::new(*column));
    }
    key
}

/// A unique key over `columns`, to stand inside a `CREATE TABLE`.
fn unique(table: &'static str, columns: &[&'static str]) -> IndexCreateStatement {
    let mut key = Index::create();
    key.name(format!("uq_{table}_{}", columns.join("_"))).unique();
    for column in columns {
        key.col(Alias::new(*column));
    }
    key
}

/// Creates a plain index over `columns`.
async fn index(manager: &SchemaManager<'_>, table: &'static str, columns: &[&'static str]) -> Result<(), DbErr> {
    let mut key = Index::create();
    key.name(format!("ix_{table}_{}", columns.join("_"))).table(Alias::new(table));
    for column in columns {
        key.col(Alias::new(*column));
    }
    manager.create_index(key).await
}

/// A step that can't be undone: going back means restoring a backup.
fn no_way_back() -> Result<(), DbErr> {
    Err(DbErr::Migration("a downgrade is not offered: restore the backup taken before the upgrade".to_owned()))
}

/// Declares a step's boilerplate: its name, its transaction, and that there is no way back.
macro_rules! step {
    ($name:literal) => {
        /// This step.
        pub(crate) struct Step;

        impl sea_orm_migration::MigrationName for Step {
            fn name(&self) -> &str {
                $name
            }
        }

        #[async_trait::async_trait]
        impl MigrationTrait for Step {
            fn use_transaction(&self) -> Option<bool> {
                Some(true)
            }

            async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
                up(manager).await
            }

            async fn down(&self, _: &SchemaManager) -> Result<(), DbErr> {
                crate::no_way_back()
            }
        }
    };
}
use step;

//! When a signing key begins and ends to count, and which master keys stored values need.

use sea_orm_migration::{prelude::*, schema::*};

crate::step!("m0009_keys");

async fn up(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    // Both may be empty: a key without them signs from its making on, and verifies for good.
    for column in ["signs_from", "verifies_until"] {
        let mut keys = Table::alter();
        keys.table("signing_keys").add_column(timestamp_with_time_zone_null(column));
        manager.alter_table(keys).await?;
    }
    let mut master = Table::create();
    master.table("master_keys").col(string("id").primary_key()).col(text("sealed")).col(timestamp_with_time_zone("created_at"));
    manager.create_table(master).await
}

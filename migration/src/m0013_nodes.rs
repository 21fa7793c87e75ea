//! Which nodes run: each stamps its row every few seconds, so that all know among how many a limit is shared.

use sea_orm_migration::{prelude::*, schema::*};

crate::step!("m0013_nodes");

async fn up(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let mut nodes = Table::create();
    nodes.table("nodes").col(uuid("id").primary_key()).col(timestamp_with_time_zone("seen_at"));
    manager.create_table(nodes).await
}

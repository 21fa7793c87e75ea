//! Sessions that a cookie of the pages carries: the hash of its secret stands in the session's own row.

use sea_orm_migration::{prelude::*, schema::*};

crate::step!("m0010_page_sessions");

async fn up(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let mut sessions = Table::alter();
    sessions.table("sessions").add_column(string_null("cookie_hash"));
    manager.alter_table(sessions).await
}

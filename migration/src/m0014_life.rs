//! What the life of a person's account needs: the language of whoever caused a mail, where devices were used, and ways to
//! find the trail of one person.

use sea_orm_migration::{prelude::*, schema::*};

crate::step!("m0014_life");

async fn up(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let mut jobs = Table::alter();
    jobs.table("jobs").add_column(string_null("language"));
    manager.alter_table(jobs).await?;

    let mut devices = Table::alter();
    devices.table("devices").add_column(string_null("network"));
    manager.alter_table(devices).await?;

    crate::index(manager, "audit_events", &["subject_user_id"]).await?;
    crate::index(manager, "audit_events", &["actor_user_id"]).await
}

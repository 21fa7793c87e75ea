//! The devices that people sign in with, and the count of wrong passwords for each account and place.

use sea_orm_migration::{prelude::*, schema::*};

use crate::{reference, unique};

crate::step!("m0008_devices");

async fn up(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let mut devices = Table::create();
    devices
        .table("devices")
        .col(uuid("id").primary_key())
        .col(uuid("realm_id"))
        .col(uuid("user_id"))
        .col(string("token_hash"))
        .col(string("name"))
        .col(timestamp_with_time_zone("created_at"))
        .col(timestamp_with_time_zone("last_used_at"))
        .col(timestamp_with_time_zone_null("forgotten_at"))
        .index(&mut unique("devices", &["realm_id", "id"]))
        .foreign_key(&mut reference("devices", &["realm_id", "user_id"], "users", &["realm_id", "id"], ForeignKeyAction::Cascade));
    manager.create_table(devices).await?;
    crate::index(manager, "devices", &["realm_id", "user_id", "last_used_at"]).await?;
    crate::index(manager, "devices", &["last_used_at"]).await?;

    let mut guesses = Table::create();
    guesses
        .table("password_guesses")
        .col(uuid("realm_id"))
        .col(string("account_key"))
        // Empty for the account as a whole.
        .col(string("place"))
        .col(integer("attempts"))
        .col(integer("guesses"))
        .col(timestamp_with_time_zone("blocked_until"))
        .col(timestamp_with_time_zone_null("welcome_until"))
        .col(timestamp_with_time_zone("updated_at"))
        .primary_key(Index::create().col("realm_id").col("account_key").col("place"))
        .foreign_key(&mut reference("password_guesses", &["realm_id"], "realms", &["id"], ForeignKeyAction::Cascade));
    manager.create_table(guesses).await?;
    crate::index(manager, "password_guesses", &["updated_at"]).await
}

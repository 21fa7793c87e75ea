//! API keys, how often each was used, and room in the audit trail for what is no user.

use sea_orm_migration::{prelude::*, schema::*};

use crate::{reference, unique};

crate::step!("m0011_api_keys");

async fn up(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let mut keys = Table::create();
    keys.table("api_keys")
        .col(uuid("id").primary_key())
        .col(uuid("account_id"))
        .col(uuid("realm_id"))
        // No reference: a key outlives who made it.
        .col(uuid_null("created_by"))
        .col(string("name"))
        .col(string("prefix"))
        .col(string("last4"))
        .col(string("secret_hash"))
        .col(text("scopes"))
        .col(text("ip_allowlist"))
        .col(integer_null("rate_limit"))
        .col(timestamp_with_time_zone_null("expires_at"))
        .col(timestamp_with_time_zone_null("revoked_at"))
        .col(uuid_null("replaced_by"))
        .col(timestamp_with_time_zone_null("last_used_at"))
        .col(string_null("last_used_ip"))
        .col(timestamp_with_time_zone("created_at"))
        .col(timestamp_with_time_zone("updated_at"))
        .index(&mut unique("api_keys", &["account_id", "id"]))
        .foreign_key(&mut reference("api_keys", &["account_id"], "accounts", &["id"], ForeignKeyAction::Cascade))
        .foreign_key(&mut reference("api_keys", &["realm_id"], "realms", &["id"], ForeignKeyAction::Cascade));
    manager.create_table(keys).await?;

    let mut usage = Table::create();
    usage
        .table("api_key_usage")
        .col(uuid("account_id"))
        .col(uuid("key_id"))
        .col(timestamp_with_time_zone("hour"))
        .col(string("outcome"))
        .col(big_integer("count"))
        // No references: counts are written in batches, and one of a key that is gone must not keep out the others.
        .primary_key(Index::create().col("account_id").col("key_id").col("hour").col("outcome"));
    manager.create_table(usage).await?;
    crate::index(manager, "api_key_usage", &["account_id", "hour"]).await?;

    manager.alter_table(Table::alter().table("audit_events").add_column(uuid_null("target_id")).to_owned()).await?;
    manager.alter_table(Table::alter().table("audit_events").add_column(uuid_null("actor_key_id")).to_owned()).await
}

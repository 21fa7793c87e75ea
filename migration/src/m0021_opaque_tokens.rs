//! Opaque tokens of the Converse and Conversant dialects.

use sea_orm_migration::{prelude::*, schema::*};

use crate::{reference, unique};

crate::step!("m0021_opaque_tokens");

async fn up(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let mut tokens = Table::create();
    tokens
        .table("opaque_tokens")
        .col(uuid("id"))
        .col(uuid("realm_id"))
        .col(string("kind"))
        // Empty for a token that an account's key brought.
        .col(uuid_null("user_id"))
        // Empty for a token that follows its person's places.
        .col(uuid_null("account_id"))
        .col(string("token_hash"))
        .col(string("prefix"))
        .col(string("amr"))
        // Seconds; empty for a token that never ends.
        .col(big_integer_null("timeout"))
        .col(boolean("auto_renew"))
        .col(timestamp_with_time_zone("created_at"))
        .col(timestamp_with_time_zone_null("last_used_at"))
        .col(timestamp_with_time_zone_null("expires_at"))
        .col(timestamp_with_time_zone_null("ended_at"))
        .primary_key(Index::create().col("realm_id").col("id"))
        .index(&mut unique("opaque_tokens", &["kind", "token_hash"]))
        .foreign_key(&mut reference("opaque_tokens", &["realm_id"], "realms", &["id"], ForeignKeyAction::Cascade))
        .foreign_key(&mut reference("opaque_tokens", &["realm_id", "user_id"], "users", &["realm_id", "id"], ForeignKeyAction::Cascade))
        .foreign_key(&mut reference("opaque_tokens", &["account_id"], "accounts", &["id"], ForeignKeyAction::Cascade));
    manager.create_table(tokens).await?;
    crate::index(manager, "opaque_tokens", &["realm_id", "user_id", "created_at"]).await?;
    crate::index(manager, "opaque_tokens", &["account_id"]).await?;
    crate::index(manager, "opaque_tokens", &["expires_at"]).await
}

//! Sessions, mailed one-time tokens, and the growing list of what was ended.

use sea_orm_migration::{prelude::*, schema::*};

use crate::{reference, unique};

crate::step!("m0004_sessions");

async fn up(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let mut sessions = Table::create();
    sessions
        .table("sessions")
        .col(uuid("id"))
        .col(uuid("realm_id"))
        .col(uuid("user_id"))
        .col(string("device"))
        .col(text("user_agent"))
        .col(string("ip"))
        .col(string("amr"))
        .col(timestamp_with_time_zone("auth_time"))
        .col(timestamp_with_time_zone("created_at"))
        .col(timestamp_with_time_zone("last_used_at"))
        .col(timestamp_with_time_zone("expires_at"))
        // How often it was refreshed, when last, and since when in quick succession.
        .col(integer("generation"))
        .col(timestamp_with_time_zone_null("rotated_at"))
        .col(integer("burst_generation"))
        .col(timestamp_with_time_zone_null("burst_at"))
        .col(timestamp_with_time_zone_null("ended_at"))
        .col(string_null("end_reason"))
        .primary_key(Index::create().col("realm_id").col("id"))
        .foreign_key(&mut reference("sessions", &["realm_id", "user_id"], "users", &["realm_id", "id"], ForeignKeyAction::Cascade));
    manager.create_table(sessions).await?;
    crate::index(manager, "sessions", &["realm_id", "user_id", "created_at"]).await?;
    crate::index(manager, "sessions", &["expires_at"]).await?;

    let mut tokens = Table::create();
    tokens
        .table("one_time_tokens")
        .col(uuid("id").primary_key())
        .col(uuid("realm_id"))
        .col(uuid("user_id"))
        .col(string("purpose"))
        .col(string("nonce"))
        .col(string("token_hash"))
        .col(string("email"))
        .col(text_null("pending_secret"))
        .col(string_null("pending_name"))
        .col(integer("tries"))
        .col(timestamp_with_time_zone("created_at"))
        .col(timestamp_with_time_zone("expires_at"))
        .col(timestamp_with_time_zone_null("consumed_at"))
        .index(&mut unique("one_time_tokens", &["realm_id", "purpose", "token_hash"]))
        .foreign_key(&mut reference("one_time_tokens", &["realm_id", "user_id"], "users", &["realm_id", "id"], ForeignKeyAction::Cascade));
    manager.create_table(tokens).await?;
    crate::index(manager, "one_time_tokens", &["realm_id", "user_id", "purpose"]).await?;
    crate::index(manager, "one_time_tokens", &["realm_id", "email"]).await?;

    let mut revocations = Table::create();
    revocations
        .table("revocations")
        .col(big_integer("seq").auto_increment().primary_key())
        .col(uuid("realm_id"))
        .col(string("kind"))
        .col(uuid("subject_id"))
        .col(string("reason"))
        .col(timestamp_with_time_zone("created_at"));
    manager.create_table(revocations).await
}

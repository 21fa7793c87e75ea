//! Owed work, asked-for mails, the built-in mailbox, the audit trail and counters.

use sea_orm_migration::{prelude::*, schema::*};

use crate::reference;

crate::step!("m0005_work");

async fn up(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let mut jobs = Table::create();
    jobs.table("jobs")
        .col(uuid("id").primary_key())
        .col(uuid("realm_id"))
        .col(string("kind"))
        .col(text("payload"))
        .col(string("status"))
        .col(timestamp_with_time_zone("run_at"))
        .col(timestamp_with_time_zone_null("locked_until"))
        .col(integer("attempts"))
        .col(string_null("last_error"))
        .col(timestamp_with_time_zone("created_at"))
        .foreign_key(&mut reference("jobs", &["realm_id"], "realms", &["id"], ForeignKeyAction::Cascade));
    manager.create_table(jobs).await?;
    crate::index(manager, "jobs", &["status", "run_at"]).await?;

    let mut requests = Table::create();
    requests
        .table("mail_requests")
        .col(uuid("id").primary_key())
        .col(uuid("realm_id"))
        .col(string("purpose"))
        .col(string("email"))
        .col(string("ip"))
        .col(text("user_agent"))
        .col(timestamp_with_time_zone("created_at"))
        .foreign_key(&mut reference("mail_requests", &["realm_id"], "realms", &["id"], ForeignKeyAction::Cascade));
    manager.create_table(requests).await?;

    let mut mailbox = Table::create();
    mailbox
        .table("mailbox")
        .col(uuid("id").primary_key())
        .col(uuid("realm_id"))
        .col(string("recipient"))
        .col(string("sender"))
        .col(text("subject"))
        .col(text("text"))
        .col(text("html"))
        .col(string("message_id").unique_key())
        .col(timestamp_with_time_zone("created_at"))
        .foreign_key(&mut reference("mailbox", &["realm_id"], "realms", &["id"], ForeignKeyAction::Cascade));
    manager.create_table(mailbox).await?;
    crate::index(manager, "mailbox", &["recipient"]).await?;

    let mut audit = Table::create();
    audit
        .table("audit_events")
        .col(uuid("id").primary_key())
        .col(uuid_null("realm_id"))
        .col(uuid_null("account_id"))
        .col(string("actor_kind"))
        .col(uuid_null("actor_user_id"))
        .col(uuid_null("actor_session_id"))
        .col(string("action"))
        .col(uuid_null("subject_user_id"))
        .col(string("ip"))
        .col(string("request_id"))
        .col(timestamp_with_time_zone("created_at"));
    // No foreign keys: the trail outlives what it speaks of.
    manager.create_table(audit).await?;
    crate::index(manager, "audit_events", &["realm_id", "created_at"]).await?;

    let mut counters = Table::create();
    counters
        .table("throttle_counters")
        .col(uuid("realm_id"))
        .col(string("key"))
        .col(integer("count"))
        .col(timestamp_with_time_zone("window_start"))
        .primary_key(Index::create().col("realm_id").col("key"))
        .foreign_key(&mut reference("throttle_counters", &["realm_id"], "realms", &["id"], ForeignKeyAction::Cascade));
    manager.create_table(counters).await
}

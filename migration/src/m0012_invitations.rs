//! Invitations of people, who may have no user yet, to accounts.

use sea_orm_migration::{prelude::*, schema::*};

use crate::{reference, unique};

crate::step!("m0012_invitations");

async fn up(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let mut invitations = Table::create();
    invitations
        .table("invitations")
        .col(uuid("id").primary_key())
        .col(uuid("account_id"))
        .col(uuid("realm_id"))
        .col(string("email"))
        .col(string("role"))
        // No reference: an invitation outlives who made it, unless their rights are taken away.
        .col(uuid_null("invited_by"))
        .col(string("nonce"))
        .col(string("token_hash"))
        .col(timestamp_with_time_zone("created_at"))
        .col(timestamp_with_time_zone("expires_at"))
        .col(timestamp_with_time_zone_null("accepted_at"))
        .col(timestamp_with_time_zone_null("revoked_at"))
        .index(&mut unique("invitations", &["account_id", "id"]))
        .foreign_key(&mut reference("invitations", &["account_id"], "accounts", &["id"], ForeignKeyAction::Cascade))
        .foreign_key(&mut reference("invitations", &["realm_id"], "realms", &["id"], ForeignKeyAction::Cascade));
    manager.create_table(invitations).await?;
    crate::index(manager, "invitations", &["account_id", "realm_id", "email"]).await
}

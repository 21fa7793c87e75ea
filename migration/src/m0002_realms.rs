//! Realms, the hosts that lead to them, their signing keys, and which realm is the root.

use sea_orm_migration::{prelude::*, schema::*};

use crate::{reference, unique};

crate::step!("m0002_realms");

async fn up(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let mut realms = Table::create();
    realms
        .table("realms")
        .col(uuid("id").primary_key())
        .col(uuid("account_id"))
        .col(string("name"))
        .col(string("status"))
        .col(text("settings"))
        .col(timestamp_with_time_zone("created_at"))
        .col(timestamp_with_time_zone("updated_at"))
        .index(&mut unique("realms", &["name"]))
        .index(&mut unique("realms", &["account_id", "id"]))
        .foreign_key(&mut reference("realms", &["account_id"], "accounts", &["id"], ForeignKeyAction::Restrict));
    manager.create_table(realms).await?;

    // Names and custom domains share one unique space: a host leads to one realm at most.
    let mut hosts = Table::create();
    hosts.table("realm_hosts").col(string("host").primary_key()).col(uuid("realm_id")).col(boolean("is_name")).foreign_key(&mut reference(
        "realm_hosts",
        &["realm_id"],
        "realms",
        &["id"],
        ForeignKeyAction::Cascade,
    ));
    manager.create_table(hosts).await?;
    crate::index(manager, "realm_hosts", &["realm_id"]).await?;

    let mut keys = Table::create();
    keys.table("signing_keys")
        .col(uuid("id").primary_key())
        .col(uuid("realm_id"))
        .col(string("kid"))
        .col(string("algorithm"))
        .col(string("status"))
        .col(text("public_jwk"))
        .col(text("private_sealed"))
        .col(timestamp_with_time_zone("created_at"))
        .index(&mut unique("signing_keys", &["realm_id", "kid"]))
        .foreign_key(&mut reference("signing_keys", &["realm_id"], "realms", &["id"], ForeignKeyAction::Cascade));
    manager.create_table(keys).await?;

    let mut installation = Table::create();
    installation
        .table("installation")
        .col(integer("id").primary_key())
        .col(uuid("root_account_id"))
        .col(uuid("root_realm_id"))
        .col(text("key_check"))
        .col(string("setup_nonce"))
        .col(timestamp_with_time_zone_null("setup_used_at"))
        .col(timestamp_with_time_zone("created_at"))
        .foreign_key(&mut reference("installation", &["root_account_id", "root_realm_id"], "realms", &["account_id", "id"], ForeignKeyAction::Restrict));
    manager.create_table(installation).await
}

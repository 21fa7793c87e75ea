//! People, their places in accounts and their stored secrets.

use sea_orm_migration::{prelude::*, schema::*};

use crate::{reference, unique};

crate::step!("m0003_users");

async fn up(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let mut users = Table::create();
    users
        .table("users")
        .col(uuid("id").primary_key())
        .col(uuid("realm_id"))
        .col(string_null("email"))
        .col(string_null("username"))
        .col(string("name"))
        .col(string_null("company"))
        .col(string_null("country"))
        .col(string_null("phone"))
        .col(string_null("locale"))
        .col(timestamp_with_time_zone_null("email_verified_at"))
        .col(string("status"))
        .col(integer("version"))
        .col(timestamp_with_time_zone("created_at"))
        .col(timestamp_with_time_zone("updated_at"))
        .index(&mut unique("users", &["realm_id", "id"]))
        .index(&mut unique("users", &["realm_id", "email"]))
        .index(&mut unique("users", &["realm_id", "username"]))
        .foreign_key(&mut reference("users", &["realm_id"], "realms", &["id"], ForeignKeyAction::Restrict));
    manager.create_table(users).await?;

    let mut memberships = Table::create();
    memberships
        .table("memberships")
        .col(uuid("account_id"))
        .col(uuid("realm_id"))
        .col(uuid("user_id"))
        .col(string("role"))
        .col(timestamp_with_time_zone("created_at"))
        .primary_key(Index::create().col("account_id").col("user_id"))
        .foreign_key(&mut reference("memberships", &["account_id"], "accounts", &["id"], ForeignKeyAction::Cascade))
        .foreign_key(&mut reference("memberships", &["realm_id", "user_id"], "users", &["realm_id", "id"], ForeignKeyAction::Cascade));
    manager.create_table(memberships).await?;
    crate::index(manager, "memberships", &["realm_id", "user_id"]).await?;

    let mut credentials = Table::create();
    credentials
        .table("credentials")
        .col(uuid("id").primary_key())
        .col(uuid("realm_id"))
        .col(uuid("user_id"))
        .col(string("kind"))
        .col(string("label"))
        .col(text("secret"))
        .col(timestamp_with_time_zone("created_at"))
        .col(timestamp_with_time_zone("updated_at"))
        .index(&mut unique("credentials", &["realm_id", "user_id", "kind", "label"]))
        .foreign_key(&mut reference("credentials", &["realm_id", "user_id"], "users", &["realm_id", "id"], ForeignKeyAction::Cascade));
    manager.create_table(credentials).await
}

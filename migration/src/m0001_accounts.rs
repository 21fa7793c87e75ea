//! Plans, accounts with their tree as a closure table, and the one row about the installation itself.

use sea_orm_migration::{prelude::*, schema::*};

use crate::reference;

crate::step!("m0001_accounts");

async fn up(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let mut plans = Table::create();
    plans.table("plans").col(string("id").primary_key());
    for column in ["requests_per_minute", "max_api_keys", "max_realms", "max_members", "max_webhooks"] {
        plans.col(integer(column));
    }
    manager.create_table(plans).await?;
    for (id, values) in
        [("free", [100, 5, 1, 3, 1]), ("starter", [500, 25, 3, 10, 5]), ("business", [2_000, 100, 20, 50, 20]), ("pro", [10_000, 1_000, 200, 500, 100])]
    {
        let columns = ["id", "requests_per_minute", "max_api_keys", "max_realms", "max_members", "max_webhooks"];
        let values = std::iter::once(Expr::val(id)).chain(values.map(Expr::val));
        let mut insert = Query::insert();
        insert.into_table("plans").columns(columns.map(Alias::new)).values_panic(values);
        manager.execute(insert).await?;
    }

    let mut accounts = Table::create();
    accounts
        .table("accounts")
        .col(uuid("id").primary_key())
        .col(uuid_null("parent_id"))
        .col(string("name"))
        .col(string("plan_id"))
        .col(string("status"))
        .col(timestamp_with_time_zone("created_at"))
        .col(timestamp_with_time_zone("updated_at"))
        .foreign_key(&mut reference("accounts", &["parent_id"], "accounts", &["id"], ForeignKeyAction::Restrict))
        .foreign_key(&mut reference("accounts", &["plan_id"], "plans", &["id"], ForeignKeyAction::Restrict));
    manager.create_table(accounts).await?;
    crate::index(manager, "accounts", &["parent_id"]).await?;

    let mut paths = Table::create();
    paths
        .table("account_paths")
        .col(uuid("ancestor_id"))
        .col(uuid("descendant_id"))
        .col(integer("depth"))
        .primary_key(Index::create().col("ancestor_id").col("descendant_id"))
        .foreign_key(&mut reference("account_paths", &["ancestor_id"], "accounts", &["id"], ForeignKeyAction::Cascade))
        .foreign_key(&mut reference("account_paths", &["descendant_id"], "accounts", &["id"], ForeignKeyAction::Cascade));
    manager.create_table(paths).await?;
    crate::index(manager, "account_paths", &["descendant_id"]).await
}

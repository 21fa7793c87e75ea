//! Second factors: TOTP secrets, recovery codes, passkeys, sign-ins that wait for one, and devices that are trusted not to
//! be asked.

use sea_orm_migration::{prelude::*, schema::*};

use crate::{reference, unique};

crate::step!("m0016_factors");

async fn up(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let of_user = |table: &'static str| reference(table, &["realm_id", "user_id"], "users", &["realm_id", "id"], ForeignKeyAction::Cascade);

    let mut totp = Table::create();
    totp.table("totp_secrets")
        .col(uuid("id").primary_key())
        .col(uuid("realm_id"))
        .col(uuid("user_id"))
        // `pending` until a code was shown, `active` then: a person may have one of each.
        .col(string("state"))
        // Sealed under the master key.
        .col(text("secret"))
        // The newest step whose code was used.
        .col(big_integer("last_step"))
        .col(timestamp_with_time_zone("created_at"))
        .col(timestamp_with_time_zone("expires_at"))
        .index(&mut unique("totp_secrets", &["realm_id", "id"]))
        .index(&mut unique("totp_secrets", &["realm_id", "user_id", "state"]))
        .foreign_key(&mut of_user("totp_secrets"));
    manager.create_table(totp).await?;
    crate::index(manager, "totp_secrets", &["state", "expires_at"]).await?;

    let mut codes = Table::create();
    codes
        .table("recovery_codes")
        .col(uuid("id").primary_key())
        .col(uuid("realm_id"))
        .col(uuid("user_id"))
        .col(string("code_hash"))
        .col(timestamp_with_time_zone("created_at"))
        .col(timestamp_with_time_zone_null("used_at"))
        .index(&mut unique("recovery_codes", &["realm_id", "user_id", "code_hash"]))
        .foreign_key(&mut of_user("recovery_codes"));
    manager.create_table(codes).await?;

    let mut passkeys = Table::create();
    passkeys
        .table("passkeys")
        .col(uuid("id").primary_key())
        .col(uuid("realm_id"))
        .col(uuid("user_id"))
        .col(string("credential_id"))
        // Public key and what else the verification needs, as JSON; nothing in it is secret.
        .col(text("credential"))
        .col(big_integer("sign_count"))
        .col(string("name"))
        .col(boolean("backed_up"))
        .col(timestamp_with_time_zone("created_at"))
        .col(timestamp_with_time_zone_null("last_used_at"))
        .index(&mut unique("passkeys", &["realm_id", "id"]))
        .index(&mut unique("passkeys", &["realm_id", "credential_id"]))
        .foreign_key(&mut of_user("passkeys"));
    manager.create_table(passkeys).await?;
    crate::index(manager, "passkeys", &["realm_id", "user_id"]).await?;

    let mut challenges = Table::create();
    challenges
        .table("factor_challenges")
        .col(uuid("id").primary_key())
        .col(uuid("realm_id"))
        .col(uuid("user_id"))
        // The version of the user that the first proof was of.
        .col(integer("user_version"))
        .col(string("token_hash"))
        // `verify` or `enrol`.
        .col(string("purpose"))
        .col(string("amr"))
        .col(integer("tries"))
        .col(timestamp_with_time_zone("created_at"))
        .col(timestamp_with_time_zone("expires_at"))
        .col(timestamp_with_time_zone_null("consumed_at"))
        .index(&mut unique("factor_challenges", &["realm_id", "id"]))
        .foreign_key(&mut of_user("factor_challenges"));
    manager.create_table(challenges).await?;
    crate::index(manager, "factor_challenges", &["expires_at"]).await?;

    let mut ceremonies = Table::create();
    ceremonies
        .table("passkey_ceremonies")
        .col(uuid("id").primary_key())
        .col(uuid("realm_id"))
        // None while it is not known who answers.
        .col(uuid_null("user_id"))
        .col(string("kind"))
        // The session or the waiting sign-in that it was begun in.
        .col(uuid_null("bound_to"))
        // The challenge and what may answer it, as JSON.
        .col(text("state"))
        .col(timestamp_with_time_zone("created_at"))
        .col(timestamp_with_time_zone("expires_at"))
        .col(timestamp_with_time_zone_null("consumed_at"))
        .index(&mut unique("passkey_ceremonies", &["realm_id", "id"]))
        .foreign_key(&mut reference("passkey_ceremonies", &["realm_id"], "realms", &["id"], ForeignKeyAction::Cascade))
        .foreign_key(&mut of_user("passkey_ceremonies"));
    manager.create_table(ceremonies).await?;
    crate::index(manager, "passkey_ceremonies", &["expires_at"]).await?;

    let mut devices = Table::alter();
    devices.table("devices").add_column(timestamp_with_time_zone_null("trusted_until"));
    manager.alter_table(devices).await
}

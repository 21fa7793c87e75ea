//! Deleting what nobody will ask for again, so that tables stay bounded.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::ConnectionTrait;

use super::{
    api_key_usage, api_keys, devices, factor_challenges, held_tokens, invitations, mail_requests, mailbox, nodes, one_time_tokens, passkey_ceremonies,
    password_guesses, primitive, revocations, sessions, signing_keys, totp_secrets,
};
use crate::domain::Result;

/// Deletes rows past their time and answers how many: ended sessions and opaque tokens after 30 days (until then their reason can be
/// asked for), ended API keys and invitations after 90, devices when they count as unknown, counts of guesses at an account after a week and
/// of the places they came from after six hours, mails of the mailbox and expired one-time tokens after a week, the rest
/// after a day.
///
/// # Errors
/// What the database says; what was deleted by then stays deleted.
pub async fn sweep(db: &impl ConnectionTrait, now: DateTime<Utc>) -> Result<u64> {
    let day = TimeDelta::days(1);
    let mut swept = sessions::delete_over_before(db, now - day * 30).await?;
    swept += api_key_usage::delete_before(db, now - crate::domain::usage::KEPT).await?;
    swept += api_keys::delete_before(db, now - day * 90).await?;
    swept += held_tokens::delete_over_before(db, now - day * 30).await?;
    swept += one_time_tokens::delete_before(db, now - day * 7).await?;
    swept += invitations::delete_before(db, now - day * 90).await?;
    swept += devices::delete_before(db, now - crate::domain::device::KNOWN_FOR).await?;
    swept += mailbox::delete_before(db, now - day * 7).await?;
    swept += mail_requests::delete_before(db, now - day).await?;
    swept += revocations::delete_before(db, now - day).await?;
    swept += password_guesses::delete_before(db, now - day / 4, now - day * 7).await?;
    swept += signing_keys::delete_before(db, now - day * 30).await?;
    swept += totp_secrets::delete_before(db, now - day).await?;
    swept += factor_challenges::delete_before(db, now - day).await?;
    swept += passkey_ceremonies::delete_before(db, now - day).await?;
    swept += nodes::delete_before(db, now - day).await?;
    swept += primitive::delete_before(db, now - day).await?;
    Ok(swept)
}

//! Mailed one-time tokens: how they are made, and made again the same when a mail must be sent twice.
//!
//! The secret of a token is an HMAC over purpose, realm, row and a nonce (security decision D11), so that no secret
//! rests in the database or in a job, and a repeated job mails the very same link.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    app::App,
    crypto::hash::sha256_hex,
    domain::{
        Error, Result,
        email::Email,
        id::{InvitationId, OneTimeTokenId, RealmId, UserId},
        invitation::Invitation,
        realm::{Lifetimes, Realm},
        token::{OpaqueToken, Purpose},
    },
    store::one_time_tokens::OneTimeToken,
};

/// Life of a link that lets an unknown device sign in.
pub(super) const UNLOCK_SECONDS: u32 = 3_600;
/// How long the old address can take a change back, in seconds (security decision D12).
pub(super) const UNDO_EMAIL_CHANGE: u32 = 72 * 3_600;
/// How long a person can say that a sign-in was not theirs, in seconds.
pub(super) const NOT_ME: u32 = 7 * 86_400;
/// The purpose of an invitation's token, which belongs to an address and to no user yet.
const INVITE: &str = "invite";

/// A token row for a user of `realm`, good for as long as the realm says. The caller stores it; [`reveal`] makes the mailed text of it.
pub(super) fn mint(app: &App, id: OneTimeTokenId, realm: &Realm, user_id: UserId, purpose: Purpose, email: &Email, now: DateTime<Utc>) -> Result<OneTimeToken> {
    let realm_id = realm.id;
    let spans = &realm.settings.lifetimes;
    let ttl = Lifetimes::span(match purpose {
        Purpose::VerifyEmail => spans.verify_email,
        Purpose::ResetPassword => spans.reset_password,
        Purpose::UnlockSignIn => UNLOCK_SECONDS,
        Purpose::ChangeEmail => spans.change_email,
        Purpose::UndoEmailChange => UNDO_EMAIL_CHANGE,
        Purpose::MagicLink => spans.magic_link,
        Purpose::NotMe => NOT_ME,
    });
    let nonce = nonce(app);
    let secret = secret(app, "mail_token", realm_id, purpose, id, &nonce)?;
    Ok(OneTimeToken {
        id,
        realm_id,
        user_id,
        purpose,
        nonce,
        token_hash: sha256_hex(&secret),
        email: email.clone(),
        pending_secret: None,
        pending_name: None,
        tries: 0,
        created_at: now,
        expires_at: now + ttl,
        consumed_at: None,
    })
}

/// The text of a token's link.
pub(super) fn reveal(app: &App, row: &OneTimeToken) -> Result<String> {
    let secret = secret(app, "mail_token", row.realm_id, row.purpose, row.id, &row.nonce)?;
    Ok(OpaqueToken::with_secret(row.id.0, secret).reveal())
}

/// The six digits that may be typed instead of following the link.
pub(super) fn code(app: &App, row: &OneTimeToken) -> Result<String> {
    let mac = secret(app, "mail_code", row.realm_id, row.purpose, row.id, &row.nonce)?;
    let mut head = [0; 8];
    head.copy_from_slice(&mac[..8]);
    Ok(format!("{:06}", u64::from_be_bytes(head) % 1_000_000))
}

/// Reads a token as a client sent it: its row id and the hash that must stand in the row.
pub(super) fn read(text: &str) -> Result<(OneTimeTokenId, String)> {
    let token = OpaqueToken::parse(text).ok_or(Error::InvalidOneTimeToken)?;
    Ok((OneTimeTokenId(token.id), sha256_hex(token.secret())))
}

/// The nonce and the hash of an invitation's mailed secret, which is made as those of other tokens are.
pub(super) fn mint_invitation(app: &App, id: InvitationId, realm: RealmId) -> Result<(String, String)> {
    let nonce = nonce(app);
    let secret = derive(app, "mail_token", realm, INVITE, id.0, &nonce)?;
    Ok((nonce, sha256_hex(&secret)))
}

/// The text of an invitation's link.
pub(super) fn reveal_invitation(app: &App, row: &Invitation) -> Result<String> {
    let secret = derive(app, "mail_token", row.realm_id, INVITE, row.id.0, &row.nonce)?;
    Ok(OpaqueToken::with_secret(row.id.0, secret).reveal())
}

/// Reads the token of an invitation as a client sent it.
pub(super) fn read_invitation(text: &str) -> Result<(InvitationId, String)> {
    read(text).map(|(id, hash)| (InvitationId(id.0), hash))
}

/// What the secret of a new token is derived from.
fn nonce(app: &App) -> String {
    let mut random = [0; 16];
    app.entropy.fill(&mut random);
    // The key's id travels in the nonce: a link stays the same when the master key changes before its mail is sent again.
    format!("{}.{}", app.keyring.current_id(), URL_SAFE_NO_PAD.encode(random))
}

fn secret(app: &App, kind: &str, realm: RealmId, purpose: Purpose, id: OneTimeTokenId, nonce: &str) -> Result<[u8; 32]> {
    derive(app, kind, realm, purpose.as_str(), id.0, nonce)
}

fn derive(app: &App, kind: &str, realm: RealmId, purpose: &str, id: Uuid, nonce: &str) -> Result<[u8; 32]> {
    let key_id = nonce.split_once('.').map_or("", |(key, _)| key);
    let data = format!("{purpose}|{realm}|{id}|{nonce}");
    app.keyring.mac_with(key_id, kind, data.as_bytes()).ok_or_else(|| Error::internal("the master key that made a mailed token is gone"))
}

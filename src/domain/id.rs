//! Typed identifiers: one newtype a table, so that a session id can't be passed where a user id belongs.
//!
//! Every id is a UUIDv7 built from our own clock and entropy (RFC 9562 section 5.7): sortable by time, never guessable
//! as a secret (secrets are opaque tokens, see `token`).

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::clock::Entropy;

/// A UUIDv7 for `now`, its random part drawn from `entropy`.
#[must_use]
pub fn uuid_v7(now: DateTime<Utc>, entropy: &dyn Entropy) -> Uuid {
    let mut random = [0; 10];
    entropy.fill(&mut random);
    let millis = u64::try_from(now.timestamp_millis()).unwrap_or_default();
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize, sea_orm::DeriveValueType)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A fresh id for a row made at `now`.
            #[must_use]
            pub fn new(now: DateTime<Utc>, entropy: &dyn Entropy) -> Self {
                Self(uuid_v7(now, entropy))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;

            /// Accepts the hyphenated form only, so that an id has one spelling on the wire.
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let id = Uuid::parse_str(text)?;
                if id.hyphenated().encode_lower(&mut Uuid::encode_buffer()) == text { Ok(Self(id)) } else { Uuid::parse_str("").map(Self) }
            }
        }

        impl sea_orm::TryFromU64 for $name {
            /// Ids are never numbers; sea-orm asks for this of every key type.
            fn try_from_u64(_: u64) -> Result<Self, sea_orm::DbErr> {
                Err(sea_orm::DbErr::ConvertFromU64(stringify!($name)))
            }
        }
    )+};
}

ids! {
    /// A customer organisation.
    AccountId,
    /// An identity space.
    RealmId,
    /// A person in one realm.
    UserId,
    /// A server-side login state.
    SessionId,
    /// A device that a user signed in with.
    DeviceId,
    /// A scoped key of an account.
    ApiKeyId,
    /// An opaque token of the Converse or the Conversant dialect.
    HeldTokenId,
    /// A mailed one-time token.
    OneTimeTokenId,
    /// An invitation to an account.
    InvitationId,
    /// A stored secret of a user.
    CredentialId,
    /// A shared secret of one-time passwords.
    TotpId,
    /// A recovery code.
    RecoveryCodeId,
    /// A passkey.
    PasskeyId,
    /// A sign-in that waits for a second factor.
    FactorChallengeId,
    /// A question to an authenticator.
    CeremonyId,
    /// A key that signs a realm's tokens.
    SigningKeyId,
    /// A row of deferred work.
    JobId,
    /// An audit event.
    EventId,
    /// A mail kept by the built-in mailbox.
    MailId,
    /// A running process of an installation.
    NodeId,
    /// A request for a mail, made by somebody who may be a stranger.
    MailRequestId,
}

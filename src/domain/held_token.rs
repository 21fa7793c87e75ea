//! Opaque tokens that other dialects hand out: the Converse family's user tokens and the Conversant family's auth tokens.
//!
//! Each is 128 random bits in one spelling, which names no row: it is looked up by its hash, as nothing else of it is kept
//! but how it begins.

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use uuid::Uuid;

use super::{
    Error, Result,
    clock::Entropy,
    id::{AccountId, HeldTokenId, RealmId, UserId},
    realm::Family,
};

/// Which dialect's token it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// Of the Converse family: a UUID in lower-case hyphenated form.
    User,
    /// Of the Conversant family: 32 lower-case hex digits.
    Auth,
}

impl TokenKind {
    /// The stored word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Auth => "auth",
        }
    }

    /// The kind of that word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::User, Self::Auth].into_iter().find(|kind| kind.as_str() == word)
    }

    /// The dialect that it is of.
    #[must_use]
    pub fn family(self) -> Family {
        match self {
            Self::User => Family::Converse,
            Self::Auth => Family::Conversant,
        }
    }

    /// The kind whose spelling `text` has: no capitals, braces, blanks or `urn:uuid:`.
    #[must_use]
    pub fn claims(text: &str) -> Option<Self> {
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let bytes = text.as_bytes();
        match bytes.len() {
            36 if bytes.iter().enumerate().all(|(at, byte)| if matches!(at, 8 | 13 | 18 | 23) { *byte == b'-' } else { hex(*byte) }) => Some(Self::User),
            32 if bytes.iter().all(|byte| hex(*byte)) => Some(Self::Auth),
            _ => None,
        }
    }

    /// A new token's text. All of its bits are random: no client of these dialects looks at the version of a UUID, and
    /// the six bits that one would take are missed below the 128 that a token should have (OWASP ASVS 5.0 7.2.3).
    #[must_use]
    pub fn mint(self, entropy: &dyn Entropy) -> SecretString {
        let mut bytes = [0; 16];
        entropy.fill(&mut bytes);
        let uuid = Uuid::from_bytes(bytes);
        match self {
            Self::User => uuid.hyphenated().to_string().into(),
            Self::Auth => uuid.simple().to_string().into(),
        }
    }
}

/// How much of a token's text is kept, for its owner to tell it by.
pub const PREFIX: usize = 8;

/// How long a token lasts without use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeout {
    Never,
    /// At least 1.
    Seconds(i64),
}

/// The longest timeout that is no `Never`: a hundred years.
const MOST_SECONDS: i64 = 100 * 365 * 86_400;

impl Timeout {
    /// Reads the number of a request: seconds, or -1 for never. `most` is the realm's cap, above which is `Never` too.
    ///
    /// # Errors
    /// [`Error::Invalid`] on `timeout`.
    pub fn read(number: i64, most: Option<u32>) -> Result<Self> {
        let cap = most.map_or(MOST_SECONDS, i64::from);
        match number {
            -1 if most.is_none() => Ok(Self::Never),
            1.. if number <= cap => Ok(Self::Seconds(number)),
            _ if most.is_some() => Err(Error::invalid("timeout", "out_of_range", format!("must be 1 to {cap} seconds in this realm"))),
            _ => Err(Error::invalid("timeout", "out_of_range", format!("must be 1 to {cap} seconds, or -1 for never"))),
        }
    }

    /// As it is stored.
    #[must_use]
    pub fn seconds(self) -> Option<i64> {
        match self {
            Self::Never => None,
            Self::Seconds(seconds) => Some(seconds),
        }
    }

    /// The end of a token that is used at `at`.
    #[must_use]
    pub fn end(self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.seconds().map(|seconds| at + TimeDelta::seconds(seconds))
    }
}

/// Whether a token lets anybody in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenStatus {
    Active,
    Expired,
    /// Deleted, or ended with what it was made from.
    Ended,
}

/// A token's row.
#[derive(Clone, Debug)]
pub struct HeldToken {
    pub id: HeldTokenId,
    pub realm_id: RealmId,
    pub kind: TokenKind,
    /// Whose it is; `None` if an account's key brought it.
    pub user_id: Option<UserId>,
    /// The account that it acts for, if that is settled for its life.
    pub account_id: Option<AccountId>,
    /// How its text begins.
    pub prefix: String,
    /// How its owner proved themselves (RFC 8176, and `key` for an account's key).
    pub amr: String,
    pub timeout: Timeout,
    /// Whether each use moves its end.
    pub auto_renew: bool,
    pub created_at: DateTime<Utc>,
    /// Written behind, at most once a minute.
    pub last_used_at: Option<DateTime<Utc>>,
    pub expires_at: Option<DateTime<Utc>>,
    pub ended_at: Option<DateTime<Utc>>,
}

impl HeldToken {
    /// Whether it is good at `now`.
    #[must_use]
    pub fn status(&self, now: DateTime<Utc>) -> TokenStatus {
        let past = |at: DateTime<Utc>| self.expires_at.is_some_and(|end| end <= at);
        match self.ended_at {
            Some(at) if past(at) => TokenStatus::Expired,
            Some(_) => TokenStatus::Ended,
            None if past(now) => TokenStatus::Expired,
            None => TokenStatus::Active,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_one_spelling() {
        let uuid = "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9";
        assert_eq!(TokenKind::claims(uuid), Some(TokenKind::User));
        assert_eq!(TokenKind::claims("0a1b2c3d4e5f60718293a4b5c6d7e8f9"), Some(TokenKind::Auth));
        let upper = uuid.to_uppercase();
        for other in [
            "",
            "x",
            upper.as_str(),
            "{0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9}",
            "urn:uuid:0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9",
            " 0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9",
            "0a1b2c3d4-e5f-6071-8293-a4b5c6d7e8f9",
            "0A1B2C3D4E5F60718293A4B5C6D7E8F9",
            "0a1b2c3d4e5f60718293a4b5c6d7e8f",
            "0a1b2c3d4e5f60718293a4b5c6d7e8f90",
            "0a1b2c3d4e5f60718293a4b5c6d7e8g9",
            "０a1b2c3d4e5f60718293a4b5c6d7e8",
        ] {
            assert_eq!(TokenKind::claims(other), None, "{other}");
        }
    }

    #[test]
    fn timeouts_are_seconds_or_never_below_the_cap() {
        assert_eq!(Timeout::read(-1, None).unwrap(), Timeout::Never);
        assert_eq!(Timeout::read(1, None).unwrap(), Timeout::Seconds(1));
        assert_eq!(Timeout::read(60, Some(60)).unwrap(), Timeout::Seconds(60));
        for (number, most) in [(0, None), (-2, None), (i64::MIN, None), (i64::MAX, None), (-1, Some(60)), (61, Some(60)), (0, Some(60))] {
            assert!(Timeout::read(number, most).is_err(), "{number} {most:?}");
        }
    }
}

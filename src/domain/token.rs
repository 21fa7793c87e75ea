//! Opaque tokens: an id to look the row up by, and a secret that is stored only as its hash.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use uuid::Uuid;

use super::clock::Entropy;

/// What a mailed one-time token is good for. The word is part of what is hashed, so that a token of one purpose is
/// noise to every other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    VerifyEmail,
    ResetPassword,
    /// Lets an unknown device sign in while strangers guess at the password.
    UnlockSignIn,
    /// Puts the address that it was mailed to in the place of the user's.
    ChangeEmail,
    /// Puts the former address, to which it was mailed, back.
    UndoEmailChange,
    /// Signs in.
    MagicLink,
    /// Says that a sign-in was a stranger's.
    NotMe,
}

impl Purpose {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::VerifyEmail, Self::ResetPassword, Self::UnlockSignIn, Self::ChangeEmail, Self::UndoEmailChange, Self::MagicLink, Self::NotMe];

    /// The stored word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::VerifyEmail => "verify_email",
            Self::ResetPassword => "reset_password",
            Self::UnlockSignIn => "unlock_sign_in",
            Self::ChangeEmail => "change_email",
            Self::UndoEmailChange => "undo_email_change",
            Self::MagicLink => "magic_link",
            Self::NotMe => "not_me",
        }
    }

    /// The purpose of that word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|purpose| purpose.as_str() == word)
    }
}

/// A row id and 32 secret bytes, shown as 64 characters of base64url. No `Display`: only [`OpaqueToken::reveal`]
/// makes text of it, where it is handed to its owner.
#[derive(Clone)]
pub struct OpaqueToken {
    pub id: Uuid,
    secret: [u8; 32],
}

impl OpaqueToken {
    /// A token for the row `id` with a secret drawn from `entropy`.
    #[must_use]
    pub fn mint(id: Uuid, entropy: &dyn Entropy) -> Self {
        let mut secret = [0; 32];
        entropy.fill(&mut secret);
        Self { id, secret }
    }

    /// A token for the row `id` with a derived secret, so that a repeated job mails the same link.
    #[must_use]
    pub fn with_secret(id: Uuid, secret: [u8; 32]) -> Self {
        Self { id, secret }
    }

    /// Reads what a client sent; `None` for anything that [`OpaqueToken::reveal`] can't have written.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 48];
        if text.len() != 64 || URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()? != 48 {
            return None;
        }
        let (id, secret) = bytes.split_at(16);
        Some(Self { id: Uuid::from_slice(id).ok()?, secret: secret.try_into().ok()? })
    }

    /// The text that its owner gets.
    #[must_use]
    pub fn reveal(&self) -> String {
        let mut bytes = [0; 48];
        bytes[..16].copy_from_slice(self.id.as_bytes());
        bytes[16..].copy_from_slice(&self.secret);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The secret part, for hashing and key derivation.
    #[must_use]
    pub fn secret(&self) -> &[u8; 32] {
        &self.secret
    }
}

impl std::fmt::Debug for OpaqueToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpaqueToken").field("id", &self.id).finish_non_exhaustive()
    }
}

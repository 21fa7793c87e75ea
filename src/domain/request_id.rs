//! The id of a request, on its reply, in its problem, in the audit trail and in every log line about it.

/// 24 ASCII digits and letters; without any for what no request caused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestId([u8; 24]);

impl RequestId {
    /// The id of these characters.
    #[must_use]
    pub fn new(text: [u8; 24]) -> Self {
        Self(text)
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        if self.0[0] == 0 { "" } else { std::str::from_utf8(&self.0).unwrap_or_default() }
    }
}

impl std::fmt::Display for RequestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

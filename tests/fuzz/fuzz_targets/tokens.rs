//! Opaque tokens, API keys and ids: what is read has exactly one spelling, and what is refused is refused in every neighbour.
#![no_main]

use libfuzzer_sys::fuzz_target;
use realmgate::domain::{
    api_key::KeyText,
    clock::Entropy,
    id::{ApiKeyId, SessionId},
    token::{OpaqueToken, Purpose},
};

/// Entropy that gives the bytes it was made of, over and over.
struct Fixed<'a>(&'a [u8]);

impl Entropy for Fixed<'_> {
    fn fill(&self, bytes: &mut [u8]) {
        let source = if self.0.is_empty() { &[0][..] } else { self.0 };
        bytes.iter_mut().zip(source.iter().cycle()).for_each(|(byte, given)| *byte = *given);
    }
}

fuzz_target!(|input: (&str, u128, &[u8], bool)| {
    let (text, id, bytes, test) = input;
    if let Some(token) = OpaqueToken::parse(text) {
        assert_eq!(token.reveal(), text);
    }
    if let Ok(key) = KeyText::parse("conv", text) {
        assert_eq!(key.reveal(), text);
        assert!(KeyText::claims("conv", text));
    }
    if let Ok(id) = text.parse::<SessionId>() {
        assert_eq!(id.to_string(), text);
    }
    assert!(Purpose::parse(text).is_none_or(|purpose| purpose.as_str() == text));

    // One that we made survives, and its neighbours do not.
    let entropy = Fixed(bytes);
    let minted = KeyText::mint("conv", test, ApiKeyId(uuid(id)), &entropy);
    let shown = minted.reveal();
    let read = KeyText::parse("conv", &shown).expect("what was minted is read");
    assert_eq!((read.id, read.secret()), (minted.id, minted.secret()));
    let token = OpaqueToken::mint(uuid(id), &entropy).reveal();
    assert!(OpaqueToken::parse(&token).is_some());
    let at = bytes.first().map_or(0, |byte| usize::from(*byte)) % shown.len();
    let mut other = shown.clone().into_bytes();
    other[at] = other[at].wrapping_add(1 + bytes.get(1).map_or(0, |byte| byte % 254));
    if let Ok(other) = String::from_utf8(other) {
        assert!(other == shown || KeyText::parse("conv", &other).is_err(), "one changed character is noticed");
    }
});

fn uuid(id: u128) -> realmgate::http::fuzzing::Uuid {
    realmgate::http::fuzzing::Uuid::from_u128(id)
}

//! Access tokens: looking at one never fails in another way than saying no, and nothing but our own signature is ever taken.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use realmgate::crypto::{
    entropy::SeededEntropy,
    signing::{self, AccessClaims, Expect, SigningKey, VerifyingKey},
};

static KEYS: LazyLock<(SigningKey, VerifyingKey)> = LazyLock::new(|| {
    let key = SigningKey::generate(&SeededEntropy::new(1)).expect("a key");
    let public = VerifyingKey::from_jwk(key.public_jwk()).expect("its public half");
    (key, public)
});

fn claims(sub: &str, iat: i64, exp: i64) -> AccessClaims {
    let text = |text: &str| text.to_owned();
    AccessClaims {
        iss: text("https://id.example/realms/a"),
        aud: text("https://id.example/api"),
        sub: text(sub),
        sid: text("s"),
        jti: text("j"),
        iat,
        exp,
        scope: text("openid"),
        amr: vec![text("pwd")],
        auth_time: iat,
        ver: 1,
    }
}

fuzz_target!(|input: (&str, &str, i32, i32, u16, u8)| {
    let (text, sub, iat, exp, at, change) = input;
    let expect = Expect { issuer: "https://id.example/realms/a", audience: "https://id.example/api", now: 1_000, leeway: 5 };
    let (key, public) = &*KEYS;
    // Whatever a stranger writes, alone or around the parts of a real token.
    let _ = signing::peek(text);
    assert!(signing::decode(text, public, &expect).is_err(), "a token that we never signed");
    let claims = claims(sub, iat.into(), exp.into());
    let token = key.sign(&claims).expect("a token");
    if let Some(peek) = signing::peek(&token) {
        assert_eq!((peek.kid.as_str(), &peek.iss, &peek.sub), (key.kid(), &claims.iss, &claims.sub));
    }
    let good = i64::from(iat) <= 1_005 && 1_000 < i64::from(exp) + 5;
    assert_eq!(signing::decode(&token, public, &expect).is_ok(), good);
    let parts: Vec<&str> = token.split('.').collect();
    for mixed in [format!("{text}.{}.{}", parts[1], parts[2]), format!("{}.{text}.{}", parts[0], parts[2]), format!("{}.{}.{text}", parts[0], parts[1])] {
        let _ = signing::peek(&mixed);
        assert!(mixed == token || signing::decode(&mixed, public, &expect).is_err(), "a token of foreign parts");
    }
    let mut other = token.clone().into_bytes();
    let at = usize::from(at) % other.len();
    other[at] ^= change;
    if let Ok(other) = String::from_utf8(other) {
        let _ = signing::peek(&other);
        assert!(other == token || signing::decode(&other, public, &expect).is_err(), "one changed character");
    }
});

//! Access tokens: ES256 JWTs in the form of RFC 9068, signed by a realm's own key.
//!
//! One algorithm, every claim required, time compared with the clock that is handed in: jsonwebtoken's own defaults
//! (a minute of leeway, audience and issuer checked only if present) are all switched off and replaced.

use aws_lc_rs::signature;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use crate::domain::{Error, Result, clock::Entropy};

/// The type of our access tokens (RFC 9068 section 2.1).
const TYP: &str = "at+jwt";
/// Longer texts are no token of ours.
const MAX_TOKEN: usize = 4_096;

/// What an access token says. All of it is required.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessClaims {
    pub iss: String,
    pub aud: String,
    /// The user's id.
    pub sub: String,
    /// The session's id.
    pub sid: String,
    pub jti: String,
    pub iat: i64,
    pub exp: i64,
    pub scope: String,
    pub amr: Vec<String>,
    pub auth_time: i64,
    /// Version of this set of claims.
    pub ver: u8,
}

/// A private key, ready to sign.
pub struct SigningKey {
    kid: String,
    pkcs8: Vec<u8>,
    encoding: EncodingKey,
    public_jwk: serde_json::Value,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl SigningKey {
    /// A new P-256 key with a random id.
    ///
    /// # Errors
    /// [`Error::Internal`] if the library can't make one.
    pub fn generate(entropy: &dyn Entropy) -> Result<Self> {
        let fault = |_| Error::internal("no P-256 key can be made");
        let pair = signature::EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING).map_err(fault)?;
        let document = pair.to_pkcs8v1().map_err(fault)?;
        let mut id = [0; 16];
        entropy.fill(&mut id);
        Self::from_pkcs8(&URL_SAFE_NO_PAD.encode(id), document.as_ref())
    }

    /// The key of a PKCS#8 document.
    ///
    /// # Errors
    /// [`Error::Internal`] if it holds no P-256 key.
    pub fn from_pkcs8(kid: &str, pkcs8: &[u8]) -> Result<Self> {
        use aws_lc_rs::signature::KeyPair as _;
        let pair = signature::EcdsaKeyPair::from_pkcs8(&signature::ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8);
        let pair = pair.map_err(|_| Error::internal("a signing key can't be read"))?;
        // An uncompressed point: 4, x, y.
        let point = pair.public_key().as_ref();
        let (x, y) = point.get(1..33).zip(point.get(33..65)).ok_or_else(|| Error::internal("a public key has an odd form"))?;
        let public_jwk = serde_json::json!({
            "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": kid,
            "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
        });
        Ok(Self { kid: kid.to_owned(), pkcs8: pkcs8.to_vec(), encoding: EncodingKey::from_ec_der(pkcs8), public_jwk })
    }

    /// The key's id.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The private key, for sealing.
    #[must_use]
    pub fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// The public half (RFC 7517).
    #[must_use]
    pub fn public_jwk(&self) -> &serde_json::Value {
        &self.public_jwk
    }

    /// Signs a token.
    ///
    /// # Errors
    /// [`Error::Internal`] if the library can't.
    pub fn sign(&self, claims: &AccessClaims) -> Result<String> {
        let mut header = Header::new(Algorithm::ES256);
        header.typ = Some(TYP.to_owned());
        header.kid = Some(self.kid.clone());
        jsonwebtoken::encode(&header, claims, &self.encoding).map_err(Error::internal)
    }
}

/// A public key, ready to verify.
pub struct VerifyingKey {
    kid: String,
    decoding: DecodingKey,
}

impl std::fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerifyingKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl VerifyingKey {
    /// The key of a JWK of ours.
    ///
    /// # Errors
    /// [`Error::Internal`] if it is no P-256 key.
    pub fn from_jwk(jwk: &serde_json::Value) -> Result<Self> {
        let text = |name: &str| jwk.get(name).and_then(serde_json::Value::as_str).ok_or_else(|| Error::internal("a stored JWK lacks a member"));
        let decoding = DecodingKey::from_ec_components(text("x")?, text("y")?).map_err(Error::internal)?;
        Ok(Self { kid: text("kid")?.to_owned(), decoding })
    }
}

/// What a token says of itself before anything is proved: only good for finding the key.
#[derive(Debug)]
pub struct Peek {
    pub kid: String,
    pub iss: String,
    /// Who it says it is of; empty if it doesn't say.
    pub sub: String,
}

/// Looks for the key's id and the issuer. `None` for everything that can't be an access token of ours.
#[must_use]
pub fn peek(token: &str) -> Option<Peek> {
    #[derive(Deserialize)]
    struct Issuer {
        iss: String,
        #[serde(default)]
        sub: String,
    }
    if token.len() > MAX_TOKEN {
        return None;
    }
    let header = jsonwebtoken::decode_header(token).ok()?;
    if header.alg != Algorithm::ES256 || header.typ.as_deref() != Some(TYP) {
        return None;
    }
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let Issuer { iss, sub } = serde_json::from_slice(&payload).ok()?;
    Some(Peek { kid: header.kid?, iss, sub })
}

/// What must hold of a token besides its signature.
#[derive(Clone, Copy, Debug)]
pub struct Expect<'a> {
    pub issuer: &'a str,
    pub audience: &'a str,
    /// Seconds since the epoch.
    pub now: i64,
    /// Seconds by which clocks may differ.
    pub leeway: i64,
}

/// Why a token proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenFault {
    /// Forged, foreign, incomplete or of another kind.
    Invalid,
    /// Genuine and past its time.
    Expired,
}

/// Proves a token: signature, type, key, issuer, audience, times, and that no claim is missing.
///
/// # Errors
/// [`TokenFault`].
pub fn decode(token: &str, key: &VerifyingKey, expect: &Expect<'_>) -> Result<AccessClaims, TokenFault> {
    let mut validation = Validation::new(Algorithm::ES256);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    let data = jsonwebtoken::decode::<AccessClaims>(token, &key.decoding, &validation).map_err(|_| TokenFault::Invalid)?;
    let claims = data.claims;
    let genuine = data.header.typ.as_deref() == Some(TYP)
        && data.header.kid.as_deref() == Some(&key.kid)
        && claims.iss == expect.issuer
        && claims.aud == expect.audience
        && claims.ver == 1
        && claims.iat <= expect.now + expect.leeway;
    if !genuine {
        return Err(TokenFault::Invalid);
    }
    if expect.now >= claims.exp + expect.leeway { Err(TokenFault::Expired) } else { Ok(claims) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::crypto::entropy::SeededEntropy;

    const EXPECT: Expect<'_> = Expect { issuer: "https://id.example/realms/a", audience: "https://id.example/api", now: 1_000, leeway: 5 };

    fn claims() -> AccessClaims {
        AccessClaims {
            iss: EXPECT.issuer.to_owned(),
            aud: EXPECT.audience.to_owned(),
            sub: "u".to_owned(),
            sid: "s".to_owned(),
            jti: "j".to_owned(),
            iat: 1_000,
            exp: 1_900,
            scope: String::new(),
            amr: vec!["pwd".to_owned()],
            auth_time: 1_000,
            ver: 1,
        }
    }

    fn pair(seed: u64) -> (SigningKey, VerifyingKey) {
        let key = SigningKey::generate(&SeededEntropy::new(seed)).unwrap();
        let public = VerifyingKey::from_jwk(key.public_jwk()).unwrap();
        (key, public)
    }

    fn at(now: i64) -> Expect<'static> {
        Expect { now, ..EXPECT }
    }

    fn raw(header: &serde_json::Value, claims: &serde_json::Value, signature: &[u8]) -> String {
        let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.{}", part(header), part(claims), URL_SAFE_NO_PAD.encode(signature))
    }

    #[test]
    fn times_are_exact_to_the_second() {
        let (key, public) = pair(1);
        let token = key.sign(&claims()).unwrap();
        assert_eq!(decode(&token, &public, &at(1_899)).unwrap(), claims());
        assert!(decode(&token, &public, &at(1_904)).is_ok(), "within the leeway");
        assert_eq!(decode(&token, &public, &at(1_905)), Err(TokenFault::Expired));
        assert!(decode(&token, &public, &at(995)).is_ok(), "an issuer five seconds ahead");
        assert_eq!(decode(&token, &public, &at(994)), Err(TokenFault::Invalid));
    }

    #[test]
    fn only_tokens_of_the_expected_issuer_audience_and_key_pass() {
        let (key, public) = pair(1);
        let token = key.sign(&claims()).unwrap();
        assert_eq!(decode(&token, &public, &Expect { issuer: "https://id.example/realms/b", ..EXPECT }), Err(TokenFault::Invalid));
        assert_eq!(decode(&token, &public, &Expect { audience: "https://id.example/chat", ..EXPECT }), Err(TokenFault::Invalid));
        assert_eq!(decode(&token, &pair(2).1, &EXPECT), Err(TokenFault::Invalid), "another key");
        let (foreign, _) = pair(2);
        let same_kid = SigningKey::from_pkcs8(key.kid(), foreign.pkcs8()).unwrap();
        assert_eq!(decode(&same_kid.sign(&claims()).unwrap(), &public, &EXPECT), Err(TokenFault::Invalid), "another key under this id");
    }

    #[test]
    fn every_claim_is_required_and_typed() {
        let (key, public) = pair(1);
        let whole = serde_json::to_value(claims()).unwrap();
        let sign = |claims: &serde_json::Value| {
            let mut header = Header::new(Algorithm::ES256);
            (header.typ, header.kid) = (Some(TYP.to_owned()), Some(key.kid().to_owned()));
            jsonwebtoken::encode(&header, claims, &key.encoding).unwrap()
        };
        assert!(decode(&sign(&whole), &public, &EXPECT).is_ok());
        for name in whole.as_object().unwrap().keys() {
            let mut less = whole.clone();
            less.as_object_mut().unwrap().remove(name);
            assert_eq!(decode(&sign(&less), &public, &EXPECT), Err(TokenFault::Invalid), "without {name}");
        }
        for (name, value) in [("exp", json!("1900")), ("exp", json!(1900.5)), ("aud", json!([EXPECT.audience])), ("iat", json!(null)), ("ver", json!(2))] {
            let mut odd = whole.clone();
            odd[name] = value;
            assert_eq!(decode(&sign(&odd), &public, &EXPECT), Err(TokenFault::Invalid), "odd {name}");
        }
    }

    #[test]
    fn other_algorithms_types_and_signatures_are_refused() {
        let (key, public) = pair(1);
        let body = serde_json::to_value(claims()).unwrap();
        for alg in ["none", "None", "NONE", "", "HS256", "RS256", "ES384"] {
            let token = raw(&json!({"alg": alg, "typ": TYP, "kid": key.kid()}), &body, &[0; 64]);
            assert_eq!(decode(&token, &public, &EXPECT), Err(TokenFault::Invalid), "alg {alg}");
            assert!(peek(&token).is_none());
        }
        for secret in [key.public_jwk().to_string().into_bytes(), key.public_jwk()["x"].to_string().into_bytes()] {
            let mut header = Header::new(Algorithm::HS256);
            (header.typ, header.kid) = (Some(TYP.to_owned()), Some(key.kid().to_owned()));
            let token = jsonwebtoken::encode(&header, &body, &EncodingKey::from_secret(&secret)).unwrap();
            assert_eq!(decode(&token, &public, &EXPECT), Err(TokenFault::Invalid), "HS256 keyed with the public key");
        }
        let zero = raw(&json!({"alg": "ES256", "typ": TYP, "kid": key.kid()}), &body, &[0; 64]);
        assert_eq!(decode(&zero, &public, &EXPECT), Err(TokenFault::Invalid), "all-zero signature");
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(key.kid().to_owned());
        let untyped = jsonwebtoken::encode(&header, &body, &key.encoding).unwrap();
        assert_eq!(decode(&untyped, &public, &EXPECT), Err(TokenFault::Invalid), "typ JWT");
        assert!(peek(&"a".repeat(5_000)).is_none());
    }
}

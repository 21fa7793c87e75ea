//! A software authenticator that does what it is told, wrong things too: WebAuthn's answers byte by byte, so that each of
//! their parts can be another than it should be. Knows nothing of the product.

use aws_lc_rs::{
    digest,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// Where keys of the test's node belong.
pub const ORIGIN: &str = "http://localhost:8080";
pub const RP: &str = "localhost";

/// One key.
pub struct Authenticator {
    key: EcdsaKeyPair,
    pub id: Vec<u8>,
    /// Whose it is, as it was told when it was made.
    pub holder: Vec<u8>,
    /// What it says it has signed so far; it counts up by itself unless it is told not to count.
    pub count: u32,
    pub counts: bool,
    /// Whether it checks its person.
    pub verifies: bool,
    pub origin: String,
    pub rp: String,
    /// The COSE number of the algorithm that its key claims to be for.
    pub algorithm: i8,
}

fn b64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The bytes of a base64url text.
pub fn unb64(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).expect("base64url")
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, bytes).as_ref().to_vec()
}

/// A CBOR byte string (RFC 8949 section 3.1) of less than 64 KiB.
fn cbor_bytes(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0x59];
    out.extend(u16::try_from(bytes.len()).expect("a short string").to_be_bytes());
    out.extend(bytes);
    out
}

impl Authenticator {
    /// A fresh one, which checks its person and counts.
    pub fn new() -> Self {
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new()).expect("a key");
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref()).expect("the key");
        let id = sha256(key.public_key().as_ref());
        Self { key, id, holder: Vec::new(), count: 0, counts: true, verifies: true, origin: ORIGIN.to_owned(), rp: RP.to_owned(), algorithm: -7 }
    }

    fn client_data(&self, kind: &str, challenge: &str) -> Vec<u8> {
        json!({ "type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": false }).to_string().into_bytes()
    }

    fn authenticator_data(&mut self, attested: Option<Vec<u8>>) -> Vec<u8> {
        if self.counts {
            self.count += 1;
        }
        let mut data = sha256(self.rp.as_bytes());
        // Present, verified, attested.
        data.push(1 | if self.verifies { 4 } else { 0 } | if attested.is_some() { 0x40 } else { 0 });
        data.extend(self.count.to_be_bytes());
        data.extend(attested.unwrap_or_default());
        data
    }

    /// The answer to `publicKey` of a creation: attestation `none`.
    pub fn make(&mut self, options: &Value) -> Value {
        self.holder = unb64(options["user"]["id"].as_str().expect("a holder"));
        self.make_for(options["challenge"].as_str().expect("a challenge"))
    }

    /// The same for a challenge of one's own.
    pub fn make_for(&mut self, challenge: &str) -> Value {
        let point = self.key.public_key().as_ref().to_vec();
        let (x, y) = (&point[1..33], &point[33..65]);
        let mut attested = vec![0; 16];
        attested.extend(u16::try_from(self.id.len()).expect("a short id").to_be_bytes());
        attested.extend(&self.id);
        // {1: 2, 3: algorithm, -1: 1, -2: x, -3: y} (RFC 9052).
        let algorithm = u8::try_from(-1 - i16::from(self.algorithm)).expect("a small number");
        attested.extend([0xa5, 0x01, 0x02, 0x03]);
        attested.extend(if algorithm < 24 { vec![0x20 | algorithm] } else { vec![0x38, algorithm] });
        attested.extend([0x20, 0x01, 0x21, 0x58, 0x20]);
        attested.extend(x);
        attested.extend([0x22, 0x58, 0x20]);
        attested.extend(y);
        let data = self.authenticator_data(Some(attested));
        let mut object = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData".to_vec();
        object.extend(cbor_bytes(&data));
        let client = self.client_data("webauthn.create", challenge);
        json!({
            "id": b64(&self.id), "rawId": b64(&self.id), "type": "public-key", "clientExtensionResults": {},
            "response": { "clientDataJSON": b64(&client), "attestationObject": b64(&object), "transports": ["internal"] },
        })
    }

    /// The answer to `publicKey` of a request.
    pub fn sign(&mut self, options: &Value) -> Value {
        self.sign_for(options["challenge"].as_str().expect("a challenge"))
    }

    /// The same for a challenge of one's own.
    pub fn sign_for(&mut self, challenge: &str) -> Value {
        let client = self.client_data("webauthn.get", challenge);
        let data = self.authenticator_data(None);
        let signed = [data.clone(), sha256(&client)].concat();
        let signature = self.key.sign(&SystemRandom::new(), &signed).expect("a signature");
        json!({
            "id": b64(&self.id), "rawId": b64(&self.id), "type": "public-key", "clientExtensionResults": {},
            "response": {
                "clientDataJSON": b64(&client), "authenticatorData": b64(&data), "signature": b64(signature.as_ref()),
                "userHandle": b64(&self.holder),
            },
        })
    }
}

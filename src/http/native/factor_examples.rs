//! What the documentation shows of each body of second factors, passkeys and fresh proofs.

use poem_openapi::types::Example;

use super::factor_wire::{
    CodeIn, EnrolPasskeyIn, EnrolTotpIn, MagicLinkIn, MfaTokenIn, NewPasskeyIn, PasskeyLoginIn, RenamePasskeyIn, StepUpIn, VerifyFactorIn,
};
use crate::http::{json_object::JsonObject, secret_text::SecretText};

const A_CEREMONY: &str = "01997b2e-6b1c-7d3a-9c55-0d5f0e9a7c11";

/// What a browser's authenticator answered, as `PublicKeyCredential.toJSON()` writes it (WebAuthn level 3 section 5.1.8).
fn an_answer() -> JsonObject {
    JsonObject(serde_json::json!({
        "id": "AQIDBAUGBwg",
        "rawId": "AQIDBAUGBwg",
        "type": "public-key",
        "response": { "clientDataJSON": "e30", "authenticatorData": "AA", "signature": "AA", "userHandle": null },
        "clientExtensionResults": {},
    }))
}

impl Example for VerifyFactorIn {
    fn example() -> Self {
        Self {
            mfa_token: SecretText::from("the-mfa-token-of-the-first-half"),
            method: "totp".to_owned(),
            code: Some(SecretText::from("492039")),
            ceremony_id: None,
            credential: None,
            trust_device: false,
            device_token: None,
        }
    }
}

impl Example for StepUpIn {
    fn example() -> Self {
        let password = Some(SecretText::from("a long enough passphrase"));
        Self { method: "password".to_owned(), password, code: None, ceremony_id: None, credential: None }
    }
}

impl Example for MfaTokenIn {
    fn example() -> Self {
        Self { mfa_token: SecretText::from("the-mfa-token-of-the-first-half") }
    }
}

impl Example for PasskeyLoginIn {
    fn example() -> Self {
        Self { ceremony_id: A_CEREMONY.to_owned(), credential: an_answer(), device_token: None }
    }
}

impl Example for MagicLinkIn {
    fn example() -> Self {
        Self { token: "the-token-of-the-mailed-link".to_owned(), device_token: None }
    }
}

impl Example for CodeIn {
    fn example() -> Self {
        Self { code: SecretText::from("492039") }
    }
}

impl Example for EnrolTotpIn {
    fn example() -> Self {
        Self { mfa_token: SecretText::from("the-mfa-token-of-the-first-half"), code: SecretText::from("492039"), device_token: None }
    }
}

impl Example for NewPasskeyIn {
    fn example() -> Self {
        Self { name: "Phone".to_owned(), ceremony_id: A_CEREMONY.to_owned(), credential: an_answer() }
    }
}

impl Example for EnrolPasskeyIn {
    fn example() -> Self {
        let mfa_token = SecretText::from("the-mfa-token-of-the-first-half");
        Self { mfa_token, name: "Phone".to_owned(), ceremony_id: A_CEREMONY.to_owned(), credential: an_answer(), device_token: None }
    }
}

impl Example for RenamePasskeyIn {
    fn example() -> Self {
        Self { name: "Key ring".to_owned() }
    }
}

//! What the documentation shows of each body: one example a type, which readers and generators of the OpenAPI file use.

use poem_openapi::types::{Example, MaybeUndefined};

use super::wire::{
    ChangePasswordIn, EmailIn, LoginIn, LogoutIn, ProfileIn, RefreshIn, ResetPasswordIn, SignUpIn, SignedUpOut, SignedUpUser, UnlockSignInIn, VerifyEmailIn,
};
use crate::http::secret_text::SecretText;

impl Example for SignUpIn {
    fn example() -> Self {
        Self {
            name: "Ada Lovelace".to_owned(),
            email: "ada@example.com".to_owned(),
            password: SecretText::from("a long enough passphrase"),
            company: Some("Analytical Engines".to_owned()),
            country: None,
            phone: None,
        }
    }
}

impl Example for SignedUpOut {
    fn example() -> Self {
        let user = SignedUpUser { name: "Ada Lovelace".to_owned(), email: "ada@example.com".to_owned() };
        Self { user, message: "Please check your e-mail to verify your address.".to_owned() }
    }
}

impl Example for VerifyEmailIn {
    fn example() -> Self {
        Self { token: None, email: Some("ada@example.com".to_owned()), code: Some("481516".to_owned()) }
    }
}

impl Example for EmailIn {
    fn example() -> Self {
        Self { email: "ada@example.com".to_owned() }
    }
}

impl Example for LoginIn {
    fn example() -> Self {
        Self { email: "ada@example.com".to_owned(), password: SecretText::from("a long enough passphrase"), device_token: None }
    }
}

impl Example for RefreshIn {
    fn example() -> Self {
        Self { refresh_token: SecretText::from("the-refresh-token-of-the-last-reply") }
    }
}

impl Example for LogoutIn {
    fn example() -> Self {
        Self { everywhere: true }
    }
}

impl Example for UnlockSignInIn {
    fn example() -> Self {
        Self { token: "the-token-of-the-mailed-link".to_owned() }
    }
}

impl Example for ResetPasswordIn {
    fn example() -> Self {
        Self { token: "the-token-of-the-mailed-link".to_owned(), new_password: SecretText::from("another long passphrase") }
    }
}

impl Example for ChangePasswordIn {
    fn example() -> Self {
        Self { current_password: Some(SecretText::from("a long enough passphrase")), new_password: SecretText::from("another long passphrase") }
    }
}

impl Example for ProfileIn {
    fn example() -> Self {
        Self {
            name: Some("Ada King".to_owned()),
            company: MaybeUndefined::Null,
            country: MaybeUndefined::Value("GB".to_owned()),
            phone: MaybeUndefined::Undefined,
            locale: MaybeUndefined::Value("en".to_owned()),
        }
    }
}

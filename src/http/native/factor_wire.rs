//! The bodies of second factors, passkeys and fresh proofs.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use poem_openapi::Object;
use secrecy::ExposeSecret as _;
use serde::Serialize;

use super::wire::LoginOut;
use crate::{
    crypto::totp::Sheet,
    domain::{Result, factor::MfaPolicy},
    http::{json_object::JsonObject, payload::Instant, secret_text::SecretText},
    service::{
        factors::Overview,
        login::LoggedIn,
        passkeys::{Asked, Passkey},
        proofs::Proof,
        step_up::Renewed,
        trusted_devices::Device,
    },
};

/// The second proof of a sign-in.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, skip_serializing_if_is_none, example)]
pub(super) struct VerifyFactorIn {
    /// Of the 403 `mfa_required`.
    pub(super) mfa_token: SecretText,
    /// `totp`, `passkey` or `recovery_code`.
    #[oai(validator(max_length = 32))]
    pub(super) method: String,
    /// The app's six digits, or a recovery code in any spelling.
    #[oai(nullable)]
    pub(super) code: Option<SecretText>,
    /// For a passkey: of the question that it answers.
    #[oai(nullable, validator(max_length = 64))]
    pub(super) ceremony_id: Option<String>,
    /// For a passkey: what the browser's authenticator answered, as `PublicKeyCredential.toJSON()` writes it.
    pub(super) credential: Option<JsonObject>,
    /// Whether this device is not to be asked for a second factor for 30 days (realms may say otherwise).
    #[oai(default)]
    pub(super) trust_device: bool,
    /// As the last sign-in on this device answered it.
    #[oai(nullable)]
    pub(super) device_token: Option<SecretText>,
}

/// A fresh proof of who asks.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, skip_serializing_if_is_none, example)]
pub(super) struct StepUpIn {
    /// One of the `methods` of the 401 `step_up_required`.
    #[oai(validator(max_length = 32))]
    pub(super) method: String,
    #[oai(nullable)]
    pub(super) password: Option<SecretText>,
    /// The app's six digits, or a recovery code.
    #[oai(nullable)]
    pub(super) code: Option<SecretText>,
    /// For a passkey: of the question that it answers.
    #[oai(nullable, validator(max_length = 64))]
    pub(super) ceremony_id: Option<String>,
    /// For a passkey: what the browser's authenticator answered.
    pub(super) credential: Option<JsonObject>,
}

impl StepUpIn {
    pub(super) fn proof(self) -> Result<Proof> {
        let passkey = (self.ceremony_id, self.credential.map(|answer| answer.0));
        Proof::read(&self.method, self.password.map(|text| text.0), self.code.map(|text| text.0), passkey)
    }
}

/// An access token that tells of the fresh proof. The refresh token stays as it is.
#[derive(Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase")]
pub(super) struct RenewedOut {
    pub(super) access_token: String,
    /// Always `Bearer`.
    pub(super) token_type: String,
    /// Seconds until it ends.
    pub(super) expires_in: u64,
}

impl From<Renewed> for RenewedOut {
    fn from(renewed: Renewed) -> Self {
        Self { access_token: renewed.access_token, token_type: "Bearer".to_owned(), expires_in: renewed.expires_in }
    }
}

/// The token of a sign-in that waits.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, example)]
pub(super) struct MfaTokenIn {
    /// Of the 403 that wants a second factor.
    pub(super) mfa_token: SecretText,
}

/// A question to the authenticator of a browser.
#[derive(Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase")]
pub(super) struct AskedOut {
    /// To be sent with the answer; good for one, within ten minutes.
    pub(super) ceremony_id: String,
    /// For `PublicKeyCredential.parseCreationOptionsFromJSON` or `.parseRequestOptionsFromJSON` (WebAuthn level 3).
    pub(super) public_key: JsonObject,
}

impl From<Asked> for AskedOut {
    fn from(asked: Asked) -> Self {
        Self { ceremony_id: asked.ceremony, public_key: JsonObject(asked.options) }
    }
}

/// An answer by a passkey of whoever signs in.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, skip_serializing_if_is_none, example)]
pub(super) struct PasskeyLoginIn {
    #[oai(validator(max_length = 64))]
    pub(super) ceremony_id: String,
    /// What the browser's authenticator answered, as `PublicKeyCredential.toJSON()` writes it.
    pub(super) credential: JsonObject,
    /// As the last sign-in on this device answered it.
    #[oai(nullable)]
    pub(super) device_token: Option<SecretText>,
}

/// A mailed link's token, and the device that follows it.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, skip_serializing_if_is_none, example)]
pub(super) struct MagicLinkIn {
    #[oai(validator(max_length = 512))]
    pub(super) token: String,
    /// As the last sign-in on this device answered it.
    #[oai(nullable)]
    pub(super) device_token: Option<SecretText>,
}

/// A secret for an authenticator app. It counts once a code of it was shown, within ten minutes.
#[derive(Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase")]
pub(super) struct TotpOut {
    /// In base32, for typing.
    pub(super) secret: String,
    /// `otpauth://totp/…`
    pub(super) uri: String,
    /// The URI as a QR code: an SVG document.
    pub(super) qr_svg: String,
    /// The same as a `data:` URI of a PNG image.
    pub(super) qr_png: String,
}

impl TotpOut {
    pub(super) fn of(sheet: &Sheet) -> Result<Self> {
        Ok(Self {
            secret: sheet.secret.expose_secret().to_owned(),
            uri: sheet.uri.expose_secret().to_owned(),
            qr_svg: sheet.svg()?,
            qr_png: format!("data:image/png;base64,{}", STANDARD.encode(sheet.png()?)),
        })
    }
}

/// A code of the app.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, example)]
pub(super) struct CodeIn {
    /// Six digits.
    pub(super) code: SecretText,
}

/// A code of the app, with the sign-in that waits for it.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, skip_serializing_if_is_none, example)]
pub(super) struct EnrolTotpIn {
    pub(super) mfa_token: SecretText,
    /// Six digits.
    pub(super) code: SecretText,
    /// As the last sign-in on this device answered it.
    #[oai(nullable)]
    pub(super) device_token: Option<SecretText>,
}

/// Recovery codes, shown this once; none if those from before still count.
#[derive(Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase")]
pub(super) struct CodesOut {
    /// Each is good once.
    pub(super) recovery_codes: Vec<String>,
}

/// A sign-in that added a first factor.
#[derive(Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase")]
pub(super) struct EnrolledOut {
    pub(super) login: LoginOut,
    /// Each is good once; shown this once.
    pub(super) recovery_codes: Vec<String>,
}

impl From<(LoggedIn, Vec<String>)> for EnrolledOut {
    fn from((logged_in, recovery_codes): (LoggedIn, Vec<String>)) -> Self {
        Self { login: logged_in.into(), recovery_codes }
    }
}

/// What second factors the person has.
#[derive(Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
pub(super) struct FactorsOut {
    /// What the realm says: `off`, `optional` or `required`.
    pub(super) policy: String,
    /// How a second factor can be shown; empty if there is none.
    pub(super) methods: Vec<String>,
    /// Whether an authenticator app counts.
    pub(super) totp: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) totp_since: Option<Instant>,
    pub(super) passkeys: u64,
    /// Recovery codes that are not used yet.
    pub(super) recovery_codes_left: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) recovery_codes_since: Option<Instant>,
}

impl From<Overview> for FactorsOut {
    fn from(overview: Overview) -> Self {
        let policy = match overview.policy {
            MfaPolicy::Off => "off",
            MfaPolicy::Optional => "optional",
            MfaPolicy::Required => "required",
        };
        Self {
            policy: policy.to_owned(),
            methods: overview.factors.methods().into_iter().map(|method| method.as_str().to_owned()).collect(),
            totp: overview.factors.totp,
            totp_since: overview.totp_since.map(Instant),
            passkeys: overview.factors.passkeys,
            recovery_codes_left: overview.factors.recovery_codes,
            recovery_codes_since: overview.codes_since.map(Instant),
        }
    }
}

/// A passkey to be: the answer to the question for it.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, example)]
pub(super) struct NewPasskeyIn {
    /// 1 to 100 characters.
    #[oai(validator(max_length = 400))]
    pub(super) name: String,
    #[oai(validator(max_length = 64))]
    pub(super) ceremony_id: String,
    /// What the browser's authenticator answered, as `PublicKeyCredential.toJSON()` writes it.
    pub(super) credential: JsonObject,
}

/// The same, with the sign-in that waits for it.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, skip_serializing_if_is_none, example)]
pub(super) struct EnrolPasskeyIn {
    pub(super) mfa_token: SecretText,
    /// 1 to 100 characters.
    #[oai(validator(max_length = 400))]
    pub(super) name: String,
    #[oai(validator(max_length = 64))]
    pub(super) ceremony_id: String,
    /// What the browser's authenticator answered, as `PublicKeyCredential.toJSON()` writes it.
    pub(super) credential: JsonObject,
    /// As the last sign-in on this device answered it.
    #[oai(nullable)]
    pub(super) device_token: Option<SecretText>,
}

/// A passkey's name.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, example)]
pub(super) struct RenamePasskeyIn {
    /// 1 to 100 characters.
    #[oai(validator(max_length = 400))]
    pub(super) name: String,
}

/// A passkey.
#[derive(Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
pub(super) struct PasskeyOut {
    pub(super) id: String,
    pub(super) name: String,
    /// Whether it is kept at more than one place, as those are that a phone's maker synchronises.
    pub(super) backed_up: bool,
    pub(super) created_at: Instant,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) last_used_at: Option<Instant>,
}

impl From<Passkey> for PasskeyOut {
    fn from(key: Passkey) -> Self {
        Self {
            id: key.id.to_string(),
            name: key.name,
            backed_up: key.backed_up,
            created_at: Instant(key.created_at),
            last_used_at: key.last_used_at.map(Instant),
        }
    }
}

/// A passkey that counts from now on.
#[derive(Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase")]
pub(super) struct MadePasskeyOut {
    pub(super) passkey: PasskeyOut,
    /// Recovery codes, if this is the first factor: each is good once, shown this once.
    pub(super) recovery_codes: Vec<String>,
}

/// The person's passkeys, oldest first. All of them: there are never more than 20.
#[derive(Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase")]
pub(super) struct PasskeysOut {
    pub(super) items: Vec<PasskeyOut>,
    /// Always `null`: one page holds them all.
    #[oai(nullable)]
    pub(super) next_cursor: Option<String>,
}

/// A device where the person is not asked for a second factor.
#[derive(Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase")]
pub(super) struct TrustedDeviceOut {
    pub(super) id: String,
    /// What the person would call it, such as `Firefox on Linux`.
    pub(super) name: String,
    pub(super) created_at: Instant,
    /// Exact to about a day.
    pub(super) last_used_at: Instant,
    pub(super) trusted_until: Instant,
}

impl From<Device> for TrustedDeviceOut {
    fn from(device: Device) -> Self {
        Self {
            id: device.id.to_string(),
            name: device.name,
            created_at: Instant(device.created_at),
            last_used_at: Instant(device.last_used_at),
            trusted_until: Instant(device.trusted_until.unwrap_or(device.last_used_at)),
        }
    }
}

/// Trusted devices, the newest first. All of them: there are never more than 20.
#[derive(Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase")]
pub(super) struct TrustedDevicesOut {
    pub(super) items: Vec<TrustedDeviceOut>,
    /// Always `null`: one page holds them all.
    #[oai(nullable)]
    pub(super) next_cursor: Option<String>,
}

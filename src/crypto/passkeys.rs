//! Passkeys (WebAuthn level 2): what an authenticator is asked, and whether its answer is right.
//!
//! The core of `webauthn-rs` does the checking: type, challenge, origin, rpId, presence, verification, algorithm, signature
//! and counter. It is used below the crate's own front, which can neither let a realm choose how much verification a second
//! factor needs nor ask for a discoverable credential. What the front adds is done here (algorithms, how a key that became
//! a synchronised one is taken) or by the service (no credential of two people, one answer to a question).

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Serialize;
use serde_json::Value;
use url::Url;
use webauthn_rs_core::{
    WebauthnCore,
    error::WebauthnError,
    proto::{
        AttestationConveyancePreference, AuthenticationState, COSEAlgorithm, Credential, PublicKeyCredential, RegisterPublicKeyCredential, RegistrationState,
        RequestRegistrationExtensions, ResidentKeyRequirement, UserVerificationPolicy,
    },
};

use crate::domain::{Error, Result};

/// How long a browser lets its person look for the authenticator.
const TIMEOUT: Duration = Duration::from_secs(300);
/// Bytes of a credential's id (WebAuthn section 4).
const CREDENTIAL_ID: usize = 1_023;

/// Whom keys are made for: they answer to that id, asked from those origins alone.
#[derive(Debug)]
pub struct RelyingParty(WebauthnCore);

/// A question: what the browser gets, and what has to be kept to judge the answer.
#[derive(Debug)]
pub struct Question {
    /// `publicKey` of `navigator.credentials.create` or `.get`, in the JSON form of WebAuthn level 3 section 5.1.8.
    pub options: Value,
    /// For the server alone.
    pub state: String,
}

/// A person as their authenticator lists them.
#[derive(Clone, Copy, Debug)]
pub struct Holder<'a> {
    pub id: uuid::Uuid,
    pub email: &'a str,
    pub name: &'a str,
}

/// A key that was made.
#[derive(Debug)]
pub struct NewKey {
    /// In base64url.
    pub credential_id: String,
    /// For [`Key`].
    pub credential: String,
    pub sign_count: u32,
    pub backed_up: bool,
}

/// A key as it is kept.
#[derive(Clone, Copy, Debug)]
pub struct Key<'a> {
    pub credential: &'a str,
    pub sign_count: u32,
}

/// What an answer proved.
#[derive(Clone, Copy, Debug)]
pub struct Asserted {
    pub sign_count: u32,
    /// Whether the authenticator checked its person.
    pub verified: bool,
    pub backed_up: bool,
}

/// Why an answer proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasskeyFault {
    /// Malformed, or of another question, origin or key.
    Refused,
    /// All is right but the signature counter, which went back: somebody else may have the same key.
    Cloned,
}

impl RelyingParty {
    /// The party called `name` with that id, at these origins.
    #[must_use]
    pub fn new(name: &str, id: &str, origins: Vec<Url>) -> Self {
        Self(WebauthnCore::new_unsafe_experts_only(name, id, origins, TIMEOUT, Some(false), Some(false)))
    }

    /// Asks for a new key of `holder`, none of those in `had`. It is to be discoverable where the authenticator can do that.
    ///
    /// # Errors
    /// [`Error::Internal`] for a holder without name.
    pub fn ask_for_key(&self, holder: Holder<'_>, had: &[String], verified: bool) -> Result<Question> {
        let had = had.iter().filter_map(|id| URL_SAFE_NO_PAD.decode(id).ok()).collect();
        let builder = self.0.new_challenge_register_builder(holder.id.as_bytes(), holder.email, holder.name).map_err(broken)?;
        let builder = builder
            .attestation(AttestationConveyancePreference::None)
            .credential_algorithms(COSEAlgorithm::secure_algs())
            .user_verification_policy(policy(verified))
            .exclude_credentials(Some(had))
            .extensions(Some(RequestRegistrationExtensions { uvm: None, ..RequestRegistrationExtensions::default() }));
        let (mut options, state) = self.0.generate_challenge_register(builder).map_err(broken)?;
        if let Some(wishes) = &mut options.public_key.authenticator_selection {
            wishes.resident_key = Some(ResidentKeyRequirement::Preferred);
        }
        question(&options.public_key, &state)
    }

    /// Judges the answer to [`RelyingParty::ask_for_key`].
    pub fn take_key(&self, state: &str, answer: &Value) -> Result<NewKey, PasskeyFault> {
        let state: RegistrationState = serde_json::from_str(state).map_err(|_| PasskeyFault::Refused)?;
        let answer: RegisterPublicKeyCredential = serde_json::from_value(answer.clone()).map_err(|_| PasskeyFault::Refused)?;
        let key = self.0.register_credential(&answer, &state, None).map_err(fault)?;
        if key.cred_id.is_empty() || key.cred_id.len() > CREDENTIAL_ID {
            return Err(PasskeyFault::Refused);
        }
        Ok(NewKey {
            credential_id: URL_SAFE_NO_PAD.encode(&key.cred_id),
            sign_count: key.counter,
            backed_up: key.backup_state,
            credential: serde_json::to_string(&key).map_err(|_| PasskeyFault::Refused)?,
        })
    }

    /// Asks for an answer by one of `keys`, or by any that the authenticator has for this party if there are none.
    ///
    /// # Errors
    /// [`Error::Internal`] for a kept key that can't be read.
    pub fn ask(&self, keys: &[Key<'_>], verified: bool) -> Result<Question> {
        let keys = keys.iter().map(read).collect::<Result<_>>()?;
        let builder = self.0.new_challenge_authenticate_builder(keys, Some(policy(verified))).map_err(broken)?;
        let (options, mut state) = self.0.generate_challenge_authenticate(builder.allow_backup_eligible_upgrade(true)).map_err(broken)?;
        // What the keys are is read anew when the answer comes.
        state.set_allowed_credentials(Vec::new());
        question(&options.public_key, &state)
    }

    /// Judges an answer to [`RelyingParty::ask`] that claims to be by `key`.
    pub fn take(&self, state: &str, answer: &Answer, key: Key<'_>) -> Result<Asserted, PasskeyFault> {
        let state: AuthenticationState = serde_json::from_str(state).map_err(|_| PasskeyFault::Refused)?;
        let key = read(&key).map_err(|_| PasskeyFault::Refused)?;
        let result = self.0.authenticate_single_credential(&answer.0, &state, &key).map_err(fault)?;
        Ok(Asserted { sign_count: result.counter(), verified: result.user_verified(), backed_up: result.backup_state() })
    }
}

/// An authenticator's answer, not judged yet.
#[derive(Debug)]
pub struct Answer(PublicKeyCredential);

impl Answer {
    /// Reads the JSON form of WebAuthn level 3 section 5.1.8.
    #[must_use]
    pub fn read(answer: &Value) -> Option<Self> {
        serde_json::from_value(answer.clone()).ok().map(Self)
    }

    /// Which key it claims to be by, in base64url.
    #[must_use]
    pub fn credential_id(&self) -> String {
        URL_SAFE_NO_PAD.encode(&self.0.raw_id)
    }

    /// Whose key it says that is.
    #[must_use]
    pub fn holder(&self) -> Option<uuid::Uuid> {
        uuid::Uuid::from_slice(self.0.get_user_unique_id()?).ok()
    }
}

fn policy(verified: bool) -> UserVerificationPolicy {
    if verified { UserVerificationPolicy::Required } else { UserVerificationPolicy::Preferred }
}

fn question(options: &impl Serialize, state: &impl Serialize) -> Result<Question> {
    Ok(Question { options: serde_json::to_value(options).map_err(Error::internal)?, state: serde_json::to_string(state).map_err(Error::internal)? })
}

fn read(key: &Key<'_>) -> Result<Credential> {
    let mut credential: Credential = serde_json::from_str(key.credential).map_err(Error::internal)?;
    credential.counter = key.sign_count;
    Ok(credential)
}

fn broken(fault: WebauthnError) -> Error {
    Error::internal(format!("a question to an authenticator: {fault:?}"))
}

fn fault(fault: WebauthnError) -> PasskeyFault {
    match fault {
        WebauthnError::CredentialPossibleCompromise => PasskeyFault::Cloned,
        _ => PasskeyFault::Refused,
    }
}

//! What tests of second factors share: an authenticator app of one's own, and the steps of enrolling and answering.

use aws_lc_rs::hmac;
use realmgate::{domain::realm::RealmSettings, service};
use serde_json::{Value, json};

use super::{Client, PASSWORD, Reply, TestApp, User, authenticator::Authenticator};

/// The code of a base32 secret at that second, as RFC 6238 says.
pub fn totp(secret: &str, seconds: i64) -> String {
    let (mut bits, mut size, mut key) = (0_u32, 0, Vec::new());
    for letter in secret.bytes() {
        let value = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".iter().position(|known| *known == letter).expect("base32");
        bits = bits << 5 | u32::try_from(value).expect("five bits");
        size += 5;
        if size >= 8 {
            size -= 8;
            key.push(u8::try_from(bits >> size & 0xff).expect("eight bits"));
        }
    }
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &key), &(seconds / 30).to_be_bytes());
    let offset = usize::from(mac.as_ref()[19] & 15);
    let head = u32::from_be_bytes(mac.as_ref()[offset..offset + 4].try_into().expect("four bytes"));
    format!("{:06}", (head & 0x7fff_ffff) % 1_000_000)
}

/// A person whose app and codes the test holds.
pub struct Enrolled {
    pub user: User,
    pub secret: String,
    pub codes: Vec<String>,
}

pub fn list(reply: &Reply, pointer: &str) -> Vec<String> {
    let json = reply.json();
    json.pointer(pointer)
        .and_then(Value::as_array)
        .unwrap_or_else(|| panic!("no {pointer} in {json}"))
        .iter()
        .map(|text| text.as_str().unwrap().to_owned())
        .collect()
}

impl TestApp {
    /// The app's code of this moment.
    pub fn code(&self, secret: &str) -> String {
        self.code_at(secret, 0)
    }

    /// Its code so many seconds off.
    pub fn code_at(&self, secret: &str, off: i64) -> String {
        totp(secret, self.app().clock.now().timestamp() + off)
    }

    /// A six-digit code that is not good now.
    pub fn wrong_code(&self, secret: &str) -> String {
        let near: Vec<_> = [-60, -30, 0, 30, 60].map(|off| self.code_at(secret, off)).into();
        (0..).map(|number| format!("{number:06}")).find(|code| !near.contains(code)).expect("another code")
    }

    /// A new person of the root realm with an authenticator app.
    pub async fn enrolled(&self, email: &str) -> Enrolled {
        self.enrolled_in("localhost", email).await
    }

    pub async fn enrolled_in(&self, realm: &str, email: &str) -> Enrolled {
        let user = self.user_in(realm, email).await;
        let client = self.anonymous().bearer(&user.access);
        let secret = client.begin_totp().await.assert(200).at("/secret");
        let done = client.confirm_totp(&self.code(&secret)).await.assert(200);
        // The next sign-in needs a code that was not used.
        self.advance(chrono::TimeDelta::seconds(30));
        Enrolled { user, secret, codes: list(&done, "/recoveryCodes") }
    }

    /// A new person of the root realm with a passkey.
    pub async fn with_passkey(&self, email: &str) -> (User, Authenticator) {
        let user = self.user(email).await;
        let mut key = Authenticator::new();
        self.anonymous().bearer(&user.access).add_passkey(&mut key).await.assert(201);
        (user, key)
    }

    /// Changes the settings of a realm.
    pub async fn settings_of(&self, realm: &str, change: impl FnOnce(&mut RealmSettings)) {
        let mut settings = service::realms::by_host(self.app(), realm).await.unwrap().expect("a realm").settings.clone();
        change(&mut settings);
        let change = service::realms::RealmChange { settings: Some(settings), ..Default::default() };
        service::realms::change(self.app(), &self.operator().await, realm, change).await.unwrap();
    }
}

impl Client<'_> {
    pub async fn begin_totp(&self) -> Reply {
        self.post("/api/v1/me/mfa/totp", &json!({})).await
    }

    pub async fn confirm_totp(&self, code: &str) -> Reply {
        self.post("/api/v1/me/mfa/totp/confirm", &json!({ "code": code })).await
    }

    /// The first half of a sign-in: its `mfaToken`.
    pub async fn first_half(&self, email: &str) -> String {
        self.log_in(email, PASSWORD).await.assert_problem(403, "mfa_required").at("/mfaToken")
    }

    pub async fn answer(&self, token: &str, method: &str, code: &str) -> Reply {
        self.post("/api/v1/auth/mfa/verify", &json!({ "mfaToken": token, "method": method, "code": code })).await
    }

    pub async fn step_up(&self, method: &str, field: &str, value: &str) -> Reply {
        self.post("/api/v1/auth/step-up", &json!({ "method": method, field: value })).await
    }

    /// Asks for a new passkey and adds what `key` answers.
    pub async fn add_passkey(&self, key: &mut Authenticator) -> Reply {
        let asked = self.post("/api/v1/me/passkeys/options", &json!({})).await.assert(200);
        let answer = key.make(&asked.json()["publicKey"]);
        self.post("/api/v1/me/passkeys", &json!({ "name": "Phone", "ceremonyId": asked.at("/ceremonyId"), "credential": answer })).await
    }

    /// Signs in with a passkey alone.
    pub async fn passkey_login(&self, key: &mut Authenticator) -> Reply {
        let asked = self.post("/api/v1/auth/passkey/options", &json!({})).await.assert(200);
        let answer = key.sign(&asked.json()["publicKey"]);
        self.post("/api/v1/auth/passkey/login", &json!({ "ceremonyId": asked.at("/ceremonyId"), "credential": answer })).await
    }
}

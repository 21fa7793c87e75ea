//! One mail of each kind, for tests, previews and documentation.

use super::Message;

impl Message {
    /// One of each, for tests, previews and documentation.
    #[must_use]
    pub fn samples() -> Vec<Self> {
        Self::samples_for("Ada Lovelace", "Acme", "Firefox on Linux")
    }

    /// One of each with the given foreign texts.
    #[must_use]
    pub fn samples_for(name: &str, realm: &str, device: &str) -> Vec<Self> {
        let (name, realm, device) = (name.to_owned(), realm.to_owned(), device.to_owned());
        let page = |path: &str| format!("https://id.acme.example/ui/{path}");
        let token = "AZkq0Yp7cHyT0p3mJw5s1kq0Yp7cHyT0p3mJw5s1kq0Yp7cHyT0p3mJw5s1QxYzA";
        vec![
            Self::VerifyEmail {
                name: name.clone(),
                realm: realm.clone(),
                link: page(&format!("verify-email?token={token}")),
                code: "402931".to_owned(),
                link_hours: 24,
                code_minutes: 10,
            },
            Self::AccountExists {
                name: name.clone(),
                realm: realm.clone(),
                sign_in_link: Some("https://app.acme.example/login".to_owned()),
                forgot_link: Some(page("forgot-password")),
            },
            Self::ResetPassword {
                name: name.clone(),
                realm: realm.clone(),
                link: page(&format!("reset-password?token={token}")),
                minutes: 30,
                ip: Some("203.0.113.7".to_owned()),
            },
            Self::PasswordChanged {
                name: name.clone(),
                realm: realm.clone(),
                at: "2026-03-14 09:26 UTC".to_owned(),
                ip: Some("203.0.113.7".to_owned()),
                forgot_link: Some(page("forgot-password")),
            },
            Self::UnlockSignIn {
                name: name.clone(),
                realm: realm.clone(),
                link: page(&format!("unlock-sign-in?token={token}")),
                minutes: 60,
                forgot_link: Some(page("forgot-password")),
            },
            Self::RefreshReuse { name: name.clone(), realm: realm.clone(), device: device.clone(), forgot_link: Some(page("forgot-password")) },
            Self::ApiKeyLeaked {
                name: name.clone(),
                realm: realm.clone(),
                account: device.clone(),
                key: device.clone(),
                prefix: "conv_02wndAAHBC95f4Al8rNFlB".to_owned(),
                last4: "z7nN".to_owned(),
                at: "2026-03-14 09:26 UTC".to_owned(),
            },
            Self::Invitation {
                inviter: Some(name.clone()),
                realm: realm.clone(),
                account: device.clone(),
                role: "admin",
                link: page(&format!("invitation?token={token}")),
                until: "2026-03-21 09:26 UTC".to_owned(),
            },
            Self::MemberRemoved { name: name.clone(), realm: realm.clone(), account: device.clone() },
            Self::RoleChanged { name: name.clone(), realm: realm.clone(), account: device.clone(), role: "admin" },
            Self::ChangeEmail { name: name.clone(), realm: realm.clone(), link: page(&format!("change-email?token={token}")), minutes: 30 },
            Self::EmailChanged {
                name: name.clone(),
                realm: realm.clone(),
                at: "2026-03-14 09:26 UTC".to_owned(),
                link: page(&format!("undo-email-change?token={token}")),
                hours: 72,
            },
            Self::NewDevice {
                name: name.clone(),
                realm: realm.clone(),
                at: "2026-03-14 09:26 UTC".to_owned(),
                device: device.clone(),
                ip: "203.0.113.7".to_owned(),
                link: page(&format!("not-me?token={token}")),
            },
            Self::EndlessToken {
                name: name.clone(),
                realm: realm.clone(),
                at: "2026-03-14 09:26 UTC".to_owned(),
                prefix: "0a1b2c3d".to_owned(),
                forgot_link: Some(page("forgot-password")),
            },
            Self::SessionEvicted { name: name.clone(), realm: realm.clone(), device, forgot_link: Some(page("forgot-password")) },
            Self::MagicLink { name: name.clone(), realm: realm.clone(), link: page(&format!("magic-link?token={token}")), minutes: 10 },
            Self::FactorChanged {
                name,
                realm,
                method: "passkey".to_owned(),
                added: true,
                at: "2026-03-14 09:26 UTC".to_owned(),
                forgot_link: Some(page("forgot-password")),
            },
        ]
    }
}

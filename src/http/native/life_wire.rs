//! The bodies of `life.rs`.

use poem_openapi::{Object, types::Example};
use serde::Serialize;

use super::{
    factor_wire::{FactorsOut, PasskeyOut},
    member_wire::InvitationOut,
    wire::MeOut,
};
use crate::{
    http::{payload::Instant, secret_text::SecretText},
    service::{Ctx, export::Export},
};

/// The address to be, and the password as a proof.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, skip_serializing_if_is_none, example)]
pub(super) struct ChangeEmailIn {
    #[oai(validator(max_length = 320))]
    pub(super) email: String,
    #[oai(nullable)]
    pub(super) password: Option<SecretText>,
}

impl Example for ChangeEmailIn {
    fn example() -> Self {
        Self { email: "ada.king@example.com".to_owned(), password: Some(SecretText::from("a long enough passphrase")) }
    }
}

/// A mailed token.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, example)]
pub(super) struct MailedTokenIn {
    #[oai(validator(max_length = 512))]
    pub(super) token: String,
}

impl Example for MailedTokenIn {
    fn example() -> Self {
        Self { token: "the-token-of-the-mailed-link".to_owned() }
    }
}

/// The password as a proof.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, skip_serializing_if_is_none, example)]
pub(super) struct EraseIn {
    #[oai(nullable)]
    pub(super) password: Option<SecretText>,
}

impl Example for EraseIn {
    fn example() -> Self {
        Self { password: Some(SecretText::from("a long enough passphrase")) }
    }
}

/// A session, live or over.
#[derive(Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
pub(super) struct PastSessionOut {
    pub(super) id: String,
    pub(super) device: String,
    /// What the browser or program called itself.
    pub(super) user_agent: String,
    pub(super) ip: String,
    pub(super) created_at: Instant,
    pub(super) last_used_at: Instant,
    pub(super) expires_at: Instant,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ended_at: Option<Instant>,
    /// Why it ended, as a session's 401 names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) end_reason: Option<String>,
}

/// A stored credential, without its secret.
#[derive(Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase")]
pub(super) struct CredentialOut {
    pub(super) kind: String,
    pub(super) created_at: Instant,
    pub(super) updated_at: Instant,
}

/// A device that the person signed in with.
#[derive(Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase")]
pub(super) struct KnownDeviceOut {
    pub(super) name: String,
    pub(super) created_at: Instant,
    pub(super) last_used_at: Instant,
}

/// A mailed link that can still be used, or a mail that was asked for and waits.
#[derive(Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
pub(super) struct PendingOut {
    /// `verify_email`, `reset_password`, `change_email`, `undo_email_change`, `magic_link`, `not_me` or `unlock_sign_in`.
    pub(super) purpose: String,
    pub(super) email: String,
    pub(super) created_at: Instant,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expires_at: Option<Instant>,
}

/// A line of the audit trail.
#[derive(Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase")]
pub(super) struct PastEventOut {
    pub(super) id: String,
    pub(super) action: String,
    /// `anonymous`, `user` or `operator`.
    pub(super) actor: String,
    pub(super) ip: String,
    pub(super) request_id: String,
    pub(super) at: Instant,
}

/// Everything that is kept about a person.
#[derive(Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase")]
pub(super) struct ExportOut {
    pub(super) exported_at: Instant,
    /// The profile with the places in accounts.
    pub(super) profile: MeOut,
    pub(super) credentials: Vec<CredentialOut>,
    pub(super) factors: FactorsOut,
    pub(super) passkeys: Vec<PasskeyOut>,
    /// Newest first; those that are over are kept for 30 days.
    pub(super) sessions: Vec<PastSessionOut>,
    pub(super) devices: Vec<KnownDeviceOut>,
    pub(super) pending: Vec<PendingOut>,
    /// To accounts, newest first; kept until their end is past.
    pub(super) invitations: Vec<InvitationOut>,
    /// What the person did and what was done to them, newest first.
    pub(super) events: Vec<PastEventOut>,
}

impl ExportOut {
    pub(super) fn of(ctx: &Ctx, export: Export) -> Self {
        let links = export.pending.into_iter().map(|token| PendingOut {
            purpose: token.purpose.as_str().to_owned(),
            email: token.email,
            created_at: Instant(token.created_at),
            expires_at: Some(Instant(token.expires_at)),
        });
        let asked = export.mail_requests.into_iter().map(|request| PendingOut {
            purpose: request.purpose.as_str().to_owned(),
            email: request.email.as_str().to_owned(),
            created_at: Instant(request.created_at),
            expires_at: None,
        });
        let session = |(session, user_agent): (crate::domain::session::Session, String)| PastSessionOut {
            id: session.id.to_string(),
            device: session.device,
            user_agent,
            ip: session.ip,
            created_at: Instant(session.created_at),
            last_used_at: Instant(session.last_used_at),
            expires_at: Instant(session.expires_at),
            ended_at: session.ended.map(|(at, _)| Instant(at)),
            end_reason: session.ended.map(|(_, reason)| reason.as_str().to_owned()),
        };
        let event = |event: crate::domain::event::PastEvent| PastEventOut {
            id: event.id.to_string(),
            action: event.action,
            actor: event.actor,
            ip: event.ip,
            request_id: event.request_id,
            at: Instant(event.at),
        };
        let credential = |(kind, created_at, updated_at)| CredentialOut { kind, created_at: Instant(created_at), updated_at: Instant(updated_at) };
        let known = export.devices.into_iter();
        let devices =
            known.map(|device| KnownDeviceOut { name: device.name, created_at: Instant(device.created_at), last_used_at: Instant(device.last_used_at) });
        Self {
            exported_at: Instant(export.at),
            profile: MeOut::of(ctx, &export.profile),
            credentials: export.credentials.into_iter().map(credential).collect(),
            factors: export.factors.into(),
            passkeys: export.passkeys.into_iter().map(Into::into).collect(),
            sessions: export.sessions.into_iter().map(session).collect(),
            devices: devices.collect(),
            pending: links.chain(asked).collect(),
            invitations: export.invitations.iter().map(|invitation| InvitationOut::of(invitation, export.at)).collect(),
            events: export.events.into_iter().map(event).collect(),
        }
    }
}

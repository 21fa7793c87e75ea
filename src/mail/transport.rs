//! How a mail leaves: into the development mailbox (a table, written by a service) or to an SMTP server.
//!
//! One call is one attempt; leases, repetitions and dead letters are the worker's. Connections are kept here rather than
//! by lettre's pool, because that pool takes a connection back when an attempt is given up halfway: the late answer to
//! one mail would then pass for the answer to the next, and a mail would count as delivered that never was.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use lettre::{
    Address,
    message::{
        Mailbox, MultiPart,
        header::{HeaderName, HeaderValue},
    },
    transport::smtp::{self, authentication::DEFAULT_MECHANISMS, client::AsyncSmtpConnection},
};
use secrecy::SecretString;
use tokio::time::{Instant, timeout};

use super::{
    relay::{Protection, Relay},
    render::Rendered,
};
use crate::domain::{Error, Result, email::Email};

/// Longest time one attempt may take, from connecting to the server's last word.
const PATIENCE: Duration = Duration::from_secs(30);
/// The same for a look at whether the server is there.
const PROBE: Duration = Duration::from_secs(5);

/// Idle connections that are kept, and for how long; most servers hang up soon after.
const KEPT: usize = 4;
const KEPT_FOR: Duration = Duration::from_secs(20);

/// A mail on its way to one address.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// Sender as in a header: `Acme <no-reply@acme.example>` or a bare address; see [`check_sender`].
    pub from: &'a str,
    /// The only recipient.
    pub to: &'a Email,
    /// Subject and bodies.
    pub rendered: &'a Rendered,
    /// `<…@…>`, the same at every attempt, so that mailboxes drop the copy that a crash may cause.
    pub message_id: &'a str,
    /// When the mail came to be owed, also the same at every attempt.
    pub date: DateTime<Utc>,
}

/// Why a mail did not leave. The text is for operators: reply codes and stages, never addresses or what servers wrote.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendFault {
    /// Worth another attempt: a 4xx reply, no connection, no sign-in, no time.
    #[error("{0}")]
    Temporary(String),
    /// The server refused this mail for good (5xx), or it can't be built.
    #[error("{0}")]
    Permanent(String),
}

/// Where mail goes.
pub enum Transport {
    /// The development mailbox in the database.
    Mailbox,
    /// A mail server.
    Smtp(SmtpTransport),
}

impl Transport {
    /// A transport to the server that `smtp_url` names; connects only when there is mail.
    ///
    /// # Errors
    /// [`Error::Setup`] with what to write instead; never quotes the URL.
    pub fn smtp(url: &SecretString) -> Result<Self> {
        Ok(Self::Smtp(SmtpTransport { relay: Relay::parse(url)?, patience: PATIENCE, idle: Mutex::default() }))
    }

    /// Whether mail stays here: the caller writes it to the mailbox table instead of calling [`Transport::send`].
    #[must_use]
    pub fn is_mailbox(&self) -> bool {
        matches!(self, Self::Mailbox)
    }

    /// Makes one attempt, at most 30 seconds long. `Ok` means that the server has taken responsibility (RFC 5321 6.1).
    ///
    /// # Errors
    /// [`SendFault`]; always [`SendFault::Permanent`] for the mailbox, which a service writes.
    pub async fn send(&self, mail: &Outgoing<'_>) -> Result<(), SendFault> {
        match self {
            Self::Mailbox => Err(SendFault::Permanent("the mailbox transport sends nothing".to_owned())),
            Self::Smtp(smtp) => smtp.send(mail).await,
        }
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_mailbox() { "Mailbox" } else { "Smtp" })
    }
}

/// Refuses a sender that no header can carry, when settings are read rather than when mail is due.
///
/// # Errors
/// [`Error::Setup`] that says what to write.
pub fn check_sender(from: &str) -> Result<()> {
    sender(from).map(|_| ()).ok_or_else(|| Error::Setup("the mail sender must be an address such as `Acme <no-reply@acme.example>`".to_owned()))
}

fn sender(from: &str) -> Option<Mailbox> {
    if from.chars().any(char::is_control) { None } else { from.parse().ok() }
}

/// A mail server and the connections to it that are free. Made by [`Transport::smtp`].
pub struct SmtpTransport {
    relay: Relay,
    patience: Duration,
    idle: Mutex<Vec<(Instant, AsyncSmtpConnection)>>,
}

impl SmtpTransport {
    /// Connects, protects the line and signs in, as for a mail, and sends none.
    ///
    /// # Errors
    /// [`SendFault`] that says how far it got.
    pub async fn probe(&self) -> Result<(), SendFault> {
        let slow = || SendFault::Temporary("the mail server took too long".to_owned());
        let connection = timeout(PROBE, self.connection()).await.map_err(|_| slow())?;
        self.keep(connection.map_err(|fault| SendFault::Temporary(format!("the mail server can't be used: {}", reason(&fault))))?);
        Ok(())
    }

    async fn send(&self, mail: &Outgoing<'_>) -> Result<(), SendFault> {
        let message = build(mail)?;
        // A connection is put back only after a whole exchange; one that is dropped by the timeout is closed.
        let attempt = async {
            let mut connection = self.connection().await.map_err(|fault| SendFault::Temporary(format!("the mail server can't be used: {}", reason(&fault))))?;
            connection.send(message.envelope(), &message.formatted()).await.map_err(|fault| verdict(&fault))?;
            self.keep(connection);
            Ok(())
        };
        timeout(self.patience, attempt).await.unwrap_or_else(|_| Err(SendFault::Temporary("the mail server took too long".to_owned())))
    }

    /// A connection ready for a mail: a kept one that still answers, else a new one, protected and signed in.
    async fn connection(&self) -> Result<AsyncSmtpConnection, smtp::Error> {
        while let Some((since, mut kept)) = self.take_kept() {
            if since.elapsed() < KEPT_FOR && kept.test_connected().await {
                return Ok(kept);
            }
        }
        let Relay { host, port, protection, credentials, hello } = &self.relay;
        let wrapped = if let Protection::Tls(tls) = protection { Some(tls.clone()) } else { None };
        let mut connection = AsyncSmtpConnection::connect_tokio1((host.as_str(), *port), Some(self.patience), hello, wrapped, None).await?;
        match protection {
            Protection::StartTls(tls) => connection.starttls(tls.clone(), hello).await?,
            Protection::Opportunistic(tls) if connection.can_starttls() => connection.starttls(tls.clone(), hello).await?,
            Protection::Opportunistic(_) | Protection::Plain | Protection::Tls(_) => {}
        }
        if let Some(credentials) = credentials {
            connection.auth(DEFAULT_MECHANISMS, credentials).await?;
        }
        Ok(connection)
    }

    fn take_kept(&self) -> Option<(Instant, AsyncSmtpConnection)> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn keep(&self, connection: AsyncSmtpConnection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(since, _)| since.elapsed() < KEPT_FOR);
        if idle.len() < KEPT {
            idle.push((Instant::now(), connection));
        }
    }
}

/// The mail in the form of RFC 5322: typed headers, text and HTML as alternatives, marked as machine-made (RFC 3834).
fn build(mail: &Outgoing<'_>) -> Result<lettre::Message, SendFault> {
    let unfit = |what: &str| SendFault::Permanent(format!("the mail can't be built: {what}"));
    let from = sender(mail.from).ok_or_else(|| unfit("its sender is no address"))?;
    let to: Address = mail.to.as_str().parse().map_err(|_| unfit("its recipient is no address"))?;
    let id = mail.message_id;
    let inner = id.strip_prefix('<').and_then(|id| id.strip_suffix('>')).and_then(|id| id.split_once('@'));
    if !inner.is_some_and(|(left, right)| !left.is_empty() && !right.is_empty()) || !id.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(unfit("its Message-ID is malformed"));
    }
    lettre::Message::builder()
        .from(from)
        .to(Mailbox::new(None, to))
        .subject(mail.rendered.subject.as_str())
        .date(mail.date.into())
        .message_id(Some(id.to_owned()))
        .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned()))
        .multipart(MultiPart::alternative_plain_html(mail.rendered.text.clone(), mail.rendered.html.clone()))
        .map_err(|_| unfit("its headers don't fit together"))
}

/// What a fault at the mail itself means. Replies about sign-in and encryption (RFC 4954 6) are ours to repair, not the
/// mail's end: it waits until the settings are right.
fn verdict(fault: &smtp::Error) -> SendFault {
    let text = reason(fault);
    match fault.status().map(u16::from) {
        Some(530 | 534 | 535 | 538) | None => SendFault::Temporary(text),
        Some(_) if fault.is_permanent() => SendFault::Permanent(text),
        Some(_) => SendFault::Temporary(text),
    }
}

/// The fault in words of ours: the reply's code and enhanced code (RFC 3463), or the kind of failure. What the server wrote
/// beside them may hold addresses.
fn reason(fault: &smtp::Error) -> String {
    if let Some(code) = fault.status() {
        let text = std::error::Error::source(fault).map(ToString::to_string).unwrap_or_default();
        let enhanced = text.split_whitespace().next().filter(|word| is_enhanced_code(word));
        return enhanced.map_or_else(|| format!("reply {code}"), |enhanced| format!("reply {code} {enhanced}"));
    }
    let kind = if fault.is_tls() {
        "TLS failed"
    } else if fault.is_timeout() {
        "no answer in time"
    } else if fault.is_response() {
        "no reply of an SMTP server, or half of one"
    } else if fault.is_client() {
        "it lacks what we need (STARTTLS, a way to sign in)"
    } else {
        "no connection"
    };
    kind.to_owned()
}

fn is_enhanced_code(word: &str) -> bool {
    let parts: Vec<_> = word.split('.').collect();
    parts.len() == 3 && parts.iter().all(|part| (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests;

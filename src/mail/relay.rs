//! Reads `smtp_url`: which server takes our mail, how the line to it is protected, and who we are there.
//!
//! Only parsing; `transport.rs` connects. The URL may hold a password, so that no fault told from here quotes any of it.

use std::net::IpAddr;

use lettre::transport::smtp::{SMTP_PORT, SUBMISSION_PORT, SUBMISSIONS_PORT, authentication::Credentials, client::TlsParameters, extension::ClientId};
use secrecy::{ExposeSecret as _, SecretString};
use url::{Host, Url};

use crate::domain::{Error, Result, realm::host_name};

/// How the connection is protected.
pub(super) enum Protection {
    /// Not at all.
    Plain,
    /// STARTTLS where the server offers it; anybody on the line can take the offer away.
    Opportunistic(TlsParameters),
    /// STARTTLS or no mail (RFC 3207).
    StartTls(TlsParameters),
    /// TLS from the first byte (RFC 8314).
    Tls(TlsParameters),
}

/// A mail server that takes our mail.
pub(super) struct Relay {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) protection: Protection,
    pub(super) credentials: Option<Credentials>,
    /// The name we greet with.
    pub(super) hello: ClientId,
}

impl Relay {
    /// Reads `smtp[s]://[user:password@]host[:port][/our-own-name][?tls=required|opportunistic|none]`.
    ///
    /// `smtps` is TLS on port 465; `smtp` is STARTTLS on port 587, required unless said otherwise, but plain on port 25 for a
    /// server on this machine. User and password are percent-encoded; the path, if any, is the name for EHLO.
    ///
    /// # Errors
    /// [`Error::Setup`] with what to write instead, without quoting what was written.
    pub(super) fn parse(url: &SecretString) -> Result<Self> {
        let url = Url::parse(url.expose_secret())
            .map_err(|_| fault("it is no URL; write smtps://user:password@mail.example.com, user and password percent-encoded"))?;
        let host = match url.host() {
            Some(Host::Domain(name)) if !name.is_empty() => name.to_ascii_lowercase(),
            Some(Host::Ipv4(ip)) => ip.to_string(),
            Some(Host::Ipv6(ip)) => ip.to_string(),
            _ => return Err(fault("it names no host; write smtps://mail.example.com")),
        };
        let mut tls = None;
        for (key, value) in url.query_pairs() {
            if key != "tls" || tls.replace(value.into_owned()).is_some() {
                return Err(fault("`tls` is the only parameter it takes, and once"));
            }
        }
        let parameters =
            || TlsParameters::new(host.clone()).map_err(|_| fault("no TLS for this host: it is no valid name, or this machine has no root certificates"));
        let (protection, default_port) = match (url.scheme(), tls.as_deref()) {
            ("smtps", None | Some("required")) => (Protection::Tls(parameters()?), SUBMISSIONS_PORT),
            ("smtp", None) if is_loopback(&host) => (Protection::Plain, SMTP_PORT),
            ("smtp", None | Some("required")) => (Protection::StartTls(parameters()?), SUBMISSION_PORT),
            ("smtp", Some("opportunistic")) => (Protection::Opportunistic(parameters()?), SUBMISSION_PORT),
            ("smtp", Some("none")) => (Protection::Plain, SMTP_PORT),
            ("smtp" | "smtps", _) => return Err(fault("`tls` is `required`, `opportunistic` or `none`, the latter two with smtp:// only")),
            _ => return Err(fault("it must begin with smtps:// or smtp://")),
        };
        let credentials = match (url.username(), url.password()) {
            ("", None) => None,
            ("", Some(_)) | (_, None) => return Err(fault("give both user and password, or neither")),
            (user, Some(password)) => Some(Credentials::new(percent_decoded(user)?, percent_decoded(password)?)),
        };
        if credentials.is_some() && matches!(protection, Protection::Plain | Protection::Opportunistic(_)) && !is_loopback(&host) {
            return Err(fault("a password goes to another machine over TLS only; use smtps:// or ?tls=required"));
        }
        let hello = match url.path().trim_matches('/') {
            "" => ClientId::default(),
            name => ClientId::Domain(host_name("smtp_url", name).map_err(|_| fault("its path is the name for EHLO and must be a DNS name"))?),
        };
        Ok(Self { port: url.port().unwrap_or(default_port), host, protection, credentials, hello })
    }
}

fn fault(what: &str) -> Error {
    Error::Setup(format!("smtp_url: {what}"))
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.ends_with(".localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Undoes percent-encoding (RFC 3986 2.1). Form decoding won't do: there `+` is a space, in a password it is a plus.
fn percent_decoded(text: &str) -> Result<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let hex =
            (first == b'%').then(|| tail.get(..2).and_then(|pair| std::str::from_utf8(pair).ok()).and_then(|pair| u8::from_str_radix(pair, 16).ok())).flatten();
        bytes.push(hex.unwrap_or(first));
        rest = if hex.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8(bytes).map_err(|_| fault("user and password must be percent-encoded UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Relay> {
        Relay::parse(&SecretString::from(url))
    }

    #[test]
    fn protection_and_port_follow_the_scheme() {
        let plain = |url: &str| parse(url).map(|relay| (matches!(relay.protection, Protection::Plain), relay.port)).unwrap();
        assert_eq!(plain("smtp://127.0.0.1:2525"), (true, 2525));
        assert_eq!(plain("smtp://[::1]"), (true, 25));
        assert_eq!(plain("smtp://mailpit:1025?tls=none"), (true, 1025));
        assert_eq!(plain("smtp://mail.example.com"), (false, 587));
        assert!(matches!(parse("smtp://mail.example.com").unwrap().protection, Protection::StartTls(_)));
        assert!(matches!(parse("smtp://localhost?tls=required").unwrap().protection, Protection::StartTls(_)));
        assert!(matches!(parse("smtp://mail.example.com?tls=opportunistic").unwrap().protection, Protection::Opportunistic(_)));
        let relay = parse("smtps://mail.example.com/id.example.com").unwrap();
        assert!(matches!(relay.protection, Protection::Tls(_)) && relay.port == 465);
        assert_eq!(relay.hello, ClientId::Domain("id.example.com".to_owned()));
    }

    #[test]
    fn credentials_are_percent_decoded() {
        let relay = parse("smtps://ann%40example.com:a+b%2Fc%25&%C3%A4@mail.example.com").unwrap();
        assert_eq!(relay.credentials, Some(Credentials::new("ann@example.com".to_owned(), "a+b/c%&ä".to_owned())));
    }

    #[test]
    fn faults_say_what_to_do_and_quote_nothing() {
        for url in [
            "hunter2",
            "http://u:hunter2@mail.example.com",
            "smtp://u:hunter2@",
            "smtp://u:hunter2@mail.example.com?tls=none",
            "smtp://u:hunter2@mail.example.com?tls=hunter2",
            "smtps://u:hunter2@mail.example.com?hunter2=1",
            "smtps://hunter2@mail.example.com",
            "smtps://u:hunter2%FF@mail.example.com",
            "smtps://u:hunter2@mail.example.com:99999",
            "smtps://u:pw@mail.example.com/hunter2%0d%0a",
        ] {
            let Err(Error::Setup(text)) = parse(url) else { panic!("{url} was taken") };
            assert!(text.starts_with("smtp_url: ") && !text.contains("hunter2"), "{text}");
        }
    }
}

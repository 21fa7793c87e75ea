//! Which settings can't go together, and what to do about it; and the settings with their secrets masked.

use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde_json::{Value, json};
use url::Url;

use super::{Profile, Settings};
use crate::domain::{Error, Result};

/// Something that must be changed before the service starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    pub setting: &'static str,
    pub problem: String,
    pub cure: String,
}

impl Problem {
    /// Something wrong with `setting`. Neither text may quote a value that is secret.
    #[must_use]
    pub fn new(setting: &'static str, problem: &str, cure: &str) -> Self {
        Self { setting, problem: problem.to_owned(), cure: cure.to_owned() }
    }
}

/// The address that links start with, without its trailing slash.
pub(super) fn public_url(text: &str) -> Result<String> {
    let wrong = || Error::Setup("the setting `public_url` must be an address such as https://id.example.com, without a query".to_owned());
    let url = Url::parse(text).map_err(|_| wrong())?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if plain { Ok(text.trim_end_matches('/').to_owned()) } else { Err(wrong()) }
}

impl Settings {
    /// Everything that keeps this installation from starting. Empty means ready.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let scheme = |url: &SecretString, known: &[&str]| known.iter().any(|scheme| url.expose_secret().starts_with(&format!("{scheme}://")));
        if !scheme(&self.database_url, &["sqlite", "postgres", "postgresql"]) {
            problems.push(Problem::new("database_url", "is of an unknown kind", "set it to postgres://… or sqlite://…"));
        }
        if self.smtp_url.as_ref().is_some_and(|url| !scheme(url, &["smtp", "smtps"])) {
            problems.push(Problem::new("smtp_url", "is of an unknown kind", "set it to smtp://… or smtps://…"));
        }
        if self.redis_url.as_ref().is_some_and(|url| !scheme(url, &["redis", "rediss"])) {
            problems.push(Problem::new("redis_url", "is of an unknown kind", "set it to redis://… or rediss://…"));
        }
        for (setting, limit) in self.limits() {
            if limit == 0 {
                problems.push(Problem::new(setting, "is 0, so nobody could do this at all", "set it to a number that honest people stay below"));
            }
        }
        if !self.mail_from.contains('@') {
            problems.push(Problem::new("mail_from", "is no address", "set it to an address such as Example <no-reply@example.com>"));
        }
        if self.otlp_url.as_ref().is_some_and(|url| !scheme(url, &["http", "https"])) {
            problems.push(Problem::new("otlp_url", "is of an unknown kind", "set it to the collector's http://… or https://…, port 4318 as a rule"));
        }
        if !(0.0..=1.0).contains(&self.trace_ratio) {
            problems.push(Problem::new("trace_ratio", "is no part of requests", "set it to a number from 0 to 1"));
        }
        if self.stop_delay > 300 {
            problems.push(Problem::new("stop_delay", "is longer than any supervisor waits", "set it to at most 300 seconds"));
        }
        if !self.security_contact.iter().all(|contact| is_reference(contact, &["mailto:", "https://", "tel:"])) {
            problems.push(Problem::new("security_contact", "is no address of RFC 9116", "set it to mailto:…, https://… or tel:…"));
        }
        if self.security_policy.as_ref().is_some_and(|policy| !is_reference(policy, &["https://"])) {
            problems.push(Problem::new("security_policy", "is no address of RFC 9116", "set it to https://…"));
        }
        if !(1..=3_600).contains(&self.usage_flush_seconds) {
            problems.push(Problem::new("usage_flush_seconds", "is not 1 to 3600", "set it to a number of seconds such as 10"));
        }
        let prefix = self.api_key_prefix.as_bytes();
        if !(2..=16).contains(&prefix.len()) || !prefix[0].is_ascii_lowercase() || !prefix.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()) {
            problems.push(Problem::new("api_key_prefix", "is not 2 to 16 of a-z and 0-9, a letter first", "set it to a word such as conv"));
        }
        match self.profile {
            Profile::Dev if !self.listen.ip().is_loopback() => problems.push(Problem::new(
                "profile",
                "dev shows everybody's mail and must not be reachable from elsewhere",
                "set profile = \"production\", or listen to a loopback address",
            )),
            Profile::Dev => {}
            Profile::Production => self.production(&mut problems),
        }
        problems
    }

    /// The limits of strangers.
    fn limits(&self) -> [(&'static str, u32); 6] {
        [
            ("limit_address", self.limit_address),
            ("limit_sign_in", self.limit_sign_in),
            ("limit_sign_up", self.limit_sign_up),
            ("limit_mail", self.limit_mail),
            ("limit_mailed_token", self.limit_mailed_token),
            ("limit_wrong_token", self.limit_wrong_token),
        ]
    }

    fn production(&self, problems: &mut Vec<Problem>) {
        if self.smtp_url.is_none() {
            problems.push(Problem::new("smtp_url", "is not set, and production has no built-in mailbox", "set it to smtps://user:password@host"));
        }
        if self.mail_from.trim_end_matches('>').ends_with("@localhost") {
            problems.push(Problem::new(
                "mail_from",
                "is at localhost, which no mail server takes mail from",
                "set it to an address such as Example <no-reply@example.com>",
            ));
        }
        if !self.public_url.starts_with("https://") {
            problems.push(Problem::new("public_url", "does not start with https://", "set it to the https address that people use"));
        }
        if self.master_key.is_none() && self.master_key_generated && is_throw_away(&self.data_dir) {
            problems.push(Problem::new(
                "master_key_file",
                "would be generated in a folder that does not last",
                "set master_key_file or REALMGATE_MASTER_KEY, or a data_dir that lasts",
            ));
        }
        if self.hash_memory_kib < 19_456 || self.hash_iterations < 2 {
            problems.push(Problem::new(
                "hash_memory_kib",
                "is below the least that production takes",
                "set hash_memory_kib = 19456 and hash_iterations = 2, or more",
            ));
        }
        if self.trusted_proxies.iter().any(|network| network.prefix_len() == 0) {
            problems.push(Problem::new(
                "trusted_proxies",
                "trusts everybody, so that anybody can claim to be at any address",
                "set it to the addresses of your own proxies",
            ));
        }
    }

    /// The settings in force with secrets masked, for `realmgate check`.
    #[must_use]
    pub fn masked(&self) -> Value {
        json!({
            "listen": self.listen.to_string(),
            "public_url": self.public_url,
            "profile": self.profile,
            "data_dir": self.data_dir,
            "database_url": mask(&self.database_url),
            "database_max_connections": self.database_max_connections,
            "smtp_url": self.smtp_url.as_ref().map(mask),
            "redis_url": self.redis_url.as_ref().map(mask),
            "redis_prefix": self.redis_prefix,
            "nodes": self.nodes,
            "limit_address": self.limit_address,
            "limit_sign_in": self.limit_sign_in,
            "limit_sign_up": self.limit_sign_up,
            "limit_mail": self.limit_mail,
            "limit_mailed_token": self.limit_mailed_token,
            "limit_wrong_token": self.limit_wrong_token,
            "mail_from": self.mail_from,
            "root_realm": self.root_realm,
            "master_key": self.master_key.as_ref().map(|_| "***"),
            "master_key_file": self.master_key_file,
            "trusted_proxies": self.trusted_proxies,
            "log": self.log,
            "log_format": self.log_format,
            "hash_memory_kib": self.hash_memory_kib,
            "hash_iterations": self.hash_iterations,
            "hash_permits": self.hash_permits,
            "hash_queue": self.hash_queue,
            "api_key_prefix": self.api_key_prefix,
            "usage_flush_seconds": self.usage_flush_seconds,
            "max_connections": self.max_connections,
            "body_limit": self.body_limit,
            "metrics_listen": self.metrics_listen.map(|address| address.to_string()),
            "otlp_url": self.otlp_url.as_ref().map(mask),
            "trace_ratio": self.trace_ratio,
            "stop_delay": self.stop_delay,
            "security_contact": self.security_contact,
            "security_policy": self.security_policy,
        })
    }
}

/// An address of one of these kinds that fits into one line of a text file.
fn is_reference(text: &str, kinds: &[&str]) -> bool {
    kinds.iter().any(|kind| text.strip_prefix(kind).is_some_and(|rest| !rest.is_empty())) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Folders that a restart of machine or container empties.
fn is_throw_away(path: &std::path::Path) -> bool {
    ["/tmp", "/var/tmp", "/dev/shm", "/run"].iter().any(|folder| path.starts_with(folder))
}

/// An address without its user, password and query; what can't be taken apart is not shown at all.
fn mask(url: &SecretString) -> String {
    let text = url.expose_secret();
    if text.starts_with("sqlite://") {
        return text.split('?').next().unwrap_or_default().to_owned();
    }
    match Url::parse(text) {
        Ok(url) => {
            let user = if url.username().is_empty() { "" } else { "***:***@" };
            let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
            format!("{}://{user}{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
        }
        Err(_) => "***".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings::defaults("data".into()).unwrap()
    }

    #[test]
    fn nothing_configured_is_ready() {
        assert_eq!(settings().problems(), []);
    }

    #[test]
    fn production_names_every_problem_with_its_cure() {
        let unsafe_one = Settings { profile: Profile::Production, data_dir: "/tmp/x".into(), hash_iterations: 1, ..settings() };
        let unsafe_one = Settings { trusted_proxies: vec!["0.0.0.0/0".parse().unwrap()], ..unsafe_one };
        let named: Vec<_> = unsafe_one.problems().iter().map(|problem| problem.setting).collect();
        assert_eq!(named, ["smtp_url", "mail_from", "public_url", "master_key_file", "hash_memory_kib", "trusted_proxies"]);
        assert!(unsafe_one.problems().iter().all(|problem| !problem.cure.is_empty()));
        let reachable_dev = Settings { listen: "0.0.0.0:80".parse().unwrap(), ..settings() };
        assert_eq!(reachable_dev.problems()[0].setting, "profile");
    }

    #[test]
    fn contacts_are_addresses_that_fit_into_a_line() {
        let named = |contact: &str| Settings { security_contact: vec![contact.to_owned()], ..settings() }.problems().len();
        for right in ["mailto:security@example.com", "https://example.com/security", "tel:+1-201-555-0123"] {
            assert_eq!(named(right), 0, "{right}");
        }
        for wrong in ["security@example.com", "http://example.com", "mailto:", "mailto:a@b.c\nPolicy: x", "mailto:a b@c.d"] {
            assert_eq!(named(wrong), 1, "{wrong}");
        }
    }

    #[test]
    fn secrets_are_masked() {
        let secret = Settings {
            database_url: "postgres://ada:hunter2@db:5432/realmgate?password=hunter2".into(),
            smtp_url: Some("smtps://ada:hunter2@mail".into()),
            master_key: Some("k1:hunter2".into()),
            ..settings()
        };
        let shown = secret.masked().to_string();
        assert!(!shown.contains("hunter2") && shown.contains("db:5432/realmgate") && shown.contains("smtps://***:***@mail"), "{shown}");
    }

    #[test]
    fn a_public_url_is_a_plain_address() {
        assert_eq!(public_url("https://id.example.com/").unwrap(), "https://id.example.com");
        for wrong in ["id.example.com", "ftp://x", "https://u:p@x", "https://x?a=b", "https://x#f", ""] {
            assert!(public_url(wrong).is_err(), "{wrong}");
        }
    }
}

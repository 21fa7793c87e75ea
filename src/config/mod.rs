//! Settings: flags before environment before `realmgate.toml` before embedded defaults.
//!
//! Read once at start; everything after takes values. Faults name the setting and its cure and never print a value that
//! may be secret.

mod check;

use std::{net::SocketAddr, path::PathBuf};

use figment::{
    Figment,
    providers::{Env, Format as _, Serialized, Toml},
};
use ipnet::IpNet;
use secrecy::SecretString;
use serde::{Deserialize, Deserializer, Serialize};

pub use check::Problem;

use crate::domain::{Error, Result};

const DEFAULTS: &str = include_str!("defaults.toml");
const PREFIX: &str = "REALMGATE_";
/// The file that is read if no other is named.
const FILE: &str = "realmgate.toml";

/// What kind of installation this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// At a developer's machine: built-in mailbox, `/dev` pages.
    Dev,
    /// With strangers about: no `/dev`, unsafe settings are refused.
    Production,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Json,
    Text,
}

/// What the command line says; it wins over everything.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Overrides {
    #[serde(skip)]
    pub config: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
}

/// All settings, as `defaults.toml` describes them.
#[derive(Clone, Debug)]
pub struct Settings {
    pub listen: SocketAddr,
    pub public_url: String,
    pub profile: Profile,
    pub data_dir: PathBuf,
    pub database_url: SecretString,
    pub database_max_connections: u32,
    pub redis_url: Option<SecretString>,
    pub redis_prefix: String,
    pub nodes: u32,
    pub limit_address: u32,
    pub limit_sign_in: u32,
    pub limit_sign_up: u32,
    pub limit_mail: u32,
    pub limit_mailed_token: u32,
    pub limit_wrong_token: u32,
    pub smtp_url: Option<SecretString>,
    pub mail_from: String,
    pub root_realm: String,
    pub master_key: Option<SecretString>,
    pub master_key_file: PathBuf,
    /// Whether the key file is the generated one in the data folder.
    pub master_key_generated: bool,
    pub trusted_proxies: Vec<IpNet>,
    pub log: String,
    pub log_format: LogFormat,
    /// Days after which signing keys are followed by new ones; 0 for never.
    pub key_rotation_days: u32,
    pub hash_memory_kib: u32,
    pub hash_iterations: u32,
    pub hash_permits: usize,
    pub hash_queue: usize,
    pub api_key_prefix: String,
    pub usage_flush_seconds: u64,
    pub max_connections: usize,
    pub body_limit: usize,
    /// Where `/metrics` is served, if anywhere.
    pub metrics_listen: Option<SocketAddr>,
    /// May hold a password.
    pub otlp_url: Option<SecretString>,
    /// The part of requests that become spans, unless their caller decides.
    pub trace_ratio: f64,
    /// Seconds between the word that this node goes and its going.
    pub stop_delay: u64,
    pub security_contact: Vec<String>,
    pub security_policy: Option<String>,
}

/// The settings as they are written, before one is made of another.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    listen: SocketAddr,
    public_url: Option<String>,
    profile: Option<Profile>,
    data_dir: PathBuf,
    database_url: Option<SecretString>,
    database_max_connections: u32,
    redis_url: Option<SecretString>,
    redis_prefix: String,
    nodes: u32,
    limit_address: u32,
    limit_sign_in: u32,
    limit_sign_up: u32,
    limit_mail: u32,
    limit_mailed_token: u32,
    limit_wrong_token: u32,
    smtp_url: Option<SecretString>,
    mail_from: String,
    root_realm: String,
    master_key: Option<SecretString>,
    master_key_file: Option<PathBuf>,
    #[serde(deserialize_with = "networks")]
    trusted_proxies: Vec<IpNet>,
    log: String,
    log_format: LogFormat,
    key_rotation_days: u32,
    hash_memory_kib: u32,
    hash_iterations: u32,
    hash_permits: usize,
    hash_queue: usize,
    api_key_prefix: String,
    usage_flush_seconds: u64,
    max_connections: usize,
    body_limit: usize,
    metrics_listen: Option<SocketAddr>,
    otlp_url: Option<SecretString>,
    trace_ratio: f64,
    stop_delay: u64,
    #[serde(deserialize_with = "texts")]
    security_contact: Vec<String>,
    security_policy: Option<String>,
}

/// A list of texts; in the environment one text with commas.
fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Text(String),
        List(Vec<String>),
    }
    Ok(match Either::deserialize(deserializer)? {
        Either::Text(text) => text.split(',').map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect(),
        Either::List(items) => items,
    })
}

/// A list of addresses and ranges.
fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let items = texts(deserializer)?;
    let network = |item: &String| item.parse::<IpNet>().or_else(|_| item.parse::<std::net::IpAddr>().map(IpNet::from));
    items.iter().map(|item| network(item).map_err(|_| serde::de::Error::custom("must be addresses or CIDR ranges such as 10.0.0.0/8"))).collect()
}

impl Settings {
    /// Reads all sources.
    ///
    /// # Errors
    /// [`Error::Setup`] that names the setting, where it stands and what it must be.
    pub fn load(overrides: &Overrides) -> Result<Self> {
        Self::from_sources(overrides, Env::prefixed(PREFIX).ignore(&["config"]).split("__"))
    }

    fn from_sources(overrides: &Overrides, env: Env) -> Result<Self> {
        let mut figment = Figment::from(Toml::string(DEFAULTS));
        match &overrides.config {
            Some(path) if !path.exists() => return Err(Error::Setup(format!("there is no settings file {}", path.display()))),
            Some(path) => figment = figment.merge(Toml::file_exact(path)),
            None => figment = figment.merge(Toml::file(FILE)),
        }
        let figment = figment.merge(env).merge(Serialized::defaults(overrides));
        figment.extract::<Written>().map_err(|error| Error::Setup(explain(&error))).and_then(Self::settle)
    }

    fn settle(written: Written) -> Result<Self> {
        let loopback = written.listen.ip().is_loopback();
        let profile = written.profile.unwrap_or(if loopback { Profile::Dev } else { Profile::Production });
        let public_url = written.public_url.unwrap_or_else(|| format!("http://localhost:{}", written.listen.port()));
        let database_url = written.database_url.unwrap_or_else(|| format!("sqlite://{}", written.data_dir.join("realmgate.db").display()).into());
        Ok(Self {
            listen: written.listen,
            public_url: check::public_url(&public_url)?,
            profile,
            database_url,
            database_max_connections: written.database_max_connections,
            redis_url: written.redis_url,
            redis_prefix: written.redis_prefix,
            nodes: written.nodes,
            limit_address: written.limit_address,
            limit_sign_in: written.limit_sign_in,
            limit_sign_up: written.limit_sign_up,
            limit_mail: written.limit_mail,
            limit_mailed_token: written.limit_mailed_token,
            limit_wrong_token: written.limit_wrong_token,
            smtp_url: written.smtp_url,
            mail_from: written.mail_from,
            root_realm: written.root_realm,
            master_key: written.master_key,
            master_key_generated: written.master_key_file.is_none(),
            master_key_file: written.master_key_file.unwrap_or_else(|| written.data_dir.join("master.key")),
            data_dir: written.data_dir,
            trusted_proxies: written.trusted_proxies,
            log: written.log,
            log_format: written.log_format,
            key_rotation_days: written.key_rotation_days,
            hash_memory_kib: written.hash_memory_kib,
            hash_iterations: written.hash_iterations,
            hash_permits: written.hash_permits,
            hash_queue: written.hash_queue,
            api_key_prefix: written.api_key_prefix,
            usage_flush_seconds: written.usage_flush_seconds,
            max_connections: written.max_connections,
            body_limit: written.body_limit,
            metrics_listen: written.metrics_listen,
            otlp_url: written.otlp_url,
            trace_ratio: written.trace_ratio,
            stop_delay: written.stop_delay,
            security_contact: written.security_contact,
            security_policy: written.security_policy,
        })
    }

    /// How old a signing key becomes before another one follows it; `None` if only an operator says so.
    #[must_use]
    pub fn key_rotation(&self) -> Option<chrono::TimeDelta> {
        (self.key_rotation_days > 0).then(|| chrono::TimeDelta::days(i64::from(self.key_rotation_days)))
    }

    /// What nothing configured means, with `listen` and data in `data_dir`; the start of every test's settings.
    ///
    /// # Errors
    /// Never, unless the embedded defaults are broken.
    pub fn defaults(data_dir: PathBuf) -> Result<Self> {
        let overrides = Overrides { data_dir: Some(data_dir), ..Overrides::default() };
        let figment = Figment::from(Toml::string(DEFAULTS)).merge(Serialized::defaults(overrides));
        figment.extract::<Written>().map_err(|error| Error::Setup(explain(&error))).and_then(Self::settle)
    }
}

/// A fault of the sources in words that show no value.
fn explain(error: &figment::Error) -> String {
    use figment::error::Kind;
    let first = error.clone().into_iter().next().unwrap_or_else(|| error.clone());
    let setting = first.path.join(".");
    let place = first.metadata.as_ref().map_or_else(String::new, |metadata| match metadata.source.as_ref().and_then(figment::Source::file_path) {
        Some(file) => format!(" (in {})", file.display()),
        None => format!(" (in {})", metadata.name),
    });
    match &first.kind {
        Kind::UnknownField(name, _) => format!("there is no setting `{name}`{place}; `realmgate check` lists all of them"),
        Kind::MissingField(name) => format!("the setting `{name}` is missing"),
        Kind::InvalidType(_, expected) | Kind::InvalidValue(_, expected) => format!("the setting `{setting}` must be {expected}{place}"),
        Kind::UnknownVariant(_, expected) => format!("the setting `{setting}` must be one of {}{place}", expected.join(", ")),
        Kind::Message(text) if setting.is_empty() => format!("the settings can't be read{place}: {}", text.lines().next().unwrap_or_default()),
        Kind::Message(_) => format!("the setting `{setting}` has a value that can't be used{place}; see the comment on it in the defaults"),
        _ => format!("the setting `{setting}` can't be used{place}"),
    }
}

#[cfg(test)]
#[expect(clippy::result_large_err, reason = "the closures' result is figment's")]
mod tests {
    use super::*;

    fn load(overrides: &Overrides) -> Result<Settings> {
        Settings::from_sources(overrides, Env::prefixed(PREFIX).split("__"))
    }

    fn jail(test: impl FnOnce(&mut figment::Jail) -> figment::error::Result<()>) {
        figment::Jail::expect_with(test);
    }

    #[test]
    fn flags_win_over_environment_over_file_over_defaults() {
        jail(|jail| {
            assert_eq!(load(&Overrides::default()).unwrap().listen.port(), 8_080);
            jail.create_file(FILE, "listen = '127.0.0.1:1001'\nroot_realm = 'file.example'")?;
            assert_eq!(load(&Overrides::default()).unwrap().listen.port(), 1_001);
            jail.set_env("REALMGATE_LISTEN", "127.0.0.1:1002");
            let settings = load(&Overrides::default()).unwrap();
            assert_eq!((settings.listen.port(), settings.root_realm.as_str()), (1_002, "file.example"));
            assert_eq!(settings.public_url, "http://localhost:1002");
            let flags = Overrides { listen: Some("127.0.0.1:1003".to_owned()), ..Overrides::default() };
            assert_eq!(load(&flags).unwrap().listen.port(), 1_003);
            Ok(())
        });
    }

    #[test]
    fn faults_name_the_setting_and_show_no_value() {
        jail(|jail| {
            jail.create_file(FILE, "smpt_url = 'smtp://user:hunter2@mail'")?;
            let error = load(&Overrides::default()).unwrap_err().to_string();
            assert!(error.contains("`smpt_url`") && !error.contains("hunter2"), "{error}");
            jail.create_file(FILE, "listen = 'hunter2'")?;
            let error = load(&Overrides::default()).unwrap_err().to_string();
            assert!(error.contains("`listen`") && !error.contains("hunter2"), "{error}");
            jail.create_file(FILE, "")?;
            jail.set_env("REALMGATE_DATABASE_MAX_CONNECTIONS", "hunter2");
            let error = load(&Overrides::default()).unwrap_err().to_string();
            assert!(error.contains("`database_max_connections`") && !error.contains("hunter2"), "{error}");
            Ok(())
        });
    }

    #[test]
    fn lists_come_from_the_environment_too() {
        jail(|jail| {
            jail.set_env("REALMGATE_TRUSTED_PROXIES", "10.0.0.0/8, ::1");
            let settings = load(&Overrides::default()).unwrap();
            assert_eq!(settings.trusted_proxies, ["10.0.0.0/8".parse::<IpNet>().unwrap(), "::1/128".parse().unwrap()]);
            Ok(())
        });
    }

    #[test]
    fn the_profile_follows_the_address() {
        jail(|jail| {
            assert_eq!(load(&Overrides::default()).unwrap().profile, Profile::Dev);
            jail.set_env("REALMGATE_LISTEN", "0.0.0.0:80");
            assert_eq!(load(&Overrides::default()).unwrap().profile, Profile::Production);
            Ok(())
        });
    }
}

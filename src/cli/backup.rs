//! `backup`: a consistent copy of the database while the service runs. SQLite is copied here; for Postgres its own tool is
//! called, since nothing else knows all of a server's versions.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use secrecy::ExposeSecret as _;
use serde_json::json;
use url::Url;

use super::{address, print_json};
use crate::{
    config::Settings,
    domain::{Error, Result},
    store,
};

pub(super) async fn backup(settings: &Settings, target: &Path, json: bool) -> Result<()> {
    let address = address(settings);
    if address.sqlite_path().is_some() {
        store::backup::sqlite(&address, target).await?;
    } else {
        dump(settings.database_url.expose_secret(), target)?;
    }
    let key = if settings.master_key.is_some() { "REALMGATE_MASTER_KEY".to_owned() } else { settings.master_key_file.display().to_string() };
    if json {
        print_json(&json!({ "backup": target, "masterKey": key }));
    } else {
        println!("The database is in {}. It is worth nothing without the master key: keep {key} as well, elsewhere.", target.display());
    }
    Ok(())
}

/// Runs `pg_dump`. The password goes by the environment, which other users can't read, unlike arguments.
fn dump(url: &str, target: &Path) -> Result<()> {
    if target.exists() {
        return Err(Error::Setup(format!("{} is there already; name a file that is not", target.display())));
    }
    let Place { variables, shown } = Place::of(url)?;
    let by_hand = format!("pg_dump --format=custom --no-owner --file={} {shown}", target.display());
    let file = format!("--file={}", target.display());
    let mut command = Command::new("pg_dump");
    command.args(["--format=custom", "--no-owner", &file]).envs(variables).stdin(Stdio::null()).stdout(Stdio::null());
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => {
            // Half a dump must not pass for one.
            let _ = std::fs::remove_file(target);
            Err(Error::internal(format!("pg_dump failed and has said why; by hand: {by_hand}")))
        }
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {
            Err(Error::Setup(format!("pg_dump is not installed here; install PostgreSQL's client programs, or run where they are: {by_hand}")))
        }
        Err(cause) => Err(Error::internal(cause)),
    }
}

/// A Postgres address as libpq's programs take it.
struct Place {
    variables: Vec<(&'static str, String)>,
    /// The address without its password.
    shown: String,
}

impl Place {
    fn of(url: &str) -> Result<Self> {
        let wrong = || Error::Setup("database_url is no address such as postgres://user:password@host/name".to_owned());
        let mut url = Url::parse(url).map_err(|_| wrong())?;
        let decoded = |text: &str| percent_decoded(text).ok_or_else(wrong);
        let mut variables = Vec::new();
        let mut put = |name, value: String| {
            if !value.is_empty() {
                variables.push((name, value));
            }
        };
        put("PGHOST", url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned());
        put("PGPORT", url.port().map(|port| port.to_string()).unwrap_or_default());
        put("PGUSER", decoded(url.username())?);
        put("PGPASSWORD", decoded(url.password().unwrap_or_default())?);
        put("PGDATABASE", decoded(url.path().trim_start_matches('/'))?);
        for (name, value) in url.query_pairs() {
            match name.as_ref() {
                "host" => put("PGHOST", value.into_owned()),
                "port" => put("PGPORT", value.into_owned()),
                "user" => put("PGUSER", value.into_owned()),
                "password" => put("PGPASSWORD", value.into_owned()),
                "dbname" => put("PGDATABASE", value.into_owned()),
                "sslmode" | "ssl-mode" => put("PGSSLMODE", value.into_owned()),
                "sslrootcert" | "ssl-root-cert" | "ssl-ca" => put("PGSSLROOTCERT", value.into_owned()),
                _ => {}
            }
        }
        url.set_password(None).map_err(|()| wrong())?;
        url.set_query(None);
        Ok(Self { variables, shown: url.to_string() })
    }
}

/// Text behind `%` escapes (RFC 3986 section 2.1).
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart_and_its_password_is_not_shown() {
        let place = Place::of("postgres://ada:hunt%3Aer2@db.example:5433/realm%20gate?sslmode=require&password=hunter3").unwrap();
        let value = |name: &str| place.variables.iter().rfind(|(known, _)| *known == name).map(|(_, value)| value.as_str());
        assert_eq!((value("PGHOST"), value("PGPORT"), value("PGUSER")), (Some("db.example"), Some("5433"), Some("ada")));
        assert_eq!((value("PGPASSWORD"), value("PGDATABASE"), value("PGSSLMODE")), (Some("hunter3"), Some("realm gate"), Some("require")));
        assert_eq!(place.shown, "postgres://ada@db.example:5433/realm%20gate");
        assert!(Place::of("postgres://%zz@host/x").is_err() && Place::of("nonsense").is_err());
    }
}

//! What a reverse proxy is told of the caller of a request before it passes it on. The same verify as everywhere; here
//! whoever shows a credential asks about themselves.

use super::{
    Client,
    limits::{self, Meter},
    verify::{self, Known, Question},
};
use crate::{
    app::App,
    domain::{
        Error, Result,
        api_key::KeyText,
        limit::Rule,
        verdict::{Code, Kind},
    },
};

/// A credential, and what it may be where it stands: none passes in another dialect's header.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    pub text: &'a str,
    pub kinds: &'a [Kind],
}

/// Answers whose a credential is, if it is good for `scopes` and a unit of its account is left.
///
/// # Errors
/// For a 401 [`Error::MissingCredential`], [`Error::InvalidAccessToken`], [`Error::AccessTokenExpired`],
/// [`Error::InvalidApiKey`]; for a 403 [`Error::AccountDisabled`], [`Error::InsufficientScope`], [`Error::IpNotAllowed`];
/// [`Error::RateLimited`].
pub async fn check(app: &App, client: &Client, meter: &Meter, credential: Result<Shown<'_>>, scopes: &[String]) -> Result<Known> {
    match passed(app, client, meter, credential, scopes).await {
        Err(error @ (Error::MissingCredential | Error::InvalidAccessToken | Error::AccessTokenExpired | Error::InvalidApiKey)) => {
            // Whoever has no good credential is a stranger, and counts as one.
            limits::address(app, client.ip, Rule::Address, meter).await?;
            Err(error)
        }
        result => result,
    }
}

async fn passed(app: &App, client: &Client, meter: &Meter, credential: Result<Shown<'_>>, scopes: &[String]) -> Result<Known> {
    let Shown { text: credential, kinds } = credential?;
    let unknown = || if KeyText::claims(&app.settings.api_key_prefix, credential) { Error::InvalidApiKey } else { Error::InvalidAccessToken };
    let known = super::credentials::recognise(app, credential).await?.filter(|known| kinds.contains(&known.kind)).ok_or_else(unknown)?;
    let verdict = verify::judge(app, &Question { credential, scopes, ip: Some(client.ip), cost: 1 }, known).await;
    if let Some(standing) = verdict.standing {
        meter.note(standing);
    }
    let known = verdict.known.ok_or_else(unknown)?;
    match verdict.code {
        Code::Valid => Ok(known),
        Code::Expired if known.kind != Kind::ApiKey => Err(Error::AccessTokenExpired),
        Code::Expired | Code::Revoked | Code::NotFound => Err(unknown()),
        Code::Disabled => Err(Error::AccountDisabled),
        Code::InsufficientScope => Err(Error::InsufficientScope { scope: "" }),
        Code::IpNotAllowed => Err(Error::IpNotAllowed),
        Code::RateLimited => Err(Error::RateLimited { retry_after: verdict.standing.map_or(1, |standing| standing.free_in_seconds().max(1)) }),
    }
}

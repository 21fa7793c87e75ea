//! `/ui/account/totp…`, `/ui/account/passkeys…`, `/ui/account/recovery-codes`, `/ui/account/trusted-devices/end`: a person's
//! second factors. Who proved themselves too long ago is led to `/ui/step-up` and back.

use poem::{
    Request, Response, Result, Route, get, handler,
    http::{StatusCode, header},
    web::{Form, Query},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::{account::posted, csrf::Tie, flow::Notice, guest::Guest, sign_in::Arrival, visit::Visit};
use crate::{
    crypto::totp::Sheet,
    domain::{Error, Result as Outcome, device, factor::MfaPolicy},
    http::{
        failure::Failure,
        route,
        view::{Asking, CodesPage, FactorsPart, Fault, Link, NewPasskeyPage, SCRIPT, Thing, TotpPage},
    },
    service::{factors, passkeys, totp, trusted_devices},
};

/// Adds the routes of this file.
pub(super) fn routes(route: Route) -> Route {
    route
        .at("/ui/passkey.js", route::named("/ui/passkey.js", get(script)))
        .at("/ui/account/totp", route::named("/ui/account/totp", get(show_totp).post(take_totp)))
        .at("/ui/account/totp/remove", route::named("/ui/account/totp/remove", poem::post(take_totp_removal)))
        .at("/ui/account/recovery-codes", route::named("/ui/account/recovery-codes", poem::post(take_codes)))
        .at("/ui/account/passkeys", route::named("/ui/account/passkeys", poem::post(take_passkey)))
        .at("/ui/account/passkeys/new", route::named("/ui/account/passkeys/new", get(show_passkey)))
        .at("/ui/account/passkeys/remove", route::named("/ui/account/passkeys/remove", poem::post(take_passkey_removal)))
        .at("/ui/account/trusted-devices/end", route::named("/ui/account/trusted-devices/end", poem::post(take_distrust)))
}

/// The one script; its address names its content, so that it may be kept.
#[handler]
fn script() -> Response {
    Response::builder().content_type("text/javascript; charset=utf-8").header(header::CACHE_CONTROL, "public, max-age=31536000, immutable").body(SCRIPT)
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Fields {
    csrf: String,
    id: String,
    code: SecretString,
    name: String,
    ceremony: String,
    credential: String,
}

/// What the account's page says of factors.
pub(super) async fn part(visit: &Visit<'_>) -> Outcome<Option<FactorsPart>> {
    if visit.ctx.realm.settings.mfa == MfaPolicy::Off {
        return Ok(None);
    }
    let overview = factors::overview(visit.app, &visit.ctx).await?;
    let keys = passkeys::list(visit.app, &visit.ctx).await?;
    let devices = trusted_devices::list(visit.app, &visit.ctx).await?;
    let passkeys = keys.into_iter().map(|key| Thing { id: key.id.to_string(), name: key.name, since: key.created_at, other: key.last_used_at });
    let devices =
        devices.into_iter().map(|device| Thing { id: device.id.to_string(), name: device.name, since: device.created_at, other: device.trusted_until });
    Ok(Some(FactorsPart {
        totp: overview.factors.totp,
        codes_left: overview.factors.any().then_some(overview.factors.recovery_codes),
        passkeys: passkeys.collect(),
        devices: devices.collect(),
        new_totp: visit.href("/ui/account/totp"),
        new_passkey: visit.href("/ui/account/passkeys/new"),
    }))
}

/// What becomes of a refused change: a fresh proof and back to `to`, or a sentence.
fn refused(mut visit: Visit<'_>, to: &str, error: Error) -> Result<Response> {
    match error {
        Error::StepUpRequired { .. } => Ok(visit.go_asking("/ui/step-up", &[("to", to)])),
        Error::LastFactor => {
            visit.leave_notice(Notice::LastFactor);
            Ok(visit.go("/ui/account"))
        }
        // What is gone already is what the person wanted.
        Error::NotFound => Ok(visit.go("/ui/account")),
        error => Err(Failure::from(error).into()),
    }
}

fn done(mut visit: Visit<'_>, notice: Notice) -> Response {
    visit.leave_notice(notice);
    visit.go("/ui/account")
}

/// Recovery codes if there are new ones, else back to the account.
pub(super) fn codes_or(visit: Visit<'_>, codes: Vec<String>, notice: Notice, on: Link) -> Response {
    if codes.is_empty() {
        return done(visit, notice);
    }
    let page = CodesPage { realm: visit.realm_name(), codes, link: on };
    visit.page(StatusCode::OK, &page)
}

/// On to the account.
fn to_account(visit: &Visit<'_>) -> Link {
    Link { label: visit.say("page.account.title"), href: visit.href("/ui/account") }
}

#[handler]
async fn show_totp(req: &Request, guest: Guest, arrival: Query<Arrival>) -> Result<Response> {
    let visit = Visit::of_person(req, guest, arrival.realm.as_deref()).await?;
    if !visit.is_signed_in() {
        return Ok(visit.go("/ui/sign-in"));
    }
    // One that was begun lately is shown again: looking twice must not make an app's entry worthless.
    let sheet = match totp::pending(visit.app, &visit.ctx).await {
        Ok(Some(sheet)) => Ok(sheet),
        Ok(None) => totp::begin(visit.app, &visit.ctx).await,
        Err(error) => Err(error),
    };
    match sheet {
        Ok(sheet) => totp_page(visit, StatusCode::OK, &sheet, Vec::new()),
        Err(error) => refused(visit, "totp", error),
    }
}

fn totp_page(mut visit: Visit<'_>, status: StatusCode, sheet: &Sheet, faults: Vec<Fault>) -> Result<Response> {
    let back = visit.href("/ui/account");
    let csrf = visit.form(Tie::Session);
    let page = sheet_page(&visit, sheet, ("page.totp", "account/totp"), (csrf, back, faults)).map_err(Failure::from)?;
    Ok(visit.page(status, &page))
}

/// The page that shows a secret.
pub(super) fn sheet_page(
    visit: &Visit<'_>,
    sheet: &Sheet,
    (says, action): (&'static str, &'static str),
    (csrf, back, faults): (String, String, Vec<Fault>),
) -> Outcome<TotpPage> {
    let letters: Vec<char> = sheet.secret.expose_secret().chars().collect();
    Ok(TotpPage {
        realm: visit.realm_name(),
        csrf,
        says,
        action,
        secret: letters.chunks(4).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join(" "),
        uri: sheet.uri.expose_secret().to_owned(),
        svg: sheet.svg()?,
        back,
        faults,
    })
}

#[handler]
async fn take_totp(req: &Request, guest: Guest, fields: Form<Fields>) -> Result<Response> {
    let visit = match posted(req, guest, &fields.csrf).await? {
        Ok(visit) => visit,
        Err(reply) => return Ok(reply),
    };
    match totp::confirm(visit.app, &visit.ctx, &fields.code).await {
        Ok(codes) => {
            let on = to_account(&visit);
            Ok(codes_or(visit, codes, Notice::FactorAdded, on))
        }
        Err(Error::InvalidFactorCode) => match totp::pending(visit.app, &visit.ctx).await {
            Ok(Some(sheet)) => {
                let faults = visit.fault("code", "page.factor.wrong");
                totp_page(visit, StatusCode::UNPROCESSABLE_ENTITY, &sheet, faults)
            }
            Ok(None) => Ok(visit.go("/ui/account/totp")),
            Err(error) => refused(visit, "totp", error),
        },
        Err(error) => refused(visit, "totp", error),
    }
}

#[handler]
async fn take_totp_removal(req: &Request, guest: Guest, fields: Form<Fields>) -> Result<Response> {
    let visit = match posted(req, guest, &fields.csrf).await? {
        Ok(visit) => visit,
        Err(reply) => return Ok(reply),
    };
    match totp::remove(visit.app, &visit.ctx).await {
        Ok(()) => Ok(done(visit, Notice::FactorRemoved)),
        Err(error) => refused(visit, "account", error),
    }
}

#[handler]
async fn take_codes(req: &Request, guest: Guest, fields: Form<Fields>) -> Result<Response> {
    let visit = match posted(req, guest, &fields.csrf).await? {
        Ok(visit) => visit,
        Err(reply) => return Ok(reply),
    };
    match totp::new_recovery_codes(visit.app, &visit.ctx).await {
        Ok(codes) => {
            let on = to_account(&visit);
            Ok(codes_or(visit, codes, Notice::FactorAdded, on))
        }
        Err(error) => refused(visit, "account", error),
    }
}

#[handler]
async fn show_passkey(req: &Request, guest: Guest, arrival: Query<Arrival>) -> Result<Response> {
    let visit = Visit::of_person(req, guest, arrival.realm.as_deref()).await?;
    if !visit.is_signed_in() {
        return Ok(visit.go("/ui/sign-in"));
    }
    let name = device::name(&visit.ctx.client.user_agent);
    passkey_page(visit, StatusCode::OK, name, Vec::new()).await
}

async fn passkey_page(mut visit: Visit<'_>, status: StatusCode, name: String, faults: Vec<Fault>) -> Result<Response> {
    match passkeys::ask_for_new(visit.app, &visit.ctx).await {
        Ok(asked) => {
            let asking = Asking { ceremony: asked.ceremony, options: asked.options.to_string() };
            let (back, csrf) = (visit.href("/ui/account"), visit.form(Tie::Session));
            let page = NewPasskeyPage { realm: visit.realm_name(), csrf, asking, name, back, faults };
            Ok(visit.page(status, &page))
        }
        Err(error) => refused(visit, "passkey", error),
    }
}

#[handler]
async fn take_passkey(req: &Request, guest: Guest, fields: Form<Fields>) -> Result<Response> {
    let Fields { csrf, name, ceremony, credential, .. } = fields.0;
    let visit = match posted(req, guest, &csrf).await? {
        Ok(visit) => visit,
        Err(reply) => return Ok(reply),
    };
    let answer = serde_json::from_str(&credential).unwrap_or_default();
    match passkeys::add(visit.app, &visit.ctx, &name, &ceremony, &answer).await {
        Ok((_, codes)) => {
            let on = to_account(&visit);
            Ok(codes_or(visit, codes, Notice::FactorAdded, on))
        }
        Err(Error::Invalid(faults)) => {
            let faults = visit.faults(&faults);
            passkey_page(visit, StatusCode::UNPROCESSABLE_ENTITY, name, faults).await
        }
        Err(Error::InvalidPasskey | Error::Taken { .. }) => {
            let faults = visit.fault("", "page.passkey.refused");
            passkey_page(visit, StatusCode::UNPROCESSABLE_ENTITY, name, faults).await
        }
        Err(error) => refused(visit, "passkey", error),
    }
}

#[handler]
async fn take_passkey_removal(req: &Request, guest: Guest, fields: Form<Fields>) -> Result<Response> {
    let visit = match posted(req, guest, &fields.csrf).await? {
        Ok(visit) => visit,
        Err(reply) => return Ok(reply),
    };
    let removed = match fields.id.parse() {
        Ok(id) => passkeys::remove(visit.app, &visit.ctx, id).await,
        Err(_) => Err(Error::NotFound),
    };
    match removed {
        Ok(()) => Ok(done(visit, Notice::FactorRemoved)),
        Err(error) => refused(visit, "account", error),
    }
}

#[handler]
async fn take_distrust(req: &Request, guest: Guest, fields: Form<Fields>) -> Result<Response> {
    let visit = match posted(req, guest, &fields.csrf).await? {
        Ok(visit) => visit,
        Err(reply) => return Ok(reply),
    };
    let removed = match fields.id.parse() {
        Ok(id) => trusted_devices::remove(visit.app, &visit.ctx, id).await,
        Err(_) => Err(Error::NotFound),
    };
    match removed {
        Ok(()) => Ok(done(visit, Notice::DeviceDistrusted)),
        Err(error) => refused(visit, "account", error),
    }
}

//! `/me/mfa…`, `/me/passkeys…`, `/me/trusted-devices…`: the signed-in person's second factors.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::{OpenApi, param::Path};

use super::{
    Group,
    factor_wire::{AskedOut, CodeIn, CodesOut, FactorsOut, MadePasskeyOut, NewPasskeyIn, PasskeyOut, PasskeysOut, RenamePasskeyIn, TotpOut, TrustedDevicesOut},
};
use crate::{
    app::App,
    domain::Error,
    http::{
        context::{Session, StepUp},
        payload::{Created, Json, NoContent, Reply},
        problem::{ApiErr, E400, E401, E403, E404, E409, E413, E415, E422, E503},
    },
    service::{factors, passkeys, totp, trusted_devices},
};

pub(super) struct FactorsApi;

const READ: u32 = E401 | E403 | E404 | E503;
const WRITE: u32 = READ | E400 | E413 | E415 | E422;

#[OpenApi(prefix_path = "/me", tag = "Group::Factors")]
impl FactorsApi {
    /// Read which second factors there are
    ///
    /// What counts already; enrolments that were only begun are not among it.
    #[oai(path = "/mfa", method = "get", operation_id = "get_second_factors")]
    async fn get(&self, app: Data<&Arc<App>>, ctx: Session) -> Result<Reply<FactorsOut>, ApiErr<READ>> {
        Ok(Reply(factors::overview(&app, &ctx.0).await?.into()))
    }

    /// Begin with an authenticator app
    ///
    /// Answers a secret, which counts once `POST /me/mfa/totp/confirm` has seen a code of it within ten minutes. Until then an
    /// app from before goes on counting.
    #[oai(path = "/mfa/totp", method = "post", operation_id = "begin_totp")]
    async fn begin_totp(&self, app: Data<&Arc<App>>, ctx: StepUp) -> Result<Reply<TotpOut>, ApiErr<READ>> {
        Ok(Reply(TotpOut::of(&totp::begin(&app, &ctx.0).await?)?))
    }

    /// Confirm an authenticator app
    ///
    /// It counts from then on. With the first factor come ten recovery codes, which are shown this once.
    #[oai(path = "/mfa/totp/confirm", method = "post", operation_id = "confirm_totp")]
    async fn confirm_totp(&self, app: Data<&Arc<App>>, ctx: StepUp, body: Json<CodeIn>) -> Result<Reply<CodesOut>, ApiErr<WRITE>> {
        Ok(Reply(CodesOut { recovery_codes: totp::confirm(&app, &ctx.0, &body.0.code.0).await? }))
    }

    /// Take the authenticator app away
    ///
    /// 409 `last_factor` where the realm requires a second factor and this is the only one.
    #[oai(path = "/mfa/totp", method = "delete", operation_id = "remove_totp")]
    async fn remove_totp(&self, app: Data<&Arc<App>>, ctx: StepUp) -> Result<NoContent, ApiErr<{ READ | E409 }>> {
        totp::remove(&app, &ctx.0).await?;
        Ok(NoContent)
    }

    /// Make new recovery codes
    ///
    /// In the place of all before; shown this once.
    #[oai(path = "/mfa/recovery-codes", method = "post", operation_id = "make_recovery_codes")]
    async fn recovery_codes(&self, app: Data<&Arc<App>>, ctx: StepUp) -> Result<Reply<CodesOut>, ApiErr<READ>> {
        Ok(Reply(CodesOut { recovery_codes: totp::new_recovery_codes(&app, &ctx.0).await? }))
    }

    /// List the passkeys
    ///
    /// Oldest first. Nothing of them is secret but what the authenticators keep.
    #[oai(path = "/passkeys", method = "get", operation_id = "list_passkeys")]
    async fn passkeys(&self, app: Data<&Arc<App>>, ctx: Session) -> Result<Reply<PasskeysOut>, ApiErr<READ>> {
        let items = passkeys::list(&app, &ctx.0).await?.into_iter().map(Into::into).collect();
        Ok(Reply(PasskeysOut { items, next_cursor: None }))
    }

    /// Ask for a new passkey
    ///
    /// `publicKey` is for `navigator.credentials.create`.
    #[oai(path = "/passkeys/options", method = "post", operation_id = "ask_new_passkey")]
    async fn ask_passkey(&self, app: Data<&Arc<App>>, ctx: StepUp) -> Result<Reply<AskedOut>, ApiErr<{ READ | E422 }>> {
        Ok(Reply(passkeys::ask_for_new(&app, &ctx.0).await?.into()))
    }

    /// Add a passkey
    ///
    /// Takes the authenticator's answer. It signs in by itself and counts as a second factor beside a password. With the first
    /// factor come ten recovery codes, which are shown this once.
    #[oai(path = "/passkeys", method = "post", operation_id = "add_passkey")]
    async fn add_passkey(&self, app: Data<&Arc<App>>, ctx: StepUp, body: Json<NewPasskeyIn>) -> Result<Created<MadePasskeyOut>, ApiErr<{ WRITE | E409 }>> {
        let NewPasskeyIn { name, ceremony_id, credential } = body.0;
        let (made, recovery_codes) = passkeys::add(&app, &ctx.0, &name, &ceremony_id, &credential.0).await?;
        Ok(Created(MadePasskeyOut { passkey: made.into(), recovery_codes }))
    }

    /// Rename a passkey
    ///
    /// The name is for its person alone.
    #[oai(path = "/passkeys/:id", method = "patch", operation_id = "rename_passkey")]
    async fn rename_passkey(
        &self,
        app: Data<&Arc<App>>,
        ctx: Session,
        /// The passkey's id.
        id: Path<String>,
        body: Json<RenamePasskeyIn>,
    ) -> Result<Reply<PasskeyOut>, ApiErr<WRITE>> {
        let id = id.0.parse().map_err(|_| Error::NotFound)?;
        Ok(Reply(passkeys::rename(&app, &ctx.0, id, &body.0.name).await?.into()))
    }

    /// Take a passkey away
    ///
    /// 409 `last_factor` where the realm requires a second factor and this is the only one.
    #[oai(path = "/passkeys/:id", method = "delete", operation_id = "remove_passkey")]
    async fn remove_passkey(
        &self,
        app: Data<&Arc<App>>,
        ctx: StepUp,
        /// The passkey's id.
        id: Path<String>,
    ) -> Result<NoContent, ApiErr<{ READ | E409 }>> {
        passkeys::remove(&app, &ctx.0, id.0.parse().map_err(|_| Error::NotFound)?).await?;
        Ok(NoContent)
    }

    /// List the trusted devices
    ///
    /// Where the person is not asked for a second factor. A new password, and every change of the factors, ends all trust.
    #[oai(path = "/trusted-devices", method = "get", operation_id = "list_trusted_devices")]
    async fn trusted_devices(&self, app: Data<&Arc<App>>, ctx: Session) -> Result<Reply<TrustedDevicesOut>, ApiErr<READ>> {
        let items = trusted_devices::list(&app, &ctx.0).await?.into_iter().map(Into::into).collect();
        Ok(Reply(TrustedDevicesOut { items, next_cursor: None }))
    }

    /// Trust a device no more
    ///
    /// From the next sign-in on the person is asked for their second factor there again.
    #[oai(path = "/trusted-devices/:id", method = "delete", operation_id = "distrust_device")]
    async fn distrust(
        &self,
        app: Data<&Arc<App>>,
        ctx: Session,
        /// The device's id, as `GET /me/trusted-devices` lists it.
        id: Path<String>,
    ) -> Result<NoContent, ApiErr<READ>> {
        trusted_devices::remove(&app, &ctx.0, id.0.parse().map_err(|_| Error::NotFound)?).await?;
        Ok(NoContent)
    }
}

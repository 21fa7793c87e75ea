//! `/auth/mfa…`, `/auth/passkey…`, `/auth/step-up…`, `/auth/magic-link…`: the second half of a sign-in, sign-ins without a
//! password, and fresh proofs.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::OpenApi;

use super::{
    Group,
    factor_wire::{AskedOut, EnrolPasskeyIn, EnrolTotpIn, EnrolledOut, MagicLinkIn, MfaTokenIn, PasskeyLoginIn, RenewedOut, StepUpIn, TotpOut, VerifyFactorIn},
    life_wire::MailedTokenIn,
    wire::{AcceptedOut, EmailIn, LoginOut},
};
use crate::{
    app::App,
    http::{
        context::{Public, Session},
        payload::{Accepted, Json, NoContent, Reply},
        problem::{ApiErr, E400, E401, E403, E404, E409, E413, E415, E422, E503},
    },
    service::{magic_link, mfa, not_me, passkey_login, passkeys, proofs::Proof, step_up},
};

pub(super) struct MfaApi;

/// What any operation with a body may answer besides its own.
const BODY: u32 = E400 | E404 | E413 | E415 | E422 | E503;
const PROOF: u32 = BODY | E401 | E403;

#[OpenApi(prefix_path = "/auth", tag = "Group::Factors")]
impl MfaApi {
    /// Finish a sign-in with a second factor
    ///
    /// Takes the `mfaToken` of a 403 `mfa_required`: good for five minutes and five answers. 401 `invalid_code` for a wrong or
    /// used code, 401 `invalid_mfa_token` once the token is worn out; sign in again then. Wrong codes slow the next ones down
    /// as wrong passwords do.
    #[oai(path = "/mfa/verify", method = "post", operation_id = "verify_second_factor")]
    async fn verify(&self, app: Data<&Arc<App>>, ctx: Public, body: Json<VerifyFactorIn>) -> Result<Reply<LoginOut>, ApiErr<PROOF>> {
        let VerifyFactorIn { mfa_token, method, code, ceremony_id, credential, trust_device, device_token } = body.0;
        let ctx = ctx.0.on_device(device_token.map(|token| token.0));
        let proof = Proof::read(&method, None, code.map(|code| code.0), (ceremony_id, credential.map(|answer| answer.0)))?;
        let answer = mfa::Answer { token: mfa_token.expose(), proof: &proof, trust: trust_device };
        Ok(Reply(mfa::verify(&app, &ctx, answer).await?.into()))
    }

    /// Ask for a passkey as the second factor
    ///
    /// For the `mfaToken` of a 403 `mfa_required` whose `methods` has `passkey`.
    #[oai(path = "/mfa/passkey/options", method = "post", operation_id = "ask_second_factor_passkey")]
    async fn ask_factor(&self, app: Data<&Arc<App>>, ctx: Public, body: Json<MfaTokenIn>) -> Result<Reply<AskedOut>, ApiErr<PROOF>> {
        Ok(Reply(mfa::ask_passkey(&app, &ctx.0, body.0.mfa_token.expose()).await?.into()))
    }

    /// Begin a first authenticator app during a sign-in
    ///
    /// For the `mfaToken` of a 403 `mfa_enrolment_required`.
    #[oai(path = "/mfa/enrol/totp", method = "post", operation_id = "begin_first_totp")]
    async fn begin_totp(&self, app: Data<&Arc<App>>, ctx: Public, body: Json<MfaTokenIn>) -> Result<Reply<TotpOut>, ApiErr<PROOF>> {
        Ok(Reply(TotpOut::of(&mfa::begin_totp(&app, &ctx.0, body.0.mfa_token.expose()).await?)?))
    }

    /// Finish a sign-in with a first authenticator app
    ///
    /// Takes a code of the secret that was begun with; the app counts from then on.
    #[oai(path = "/mfa/enrol/totp/confirm", method = "post", operation_id = "confirm_first_totp")]
    async fn confirm_totp(&self, app: Data<&Arc<App>>, ctx: Public, body: Json<EnrolTotpIn>) -> Result<Reply<EnrolledOut>, ApiErr<PROOF>> {
        let EnrolTotpIn { mfa_token, code, device_token } = body.0;
        let ctx = ctx.0.on_device(device_token.map(|token| token.0));
        Ok(Reply(mfa::enrol(&app, &ctx, mfa_token.expose(), mfa::First::Totp(code.expose())).await?.into()))
    }

    /// Ask for a first passkey during a sign-in
    ///
    /// For the `mfaToken` of a 403 `mfa_enrolment_required`.
    #[oai(path = "/mfa/enrol/passkey/options", method = "post", operation_id = "ask_first_passkey")]
    async fn ask_first_passkey(&self, app: Data<&Arc<App>>, ctx: Public, body: Json<MfaTokenIn>) -> Result<Reply<AskedOut>, ApiErr<PROOF>> {
        Ok(Reply(mfa::begin_passkey(&app, &ctx.0, body.0.mfa_token.expose()).await?.into()))
    }

    /// Finish a sign-in with a first passkey
    ///
    /// The passkey counts from then on.
    #[oai(path = "/mfa/enrol/passkey", method = "post", operation_id = "add_first_passkey")]
    async fn add_first_passkey(&self, app: Data<&Arc<App>>, ctx: Public, body: Json<EnrolPasskeyIn>) -> Result<Reply<EnrolledOut>, ApiErr<{ PROOF | E409 }>> {
        let EnrolPasskeyIn { mfa_token, name, ceremony_id, credential, device_token } = body.0;
        let ctx = ctx.0.on_device(device_token.map(|token| token.0));
        let first = mfa::First::Passkey { name: &name, ceremony: &ceremony_id, answer: &credential.0 };
        Ok(Reply(mfa::enrol(&app, &ctx, mfa_token.expose(), first).await?.into()))
    }

    /// Ask for a passkey of whoever signs in
    ///
    /// The authenticator offers those that it has for the realm's domain; no address is needed.
    #[oai(path = "/passkey/options", method = "post", operation_id = "ask_sign_in_passkey")]
    async fn ask_anybody(&self, app: Data<&Arc<App>>, ctx: Public) -> Result<Reply<AskedOut>, ApiErr<{ E400 | E403 | E404 | E503 }>> {
        Ok(Reply(passkeys::ask_anybody(&app, &ctx.0).await?.into()))
    }

    /// Sign in with a passkey
    ///
    /// The authenticator has checked its person, so that no second factor is asked for.
    #[oai(path = "/passkey/login", method = "post", operation_id = "log_in_with_passkey")]
    async fn passkey(&self, app: Data<&Arc<App>>, ctx: Public, body: Json<PasskeyLoginIn>) -> Result<Reply<LoginOut>, ApiErr<PROOF>> {
        let PasskeyLoginIn { ceremony_id, credential, device_token } = body.0;
        let ctx = ctx.0.on_device(device_token.map(|token| token.0));
        Ok(Reply(passkey_login::with_passkey(&app, &ctx, &ceremony_id, &credential.0).await?.into()))
    }

    /// Prove once more who one is
    ///
    /// For operations that answer 401 `step_up_required`: by one of the `methods` that it names. Whoever has a second factor
    /// proves it by that. The access token of the reply counts for ten minutes; the refresh token stays as it is.
    #[oai(path = "/step-up", method = "post", operation_id = "step_up")]
    async fn step_up(&self, app: Data<&Arc<App>>, ctx: Session, body: Json<StepUpIn>) -> Result<Reply<RenewedOut>, ApiErr<PROOF>> {
        Ok(Reply(step_up::prove(&app, &ctx.0, &body.0.proof()?).await?.into()))
    }

    /// Ask for a passkey as the fresh proof
    ///
    /// The answer is good in the session that asks, with `POST /auth/step-up`.
    #[oai(path = "/step-up/passkey/options", method = "post", operation_id = "ask_step_up_passkey")]
    async fn ask_step_up(&self, app: Data<&Arc<App>>, ctx: Session) -> Result<Reply<AskedOut>, ApiErr<{ E401 | E403 | E404 | E503 }>> {
        Ok(Reply(step_up::ask_passkey(&app, &ctx.0).await?.into()))
    }

    /// Ask for a link that signs in
    ///
    /// Always 202 where the realm offers it, else 404. A mail is sent if the address is known and proved, at most three an hour.
    #[oai(path = "/magic-link", method = "post", operation_id = "request_magic_link")]
    async fn ask_link(&self, app: Data<&Arc<App>>, ctx: Public, body: Json<EmailIn>) -> Result<Accepted<AcceptedOut>, ApiErr<BODY>> {
        magic_link::request(&app, &ctx.0, &body.0.email).await?;
        Ok(Accepted(AcceptedOut { message: "If this address is known, a mail is on its way.".to_owned() }))
    }

    /// Sign in with a mailed link
    ///
    /// Takes the link's `token`, good once. A second factor is asked for as at any other sign-in.
    #[oai(path = "/magic-link/login", method = "post", operation_id = "log_in_with_magic_link")]
    async fn follow_link(&self, app: Data<&Arc<App>>, ctx: Public, body: Json<MagicLinkIn>) -> Result<Reply<LoginOut>, ApiErr<PROOF>> {
        let MagicLinkIn { token, device_token } = body.0;
        let ctx = ctx.0.on_device(device_token.map(|token| token.0));
        Ok(Reply(magic_link::follow(&app, &ctx, &token).await?.into()))
    }

    /// Say that a sign-in was a stranger's
    ///
    /// Takes the `token` of the notice of a sign-in from a new device. Ends every session, makes the password worthless, takes
    /// away what second factors were added since, and mails a link to a new password.
    #[oai(path = "/not-me", method = "post", operation_id = "disown_sign_in")]
    async fn not_me(&self, app: Data<&Arc<App>>, ctx: Public, body: Json<MailedTokenIn>) -> Result<NoContent, ApiErr<BODY>> {
        not_me::disown(&app, &ctx.0, &body.0.token).await?;
        Ok(NoContent)
    }
}

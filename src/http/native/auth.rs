//! `/auth/…`: sign up, prove the address, sign in, stay in, get back in, leave.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::OpenApi;

use super::{
    Group,
    wire::{
        AcceptedOut, DeviceOut, EmailIn, LoginIn, LoginOut, LogoutIn, RefreshIn, ResetPasswordIn, SignUpIn, SignedUpOut, SignedUpUser, TokenOut, TokensOut,
        UnlockSignInIn, VerifiedOut, VerifyEmailIn,
    },
};
use crate::{
    app::App,
    domain::{Error, FieldError},
    http::{
        context::{Public, Session},
        payload::{Accepted, Json, NoContent, OptionalJson, Reply},
        problem::{ApiErr, E400, E401, E403, E404, E413, E415, E422, E503},
    },
    service::{login, password_reset, refresh, registration, sessions, sign_in_link, verification},
};

pub(super) struct AuthApi;

/// What any operation with a body may answer besides its own.
const BODY: u32 = E400 | E404 | E413 | E415 | E422 | E503;

#[OpenApi(prefix_path = "/auth", tag = "Group::Authentication")]
impl AuthApi {
    /// Sign up
    ///
    /// Registers a person and mails a link and a 6-digit code that prove the address. The answer is the same whether or
    /// not the address is in use; its owner is then told by mail. In the root realm the person also gets an account.
    #[oai(path = "/signup", method = "post", operation_id = "sign_up")]
    async fn sign_up(&self, app: Data<&Arc<App>>, ctx: Public, body: Json<SignUpIn>) -> Result<Accepted<SignedUpOut>, ApiErr<{ BODY | E403 }>> {
        let SignUpIn { name, email, password, company, country, phone } = body.0;
        let input = registration::SignUp { name, email, password: password.0, company, country, phone };
        let done = registration::sign_up(&app, &ctx.0, input).await?;
        let user = SignedUpUser { name: done.name, email: done.email.as_str().to_owned() };
        Ok(Accepted(SignedUpOut { user, message: "Please check your e-mail to verify your address.".to_owned() }))
    }

    /// Prove an e-mail address
    ///
    /// Takes the `token` of the mailed link, or `email` and `code` from the same mail. Each is good once.
    #[oai(path = "/verify-email", method = "post", operation_id = "verify_email")]
    async fn verify_email(&self, app: Data<&Arc<App>>, ctx: Public, body: Json<VerifyEmailIn>) -> Result<Reply<VerifiedOut>, ApiErr<BODY>> {
        let email = match (body.0.token, body.0.email, body.0.code) {
            (Some(token), None, None) => verification::verify_by_token(&app, &ctx.0, &token).await?,
            (None, Some(email), Some(code)) => verification::verify_by_code(&app, &ctx.0, &email, &code).await?,
            _ => {
                let fault = FieldError::new("token", "required", "send either `token`, or `email` and `code`");
                return Err(Error::Invalid(vec![fault]).into());
            }
        };
        Ok(Reply(VerifiedOut { email: email.as_str().to_owned(), verified: true }))
    }

    /// Ask for another verification mail
    ///
    /// Always 202. A mail is sent if the address waits for its proof, at most three an hour.
    #[oai(path = "/verify-email/resend", method = "post", operation_id = "resend_verification_email")]
    async fn resend(&self, app: Data<&Arc<App>>, ctx: Public, body: Json<EmailIn>) -> Result<Accepted<AcceptedOut>, ApiErr<BODY>> {
        verification::resend(&app, &ctx.0, &body.0.email).await?;
        Ok(Accepted(AcceptedOut { message: "If this address waits for its proof, a mail is on its way.".to_owned() }))
    }

    /// Sign in
    ///
    /// Begins a session. After five wrong passwords an address has to pause, for 2 s at first and 15 minutes at most; what it
    /// sends meanwhile is answered like a wrong password. Send the `deviceToken` of the last reply along: it shows that the person used this device before.
    /// `email_not_verified` and `account_locked` (403) are told only to who knows the password, and so is that a second factor
    /// is wanted: 403 `mfa_required` with an `mfaToken` for `POST /auth/mfa/verify`, or 403 `mfa_enrolment_required` where the
    /// realm requires a factor and the person has none yet.
    #[oai(path = "/login", method = "post", operation_id = "log_in")]
    async fn log_in(&self, app: Data<&Arc<App>>, ctx: Public, body: Json<LoginIn>) -> Result<Reply<LoginOut>, ApiErr<{ BODY | E401 | E403 }>> {
        let LoginIn { email, password, device_token } = body.0;
        let ctx = ctx.0.on_device(device_token.map(|token| token.0));
        Ok(Reply(login::with_password(&app, &ctx, &email, &password.0).await?.into()))
    }

    /// Allow a device to sign in
    ///
    /// Takes the token of the mail that a person gets when strangers guess at their password a lot and they sign in on a
    /// device that is not known. Send the `deviceToken` of the reply with the sign-in, which asks for the password as always;
    /// for an hour the caller's address may sign in without it. Whoever gets no such mail needs none of this.
    #[oai(path = "/unlock-sign-in", method = "post", operation_id = "unlock_sign_in")]
    async fn unlock_sign_in(&self, app: Data<&Arc<App>>, ctx: Public, body: Json<UnlockSignInIn>) -> Result<Reply<DeviceOut>, ApiErr<BODY>> {
        let device = sign_in_link::follow(&app, &ctx.0, &body.0.token).await?;
        Ok(Reply(DeviceOut { device_token: device.reveal() }))
    }

    /// Refresh the tokens
    ///
    /// Each refresh token is good once. Within 10 s of its use it answers with the same child again; later use ends the
    /// session (`refresh_reuse`).
    #[oai(path = "/refresh", method = "post", operation_id = "refresh_tokens")]
    async fn refresh(&self, app: Data<&Arc<App>>, ctx: Public, body: Json<RefreshIn>) -> Result<Reply<TokensOut>, ApiErr<{ BODY | E401 }>> {
        Ok(Reply(refresh::rotate(&app, &ctx.0, body.0.refresh_token.expose()).await?.into()))
    }

    /// Sign out
    ///
    /// Ends the session that asks, or with `{"everywhere": true}` all sessions of the person, which needs a proof of who asks
    /// that is not older than ten minutes (401 `step_up_required`).
    #[oai(path = "/logout", method = "post", operation_id = "log_out")]
    async fn log_out(&self, app: Data<&Arc<App>>, ctx: Session, body: OptionalJson<LogoutIn>) -> Result<NoContent, ApiErr<{ BODY | E401 | E403 }>> {
        if body.0.everywhere {
            sessions::log_out_everywhere(&app, &ctx.0).await?;
        } else {
            sessions::log_out(&app, &ctx.0).await?;
        }
        Ok(NoContent)
    }

    /// Ask for a password reset mail
    ///
    /// Always 202. A mail is sent if the address is known, at most three an hour.
    #[oai(path = "/password/forgot", method = "post", operation_id = "request_password_reset")]
    async fn forgot(&self, app: Data<&Arc<App>>, ctx: Public, body: Json<EmailIn>) -> Result<Accepted<AcceptedOut>, ApiErr<BODY>> {
        password_reset::request(&app, &ctx.0, &body.0.email).await?;
        Ok(Accepted(AcceptedOut { message: "If this address is known, a mail is on its way.".to_owned() }))
    }

    /// Set a new password with a mailed token
    ///
    /// Ends every session of the person and kills every other mailed token. A refused password leaves the token good.
    #[oai(path = "/password/reset", method = "post", operation_id = "reset_password")]
    async fn reset(&self, app: Data<&Arc<App>>, ctx: Public, body: Json<ResetPasswordIn>) -> Result<NoContent, ApiErr<BODY>> {
        password_reset::confirm(&app, &ctx.0, &body.0.token, body.0.new_password.0).await?;
        Ok(NoContent)
    }

    /// Look into the access token
    ///
    /// What the token proves, without a look at the database.
    #[oai(path = "/token", method = "get", operation_id = "inspect_access_token")]
    async fn token(&self, ctx: Session) -> Result<Reply<TokenOut>, ApiErr<{ E401 | E403 | E503 }>> {
        Ok(Reply(TokenOut::of(&ctx.0)?))
    }
}

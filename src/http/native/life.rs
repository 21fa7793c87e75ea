//! `/me/email`, `/me/export` and the two halves of a change of address that the mailed links lead to.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::OpenApi;

use super::{
    Group,
    life_wire::{ChangeEmailIn, ExportOut, MailedTokenIn},
    wire::{AcceptedOut, VerifiedOut},
};
use crate::{
    app::App,
    http::{
        context::{Public, Session},
        payload::{Accepted, Json, Reply},
        problem::{ApiErr, E400, E401, E403, E404, E409, E413, E415, E422, E503},
    },
    service::{email_change, export},
};

pub(super) struct LifeApi;

/// What any operation with a body may answer besides its own.
const BODY: u32 = E400 | E404 | E413 | E415 | E422 | E503;

#[OpenApi]
impl LifeApi {
    /// Change the e-mail address
    ///
    /// Asks for the password as a proof, or without it for one of the last ten minutes (401 `step_up_required`), and mails a link to the new address; until it is followed the old one counts. Always
    /// 202, whether or not somebody has the new address.
    #[oai(path = "/me/email", method = "post", operation_id = "change_email", tag = "Group::Me")]
    async fn change_email(
        &self,
        app: Data<&Arc<App>>,
        ctx: Session,
        body: Json<ChangeEmailIn>,
    ) -> Result<Accepted<AcceptedOut>, ApiErr<{ BODY | E401 | E403 }>> {
        email_change::request(&app, &ctx.0, &body.0.email, body.0.password.as_ref().map(|password| &password.0)).await?;
        Ok(Accepted(AcceptedOut { message: "If this address can be used, a mail is on its way to it.".to_owned() }))
    }

    /// Confirm a new e-mail address
    ///
    /// Takes the `token` of the link that was mailed to the new address. The old address gets a notice with a way back, good
    /// for 72 hours. 409 `taken`: somebody else proved the address meanwhile, and nothing is changed.
    #[oai(path = "/auth/change-email/confirm", method = "post", operation_id = "confirm_email_change", tag = "Group::Authentication")]
    async fn confirm(&self, app: Data<&Arc<App>>, ctx: Public, body: Json<MailedTokenIn>) -> Result<Reply<VerifiedOut>, ApiErr<{ BODY | E409 }>> {
        let email = email_change::confirm(&app, &ctx.0, &body.0.token).await?;
        Ok(Reply(VerifiedOut { email: email.as_str().to_owned(), verified: true }))
    }

    /// Take a change of address back
    ///
    /// Takes the `token` of the notice to the old address, which counts again. Every session ends, the password does not
    /// count any more, and a mail with a link to a new one goes to the restored address.
    #[oai(path = "/auth/change-email/undo", method = "post", operation_id = "undo_email_change", tag = "Group::Authentication")]
    async fn undo(&self, app: Data<&Arc<App>>, ctx: Public, body: Json<MailedTokenIn>) -> Result<Reply<VerifiedOut>, ApiErr<{ BODY | E409 }>> {
        let email = email_change::undo(&app, &ctx.0, &body.0.token).await?;
        Ok(Reply(VerifiedOut { email: email.as_str().to_owned(), verified: true }))
    }

    /// Export what is kept
    ///
    /// Everything that is kept about the signed-in person, in one document, without secrets.
    #[oai(path = "/me/export", method = "get", operation_id = "export_me", tag = "Group::Me")]
    async fn export(&self, app: Data<&Arc<App>>, ctx: Session) -> Result<Reply<ExportOut>, ApiErr<{ E401 | E403 | E404 | E503 }>> {
        let export = export::export(&app, &ctx.0).await?;
        Ok(Reply(ExportOut::of(&ctx.0, export)))
    }
}

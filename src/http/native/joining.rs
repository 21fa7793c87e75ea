//! `/invitations/…`: what the person who got one does with it.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::OpenApi;

use super::{
    Group,
    member_wire::{AcceptInvitationIn, InvitedSignUpIn, JoinedOut},
};
use crate::{
    app::App,
    http::{
        context::{Public, Session},
        payload::{Created, Json, Reply},
        problem::{ApiErr, E400, E401, E403, E404, E409, E413, E415, E422, E503},
    },
    service::joining,
};

pub(super) struct JoiningApi;

const BODY: u32 = E400 | E403 | E404 | E413 | E415 | E422 | E503;

#[OpenApi(prefix_path = "/invitations", tag = "Group::Accounts")]
impl JoiningApi {
    /// Accept an invitation
    ///
    /// For the signed-in person whose address was invited: anybody else gets 403 `not_invited`, and the invitation stays good.
    #[oai(path = "/accept", method = "post", operation_id = "accept_invitation")]
    async fn accept(&self, app: Data<&Arc<App>>, ctx: Session, body: Json<AcceptInvitationIn>) -> Result<Reply<JoinedOut>, ApiErr<{ BODY | E401 }>> {
        Ok(Reply(joining::accept(&app, &ctx.0, &body.0.token).await?.into()))
    }

    /// Sign up with an invitation
    ///
    /// Makes the user with a proved address, where a realm takes no strangers as well. Then sign in. If the address has a user
    /// already, 409 `invitee_exists`: sign in and accept.
    #[oai(path = "/sign-up", method = "post", operation_id = "sign_up_with_invitation")]
    async fn sign_up(&self, app: Data<&Arc<App>>, ctx: Public, body: Json<InvitedSignUpIn>) -> Result<Created<JoinedOut>, ApiErr<{ BODY | E409 }>> {
        let (token, newcomer) = body.0.split();
        Ok(Created(joining::sign_up(&app, &ctx.0, &token, newcomer).await?.into()))
    }
}

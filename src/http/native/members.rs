//! `/accounts/{id}/members…` and `/accounts/{id}/invitations…`: who belongs to an account, and who is to.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::{
    OpenApi,
    param::{Path, Query},
};

use super::{
    Group,
    accounts::account_id,
    member_wire::{InvitationOut, InvitationsOut, MemberOut, MembersOut, NewInvitationIn, RoleIn},
};
use crate::{
    app::App,
    domain::{
        Error, Result as Outcome,
        id::{InvitationId, UserId},
        page::PageRequest,
    },
    http::{
        context::{Session, StepUp},
        payload::{Created, Json, NoContent, Reply},
        problem::{ApiErr, E400, E401, E403, E404, E409, E413, E415, E422, E503},
    },
    service::{invitations, members},
};

pub(super) struct MembersApi;

const READ: u32 = E400 | E401 | E403 | E404 | E422 | E503;
const END: u32 = READ | E409;
const WRITE: u32 = END | E413 | E415;

fn user_id(text: &str) -> Outcome<UserId> {
    text.parse().map_err(|_| Error::NotFound)
}

fn invitation_id(text: &str) -> Outcome<InvitationId> {
    text.parse().map_err(|_| Error::NotFound)
}

#[OpenApi(prefix_path = "/accounts", tag = "Group::Accounts")]
impl MembersApi {
    /// List the members of an account
    ///
    /// For its members, and for owners and admins of an account above it.
    #[oai(path = "/:id/members", method = "get", operation_id = "list_members")]
    async fn list(
        &self,
        app: Data<&Arc<App>>,
        ctx: Session,
        /// The account's id.
        id: Path<String>,
        /// Most items of the page, 1 to 200; 50 if left out.
        limit: Query<Option<u64>>,
        /// The `nextCursor` of the page before.
        cursor: Query<Option<String>>,
    ) -> Result<Reply<MembersOut>, ApiErr<READ>> {
        let page = PageRequest::new(limit.0, cursor.0.as_deref())?;
        Ok(Reply(members::list(&app, &ctx.0, account_id(&id.0)?, page).await?.into()))
    }

    /// Change a member's role
    ///
    /// Owners decide about everybody, admins about everybody but owners. An account keeps at least one owner.
    #[oai(path = "/:id/members/:user_id", method = "patch", operation_id = "update_member")]
    async fn change(
        &self,
        app: Data<&Arc<App>>,
        ctx: StepUp,
        /// The account's id.
        id: Path<String>,
        /// The member's id.
        user_id: Path<String>,
        body: Json<RoleIn>,
    ) -> Result<Reply<MemberOut>, ApiErr<WRITE>> {
        let member = members::set_role(&app, &ctx.0, account_id(&id.0)?, self::user_id(&user_id.0)?, &body.0.role).await?;
        Ok(Reply(member.into()))
    }

    /// Remove a member
    ///
    /// Members may remove themselves. What the place gave is gone at once here and within a second on every other node;
    /// API keys that the person made go on: they are the account's.
    #[oai(path = "/:id/members/:user_id", method = "delete", operation_id = "remove_member")]
    async fn remove(
        &self,
        app: Data<&Arc<App>>,
        ctx: Session,
        /// The account's id.
        id: Path<String>,
        /// The member's id.
        user_id: Path<String>,
    ) -> Result<NoContent, ApiErr<END>> {
        members::remove(&app, &ctx.0, account_id(&id.0)?, self::user_id(&user_id.0)?).await?;
        Ok(NoContent)
    }

    /// List the invitations to an account
    ///
    /// In the order of their making, ended ones too: they stay in the list for 90 days.
    #[oai(path = "/:id/invitations", method = "get", operation_id = "list_invitations")]
    async fn list_invitations(
        &self,
        app: Data<&Arc<App>>,
        ctx: Session,
        /// The account's id.
        id: Path<String>,
        /// Most items of the page, 1 to 200; 50 if left out.
        limit: Query<Option<u64>>,
        /// The `nextCursor` of the page before.
        cursor: Query<Option<String>>,
    ) -> Result<Reply<InvitationsOut>, ApiErr<READ>> {
        let page = PageRequest::new(limit.0, cursor.0.as_deref())?;
        let invitations = invitations::list(&app, &ctx.0, account_id(&id.0)?, page).await?;
        Ok(Reply(InvitationsOut::of(&invitations, app.clock.now())))
    }

    /// Invite somebody to an account
    ///
    /// Mails a link that is good once. Says the same whether or not the address has a user of the caller's realm; only an
    /// address of a member is refused. A newer invitation takes the place of the one before. Admins can't invite owners.
    #[oai(path = "/:id/invitations", method = "post", operation_id = "create_invitation")]
    async fn invite(
        &self,
        app: Data<&Arc<App>>,
        ctx: StepUp,
        /// The account's id.
        id: Path<String>,
        body: Json<NewInvitationIn>,
    ) -> Result<Created<InvitationOut>, ApiErr<WRITE>> {
        let invitation = invitations::create(&app, &ctx.0, account_id(&id.0)?, body.0.into()).await?;
        Ok(Created(InvitationOut::of(&invitation, app.clock.now())))
    }

    /// Take an invitation back
    ///
    /// Its link is worth nothing from then on. One that was accepted can't be taken back: remove the member instead.
    #[oai(path = "/:id/invitations/:invitation_id", method = "delete", operation_id = "revoke_invitation")]
    async fn revoke(
        &self,
        app: Data<&Arc<App>>,
        ctx: Session,
        /// The account's id.
        id: Path<String>,
        /// The invitation's id.
        invitation_id: Path<String>,
    ) -> Result<NoContent, ApiErr<END>> {
        invitations::revoke(&app, &ctx.0, account_id(&id.0)?, self::invitation_id(&invitation_id.0)?).await?;
        Ok(NoContent)
    }
}

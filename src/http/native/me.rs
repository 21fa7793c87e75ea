//! `/me…`: the signed-in person's profile, password and sessions.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::{OpenApi, param::Path, types::MaybeUndefined};

use super::{
    Group,
    life_wire::EraseIn,
    wire::{ChangePasswordIn, MeOut, ProfileIn, SessionsOut},
};
use crate::{
    app::App,
    domain::Error,
    http::{
        context::Session,
        payload::{Json, NoContent, Reply},
        problem::{ApiErr, E400, E401, E403, E404, E409, E413, E415, E422, E503},
    },
    service::{erase, password_change, profile, sessions},
};

pub(super) struct MeApi;

const READ: u32 = E401 | E403 | E404 | E503;
const WRITE: u32 = READ | E400 | E413 | E415 | E422;

#[OpenApi(prefix_path = "/me", tag = "Group::Me")]
impl MeApi {
    /// Read the profile
    ///
    /// The signed-in person and the accounts they belong to.
    #[oai(path = "/", method = "get", operation_id = "get_me")]
    async fn get(&self, app: Data<&Arc<App>>, ctx: Session) -> Result<Reply<MeOut>, ApiErr<READ>> {
        let profile = profile::get(&app, &ctx.0).await?;
        Ok(Reply(MeOut::of(&ctx.0, &profile)))
    }

    /// Change the profile
    ///
    /// Fields left out stay as they are, `null` clears one. The address and the password have operations of their own.
    #[oai(path = "/", method = "patch", operation_id = "update_me")]
    async fn update(&self, app: Data<&Arc<App>>, ctx: Session, body: Json<ProfileIn>) -> Result<Reply<MeOut>, ApiErr<WRITE>> {
        let ProfileIn { name, company, country, phone, locale } = body.0;
        let change = profile::Change { name, company: field(company), country: field(country), phone: field(phone), locale: field(locale) };
        let profile = profile::change(&app, &ctx.0, change).await?;
        Ok(Reply(MeOut::of(&ctx.0, &profile)))
    }

    /// Erase oneself
    ///
    /// Asks for the password as a proof, or without it for one of the last ten minutes (401 `step_up_required`).
    /// At once and for good: profile, sessions, tokens, credentials, devices and places in accounts. The audit trail keeps
    /// the id alone. An account that nobody else is in is closed. 409 `last_owner`: an account with other members, realms or
    /// accounts below it would be left without an owner.
    #[oai(path = "/", method = "delete", operation_id = "erase_me")]
    async fn erase(&self, app: Data<&Arc<App>>, ctx: Session, body: Json<EraseIn>) -> Result<NoContent, ApiErr<{ WRITE | E409 }>> {
        erase::erase(&app, &ctx.0, body.0.password.as_ref().map(|password| &password.0)).await?;
        Ok(NoContent)
    }

    /// Change the password
    ///
    /// Asks for the current one as a proof, or without it for one of the last ten minutes (401 `step_up_required`). The session that asks goes on, every other one ends (`password_changed`).
    #[oai(path = "/password", method = "put", operation_id = "change_password")]
    async fn password(&self, app: Data<&Arc<App>>, ctx: Session, body: Json<ChangePasswordIn>) -> Result<NoContent, ApiErr<WRITE>> {
        let ChangePasswordIn { current_password, new_password } = body.0;
        password_change::change(&app, &ctx.0, current_password.as_ref().map(|password| &password.0), new_password.0).await?;
        Ok(NoContent)
    }

    /// List the sessions
    ///
    /// Live ones, newest first; `current` marks the one that asks.
    #[oai(path = "/sessions", method = "get", operation_id = "list_sessions")]
    async fn sessions(&self, app: Data<&Arc<App>>, ctx: Session) -> Result<Reply<SessionsOut>, ApiErr<READ>> {
        let items = sessions::list(&app, &ctx.0).await?.into_iter().map(Into::into).collect();
        Ok(Reply(SessionsOut { items, next_cursor: None }))
    }

    /// End a session
    ///
    /// Counts at once here and within a second on every other node.
    #[oai(path = "/sessions/:id", method = "delete", operation_id = "end_session")]
    async fn end_session(
        &self,
        app: Data<&Arc<App>>,
        ctx: Session,
        /// The session's id, as `GET /me/sessions` lists it.
        id: Path<String>,
    ) -> Result<NoContent, ApiErr<READ>> {
        sessions::revoke(&app, &ctx.0, id.0.parse().map_err(|_| Error::NotFound)?).await?;
        Ok(NoContent)
    }
}

/// A PATCH field: left out, cleared or set.
fn field(value: MaybeUndefined<String>) -> Option<Option<String>> {
    match value {
        MaybeUndefined::Undefined => None,
        MaybeUndefined::Null => Some(None),
        MaybeUndefined::Value(value) => Some(Some(value)),
    }
}

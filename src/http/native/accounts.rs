//! `/accounts…`: the customer organisations that the signed-in person belongs to or administers.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::{
    OpenApi,
    param::{Path, Query},
};

use super::{
    Group,
    account_wire::{AccountOut, AccountsOut, NewAccountIn, RenameAccountIn},
};
use crate::{
    app::App,
    domain::{Error, Result as Outcome, id::AccountId, page::PageRequest},
    http::{
        context::Session,
        payload::{Created, Json, Reply},
        problem::{ApiErr, E400, E401, E403, E404, E413, E415, E422, E503},
    },
    service::accounts,
};

pub(super) struct AccountsApi;

const READ: u32 = E400 | E401 | E403 | E404 | E422 | E503;
const WRITE: u32 = READ | E413 | E415;

/// The account that a path names. What is no id names nothing.
pub(super) fn account_id(text: &str) -> Outcome<AccountId> {
    text.parse().map_err(|_| Error::NotFound)
}

#[OpenApi(prefix_path = "/accounts", tag = "Group::Accounts")]
impl AccountsApi {
    /// List the accounts
    ///
    /// Those where the person has a place, and those below where they are owner or admin; oldest first.
    #[oai(path = "/", method = "get", operation_id = "list_accounts")]
    async fn list(
        &self,
        app: Data<&Arc<App>>,
        ctx: Session,
        /// Most items of the page, 1 to 200; 50 if left out.
        limit: Query<Option<u64>>,
        /// The `nextCursor` of the page before.
        cursor: Query<Option<String>>,
    ) -> Result<Reply<AccountsOut>, ApiErr<READ>> {
        let page = PageRequest::new(limit.0, cursor.0.as_deref())?;
        Ok(Reply(accounts::list_own(&app, &ctx.0, page).await?.into()))
    }

    /// Make an account below another
    ///
    /// For owners and admins of `parentId` or of an account above it. It begins on plan `free`, without members of its own.
    #[oai(path = "/", method = "post", operation_id = "create_account")]
    async fn create(&self, app: Data<&Arc<App>>, ctx: Session, body: Json<NewAccountIn>) -> Result<Created<AccountOut>, ApiErr<WRITE>> {
        let parent = account_id(&body.0.parent_id)?;
        Ok(Created(accounts::create_below(&app, &ctx.0, parent, &body.0.name).await?.into()))
    }

    /// Read an account
    ///
    /// For its members, and for owners and admins of an account above it.
    #[oai(path = "/:id", method = "get", operation_id = "get_account")]
    async fn get(
        &self,
        app: Data<&Arc<App>>,
        ctx: Session,
        /// The account's id.
        id: Path<String>,
    ) -> Result<Reply<AccountOut>, ApiErr<READ>> {
        Ok(Reply(accounts::get(&app, &ctx.0, account_id(&id.0)?).await?.into()))
    }

    /// Rename an account
    ///
    /// For its owners and admins, and those of an account above it. The plan is the operator's to change.
    #[oai(path = "/:id", method = "patch", operation_id = "update_account")]
    async fn rename(
        &self,
        app: Data<&Arc<App>>,
        ctx: Session,
        /// The account's id.
        id: Path<String>,
        body: Json<RenameAccountIn>,
    ) -> Result<Reply<AccountOut>, ApiErr<WRITE>> {
        Ok(Reply(accounts::rename(&app, &ctx.0, account_id(&id.0)?, &body.0.name).await?.into()))
    }
}

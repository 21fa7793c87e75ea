//! `/accounts/{id}/api-keys…`: an account's own credentials for programs.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::{
    OpenApi,
    param::{Path, Query},
};

use super::{
    Group,
    accounts::account_id,
    key_wire::{KeyChangeIn, KeyOut, KeysOut, MadeKeyOut, NewKeyIn, RotateIn},
};
use crate::{
    app::App,
    domain::{Error, Result as Outcome, id::ApiKeyId, page::PageRequest},
    http::{
        context::{Session, StepUp},
        payload::{Created, Json, NoContent, OptionalJson, Reply},
        problem::{ApiErr, E400, E401, E403, E404, E409, E413, E415, E422, E503},
    },
    service::api_keys,
};

pub(super) struct ApiKeysApi;

const READ: u32 = E400 | E401 | E403 | E404 | E422 | E503;
const WRITE: u32 = READ | E409 | E413 | E415;

pub(super) fn key_id(text: &str) -> Outcome<ApiKeyId> {
    text.parse().map_err(|_| Error::NotFound)
}

#[OpenApi(prefix_path = "/accounts", tag = "Group::ApiKeys")]
impl ApiKeysApi {
    /// List the API keys
    ///
    /// In the order of their making, revoked and expired ones too. Neither here nor anywhere else is a key or its hash shown.
    #[oai(path = "/:id/api-keys", method = "get", operation_id = "list_api_keys")]
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
    ) -> Result<Reply<KeysOut>, ApiErr<READ>> {
        let page = PageRequest::new(limit.0, cursor.0.as_deref())?;
        let keys = api_keys::list(&app, &ctx.0, account_id(&id.0)?, page).await?;
        Ok(Reply(KeysOut::of(keys, app.clock.now())))
    }

    /// Make an API key
    ///
    /// `key` in the reply is shown this once. For owners and admins of the account or of one above it.
    #[oai(path = "/:id/api-keys", method = "post", operation_id = "create_api_key")]
    async fn create(
        &self,
        app: Data<&Arc<App>>,
        ctx: StepUp,
        /// The account's id.
        id: Path<String>,
        body: Json<NewKeyIn>,
    ) -> Result<Created<MadeKeyOut>, ApiErr<WRITE>> {
        let made = api_keys::create(&app, &ctx.0, account_id(&id.0)?, body.0.into()).await?;
        Ok(Created(MadeKeyOut::of(&made, app.clock.now())))
    }

    /// Read an API key
    ///
    /// What it may do, and when it was last used.
    #[oai(path = "/:id/api-keys/:key_id", method = "get", operation_id = "get_api_key")]
    async fn get(
        &self,
        app: Data<&Arc<App>>,
        ctx: Session,
        /// The account's id.
        id: Path<String>,
        /// The key's id.
        key_id: Path<String>,
    ) -> Result<Reply<KeyOut>, ApiErr<READ>> {
        let key = api_keys::get(&app, &ctx.0, account_id(&id.0)?, self::key_id(&key_id.0)?).await?;
        Ok(Reply(KeyOut::of(&key, app.clock.now())))
    }

    /// Change an API key
    ///
    /// Fields left out stay as they are, `null` clears one. A key that has ended or was rotated can't be changed.
    #[oai(path = "/:id/api-keys/:key_id", method = "patch", operation_id = "update_api_key")]
    async fn change(
        &self,
        app: Data<&Arc<App>>,
        ctx: StepUp,
        /// The account's id.
        id: Path<String>,
        /// The key's id.
        key_id: Path<String>,
        body: Json<KeyChangeIn>,
    ) -> Result<Reply<KeyOut>, ApiErr<WRITE>> {
        let key = api_keys::change(&app, &ctx.0, account_id(&id.0)?, self::key_id(&key_id.0)?, body.0.into()).await?;
        Ok(Reply(KeyOut::of(&key, app.clock.now())))
    }

    /// Revoke an API key
    ///
    /// Counts at once here and within a second on every other node. It stays in the list for 90 days.
    #[oai(path = "/:id/api-keys/:key_id", method = "delete", operation_id = "revoke_api_key")]
    async fn revoke(
        &self,
        app: Data<&Arc<App>>,
        ctx: Session,
        /// The account's id.
        id: Path<String>,
        /// The key's id.
        key_id: Path<String>,
    ) -> Result<NoContent, ApiErr<READ>> {
        api_keys::revoke(&app, &ctx.0, account_id(&id.0)?, self::key_id(&key_id.0)?).await?;
        Ok(NoContent)
    }

    /// Rotate an API key
    ///
    /// Makes a key with the same settings, shown this once. The old one ends now, or after `overlapSeconds` (at most seven
    /// days, never past its own end).
    #[oai(path = "/:id/api-keys/:key_id/rotate", method = "post", operation_id = "rotate_api_key")]
    async fn rotate(
        &self,
        app: Data<&Arc<App>>,
        ctx: StepUp,
        /// The account's id.
        id: Path<String>,
        /// The key's id.
        key_id: Path<String>,
        body: OptionalJson<RotateIn>,
    ) -> Result<Created<MadeKeyOut>, ApiErr<WRITE>> {
        let overlap = body.0.overlap_seconds.unwrap_or_default();
        let made = api_keys::rotate(&app, &ctx.0, account_id(&id.0)?, self::key_id(&key_id.0)?, overlap).await?;
        Ok(Created(MadeKeyOut::of(&made, app.clock.now())))
    }
}

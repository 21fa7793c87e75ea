//! `/api/user…`: verify a person, make, judge, list and delete their tokens.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::{
    OpenApi,
    param::{Path, Query},
};

use super::{
    Group,
    caller::Caller,
    fault::Fault,
    wire::{TokenIn, TokensOut, UserOut, Verified, VerifyUserIn, Yes},
};
use crate::{
    app::App,
    domain::FieldError,
    http::{
        context::Public,
        failure::Failure,
        payload::{Json, Reply},
        problem::{E400, E401, E403, E404, E413, E415, E503},
    },
    service::user_tokens::{self, Wish},
};

pub(super) struct UserApi;

const READ: u32 = E400 | E401 | E403 | E404 | E503;
const BODY: u32 = E400 | E403 | E404 | E413 | E415 | E503;

#[OpenApi(tag = "Group::Users")]
impl UserApi {
    /// Verify a person
    ///
    /// 200 if the address and the password are those of a person who may sign in, else 403, whatever the reason. With
    /// `createToken=true` the reply holds a new token, good for `timeout` seconds.
    #[oai(path = "/verify", method = "post", operation_id = "verify_user")]
    async fn verify(
        &self,
        app: Data<&Arc<App>>,
        ctx: Public,
        /// Whether to make a token.
        #[oai(name = "createToken")]
        create_token: Query<Option<bool>>,
        body: Json<VerifyUserIn>,
    ) -> Result<Verified, Fault<BODY>> {
        let VerifyUserIn { email, password, timeout, auto_renew } = body.0;
        if create_token.0 != Some(true) {
            user_tokens::verify(&app, &ctx.0, &email, &password.0).await?;
            return Ok(Verified(None));
        }
        let (Some(timeout), Some(auto_renew)) = (timeout, auto_renew) else { return Err(missing(timeout.is_none(), auto_renew.is_none())) };
        let wish = Wish { timeout, auto_renew };
        Ok(Verified(Some(user_tokens::create(&app, &ctx.0, &email, &password.0, wish).await?)))
    }

    /// Judge a token
    ///
    /// 200 if the token is a good one of the caller's own, else 403.
    #[oai(path = "/token/verify", method = "post", operation_id = "verify_user_token")]
    async fn verify_token(&self, app: Data<&Arc<App>>, ctx: Caller, body: Json<TokenIn>) -> Result<Yes, Fault<{ BODY | E401 }>> {
        user_tokens::check(&app, &ctx.0, body.0.token.expose()).await?;
        Ok(Yes)
    }

    /// Delete a token
    ///
    /// Ends a token of the caller's own, the one that calls or another: at once here and within a second on every other
    /// node. 403 for any other.
    #[oai(path = "/token/:token", method = "delete", operation_id = "delete_user_token")]
    async fn delete_token(
        &self,
        app: Data<&Arc<App>>,
        ctx: Caller,
        /// The token itself.
        token: Path<String>,
    ) -> Result<Yes, Fault<READ>> {
        user_tokens::delete(&app, &ctx.0, &token.0).await?;
        Ok(Yes)
    }

    /// List the tokens
    ///
    /// The caller's live tokens, newest first, without their values.
    #[oai(path = "/token", method = "get", operation_id = "list_user_tokens")]
    async fn tokens(&self, app: Data<&Arc<App>>, ctx: Caller) -> Result<Reply<TokensOut>, Fault<READ>> {
        let tokens = user_tokens::list(&app, &ctx.0).await?.into_iter().map(Into::into).collect();
        Ok(Reply(TokensOut { tokens }))
    }

    /// Read the caller
    ///
    /// The person behind the token, and the accounts that `X-CONVERSE-SPACE` may pick.
    #[oai(path = "/", method = "get", operation_id = "get_user")]
    async fn user(&self, app: Data<&Arc<App>>, ctx: Caller) -> Result<Reply<UserOut>, Fault<READ>> {
        let profile = user_tokens::owner(&app, &ctx.0).await?;
        Ok(Reply(UserOut::of(ctx.0.holder()?, &profile)))
    }
}

fn missing(timeout: bool, auto_renew: bool) -> Fault<BODY> {
    let missing = [("timeout", timeout), ("autoRenew", auto_renew)].into_iter().filter(|(_, missing)| *missing);
    Failure::shape(missing.map(|(field, _)| FieldError::new(field, "required", "is required")).collect()).into()
}

//! `/verify` and `/introspect`: what somebody else's credential is worth, for services that are shown one.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::OpenApi;

use super::{
    Group,
    verify_wire::{IntrospectIn, IntrospectionOut, VerdictOut, VerifyIn},
};
use crate::{
    app::App,
    http::{
        context::{Scoped, VerifyScope},
        payload::{Form, Json, Reply},
        problem::{ApiErr, E400, E401, E403, E413, E415, E422, E503},
    },
    service::verify::{self, Question},
};

pub(super) struct VerifyApi;

const ASK: u32 = E400 | E401 | E403 | E413 | E415 | E422 | E503;

#[OpenApi(tag = "Group::Verification")]
impl VerifyApi {
    /// Verify a credential
    ///
    /// Takes any kind: an access token or an API key. Always 200 for who may ask; `code` says what came of it, and only
    /// `valid` lets anybody in. One call takes `cost` units of the plan of the credential's account. The caller, a key with scope `credentials:verify` or an owner's or admin's session, learns only
    /// about its own account and those below it; everything else is `not_found`.
    #[oai(path = "/verify", method = "post", operation_id = "verify_credential")]
    async fn verify(&self, app: Data<&Arc<App>>, ctx: Scoped<VerifyScope>, body: Json<VerifyIn>) -> Result<Reply<VerdictOut>, ApiErr<ASK>> {
        let VerifyIn { credential, scopes, ip, cost } = body.0;
        let scopes = scopes.unwrap_or_default();
        let (ip, cost) = verify::bounds(&scopes, ip.as_deref(), cost)?;
        let question = Question { credential: credential.expose(), scopes: &scopes, ip, cost };
        let verdict = verify::answer(&app, &ctx.ctx, &question).await?;
        Ok(Reply(VerdictOut::of(&verdict, app.clock.now())))
    }

    /// Introspect a token
    ///
    /// The same in the form of RFC 7662, for resource servers off the shelf: a form with `token`, sent with the caller's own
    /// bearer credential. Takes no unit of the token's account, but one of the caller's.
    #[oai(path = "/introspect", method = "post", operation_id = "introspect_token")]
    async fn introspect(&self, app: Data<&Arc<App>>, ctx: Scoped<VerifyScope>, body: Form<IntrospectIn>) -> Result<Reply<IntrospectionOut>, ApiErr<ASK>> {
        let question = Question { credential: body.0.token.expose(), scopes: &[], ip: None, cost: 0 };
        let verdict = verify::answer(&app, &ctx.ctx, &question).await?;
        Ok(Reply(IntrospectionOut::of(verdict, |realm| app.issuer(realm))))
    }
}

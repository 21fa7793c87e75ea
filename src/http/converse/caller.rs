//! Who calls: the person whose token stands in `X-CONVERSE-TOKEN`, in the account that `X-CONVERSE-SPACE` picks.

use poem::{Request, RequestBody};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    registry::{MetaSecurityScheme, Registry},
};

use crate::{
    domain::{Error, Result, held_token::TokenKind, id::AccountId},
    http::{
        context::{self, Carrier},
        failure::Failure,
    },
    service::Ctx,
};

const SPACE: &str = "x-converse-space";
const SCHEME: &str = "userToken";

/// A person with a good user token.
pub(super) struct Caller(pub(super) Ctx);

async fn caller(req: &Request) -> Result<Ctx> {
    context::holder(req, TokenKind::User, context::shown_by(req, Carrier::ConverseToken), space(req)).await
}

fn space(req: &Request) -> Result<Option<AccountId>> {
    let Some(value) = req.headers().get(SPACE) else { return Ok(None) };
    // What is no id is no account of theirs either.
    value.to_str().ok().and_then(|text| text.parse().ok()).map(Some).ok_or(Error::NotPermitted)
}

impl<'a> ApiExtractor<'a> for Caller {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        registry.create_security_scheme(
            SCHEME,
            MetaSecurityScheme {
                ty: "apiKey",
                description: Some("A user token: `X-CONVERSE-TOKEN: 00000000-0000-0000-0000-000000000000`."),
                name: Some("X-CONVERSE-TOKEN"),
                key_in: Some("header"),
                scheme: None,
                bearer_format: None,
                flows: None,
                openid_connect_url: None,
            },
        );
    }

    fn security_schemes() -> Vec<&'static str> {
        vec![SCHEME]
    }

    async fn from_request(req: &'a Request, _: &mut RequestBody, _: ExtractParamOptions<Self::ParamType>) -> poem::Result<Self> {
        caller(req).await.map(Self).map_err(|error| Failure::from(error).into())
    }
}

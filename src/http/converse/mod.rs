//! The Converse dialect below `/api/user`: a password makes a token, and the token is the credential.
//!
//! The shapes are those of `https://get.converse.ai/docs/user-authentication`. Where that page is silent: bodies of errors
//! are `{"errorCode","errorMsg"}`, everything that is wrong with a request is 400, whatever is wrong with a person 403.

mod caller;
mod fault;
mod user;
mod wire;

use poem_openapi::{LicenseObject, OpenApi, OpenApiService, Tags};

pub(super) use fault::render;

/// Where the dialect is mounted.
pub(super) const BASE: &str = "/api/user";

/// Groups of operations in the documentation.
#[derive(Tags)]
enum Group {
    /// People and their tokens.
    Users,
}

/// Every operation of the dialect.
pub(super) fn operations() -> impl OpenApi {
    user::UserApi
}

/// The dialect as a poem service with its OpenAPI document.
pub(super) fn api() -> OpenApiService<impl OpenApi, ()> {
    OpenApiService::new(operations(), "Realmgate, Converse dialect", env!("CARGO_PKG_VERSION"))
        .summary("User authentication for clients of the Converse API")
        .description(include_str!("intro.md"))
        .license(LicenseObject::new(env!("CARGO_PKG_LICENSE")).identifier(env!("CARGO_PKG_LICENSE")))
        .url_prefix(BASE)
}

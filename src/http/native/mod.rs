//! The native dialect: JSON in camelCase below `/api/v1`, problems as RFC 9457.
//!
//! Each file is one resource. A handler has three steps: decode, one service call, encode.

mod account_wire;
mod accounts;
mod api_keys;
mod auth;
mod examples;
mod factor_examples;
mod factor_wire;
mod factors;
mod joining;
mod key_wire;
mod life;
mod life_wire;
mod limit_wire;
mod limits;
mod me;
mod member_wire;
mod members;
mod mfa;
mod usage;
mod usage_wire;
mod verify;
mod verify_wire;
mod wire;

use poem_openapi::{LicenseObject, OpenApi, OpenApiService, Tags};

use crate::service::{Ctx, export::Export};

/// Where the dialect is mounted.
pub(super) const BASE: &str = "/api/v1";

/// Groups of operations in the documentation.
#[derive(Tags)]
enum Group {
    /// Sign up, prove the address, sign in, stay in, get back in.
    Authentication,
    /// The signed-in person: profile, password, sessions.
    Me,
    /// Second factors, passkeys, and fresh proofs of who calls.
    Factors,
    /// Customer organisations and who belongs to them.
    Accounts,
    /// Credentials of an account for programs.
    ApiKeys,
    /// What a credential is worth, for services that are shown one.
    Verification,
    /// What accounts may use.
    Plans,
}

/// Every operation of the dialect.
pub(super) fn operations() -> impl OpenApi {
    (
        auth::AuthApi,
        me::MeApi,
        mfa::MfaApi,
        factors::FactorsApi,
        life::LifeApi,
        accounts::AccountsApi,
        members::MembersApi,
        joining::JoiningApi,
        api_keys::ApiKeysApi,
        usage::UsageApi,
        verify::VerifyApi,
        limits::LimitsApi,
    )
}

/// A person's export as one document.
pub(super) fn export_document(ctx: &Ctx, export: Export) -> String {
    serde_json::to_string_pretty(&life_wire::ExportOut::of(ctx, export)).unwrap_or_default()
}

/// The dialect as a poem service with its OpenAPI document.
pub(super) fn api() -> OpenApiService<impl OpenApi, ()> {
    OpenApiService::new(operations(), "Realmgate", env!("CARGO_PKG_VERSION"))
        .summary("Identity for multi-tenant SaaS")
        .description(include_str!("intro.md"))
        .license(LicenseObject::new(env!("CARGO_PKG_LICENSE")).identifier(env!("CARGO_PKG_LICENSE")))
        .url_prefix(BASE)
}

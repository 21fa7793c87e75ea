//! `/docs`: the reader of the OpenAPI file, with assets of our own; it works without a network.

use std::sync::OnceLock;

use bytes::Bytes;
use poem::{Endpoint, Response, endpoint::make_sync, get, http::header};
use poem_openapi::{OpenApi, OpenApiService};

use super::{native, spec};

/// Scripts and styles stand in the page, and it may call the API it shows.
const CSP: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; \
                   base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page, put together when somebody first asks for it.
pub(super) fn page() -> impl Endpoint {
    let html: OnceLock<Bytes> = OnceLock::new();
    get(make_sync(move |_| {
        Response::builder()
            .content_type("text/html; charset=utf-8")
            .header(header::CONTENT_SECURITY_POLICY, CSP)
            .header(header::X_FRAME_OPTIONS, "DENY")
            .header(header::CACHE_CONTROL, "no-cache")
            .body(html.get_or_init(|| html_of(&native::api()).into()).clone())
    }))
}

fn html_of(service: &OpenApiService<impl OpenApi, ()>) -> String {
    let raw = service.spec();
    // `</` would end the script that the document stands in.
    let safe = spec::v3_1(&raw).replace("</", "<\\/");
    service.swagger_ui_html().replace(&raw, &safe).replace("<title>Swagger UI</title>", "<title>Realmgate API</title>")
}

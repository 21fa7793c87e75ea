//! `/docs`: the reader of the OpenAPI file, with assets of our own; it works without a network.

use poem::{Endpoint, Response, endpoint::make_sync, get, http::header};

use super::native;

/// Scripts and styles stand in the page, and it may call the API it shows.
const CSP: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; \
                   base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page for a document.
pub(super) fn page(document: &str) -> impl Endpoint + use<> {
    let service = native::api();
    // `</` would end the script that the document stands in.
    let safe = document.replace("</", "<\\/");
    let html = service.swagger_ui_html().replace(&service.spec(), &safe).replace("<title>Swagger UI</title>", "<title>Realmgate API</title>");
    let html = bytes::Bytes::from(html);
    get(make_sync(move |_| {
        Response::builder()
            .content_type("text/html; charset=utf-8")
            .header(header::CONTENT_SECURITY_POLICY, CSP)
            .header(header::X_FRAME_OPTIONS, "DENY")
            .header(header::CACHE_CONTROL, "no-cache")
            .body(html.clone())
    }))
}

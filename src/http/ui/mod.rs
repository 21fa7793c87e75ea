//! Pages for people who follow a mailed link: plain HTML forms over the same services that the API uses.
//!
//! A GET shows a form and consumes nothing, so that link scanners do no harm; only the POST acts. No JavaScript, no
//! outside assets. Every form carries a token that belongs to a cookie of the same browser, see [`csrf`].

pub(crate) mod csrf;
mod pages;
pub(crate) mod view;

use std::sync::Arc;

use poem::{IntoResponse, Response, Route, http::header};

pub(super) use pages::routes;

/// The page templates, built once.
pub(super) type SharedViews = Arc<view::Views>;

/// Pages may style themselves and post to themselves, nothing else.
const PAGE_CSP: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
/// The mailbox shows mails in sandboxed frames, whose styles stand in the mail.
const MAILBOX_CSP: &str =
    "default-src 'none'; style-src 'self' 'unsafe-inline'; img-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// A page as a response. Never stored: pages carry tokens.
pub(super) fn page(html: String) -> Response {
    with_csp(html, PAGE_CSP)
}

/// The mailbox page as a response.
pub(super) fn mailbox_page(html: String) -> Response {
    with_csp(html, MAILBOX_CSP)
}

fn with_csp(html: String, csp: &'static str) -> Response {
    Response::builder()
        .content_type("text/html; charset=utf-8")
        .header(header::CONTENT_SECURITY_POLICY, csp)
        .header(header::CACHE_CONTROL, "no-store")
        .body(html)
        .into_response()
}

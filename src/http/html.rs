//! HTML replies, for every adapter that shows pages.

use std::sync::Arc;

use poem::{
    Response,
    http::{StatusCode, header},
};

use super::failure::Failure;
use super::view::{MAILBOX_POLICY, NoticePage, PAGE_POLICY, Page, Tone, Views};

/// The page templates, compiled once.
pub(super) type SharedViews = Arc<Views>;

/// A page as a response. Never stored: pages carry tokens.
pub(super) fn page(html: String) -> Response {
    with_policy(html, PAGE_POLICY)
}

/// The mailbox page as a response.
pub(super) fn mailbox_page(html: String) -> Response {
    with_policy(html, MAILBOX_POLICY)
}

/// A failure as a page.
pub(super) fn failure_page(views: &Views, failure: &Failure) -> Response {
    let title = match failure.status {
        StatusCode::NOT_FOUND => "There is no such page",
        StatusCode::SERVICE_UNAVAILABLE => "One moment, please",
        _ => "That did not work",
    };
    let notice = NoticePage { realm: None, title: title.to_owned(), text: failure.detail.clone(), tone: Tone::Bad, link: None };
    let mut reply = page(notice.render(views));
    reply.set_status(failure.status);
    failure.put_headers(&mut reply);
    reply
}

fn with_policy(html: String, policy: &'static str) -> Response {
    Response::builder()
        .content_type("text/html; charset=utf-8")
        .header(header::CONTENT_SECURITY_POLICY, policy)
        .header(header::CACHE_CONTROL, "no-store")
        .body(html)
}

//! Pages for people who follow a mailed link: plain HTML forms over the same services that the API uses.
//!
//! A GET shows a form and consumes nothing, so that link scanners do no harm; only the POST acts. No JavaScript, no
//! outside assets. Every form carries a token that belongs to a cookie of the same browser, see [`csrf`].

mod csrf;
mod pages;
pub(crate) mod view;

use std::sync::Arc;

use poem::{
    Response,
    http::{StatusCode, header},
};

pub(super) use pages::routes;
use view::{MAILBOX_POLICY, NoticePage, PAGE_POLICY, Page, Tone, Views};

use super::failure::Failure;

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

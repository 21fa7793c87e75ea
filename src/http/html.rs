//! HTML replies, for every adapter that shows pages.

use std::sync::Arc;

use poem::{Response, http::header};

use super::failure::Failure;
use super::view::{MAILBOX_POLICY, MailboxPage, NoticePage, PAGE_POLICY, Page, SCRIPT_POLICY, Tone, Views};
use crate::domain::language::Language;

/// The page templates, compiled once.
pub(super) type SharedViews = Arc<Views>;

/// A page as a response. Never stored: pages carry tokens.
pub(super) fn shown_in(views: &Views, language: Language, page: &impl Page) -> Response {
    with_policy(page.render(views.speak(language)), policy(page))
}

fn policy(page: &impl Page) -> &'static str {
    if page.has_script() { SCRIPT_POLICY } else { PAGE_POLICY }
}

/// The same for a page whose form leads on to `source`, a foreign place: browsers that hold a form's redirects to the
/// policy must find it there.
pub(super) fn leading_to(views: &Views, language: Language, page: &impl Page, source: Option<&str>) -> Response {
    let policy = policy(page);
    let policy = source.map_or_else(|| policy.to_owned(), |source| policy.replace("form-action 'self'", &format!("form-action 'self' {source}")));
    with_policy(page.render(views.speak(language)), &policy)
}

/// The mailbox page as a response.
pub(super) fn mailbox_page(views: &Views, language: Language, page: &MailboxPage) -> Response {
    with_policy(page.render(views.speak(language)), MAILBOX_POLICY)
}

/// A failure as a page. Its realm may not be known, so that the browser alone chooses the language.
pub(super) fn failure_page(views: &Views, language: Language, failure: &Failure) -> Response {
    let own = format!("page.failure.{}", failure.code);
    let says = if views.speak(language).has(&format!("{own}.title")) { own } else { "page.failure.other".to_owned() };
    let notice = NoticePage { realm: None, says, tone: Tone::Bad, link: None };
    let mut reply = shown_in(views, language, &notice);
    reply.set_status(failure.status);
    failure.put_headers(&mut reply);
    reply
}

fn with_policy(html: String, policy: &str) -> Response {
    Response::builder()
        .content_type("text/html; charset=utf-8")
        .header(header::CONTENT_SECURITY_POLICY, policy)
        // The policy says it already; browsers that don't know policies know this.
        .header(header::X_FRAME_OPTIONS, "DENY")
        .header(header::CACHE_CONTROL, "no-store")
        .body(html)
}

//! Pages for people: plain HTML forms over the same services that the API uses.
//!
//! A GET shows a form and consumes nothing, so that link scanners do no harm; only the POST acts. No JavaScript, no
//! outside assets. Every form carries a token that belongs to a cookie of the same browser, see [`csrf`]; a sign-in here begins a
//! session that a cookie carries. [`visit::Visit`] is what the handlers have in common.

mod account;
mod change_email;
mod cookies;
mod csrf;
mod erase;
mod flow;
mod guest;
mod invitation;
mod members;
mod pages;
mod sign_in;
mod sign_up;
mod visit;

use poem::Route;

/// Adds all pages.
pub(super) fn routes(route: Route) -> Route {
    members::routes(erase::routes(account::routes(change_email::routes(invitation::routes(sign_up::routes(sign_in::routes(pages::routes(route))))))))
}

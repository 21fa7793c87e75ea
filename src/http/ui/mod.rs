//! Pages for people: plain HTML forms over the same services that the API uses.
//!
//! A GET shows a form and consumes nothing, so that link scanners do no harm; only the POST acts. No outside assets, and no
//! JavaScript but for passkeys, which a browser offers to nothing else: one file of ours on the few pages that ask for one.
//! Every form carries a token that belongs to a cookie of the same browser, see [`csrf`]; a sign-in here begins a session that a
//! cookie carries. [`visit::Visit`] is what the handlers have in common.

mod account;
mod change_email;
mod cookies;
mod csrf;
mod erase;
mod factors;
mod flow;
mod guest;
mod invitation;
mod members;
mod pages;
mod second_half;
mod sign_in;
mod sign_up;
mod step_up;
mod visit;

use poem::Route;

/// Adds all pages.
pub(super) fn routes(route: Route) -> Route {
    let route = erase::routes(account::routes(change_email::routes(invitation::routes(sign_up::routes(sign_in::routes(pages::routes(route)))))));
    members::routes(step_up::routes(second_half::routes(factors::routes(route))))
}

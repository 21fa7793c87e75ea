//! Pages for people who follow a mailed link: plain HTML forms over the same services that the API uses.
//!
//! A GET shows a form and consumes nothing, so that link scanners do no harm; only the POST acts. No JavaScript, no
//! outside assets. Every form carries a token that belongs to a cookie of the same browser, see [`csrf`].

mod csrf;
mod device;
mod pages;

pub(super) use pages::routes;

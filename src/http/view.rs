//! What the pages look like: one struct a page with exactly what its template shows, rendered to a whole HTML document.
//!
//! Neighbours are `templates/ui/` and nothing else: no requests, no services, no realm rows. Pages work without
//! scripts, load one stylesheet of our own and nothing from elsewhere; [`PAGE_POLICY`] lets a browser hold them to it.

use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, context};

use crate::domain::{Error, Result};

mod mailbox;
mod pages;

pub(crate) use mailbox::{MailboxItem, MailboxPage};
pub(crate) use pages::{
    ForgotPasswordPage, NoticePage, ResetPasswordDonePage, ResetPasswordPage, SetupPage, Tone, VerifyEmailDonePage, VerifyEmailFailedPage, VerifyEmailPage,
};

/// The stylesheet of all pages, for `GET /ui/style.css`. Its address changes with its content, so that it may be cached for
/// ever: `Cache-Control: public, max-age=31536000, immutable`.
pub(crate) const STYLESHEET: &str = include_str!("../../templates/ui/style.css");

/// `Content-Security-Policy` of every page but the mailbox.
pub(crate) const PAGE_POLICY: &str = "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// `Content-Security-Policy` of the development mailbox: mails carry their style inline, and the frame that shows one
/// inherits the page's policy.
pub(crate) const MAILBOX_POLICY: &str =
    "default-src 'none'; style-src 'self' 'unsafe-inline'; img-src data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// What is sent should a template fail, which the tests of this file rule out.
const BROKEN: &str = "<!doctype html><html lang=\"en\"><title>Something went wrong</title><h1>Something went wrong</h1><p>Please try again later.</p></html>";

const TEMPLATES: [(&str, &str); 7] = [
    ("layout.html", include_str!("../../templates/ui/layout.html")),
    ("parts.html", include_str!("../../templates/ui/parts.html")),
    ("verify_email.html", include_str!("../../templates/ui/verify_email.html")),
    ("reset_password.html", include_str!("../../templates/ui/reset_password.html")),
    ("setup.html", include_str!("../../templates/ui/setup.html")),
    ("message.html", include_str!("../../templates/ui/message.html")),
    ("mailbox.html", include_str!("../../templates/ui/mailbox.html")),
];

/// The compiled page templates; made once, shared by all.
#[derive(Debug)]
pub(crate) struct Views {
    environment: Environment<'static>,
    base: String,
}

impl Views {
    /// Compiles the embedded templates. `base` is the path under which the public address serves us: empty, or such as
    /// `/id`; links and forms begin with it.
    ///
    /// # Errors
    /// [`Error::Internal`] if a template is malformed, which the tests of this file rule out.
    pub(crate) fn new(base: &str) -> Result<Self> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        for (name, source) in TEMPLATES {
            environment.add_template(name, source).map_err(Error::internal)?;
        }
        Ok(Self { environment, base: base.trim_end_matches('/').to_owned() })
    }

    /// The address of [`STYLESHEET`], with a mark of its content.
    #[must_use]
    pub(crate) fn style_href(&self) -> String {
        format!("{}/ui/style.css?v={STYLE_MARK:08x}", self.base)
    }

    fn render(&self, template: &str, values: Value) -> Result<String> {
        let values = context! { base => self.base.as_str(), style_href => self.style_href(), ..values };
        self.environment.get_template(template).and_then(|template| template.render(values)).map_err(Error::internal)
    }
}

/// FNV-1a of the stylesheet: tells versions apart, and is no secret.
const STYLE_MARK: u32 = {
    let (bytes, mut hash, mut at) = (STYLESHEET.as_bytes(), 0x811c_9dc5_u32, 0);
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u32).wrapping_mul(0x0100_0193);
        at += 1;
    }
    hash
};

/// A page that knows its template and its values.
pub(crate) trait Page {
    /// The template's file name.
    const TEMPLATE: &'static str;

    /// What the template sees.
    fn values(&self, views: &Views) -> Value;

    /// The whole HTML document.
    #[must_use]
    fn render(&self, views: &Views) -> String {
        views.render(Self::TEMPLATE, self.values(views)).unwrap_or_else(|_| BROKEN.to_owned())
    }
}

/// A way on, shown as a button.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    /// What the button says.
    pub(crate) label: String,
    /// Where it leads: an `http(s)` address or a path of ours; a link to anything else is not shown.
    pub(crate) href: String,
}

fn shown(link: Option<&Link>) -> Option<Value> {
    let link = link.filter(|link| ["https://", "http://", "/"].iter().any(|start| link.href.starts_with(start)))?;
    Some(context! { label => link.label.as_str(), href => link.href.as_str() })
}

#[cfg(test)]
mod tests;

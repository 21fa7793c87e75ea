//! The development mailbox: a list of mails and, beside it, one of them as its reader would see it.
//!
//! The HTML part is shut in a sandboxed frame: it may open links in new tabs and nothing else. Where mails are kept and
//! who may look is not known here.

use chrono::{DateTime, Utc};
use minijinja::{Value, context};
use url::form_urlencoded;

use super::{Page, View};

/// A mail in the development mailbox.
#[derive(Clone, Debug)]
pub(crate) struct MailboxItem {
    pub(crate) id: String,
    pub(crate) to: String,
    pub(crate) subject: String,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) text: String,
    pub(crate) html: String,
}

/// `GET /dev/mailbox?to=&id=`: the mails to `to` (to anybody, if empty), newest first, and the one that is open. Needs
/// [`MAILBOX_POLICY`](super::MAILBOX_POLICY).
#[derive(Clone, Debug)]
pub(crate) struct MailboxPage {
    /// What was searched for.
    pub(crate) to: String,
    /// In the order to show.
    pub(crate) items: Vec<MailboxItem>,
    /// Id of the mail to show whole; one that is not among `items` shows none.
    pub(crate) open: Option<String>,
}

impl Page for MailboxPage {
    const TEMPLATE: &'static str = "mailbox.html";

    fn values(&self, view: &View) -> Value {
        let href = |id: Option<&str>| {
            let mut query = form_urlencoded::Serializer::new(String::new());
            if !self.to.is_empty() {
                query.append_pair("to", &self.to);
            }
            id.map(|id| query.append_pair("id", id));
            format!("{}/dev/mailbox?{}", view.base, query.finish())
        };
        let is_open = |item: &MailboxItem| self.open.as_deref() == Some(item.id.as_str());
        let line = |item: &MailboxItem| {
            context! {
                href => href(Some(&item.id)),
                to => item.to.as_str(),
                subject => item.subject.as_str(),
                created_at => shown_time(item.created_at),
                open => is_open(item),
            }
        };
        let open = self.items.iter().find(|item| is_open(item)).map(|item| {
            context! {
                to => item.to.as_str(),
                subject => item.subject.as_str(),
                created_at => shown_time(item.created_at),
                // The frame is shut in: without a target of their own, its links would lead nowhere.
                html => item.html.replacen("<head>", "<head><base target=\"_blank\">", 1),
                lines => item.text.lines().map(|line| context! { text => line, link => is_link(line) }).collect::<Vec<_>>(),
            }
        });
        context! { realm => None::<&str>, to => self.to.as_str(), items => self.items.iter().map(line).collect::<Vec<_>>(), open, back_href => href(None) }
    }
}

fn shown_time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// Only a line that is nothing but an address is a link: ours stand alone, and what people typed never does.
fn is_link(line: &str) -> bool {
    (line.starts_with("https://") || line.starts_with("http://")) && !line.contains(char::is_whitespace)
}

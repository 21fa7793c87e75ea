//! `/dev/…`, in profile `dev` alone: the built-in mailbox as a page and as JSON. In production these paths do not exist.

use std::sync::Arc;

use poem::{
    IntoResponse, Request, Response, Result, Route, get, handler,
    web::{Data, Query},
};
use serde::{Deserialize, Serialize};

use super::{
    client,
    failure::Failure,
    html::{self, SharedViews},
    payload::Instant,
    route,
    view::{MailboxItem, MailboxPage},
};
use crate::{app::App, service::mailer};

/// The routes of this file.
pub(super) fn routes(route: Route) -> Route {
    route.at("/dev/mailbox", route::named("/dev/mailbox", get(page))).at("/dev/mailbox/messages", route::named("/dev/mailbox/messages", get(messages)))
}

#[derive(Deserialize)]
struct Filter {
    /// Only mails to this address.
    to: Option<String>,
    /// The mail to show whole.
    id: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MailOut {
    id: String,
    to: String,
    subject: String,
    text: String,
    html: String,
    created_at: Instant,
}

/// The mails, newest first, for people.
#[handler]
async fn page(req: &Request, app: Data<&Arc<App>>, views: Data<&SharedViews>, filter: Query<Filter>) -> Result<Response> {
    let mails = mailer::mailbox(&app, filter.to.as_deref()).await.map_err(Failure::from)?;
    let items = mails
        .into_iter()
        .map(|mail| MailboxItem {
            id: mail.id.to_string(),
            to: mail.recipient,
            subject: mail.subject,
            created_at: mail.created_at,
            text: mail.text,
            html: mail.html,
        })
        .collect();
    let page = MailboxPage { to: filter.0.to.unwrap_or_default(), items, open: filter.0.id };
    Ok(html::mailbox_page(&views, client::language(req.headers()).unwrap_or_default(), &page))
}

/// The mails, newest first, for programs.
#[handler]
async fn messages(app: Data<&Arc<App>>, filter: Query<Filter>) -> Result<Response> {
    let mails = mailer::mailbox(&app, filter.to.as_deref()).await.map_err(Failure::from)?;
    let items: Vec<_> = mails
        .into_iter()
        .map(|mail| MailOut {
            id: mail.id.to_string(),
            to: mail.recipient,
            subject: mail.subject,
            text: mail.text,
            html: mail.html,
            created_at: Instant(mail.created_at),
        })
        .collect();
    Ok(poem::web::Json(serde_json::json!({ "items": items })).into_response())
}

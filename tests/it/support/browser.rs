//! A browser at our pages: follows links, keeps the form cookie, reads the fields of a form and posts them as a page
//! of ours does.

use std::fmt::Write as _;

use realmgate::service::installation;
use serde_json::json;

use super::{Client, PASSWORD, Reply, TestApp};

/// A page with its form.
#[derive(Clone)]
pub struct Form {
    /// `name=value` of the cookie.
    pub cookie: String,
    pub csrf: String,
    /// The token that a link brought, empty if the form has none.
    pub token: String,
}

impl Form {
    /// Reads the form of a page; the cookie is the page's own or the one that the browser had.
    pub fn of(page: &Reply, cookie: &str) -> Self {
        let set = page.header("set-cookie");
        let cookie = if set.is_empty() { cookie } else { set.split(';').next().unwrap_or_default() };
        let html = page.text();
        Self { cookie: cookie.to_owned(), csrf: hidden(&html, "csrf").expect("a form with a csrf field"), token: hidden(&html, "token").unwrap_or_default() }
    }

    /// Posts it with further fields, from our own page.
    pub async fn send(&self, client: &Client<'_>, path: &str, fields: &[(&str, &str)]) -> Reply {
        let mut all = vec![("csrf", self.csrf.as_str()), ("token", self.token.as_str())];
        all.extend(fields);
        self.own(client).form(path, &all).await
    }

    /// The same, and on to the page that the reply leads to, as a browser goes.
    pub async fn post(&self, client: &Client<'_>, path: &str, fields: &[(&str, &str)]) -> Reply {
        followed(&self.own(client), self.send(client, path, fields).await).await
    }

    /// The client with what a browser sends along from a page of ours.
    pub fn own<'a>(&self, client: &Client<'a>) -> Client<'a> {
        client.clone().header("cookie", &self.cookie).header("origin", "http://127.0.0.1:8080").header("sec-fetch-site", "same-origin")
    }
}

/// The page that a redirect leads to, asked for with the cookies that it set; any other reply as it is.
pub async fn followed(client: &Client<'_>, reply: Reply) -> Reply {
    if reply.status != 303 {
        return reply;
    }
    let set = reply.headers.get_all("set-cookie").iter().map(|value| value.to_str().expect("text").split(';').next().unwrap_or_default());
    let cookies = set.collect::<Vec<_>>().join("; ");
    client.clone().without("origin").header("cookie", &cookies).get(&reply.header("location")).await
}

/// Opens a page and reads its form.
pub async fn open(client: &Client<'_>, path: &str) -> Form {
    Form::of(&client.get(path).await.assert(200), "")
}

/// The path and query of a link of ours.
pub fn path_of(link: &str) -> String {
    let url = url::Url::parse(link).expect("a link");
    url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()))
}

/// Percent-encodes every byte, so that a query carries any text.
pub fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut all, byte| {
        write!(all, "%{byte:02X}").expect("a String takes everything");
        all
    })
}

fn hidden(html: &str, name: &str) -> Option<String> {
    let (_, rest) = html.split_once(&format!("name=\"{name}\" value=\""))?;
    rest.split('"').next().map(str::to_owned)
}

/// A reply that is a page.
#[track_caller]
pub fn assert_page(reply: Reply, status: u16, text: &str) -> Reply {
    let reply = reply.assert(status);
    assert_eq!(reply.header("content-type"), "text/html; charset=utf-8");
    assert!(reply.text().contains(text), "{}", reply.text());
    reply
}

/// Signs up and answers the path of the mailed link.
pub async fn signed_up(app: &TestApp, realm: &str, email: &str) -> String {
    app.anonymous().realm(realm).sign_up(email, PASSWORD).await.assert(202);
    app.run_jobs().await;
    path_of(&app.last_mail(email).await.link())
}

/// Asks for a reset and answers the path of the mailed link.
pub async fn reset_link(app: &TestApp, realm: &str, email: &str) -> String {
    app.anonymous().realm(realm).post("/api/v1/auth/password/forgot", &json!({ "email": email })).await.assert(202);
    app.run_jobs().await;
    path_of(&app.last_mail(email).await.link())
}

/// The path of the set-up link.
pub async fn setup_path(app: &TestApp) -> String {
    path_of(&installation::setup_link(app.app()).await.expect("a look-up").expect("a link"))
}

//! A browser's tab that remembers: cookies of every reply, and the form token of the page that it shows.

use std::collections::BTreeMap;

use super::{Client, Reply};

/// One tab of one browser.
#[derive(Clone)]
pub struct Tab<'a> {
    pub client: Client<'a>,
    pub cookies: BTreeMap<String, String>,
    /// The token of the form on the page that it shows.
    pub csrf: String,
}

impl<'a> Tab<'a> {
    pub fn new(client: Client<'a>) -> Self {
        Self { client, cookies: BTreeMap::new(), csrf: String::new() }
    }

    fn with_cookies(&self) -> Client<'a> {
        let all: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        self.client.clone().header("cookie", &all.join("; "))
    }

    /// What a browser sends along from a page of ours: under `no-referrer` the origin is `null`.
    pub fn own(&self) -> Client<'a> {
        self.with_cookies().header("origin", "null").header("sec-fetch-site", "same-origin")
    }

    fn seen(&mut self, reply: Reply) -> Reply {
        for set in reply.headers.get_all("set-cookie") {
            let (pair, attributes) = set.to_str().expect("text").split_once("; ").expect("attributes");
            let (name, value) = pair.split_once('=').expect("a pair");
            if attributes.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        if let Some((_, rest)) = reply.text().split_once("name=\"csrf\" value=\"") {
            self.csrf = rest.split('"').next().unwrap_or_default().to_owned();
        }
        reply
    }

    /// Opens a page.
    pub async fn get(&mut self, path: &str) -> Reply {
        let reply = self.with_cookies().get(path).await;
        self.seen(reply)
    }

    /// Posts the form that it shows.
    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let csrf = self.csrf.clone();
        let all: Vec<_> = [("csrf", csrf.as_str())].into_iter().chain(fields.iter().copied()).collect();
        let reply = self.own().form(path, &all).await;
        self.seen(reply)
    }

    /// Posts and follows the redirect to `to`.
    #[track_caller]
    pub fn follow(&mut self, reply: &Reply, to: &str) -> impl Future<Output = Reply> {
        assert_eq!((reply.status.as_u16(), reply.header("location").as_str()), (303, to), "{}", reply.text());
        let to = to.to_owned();
        async move { self.get(&to).await }
    }

    /// Signs in at the root realm.
    pub async fn sign_in(&mut self, email: &str, password: &str) -> Reply {
        self.get("/ui/sign-in").await.assert(200);
        self.post("/ui/sign-in", &[("email", email), ("password", password)]).await
    }

    /// The session cookie's value, if it has one.
    pub fn session(&self) -> Option<&str> {
        self.cookies.iter().find(|(name, _)| name.ends_with("realmgate_session")).map(|(_, value)| value.as_str())
    }
}

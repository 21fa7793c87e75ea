//! Requests to a node in the test's process, and what comes back.

use poem::{
    Endpoint as _,
    http::{HeaderMap, Method, StatusCode},
};
use serde_json::{Value, json};

use super::Node;

/// Somebody who calls: a realm to name, a token to show, headers to send.
#[derive(Clone)]
pub struct Client<'a> {
    node: &'a Node,
    headers: Vec<(String, String)>,
}

/// A signed-in person.
#[derive(Clone, Debug)]
pub struct User {
    pub id: String,
    pub session: String,
    pub access: String,
    pub refresh: String,
}

impl<'a> Client<'a> {
    pub(super) fn new(node: &'a Node) -> Self {
        Self { node, headers: vec![("host".to_owned(), "127.0.0.1:8080".to_owned())] }
    }

    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Leaves a header out.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self
    }

    /// One more header of the same name.
    #[must_use]
    pub fn also(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Names a realm.
    #[must_use]
    pub fn realm(self, name: &str) -> Self {
        self.header("x-realm", name)
    }

    /// Shows a bearer token.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// Any request.
    pub async fn send(&self, method: Method, path: &str, content_type: Option<&str>, body: impl Into<Vec<u8>>) -> Reply {
        let mut request = poem::Request::builder().method(method).uri(path.parse().expect("a path"));
        for (name, value) in &self.headers {
            request = request.header(name.as_str(), value.as_str());
        }
        if let Some(content_type) = content_type {
            request = request.content_type(content_type);
        }
        let body = body.into();
        let request = request.header("content-length", body.len()).body(body);
        let reply = self.node.endpoint.get_response(request).await;
        let (parts, body) = reply.into_parts();
        let body = body.into_bytes().await.expect("a body").to_vec();
        Reply { status: parts.status, headers: parts.headers, body }
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, None, "").await
    }

    pub async fn delete(&self, path: &str) -> Reply {
        self.send(Method::DELETE, path, None, "").await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send(Method::POST, path, Some("application/json"), body.to_string()).await
    }

    /// The same with a body of one's own, for closures.
    pub async fn post_owned(self, path: &str, body: Value) -> Reply {
        self.post(path, &body).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Reply {
        self.send(Method::PUT, path, Some("application/json"), body.to_string()).await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Reply {
        self.send(Method::PATCH, path, Some("application/json"), body.to_string()).await
    }

    /// A form, as a browser posts it.
    pub async fn form(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.send(Method::POST, path, Some("application/x-www-form-urlencoded"), body).await
    }

    pub async fn sign_up(&self, email: &str, password: &str) -> Reply {
        self.post("/api/v1/auth/signup", &json!({ "name": "Test Person", "email": email, "password": password })).await
    }

    pub async fn log_in(&self, email: &str, password: &str) -> Reply {
        self.post("/api/v1/auth/login", &json!({ "email": email, "password": password })).await
    }

    pub async fn refresh(&self, token: &str) -> Reply {
        self.post("/api/v1/auth/refresh", &json!({ "refreshToken": token })).await
    }
}

/// What came back.
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {} {}", self.status, self.text()))
    }

    /// A member by its pointer, `/tokens/accessToken`, as text.
    pub fn at(&self, pointer: &str) -> String {
        let json = self.json();
        let value = json.pointer(pointer).unwrap_or_else(|| panic!("no {pointer} in {json}"));
        value.as_str().map_or_else(|| value.to_string(), str::to_owned)
    }

    /// A header as text, empty if absent.
    pub fn header(&self, name: &str) -> String {
        self.headers.get(name).map(|value| value.to_str().expect("text").to_owned()).unwrap_or_default()
    }

    #[track_caller]
    pub fn assert(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        self
    }

    /// Status and `code` of a problem.
    #[track_caller]
    pub fn assert_problem(self, status: u16, code: &str) -> Self {
        let reply = self.assert(status);
        assert_eq!(reply.header("content-type"), "application/problem+json");
        assert_eq!(reply.at("/code"), code, "{}", reply.text());
        reply
    }

    /// Fields and codes of a problem's errors, `email:invalid_email`.
    pub fn faults(&self) -> Vec<String> {
        let json = self.json();
        let errors = json["errors"].as_array().cloned().unwrap_or_default();
        errors.iter().map(|error| format!("{}:{}", error["field"].as_str().unwrap_or_default(), error["code"].as_str().unwrap_or_default())).collect()
    }

    /// A log-in's reply as a person.
    #[track_caller]
    pub fn user(self, realm: &str, email: &str) -> User {
        let reply = self.assert(200);
        assert_eq!(reply.at("/user/email"), email, "a login at {realm}");
        User { id: reply.at("/user/id"), session: reply.at("/session/id"), access: reply.at("/tokens/accessToken"), refresh: reply.at("/tokens/refreshToken") }
    }
}

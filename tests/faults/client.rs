//! One request at a time, with everything that may come of it: an answer, or none.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::secrets;

/// What came back, and after how long.
pub struct Answer {
    /// 0 if there was no whole answer.
    pub status: u16,
    pub body: Value,
    pub text: String,
    pub retry_after: Option<u64>,
    pub took: Duration,
}

#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    pub url: String,
}

impl Client {
    pub fn new(url: &str) -> Self {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(20)).build().expect("a client");
        Self { http, url: url.to_owned() }
    }

    async fn send(&self, method: reqwest::Method, path: &str, bearer: &str, body: Option<&Value>) -> Answer {
        secrets::sent(bearer, body);
        let started = Instant::now();
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        if let Some(body) = body {
            request = request.json(body);
        }
        if !bearer.is_empty() {
            request = request.bearer_auth(bearer);
        }
        let mut answer = Answer { status: 0, body: Value::Null, text: String::new(), retry_after: None, took: Duration::ZERO };
        if let Ok(reply) = request.send().await {
            let status = reply.status().as_u16();
            answer.retry_after = reply.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
            if let Ok(text) = reply.text().await {
                (answer.status, answer.body) = (status, serde_json::from_str(&text).unwrap_or(Value::Null));
                secrets::answered(status, &answer.body, &text);
                answer.text = text;
            }
        }
        answer.took = started.elapsed();
        answer
    }

    pub async fn get(&self, path: &str, bearer: &str) -> Answer {
        self.send(reqwest::Method::GET, path, bearer, None).await
    }

    pub async fn post(&self, path: &str, bearer: &str, body: Value) -> Answer {
        self.send(reqwest::Method::POST, &format!("/api/v1{path}"), bearer, Some(&body)).await
    }

    pub async fn put(&self, path: &str, bearer: &str, body: Value) -> Answer {
        self.send(reqwest::Method::PUT, &format!("/api/v1{path}"), bearer, Some(&body)).await
    }

    pub async fn me(&self, bearer: &str) -> Answer {
        self.get("/api/v1/me", bearer).await
    }

    pub async fn sign_up(&self, email: &str, password: &str) -> Answer {
        self.post("/auth/signup", "", json!({ "name": "Test Person", "email": email, "password": password })).await
    }

    pub async fn log_in(&self, email: &str, password: &str) -> Answer {
        self.post("/auth/login", "", json!({ "email": email, "password": password })).await
    }
}

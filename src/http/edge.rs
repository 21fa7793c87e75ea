//! The outermost endpoint: request id, body limit, panics, failures in our words, safe headers, one log line.
//!
//! One layer and not six, because each layer costs the hot path a boxed future.

use std::{collections::HashMap, panic::AssertUnwindSafe, sync::Arc, time::Instant};

use futures_util::{FutureExt as _, StreamExt as _};
use poem::{
    Body, Endpoint, IntoResponse, Request, Response, Result,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
};
use poem_openapi::OperationId;

use super::{
    access_log::{AccessLog, Line},
    dialect::Dialect,
    failure::Failure,
    html::SharedViews,
    limit_headers, request_id,
    route::RoutePattern,
    traceparent,
};
use crate::{
    app::App,
    domain::{Error, error::codes, request_id::RequestId},
    service::limits::Meter,
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// How long a client may take to send its body.
const BODY_TIME: std::time::Duration = std::time::Duration::from_secs(15);
/// How much of a body over the limit is read to the end before it is refused.
const DISCARD: usize = 2 << 20;
const DISCARD_TIME: std::time::Duration = std::time::Duration::from_secs(1);
const NO_CONTENT_CSP: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

/// What is known of the routes for 405s and the log.
pub(super) struct RouteTable {
    /// Pattern of each operation, by its id.
    pub(super) operations: HashMap<String, String>,
    /// Pattern and methods of every route.
    pub(super) methods: Vec<(String, Vec<String>)>,
}

/// The endpoint.
pub(super) struct Edge<E> {
    pub(super) inner: E,
    pub(super) app: Arc<App>,
    pub(super) views: SharedViews,
    pub(super) log: AccessLog,
    pub(super) routes: RouteTable,
}

impl<E: Endpoint> Endpoint for Edge<E> {
    type Output = Response;

    async fn call(&self, mut req: Request) -> Result<Response> {
        let started = Instant::now();
        let _active = self.app.meters.traffic.enter();
        let id = request_id::next();
        let method = req.method().clone();
        let uri = req.uri().clone();
        let meter = Meter::default();
        let parent = traceparent::parent(req.headers());
        let language = super::client::language(req.headers()).unwrap_or_default();
        req.set_data((id, meter.clone(), Dialect::family(uri.path())));
        req.set_data(Arc::clone(&self.app));
        let read = match awaited_body(&req) {
            Ok(None) => Ok(()),
            // Boxed like all rare ways: a future is as large as its largest way, and is copied on its way into the task.
            Ok(Some(announced)) => Box::pin(self.read_body(&mut req, announced)).await,
            Err(()) => Err(Failure::shape(Vec::new())),
        };
        let outcome = match read {
            Ok(()) => AssertUnwindSafe(self.inner.call(req)).catch_unwind().await.unwrap_or_else(|_| {
                // The hook has logged where and why.
                Err(Failure::from(Error::internal("a handler panicked")).into())
            }),
            Err(failure) => Err(failure.into()),
        };
        let (mut reply, pattern, code) = match outcome {
            Ok(reply) => {
                let reply = reply.into_response();
                let pattern = self.pattern(reply.data(), reply.data());
                (reply, pattern, None)
            }
            Err(error) if error.is_from_response() => {
                let pattern = self.pattern(error.data(), error.data());
                (error.into_response(), pattern, None)
            }
            Err(error) => {
                let pattern = self.pattern(error.data(), error.data());
                let mut failure = Failure::from_framework(&error);
                if failure.status == StatusCode::METHOD_NOT_ALLOWED {
                    failure.allow = self.routes.allow(uri.path());
                }
                if failure.status == StatusCode::TOO_MANY_REQUESTS {
                    failure.limit = limit_headers::tightest(&meter).map(|standing| standing.rule.as_str());
                }
                report(&failure, &id);
                let reply = match Dialect::of(uri.path()) {
                    Dialect::Pages => super::html::failure_page(&self.views, language, &failure),
                    dialect => dialect.render(&failure, &id),
                };
                (reply, pattern, Some(failure.code))
            }
        };
        // Once, for all of ours.
        reply.headers_mut().reserve(11);
        if let Ok(value) = HeaderValue::from_str(id.as_str()) {
            reply.headers_mut().insert(REQUEST_ID, value);
        }
        let now = self.app.clock.now();
        limit_headers::put(reply.headers_mut(), &meter, now);
        self.protect(reply.headers_mut());
        let line =
            Line { at: now, id: id.as_str(), method: known(&method), route: pattern, status: reply.status().as_u16(), took: started.elapsed(), code, parent };
        self.app.meters.traffic.record(line.route, line.method, line.status, line.took);
        self.log.write(&line);
        Ok(reply)
    }
}

/// The method's name if it is a standard one: others are whatever a client made up.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "OTHER",
    }
}

impl<E> Edge<E> {
    /// Reads the body under its limit, whether its length is announced or not, and puts it back as one piece.
    async fn read_body(&self, req: &mut Request, announced: usize) -> Result<(), Failure> {
        let limit = self.app.settings.body_limit;
        let body = req.take_body();
        if announced > limit {
            if announced <= DISCARD {
                // Whatever comes of it, the answer is the same.
                let _ = tokio::time::timeout(DISCARD_TIME, collect(body, limit, 0)).await;
            }
            return Err(Failure::too_large(limit));
        }
        let read = tokio::time::timeout(BODY_TIME, collect(body, limit, announced));
        let bytes = read.await.map_err(|_| Failure::new(StatusCode::REQUEST_TIMEOUT, codes::REQUEST_TIMEOUT, "The body took too long to arrive."))??;
        req.set_body(Body::from(bytes));
        Ok(())
    }

    fn pattern<'a>(&'a self, operation: Option<&OperationId>, route: Option<&RoutePattern>) -> &'a str {
        match (operation, route) {
            (Some(operation), _) => self.routes.operations.get(operation.0).map_or("", String::as_str),
            (None, Some(route)) => route.0,
            (None, None) => "",
        }
    }

    /// Headers that every reply has unless its handler knows better (OWASP ASVS 5.0 3.4).
    fn protect(&self, headers: &mut HeaderMap) {
        let mut absent = |name: HeaderName, value: HeaderValue| {
            headers.entry(name).or_insert(value);
        };
        absent(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        absent(header::CONTENT_SECURITY_POLICY, NO_CONTENT_CSP);
        absent(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        absent(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        if self.app.settings.public_url.starts_with("https://") {
            absent(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=63072000; includeSubDomains"));
        }
    }
}

/// How long the body is said to be, 0 if that is not said; `None` if there is no body to be read, `Err` if the length is
/// no number.
fn awaited_body(req: &Request) -> Result<Option<usize>, ()> {
    match req.headers().get(header::CONTENT_LENGTH) {
        Some(length) => {
            let length = length.to_str().ok().and_then(|text| text.parse::<usize>().ok()).ok_or(())?;
            Ok(Some(length).filter(|length| *length > 0))
        }
        // RFC 9112 section 6.3: neither header, no body. In-process tests send bodies without either.
        None if matches!(*req.method(), Method::GET | Method::HEAD) && !req.headers().contains_key(header::TRANSFER_ENCODING) => Ok(None),
        None => Ok(Some(0)),
    }
}

/// Reads a body of at most `limit` bytes. Of a longer one a little more is read and thrown away: a client that is still
/// sending when it is answered and cut off may never see the answer.
async fn collect(body: Body, limit: usize, announced: usize) -> Result<Vec<u8>, Failure> {
    let mut stream = std::pin::pin!(body.into_bytes_stream());
    let mut bytes = Vec::with_capacity(announced.min(limit));
    let mut total = 0;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| Failure::shape(Vec::new()))?;
        total += chunk.len();
        if total > DISCARD {
            break;
        }
        if total <= limit {
            bytes.extend_from_slice(&chunk);
        }
    }
    if total > limit { Err(Failure::too_large(limit)) } else { Ok(bytes) }
}

impl RouteTable {
    /// The methods of the route that `path` leads to (RFC 9110 section 15.5.6).
    fn allow(&self, path: &str) -> Option<String> {
        let fits = |pattern: &str| {
            let (mut wanted, mut given) = (pattern.split('/'), path.split('/'));
            loop {
                match (wanted.next(), given.next()) {
                    (None, None) => return true,
                    (Some(wanted), Some(given)) if wanted == given || (wanted.starts_with('{') && !given.is_empty()) => {}
                    _ => return false,
                }
            }
        };
        self.methods.iter().find(|(pattern, _)| fits(pattern)).map(|(_, methods)| methods.join(", "))
    }
}

/// Faults of ours with their cause, faults of clients quietly. Once, here and nowhere else.
fn report(failure: &Failure, id: &RequestId) {
    let cause = failure.cause.as_deref().unwrap_or_default();
    if failure.status.is_server_error() {
        tracing::error!(request_id = %id, code = failure.code, cause, "request failed");
    } else {
        tracing::debug!(request_id = %id, code = failure.code, "request refused");
    }
}

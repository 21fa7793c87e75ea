//! Routes outside the OpenAPI services: each carries its pattern for the log, and its methods for a 405.

use std::sync::OnceLock;

use bytes::Bytes;
use poem::{Endpoint, IntoResponse, Request, Response, Result, get, http::header};

/// The pattern of the route that answered, on its response or error.
#[derive(Clone, Copy, Debug)]
pub(super) struct RoutePattern(pub(super) &'static str);

/// An endpoint that says which route it is.
pub(super) struct Named<E> {
    pattern: &'static str,
    inner: E,
}

/// Gives `endpoint` its pattern.
pub(super) fn named<E: Endpoint>(pattern: &'static str, endpoint: E) -> Named<E> {
    Named { pattern, inner: endpoint }
}

impl<E: Endpoint> Endpoint for Named<E> {
    type Output = Response;

    async fn call(&self, req: Request) -> Result<Response> {
        match self.inner.call(req).await {
            Ok(reply) => {
                let mut reply = reply.into_response();
                reply.extensions_mut().insert(RoutePattern(self.pattern));
                Ok(reply)
            }
            Err(mut error) => {
                error.set_data(RoutePattern(self.pattern));
                Err(error)
            }
        }
    }
}

/// A text that never changes while the process runs, written when somebody first asks for it: most nodes are never asked, and
/// all of them want to start soon and stay small.
pub(super) fn fixed(content_type: &'static str, write: fn() -> String) -> impl Endpoint {
    let text: OnceLock<Bytes> = OnceLock::new();
    get(poem::endpoint::make_sync(move |_| {
        let text = text.get_or_init(|| write().into()).clone();
        Response::builder().content_type(content_type).header(header::CACHE_CONTROL, "no-cache").body(text)
    }))
}

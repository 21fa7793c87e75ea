//! The short way to an operation. A path without captures is looked up in one map; poem's router, which rewrites the
//! address and writes the pattern down anew at each level of nesting, is asked for everything else: captures, `HEAD`,
//! methods and paths that are not there.

use std::collections::HashMap;

use poem::{Endpoint, IntoResponse as _, Request, Response, Result, endpoint::BoxEndpoint, http::Method};
use poem_openapi::{__private::UrlQuery, OpenApi};

/// Documented operations in front of the router that knows all routes.
pub(super) struct Dispatch<E> {
    exact: HashMap<String, HashMap<Method, BoxEndpoint<'static>>>,
    any_method: HashMap<&'static str, BoxEndpoint<'static>>,
    rest: E,
}

impl<E: Endpoint> Dispatch<E> {
    /// Puts what answers at a path whatever the method is in front of `rest`, which must serve it too.
    pub(super) fn new(any_method: HashMap<&'static str, BoxEndpoint<'static>>, rest: E) -> Self {
        Self { exact: HashMap::new(), any_method, rest }
    }

    /// Puts the operations of `api`, mounted below `base`, in front of the rest, which must serve them too.
    pub(super) fn with(mut self, base: &str, api: impl OpenApi) -> Self {
        let mut routes = HashMap::new();
        api.add_routes(&mut routes);
        let plain = routes.into_iter().filter(|(path, _)| !path.contains([':', '*', '<']));
        self.exact.extend(plain.map(|(path, methods)| (format!("{base}{}", path.trim_end_matches('/')), methods)));
        self
    }
}

impl<E: Endpoint> Endpoint for Dispatch<E> {
    type Output = Response;

    async fn call(&self, mut req: Request) -> Result<Response> {
        if let Some(endpoint) = self.any_method.get(req.uri().path()) {
            return endpoint.call(req).await;
        }
        let Some(operation) = self.exact.get(req.uri().path()).and_then(|methods| methods.get(req.method())) else {
            // Boxed, so that the short way does not carry the long one's weight.
            return Ok(Box::pin(self.rest.call(req)).await?.into_response());
        };
        // What poem-openapi does before its own router: parameters of the query are read from here.
        let query = match req.uri().query() {
            Some(_) => req.params().unwrap_or_default(),
            None => Vec::new(),
        };
        req.set_data(UrlQuery(query));
        operation.call(req).await
    }
}

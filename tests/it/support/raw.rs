//! Requests that no well-behaved client sends: headers as they are given, repeated if given twice.

use poem::{Endpoint as _, Request};

use super::{Node, Reply};

impl Node {
    /// A GET with exactly these headers and a `Host`.
    pub async fn raw_get(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        let mut request = Request::builder().uri(path.parse().expect("a path")).header("host", "127.0.0.1:8080");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, body) = self.endpoint.get_response(request.finish()).await.into_parts();
        let body = body.into_bytes().await.expect("a body").to_vec();
        Reply { status: parts.status, headers: parts.headers, body }
    }
}

//! Traces: what a caller's `traceparent` leaves in the log, and what a collector gets to see.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use opentelemetry_proto::tonic::{collector::trace::v1::ExportTraceServiceRequest, common::v1::any_value::Value as Any, trace::v1::Span};
use prost::Message as _;
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::support::server::Server;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

fn traceparent(flags: &str) -> String {
    format!("00-{TRACE}-{PARENT}-{flags}")
}

async fn get(server: &Server, path: &str, traceparent: &str) -> reqwest::Response {
    server.http.get(format!("{}{path}", server.url)).header("traceparent", traceparent).send().await.unwrap()
}

/// The log lines about requests to a route.
fn lines(log: &str, route: &str) -> Vec<Value> {
    let all = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    all.filter(|line| line["message"] == "request" && line["route"] == route).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_stands_in_the_log_and_in_no_reply() {
    let folder = TempDir::new().unwrap();
    let server = Server::start(folder.path(), "a", &[]).await;
    let reply = get(&server, "/openapi/native.json", &traceparent("01")).await;
    assert!(reply.headers().values().all(|value| !value.to_str().unwrap().contains(TRACE)) && !reply.text().await.unwrap().contains(TRACE));
    get(&server, "/openapi/native-3.0.json", &format!("00-{TRACE}-{PARENT}-01-canary")).await;
    server.get("/docs", "").await.unwrap();
    let log = server.stop().await;
    let line = &lines(&log, "/openapi/native.json")[0];
    assert_eq!(line["trace_id"], TRACE);
    let span = line["span_id"].as_str().unwrap();
    assert!(span.len() == 16 && span != PARENT && span != "0000000000000000", "{line}");
    for route in ["/openapi/native-3.0.json", "/docs"] {
        let line = &lines(&log, route)[0];
        assert!(line["trace_id"].is_null() && line["span_id"].is_null(), "{line}");
    }
    assert!(!log.contains("canary"));
}

/// A collector that keeps what it is sent.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<ExportTraceServiceRequest>>>);

impl Collector {
    async fn start(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let collector = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(collector.clone().take(stream));
            }
        });
        format!("http://{address}")
    }

    async fn take(self, mut stream: TcpStream) {
        let mut data = Vec::new();
        loop {
            let head_end = data.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
            if let Some(end) = head_end {
                let head = String::from_utf8(data[..end].to_vec()).unwrap().to_ascii_lowercase();
                assert!(head.starts_with("post /v1/traces ") && head.contains("content-type: application/x-protobuf"), "{head}");
                let length: usize = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
                if data.len() >= end + length {
                    self.0.lock().unwrap().push(ExportTraceServiceRequest::decode(&data[end..end + length]).unwrap());
                    data.drain(..end + length);
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n").await.unwrap();
                    continue;
                }
            }
            if stream.read_buf(&mut data).await.unwrap_or(0) == 0 {
                return;
            }
        }
    }

    fn spans(&self) -> Vec<Span> {
        let requests = self.0.lock().unwrap();
        let scopes = requests.iter().flat_map(|request| &request.resource_spans).flat_map(|resource| &resource.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }
}

fn attributes(span: &Span) -> HashMap<String, String> {
    let text = |value: &Any| match value {
        Any::StringValue(text) => text.clone(),
        Any::IntValue(number) => number.to_string(),
        other => panic!("{other:?}"),
    };
    span.attributes.iter().map(|pair| (pair.key.clone(), text(pair.value.as_ref().unwrap().value.as_ref().unwrap()))).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_gets_spans_that_name_the_route_and_nobody() {
    let collector = Collector::default();
    let url = collector.start().await;
    let folder = TempDir::new().unwrap();
    let server = Server::start(folder.path(), "a", &[("OTLP_URL", &url)]).await;
    let ada = server.user("ada@example.com").await;
    server.get("/api/v1/me?canary=query", &ada.access).await.unwrap();
    get(&server, "/openapi/native.json?canary=query", &traceparent("01")).await;
    get(&server, "/openapi/native-3.0.json", &traceparent("00")).await;
    get(&server, "/canary/nowhere", &traceparent("01")).await;
    let log = server.stop().await;
    let spans = collector.spans();
    let named = |name: &str| spans.iter().filter(|span| span.name == name).collect::<Vec<_>>();
    // A caller's trace goes on, and its word on what is kept counts.
    let [inside] = named("GET /openapi/native.json")[..] else { panic!("{spans:?}") };
    assert_eq!((hex(&inside.trace_id), hex(&inside.parent_span_id), inside.kind), (TRACE.to_owned(), PARENT.to_owned(), 2));
    assert!(named("GET /openapi/native-3.0.json").is_empty(), "the caller does not keep this one");
    assert_eq!(named("GET").len(), 1, "where no route leads, nothing of the address is told");
    let [me] = named("GET /api/v1/me")[..] else { panic!("{spans:?}") };
    let told = attributes(me);
    assert_eq!((told["http.route"].as_str(), told["http.response.status_code"].as_str(), told["http.request.method"].as_str()), ("/api/v1/me", "200", "GET"));
    assert!(me.start_time_unix_nano < me.end_time_unix_nano && me.parent_span_id.is_empty());
    // The line in the log and the span are one and the same.
    let line = &lines(&log, "/api/v1/me")[0];
    assert_eq!((line["trace_id"].as_str().unwrap(), line["span_id"].as_str().unwrap()), (hex(&me.trace_id).as_str(), hex(&me.span_id).as_str()));
    assert_eq!(line["request_id"], told["realmgate.request_id"]);
    let everything = format!("{:?}", collector.0.lock().unwrap());
    assert!(everything.contains("realmgate") && everything.contains("service.version"));
    for secret in ["canary", "ada@", &ada.access, &ada.refresh, crate::support::PASSWORD] {
        assert!(!everything.contains(secret), "{secret} was sent");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_gone_holds_nobody_up() {
    let url = format!("http://{}", std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let folder = TempDir::new().unwrap();
    let server = Server::start(folder.path(), "a", &[("OTLP_URL", &url)]).await;
    server.user("ada@example.com").await;
    server.stop().await;
}

//! The listener through raw TCP, as a hostile client talks to it: framing, limits, pipelining, rubbish. And what every
//! path answers to every method, with the headers that every reply carries.

use std::time::Duration;

use poem::http::Method;
use realmgate::http::{self, AccessLog};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

use crate::{
    on_both,
    support::{Backend, PASSWORD, Reply, TestApp, spec::operations},
};

/// Nothing here may take longer; the listener's own deadlines are shorter.
const PATIENCE: Duration = Duration::from_secs(30);

/// A node behind a socket.
struct Server {
    app: TestApp,
    address: std::net::SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<usize>,
}

impl Server {
    async fn start(connections: usize) -> Self {
        let app = TestApp::on(Backend::Sqlite).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let endpoint = http::endpoint(app.app(), AccessLog::off());
        let task = tokio::spawn(http::serve(listener, endpoint, connections, std::sync::Arc::default(), stopped, Duration::from_secs(5)));
        Self { app, address, stop, task }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends bytes and reads until the server closes.
    async fn talk(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        // A server that has seen enough may close while we still write.
        let _ = stream.write_all(bytes.as_ref()).await;
        read(&mut stream).await
    }

    /// It still serves others.
    async fn assert_well(&self) {
        let reply = self.talk("GET /healthz/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
        assert!(reply.starts_with("HTTP/1.1 200 "), "{reply}");
    }
}

async fn read(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let mut piece = [0; 4_096];
    loop {
        match tokio::time::timeout(PATIENCE, stream.read(&mut piece)).await.expect("the server hangs") {
            Ok(0) | Err(_) => return String::from_utf8_lossy(&all).into_owned(),
            Ok(count) => all.extend_from_slice(&piece[..count]),
        }
    }
}

fn statuses(reply: &str) -> Vec<u16> {
    reply.split("HTTP/1.").skip(1).map(|part| part[2..5].parse().unwrap()).collect()
}

const LOGIN: &str = "POST /api/v1/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";

#[tokio::test]
async fn bodies_over_the_limit_are_refused_however_they_are_announced() {
    let server = Server::start(16).await;
    let limit = server.app.app().settings.body_limit;
    // Announced: refused before a byte of it is read.
    for length in [limit + 1, 1 << 40] {
        let reply = server.talk(format!("{LOGIN}Content-Length: {length}\r\nConnection: close\r\n\r\n")).await;
        assert_eq!(statuses(&reply), [413], "{reply}");
        assert!(reply.contains("\"payload_too_large\""), "{reply}");
    }
    // In chunks, which announce nothing.
    let piece = "a".repeat(4_096);
    let chunk = format!("{:x}\r\n{piece}\r\n", piece.len());
    let body = chunk.repeat(limit / piece.len() + 1);
    let reply = server.talk(format!("{LOGIN}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n{body}0\r\n\r\n")).await;
    assert_eq!(statuses(&reply), [413], "{reply}");
    // To the byte: what just fits is read, and found to be no JSON.
    let fits = "a".repeat(limit);
    let reply = server.talk(format!("{LOGIN}Content-Length: {limit}\r\nConnection: close\r\n\r\n{fits}")).await;
    assert_eq!(statuses(&reply), [400], "{reply}");
    let body = format!("{:x}\r\n{fits}\r\n0\r\n\r\n", limit);
    let reply = server.talk(format!("{LOGIN}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n{body}")).await;
    assert_eq!(statuses(&reply), [400], "{reply}");
    server.assert_well().await;
}

#[tokio::test]
async fn framing_that_proxies_read_differently_is_refused() {
    let server = Server::start(16).await;
    let body = r#"{"email":"a@example.com","password":"x"}"#;
    let length = body.len();
    let chunked = format!("{length:x}\r\n{body}\r\n0\r\n\r\n");
    let smuggled = "GET /healthz/live HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for (what, request) in [
        ("two lengths", format!("{LOGIN}Content-Length: {length}\r\nContent-Length: 0\r\n\r\n{body}{smuggled}")),
        ("two lengths in one", format!("{LOGIN}Content-Length: {length}, 0\r\n\r\n{body}{smuggled}")),
        ("a signed length", format!("{LOGIN}Content-Length: +{length}\r\n\r\n{body}{smuggled}")),
        ("a negative length", format!("{LOGIN}Content-Length: -1\r\n\r\n{smuggled}")),
        ("a length that overflows", format!("{LOGIN}Content-Length: 18446744073709551616\r\n\r\n{smuggled}")),
        ("a length in words", format!("{LOGIN}Content-Length: many\r\n\r\n{smuggled}")),
        ("an unknown coding", format!("{LOGIN}Transfer-Encoding: gzip\r\n\r\n{smuggled}")),
        ("a coding after chunked", format!("{LOGIN}Transfer-Encoding: chunked, identity\r\n\r\n{chunked}{smuggled}")),
        ("a chunk size of rubbish", format!("{LOGIN}Transfer-Encoding: chunked\r\n\r\nzz\r\n{body}\r\n0\r\n\r\n{smuggled}")),
        ("a chunk size that overflows", format!("{LOGIN}Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{body}{smuggled}")),
        ("a space before the colon", format!("{LOGIN}Content-Length : {length}\r\n\r\n{body}{smuggled}")),
        ("chunks in HTTP/1.0", format!("{}Transfer-Encoding: chunked\r\n\r\n{chunked}{smuggled}", LOGIN.replace("HTTP/1.1", "HTTP/1.0"))),
    ] {
        let reply = server.talk(request).await;
        // One refusal, and the bytes after it are no request.
        assert_eq!(statuses(&reply), [400], "{what}: {reply}");
    }
    // RFC 9112 section 6.3: chunks win over a length, or it is refused; never both readings.
    let reply = server.talk(format!("{LOGIN}Content-Length: 5\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n{chunked}{smuggled}")).await;
    assert!([&[400][..], &[401]].contains(&&*statuses(&reply)), "{reply}");
    server.assert_well().await;
}

#[tokio::test]
async fn rubbish_gets_a_short_answer_or_none() {
    let server = Server::start(16).await;
    let long = "a".repeat(64 * 1_024);
    let many = (0..200).fold(String::new(), |all, index| format!("{all}X-{index}: 1\r\n"));
    for (what, request) in [
        ("no words", b"\r\n\r\n\r\n".to_vec()),
        ("another protocol", b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec()),
        ("TLS", vec![0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03, 0x0a, 0x0a, 0x0d, 0x0a]),
        ("HTTP/2 by surprise", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
        ("HTTP/9.9", b"GET / HTTP/9.9\r\n\r\n".to_vec()),
        ("a header over the limit", format!("GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: {long}\r\n\r\n").into()),
        ("a target over the limit", format!("GET /{long} HTTP/1.1\r\nHost: localhost\r\n\r\n").into()),
        ("too many headers", format!("GET / HTTP/1.1\r\nHost: localhost\r\n{many}\r\n").into()),
        ("NUL in a header", b"GET / HTTP/1.1\r\nHost: local\0host\r\n\r\n".to_vec()),
        ("NUL in the target", b"GET /\0 HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec()),
        ("a bare CR in a header", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\rY: b\r\n\r\n".to_vec()),
    ] {
        let reply = server.talk(request).await;
        let got = statuses(&reply);
        assert!(got.is_empty() || (got.len() == 1 && (400..500).contains(&got[0])), "{what}: {reply}");
        assert!(reply.len() < 2_000 && !reply.contains("aaaaaaaa"), "{what}");
    }
    server.assert_well().await;
}

#[tokio::test]
async fn a_request_that_never_ends_is_cut_off_and_holds_up_nobody() {
    let server = Server::start(16).await;
    let mut header = server.connect().await;
    header.write_all(b"GET /healthz/live HTTP/1.1\r\nHost: local").await.unwrap();
    let mut body = server.connect().await;
    body.write_all(format!("{LOGIN}Content-Length: 100\r\n\r\n{{\"email\":").as_bytes()).await.unwrap();
    let mut silent = server.connect().await;
    server.assert_well().await;
    // The listener's own deadlines, in real time: sockets know no other.
    let (header, body, silent) = tokio::join!(read(&mut header), read(&mut body), read(&mut silent));
    assert!(header.is_empty() || statuses(&header) == [408], "{header}");
    assert!(body.is_empty() || statuses(&body) == [408], "{body}");
    assert_eq!(silent, "");
    server.assert_well().await;
}

#[tokio::test]
async fn requests_in_one_stream_are_answered_in_order() {
    let server = Server::start(16).await;
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let wrong = "{}";
    let post = format!("{LOGIN}Content-Length: {}\r\n\r\n{wrong}", wrong.len());
    let last = "GET /nowhere HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let reply = server.talk(format!("{}{post}{}{last}{}", get("/healthz/live"), get("/api/v1/me"), get("/healthz/live"))).await;
    assert_eq!(statuses(&reply), [200, 400, 401, 404], "what follows a close is not read: {reply}");
    let mut ids: Vec<&str> = reply.split("x-request-id: ").skip(1).map(|rest| &rest[..24]).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 4);
}

#[tokio::test]
async fn old_clients_and_odd_targets_are_served() {
    let server = Server::start(16).await;
    let reply = server.talk("GET /healthz/live HTTP/1.0\r\n\r\n").await;
    assert!(reply.starts_with("HTTP/1.0 200 ") && reply.ends_with(r#"{"status":"ok"}"#), "{reply}");
    // An absolute target (RFC 9112 section 3.2.2), of another host too: it names no file and no link of ours.
    let reply = server.talk("GET http://evil.example/healthz/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    assert!(reply.starts_with("HTTP/1.1 200 ") && !reply.contains("evil"), "{reply}");
    for request in ["OPTIONS * HTTP/1.1", "CONNECT localhost:443 HTTP/1.1", "GET ../../etc/passwd HTTP/1.1"] {
        let reply = server.talk(format!("{request}\r\nHost: localhost\r\nConnection: close\r\n\r\n")).await;
        let got = statuses(&reply);
        assert!(got.len() == 1 && (400..500).contains(&got[0]), "{request}: {reply}");
    }
    let reply = server.talk("HEAD /healthz/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    assert!(reply.starts_with("HTTP/1.1 200 ") && reply.ends_with("\r\n\r\n"), "a HEAD has no body: {reply}");
}

#[tokio::test]
async fn over_the_cap_connections_wait_for_their_turn() {
    let server = Server::start(2).await;
    let held = [server.connect().await, server.connect().await];
    let mut third = server.connect().await;
    third.write_all(b"GET /healthz/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
    let early = tokio::time::timeout(Duration::from_millis(200), third.readable()).await;
    assert!(early.is_err(), "a third connection was served");
    drop(held);
    assert_eq!(statuses(&read(&mut third).await), [200]);
}

#[tokio::test]
async fn stopping_lets_requests_in_flight_finish() {
    let server = Server::start(16).await;
    let mut begun = server.connect().await;
    begun.write_all(format!("{LOGIN}Content-Length: 2\r\n\r\n{{").as_bytes()).await.unwrap();
    // The server has taken the connection once another one, later in its queue, was answered.
    server.assert_well().await;
    server.stop.send(true).unwrap();
    begun.write_all(b"}").await.unwrap();
    assert_eq!(statuses(&read(&mut begun).await), [400]);
    assert_eq!(tokio::time::timeout(PATIENCE, server.task).await.expect("it stops").unwrap(), 0, "nobody was cut off");
    assert!(TcpStream::connect(server.address).await.is_err(), "it listens still");
}

/// Headers that every reply has (OWASP ASVS 5.0 3.4).
fn assert_protected(reply: &Reply, context: &str) {
    assert_eq!(reply.header("x-request-id").len(), 24, "{context}");
    assert_eq!(reply.header("x-content-type-options"), "nosniff", "{context}");
    assert_eq!(reply.header("referrer-policy"), "no-referrer", "{context}");
    let policy = reply.header("content-security-policy");
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{context}: {policy}");
    assert!(!reply.header("cache-control").is_empty(), "{context}");
    for name in ["server", "x-powered-by", "access-control-allow-origin", "access-control-allow-credentials"] {
        assert_eq!(reply.header(name), "", "{context}: {name}");
    }
    let kind = reply.header("content-type");
    assert_eq!(reply.header("x-frame-options"), if kind.starts_with("text/html") { "DENY" } else { "" }, "{context}");
    assert!(!kind.starts_with("text/") || kind.ends_with("; charset=utf-8"), "{context}: {kind}");
    assert!(!reply.status.is_server_error(), "{context}: {}", reply.text());
}

/// Every path of the service with the methods that it knows.
fn paths() -> Vec<(String, Vec<Method>)> {
    let mut all: Vec<(String, Vec<Method>)> = Vec::new();
    for operation in operations() {
        match all.iter_mut().find(|(path, _)| *path == operation.at("x")) {
            Some((_, methods)) => methods.push(operation.method),
            None => all.push((operation.at("x"), vec![operation.method])),
        }
    }
    for path in [
        "/healthz/live",
        "/healthz/ready",
        "/openapi/native.json",
        "/openapi/native-3.0.json",
        "/openapi/native-rust.json",
        "/docs",
        "/ui/style.css",
        "/dev/mailbox",
        "/dev/mailbox/messages",
        "/.well-known/change-password",
        "/metrics",
    ] {
        all.push((path.to_owned(), vec![Method::GET]));
    }
    for path in ["jwks.json", "openid-configuration"] {
        all.push((format!("/realms/localhost/.well-known/{path}"), vec![Method::GET]));
    }
    let both = "verify-email reset-password forgot-password unlock-sign-in change-email undo-email-change setup sign-in sign-out sign-up verify-email/code account/erase invitation";
    all.extend(both.split(' ').map(|page| (format!("/ui/{page}"), vec![Method::GET, Method::POST])));
    let posted = "verify-email/resend verify-email/code/resend account/profile account/password account/sessions/end account/sessions/end-all account/email account/export account/members/role account/members/remove invitation/accept";
    all.extend(posted.split(' ').map(|form| (format!("/ui/{form}"), vec![Method::POST])));
    all.extend(["/ui/account", "/ui/done"].map(|page| (page.to_owned(), vec![Method::GET])));
    all
}

on_both!(every_path_answers_every_method_and_protects_its_reply, |app| {
    let others = [Method::PUT, Method::PATCH, Method::DELETE, Method::POST, Method::GET, Method::OPTIONS, Method::TRACE, Method::HEAD];
    let made_up = Method::from_bytes(b"BREW").unwrap();
    for (path, known) in paths() {
        for method in others.iter().chain([&made_up]) {
            let reply = app.anonymous().header("origin", "https://evil.example").send(method.clone(), &path, None, "").await;
            let context = format!("{method} {path}: {}", reply.status);
            assert_protected(&reply, &context);
            let status = reply.status.as_u16();
            if known.contains(method) {
                assert_ne!(status, 405, "{context}");
            } else if *method == Method::HEAD && known.contains(&Method::GET) {
                assert!([200, 303, 400, 401, 405].contains(&status), "{context}");
            } else {
                assert_eq!(status, 405, "{context}");
                let allow = reply.header("allow");
                let allowed: Vec<&str> = allow.split(", ").collect();
                assert!(known.iter().all(|method| allowed.contains(&method.as_str())), "{context}: Allow: {allow}");
                assert!(!allowed.contains(&method.as_str()), "{context}: Allow: {allow}");
            }
        }
    }
});

on_both!(paths_that_lead_nowhere_answer_404, |app| {
    let odd = [
        "/",
        "/nowhere",
        "/API/V1/ME",
        "/api/v1/me/x/y",
        "/%00",
        "/%ff%fe",
        "/api/v1/%ff",
        "/api/v1/me/sessions/%ff",
        "/..%2f..%2fetc/passwd",
        "/realms/%ff/.well-known/jwks.json",
    ];
    for path in odd {
        let reply = app.anonymous().get(path).await;
        assert_protected(&reply, path);
        reply.assert_problem(404, "not_found");
    }
    // However a known path is written, it is that path or none: never another one, never without its credential.
    for path in [
        "//api/v1/me",
        "/api//v1/me",
        "/api/v1//me",
        "/api/v1/me/",
        "/api/v1/me//",
        "/./api/v1/me",
        "/api/v1/../v1/me",
        "/api/v1/me?x=%00",
        "/api/v1/m%65",
        "/api/v1/me;x=1",
    ] {
        let reply = app.anonymous().get(path).await;
        assert_protected(&reply, path);
        assert!([401, 404].contains(&reply.status.as_u16()), "{path}: {}", reply.status);
        assert_eq!(reply.at("/requestId"), reply.header("x-request-id"));
    }
    let page = app.anonymous().get("/ui/nowhere").await.assert(404);
    assert_protected(&page, "/ui/nowhere");
    assert!(page.header("content-type").starts_with("text/html"));
});

on_both!(replies_about_people_are_never_stored, |app| {
    let ada = app.user("ada@example.com").await;
    let client = app.anonymous().bearer(&ada.access);
    for path in ["/api/v1/me", "/api/v1/me/sessions", "/api/v1/auth/token", "/dev/mailbox", "/dev/mailbox/messages", "/ui/reset-password?token=x"] {
        let reply = client.get(path).await.assert(200);
        assert_eq!(reply.header("cache-control"), "no-store", "{path}");
        assert_protected(&reply, path);
    }
    let login = app.anonymous().log_in("ada@example.com", PASSWORD).await.assert(200);
    let next = app.anonymous().post("/api/v1/auth/refresh", &json!({ "refreshToken": login.at("/tokens/refreshToken") })).await.assert(200);
    for reply in [login, next] {
        assert_eq!(reply.header("cache-control"), "no-store");
        assert_protected(&reply, "tokens");
        assert_eq!(reply.header("strict-transport-security"), "", "plain http promises nothing");
    }
    let https = TestApp::with(Backend::Sqlite, |settings| settings.public_url = "https://id.example.com".to_owned()).await.unwrap();
    for path in ["/healthz/live", "/nowhere", "/ui/reset-password?token=x", "/docs"] {
        assert!(https.anonymous().get(path).await.header("strict-transport-security").starts_with("max-age="), "{path}");
    }
    let page = https.anonymous().get("/ui/reset-password?token=x").await;
    assert!(page.header("set-cookie").starts_with("__Host-") && page.header("set-cookie").contains("; Secure"), "{}", page.header("set-cookie"));
});

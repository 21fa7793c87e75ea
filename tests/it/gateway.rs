//! Forward-auth: what the gateway answers, and the README's configurations word for word with the real proxies.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
};

use poem::http::Method;
use realmgate::domain::{account::PlanChange, user::Role};
use serde_json::json;

use crate::{
    on_both,
    support::{
        Backend, TestApp,
        keys::Key,
        server::{Server, eventually},
        spec::operations,
    },
};

const HEADERS: [&str; 7] = ["x-auth-subject", "x-auth-account", "x-auth-realm", "x-auth-plan", "x-auth-scopes", "x-auth-method", "x-auth-key-id"];

on_both!(every_dialect_tells_who_calls, |app| {
    let ada = app.owner("ada@example.com").await;
    let key = app.anonymous().bearer(&ada.user.access).make_key(&ada.account, &json!({ "name": "Key", "scopes": ["chat:read"] })).await.assert(201);
    let (text, id) = (key.at("/key"), key.at("/apiKey/id"));
    for (path, yes) in [
        ("/gateway/nginx?scope=chat:read", 204),
        ("/gateway/traefik?scope=chat:read&scope=", 204),
        ("/gateway/envoy/chat:read", 200),
        ("/gateway/envoy/-/any/path?scope=chat:write", 200),
    ] {
        let client = app.anonymous().bearer(&text).header("x-auth-subject", "forged").header("x-auth-plan", "forged");
        let reply = client.get(path).await.assert(yes);
        assert_eq!(HEADERS.map(|name| reply.header(name)), [&*id, &*ada.account, "localhost", "free", "chat:read", "api_key", &*id]);
        assert!(reply.header("ratelimit-policy").starts_with("\"account\";q="), "{path}");
        let person = app.anonymous().bearer(&ada.user.access).get(path).await.assert(yes);
        assert_eq!((person.header("x-auth-subject"), person.header("x-auth-method")), (ada.user.id.clone(), "access_token".to_owned()));
        assert_eq!(person.header("x-auth-key-id"), "-", "never left to the client");
    }
    for method in [Method::POST, Method::DELETE, Method::PUT, Method::OPTIONS] {
        app.anonymous().bearer(&text).send(method, "/gateway/envoy/-/x", None, "").await.assert(200);
    }
});

on_both!(a_refusal_is_401_403_or_429_and_names_nobody, |app| {
    let ada = app.owner("ada@example.com").await;
    let key = app.anonymous().bearer(&ada.user.access).make_key(&ada.account, &json!({ "name": "Key", "scopes": ["chat:read"] })).await.assert(201);
    let bearer = |text: &str| app.anonymous().bearer(text);
    let text = key.at("/key");
    let flipped = format!("{}{}", &text[..text.len() - 1], if text.ends_with('a') { 'b' } else { 'a' });
    for (client, status, code) in [
        (app.anonymous(), 401, "missing_credential"),
        (app.anonymous().header("authorization", &format!("Basic {text}")), 401, "missing_credential"),
        (bearer(&flipped), 401, "invalid_api_key"),
        (bearer("eyJhbGciOiJub25lIn0.e30."), 401, "invalid_access_token"),
        (bearer("x"), 401, "invalid_access_token"),
    ] {
        let reply = client.get("/gateway/nginx").await.assert_problem(status, code);
        assert!(reply.header("www-authenticate").starts_with("Bearer ") && HEADERS.iter().all(|name| reply.header(name).is_empty()));
    }
    for path in ["/gateway/nginx?scope=chat:read&scope=chat:write", "/gateway/traefik?scope=*", "/gateway/envoy/chat:write", "/gateway/nginx?scope=CHAT:READ"] {
        bearer(&text).get(path).await.assert_problem(403, "insufficient_scope");
    }
    // A key in the query is no credential.
    app.anonymous().get(&format!("/gateway/nginx?key={text}&access_token={text}")).await.assert_problem(401, "missing_credential");
    let change = PlanChange { requests_per_minute: Some(1), ..PlanChange::default() };
    realmgate::service::plans::change(app.app(), &app.operator().await, "free", change).await.unwrap();
    let refused = bearer(&text).get("/gateway/nginx").await.assert_problem(429, "rate_limited");
    assert_eq!(refused.at("/limit"), "account");
    assert!(!refused.header("retry-after").is_empty());
});

on_both!(what_a_client_makes_up_changes_nothing, |app| {
    let ada = app.owner("ada@example.com").await;
    let make = async |body| Key::of(app.anonymous().bearer(&ada.user.access).make_key(&ada.account, &body).await);
    let fenced = make(json!({ "name": "Key", "scopes": ["chat:read"], "ipAllowlist": ["203.0.113.0/24"] })).await;
    let plain = make(json!({ "name": "Key", "scopes": ["chat:read"] })).await;
    // Nobody named a proxy to be believed: a header makes nobody somebody else.
    for (name, value) in [
        ("x-forwarded-for", "203.0.113.7"),
        ("forwarded", "for=203.0.113.7"),
        ("x-real-ip", "203.0.113.7"),
        ("x-client-ip", "203.0.113.7"),
        ("true-client-ip", "203.0.113.7"),
        ("cf-connecting-ip", "203.0.113.7"),
    ] {
        app.anonymous().bearer(&fenced.text).header(name, value).get("/gateway/nginx").await.assert_problem(403, "ip_not_allowed");
    }
    for (name, value) in [("x-realm", "no-such.example.com"), ("x-forwarded-host", "evil.example"), ("x-original-url", "/api/v1/me"), ("host", "evil.example")]
    {
        let reply = app.anonymous().bearer(&plain.text).header(name, value).get("/gateway/nginx").await.assert(204);
        assert_eq!((reply.header("x-auth-realm"), reply.header("x-auth-account")), ("localhost".to_owned(), ada.account.clone()), "{name}");
    }
    for second in [&plain.text, &ada.user.access, &"x".to_owned()] {
        let client = app.anonymous().bearer(&plain.text).also("authorization", &format!("Bearer {second}"));
        client.get("/gateway/nginx").await.assert_problem(401, "invalid_access_token");
    }
    for good in [format!("bearer {}", plain.text), format!("BEARER {}", plain.text), format!("Bearer   {}  ", plain.text)] {
        app.anonymous().header("authorization", &good).get("/gateway/nginx").await.assert(204);
    }
});

on_both!(an_account_sees_its_buckets_for_nothing, |app| {
    let ada = app.owner("ada@example.com").await;
    let body = json!({ "name": "Key", "scopes": ["chat:read"], "rateLimit": 50 });
    let key = app.anonymous().bearer(&ada.user.access).make_key(&ada.account, &body).await.assert(201);
    app.anonymous().bearer(&key.at("/key")).get("/gateway/nginx").await.assert(204);
    let path = format!("/api/v1/accounts/{}/limits", ada.account);
    let look = async || app.anonymous().bearer(&ada.user.access).get(&path).await.assert(200).json();
    let (first, second) = (look().await, look().await);
    assert_eq!(first, second, "a look costs nothing");
    assert_eq!((&first["plan"], &first["items"][0]["rule"], &first["items"][0]["limit"]), (&json!("free"), &json!("account"), &json!(1_000_000)));
    let own = &first["items"][1];
    assert_eq!((&own["rule"], &own["limit"], &own["remaining"], &own["windowSeconds"]), (&json!("api_key"), &json!(50), &json!(49), &json!(60)));
    assert_eq!(own["keyId"], key.json()["apiKey"]["id"]);
    assert!(own["freesAt"].as_str().is_some_and(|at| at.ends_with('Z')));
    let bob = app.owner("bob@example.com").await;
    app.anonymous().bearer(&bob.user.access).get(&path).await.assert_problem(404, "not_found");
    app.anonymous().bearer(&key.at("/key")).get(&path).await.assert_problem(403, "not_permitted");
});

on_both!(operators_set_plans_through_the_api, |app| {
    let (ada, bob) = (app.owner("ada@example.com").await, app.owner("bob@example.com").await);
    let root = app.app().root().unwrap().account.to_string();
    app.place(&root, "localhost", &ada.user.id, Role::Admin).await;
    let operator = app.anonymous().bearer(&ada.user.access);
    let plan = json!({ "id": "large", "requestsPerMinute": 20_000, "maxApiKeys": 9, "maxRealms": 9, "maxMembers": 9, "maxWebhooks": 0 });
    assert_eq!(operator.post("/api/v1/plans", &plan).await.assert(201).json(), plan);
    operator.post("/api/v1/plans", &plan).await.assert_problem(409, "taken");
    let bad = json!({ "id": "Large!", "requestsPerMinute": 0, "maxApiKeys": -1, "maxRealms": 5_000_000_000_i64, "maxMembers": 1, "maxWebhooks": 1 });
    let faults = operator.post("/api/v1/plans", &bad).await.assert_problem(422, "validation_failed").faults();
    assert_eq!(faults, ["id:invalid", "requestsPerMinute:out_of_range", "maxApiKeys:out_of_range", "maxRealms:out_of_range"]);
    let changed = operator.patch("/api/v1/plans/large", &json!({ "requestsPerMinute": 30_000 })).await.assert(200);
    assert_eq!((changed.at("/requestsPerMinute"), changed.at("/maxApiKeys")), ("30000".to_owned(), "9".to_owned()));
    operator.patch("/api/v1/plans/none", &json!({ "maxRealms": 1 })).await.assert_problem(404, "not_found");
    operator.patch("/api/v1/plans/large", &json!({})).await.assert_problem(422, "validation_failed");
    let path = format!("/api/v1/accounts/{}/plan", bob.account);
    assert_eq!(operator.put(&path, &json!({ "plan": "large" })).await.assert(200).at("/plan"), "large");
    operator.put(&path, &json!({ "plan": "none" })).await.assert_problem(422, "validation_failed");
    let me = app.anonymous().bearer(&bob.user.access).get("/api/v1/me").await.assert(200);
    assert_eq!(me.header("x-ratelimit-limit"), "30000");
    let items = app.anonymous().bearer(&bob.user.access).get("/api/v1/plans").await.assert(200).json();
    assert!(items["items"].as_array().unwrap().contains(&changed.json()));
    // An owner of another account is no operator, and an old sign-in no proof.
    app.anonymous().bearer(&bob.user.access).put(&path, &json!({ "plan": "pro" })).await.assert_problem(403, "not_permitted");
    app.advance(chrono::TimeDelta::minutes(11));
    operator.put(&path, &json!({ "plan": "pro" })).await.assert_problem(401, "step_up_required");
});

/// An upstream that answers with the head of the request that reached it.
fn echo() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer_with_head(stream));
        }
    });
    port
}

fn answer_with_head(mut stream: TcpStream) {
    let (mut head, mut piece) = (Vec::new(), [0; 4_096]);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut piece) {
            Ok(length) if length > 0 => head.extend_from_slice(&piece[..length]),
            _ => return,
        }
    }
    let reply = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", head.len());
    // A proxy that went away wants no answer.
    let _ = stream.write_all(reply.as_bytes()).and_then(|()| stream.write_all(&head));
}

/// The README's configuration of that name, with the test's ports in the place of its own.
fn configuration(name: &str, ports: &[(&str, u16)]) -> String {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let (_, rest) = readme.split_once(&format!("<!-- gateway:{name} -->\n```")).expect("a configuration");
    let (_, rest) = rest.split_once('\n').unwrap();
    let mut text = rest.split_once("```").unwrap().0.to_owned();
    for (from, to) in ports {
        text = text.replace(from, &format!("127.0.0.1:{to}"));
        // Envoy wants the port by itself.
        text = text.replace(&format!("port_value: {} ", from.rsplit_once(':').unwrap().1), &format!("port_value: {to} "));
    }
    text
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A proxy that ends with its test.
struct Proxy(Child);

impl Drop for Proxy {
    fn drop(&mut self) {
        // One that could not start has ended already.
        let _ = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        let _ = self.0.wait();
    }
}

/// Starts `program`, asks it everything, and says so if it is not installed.
async fn with_proxy(program: &str, prepare: impl Fn(&Path, &[(&str, u16)], &mut Command)) {
    if Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        eprintln!("NOT RUN: {program} is not installed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), "server", &[("TRUSTED_PROXIES", "127.0.0.1")]).await;
    let own: u16 = server.url.rsplit_once(':').unwrap().1.parse().unwrap();
    let port = free_port();
    let listen = match program {
        "nginx" => "127.0.0.1:8081",
        "haproxy" => "127.0.0.1:8082",
        "envoy" => "127.0.0.1:8084",
        "traefik" => "127.0.0.1:8085",
        _ => "127.0.0.1:8083",
    };
    let mut command = Command::new(program);
    prepare(folder.path(), &[("127.0.0.1:8080", own), ("127.0.0.1:9000", echo()), (listen, port)], &mut command);
    let log = std::fs::File::create(folder.path().join("proxy.log")).unwrap();
    let _proxy = Proxy(command.current_dir(folder.path()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap());
    eventually("the proxy listens", async || TcpStream::connect(("127.0.0.1", port)).ok()).await;

    let ada = server.user("ada@example.com").await;
    let accounts: serde_json::Value = server.get("/api/v1/accounts", &ada.access).await.unwrap().json().await.unwrap();
    let account = accounts["items"][0]["id"].as_str().unwrap().to_owned();
    let key = async |scope: &str| {
        let (status, body) =
            server.post(&format!("/api/v1/accounts/{account}/api-keys"), &ada.access, &json!({ "name": "Key", "scopes": [scope], "rateLimit": 20 })).await;
        assert_eq!(status, 201, "{body}");
        (body["key"].as_str().unwrap().to_owned(), body["apiKey"]["id"].as_str().unwrap().to_owned())
    };
    let (good, id) = key("chat:read").await;
    let (other, _) = key("agents:read").await;
    let ask = async |token: &str| {
        let request = server
            .http
            .get(format!("http://127.0.0.1:{port}/some/path?a=b"))
            .header("x-auth-subject", "forged")
            .header("X-Auth-Plan", "forged")
            .header("x-auth-key-id", "forged");
        let request = if token.is_empty() { request } else { request.bearer_auth(token) };
        let reply = request.send().await.unwrap();
        let (status, headers) = (reply.status().as_u16(), reply.headers().clone());
        (status, headers, reply.text().await.unwrap().to_ascii_lowercase())
    };
    // A proxy may listen before it has read where to send what: asked without a credential, which costs the key nothing.
    eventually("the proxy knows the way", async || (ask("").await.0 != 404).then_some(())).await;
    let (status, _, seen) = ask(&good).await;
    assert_eq!(status, 200, "{program}: {seen}");
    for line in [
        format!("x-auth-subject: {id}"),
        format!("x-auth-account: {account}"),
        "x-auth-plan: free".to_owned(),
        "x-auth-scopes: chat:read".to_owned(),
        "x-auth-method: api_key".to_owned(),
        format!("x-auth-key-id: {id}"),
    ] {
        assert!(seen.contains(&format!("{line}\r\n")), "{program}: no {line} in {seen}");
    }
    assert!(seen.starts_with("get /some/path?a=b ") && !seen.contains("forged"), "{program}: {seen}");
    let (status, _, seen) = ask(&ada.access).await;
    assert!(status == 200 && seen.contains("x-auth-method: access_token\r\n") && !seen.contains("forged"), "{program}: {status} {seen}");
    let (status, headers, _) = ask("").await;
    assert!(status == 401 && headers.contains_key("www-authenticate"), "{program}: {status}");
    assert_eq!(ask("conv_nonsense").await.0, 401, "{program}");
    assert_eq!(ask(&other).await.0, 403, "{program}");
    let mut statuses = Vec::new();
    for _ in 0..30 {
        let (status, headers, _) = ask(&good).await;
        assert!(status != 429 || headers.contains_key("retry-after"), "{program}");
        statuses.push(status);
    }
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 19, "{program}: {statuses:?}");
    assert!(statuses.iter().all(|status| [200, 429].contains(status)), "{program}: {statuses:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nginx_as_the_readme_says() {
    with_proxy("nginx", |folder, ports, command| {
        let own = format!(
            "http {{ access_log off; client_body_temp_path {0}; proxy_temp_path {0}; fastcgi_temp_path {0}; uwsgi_temp_path {0}; scgi_temp_path {0};",
            folder.display()
        );
        std::fs::write(folder.join("nginx.conf"), configuration("nginx", ports).replacen("http {", &own, 1)).unwrap();
        let place = folder.display().to_string();
        command.args([
            "-p",
            &place,
            "-c",
            &format!("{place}/nginx.conf"),
            "-e",
            &format!("{place}/nginx.log"),
            "-g",
            &format!("daemon off; pid {place}/nginx.pid;"),
        ]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn haproxy_as_the_readme_says() {
    with_proxy("haproxy", |folder, ports, command| {
        std::fs::write(folder.join("haproxy.cfg"), configuration("haproxy", ports)).unwrap();
        std::fs::write(folder.join("verify.lua"), configuration("lua", ports)).unwrap();
        command.args(["-db", "-f", "haproxy.cfg"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caddy_as_the_readme_says() {
    with_proxy("caddy", |folder, ports, command| {
        let text = format!("{{\n    admin off\n    auto_https off\n}}\n{}", configuration("caddy", ports));
        std::fs::write(folder.join("Caddyfile"), text).unwrap();
        command.env("HOME", folder).env("XDG_DATA_HOME", folder).args(["run", "--config", "Caddyfile", "--adapter", "caddyfile"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn envoy_as_the_readme_says() {
    with_proxy("envoy", |folder, ports, command| {
        std::fs::write(folder.join("envoy.yaml"), configuration("envoy", ports)).unwrap();
        command.args(["-c", "envoy.yaml", "--concurrency", "1", "--use-dynamic-base-id", "--log-level", "warn"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traefik_as_the_readme_says() {
    with_proxy("traefik", |folder, ports, command| {
        std::fs::write(folder.join("traefik.yml"), configuration("traefik", ports)).unwrap();
        std::fs::write(folder.join("routes.yml"), configuration("traefik-routes", ports)).unwrap();
        command.arg("--configFile=traefik.yml");
    })
    .await;
}

#[tokio::test]
async fn the_gateway_is_no_part_of_the_api() {
    assert!(operations().iter().all(|operation| !operation.path.contains("gateway")));
    let app = TestApp::on(Backend::Sqlite).await.unwrap();
    for path in ["/gateway", "/gateway/", "/gateway/apache", "/gateway/nginx/x", "/gateway/envoy"] {
        app.anonymous().get(path).await.assert_problem(404, "not_found");
    }
}

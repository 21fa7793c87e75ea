//! Canaries through every flow of the real program at its most talkative: afterwards no password, token or code stands in
//! the log, and none that is a secret stands in the files of the database.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    server::{Server, Tokens, eventually, token_of},
    smtp::Sink,
};

const EMAIL: &str = "canary@example.com";
const NEXT: &str = "canary.next@example.com";
const FIRST: &str = "canary otter password one";
const SECOND: &str = "canary otter password two";
const THIRD: &str = "canary otter password three";
const WRONG: &str = "canary wrong guess";
const SHORT: &str = "canary!";

/// The six digits that stand alone on a line.
fn code_of(mail: &str) -> String {
    let is_code = |line: &&str| line.len() == 6 && line.bytes().all(|b| b.is_ascii_digit());
    mail.lines().map(str::trim).find(is_code).expect("a code").to_owned()
}

/// A refresh token's or link token's secret half as well as the whole, and a JWT's signature.
fn parts(token: &str) -> Vec<String> {
    let tail = &token[token.len() - 30..];
    vec![token.to_owned(), tail.to_owned()]
}

fn count(haystack: &[u8], needle: &str) -> usize {
    haystack.windows(needle.len()).filter(|window| *window == needle.as_bytes()).count()
}

/// Whether a code stands there by itself: parts of ids, fractions of seconds and durations don't count.
fn has_code(haystack: &[u8], code: &str) -> bool {
    haystack.windows(code.len() + 2).any(|window| {
        let (before, after) = (window[0], window[code.len() + 1]);
        &window[1..=code.len()] == code.as_bytes() && !(before.is_ascii_alphanumeric() || b".:".contains(&before) || after.is_ascii_alphanumeric())
    })
}

/// Every byte of the database: the file and its log.
fn database(folder: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for name in ["realmgate.db", "realmgate.db-wal", "realmgate.db-shm"] {
        all.extend(std::fs::read(folder.join(name)).unwrap_or_default());
    }
    all
}

/// What the flows brought to light.
#[derive(Default)]
struct Secrets {
    tokens: Vec<String>,
    mailed: Vec<String>,
    codes: Vec<String>,
}

impl Secrets {
    fn keep(&mut self, body: &Value) -> Tokens {
        let tokens = Tokens::of(if body["tokens"].is_object() { &body["tokens"] } else { body });
        self.tokens.extend(parts(&tokens.access));
        self.tokens.extend(parts(&tokens.refresh));
        tokens
    }

    fn keep_mail(&mut self, mail: &str) -> String {
        let token = token_of(mail);
        self.mailed.extend(parts(&token));
        token
    }
}

/// The text of the first mail that has `word`, once it is there.
async fn mail_with(sink: &Sink, word: &str) -> String {
    eventually("a mail", async || sink.mails().iter().map(|mail| mail.text()).find(|text| text.contains(word))).await.0
}

/// The same of a mail without `spent`.
async fn mail_after(sink: &Sink, word: &str, spent: &str) -> String {
    eventually("another mail", async || sink.mails().iter().map(|mail| mail.text()).find(|text| text.contains(word) && !text.contains(spent))).await.0
}

/// An app, recovery codes and waiting sign-ins; the account is left without a factor.
async fn second_factors(server: &Server, secrets: &mut Secrets, tokens: &Tokens, password: &str) {
    let post = async |path: &str, bearer: &str, body: Value, wanted: u16| {
        let (status, reply) = server.post(&format!("/api/v1{path}"), bearer, &body).await;
        assert_eq!(status, wanted, "{path}: {reply}");
        reply
    };
    let begun = post("/me/mfa/totp", &tokens.access, json!({}), 200).await;
    let secret = begun["secret"].as_str().unwrap().to_owned();
    secrets.tokens.push(secret.clone());
    let code = |off: i64| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        crate::support::factors::totp(&secret, i64::try_from(now).unwrap() + off)
    };
    let first = code(-30);
    post("/me/mfa/totp/confirm", &tokens.access, json!({ "code": "canary" }), 401).await;
    let made = post("/me/mfa/totp/confirm", &tokens.access, json!({ "code": first }), 200).await;
    let recovery: Vec<String> = made["recoveryCodes"].as_array().unwrap().iter().map(|code| code.as_str().unwrap().to_owned()).collect();
    for code in &recovery {
        secrets.tokens.extend([code.clone(), code.replace('-', "")]);
    }
    secrets.codes.push(first);
    let waiting = post("/auth/login", "", json!({ "email": EMAIL, "password": password }), 403).await;
    let token = waiting["mfaToken"].as_str().unwrap().to_owned();
    secrets.tokens.extend(parts(&token));
    let answer = |method: &str, code: &str| json!({ "mfaToken": token, "method": method, "code": code });
    post("/auth/mfa/verify", "", answer("recovery_code", "canary wrong guess"), 401).await;
    let second = code(30);
    secrets.codes.push(second.clone());
    let entered = secrets.keep(&post("/auth/mfa/verify", "", answer("totp", &second), 200).await);
    post("/auth/step-up", &entered.access, json!({ "method": "recovery_code", "code": recovery[0] }), 200).await;
    assert_eq!(server.status(&format!("/ui/sign-in/factor?token={token}"), "").await, 200);
    let gone = server.http.delete(format!("{}/api/v1/me/mfa/totp", server.url)).bearer_auth(&entered.access).send().await.unwrap();
    assert_eq!(gone.status(), 204);
}

/// Goes through everything there is, rightly and wrongly.
async fn every_flow(server: &Server, sink: &Sink, secrets: &mut Secrets) {
    let post = async |path: &str, bearer: &str, body: Value, wanted: u16| {
        let (status, reply) = server.post(&format!("/api/v1{path}"), bearer, &body).await;
        assert_eq!(status, wanted, "{path}: {reply}");
        reply
    };
    let person = |password: &str| json!({ "name": "Canary", "email": EMAIL, "password": password });
    post("/auth/signup", "", person(SHORT), 422).await;
    post("/auth/signup", "", json!({ "name": "Canary", "email": EMAIL, "password": [FIRST] }), 400).await;
    post("/auth/signup", "", person(FIRST), 202).await;
    let mail = mail_with(sink, "/ui/verify-email?token=").await;
    let token = secrets.keep_mail(&mail);
    secrets.codes.push(code_of(&mail));
    let login = |password: &str| json!({ "email": EMAIL, "password": password });
    post("/auth/login", "", login(FIRST), 403).await;
    post("/auth/verify-email", "", json!({ "email": EMAIL, "code": "000000" }), 400).await;
    post("/auth/verify-email", "", json!({ "token": format!("{token}x") }), 400).await;
    assert_eq!(server.status(&format!("/ui/verify-email?token={token}"), "").await, 200);
    post("/auth/verify-email", "", json!({ "token": token }), 200).await;
    post("/auth/verify-email", "", json!({ "token": token }), 400).await;
    post("/auth/login", "", login(WRONG), 401).await;
    // A field in the wrong place and a broken body: the fault must not quote what was sent.
    post("/auth/login", "", json!({ "email": EMAIL, "password": FIRST, "pasword": WRONG }), 400).await;
    let broken =
        server.http.post(format!("{}/api/v1/auth/login", server.url)).header("content-type", "application/json").body(format!("{{\"password\":\"{FIRST}"));
    assert_eq!(broken.send().await.unwrap().status(), 400);
    let first = secrets.keep(&post("/auth/login", "", login(FIRST), 200).await);
    assert_eq!(server.status("/api/v1/me", &first.access).await, 200);
    assert_eq!(server.status(&format!("/api/v1/me?access_token={}", first.access), "").await, 401);
    assert_eq!(server.status("/api/v1/me", &format!("{}x", first.access)).await, 401);
    assert_eq!(server.status(&format!("/api/v1/{}", first.refresh), "").await, 404);
    let next = secrets.keep(&post("/auth/refresh", "", json!({ "refreshToken": first.refresh }), 200).await);
    let replayed = post("/auth/refresh", "", json!({ "refreshToken": first.refresh }), 200).await;
    secrets.keep(&replayed);
    post("/auth/refresh", "", json!({ "refreshToken": format!("{}x", next.refresh) }), 401).await;
    let change = |current: &str, new: &str| json!({ "currentPassword": current, "newPassword": new });
    let put = async |body: Value, wanted: u16| {
        let reply = server.http.put(format!("{}/api/v1/me/password", server.url)).bearer_auth(&next.access).json(&body).send().await.unwrap();
        assert_eq!(reply.status(), wanted, "{}", reply.text().await.unwrap());
    };
    put(change(WRONG, SECOND), 403).await;
    put(change(FIRST, SHORT), 422).await;
    put(change(FIRST, SECOND), 204).await;
    post("/auth/password/forgot", "", json!({ "email": EMAIL }), 202).await;
    let mail = mail_with(sink, "/ui/reset-password?token=").await;
    let reset = secrets.keep_mail(&mail);
    post("/auth/password/reset", "", json!({ "token": reset, "newPassword": SHORT }), 422).await;
    post("/auth/password/reset", "", json!({ "token": reset, "newPassword": THIRD }), 204).await;
    post("/auth/password/reset", "", json!({ "token": reset, "newPassword": WRONG }), 400).await;
    let last = secrets.keep(&post("/auth/login", "", login(THIRD), 200).await);
    keys_and_invitations(server, sink, secrets, &last.access).await;
    second_factors(server, secrets, &last, THIRD).await;
    post("/me/email", &last.access, json!({ "email": NEXT, "password": WRONG }), 403).await;
    post("/me/email", &last.access, json!({ "email": NEXT, "password": THIRD }), 202).await;
    let confirm = secrets.keep_mail(&mail_with(sink, "/ui/change-email?token=").await);
    assert_eq!(server.status(&format!("/ui/change-email?token={confirm}"), "").await, 200);
    post("/auth/change-email/confirm", "", json!({ "token": format!("{confirm}x") }), 400).await;
    post("/auth/change-email/confirm", "", json!({ "token": confirm }), 200).await;
    let undo = secrets.keep_mail(&mail_with(sink, "/ui/undo-email-change?token=").await);
    assert_eq!(server.status("/api/v1/me/export", &last.access).await, 200);
    post("/auth/change-email/undo", "", json!({ "token": undo }), 200).await;
    let again = secrets.keep_mail(&mail_after(sink, "/ui/reset-password?token=", &reset).await);
    post("/auth/password/reset", "", json!({ "token": again, "newPassword": THIRD }), 204).await;
    let last = secrets.keep(&post("/auth/login", "", login(THIRD), 200).await);
    let leaver = secrets.keep(&post("/auth/login", "", login(THIRD), 200).await);
    post("/auth/logout", &last.access, json!({}), 204).await;
    assert_eq!(server.status("/api/v1/me", &last.access).await, 401);
    post("/auth/signup", "", person(FIRST), 202).await;
    let erase = server.http.delete(format!("{}/api/v1/me", server.url)).bearer_auth(&leaver.access);
    assert_eq!(erase.json(&json!({ "password": THIRD })).send().await.unwrap().status(), 204);
}

/// Every use of an API key and of an invitation, refused ones too.
async fn keys_and_invitations(server: &Server, sink: &Sink, secrets: &mut Secrets, access: &str) {
    let accounts: Value = server.get("/api/v1/accounts", access).await.unwrap().json().await.unwrap();
    let account = format!("/api/v1/accounts/{}", accounts["items"][0]["id"].as_str().unwrap());
    let post = async |path: &str, bearer: &str, body: Value, wanted: u16| {
        let (status, reply) = server.post(path, bearer, &body).await;
        assert_eq!(status, wanted, "{path}: {reply}");
        reply
    };
    let keys = format!("{account}/api-keys");
    let body = json!({ "name": "Canary", "scopes": ["chat:read", "credentials:verify"] });
    let made = post(&keys, access, body, 201).await;
    let (first, id) = (made["key"].as_str().unwrap(), made["apiKey"]["id"].as_str().unwrap());
    let next = post(&format!("{keys}/{id}/rotate"), access, json!({ "overlapSeconds": 60 }), 201).await["key"].as_str().unwrap().to_owned();
    secrets.tokens.extend([first.to_owned(), next.clone()]);
    for key in [first, next.as_str()] {
        for (path, status) in [("/gateway/nginx?scope=chat:read", 204), ("/gateway/nginx?scope=x", 403), ("/gateway/envoy/-/x", 200), ("/api/v1/me", 403)] {
            assert_eq!(server.status(path, key).await, status, "{path}");
        }
        assert_eq!(server.status(&format!("/gateway/nginx?key={key}"), "").await, 401);
        assert_eq!(server.status(&format!("/gateway/envoy/{key}"), key).await, 403);
        assert_eq!(server.status(&format!("/{key}"), &format!("{key}x")).await, 404);
        assert_eq!(server.status("/gateway/nginx", &format!("{key}x")).await, 401);
        for (body, status) in [(json!({ "credential": key }), 200), (json!({ "credential": [key] }), 400), (json!({ "credential": key, "ip": key }), 422)] {
            post("/api/v1/verify", key, body, status).await;
        }
        let form = server.http.post(format!("{}/api/v1/introspect", server.url)).bearer_auth(key).body(format!("token={key}"));
        assert_eq!(form.header("content-type", "application/x-www-form-urlencoded").send().await.unwrap().status(), 200);
    }
    post("/api/v1/api-keys/leaked", "", json!({ "key": next }), 202).await;
    post("/api/v1/api-keys/leaked", "", json!({ "key": [next] }), 400).await;
    assert_eq!(server.status("/gateway/nginx", &next).await, 401);
    post(&format!("{account}/invitations"), access, json!({ "email": "guest@example.com", "role": "member" }), 201).await;
    let token = secrets.keep_mail(&mail_with(sink, "/ui/invitation?token=").await);
    assert_eq!(server.status(&format!("/ui/invitation?token={token}"), "").await, 200);
    post("/api/v1/invitations/accept", access, json!({ "token": token }), 403).await;
    post("/api/v1/invitations/sign-up", "", json!({ "token": token, "name": "Guest", "password": SHORT }), 422).await;
    post("/api/v1/invitations/sign-up", "", json!({ "token": token, "name": "Guest", "password": THIRD }), 201).await;
    post("/api/v1/invitations/sign-up", "", json!({ "token": token, "name": "Guest", "password": THIRD }), 400).await;
    // The host leaves later, who may not while others are there.
    let members: Value = server.get(&format!("{account}/members"), access).await.unwrap().json().await.unwrap();
    let guest = members["items"].as_array().unwrap().iter().find(|member| member["email"] == "guest@example.com").unwrap();
    let place = format!("{}{account}/members/{}", server.url, guest["userId"].as_str().unwrap());
    assert_eq!(server.http.delete(place).bearer_auth(access).send().await.unwrap().status(), 204);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_stands_in_log_or_database() {
    let folder = TempDir::new().unwrap();
    // Everything that the program itself can be made to say; `sqlx` included, whose statements carry values if anything does.
    // Mail leaves by SMTP, because the built-in mailbox of development keeps whole mails in the database.
    let sink = Sink::start();
    let server = Server::start(folder.path(), "a", &[("LOG", "debug,realmgate=trace"), ("SMTP_URL", &sink.url)]).await;
    let setup = std::fs::read_to_string(&server.err).unwrap();
    let mut secrets = Secrets::default();
    every_flow(&server, &sink, &mut secrets).await;
    let running = database(folder.path());
    let (out, err) = (server.out.clone(), server.err.clone());
    server.stop().await;
    let mut log = std::fs::read(out).unwrap();
    // The set-up link is shown there on purpose, once, before anything else.
    let said = std::fs::read_to_string(err).unwrap();
    log.extend(said.strip_prefix(setup.as_str()).unwrap().as_bytes());
    let files = [running, database(folder.path())].concat();

    // The search finds what is there: the log has its lines and the database its addresses.
    assert!(count(&log, "\"level\":\"DEBUG\"") > 0 && count(&log, "request_id") > 10);
    assert!(count(&files, EMAIL) > 0 && count(&files, "$argon2id$") > 0);
    assert!(secrets.tokens.len() > 10 && secrets.mailed.len() > 10, "{} and {}", secrets.tokens.len(), secrets.mailed.len());

    let tokens = secrets.tokens.iter().chain(&secrets.mailed).map(String::as_str);
    for secret in [FIRST, SECOND, THIRD, WRONG, SHORT].into_iter().chain(tokens) {
        assert_eq!(count(&log, secret), 0, "in the log: {secret}");
        assert_eq!(count(&files, secret), 0, "in the database: {secret}");
    }
    assert_eq!((count(&log, EMAIL), count(&log, NEXT)), (0, 0), "in the log: the addresses");
    assert!(!secrets.codes.is_empty() && secrets.codes.iter().all(|code| !has_code(&log, code)));
    assert!(has_code(b"code=123456,", "123456") && !has_code(b"0.123456Z", "123456"));
}

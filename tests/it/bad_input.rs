//! Bad input for every operation of the served document: each answer is a problem that names the field, never a fault of
//! ours, never an echo of what was sent. The table comes from the document, so that a new operation is asked by itself.

use std::collections::BTreeMap;

use poem::http::Method;
use serde_json::{Value, json};

use crate::{
    on_both,
    support::{
        Backend, PASSWORD, Reply, TestApp, User,
        spec::{Body, Operation, operations},
    },
};

/// Stands in every bad value; no answer may hold it.
const CANARY: &str = "canary7f3a9";

/// Asks one operation as its rightful caller would.
struct Asker<'a> {
    app: &'a TestApp,
    user: &'a User,
    operation: &'a Operation,
}

impl Asker<'_> {
    async fn send(&self, content_type: Option<&str>, body: impl Into<Vec<u8>>) -> Reply {
        let mut client = self.app.anonymous();
        if self.operation.bearer {
            client = client.bearer(&self.user.access);
        }
        let reply = client.send(self.operation.method.clone(), &self.operation.at("x"), content_type, body).await;
        let status = reply.status.as_u16();
        assert!(self.operation.statuses.contains(&status), "{}: {status} is not declared", self.operation.id);
        if status >= 400 {
            assert_is_problem(&reply);
        }
        reply
    }

    async fn json(&self, body: impl Into<Vec<u8>>) -> Reply {
        self.send(Some("application/json"), body).await
    }

    /// Refused with one of `statuses`, naming `fault` if there is one to name.
    async fn refused(&self, what: &str, body: impl Into<Vec<u8>>, statuses: &[u16], fault: Option<String>) {
        let reply = self.json(body).await;
        let context = format!("{} with {what}: {} {}", self.operation.id, reply.status, reply.text());
        assert!(statuses.contains(&reply.status.as_u16()), "{context}");
        if let Some(fault) = fault {
            assert!(reply.faults().contains(&fault), "no {fault}: {context}");
        }
    }
}

/// Everything that a problem must be (RFC 9457), and nothing that was sent.
fn assert_is_problem(reply: &Reply) {
    let (body, text) = (reply.json(), reply.text());
    assert_eq!(reply.header("content-type"), "application/problem+json", "{text}");
    for member in ["type", "title", "detail", "code", "requestId"] {
        assert!(body[member].as_str().is_some_and(|value| !value.is_empty()), "no {member}: {text}");
    }
    assert_eq!(body["type"], format!("urn:realmgate:error:{}", body["code"].as_str().unwrap()));
    assert_eq!(body["status"], reply.status.as_u16());
    assert_eq!(body["requestId"], reply.header("x-request-id"));
    assert!(reply.status.is_client_error(), "{text}");
    assert!(!text.contains(CANARY), "echoed: {text}");
    let known = ["type", "title", "status", "detail", "code", "requestId", "errors", "reason", "limit"];
    assert!(body.as_object().unwrap().keys().all(|name| known.contains(&name.as_str())), "{text}");
}

/// A body of the right shape, with nothing in it that is good.
fn shapely(body: &Body) -> Value {
    let field = |field: crate::support::spec::Field| {
        let value = match field.kind.as_str() {
            "boolean" => json!(false),
            "integer" => json!(0),
            "array" => json!([format!("{CANARY}@example.com")]),
            "any" => json!({}),
            _ => json!(format!("{CANARY}@example.com")),
        };
        (field.name, value)
    };
    Value::Object(body.fields().into_iter().map(field).collect())
}

fn with(body: &Body, name: &str, value: Value) -> String {
    let mut object = shapely(body);
    object[name] = value;
    object.to_string()
}

/// What each operation answers is written once here, so that both databases are asked the same.
async fn ask_every(app: &TestApp, ask: impl AsyncFn(Asker<'_>, &Body)) {
    let user = app.user("asker@example.com").await;
    // Operators' operations have bodies as well.
    let root = app.app().root().unwrap().account.to_string();
    app.place(&root, "localhost", &user.id, realmgate::domain::user::Role::Admin).await;
    let mut asked = 0;
    for operation in operations() {
        if let Some(body) = &operation.body {
            ask(Asker { app, user: &user, operation: &operation }, body).await;
            asked += 1;
        }
    }
    assert!(asked >= 10, "the document lost operations with bodies");
    // Nothing of all that reached a person's row or ended their session.
    let me = app.anonymous().bearer(&user.access).get("/api/v1/me").await.assert(200);
    assert!(!me.text().contains(CANARY) && me.at("/name") == "Test Person", "{}", me.text());
}

on_both!(a_field_that_no_operation_knows_is_named, |app| {
    ask_every(&app, async |asker, body| {
        asker.refused("an unknown field", with(body, "isAdmin", json!(CANARY)), &[400], Some("isAdmin:unknown".to_owned())).await;
        for column in ["id", "realmId", "realm_id", "userId", "status", "emailVerified", "email_verified_at", "role", "accountId", "passwordHash"] {
            if body.schema["properties"].get(column).is_none() {
                asker.refused(column, with(body, column, json!(CANARY)), &[400], Some(format!("{column}:unknown"))).await;
            }
        }
    })
    .await;
});

on_both!(a_missing_field_is_named, |app| {
    ask_every(&app, async |asker, body| {
        for field in body.fields().into_iter().filter(|field| field.required) {
            let mut object = shapely(body);
            object.as_object_mut().unwrap().remove(&field.name);
            asker.refused("a field left out", object.to_string(), &[400], Some(format!("{}:required", field.name))).await;
        }
    })
    .await;
});

on_both!(a_value_of_another_type_is_named_and_not_shown, |app| {
    ask_every(&app, async |asker, body| {
        let wrong =
            [json!(7_316_942), json!(1.5e300), json!(true), json!([CANARY]), json!([]), json!({ CANARY: CANARY }), json!({}), json!(CANARY), json!(null)];
        for field in body.fields() {
            for value in &wrong {
                let fits = match field.kind.as_str() {
                    "string" => value.is_string(),
                    "boolean" => value.is_boolean(),
                    "integer" => value.is_i64(),
                    "array" => value.as_array().is_some_and(|items| items.iter().all(Value::is_string)),
                    "any" => value.is_object() || value.is_null(),
                    other => panic!("a kind of field that this test does not know: {other}"),
                };
                if !(fits || value.is_null() && field.nullable) {
                    let reply = asker.json(with(body, &field.name, value.clone())).await.assert(400);
                    assert!(reply.faults().contains(&format!("{}:wrong_type", field.name)), "{} {value}: {}", asker.operation.id, reply.text());
                    assert!(!reply.text().contains("7316942"), "echoed");
                }
            }
        }
        for whole in ["[]", "7", "\"canary7f3a9\"", "true", "null", "[{}]"] {
            asker.refused(whole, whole, &[400], Some(":wrong_type".to_owned())).await;
        }
    })
    .await;
});

on_both!(nul_and_endless_strings_are_named, |app| {
    ask_every(&app, async |asker, body| {
        let endless = CANARY.repeat(1_048_576 / CANARY.len() + 1);
        let long = CANARY.repeat(4_800 / CANARY.len());
        for field in body.fields().into_iter().filter(|field| field.kind == "string") {
            let nul = with(body, &field.name, json!(format!("{CANARY}\0")));
            asker.refused("NUL", nul, &[422], Some(format!("{}:invalid_character", field.name))).await;
            asker.refused("a long string", with(body, &field.name, json!(long)), &[422], Some(format!("{}:too_long", field.name))).await;
            let reply = asker.json(with(body, &field.name, json!(endless))).await.assert_problem(413, "payload_too_large");
            assert!(reply.body.len() < 1_000);
        }
    })
    .await;
});

on_both!(what_is_no_json_is_refused, |app| {
    ask_every(&app, async |asker, body| {
        let good = shapely(body).to_string();
        let first = &body.fields()[0].name;
        let members = good.trim_start_matches('{').trim_end_matches('}');
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        let table: BTreeMap<&str, Vec<u8>> = BTreeMap::from([
            ("deep arrays", deep.clone().into()),
            ("a deep field", format!("{{\"{first}\":{deep},{members}}}").into()),
            ("deep objects", format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000)).into()),
            ("one key twice", format!("{{\"{first}\":\"{CANARY}\",{members}}}").into()),
            ("one unknown key twice", format!("{{\"x\":1,\"x\":1,{members}}}").into()),
            ("a high surrogate alone", format!(r#"{{"{first}":"{CANARY}\ud800"}}"#).into()),
            ("a low surrogate alone", format!(r#"{{"{first}":"\udc00{CANARY}"}}"#).into()),
            ("surrogates in the wrong order", format!(r#"{{"{first}":"\udc00\ud800"}}"#).into()),
            ("something after it", format!("{good}{CANARY}").into()),
            ("a second value", format!("{good}{good}").into()),
            ("no end", good[..good.len() - 1].into()),
            ("a comma too many", format!("{{{members},}}").into()),
            ("single quotes", good.replace('"', "'").into()),
            ("a comment", format!("/* {CANARY} */{good}").into()),
            ("not a number", format!("{{\"{first}\":NaN}}").into()),
            ("bad UTF-8", [b"{\"", first.as_bytes(), b"\":\"", &[0xff, 0xfe][..], b"\"}"].concat()),
            ("a mark of byte order", [&[0xef, 0xbb, 0xbf][..], good.as_bytes()].concat()),
            ("UTF-16", good.encode_utf16().flat_map(u16::to_le_bytes).collect()),
            ("a line end in a string", format!("{{\"{first}\":\"{CANARY}\n\"}}").into()),
            ("white space alone", b"   ".to_vec()),
            ("plain words", CANARY.into()),
        ]);
        for (what, bytes) in table {
            let reply = asker.json(bytes).await;
            assert_eq!((reply.status.as_u16(), reply.at("/code").as_str()), (400, "malformed_json"), "{} with {what}: {}", asker.operation.id, reply.text());
        }
    })
    .await;
});

on_both!(bodies_must_be_there_and_be_json, |app| {
    ask_every(&app, async |asker, body| {
        let good = shapely(body).to_string();
        if body.required {
            for content_type in [Some("application/json"), None] {
                let reply = asker.send(content_type, "").await.assert_problem(400, "invalid_request");
                assert_eq!(reply.faults(), [":required"]);
            }
        }
        for other in [
            None,
            Some("text/plain"),
            Some("application/x-www-form-urlencoded"),
            Some("multipart/form-data; boundary=x"),
            Some("application/xml"),
            Some("application/jsonx"),
            Some("text/json"),
            Some("json"),
            Some("canary7f3a9"),
        ] {
            let reply = asker.send(other, good.clone()).await;
            assert_eq!(reply.status.as_u16(), 415, "{} with {other:?}: {}", asker.operation.id, reply.text());
            assert_eq!(reply.at("/code"), "unsupported_media_type");
        }
        // What is JSON by its name is read: these fail later, for what they hold.
        for json in ["application/json; charset=utf-8", "APPLICATION/JSON", "application/merge-patch+json"] {
            let reply = asker.send(Some(json), "[]").await.assert(400);
            assert_eq!(reply.faults(), [":wrong_type"]);
        }
    })
    .await;
});

on_both!(several_faults_are_told_at_once, |app| {
    let body = json!({ "name": 1, "email": ["a"], "nick": CANARY });
    let reply = app.anonymous().post("/api/v1/auth/signup", &body).await.assert_problem(400, "invalid_request");
    let mut faults = reply.faults();
    faults.sort();
    assert_eq!(faults, ["email:wrong_type", "name:wrong_type", "nick:unknown", "password:required"]);
    let body = json!({ "name": " ", "email": "no address", "password": "short", "phone": "call me" });
    let reply = app.anonymous().post("/api/v1/auth/signup", &body).await.assert_problem(422, "validation_failed");
    let mut fields: Vec<String> = reply.faults().iter().map(|fault| fault.split(':').next().unwrap().to_owned()).collect();
    fields.sort();
    assert_eq!(fields, ["email", "name", "password", "phone"]);
});

on_both!(a_form_a_query_or_a_path_can_be_any_rubbish, |app| {
    let user = app.user("ada@example.com").await;
    let client = app.anonymous().bearer(&user.access);
    for id in ["x", "%00", "..%2f..%2fetc", "%ff%fe", "%F0%28%8C%28", "0", "-1", "'%20OR%201=1--", "%7B%7B7*7%7D%7D", "00000000-0000-0000-0000-000000000000"] {
        client.delete(&format!("/api/v1/me/sessions/{id}")).await.assert_problem(404, "not_found");
    }
    client.delete(&format!("/api/v1/me/sessions/{}", "a".repeat(8_000))).await.assert_problem(404, "not_found");
    for query in ["token=%00", "token=%ff", "token[]=a", "token=a&token=b", "realm=%00", "realm=..", "=", "&&&", "%"] {
        for page in ["/ui/verify-email", "/ui/reset-password", "/ui/change-email", "/ui/undo-email-change", "/ui/setup", "/dev/mailbox/messages"] {
            let reply = app.anonymous().send(Method::GET, &format!("{page}?{query}"), None, "").await;
            assert!(!reply.status.is_server_error(), "{page}?{query}: {}", reply.text());
        }
    }
    for body in [&b"token=%00&csrf=%00"[..], b"\xff\xfe", b"", b"token=a&token=b", b"{\"token\":1}"] {
        for page in [
            "/ui/verify-email",
            "/ui/verify-email/resend",
            "/ui/reset-password",
            "/ui/forgot-password",
            "/ui/change-email",
            "/ui/undo-email-change",
            "/ui/setup",
        ] {
            for content_type in [Some("application/x-www-form-urlencoded"), Some("text/plain"), None] {
                let reply = app.anonymous().send(Method::POST, page, content_type, body).await;
                assert!(reply.status.is_client_error(), "{page}: {}", reply.status);
                assert!(reply.header("content-type").starts_with("text/html"), "{page}");
            }
        }
    }
});

#[tokio::test]
async fn nothing_that_was_refused_is_half_written() {
    let app = TestApp::on(Backend::Sqlite).await.unwrap();
    let good = json!({ "name": "A", "email": "half@example.com", "password": PASSWORD });
    for (field, value) in [("name", json!("a\r\nb")), ("company", json!("a\0b")), ("phone", json!("x")), ("country", json!(7))] {
        let mut body = good.clone();
        body[field] = value;
        assert!(app.anonymous().post("/api/v1/auth/signup", &body).await.status.is_client_error());
    }
    app.run_jobs().await;
    assert!(app.mails("half@example.com").await.is_empty());
    app.anonymous().log_in("half@example.com", PASSWORD).await.assert_problem(401, "invalid_credentials");
}

on_both!(an_address_is_one_plain_address, |app| {
    let two =
        ["a@example.com,b@example.com", "a@example.com b@example.com", "a@example.com;b@example.com", "a@b@example.com", "a@example.com\r\nBcc: b@example.com"];
    let shown = [
        "\"a b\"@example.com",
        "Ada <a@example.com>",
        "a(b)@example.com",
        "a@[127.0.0.1]",
        "a@127.0.0.1",
        "a@example.com.",
        "a@-x.com",
        "@example.com",
        "a@",
        "a",
    ];
    let look_alike = [
        "\u{0430}da@example.com",
        "ada\u{200b}@example.com",
        "ada\u{ff20}example.com",
        "ada@exam\u{2024}ple.com\u{2025}",
        "\u{202e}ada@example.com",
        "ad\u{e1}@example.com",
    ];
    for email in two.into_iter().chain(shown).chain(look_alike) {
        for (path, body) in [
            ("signup", json!({ "name": "N", "email": email, "password": PASSWORD })),
            ("verify-email/resend", json!({ "email": email })),
            ("password/forgot", json!({ "email": email })),
        ] {
            let reply = app.anonymous().post(&format!("/api/v1/auth/{path}"), &body).await.assert_problem(422, "validation_failed");
            assert_eq!(reply.faults(), ["email:invalid_email"], "{path} {email:?}");
            let own_words = reply.text().replace("`ada@example.com`", "");
            assert!(email.len() < 3 || !own_words.contains(email), "echoed: {own_words}");
        }
        // To strangers an address that can't exist is one that nobody has.
        let reply = app.anonymous().log_in(email, PASSWORD).await;
        assert!([401, 422].contains(&reply.status.as_u16()) && (email.len() < 3 || !reply.text().contains(email)), "{email:?}: {}", reply.text());
    }
    app.run_jobs().await;
    assert!(realmgate::store::mailbox::list(&app.app().db.read, None, 10).await.unwrap().is_empty(), "a mail went out");
});

on_both!(a_look_alike_domain_is_another_domain, |app| {
    app.user("ada@example.com").await;
    // A Cyrillic а: punycode, not `example.com`.
    app.anonymous().sign_up("ada@ex\u{0430}mple.com", PASSWORD).await.assert(202);
    app.run_jobs().await;
    assert_eq!(app.mails("ada@xn--exmple-4nf.com").await.len(), 1);
    assert_eq!(app.mails("ada@example.com").await.len(), 1, "the mail of the first sign-up alone");
    // Full-width letters are the same letters: this is Ada's own address, and only she hears of it.
    let reply = app.anonymous().sign_up(" ADA@\u{ff45}xample.com ", PASSWORD).await.assert(202);
    assert_eq!(reply.at("/user/email"), "ada@example.com");
    app.run_jobs().await;
    assert_eq!(app.mails("ada@example.com").await.len(), 2);
});

on_both!(names_forge_neither_headers_nor_pages, |app| {
    for bad in ["Ada\r\nBcc: eve@example.com", "Ada\nSubject: x", "Ada\r", "a\u{2028}b", "\u{202e}adA", "\u{1b}[31mAda", "a\tb"] {
        let inside = format!("x{bad}y");
        for field in ["name", "company", "country"] {
            let mut body = json!({ "name": "Ada", "email": "ada@example.com", "password": PASSWORD });
            body[field] = json!(inside);
            let reply = app.anonymous().post("/api/v1/auth/signup", &body).await.assert_problem(422, "validation_failed");
            assert_eq!(reply.faults(), [format!("{field}:invalid_character")], "{inside:?}");
        }
    }
    let name = "<b>x</b><script>alert(1)</script> {{7*7}} {% raw %} ${7*7} \"' http://evil.example &lt;";
    let body = json!({ "name": name, "email": "ada@example.com", "password": PASSWORD });
    app.anonymous().post("/api/v1/auth/signup", &body).await.assert(202);
    app.run_jobs().await;
    let mail = app.last_mail("ada@example.com").await;
    let plain = app.anonymous().sign_up("bob@example.com", PASSWORD).await.assert(202);
    app.run_jobs().await;
    let other = app.last_mail("bob@example.com").await;
    assert_eq!((&mail.0.subject, &mail.0.sender), (&other.0.subject, &other.0.sender), "{}", plain.text());
    for part in [&mail.0.html, &mail.0.text] {
        assert!(part.contains("{{7*7}}") && part.contains("${7*7}") && !part.contains("49 "), "a template ran: {part}");
        assert!(!part.contains("http://evil.example") && !part.contains("//evil.example"), "a link was made: {part}");
    }
    assert!(!mail.0.html.contains("<script") && !mail.0.html.contains("<b>"), "{}", mail.0.html);
    assert_eq!(mail.0.html.matches("href=").count(), other.0.html.matches("href=").count());
    let page = app.anonymous().get("/dev/mailbox?to=ada@example.com").await.assert(200).text();
    assert!(!page.contains("<script"), "{page}");
    // To programs the name is what the person wrote.
    app.anonymous().post("/api/v1/auth/verify-email", &json!({ "token": mail.token() })).await.assert(200);
    let ada = app.anonymous().log_in("ada@example.com", PASSWORD).await.assert(200);
    assert_eq!(ada.at("/user/name"), name);
});

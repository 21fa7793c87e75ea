//! What keeps the pages safe: forms of other sites do nothing, what people typed comes back harmless, nothing is kept or
//! framed, and development pages exist in development only.

use realmgate::{config::Profile, service::installation};
use serde_json::json;

use crate::{
    on_both,
    support::{
        Backend, PASSWORD, Reply, TestApp,
        browser::{Form, assert_page, encoded, followed, open, reset_link, setup_path, signed_up},
    },
};

const EMAIL: &str = "ada@example.com";
const NEW_PASSWORD: &str = "another harbour otter";
const GONE: &str = "This link no longer works";
const DONE: &str = "E-mail address confirmed";
const SCRIPT: &str = "\"><script>alert(1)</script>";

on_both!(a_form_that_no_page_of_ours_posted_does_nothing, |app| {
    app.realm("acme.example.com").await;
    let link = signed_up(&app, "localhost", EMAIL).await;
    let client = app.anonymous();
    let form = open(&client, &link).await;
    let stranger = open(&client, &link).await;
    assert_ne!(form.cookie, stranger.cookie);
    let other_realm = Form::of(&form.own(&client).get("/ui/verify-email?realm=acme.example.com").await.assert(200), &form.cookie);
    let (mac, _) = form.csrf.split_once('.').unwrap();
    let spliced = format!("{mac}.acme.example.com");
    let (other_mac, _) = other_realm.csrf.split_once('.').unwrap();
    let spliced_back = format!("{other_mac}.localhost");
    let own = form.own(&client);
    let refused = [
        (own.clone().header("origin", "https://evil.example"), form.csrf.as_str()),
        (own.clone().header("origin", "https://127.0.0.1:8080"), &form.csrf),
        (own.clone().header("origin", "http://127.0.0.1:8081"), &form.csrf),
        (own.clone().header("origin", "null").header("sec-fetch-site", "cross-site"), &form.csrf),
        (own.clone().without("sec-fetch-site").header("origin", "null"), &form.csrf),
        (own.clone().without("sec-fetch-site").without("origin"), &form.csrf),
        (own.clone().header("sec-fetch-site", "cross-site"), &form.csrf),
        (own.clone().header("sec-fetch-site", "same-site"), &form.csrf),
        (own.clone().header("sec-fetch-site", "none"), &form.csrf),
        (own.clone().header("cookie", ""), &form.csrf),
        (own.clone().header("cookie", &stranger.cookie), &form.csrf),
        (own.clone(), &stranger.csrf),
        (own.clone(), ""),
        (own.clone(), "x"),
        (own.clone(), ".localhost"),
        (own.clone(), &spliced),
        (own.clone(), &spliced_back),
    ];
    for (at, (sender, csrf)) in refused.iter().enumerate() {
        let reply = sender.form("/ui/verify-email", &[("csrf", csrf), ("token", &form.token)]).await;
        assert_eq!(reply.status, 403, "case {at}");
        assert_page(reply, 403, "This form did not come from this site");
    }
    // Without the field at all.
    assert_page(own.form("/ui/verify-email", &[("token", &form.token)]).await, 403, "did not come from this site");
    // An honest form of another realm acts there, where this token means nothing.
    assert_page(own.form("/ui/verify-email", &[("csrf", &other_realm.csrf), ("token", &form.token)]).await, 400, GONE);
    client.log_in(EMAIL, PASSWORD).await.assert_problem(403, "email_not_verified");
    assert_page(form.post(&client, "/ui/verify-email", &[]).await, 200, DONE);
});

on_both!(every_form_asks_where_it_comes_from, |app| {
    let ada = app.user(EMAIL).await;
    let reset = reset_link(&app, "localhost", EMAIL).await;
    let setup = setup_path(&app).await;
    let client = app.anonymous();
    let before = app.mails(EMAIL).await.len();
    let fields = [("email", EMAIL), ("name", "Eve"), ("password", NEW_PASSWORD)];
    for (shown, posted) in [
        ("/ui/verify-email?token=x", "/ui/verify-email"),
        ("/ui/verify-email?token=x", "/ui/verify-email/resend"),
        (reset.as_str(), "/ui/reset-password"),
        ("/ui/forgot-password", "/ui/forgot-password"),
        ("/ui/change-email?token=x", "/ui/change-email"),
        ("/ui/undo-email-change?token=x", "/ui/undo-email-change"),
        (setup.as_str(), "/ui/setup"),
    ] {
        let form = open(&client, shown).await;
        let mut all = vec![("csrf", form.csrf.as_str()), ("token", form.token.as_str())];
        all.extend(fields);
        let foreign = form.own(&client).header("origin", "https://evil.example").header("sec-fetch-site", "cross-site");
        assert_page(foreign.form(posted, &all).await, 403, "did not come from this site");
        let no_cookie = form.own(&client).header("cookie", "other=1");
        assert_page(no_cookie.form(posted, &all).await, 403, "did not come from this site");
        // JSON that pretends to be text, the classic way around a preflight.
        let body = json!({ "csrf": form.csrf, "token": form.token }).to_string();
        let reply = form.own(&client).send(poem::http::Method::POST, posted, Some("text/plain"), body).await;
        assert!(reply.status.is_client_error(), "{posted}: {}", reply.status);
    }
    app.run_jobs().await;
    assert_eq!(app.mails(EMAIL).await.len(), before, "no form asked for a mail");
    client.bearer(&ada.access).get("/api/v1/me").await.assert(200);
    assert_page(app.anonymous().get(&reset).await, 200, "Choose a new password");
    let form = open(&app.anonymous(), &reset).await;
    assert_page(form.post(&app.anonymous(), "/ui/reset-password", &[("password", NEW_PASSWORD)]).await, 200, "Password changed");
    assert!(installation::setup_link(app.app()).await.unwrap().is_some(), "the set-up link is still good");
});

on_both!(the_form_cookie_is_out_of_reach_of_scripts_and_other_sites, |app| {
    let page = app.anonymous().get("/ui/forgot-password").await.assert(200);
    let cookie = page.header("set-cookie");
    let (pair, attributes) = cookie.split_once("; ").unwrap();
    assert!(pair.starts_with("realmgate_form=") && pair.len() > "realmgate_form=".len() + 20, "{pair}");
    let mut attributes: Vec<_> = attributes.split("; ").collect();
    attributes.sort_unstable();
    assert_eq!(attributes, ["HttpOnly", "Path=/", "SameSite=Strict"]);
    let again = app.anonymous().header("cookie", pair).get("/ui/forgot-password").await.assert(200);
    assert_eq!(again.header("set-cookie"), "", "a browser keeps the cookie that it has");
});

/// A node as strangers meet it, on every database there is.
async fn production() -> Vec<TestApp> {
    let mut all = Vec::new();
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let change = |settings: &mut realmgate::config::Settings| {
            settings.profile = Profile::Production;
            settings.public_url = "https://id.example.com".to_owned();
        };
        all.extend(TestApp::with(backend, change).await);
    }
    assert!(!all.is_empty());
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls_the_cookie_is_bound_to_the_host_and_the_form_works() {
    for app in production().await {
        let link = signed_up(&app, "localhost", EMAIL).await;
        let client = app.anonymous().header("host", "id.example.com");
        let page = client.get(&link).await.assert(200);
        assert!(page.header("strict-transport-security").starts_with("max-age="), "{:?}", page.headers);
        let cookie = page.header("set-cookie");
        let (pair, attributes) = cookie.split_once("; ").unwrap();
        assert!(pair.starts_with("__Host-realmgate_form="), "{pair}");
        let mut attributes: Vec<_> = attributes.split("; ").collect();
        attributes.sort_unstable();
        assert_eq!(attributes, ["HttpOnly", "Path=/", "SameSite=Strict", "Secure"]);
        let form = Form::of(&page, "");
        let fields = [("csrf", form.csrf.as_str()), ("token", form.token.as_str())];
        let plain = form.own(&client).header("origin", "http://id.example.com");
        assert_page(plain.form("/ui/verify-email", &fields).await, 403, "did not come from this site");
        // The prefix is what a foreign subdomain can't set: a cookie without it counts for nothing.
        let own = form.own(&client).header("origin", "https://id.example.com");
        let unprefixed = own.clone().header("cookie", form.cookie.trim_start_matches("__Host-"));
        assert_page(unprefixed.form("/ui/verify-email", &fields).await, 403, "did not come from this site");
        let done = followed(&client, own.form("/ui/verify-email", &fields).await).await;
        assert_page(done, 200, DONE);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn production_has_no_development_pages() {
    for app in production().await {
        signed_up(&app, "localhost", EMAIL).await;
        for path in ["/dev/mailbox", "/dev/mailbox/messages", "/dev/mailbox/messages?to=ada@example.com", "/dev/", "/dev"] {
            let reply = app.anonymous().get(path).await.assert_problem(404, "not_found");
            assert!(!reply.text().contains(EMAIL) && !reply.text().contains("token="));
        }
    }
}

/// The text came back, but not as markup.
#[track_caller]
fn assert_harmless(reply: &Reply, echoed: bool) {
    let html = reply.text();
    assert!(!html.contains("<script"), "{html}");
    assert!(!html.contains("value=\"\"><"), "{html}");
    assert_eq!(html.contains("&lt;script"), echoed, "{html}");
}

on_both!(what_people_typed_comes_back_harmless, |app| {
    let client = app.anonymous();
    let bad = encoded(SCRIPT);
    for path in ["/ui/verify-email", "/ui/reset-password", "/ui/change-email", "/ui/undo-email-change", "/ui/setup"] {
        let page = client.get(&format!("{path}?token={bad}")).await.assert(200);
        assert_harmless(&page, true);
        let realm = client.get(&format!("{path}?token=x&realm={bad}")).await;
        assert_harmless(&realm, false);
    }
    let form = open(&client, "/ui/forgot-password").await;
    assert_harmless(&form.post(&client, "/ui/forgot-password", &[("email", SCRIPT)]).await.assert(422), true);
    assert_harmless(&form.post(&client, "/ui/verify-email/resend", &[("email", SCRIPT)]).await.assert(400), true);
    let form = open(&client, &setup_path(&app).await).await;
    let typed = [("name", SCRIPT), ("email", SCRIPT), ("password", SCRIPT)];
    assert_harmless(&form.post(&client, "/ui/setup", &typed).await.assert(400), true);
    let form = open(&client, "/ui/reset-password?token=x").await;
    let crooked = Form { token: SCRIPT.to_owned(), ..form };
    assert_harmless(&crooked.post(&client, "/ui/reset-password", &[("password", "short")]).await, false);
    assert_harmless(&client.get(&format!("/ui/{bad}")).await.assert(404), false);
    assert_harmless(&client.get(&format!("/dev/mailbox?to={bad}")).await.assert(200), true);
    // A name is foreign text in a mail too, and in the page that shows the mail.
    let body = json!({ "name": "<script>alert(1)</script>", "email": EMAIL, "password": PASSWORD });
    client.post("/api/v1/auth/signup", &body).await.assert(202);
    app.run_jobs().await;
    let mail = app.last_mail(EMAIL).await;
    assert!(!mail.0.html.contains("<script"), "{}", mail.0.html);
    let shown = client.get(&format!("/dev/mailbox?id={}", mail.0.id)).await.assert(200);
    assert!(!shown.text().contains("<script"), "{}", shown.text());
});

on_both!(pages_are_never_kept_framed_or_allowed_scripts, |app| {
    let setup = setup_path(&app).await;
    let client = app.anonymous();
    let pages = [
        "/ui/verify-email?token=x",
        "/ui/change-email?token=x",
        "/ui/undo-email-change?token=x",
        "/ui/reset-password?token=x",
        "/ui/reset-password",
        "/ui/forgot-password",
        "/ui/magic-link?token=x",
        "/ui/not-me?token=x",
        setup.as_str(),
        "/ui/none",
        "/dev/mailbox",
    ];
    for path in pages {
        let page = client.get(path).await;
        assert_eq!(page.header("cache-control"), "no-store", "{path}");
        assert_eq!(page.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(page.header("referrer-policy"), "no-referrer", "{path}");
        let policy = page.header("content-security-policy");
        let directives: Vec<_> = policy.split("; ").collect();
        for wanted in ["default-src 'none'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"] {
            assert!(directives.contains(&wanted), "{path}: {policy}");
        }
        assert!(!policy.contains("script"), "{path}: {policy}");
        assert!(path == "/dev/mailbox" || !policy.contains("unsafe"), "{path}: {policy}");
        assert!(!page.text().contains("<script") && !page.text().contains("http://") && !page.text().contains("https://"), "{path}: {}", page.text());
    }
    let html = client.get("/ui/forgot-password").await.text();
    let (_, rest) = html.split_once("<link rel=\"stylesheet\" href=\"").unwrap();
    let href = rest.split('"').next().unwrap().replace("&#x2f;", "/");
    let style = client.get(&href).await.assert(200);
    assert_eq!(style.header("content-type"), "text/css; charset=utf-8");
    assert!(style.header("cache-control").contains("immutable"));
});

on_both!(errors_below_ui_are_pages, |app| {
    let client = app.anonymous();
    assert_page(client.get("/ui/none").await, 404, "There is no such page");
    assert_page(client.get("/ui/verify-email/none?token=abc").await, 404, "There is no such page");
    let wrong = assert_page(client.delete("/ui/verify-email").await, 405, "That did not work");
    assert_eq!(wrong.header("allow"), "GET, POST");
    assert_page(client.get("/ui/verify-email?token=x&realm=none.example.com").await, 404, "There is no such realm");
    client.get("/api/v1/none").await.assert_problem(404, "not_found");
});

on_both!(the_development_mailbox_lists_mails_and_filters_them, |app| {
    for email in [EMAIL, "bob@example.com"] {
        app.anonymous().sign_up(email, PASSWORD).await.assert(202);
        app.run_jobs().await;
    }
    let all = app.anonymous().get("/dev/mailbox/messages").await.assert(200);
    assert_eq!(all.header("cache-control"), "no-store");
    let json = all.json();
    assert_eq!(json.as_object().unwrap().keys().collect::<Vec<_>>(), ["items"]);
    let to: Vec<_> = json["items"].as_array().unwrap().iter().map(|item| item["to"].as_str().unwrap()).collect();
    assert_eq!(to, ["bob@example.com", EMAIL], "newest first");
    let one = app.anonymous().get("/dev/mailbox/messages?to=Ada@Example.com").await.assert(200).json();
    assert_eq!(one["items"].as_array().unwrap().len(), 1);
    let item = one["items"][0].as_object().unwrap();
    let mut keys: Vec<_> = item.keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["createdAt", "html", "id", "subject", "text", "to"]);
    let mail = app.last_mail(EMAIL).await;
    assert_eq!((item["id"].as_str().unwrap(), item["text"].as_str().unwrap()), (mail.0.id.to_string().as_str(), mail.0.text.as_str()));
    let at = chrono::DateTime::parse_from_rfc3339(item["createdAt"].as_str().unwrap()).unwrap();
    assert_eq!(at, mail.0.created_at);
    assert!(item["text"].as_str().unwrap().contains(&mail.link()) && item["html"].as_str().unwrap().starts_with("<!doctype html>"));
    assert_page(app.anonymous().get("/dev/mailbox?to=bob@example.com").await, 200, "bob@example.com");
    let none = app.anonymous().get("/dev/mailbox/messages?to=nobody@example.com").await.assert(200).json();
    assert_eq!(none["items"], json!([]));
});

//! What keeps a browser's session its owner's: its cookie, its forms, its redirects (security rows S8, S12, S13, I15).

use realmgate::{config::Profile, domain::realm::RealmSettings};

use crate::{
    on_both,
    support::{
        Backend, PASSWORD, TestApp,
        browser::{assert_page, encoded},
        tab::Tab,
    },
};

const EMAIL: &str = "ada@example.com";

on_both!(a_sign_in_begins_a_new_session_and_ends_the_one_before, |app| {
    app.user(EMAIL).await;
    // A cookie that somebody planted is replaced, whatever it says.
    let mut tab = Tab::new(app.anonymous());
    tab.cookies.insert("realmgate_session".to_owned(), format!("{}.localhost", "A".repeat(64)));
    tab.sign_in(EMAIL, PASSWORD).await.assert(303);
    let first = tab.session().unwrap().to_owned();
    assert!(!first.starts_with("AAAA"));
    // A second tab that still shows the form signs in once more: a new id, and the old one is dead.
    let mut before = Tab::new(app.anonymous());
    before.get("/ui/sign-in").await.assert(200);
    let mut again = tab.clone();
    again.cookies.insert("realmgate_form".to_owned(), before.cookies["realmgate_form"].clone());
    again.csrf = before.csrf.clone();
    again.post("/ui/sign-in", &[("email", EMAIL), ("password", PASSWORD)]).await.assert(303);
    assert_ne!(again.session().unwrap(), first);
    again.get("/ui/account").await.assert(200);
    tab.get("/ui/account").await.assert(303);
    // A failed one changes nothing.
    let mut failed = again.clone();
    failed.cookies.insert("realmgate_form".to_owned(), before.cookies["realmgate_form"].clone());
    failed.csrf = before.csrf.clone();
    failed.post("/ui/sign-in", &[("email", EMAIL), ("password", "not the password")]).await.assert(422);
    again.get("/ui/account").await.assert(200);
});

on_both!(a_cookie_is_no_token_and_a_token_no_cookie, |app| {
    let ada = app.user(EMAIL).await;
    let mut tab = Tab::new(app.anonymous());
    tab.sign_in(EMAIL, PASSWORD).await.assert(303);
    let cookie = tab.session().unwrap().to_owned();
    let (token, _) = cookie.split_once('.').unwrap();
    for bearer in [token, &cookie] {
        app.anonymous().bearer(bearer).get("/api/v1/me").await.assert_problem(401, "invalid_access_token");
        app.anonymous().refresh(bearer).await.assert_problem(401, "invalid_refresh_token");
    }
    // The API does not look at cookies.
    tab.own().get("/api/v1/me").await.assert_problem(401, "missing_credential");
    for value in [ada.refresh.clone(), ada.access, format!("{}.localhost", ada.refresh), format!("{token}."), format!("{token}.localhost.localhost")] {
        tab.cookies.insert("realmgate_session".to_owned(), value);
        tab.get("/ui/account").await.assert(303);
    }
    // No byte of it may be another.
    for at in [0, 20, 30, 63] {
        let mut bytes = cookie.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        tab.cookies.insert("realmgate_session".to_owned(), String::from_utf8(bytes).unwrap());
        tab.get("/ui/account").await.assert(303);
    }
    tab.cookies.insert("realmgate_session".to_owned(), cookie);
    tab.get("/ui/account").await.assert(200);
});

on_both!(forms_of_others_do_nothing, |app| {
    let ada = app.user(EMAIL).await;
    app.user("eve@example.com").await;
    let mut tab = Tab::new(app.anonymous());
    tab.sign_in(EMAIL, PASSWORD).await.assert(303);
    tab.get("/ui/account").await.assert(200);
    let mut eve = Tab::new(app.anonymous());
    eve.sign_in("eve@example.com", PASSWORD).await.assert(303);
    eve.get("/ui/account").await.assert(200);
    let end = ada.session.as_str();
    let posts: [(&str, &[(&str, &str)]); 11] = [
        ("/ui/sign-in", &[("email", "eve@example.com"), ("password", PASSWORD)]),
        ("/ui/sign-up", &[("name", "Eve"), ("email", "x@example.com"), ("password", PASSWORD)]),
        ("/ui/verify-email/code", &[("email", EMAIL), ("code", "123456")]),
        ("/ui/sign-out", &[]),
        ("/ui/account/profile", &[("name", "Eve")]),
        ("/ui/account/password", &[("currentPassword", PASSWORD), ("newPassword", "planted by somebody else")]),
        ("/ui/account/email", &[("email", "eve2@example.com"), ("password", PASSWORD)]),
        ("/ui/account/export", &[]),
        ("/ui/account/erase", &[("password", PASSWORD)]),
        ("/ui/account/sessions/end", &[("id", end)]),
        ("/ui/account/sessions/end-all", &[]),
    ];
    for (path, fields) in posts {
        let session_form = path.starts_with("/ui/account") || path == "/ui/sign-out";
        let own = || tab.own();
        let mut senders = vec![
            ("cross-site", own().header("origin", "https://evil.example").header("sec-fetch-site", "cross-site"), tab.csrf.as_str()),
            ("same site", own().header("sec-fetch-site", "same-site"), &tab.csrf),
            ("foreign origin", own().header("origin", "https://evil.example"), &tab.csrf),
            ("no word of where it is from", own().without("origin").without("sec-fetch-site"), &tab.csrf),
            ("sandboxed", own().without("sec-fetch-site"), &tab.csrf),
            ("no token", own(), ""),
            ("another person's token", own(), &eve.csrf),
        ];
        if session_form {
            // This browser's own token, as it stood before the sign-in.
            let mut stale = tab.clone();
            stale.cookies.insert("realmgate_session".to_owned(), eve.session().unwrap().to_owned());
            senders.push(("a session that is another's by now", stale.own(), &tab.csrf));
        }
        for (case, sender, csrf) in senders {
            let all: Vec<_> = [("csrf", csrf)].into_iter().chain(fields.iter().copied()).collect();
            let reply = sender.form(path, &all).await;
            assert_eq!(reply.status, 403, "{path}: {case}: {}", reply.text());
            assert!(!reply.headers.contains_key("set-cookie"), "{path}: {case}");
        }
        let json = tab.own().send(poem::http::Method::POST, path, Some("text/plain"), "{\"csrf\":\"x\"}").await;
        assert!(matches!(json.status.as_u16(), 400 | 415), "{path}: {}", json.status);
        let unknown: Vec<_> = [("csrf", tab.csrf.as_str()), ("isAdmin", "true")].into_iter().chain(fields.iter().copied()).collect();
        tab.own().form(path, &unknown).await.assert(400);
    }
    tab.get("/ui/account").await.assert(200);
    let me = app.anonymous().bearer(&ada.access).get("/api/v1/me").await.assert(200);
    assert_eq!(me.at("/name"), "Test Person");
    app.anonymous().log_in(EMAIL, PASSWORD).await.assert(200);
});

/// A node that is reached over TLS, on every database there is.
async fn over_tls() -> Vec<TestApp> {
    let mut all = Vec::new();
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let change = |settings: &mut realmgate::config::Settings| {
            settings.profile = Profile::Production;
            settings.public_url = "https://id.example.com".to_owned();
        };
        all.extend(TestApp::with(backend, change).await);
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cookies_are_bound_to_the_host_and_out_of_reach_of_scripts() {
    for app in over_tls().await {
        app.user(EMAIL).await;
        let mut tab = Tab::new(app.anonymous().header("host", "id.example.com"));
        tab.get("/ui/sign-in").await.assert(200);
        let reply = tab.post("/ui/sign-in", &[("email", EMAIL), ("password", PASSWORD)]).await.assert(303);
        assert!(reply.header("strict-transport-security").starts_with("max-age="));
        let set: Vec<_> = reply.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap()).collect();
        let session = set.iter().find(|value| value.starts_with("__Host-realmgate_session=")).unwrap();
        assert!(session.len() < 4096, "{session}");
        let mut attributes: Vec<_> = session.split("; ").skip(1).collect();
        attributes.sort_unstable();
        assert_eq!(attributes, ["HttpOnly", "Max-Age=604800", "Path=/", "SameSite=Lax", "Secure"]);
        tab.get("/ui/account").await.assert(200);
        // Without the prefix anybody on a neighbouring host could have set it.
        let value = tab.cookies.remove("__Host-realmgate_session").unwrap();
        tab.cookies.insert("realmgate_session".to_owned(), value);
        tab.get("/ui/account").await.assert(303);
    }
}

on_both!(pages_of_a_person_are_never_kept_or_framed, |app| {
    app.user(EMAIL).await;
    let mut tab = Tab::new(app.anonymous());
    let mut seen = vec![tab.get("/ui/sign-up").await, tab.get("/ui/verify-email/code").await, tab.get("/ui/sign-in").await];
    seen.push(tab.post("/ui/sign-in", &[("email", EMAIL), ("password", "wrong wrong wrong")]).await);
    seen.push(tab.post("/ui/sign-in", &[("email", EMAIL), ("password", PASSWORD)]).await);
    seen.extend([tab.get("/ui/account").await, tab.get("/ui/sign-out").await]);
    seen.push(tab.post("/ui/account/profile", &[("name", "")]).await);
    for reply in seen {
        assert_eq!(reply.header("cache-control"), "no-store");
        assert_eq!(reply.header("referrer-policy"), "no-referrer");
        assert_eq!(reply.header("x-content-type-options"), "nosniff");
        let policy = reply.header("content-security-policy");
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains("script") && !policy.contains("unsafe"), "{policy}");
        assert!(!reply.text().contains("<script") && !reply.text().contains("style="), "{}", reply.text());
    }
});

on_both!(a_sign_in_leads_on_to_named_places_only, |app| {
    let there = "https://app.example.com/signed-in?x=1";
    let settings = RealmSettings { allowed_redirect_uris: vec![there.to_owned(), "javascript:alert(1)".to_owned()], ..RealmSettings::default() };
    app.realm_with("acme.example.com", settings).await;
    app.user_in("acme.example.com", EMAIL).await;
    let login = [("email", EMAIL), ("password", PASSWORD)];
    let nowhere = [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "https://app.example.com/signed-in?x=1#",
        "https://app.example.com",
        "/ui/\r\nSet-Cookie: a=b",
        "/ui/../dev/mailbox",
        "/dev/mailbox",
        "\u{0}",
        "https://app.example.com/signed-in?x=1\r\nX-Evil: 1",
    ];
    for place in nowhere {
        let mut tab = Tab::new(app.anonymous().header("host", "acme.example.com"));
        let page = tab.get(&format!("/ui/sign-in?return_to={}", encoded(place))).await.assert(200);
        assert!(page.text().contains("name=\"return_to\" value=\"\""), "{place}: {}", page.text());
        let fields = [login[0], login[1], ("return_to", place)];
        let reply = tab.post("/ui/sign-in", &fields).await.assert(303);
        assert_eq!(reply.header("location"), "/ui/account", "{place}");
        assert!(!reply.headers.contains_key("x-evil"));
        let again = tab.get(&format!("/ui/sign-in?return_to={}", encoded(place))).await.assert(303);
        assert_eq!(again.header("location"), "/ui/account", "{place}");
    }
    let mut tab = Tab::new(app.anonymous().header("host", "acme.example.com"));
    let page = tab.get(&format!("/ui/sign-in?return_to={}", encoded(there))).await.assert(200);
    assert!(page.header("content-security-policy").contains("form-action 'self' https://app.example.com;"), "{:?}", page.headers);
    let wrong = tab.post("/ui/sign-in", &[("email", EMAIL), ("password", "not the one"), ("return_to", there)]).await.assert(422);
    assert!(wrong.header("content-security-policy").contains("form-action 'self' https://app.example.com;"));
    let reply = tab.post("/ui/sign-in", &[login[0], login[1], ("return_to", there)]).await.assert(303);
    assert_eq!(reply.header("location"), there);
    // What one realm names is no place at another.
    let root = Tab::new(app.anonymous()).get(&format!("/ui/sign-in?return_to={}", encoded(there))).await.assert(200);
    assert!(root.text().contains("name=\"return_to\" value=\"\""));
    let own = Tab::new(app.anonymous()).get("/ui/sign-in?return_to=%2Fui%2Fsign-out").await.assert(200);
    assert!(own.text().contains("value=\"&#x2f;ui&#x2f;sign-out\""), "{}", own.text());
});

on_both!(what_the_pages_tell_each_other_cannot_be_made_up, |app| {
    let mut tab = Tab::new(app.anonymous());
    for flow in ["{\"realm\":\"localhost\",\"notice\":\"verified\"}", "k1.AAAA", "x", &"A".repeat(5_000)] {
        tab.cookies.insert("realmgate_flow".to_owned(), flow.to_owned());
        let page = tab.get("/ui/sign-in").await.assert(200);
        assert!(!page.text().contains("role=\"status\""), "{}", page.text());
    }
    let script = "<script>alert(1)</script>";
    let page = assert_page(tab.get(&format!("/ui/sign-in?return_to={}", encoded(script))).await, 200, "Sign in");
    assert!(!page.text().contains("<script"));
    let page = tab.post("/ui/sign-in", &[("email", script), ("password", script)]).await.assert(422);
    assert!(!page.text().contains("<script") && page.text().contains("&lt;script"), "{}", page.text());
});

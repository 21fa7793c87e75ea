//! Signing up, in and out in a browser, and looking after one's account, without scripts: what each page says and where
//! it leads.

use chrono::TimeDelta;
use serde_json::json;

use crate::{
    on_both,
    support::{PASSWORD, browser::assert_page, tab::Tab},
};

const EMAIL: &str = "ada@example.com";
const NEW_PASSWORD: &str = "another harbour otter";

on_both!(a_person_signs_up_types_the_code_and_signs_in, |app| {
    let mut tab = Tab::new(app.anonymous());
    assert_page(tab.get("/ui/sign-up").await, 200, "Create your account");
    let bad = tab.post("/ui/sign-up", &[("name", ""), ("email", "no address"), ("password", "short"), ("company", "Engines")]).await;
    let bad = assert_page(bad, 422, "There are problems");
    for id in ["name", "email", "password"] {
        assert!(bad.text().contains(&format!("<a href=\"#{id}\">")) && bad.text().contains(&format!("id=\"{id}-fault\"")), "{id}: {}", bad.text());
    }
    assert!(bad.text().contains("value=\"no address\"") && !bad.text().contains("short\""), "{}", bad.text());
    let fields = [("name", "Ada Lovelace"), ("email", EMAIL), ("password", PASSWORD), ("company", "Engines")];
    let reply = tab.post("/ui/sign-up", &fields).await;
    let page = tab.follow(&reply, "/ui/verify-email/code").await;
    assert_page(page, 200, EMAIL);
    app.run_jobs().await;
    let early = tab.sign_in(EMAIL, PASSWORD).await;
    let page = tab.follow(&early, "/ui/verify-email/code").await;
    assert_page(page, 200, "please confirm your e-mail address");
    assert_eq!(tab.session(), None);
    assert_page(tab.post("/ui/verify-email/code", &[("code", "000000")]).await, 400, "This code is wrong, or too old");
    let code = app.last_mail(EMAIL).await.code();
    let spaced = format!("{} {}", &code[..3], &code[3..]);
    let reply = tab.post("/ui/verify-email/code", &[("code", &spaced)]).await;
    let page = tab.follow(&reply, "/ui/sign-in").await;
    let page = assert_page(page, 200, "Your e-mail address is confirmed");
    assert!(page.text().contains(&format!("value=\"{EMAIL}\"")), "the address is there already");
    assert!(!tab.get("/ui/sign-in").await.text().contains("is confirmed"), "a notice is shown once");
    let reply = tab.post("/ui/sign-in", &[("email", EMAIL), ("password", PASSWORD)]).await;
    let page = tab.follow(&reply, "/ui/account").await;
    let page = assert_page(page, 200, "Your account");
    assert!(page.text().contains("value=\"Engines\"") && page.text().contains("This browser"), "{}", page.text());
    let again = tab.get("/ui/sign-in").await;
    tab.follow(&again, "/ui/account").await.assert(200);
});

on_both!(sign_up_says_the_same_of_a_taken_address, |app| {
    app.user(EMAIL).await;
    let mut replies = Vec::new();
    for email in [EMAIL, "new@example.com"] {
        let mut tab = Tab::new(app.anonymous());
        tab.get("/ui/sign-up").await.assert(200);
        let reply = tab.post("/ui/sign-up", &[("name", "Eve"), ("email", email), ("password", NEW_PASSWORD)]).await;
        let page = tab.follow(&reply, "/ui/verify-email/code").await.assert(200);
        replies.push(page.text().replace(email, "…").replace(&tab.csrf, "…"));
    }
    assert_eq!(replies[0], replies[1]);
    app.run_jobs().await;
    assert!(app.last_mail(EMAIL).await.0.subject.contains("already"));
});

on_both!(sign_in_says_the_same_to_every_stranger, |app| {
    app.user(EMAIL).await;
    app.user("locked@example.com").await;
    app.lock("locked@example.com").await;
    app.anonymous().sign_up("waiting@example.com", PASSWORD).await.assert(202);
    let mut seen = Vec::new();
    for email in [EMAIL, "locked@example.com", "waiting@example.com", "nobody@example.com", "no address"] {
        let mut tab = Tab::new(app.anonymous());
        let reply = tab.sign_in(email, "not the password at all").await;
        let page = assert_page(reply, 422, "The e-mail address or the password is wrong");
        assert_eq!(tab.session(), None);
        seen.push(page.text().replace(email, "…").replace(&tab.csrf, "…"));
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]));
    let mut tab = Tab::new(app.anonymous());
    assert_page(tab.sign_in("locked@example.com", PASSWORD).await, 403, "This account is locked");
    assert_eq!(tab.session(), None);
});

on_both!(a_browsers_session_is_one_of_the_five_and_in_the_list, |app| {
    let ada = app.user(EMAIL).await;
    let mut tab = Tab::new(app.anonymous().header("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"));
    app.advance(TimeDelta::seconds(1));
    tab.sign_in(EMAIL, PASSWORD).await.assert(303);
    let api = app.anonymous().bearer(&ada.access);
    let listed = api.get("/api/v1/me/sessions").await.assert(200).json();
    let devices: Vec<_> = listed["items"].as_array().unwrap().iter().map(|item| item["device"].as_str().unwrap()).collect();
    assert_eq!((devices.len(), devices[0]), (2, "Firefox on Linux"));
    for _ in 0..4 {
        app.advance(TimeDelta::seconds(1));
        app.anonymous().log_in(EMAIL, PASSWORD).await.assert(200);
    }
    api.get("/api/v1/me").await.assert_problem(401, "session_ended");
    assert_page(tab.get("/ui/account").await, 200, "Your account");
    app.advance(TimeDelta::seconds(1));
    app.anonymous().log_in(EMAIL, PASSWORD).await.assert(200);
    let over = tab.get("/ui/account").await;
    tab.follow(&over, "/ui/sign-in").await.assert(200);
});

on_both!(the_account_page_changes_what_the_api_shows, |app| {
    let ada = app.user(EMAIL).await;
    let mut tab = Tab::new(app.anonymous());
    tab.sign_in(EMAIL, PASSWORD).await.assert(303);
    tab.get("/ui/account").await.assert(200);
    let typed = [("name", "Ada King"), ("company", "Engines"), ("country", "UK"), ("phone", "call me")];
    let refused = assert_page(tab.post("/ui/account/profile", &typed).await, 422, "The telephone number");
    assert!(refused.text().contains("value=\"Ada King\"") && refused.text().contains("aria-describedby=\"phone-fault\""), "{}", refused.text());
    let reply = tab.post("/ui/account/profile", &[("name", "Ada King"), ("company", ""), ("country", "UK"), ("phone", "+44 1")]).await;
    let page = tab.follow(&reply, "/ui/account").await;
    assert_page(page, 200, "Your profile is saved");
    let me = app.anonymous().bearer(&ada.access).get("/api/v1/me").await.assert(200).json();
    assert_eq!((&me["name"], &me["country"], &me["company"]), (&json!("Ada King"), &json!("UK"), &json!(null)));

    let wrong = [("currentPassword", "not the password"), ("newPassword", NEW_PASSWORD)];
    assert_page(tab.post("/ui/account/password", &wrong).await, 403, "The current password is wrong");
    assert_page(tab.post("/ui/account/password", &[("currentPassword", PASSWORD), ("newPassword", "short")]).await, 422, "The password must be");
    let reply = tab.post("/ui/account/password", &[("currentPassword", PASSWORD), ("newPassword", NEW_PASSWORD)]).await;
    let page = tab.follow(&reply, "/ui/account").await;
    assert_page(page, 200, "Your password is changed");
    app.anonymous().bearer(&ada.access).get("/api/v1/me").await.assert_problem(401, "session_ended");
    app.anonymous().log_in(EMAIL, NEW_PASSWORD).await.assert(200);
});

on_both!(sessions_are_ended_on_the_page_one_by_one_or_all, |app| {
    let ada = app.user(EMAIL).await;
    let eve = app.user("eve@example.com").await;
    let mut tab = Tab::new(app.anonymous());
    tab.sign_in(EMAIL, PASSWORD).await.assert(303);
    tab.get("/ui/account").await.assert(200);
    // Another person's session is none of hers, and the answer is the same as for one that is over.
    let reply = tab.post("/ui/account/sessions/end", &[("id", &eve.session)]).await;
    tab.follow(&reply, "/ui/account").await.assert(200);
    app.anonymous().bearer(&eve.access).get("/api/v1/me").await.assert(200);
    let reply = tab.post("/ui/account/sessions/end", &[("id", &ada.session)]).await;
    let page = tab.follow(&reply, "/ui/account").await;
    assert_page(page, 200, "The session is over");
    app.anonymous().bearer(&ada.access).get("/api/v1/me").await.assert_problem(401, "session_ended");

    let other = app.anonymous().log_in(EMAIL, PASSWORD).await.user("localhost", EMAIL);
    let reply = tab.post("/ui/account/sessions/end-all", &[]).await;
    let page = tab.follow(&reply, "/ui/sign-in").await;
    assert_page(page, 200, "You are signed out everywhere");
    assert_eq!(tab.session(), None);
    app.anonymous().bearer(&other.access).get("/api/v1/me").await.assert_problem(401, "session_ended");
});

on_both!(signing_out_ends_the_session_and_not_only_its_cookie, |app| {
    app.user(EMAIL).await;
    let mut tab = Tab::new(app.anonymous());
    tab.sign_in(EMAIL, PASSWORD).await.assert(303);
    let mut stolen = tab.clone();
    assert_page(tab.get("/ui/sign-out").await, 200, "Sign out?");
    let reply = tab.post("/ui/sign-out", &[]).await;
    let page = tab.follow(&reply, "/ui/sign-in").await;
    assert_page(page, 200, "You are signed out");
    assert_eq!(tab.session(), None);
    let over = stolen.get("/ui/account").await;
    stolen.follow(&over, "/ui/sign-in").await.assert(200);
    // Twice does no harm.
    let again = tab.get("/ui/sign-out").await;
    tab.follow(&again, "/ui/sign-in").await.assert(200);
});

on_both!(a_browsers_session_ends_with_its_time_a_lock_or_a_reset, |app| {
    app.user(EMAIL).await;
    let mut tab = Tab::new(app.anonymous());
    tab.sign_in(EMAIL, PASSWORD).await.assert(303);
    for _ in 0..3 {
        app.advance(TimeDelta::hours(23));
        tab.get("/ui/account").await.assert(200);
        realmgate::service::sessions::flush_uses(app.app()).await.unwrap();
    }
    app.advance(TimeDelta::hours(24) + TimeDelta::seconds(1));
    tab.get("/ui/account").await.assert(303);
    tab.sign_in(EMAIL, PASSWORD).await.assert(303);
    for _ in 0..7 {
        tab.get("/ui/account").await.assert(200);
        realmgate::service::sessions::flush_uses(app.app()).await.unwrap();
        app.advance(TimeDelta::hours(23));
    }
    app.advance(TimeDelta::hours(7));
    tab.get("/ui/account").await.assert(303);
    tab.sign_in(EMAIL, PASSWORD).await.assert(303);
    tab.get("/ui/account").await.assert(200);
    app.lock(EMAIL).await;
    tab.get("/ui/account").await.assert(303);
});

on_both!(each_realm_has_its_own_doors, |app| {
    app.realm("acme.example.com").await;
    app.user_in("acme.example.com", EMAIL).await;
    let mut tab = Tab::new(app.anonymous());
    assert_page(tab.sign_in(EMAIL, PASSWORD).await, 422, "is wrong");
    assert_page(tab.get("/ui/sign-in?realm=acme.example.com").await, 200, "Sign in to acme.example.com");
    let reply = tab.post("/ui/sign-in", &[("email", EMAIL), ("password", PASSWORD)]).await;
    let page = tab.follow(&reply, "/ui/account?realm=acme.example.com").await;
    assert_page(page, 200, "acme.example.com");
    // Where nothing names a realm the cookie does; at another realm it is nobody's.
    assert_page(tab.get("/ui/account").await, 200, "acme.example.com");
    tab.get("/ui/account?realm=localhost").await.assert(303);
    let mut elsewhere = tab.clone();
    elsewhere.client = elsewhere.client.header("host", "acme.example.com");
    assert_page(elsewhere.get("/ui/account").await, 200, "Your account");
    let moved = tab.session().unwrap().replace("acme.example.com", "localhost");
    tab.cookies.insert("realmgate_session".to_owned(), moved);
    tab.get("/ui/account").await.assert(303);
});

on_both!(a_realm_without_sign_up_says_so, |app| {
    let settings = realmgate::domain::realm::RealmSettings { sign_up: false, ..Default::default() };
    app.realm_with("closed.example.com", settings).await;
    let mut tab = Tab::new(app.anonymous().header("host", "closed.example.com"));
    assert_page(tab.get("/ui/sign-up").await, 403, "Sign-up is closed");
    let page = tab.get("/ui/sign-in").await.assert(200);
    assert!(!page.text().contains("/ui/sign-up") && !page.text().contains("Create an account"), "{}", page.text());
    let reply = tab.post("/ui/sign-up", &[("name", "Eve"), ("email", "eve@example.com"), ("password", PASSWORD)]).await;
    assert_page(reply, 403, "Sign-up is closed");
});

on_both!(password_managers_find_the_page_that_changes_a_password, |app| {
    app.user(EMAIL).await;
    let mut tab = Tab::new(app.anonymous());
    let lost = tab.get("/.well-known/change-password").await;
    tab.follow(&lost, "/ui/account").await.assert(303);
    tab.sign_in(EMAIL, PASSWORD).await.assert(303);
    let found = tab.get("/.well-known/change-password").await;
    tab.follow(&found, "/ui/account").await.assert(200);
});

//! What a person does about their account in a browser beyond profile and password: another address, a language, a copy of
//! what is kept, the end.

use realmgate::domain::{language::Language, realm::RealmSettings};
use serde_json::Value;

use crate::{
    on_both,
    support::{
        PASSWORD,
        browser::{Form, assert_page, path_of},
        people::OTHER,
        tab::Tab,
    },
};

const EMAIL: &str = "ada@example.com";
const NEW: &str = "ada.king@example.com";

on_both!(an_address_is_changed_and_taken_back_in_a_browser, |app| {
    app.user(EMAIL).await;
    let mut tab = Tab::new(app.anonymous());
    tab.sign_in(EMAIL, PASSWORD).await.assert(303);
    tab.get("/ui/account").await.assert(200);
    for (email, password, status, says) in [
        ("no address", PASSWORD, 422, "must be one plain e-mail address"),
        (EMAIL, PASSWORD, 422, "is the one that counts already"),
        (NEW, OTHER, 403, "The current password is wrong."),
    ] {
        let refused = assert_page(tab.post("/ui/account/email", &[("email", email), ("password", password)]).await, status, says);
        let html = refused.text();
        assert!(html.contains(&format!("value=\"{email}\"")) && !html.contains(password), "what was typed stays, but no password: {html}");
    }
    let reply = tab.post("/ui/account/email", &[("email", NEW), ("password", PASSWORD)]).await;
    let page = assert_page(tab.follow(&reply, "/ui/account").await, 200, "a mail with a link is on its way");
    assert!(page.text().contains(EMAIL), "the old one counts until then");
    app.run_jobs().await;
    let link = path_of(&app.last_mail(NEW).await.link());
    for _ in 0..5 {
        assert_page(tab.get(&link).await, 200, "Confirm your new e-mail address");
    }
    let token = Form::of(&tab.get(&link).await, "").token;
    let reply = tab.post("/ui/change-email", &[("token", &token)]).await;
    let done = assert_page(tab.follow(&reply, "/ui/done").await, 200, "E-mail address changed");
    assert!(done.text().contains("Your account"), "who is signed in stays so: {}", done.text());
    assert_page(tab.get("/ui/account").await, 200, NEW);

    app.run_jobs().await;
    let back = path_of(&app.last_mail(EMAIL).await.link());
    let mut old = Tab::new(app.anonymous());
    let token = Form::of(&old.get(&back).await.assert(200), "").token;
    let reply = old.post("/ui/undo-email-change", &[("token", &token)]).await;
    assert_page(old.follow(&reply, "/ui/done").await, 200, "Your former address is back");
    assert_eq!(tab.get("/ui/account").await.assert(303).header("location"), "/ui/sign-in");
    app.anonymous().log_in(EMAIL, PASSWORD).await.assert_problem(401, "invalid_credentials");
});

on_both!(pages_speak_the_persons_language_else_the_realms_else_the_browsers, |app| {
    let settings = RealmSettings { language: Some(Language::German), ..RealmSettings::default() };
    app.realm_with("acme.example.com", settings).await;
    for (realm, unset) in [("localhost", "Ihr Konto"), ("acme.example.com", "Ihr Konto")] {
        app.user_in(realm, EMAIL).await;
        let asks_for = if realm == "localhost" { "de" } else { "en" };
        let at = |path: &str| if realm == "localhost" { path.to_owned() } else { format!("{path}?realm={realm}") };
        let mut tab = Tab::new(app.anonymous().header("accept-language", asks_for));
        tab.get(&at("/ui/sign-in")).await.assert(200);
        tab.post("/ui/sign-in", &[("email", EMAIL), ("password", PASSWORD)]).await.assert(303);
        assert_page(tab.get(&at("/ui/account")).await, 200, unset);
        let profile = [("name", "Ada"), ("company", ""), ("country", ""), ("phone", "")];
        let with = |tag: &'static str| profile.into_iter().chain([("locale", tag)]).collect::<Vec<_>>();
        let reply = tab.post("/ui/account/profile", &with("en")).await;
        let page = assert_page(tab.follow(&reply, &at("/ui/account")).await, 200, "Your profile is saved.");
        assert!(page.text().contains("<html lang=\"en\">") && page.text().contains("<option value=\"en\" lang=\"en\" selected>English"), "{}", page.text());
        // A mail that the person causes is in their language too, whatever the browser says.
        tab.post("/ui/account/email", &[("email", NEW), ("password", PASSWORD)]).await.assert(303);
        app.run_jobs().await;
        assert!(app.last_mail(NEW).await.0.subject.starts_with("Confirm your new e-mail address"), "{realm}");
        tab.get(&at("/ui/account")).await.assert(200);
        assert_page(tab.post("/ui/account/profile", &with("fr")).await, 422, "The language is none that there is.");
        let reply = tab.post("/ui/account/profile", &with("")).await;
        assert_page(tab.follow(&reply, &at("/ui/account")).await, 200, unset);
        // Signed out, nobody knows what the person chose.
        tab.post("/ui/account/profile", &with("en")).await.assert(303);
        tab.get(&at("/ui/account")).await.assert(200);
        tab.post("/ui/sign-out", &[]).await.assert(303);
        assert_page(tab.get(&at("/ui/sign-in")).await, 200, "<html lang=\"de\">");
    }
});

on_both!(a_copy_of_what_is_kept_comes_as_a_file, |app| {
    let ada = app.user(EMAIL).await;
    let mut tab = Tab::new(app.anonymous());
    tab.sign_in(EMAIL, PASSWORD).await.assert(303);
    tab.get("/ui/account").await.assert(200);
    let reply = tab.post("/ui/account/export", &[]).await.assert(200);
    assert_eq!(reply.header("content-type"), "application/json");
    assert!(reply.header("content-disposition").starts_with("attachment; filename=\"localhost-"), "{}", reply.header("content-disposition"));
    assert_eq!((reply.header("cache-control").as_str(), reply.header("x-content-type-options").as_str()), ("no-store", "nosniff"));
    let (page, api): (Value, Value) = (reply.json(), app.anonymous().bearer(&ada.access).get("/api/v1/me/export").await.assert(200).json());
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&page), keys(&api), "the document of the API");
    assert_eq!(page["profile"], api["profile"]);
    app.anonymous().get("/ui/account/export").await.assert(405);
});

on_both!(a_person_leaves_for_good_in_a_browser, |app| {
    app.user(EMAIL).await;
    let mut tab = Tab::new(app.anonymous());
    assert_eq!(tab.get("/ui/account/erase").await.assert(303).header("location"), "/ui/sign-in");
    tab.sign_in(EMAIL, PASSWORD).await.assert(303);
    assert_page(tab.get("/ui/account/erase").await, 200, "Delete your account?");
    assert_page(tab.post("/ui/account/erase", &[("password", OTHER)]).await, 403, "The current password is wrong.");
    assert_page(tab.post("/ui/account/erase", &[]).await, 403, "The current password is wrong.");
    let reply = tab.post("/ui/account/erase", &[("password", PASSWORD)]).await;
    assert_page(tab.follow(&reply, "/ui/done").await, 200, "Your account is deleted");
    assert_eq!(tab.session(), None);
    assert_eq!(tab.get("/ui/account").await.assert(303).header("location"), "/ui/sign-in");
    app.anonymous().log_in(EMAIL, PASSWORD).await.assert_problem(401, "invalid_credentials");
    assert!(app.mails(EMAIL).await.is_empty());
});

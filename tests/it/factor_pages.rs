//! Second factors in a browser: forms that work without scripts, and the few pages that load the one script.

use chrono::TimeDelta;
use realmgate::domain::factor::MfaPolicy;
use serde_json::{Value, json};

use crate::{
    on_both,
    support::{PASSWORD, Reply, authenticator::Authenticator, browser::assert_page, factors::Enrolled, tab::Tab},
};

const ADA: &str = "ada@example.com";

/// The secret that a page shows.
fn secret_of(page: &Reply) -> String {
    let html = page.text();
    let (_, rest) = html.split_once("<code id=\"secret\">").expect("a secret");
    rest.split('<').next().unwrap_or_default().replace(' ', "")
}

/// The question that a page asks, and its id.
fn question_of(page: &Reply) -> (String, Value) {
    let html = page.text();
    let (_, rest) = html.split_once("data-options=\"").expect("a question");
    let text = rest.split('"').next().unwrap_or_default();
    let text = text.replace("&quot;", "\"").replace("&#x2f;", "/").replace("&#x27;", "'").replace("&amp;", "&");
    let (_, rest) = html.split_once("name=\"ceremony\" value=\"").expect("its id");
    (rest.split('"').next().unwrap_or_default().to_owned(), serde_json::from_str(&text).expect("JSON"))
}

on_both!(an_app_is_set_up_and_asked_for_without_scripts, |app| {
    app.user(ADA).await;
    let mut tab = Tab::new(app.anonymous());
    let entered = tab.sign_in(ADA, PASSWORD).await;
    let account = tab.follow(&entered, "/ui/account").await.assert(200);
    assert!(account.text().contains("&#x2f;ui&#x2f;account&#x2f;totp"));
    let page = assert_page(tab.get("/ui/account/totp").await, 200, "data:image");
    let secret = secret_of(&page);
    assert_eq!(secret_of(&tab.get("/ui/account/totp").await), secret, "looking twice changes nothing");
    assert_page(tab.post("/ui/account/totp", &[("code", "000000")]).await, 422, "This code is wrong");
    let codes = assert_page(tab.post("/ui/account/totp", &[("code", &app.code(&secret))]).await, 200, "Your recovery codes");
    assert_eq!(codes.text().matches("<li><code>").count(), 10);
    assert!(codes.header("cache-control").contains("no-store"));
    app.advance(TimeDelta::seconds(30));

    let mut other = Tab::new(app.anonymous());
    let half = other.sign_in(ADA, PASSWORD).await;
    assert!(other.session().is_none());
    let page = assert_page(other.follow(&half, "/ui/sign-in/factor").await, 200, "One more step");
    assert!(!page.text().contains("<script"), "no passkey, no script");
    assert!(other.get("/ui/account").await.header("location").starts_with("/ui/sign-in"));
    other.get("/ui/sign-in/factor").await.assert(200);
    assert_page(other.post("/ui/sign-in/factor", &[("code", "000000")]).await, 422, "This code is wrong");
    let entered = other.post("/ui/sign-in/factor", &[("code", &app.code(&secret)), ("trust", "yes")]).await;
    assert_page(other.follow(&entered, "/ui/account").await, 200, "Trusted devices");
    assert!(other.session().is_some() && !other.cookies.keys().any(|name| name.ends_with("factor")));

    // This browser is trusted now; another is asked, and a recovery code helps there.
    let out = Tab { cookies: other.cookies.iter().filter(|(name, _)| name.ends_with("device")).map(|(k, v)| (k.clone(), v.clone())).collect(), ..other };
    let mut trusted = out;
    let entered = trusted.sign_in(ADA, PASSWORD).await;
    trusted.follow(&entered, "/ui/account").await.assert(200);
    let code = codes.text().split("<li><code>").nth(1).unwrap().split('<').next().unwrap().to_owned();
    let mut third = Tab::new(app.anonymous());
    let half = third.sign_in(ADA, PASSWORD).await;
    third.follow(&half, "/ui/sign-in/factor").await.assert(200);
    let entered = third.post("/ui/sign-in/factor", &[("code", &code)]).await;
    assert_page(third.follow(&entered, "/ui/account").await, 200, "9 recovery codes");
});

on_both!(a_realm_that_requires_a_factor_shows_how, |app| {
    app.user(ADA).await;
    app.settings_of("localhost", |settings| settings.mfa = MfaPolicy::Required).await;
    let mut tab = Tab::new(app.anonymous());
    let half = tab.sign_in(ADA, PASSWORD).await;
    let page = assert_page(tab.follow(&half, "/ui/sign-in/enrol").await, 200, "Set up two-step verification");
    let secret = secret_of(&page);
    assert!(tab.session().is_none());
    let codes = assert_page(tab.post("/ui/sign-in/enrol", &[("code", &app.code(&secret))]).await, 200, "Your recovery codes");
    assert!(tab.session().is_some() && codes.text().contains("&#x2f;ui&#x2f;account"));
    tab.get("/ui/account").await.assert(200);
    let kept = tab.post("/ui/account/totp/remove", &[]).await;
    assert_page(tab.follow(&kept, "/ui/account").await, 200, "A second step is required here");
});

on_both!(a_sign_in_that_waited_too_long_begins_again, |app| {
    let Enrolled { secret, .. } = app.enrolled(ADA).await;
    let mut tab = Tab::new(app.anonymous());
    let half = tab.sign_in(ADA, PASSWORD).await;
    tab.follow(&half, "/ui/sign-in/factor").await.assert(200);
    app.advance(TimeDelta::minutes(5));
    let late = tab.post("/ui/sign-in/factor", &[("code", &app.code(&secret))]).await;
    assert_page(tab.follow(&late, "/ui/sign-in").await, 200, "Sign in again");
    // Nothing waits in a browser that never began.
    let mut other = Tab::new(app.anonymous());
    assert_eq!(other.get("/ui/sign-in/factor").await.header("location"), "/ui/sign-in");
    assert_eq!(other.get("/ui/sign-in/enrol").await.header("location"), "/ui/sign-in");
});

on_both!(old_sessions_are_asked_who_looks_and_led_back, |app| {
    app.user(ADA).await;
    let mut tab = Tab::new(app.anonymous());
    let entered = tab.sign_in(ADA, PASSWORD).await;
    tab.follow(&entered, "/ui/account").await.assert(200);
    app.advance(TimeDelta::minutes(11));
    let asked = tab.get("/ui/account/totp").await;
    assert_page(tab.follow(&asked, "/ui/step-up?to=totp").await, 200, "Confirm that it is you");
    assert_page(tab.post("/ui/step-up", &[("to", "totp"), ("password", "not the password")]).await, 403, "password is wrong");
    let proved = tab.post("/ui/step-up", &[("to", "totp"), ("password", PASSWORD)]).await;
    tab.follow(&proved, "/ui/account/totp").await.assert(200);
    // Nobody's words lead elsewhere.
    tab.get("/ui/step-up?to=https://evil.example").await.assert(200);
    let proved = tab.post("/ui/step-up", &[("to", "https://evil.example"), ("password", PASSWORD)]).await;
    assert_eq!(proved.header("location"), "/ui/account");
    app.advance(TimeDelta::minutes(11));
    tab.get("/ui/account").await.assert(200);
    let asked = tab.post("/ui/account/sessions/end-all", &[]).await;
    tab.follow(&asked, "/ui/step-up?to=account").await.assert(200);
});

on_both!(passkeys_are_made_and_used_by_forms_that_a_script_fills, |app| {
    app.user(ADA).await;
    let mut tab = Tab::new(app.anonymous());
    let entered = tab.sign_in(ADA, PASSWORD).await;
    tab.follow(&entered, "/ui/account").await.assert(200);
    let page = tab.get("/ui/account/passkeys/new").await.assert(200);
    let policy = page.header("content-security-policy");
    assert!(policy.contains("script-src 'self'") && !policy.contains("unsafe") && !policy.contains("connect"), "{policy}");
    assert_eq!(page.text().matches("<script").count(), 1);
    let src = page.text().split("<script src=\"").nth(1).unwrap().split('"').next().unwrap().replace("&#x2f;", "/");
    let script = tab.get(&src).await.assert(200);
    assert!(script.header("content-type").starts_with("text/javascript") && script.text().contains("navigator.credentials"));
    let mut key = Authenticator::new();
    let (ceremony, options) = question_of(&page);
    let answer = key.make(&options).to_string();
    let codes = tab.post("/ui/account/passkeys", &[("name", "Phone"), ("ceremony", &ceremony), ("credential", &answer)]).await;
    assert_page(codes, 200, "Your recovery codes");

    // Alone.
    let mut other = Tab::new(app.anonymous());
    assert!(other.get("/ui/sign-in").await.text().contains("&#x2f;ui&#x2f;sign-in&#x2f;passkey"));
    let (ceremony, options) = question_of(&other.get("/ui/sign-in/passkey").await.assert(200));
    let wrong = json!({}).to_string();
    assert_page(other.post("/ui/sign-in/passkey", &[("ceremony", &ceremony), ("credential", &wrong)]).await, 422, "was not accepted");
    let answer = key.sign(&options).to_string();
    assert_eq!(other.post("/ui/sign-in/passkey", &[("ceremony", &ceremony), ("credential", &answer)]).await.status.as_u16(), 422, "the question is spent");
    let (ceremony, options) = question_of(&other.get("/ui/sign-in/passkey").await);
    let answer = key.sign(&options).to_string();
    let entered = other.post("/ui/sign-in/passkey", &[("ceremony", &ceremony), ("credential", &answer)]).await;
    assert_page(other.follow(&entered, "/ui/account").await, 200, "Phone");

    // Beside the password.
    let mut third = Tab::new(app.anonymous());
    let half = third.sign_in(ADA, PASSWORD).await;
    let (ceremony, options) = question_of(&third.follow(&half, "/ui/sign-in/factor").await.assert(200));
    let answer = key.sign(&options).to_string();
    let entered = third.post("/ui/sign-in/factor", &[("ceremony", &ceremony), ("credential", &answer)]).await;
    third.follow(&entered, "/ui/account").await.assert(200);
});

on_both!(the_way_on_survives_the_second_half, |app| {
    let Enrolled { secret, .. } = app.enrolled(ADA).await;
    app.settings_of("localhost", |settings| settings.allowed_redirect_uris = vec!["https://app.example.com/in".to_owned()]).await;
    let mut tab = Tab::new(app.anonymous());
    tab.get("/ui/sign-in?return_to=https://app.example.com/in").await.assert(200);
    let half = tab.post("/ui/sign-in", &[("email", ADA), ("password", PASSWORD), ("return_to", "https://app.example.com/in")]).await;
    tab.follow(&half, "/ui/sign-in/factor").await.assert(200);
    let entered = tab.post("/ui/sign-in/factor", &[("code", &app.code(&secret))]).await;
    assert_eq!(entered.header("location"), "https://app.example.com/in");
});

//! People are spoken to in a language of theirs: their own choice, else the realm's, else what their browser asks for,
//! else English. The API speaks English to everybody.

use realmgate::domain::{language::Language, realm::RealmSettings};

use crate::{
    on_both,
    support::browser::{Form, assert_page},
};

const FORGOT: &str = "/ui/forgot-password";

on_both!(a_page_speaks_the_language_that_the_browser_asks_for, |app| {
    let german = app.anonymous().header("accept-language", "fr;q=0.9, de-AT;q=0.8, en;q=0.1");
    let page = assert_page(german.get(FORGOT).await, 200, "Passwort vergessen?");
    assert!(page.text().contains("<html lang=\"de\">") && !page.text().contains("Forgot"), "{}", page.text());
    for other in ["fr", "*", "\u{e9}", ";;q=,,", ""] {
        assert_page(app.anonymous().header("accept-language", other).get(FORGOT).await, 200, "Forgot your password?");
    }
    // What a post says, its faults and failures too.
    let form = Form::of(&page, "");
    assert_page(form.post(&german, FORGOT, &[("email", "no address")]).await, 422, "Die E-Mail-Adresse muss eine einfache E-Mail-Adresse");
    assert_page(form.post(&german, FORGOT, &[("email", "ada@example.com")]).await, 200, "Sehen Sie in Ihr Postfach");
    assert_page(german.form(FORGOT, &[("email", "ada@example.com")]).await, 403, "kam nicht von dieser Website");
    assert_page(german.get("/ui/none").await, 404, "Diese Seite gibt es nicht");
    assert_page(german.get("/dev/mailbox").await, 200, "Es gibt noch keine Mail.");
    let problem = german.get("/api/v1/me").await.assert_problem(401, "missing_credential");
    assert!(problem.at("/detail").starts_with("This operation needs"), "{}", problem.text());
});

on_both!(a_realm_with_a_language_speaks_it_to_all, |app| {
    app.realm_with("acme.example.com", RealmSettings { language: Some(Language::German), ..RealmSettings::default() }).await;
    let path = format!("{FORGOT}?realm=acme.example.com");
    assert_page(app.anonymous().get(&path).await, 200, "Passwort vergessen?");
    assert_page(app.anonymous().header("accept-language", "en").get(&path).await, 200, "Passwort vergessen?");
    app.anonymous().realm("acme.example.com").sign_up("ada@example.com", crate::support::PASSWORD).await.assert(202);
    app.run_jobs().await;
    let mail = app.last_mail("ada@example.com").await;
    assert_eq!(mail.0.subject, "Bestätigen Sie Ihre E-Mail-Adresse für acme.example.com");
    assert!(mail.0.html.contains("<html lang=\"de\""), "{}", mail.0.html);
});

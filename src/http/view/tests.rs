//! Tests of `view.rs`: every page renders strictly, keeps what people typed harmless, and says what a form needs.

use crate::domain::user::Role;
use chrono::DateTime;

use super::*;
use crate::mail::{Message, Renderer};

const EVIL: &str = "<script>x</script>\r\n{{7*7}} http://evil.example \" onfocus='x' autofocus";

/// Every page in every state, with `text` wherever foreign text can stand.
fn pages(text: &str) -> Vec<(&'static str, String)> {
    pages_in(Language::English, text)
}

fn pages_in(language: Language, text: &str) -> Vec<(&'static str, String)> {
    let views = Views::new("");
    let views = views.speak(language);
    let (own, errors) = (|| text.to_owned(), vec![text.to_owned(), text.to_owned()]);
    let link = || Some(Link { label: own(), href: "https://app.acme.example/login".to_owned() });
    let at = DateTime::UNIX_EPOCH;
    let item = |id: &str| MailboxItem { id: id.to_owned(), to: own(), subject: own(), created_at: at, text: own(), html: own() };
    let forgot = ForgotPasswordPage { realm: own(), csrf: own(), email: own(), expired: false, errors: errors.clone() };
    let notice = NoticePage { realm: Some(own()), says: "page.done.set_up".to_owned(), tone: Tone::Info, link: link() };
    let mailbox = MailboxPage { to: own(), items: vec![item("1"), item("2")], open: Some("2".to_owned()) };
    // Rendered by the strict way, not by `Page::render`, which hides a failure from the visitor.
    fn page<P: Page>(view: &View, name: &'static str, page: &P) -> (&'static str, String) {
        (name, view.render(P::TEMPLATE, page.values(view)).unwrap_or_else(|fault| panic!("{name}: {fault:?}")))
    }
    let faults =
        vec![Fault { field: "email".to_owned(), text: own() }, Fault { field: "code".to_owned(), text: own() }, Fault { field: String::new(), text: own() }];
    let sign_in = SignInPage {
        realm: own(),
        csrf: own(),
        email: own(),
        return_to: own(),
        sign_up: Some("/ui/sign-up".to_owned()),
        forgot: "/ui/forgot-password".to_owned(),
        ways: link().into_iter().collect(),
        notice: Some(own()),
        faults: faults.clone(),
    };
    let sign_up = SignUpPage {
        realm: own(),
        csrf: own(),
        name: own(),
        email: own(),
        company: Some(own()),
        min: 8,
        return_to: own(),
        sign_in: "/ui/sign-in".to_owned(),
        faults: faults.clone(),
    };
    let code = CodePage {
        realm: own(),
        csrf: own(),
        email: Some(own()),
        typed: own(),
        sign_up: Some("/ui/sign-up".to_owned()),
        sign_in: "/ui/sign-in".to_owned(),
        notice: Some(own()),
        faults,
    };
    let person = |offered: Vec<Role>, me| PersonItem { id: own(), name: own(), email: own(), role: Role::Admin, offered, me };
    let people = vec![person(vec![], true), person(vec![Role::Admin, Role::Member], false)];
    let team = TeamItem { id: own(), name: own(), people, more: true };
    let session = |current| SessionItem { id: own(), device: own(), ip: own(), created_at: at, last_used_at: at, current };
    let thing = || Thing { id: own(), name: own(), since: at, other: Some(at) };
    let account = AccountPage {
        realm: own(),
        csrf: own(),
        name: own(),
        email: own(),
        profile: ProfileFields { name: own(), company: own(), country: own(), phone: own(), locale: "de".to_owned() },
        new_email: own(),
        erase: "/ui/account/erase".to_owned(),
        min: 8,
        factors: Some(FactorsPart {
            totp: true,
            codes_left: Some(1),
            passkeys: vec![thing()],
            devices: vec![thing()],
            new_totp: "/ui/account/totp".to_owned(),
            new_passkey: "/ui/account/passkeys/new".to_owned(),
        }),
        sessions: vec![session(true), session(false)],
        teams: vec![team.clone(), TeamItem { more: false, ..team }],
        notice: Some(own()),
        faults: vec![Fault { field: "phone".to_owned(), text: own() }],
    };
    let asking = || Asking { ceremony: own(), options: own() };
    let factor = FactorPage {
        realm: own(),
        csrf: own(),
        says: "page.factor",
        action: "sign-in/factor",
        code: true,
        password: false,
        asking: Some(asking()),
        trust_days: 30,
        back: "/ui/sign-in".to_owned(),
        to: String::new(),
        faults: vec![Fault { field: "code".to_owned(), text: own() }],
    };
    let totp = TotpPage {
        realm: own(),
        csrf: own(),
        says: "page.totp",
        action: "account/totp",
        secret: own(),
        uri: "otpauth://totp/x".to_owned(),
        svg: own(),
        back: "/ui/account".to_owned(),
        faults: vec![],
    };
    let invitation = |offer| InvitationPage { realm: own(), account: own(), role: "admin", token: own(), csrf: own(), offer };
    let wrong = vec![Fault { field: "password".to_owned(), text: own() }];
    vec![
        page(views, "invitation", &invitation(Offer::SignUp { email: own(), name: own(), min: 8, faults: wrong })),
        page(views, "invitation-plain", &invitation(Offer::SignUp { email: own(), name: own(), min: 8, faults: vec![] })),
        page(views, "invitation-join", &invitation(Offer::Join)),
        page(views, "invitation-known", &invitation(Offer::SignIn("/ui/sign-in".to_owned()))),
        page(views, "invitation-somebody-else", &invitation(Offer::SignOut("/ui/sign-out".to_owned()))),
        page(views, "sign-in", &sign_in),
        page(views, "sign-in-plain", &SignInPage { sign_up: None, notice: None, faults: vec![], ..sign_in.clone() }),
        page(views, "sign-up", &sign_up),
        page(views, "sign-up-plain", &SignUpPage { company: None, faults: vec![], ..sign_up.clone() }),
        page(views, "code", &code),
        page(views, "code-unknown", &CodePage { email: None, sign_up: None, notice: None, faults: vec![], ..code.clone() }),
        page(views, "account", &account),
        page(views, "account-plain", &AccountPage { factors: None, notice: None, faults: vec![], teams: vec![], ..account.clone() }),
        page(
            views,
            "erase",
            &ErasePage { realm: own(), csrf: own(), account: "/ui/account".to_owned(), faults: vec![Fault { field: "password".to_owned(), text: own() }] },
        ),
        page(views, "factor", &factor),
        page(
            views,
            "step-up",
            &FactorPage {
                says: "page.step_up",
                action: "step-up",
                password: true,
                code: false,
                asking: None,
                trust_days: 0,
                to: own(),
                faults: vec![],
                ..factor.clone()
            },
        ),
        page(
            views,
            "step-up-again",
            &FactorPage { says: "page.step_up", action: "step-up", code: false, asking: None, trust_days: 0, faults: vec![], ..factor.clone() },
        ),
        page(
            views,
            "passkey-sign-in",
            &PasskeySignInPage { realm: own(), csrf: own(), asking: asking(), back: "/ui/sign-in".to_owned(), return_to: own(), faults: vec![] },
        ),
        page(
            views,
            "passkey-new",
            &NewPasskeyPage { realm: own(), csrf: own(), asking: asking(), name: own(), back: "/ui/account".to_owned(), faults: vec![] },
        ),
        page(views, "totp", &totp),
        page(views, "enrol", &TotpPage { says: "page.enrol", action: "sign-in/enrol", ..totp.clone() }),
        page(views, "codes", &CodesPage { realm: own(), codes: vec!["abcd-efgh-ijkl-mnop".to_owned()], link: link().unwrap() }),
        page(views, "magic-link", &PressPage { realm: own(), csrf: own(), token: own(), says: "page.magic_link", action: "magic-link" }),
        page(views, "not-me", &PressPage { realm: own(), csrf: own(), token: own(), says: "page.not_me", action: "not-me" }),
        page(views, "ask-link", &AskLinkPage { realm: own(), csrf: own(), email: own(), back: "/ui/sign-in".to_owned(), faults: vec![] }),
        page(views, "sign-out", &SignOutPage { realm: own(), csrf: own(), account: "/ui/account".to_owned() }),
        page(views, "verify", &VerifyEmailPage { realm: own(), token: own(), csrf: own() }),
        page(views, "verify-failed", &VerifyEmailFailedPage { realm: own(), csrf: own(), email: own(), errors: errors.clone() }),
        page(views, "reset", &ResetPasswordPage { realm: own(), token: own(), csrf: own(), min: 8, errors: errors.clone() }),
        page(views, "forgot", &forgot),
        page(views, "forgot-expired", &ForgotPasswordPage { expired: true, errors: vec![], ..forgot }),
        page(views, "unlock", &UnlockSignInPage { realm: own(), token: own(), csrf: own() }),
        page(views, "change-email", &ChangeEmailPage { realm: own(), change: Change::Confirm, state: ChangeState::Ask { token: own(), csrf: own() } }),
        page(views, "change-email-failed", &ChangeEmailPage { realm: own(), change: Change::Confirm, state: ChangeState::Failed }),
        page(views, "change-email-taken", &ChangeEmailPage { realm: own(), change: Change::Confirm, state: ChangeState::Taken }),
        page(views, "undo", &ChangeEmailPage { realm: own(), change: Change::Undo, state: ChangeState::Ask { token: own(), csrf: own() } }),
        page(views, "undo-failed", &ChangeEmailPage { realm: own(), change: Change::Undo, state: ChangeState::Failed }),
        page(views, "undo-taken", &ChangeEmailPage { realm: own(), change: Change::Undo, state: ChangeState::Taken }),
        page(views, "setup", &SetupPage { token: own(), csrf: own(), min: 8, name: own(), email: own(), errors }),
        page(views, "notice-good", &NoticePage { tone: Tone::Good, realm: None, link: None, ..notice.clone() }),
        page(views, "notice-bad", &NoticePage { tone: Tone::Bad, ..notice.clone() }),
        page(views, "notice", &notice),
        page(views, "mailbox", &mailbox),
        page(views, "mailbox-list", &MailboxPage { open: None, ..mailbox.clone() }),
        page(views, "mailbox-empty", &MailboxPage { items: vec![], ..mailbox }),
    ]
}

#[test]
fn every_page_is_a_whole_document_without_outside_assets() {
    for (name, html) in pages("Acme") {
        assert!(html.starts_with("<!doctype html>\n<html lang=\"en\">") && html.trim_end().ends_with("</html>"), "{name}: {html}");
        assert_eq!(html.matches("<h1>").count(), 1, "{name}: {html}");
        assert_eq!(html.matches("<main>").count(), 1, "{name}");
        // What asks for a passkey loads the one script, and a picture may stand in the page itself.
        let own_script = html.matches("<script src=\"&#x2f;ui&#x2f;passkey.js?v=").count();
        assert_eq!(own_script, usize::from(["factor", "passkey-sign-in", "passkey-new"].contains(&name)), "{name}");
        let html = html.replace("<script src=\"&#x2f;ui", "").replace("src=\"data:image&#x2f;svg+xml;base64,", "");
        for foreign in ["<script", "<style", "style=", "src=\"", "@import", " onclick=", " onload=", " onsubmit="] {
            assert!(!html.contains(foreign), "{name}: {foreign}");
        }
        assert!(html.contains("style.css?v="), "{name}");
        for field in html.split("<input ").skip(1).filter(|field| !field.contains("type=\"hidden\"")) {
            let id = field.split("id=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
            assert!(html.contains(&format!("<label for=\"{id}\">")), "{name}: {id} has no label");
        }
    }
}

#[test]
fn every_language_has_the_same_pages_in_its_own_words() {
    let words = |html: &str| html.split(['<', '>']).skip(2).step_by(2).filter(|text| text.split(' ').count() > 3).map(str::to_owned).collect::<Vec<_>>();
    for language in Language::ALL {
        for ((name, html), (_, english)) in pages_in(language, "Acme").into_iter().zip(pages("Acme")) {
            assert!(html.contains(&format!("<html lang=\"{}\">", language.tag())), "{name}");
            assert_eq!(html.matches('<').count(), english.matches('<').count(), "{name}");
            for sentence in words(&english) {
                assert_eq!(html.contains(&sentence), language == Language::English, "{name}: {sentence}");
            }
        }
    }
}

#[test]
fn every_sentence_that_the_code_asks_for_exists() {
    let sources = [
        include_str!("../ui/pages.rs"),
        include_str!("../ui/flow.rs"),
        include_str!("../ui/account.rs"),
        include_str!("../ui/erase.rs"),
        include_str!("../ui/visit.rs"),
        include_str!("../html.rs"),
        include_str!("../view.rs"),
    ];
    let views = Views::new("");
    let mut found = 0;
    // What a key is made of, between quotes; one with a gap is made at run time.
    for key in sources.iter().flat_map(|source| source.split('"')).filter(|text| text.starts_with("page.") && !text.contains(['{', '…', ' '])) {
        let known = |key: &str| views.speak(Language::English).has(key);
        assert!(known(key) || known(&format!("{key}.other")) || known(&format!("{key}.title")) && known(&format!("{key}.text")), "{key}");
        found += 1;
    }
    assert!(found > 5, "the sources hold keys");
}

#[test]
fn faults_are_told_in_every_language() {
    let views = Views::new("");
    let faults = [FieldError::new("newPassword", "too_short", "must be longer").with_limit(8), FieldError::new("email", "made_up", "is odd")];
    assert_eq!(
        views.speak(Language::English).sentences(&faults),
        ["The password must be at least 8 characters long.", "The e-mail address is not acceptable."]
    );
    assert_eq!(
        views.speak(Language::German).sentences(&faults),
        ["Das Passwort muss mindestens 8 Zeichen lang sein.", "Die E-Mail-Adresse ist nicht zulässig."]
    );
}

#[test]
fn what_people_typed_is_harmless_on_every_page() {
    for ((name, evil), (_, plain)) in pages(EVIL).into_iter().zip(pages("Acme")) {
        assert!(!evil.contains("<script>") && !evil.contains("\" onfocus"), "{name}: {evil}");
        // One notice has nothing that anybody typed.
        assert!((name == "notice-good" || evil.contains("{{7*7}}")) && !evil.contains("{{49}}"), "{name}: {evil}");
        for mark in ["<script", "<a ", "href=", "autofocus>", "<input", "<form"] {
            assert_eq!(evil.matches(mark).count(), plain.matches(mark).count(), "{name}: {mark}");
        }
        assert!(!evil.contains("href=\"http:&#x2f;&#x2f;evil"), "{name}");
    }
}

#[test]
fn faults_are_announced_and_tied_to_their_field() {
    for (name, html) in pages("Acme") {
        let alerts = usize::from(
            ["verify-failed", "reset", "forgot", "setup", "sign-in", "sign-up", "code", "account", "erase", "invitation", "factor"].contains(&name),
        );
        assert_eq!(html.matches("role=\"alert\"").count(), alerts, "{name}");
        assert_eq!(html.contains("<title>Error: "), alerts == 1, "{name}");
        assert_eq!(html.contains("aria-invalid=\"true\""), alerts == 1 && name != "setup", "{name}");
    }
}

#[test]
fn forms_post_what_their_handlers_take() {
    // Out, profile, address, password; another role or none for each of two people; remove the app, remove a key, new codes,
    // trust a device no more; end one, end all, export.
    let account = "csrf csrf name company country phone csrf email password csrf currentPassword newPassword \
        csrf account user csrf account user csrf account user csrf account user \
        csrf csrf id csrf csrf id csrf id csrf csrf";
    let account: Vec<_> = account.split_whitespace().collect();
    let forms = [
        ("verify", "/ui/verify-email", &["csrf", "token"][..]),
        ("verify-failed", "/ui/verify-email/resend", &["csrf", "email"]),
        ("reset", "/ui/reset-password", &["csrf", "token", "password"]),
        ("forgot", "/ui/forgot-password", &["csrf", "email"]),
        ("unlock", "/ui/unlock-sign-in", &["csrf", "token"]),
        ("invitation", "/ui/invitation", &["csrf", "token", "name", "password"]),
        ("invitation-plain", "/ui/invitation", &["csrf", "token", "name", "password"]),
        ("invitation-join", "/ui/invitation/accept", &["csrf", "token"]),
        ("change-email", "/ui/change-email", &["csrf", "token"]),
        ("undo", "/ui/undo-email-change", &["csrf", "token"]),
        ("setup", "/ui/setup", &["csrf", "token", "name", "email", "password"]),
        ("sign-in", "/ui/sign-in", &["csrf", "return_to", "email", "password"]),
        ("sign-up", "/ui/sign-up", &["csrf", "return_to", "name", "email", "password", "company"]),
        ("sign-up-plain", "/ui/sign-up", &["csrf", "return_to", "name", "email", "password"]),
        ("code", "/ui/verify-email/code", &["csrf", "code", "csrf"]),
        ("code-unknown", "/ui/verify-email/code", &["csrf", "email", "code"]),
        ("sign-out", "/ui/sign-out", &["csrf"]),
        ("erase", "/ui/account/erase", &["csrf", "password"]),
        ("account", "/ui/account/sessions/end", &account[..]),
        ("factor", "/ui/sign-in/factor", &["csrf", "ceremony", "credential", "trust", "csrf", "code", "trust"]),
        ("step-up", "/ui/step-up", &["csrf", "to", "password"]),
        ("passkey-sign-in", "/ui/sign-in/passkey", &["csrf", "to", "ceremony", "credential"]),
        ("passkey-new", "/ui/account/passkeys", &["csrf", "ceremony", "credential", "name"]),
        ("totp", "/ui/account/totp", &["csrf", "code"]),
        ("enrol", "/ui/sign-in/enrol", &["csrf", "code"]),
        ("magic-link", "/ui/magic-link", &["csrf", "token"]),
        ("not-me", "/ui/not-me", &["csrf", "token"]),
        ("ask-link", "/ui/sign-in/link", &["csrf", "email"]),
    ];
    let pages = pages("Acme");
    for (name, action, fields) in forms {
        let html = &pages.iter().find(|(page, _)| *page == name).unwrap().1;
        // A slash may be written as a reference: it is the same to a browser.
        assert!(html.replace("&#x2f;", "/").contains(&format!("method=\"post\" action=\"{action}\"")), "{name}: {html}");
        let names: Vec<_> = html.split("<input ").skip(1).map(|field| field.split("name=\"").nth(1).unwrap().split('"').next().unwrap()).collect();
        assert_eq!(names, fields, "{name}");
    }
    assert_eq!(pages.iter().filter(|(_, html)| html.contains("method=\"post\"")).count(), forms.len() + 3);
}

#[test]
fn a_link_leads_to_the_web_or_to_us() {
    let views = Views::new("/id/");
    let views = views.speak(Language::English);
    for (href, shown) in [("https://app.example", true), ("/ui/setup", true), ("javascript:alert(1)", false), ("data:text/html,x", false)] {
        let link = Some(Link { label: "Go on".to_owned(), href: href.to_owned() });
        assert_eq!(NoticePage { realm: None, says: "page.done.set_up".to_owned(), tone: Tone::Good, link }.render(views).contains("Go on"), shown, "{href}");
    }
    let page = VerifyEmailPage { realm: "Acme".to_owned(), token: "t".to_owned(), csrf: "c".to_owned() }.render(views);
    assert!(page.contains("action=\"&#x2f;id/ui/verify-email\""), "{page}");
}

#[test]
fn the_mailbox_shows_our_mails_with_usable_links() {
    let renderer = Renderer::default();
    let mail = renderer.render(Language::English, &Message::samples_for(EVIL, "Acme", EVIL)[0]).unwrap();
    let item = MailboxItem {
        id: "7".to_owned(),
        to: "a+b@example.com".to_owned(),
        subject: mail.subject,
        created_at: DateTime::UNIX_EPOCH,
        text: mail.text,
        html: mail.html,
    };
    let html = MailboxPage { to: "a+b@example.com".to_owned(), items: vec![item], open: Some("7".to_owned()) }.render(Views::new("").speak(Language::English));
    assert!(html.contains("to=a%2Bb%40example.com&amp;id=7"), "{html}");
    assert_eq!(html.matches("target=\"_blank\" rel=\"noopener noreferrer\"").count(), 1, "only the mail's own link is one");
    assert!(html.contains("srcdoc=\"&lt;!doctype html&gt;") && html.contains("&lt;base target=&quot;_blank&quot;&gt;"), "{html}");
    assert!(html.contains("1970-01-01 00:00:00 UTC") && !html.contains("allow-scripts") && !html.contains("allow-same-origin"));
}

//! The pages behind mailed links and the set-up page, as people use them. A look consumes nothing, a post does, and what
//! failed shows the way on.

use realmgate::service::installation;

use crate::{
    on_both,
    support::{
        PASSWORD,
        browser::{Form, assert_page, open, path_of, reset_link, setup_path, signed_up},
        tab::Tab,
    },
};

const EMAIL: &str = "ada@example.com";
const NEW_PASSWORD: &str = "another harbour otter";
const GONE: &str = "This link no longer works";
const DONE: &str = "E-mail address confirmed";

on_both!(looking_at_a_verification_link_consumes_nothing_and_the_button_does, |app| {
    let link = signed_up(&app, "localhost", EMAIL).await;
    assert!(link.starts_with("/ui/verify-email?token="), "{link}");
    let client = app.anonymous();
    for _ in 0..20 {
        let page = assert_page(client.get(&link).await, 200, "Confirm your e-mail address");
        assert!(page.text().contains("method=\"post\" action=\"/ui/verify-email\""), "{}", page.text());
    }
    client.log_in(EMAIL, PASSWORD).await.assert_problem(403, "email_not_verified");
    let form = open(&client, &link).await;
    assert_page(form.post(&client, "/ui/verify-email", &[]).await, 200, DONE);
    client.log_in(EMAIL, PASSWORD).await.assert(200);
    assert_page(form.post(&client, "/ui/verify-email", &[]).await, 400, GONE);
});

on_both!(a_dead_link_offers_another_mail_whose_link_works, |app| {
    let first = signed_up(&app, "localhost", EMAIL).await;
    let client = app.anonymous();
    app.advance(chrono::TimeDelta::hours(25));
    let form = open(&client, &first).await;
    let failed = assert_page(form.post(&client, "/ui/verify-email", &[]).await, 400, GONE);
    assert!(failed.text().contains("action=\"/ui/verify-email/resend\""));
    let resend = Form::of(&failed, &form.cookie);
    let wrong = assert_page(resend.post(&client, "/ui/verify-email/resend", &[("email", "no address")]).await, 400, "There is a problem");
    assert!(wrong.text().contains("value=\"no address\""), "what was typed stays: {}", wrong.text());
    let known = assert_page(resend.post(&client, "/ui/verify-email/resend", &[("email", EMAIL)]).await, 200, "Look into your mailbox");
    let unknown = resend.post(&client, "/ui/verify-email/resend", &[("email", "nobody@example.com")]).await.assert(200);
    assert_eq!(known.text(), unknown.text(), "the page does not tell who exists");
    app.run_jobs().await;
    assert!(app.mails("nobody@example.com").await.is_empty());
    assert_eq!(app.mails(EMAIL).await.len(), 2);
    let second = path_of(&app.last_mail(EMAIL).await.link());
    assert_ne!(first, second);
    let form = open(&client, &second).await;
    assert_page(form.post(&client, "/ui/verify-email", &[]).await, 200, DONE);
    client.log_in(EMAIL, PASSWORD).await.assert(200);
});

on_both!(a_password_is_reset_on_a_page_that_keeps_its_token_through_errors, |app| {
    let ada = app.user(EMAIL).await;
    let link = reset_link(&app, "localhost", EMAIL).await;
    let client = app.anonymous();
    for _ in 0..20 {
        assert_page(client.get(&link).await, 200, "Choose a new password");
    }
    let form = open(&client, &link).await;
    let refused = assert_page(form.post(&client, "/ui/reset-password", &[("password", "short")]).await, 422, "There is a problem");
    assert!(refused.text().contains("The password ") && !refused.text().contains("short\""), "{}", refused.text());
    let kept = Form::of(&refused, &form.cookie);
    assert_eq!(kept.token, form.token);
    client.clone().bearer(&ada.access).get("/api/v1/me").await.assert(200);
    assert_page(kept.post(&client, "/ui/reset-password", &[("password", NEW_PASSWORD)]).await, 200, "Password changed");
    client.log_in(EMAIL, NEW_PASSWORD).await.assert(200);
    client.log_in(EMAIL, PASSWORD).await.assert_problem(401, "invalid_credentials");
    client.clone().bearer(&ada.access).get("/api/v1/me").await.assert_problem(401, "session_ended");
    let spent = assert_page(kept.post(&client, "/ui/reset-password", &[("password", "third harbour otter")]).await, 400, GONE);
    assert!(spent.text().contains("action=\"/ui/forgot-password\""));
    client.log_in(EMAIL, NEW_PASSWORD).await.assert(200);
});

on_both!(an_expired_reset_link_leads_to_a_form_for_another, |app| {
    app.user(EMAIL).await;
    let link = reset_link(&app, "localhost", EMAIL).await;
    let client = app.anonymous();
    let form = open(&client, &link).await;
    app.advance(chrono::TimeDelta::minutes(31));
    let expired = assert_page(form.post(&client, "/ui/reset-password", &[("password", NEW_PASSWORD)]).await, 400, GONE);
    client.log_in(EMAIL, PASSWORD).await.assert(200);
    let again = Form::of(&expired, &form.cookie);
    assert_page(again.post(&client, "/ui/forgot-password", &[("email", EMAIL)]).await, 200, "Look into your mailbox");
    app.run_jobs().await;
    let form = open(&client, &path_of(&app.last_mail(EMAIL).await.link())).await;
    assert_page(form.post(&client, "/ui/reset-password", &[("password", NEW_PASSWORD)]).await, 200, "Password changed");
    // A link that lost its token says the same.
    assert_page(client.get("/ui/reset-password").await, 200, GONE);
});

on_both!(the_forgot_page_says_the_same_of_everybody, |app| {
    app.user(EMAIL).await;
    let client = app.anonymous();
    let form = open(&client, "/ui/forgot-password").await;
    let before = app.mails(EMAIL).await.len();
    let known = assert_page(form.post(&client, "/ui/forgot-password", &[("email", EMAIL)]).await, 200, "Look into your mailbox");
    let unknown = form.post(&client, "/ui/forgot-password", &[("email", "nobody@example.com")]).await.assert(200);
    assert_eq!(known.text(), unknown.text());
    app.run_jobs().await;
    assert_eq!(app.mails(EMAIL).await.len(), before + 1);
    assert!(app.mails("nobody@example.com").await.is_empty());
    let wrong = assert_page(form.post(&client, "/ui/forgot-password", &[("email", "no address")]).await, 422, "There is a problem");
    assert!(wrong.text().contains("The e-mail address ") && wrong.text().contains("value=\"no address\""), "{}", wrong.text());
});

on_both!(the_operator_is_set_up_once, |app| {
    let path = setup_path(&app).await;
    let client = app.anonymous();
    for _ in 0..20 {
        assert_page(client.get(&path).await, 200, "Set up Realmgate");
    }
    let form = open(&client, &path).await;
    let weak = [("name", "Ada Lovelace"), ("email", EMAIL), ("password", "short")];
    let refused = assert_page(form.post(&client, "/ui/setup", &weak).await, 400, "There is a problem");
    assert!(refused.text().contains("value=\"Ada Lovelace\"") && refused.text().contains("value=\"ada@example.com\""), "{}", refused.text());
    assert!(!refused.text().contains("\"short\""), "a password is never shown again");
    let kept = Form::of(&refused, &form.cookie);
    assert_eq!(kept.token, form.token);
    let forged = Form { token: "A".repeat(43), ..kept.clone() };
    let good = [("name", "Ada Lovelace"), ("email", EMAIL), ("password", PASSWORD)];
    assert_page(forged.post(&client, "/ui/setup", &good).await, 400, "There is a problem");
    client.log_in(EMAIL, PASSWORD).await.assert_problem(401, "invalid_credentials");
    assert_page(kept.post(&client, "/ui/setup", &good).await, 200, "Realmgate is set up");
    let ada = client.log_in(EMAIL, PASSWORD).await.user("localhost", EMAIL);
    let me = client.clone().bearer(&ada.access).get("/api/v1/me").await.assert(200);
    let root = app.app().root().unwrap().account.to_string();
    let owned = me.json()["accounts"].as_array().unwrap().iter().any(|account| account["id"] == root.as_str() && account["role"] == "owner");
    assert!(owned, "{}", me.text());
    assert_eq!(installation::setup_link(app.app()).await.unwrap(), None);
    let second = [("name", "Eve"), ("email", "eve@example.com"), ("password", PASSWORD)];
    assert_page(kept.post(&client, "/ui/setup", &second).await, 400, "used already");
    client.log_in("eve@example.com", PASSWORD).await.assert_problem(401, "invalid_credentials");
});

on_both!(of_two_who_set_up_at_once_one_wins, |app| {
    let path = setup_path(&app).await;
    let (app, other) = (&app, app.join(2).await);
    let form = open(&app.anonymous(), &path).await;
    let clients = [app.anonymous(), other.anonymous(), app.anonymous(), other.anonymous()];
    let posts = clients.iter().enumerate().map(|(at, client)| {
        let form = form.clone();
        async move {
            let email = format!("p{at}@example.com");
            form.send(client, "/ui/setup", &[("name", "P"), ("email", &email), ("password", PASSWORD)]).await
        }
    });
    let replies = futures_util::future::join_all(posts).await;
    let won: Vec<_> = replies.iter().map(|reply| reply.status.as_u16()).filter(|status| *status == 303).collect();
    assert_eq!(won.len(), 1, "{:?}", replies.iter().map(|reply| reply.status).collect::<Vec<_>>());
    assert!(replies.iter().all(|reply| matches!(reply.status.as_u16(), 303 | 400)));
    let mut in_at_last = 0;
    for at in 0..4 {
        in_at_last += usize::from(app.anonymous().log_in(&format!("p{at}@example.com"), PASSWORD).await.status == 200);
    }
    assert_eq!(in_at_last, 1);
});

on_both!(links_of_other_realms_name_their_realm_and_work_there_only, |app| {
    app.realm("acme.example.com").await;
    let client = app.anonymous();
    let link = signed_up(&app, "acme.example.com", EMAIL).await;
    let (bare, realm) = link.split_once('&').unwrap();
    assert_eq!(realm, "realm=acme.example.com");
    // At the root realm the token means nothing, and asking there does not spend it.
    let at_root = open(&client, bare).await;
    assert_page(at_root.post(&client, "/ui/verify-email", &[]).await, 400, GONE);
    let form = open(&client, &link).await;
    let done = assert_page(form.post(&client, "/ui/verify-email", &[]).await, 200, DONE);
    assert!(done.text().contains("acme.example.com"), "{}", done.text());
    let acme = client.clone().realm("acme.example.com");
    acme.log_in(EMAIL, PASSWORD).await.assert(200);
    client.log_in(EMAIL, PASSWORD).await.assert_problem(401, "invalid_credentials");

    let link = reset_link(&app, "acme.example.com", EMAIL).await;
    assert!(link.ends_with("&realm=acme.example.com"), "{link}");
    let form = open(&client, &link).await;
    assert_page(form.post(&client, "/ui/reset-password", &[("password", NEW_PASSWORD)]).await, 200, "Password changed");
    acme.log_in(EMAIL, NEW_PASSWORD).await.assert(200);

    let forgot = open(&client, "/ui/forgot-password?realm=acme.example.com").await;
    app.run_jobs().await;
    let before = app.mails(EMAIL).await.len();
    assert_page(forgot.post(&client, "/ui/forgot-password", &[("email", EMAIL)]).await, 200, "Look into your mailbox");
    app.run_jobs().await;
    assert_eq!(app.mails(EMAIL).await.len(), before + 1);
    assert!(app.last_mail(EMAIL).await.link().ends_with("&realm=acme.example.com"));
});

on_both!(what_a_post_did_is_told_by_a_page_that_can_be_loaded_again, |app| {
    app.realm("acme.example.com").await;
    let mut tab = Tab::new(app.anonymous());
    assert_eq!(tab.get("/ui/done").await.assert(303).header("location"), "/ui/sign-in", "nothing was done yet");
    let link = signed_up(&app, "acme.example.com", EMAIL).await;
    let page = tab.get(&link).await.assert(200);
    let token = Form::of(&page, "").token;
    let reply = tab.post("/ui/verify-email", &[("token", &token)]).await;
    for _ in 0..3 {
        let page = assert_page(tab.follow(&reply, "/ui/done?realm=acme.example.com").await, 200, DONE);
        assert!(page.text().contains("sign-in?realm&#x3d;acme.example.com") || page.text().contains("sign-in?realm=acme.example.com"), "{}", page.text());
    }
    assert_eq!(tab.get("/ui/done").await.assert(303).header("location"), "/ui/sign-in", "of another realm it says nothing");
    // Asking for a mail and reading that it comes asks once, however often the page is loaded.
    tab.get("/ui/forgot-password?realm=acme.example.com").await.assert(200);
    let reply = tab.post("/ui/forgot-password", &[("email", EMAIL)]).await;
    for _ in 0..3 {
        assert_page(tab.follow(&reply, "/ui/done?realm=acme.example.com").await, 200, "Look into your mailbox");
    }
    app.run_jobs().await;
    assert_eq!(app.mails(EMAIL).await.len(), 2);
    // Nobody else's browser is told, and nobody can make it say something.
    app.anonymous().get("/ui/done?realm=acme.example.com").await.assert(303);
    app.anonymous().header("cookie", "realmgate_flow=AAAA").get("/ui/done").await.assert(303);
});

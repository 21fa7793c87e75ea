//! The page of a mailed invitation, for everybody who may open it. A GET uses nothing up.

use crate::{
    on_both,
    support::{
        PASSWORD, TestApp,
        browser::{assert_page, path_of},
        keys::Owner,
        people::OTHER,
        tab::Tab,
    },
};

const NEW: &str = "charles@example.com";

/// An account, and the path of an invitation's link to it.
async fn invited(app: &TestApp) -> (Owner, String, String) {
    let ada = app.owner("ada@example.com").await;
    let token = app.invited(&ada.user.access, &ada.account, NEW, "admin").await;
    (ada, path_of(&app.last_mail(NEW).await.link()), token)
}

on_both!(a_newcomer_joins_on_the_page, |app| {
    let (ada, path, token) = invited(&app).await;
    let mut tab = Tab::new(app.anonymous());
    for _ in 0..20 {
        let page = assert_page(tab.get(&path).await, 200, "Join Test Person");
        assert_eq!(page.header("cache-control"), "no-store");
        assert!(page.text().contains(NEW) && page.text().contains("administrator"), "{}", page.text());
    }
    let page =
        assert_page(tab.post("/ui/invitation", &[("token", &token), ("name", "<b>"), ("password", "short")]).await, 422, "The password must be at least 8");
    assert!(page.text().contains("value=\"&lt;b&gt;\"") && !page.text().contains("short"), "{}", page.text());
    let reply = tab.post("/ui/invitation", &[("token", &token), ("name", "Charles Babbage"), ("password", PASSWORD)]).await;
    let page = tab.follow(&reply, "/ui/sign-in").await;
    assert_page(page, 200, "You have joined. Please sign in with your new password.");
    let reply = tab.post("/ui/sign-in", &[("email", NEW), ("password", PASSWORD)]).await;
    assert_page(tab.follow(&reply, "/ui/account").await, 200, "Charles Babbage");
    assert_eq!(app.anonymous().bearer(&ada.user.access).roles(&ada.account).await[1], (NEW.to_owned(), "admin".to_owned()));
    // Used up, for whoever comes.
    for mut tab in [tab, Tab::new(app.anonymous())] {
        assert_page(tab.get(&path).await, 400, "This invitation no longer works");
        tab.get("/ui/sign-up").await;
        assert_page(tab.get("/ui/invitation?token=x").await, 400, "This invitation no longer works");
        assert_page(tab.get("/ui/invitation").await, 400, "This invitation no longer works");
    }
});

on_both!(a_user_signs_in_and_joins, |app| {
    app.user(NEW).await;
    let (ada, path, token) = invited(&app).await;
    let mut tab = Tab::new(app.anonymous());
    let page = assert_page(tab.get(&path).await, 200, "Sign in to join");
    let href = page.text().split("class=\"button\" href=\"").nth(1).unwrap().split('"').next().unwrap().replace("&#x2f;", "/").replace("&amp;", "&");
    assert_page(tab.get(&href).await, 200, "Sign in to localhost");
    let back = format!("{path}&realm=localhost");
    let reply = tab.post("/ui/sign-in", &[("email", NEW), ("password", PASSWORD), ("return_to", &back)]).await;
    assert_page(tab.follow(&reply, &back).await, 200, "action=\"/ui/invitation/accept\"");
    // The form is tied to the session that it was shown in.
    let mut thief = Tab::new(app.anonymous());
    thief.sign_in("ada@example.com", PASSWORD).await.assert(303);
    thief.csrf = tab.csrf.clone();
    thief.post("/ui/invitation/accept", &[("token", &token)]).await.assert(403);
    let reply = tab.post("/ui/invitation/accept", &[("token", &token)]).await;
    assert_page(tab.follow(&reply, "/ui/account").await, 200, "You have joined.");
    assert_eq!(app.anonymous().bearer(&ada.user.access).roles(&ada.account).await.len(), 2);
    assert_page(tab.post("/ui/invitation/accept", &[("token", &token)]).await, 400, "This invitation no longer works");
});

on_both!(somebody_else_and_another_site_get_nowhere, |app| {
    let (ada, path, token) = invited(&app).await;
    app.user("eve@example.com").await;
    let mut tab = Tab::new(app.anonymous());
    tab.sign_in("eve@example.com", PASSWORD).await.assert(303);
    let page = assert_page(tab.get(&path).await, 200, "another address than the one that was invited");
    assert!(!page.text().contains(NEW), "whose it is, is not hers to know: {}", page.text());
    // A form that she has from elsewhere.
    tab.get("/ui/account").await.assert(200);
    assert_page(tab.post("/ui/invitation/accept", &[("token", &token)]).await, 409, "another address than the one that was invited");
    for site in ["cross-site", "same-site"] {
        for action in ["/ui/invitation", "/ui/invitation/accept"] {
            let form = [("csrf", tab.csrf.as_str()), ("token", token.as_str())];
            tab.own().header("sec-fetch-site", site).form(action, &form).await.assert(403);
        }
    }
    tab.own().form("/ui/invitation", &[("token", &token), ("name", "N"), ("password", OTHER)]).await.assert(403);
    assert_eq!(app.anonymous().bearer(&ada.user.access).roles(&ada.account).await.len(), 1);
    // With the plan full the link says so and stays good.
    app.joined(&ada.user.access, &ada.account, "one@example.com", "member").await;
    realmgate::service::plans::change(
        app.app(),
        &app.operator().await,
        "free",
        realmgate::domain::account::PlanChange { max_members: Some(2), ..Default::default() },
    )
    .await
    .unwrap();
    let mut tab = Tab::new(app.anonymous());
    tab.get(&path).await.assert(200);
    assert_page(tab.post("/ui/invitation", &[("token", &token), ("name", "N"), ("password", OTHER)]).await, 403, "There is no place left");
    assert_page(tab.get(&path).await, 200, "Join Test Person");
});

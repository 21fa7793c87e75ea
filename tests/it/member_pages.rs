//! Owners and admins at `/ui/account`: who belongs to their accounts, roles, removal, and what the page keeps them from.

use chrono::TimeDelta;
use realmgate::domain::user::Role;

use crate::{
    on_both,
    support::{PASSWORD, browser::assert_page, tab::Tab},
};

on_both!(the_people_of_an_account_are_looked_after_in_a_browser, |app| {
    let ada = app.owner("ada@example.com").await;
    let admin = app.joined(&ada.user.access, &ada.account, "admin@example.com", "admin").await;
    let member = app.joined(&ada.user.access, &ada.account, "member@example.com", "member").await;
    let mut tab = Tab::new(app.anonymous());
    tab.sign_in("ada@example.com", PASSWORD).await.assert(303);
    let page = assert_page(tab.get("/ui/account").await, 200, "People of Test Person");
    for text in ["admin@example.com · administrator", "member@example.com · member", "ada@example.com · owner"] {
        assert!(page.text().contains(text), "no {text} in {}", page.text());
    }
    assert_eq!(page.text().matches("/ui/account/members/remove").count(), 2, "one's own place is not taken away here");
    let about = |user: &str| [("account", ada.account.clone()), ("user", user.to_owned())];
    let with = |user: &str, role: &str| about(user).into_iter().chain([("role", role.to_owned())]).collect::<Vec<_>>();
    let fields = |fields: &[(&'static str, String)]| fields.iter().map(|(name, value)| (*name, value.clone())).collect::<Vec<_>>();
    let post = async |tab: &mut Tab<'_>, path: &str, list: Vec<(&'static str, String)>| {
        let list: Vec<(&str, &str)> = list.iter().map(|(name, value)| (*name, value.as_str())).collect();
        tab.post(path, &list).await
    };
    let reply = post(&mut tab, "/ui/account/members/role", with(&member.id, "admin")).await;
    let page = assert_page(tab.follow(&reply, "/ui/account").await, 200, "The role is changed.");
    assert!(page.text().contains("member@example.com · administrator"), "{}", page.text());
    let reply = post(&mut tab, "/ui/account/members/remove", fields(&about(&member.id))).await;
    let page = assert_page(tab.follow(&reply, "/ui/account").await, 200, "That person no longer belongs to the account.");
    assert!(!page.text().contains("member@example.com"), "{}", page.text());
    // Twice, of nobody, as something that is no role, and the last owner.
    for (list, status) in [(fields(&about(&member.id)), 403), (fields(&about("x")), 403), (fields(&about(&ada.user.id)), 409)] {
        post(&mut tab, "/ui/account/members/remove", list).await.assert(status);
    }
    post(&mut tab, "/ui/account/members/role", with(&admin.id, "root")).await.assert(403);
    post(&mut tab, "/ui/account/members/role", with(&ada.user.id, "member")).await.assert(409);
    // Another role asks for a fresh sign-in, taking one away does not.
    app.advance(TimeDelta::minutes(11));
    assert_page(post(&mut tab, "/ui/account/members/role", with(&admin.id, "owner")).await, 403, "older than ten minutes");
    let reply = post(&mut tab, "/ui/account/members/remove", fields(&about(&admin.id))).await;
    assert_page(tab.follow(&reply, "/ui/account").await, 200, "That person no longer belongs");
});

on_both!(who_administers_nothing_sees_and_does_nothing_there, |app| {
    let ada = app.owner("ada@example.com").await;
    let admin = app.joined(&ada.user.access, &ada.account, "admin@example.com", "admin").await;
    let member = app.joined(&ada.user.access, &ada.account, "member@example.com", "member").await;
    let eve = app.owner("eve@example.com").await;
    for (email, title) in [("member@example.com", false), ("eve@example.com", true), ("admin@example.com", true)] {
        let mut tab = Tab::new(app.anonymous());
        tab.sign_in(email, PASSWORD).await.assert(303);
        let page = tab.get("/ui/account").await.assert(200).text();
        assert_eq!(page.contains("People of"), title, "{email}");
        assert_eq!(page.contains("ada@example.com"), email == "admin@example.com", "{email}");
        let target = if email == "admin@example.com" { &ada.user.id } else { &admin.id };
        for (path, role) in [("/ui/account/members/role", Some("member")), ("/ui/account/members/remove", None)] {
            let mut list = vec![("account", ada.account.as_str()), ("user", target.as_str())];
            list.extend(role.map(|role| ("role", role)));
            tab.post(path, &list).await.assert(403);
        }
        // A form that another page made up does nothing at all.
        let own = tab.csrf.clone();
        tab.csrf = "x".to_owned();
        tab.post("/ui/account/members/remove", &[("account", &eve.account), ("user", &eve.user.id)]).await.assert(403);
        tab.csrf = own;
    }
    let roles = app.anonymous().bearer(&ada.user.access).roles(&ada.account).await;
    assert_eq!(roles.len(), 3, "{roles:?}");
    assert_eq!(member.id.len(), 36);
    // An admin is offered no owner to touch and no owner's role to give.
    app.place_anew(&ada.account, &member.id, Role::Owner).await;
    let mut tab = Tab::new(app.anonymous());
    tab.sign_in("admin@example.com", PASSWORD).await.assert(303);
    let page = tab.get("/ui/account").await.assert(200).text();
    assert!(!page.contains("<option value=\"owner\"") && !page.contains("/ui/account/members/remove"), "{page}");
});

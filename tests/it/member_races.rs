//! Members, invitations and realms at the same moment, through two nodes: an owner is always left, a link is good once, and
//! no plan is passed.

use std::sync::Arc;

use realmgate::{
    domain::{realm::RealmSettings, user::Role},
    service::realms,
};

use crate::{
    on_both,
    support::{Client, Node, PASSWORD, TestApp, User, at_once::at_once, keys::Owner},
};

/// The status of a reply; whoever finds the node busy asks again.
macro_rules! patiently {
    ($ask:expr) => {
        loop {
            let status = $ask.await.status.as_u16();
            if status != 503 {
                break status;
            }
        }
    };
}

async fn nodes(app: &TestApp) -> [Arc<Node>; 2] {
    [Arc::new(app.join(2).await), Arc::new(app.join(3).await)]
}

fn client<'a>(node: &'a Node, user: &User) -> Client<'a> {
    node.anonymous().bearer(&user.access)
}

async fn owners(app: &TestApp, account: &str) -> usize {
    let query = format!("SELECT COUNT(*) AS v FROM memberships WHERE role = 'owner' AND account_id = {}", app.id_literal(account));
    app.sql(&query).await[0].parse().unwrap()
}

async fn many_owners(app: &TestApp, count: usize) -> (Owner, Vec<User>) {
    let ada = app.owner("ada@example.com").await;
    let mut all = vec![ada.user.clone()];
    for number in 1..count {
        let user = app.user(&format!("owner{number}@example.com")).await;
        app.place(&ada.account, "localhost", &user.id, Role::Owner).await;
        all.push(user);
    }
    (ada, all)
}

on_both!(of_owners_who_all_leave_at_once_one_stays, |app| {
    let (ada, all) = many_owners(&app, 12).await;
    let nodes = nodes(&app).await;
    for round in 0..10 {
        for user in &all {
            app.place_anew(&ada.account, &user.id, Role::Owner).await;
        }
        let statuses = at_once(all.len(), |n| {
            let (node, user, account) = (Arc::clone(&nodes[n % 2]), all[n].clone(), ada.account.clone());
            async move {
                let client = client(&node, &user);
                if n % 3 == 0 { patiently!(client.set_role(&account, &user.id, "member")) } else { patiently!(client.remove_member(&account, &user.id)) }
            }
        })
        .await;
        assert_eq!(owners(&app, &ada.account).await, 1, "round {round}: {statuses:?}");
        assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 1, "round {round}: {statuses:?}");
    }
});

on_both!(of_two_owners_who_put_each_other_out_one_stays, |app| {
    let (ada, all) = many_owners(&app, 2).await;
    let nodes = nodes(&app).await;
    for round in 0..25 {
        for user in &all {
            app.place_anew(&ada.account, &user.id, Role::Owner).await;
        }
        let statuses = at_once(2, |n| {
            let (node, user, victim, account) = (Arc::clone(&nodes[n]), all[n].clone(), all[1 - n].id.clone(), ada.account.clone());
            async move { patiently!(client(&node, &user).remove_member(&account, &victim)) }
        })
        .await;
        assert_eq!(owners(&app, &ada.account).await, 1, "round {round}: {statuses:?}");
        // The slower one has no rights any more, and finds out.
        let mut sorted = statuses.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, [204, 404], "round {round}");
    }
});

on_both!(a_link_is_good_for_one_of_many, |app| {
    let ada = app.owner("ada@example.com").await;
    app.set_plan(&ada.account, "business").await;
    let nodes = nodes(&app).await;
    for round in 0..5 {
        let email = format!("new{round}@example.com");
        let token = app.invited(&ada.user.access, &ada.account, &email, "member").await;
        let statuses = at_once(20, |n| {
            let (node, token) = (Arc::clone(&nodes[n % 2]), token.clone());
            async move { patiently!(node.anonymous().join(&token, PASSWORD)) }
        })
        .await;
        assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
        assert!(statuses.iter().all(|status| [201, 400, 409].contains(status)), "{statuses:?}");
        app.anonymous().log_in(&email, PASSWORD).await.assert(200);
    }
    assert_eq!(app.count("memberships").await, 6);
});

on_both!(fifty_invitations_at_once_never_pass_the_plan, |app| {
    let ada = app.owner("ada@example.com").await;
    app.set_plan(&ada.account, "starter").await;
    let nodes = nodes(&app).await;
    let statuses = at_once(50, |n| {
        let (node, user, account) = (Arc::clone(&nodes[n % 2]), ada.user.clone(), ada.account.clone());
        async move { patiently!(client(&node, &user).invite(&account, &format!("new{n}@example.com"), "member")) }
    })
    .await;
    // Ten members, one of whom is there.
    let count = |wanted: u16| statuses.iter().filter(|status| **status == wanted).count();
    assert_eq!((count(201), count(403)), (9, 41), "{statuses:?}");
    assert_eq!(app.count("invitations").await, 9);
});

on_both!(invitations_taken_up_at_once_never_pass_a_plan_that_was_lowered, |app| {
    let ada = app.owner("ada@example.com").await;
    app.set_plan(&ada.account, "starter").await;
    let mut tokens = Vec::new();
    for number in 0..8 {
        tokens.push(app.invited(&ada.user.access, &ada.account, &format!("new{number}@example.com"), "member").await);
    }
    // Three members from now on.
    app.set_plan(&ada.account, "free").await;
    let nodes = nodes(&app).await;
    for node in &nodes {
        node.follow_changes().await;
    }
    let statuses = at_once(8, |n| {
        let (node, token) = (Arc::clone(&nodes[n % 2]), tokens[n].clone());
        async move { patiently!(node.anonymous().join(&token, PASSWORD)) }
    })
    .await;
    let count = |wanted: u16| statuses.iter().filter(|status| **status == wanted).count();
    assert_eq!((count(201), count(403)), (2, 6), "{statuses:?}");
    assert_eq!(app.anonymous().bearer(&ada.user.access).roles(&ada.account).await.len(), 3);
    assert_eq!(app.sql("SELECT COUNT(*) AS v FROM users").await, ["3"], "who found no place was not made a user");
});

on_both!(twenty_realms_at_once_never_pass_the_plan, |app| {
    let account = app.account("realms", None, "starter").await;
    let nodes = nodes(&app).await;
    let operator = app.operator().await;
    let made = at_once(20, |n| {
        let (node, account, operator) = (Arc::clone(&nodes[n % 2]), account.parse().unwrap(), operator.clone());
        async move {
            loop {
                match realms::create(&node.app, &operator, account, &format!("r{n}.example.com"), RealmSettings::default()).await {
                    Ok(_) => break true,
                    Err(error) if error.code() == "plan_limit_reached" => break false,
                    Err(error) if ["service_busy", "service_unavailable"].contains(&error.code()) => {}
                    Err(other) => panic!("{other:?}"),
                }
            }
        }
    })
    .await;
    assert_eq!(made.iter().filter(|made| **made).count(), 3);
    assert_eq!(realms::list(app.app(), &operator, Some(account.parse().unwrap())).await.unwrap().len(), 3);
    // A smaller plan takes nothing away and gives nothing more; a name in use is said to be in use.
    app.set_plan(&account, "free").await;
    let more =
        async |name: &str| realms::create(app.app(), &operator, account.parse().unwrap(), name, RealmSettings::default()).await.map_err(|error| error.code());
    assert_eq!(more("more.example.com").await.err(), Some("plan_limit_reached"));
    assert_eq!(realms::list(app.app(), &operator, Some(account.parse().unwrap())).await.unwrap().len(), 3);
    app.set_plan(&account, "business").await;
    assert_eq!(more("localhost").await.err(), Some("taken"));
    assert!(more("more.example.com").await.is_ok());
});

//! Keys made and rotated at the same moment, through two nodes: never more than the plan allows, never two successors.

use std::sync::Arc;

use serde_json::json;

use crate::{
    on_both,
    support::{
        at_once::at_once,
        keys::{Key, keys_of, plain_key},
    },
};

on_both!(fifty_creates_at_once_never_pass_the_plan, |app| {
    let ada = app.owner("ada@example.com").await;
    app.set_plan(&ada.account, "starter").await;
    let nodes = [Arc::new(app.join(2).await), Arc::new(app.join(3).await)];
    let statuses = at_once(50, |n| {
        let (node, account, access) = (Arc::clone(&nodes[n % 2]), ada.account.clone(), ada.user.access.clone());
        async move {
            loop {
                let status = node.anonymous().bearer(&access).make_key(&account, &plain_key()).await.status.as_u16();
                // Whoever finds the node busy asks again.
                if status != 503 {
                    break status;
                }
            }
        }
    })
    .await;
    let made = statuses.iter().filter(|status| **status == 201).count();
    assert_eq!((made, statuses.iter().filter(|status| **status == 403).count()), (25, 25));
    let list = app.anonymous().bearer(&ada.user.access).get(&format!("{}?limit=200", keys_of(&ada.account))).await.json();
    assert_eq!(list["items"].as_array().unwrap().len(), 25, "no live key is hidden");
});

on_both!(twenty_rotations_at_once_have_one_winner, |app| {
    let ada = app.owner("ada@example.com").await;
    let key = Key::of(app.anonymous().bearer(&ada.user.access).make_key(&ada.account, &plain_key()).await);
    let nodes = [Arc::new(app.join(2).await), Arc::new(app.join(3).await)];
    let statuses = at_once(20, |n| {
        let (node, account, access, id) = (Arc::clone(&nodes[n % 2]), ada.account.clone(), ada.user.access.clone(), key.id.clone());
        async move {
            loop {
                let status = node.anonymous().bearer(&access).rotate_key(&account, &id, &json!({ "overlapSeconds": 60 })).await.status.as_u16();
                if status != 503 {
                    break status;
                }
            }
        }
    })
    .await;
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| [201, 409].contains(status)), "{statuses:?}");
    assert_eq!(app.count("api_keys").await, 2);
});

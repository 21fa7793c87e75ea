//! Signing keys that follow each other, signing keys whose secret got out, and master keys that come and go: on two nodes.

use std::{collections::BTreeSet, sync::Arc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use realmgate::{
    app::App,
    crypto::{
        entropy::SeededEntropy,
        keyring::Keyring,
        signing::{AccessClaims, SigningKey},
    },
    domain::{Error, clock::Clock as _},
    service::{installation, master_keys, signing},
    store::{self, Db, connection::Address, signing_keys::StoredKey},
};
use serde_json::Value;

use crate::{
    on_both,
    support::{Node, PASSWORD, TestApp, at_once::at_once},
};

const EMAIL: &str = "ada@example.com";
const K1: &str = "k1:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
const K2: &str = "k2:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";
const OTHER_K1: &str = "k1:AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=";

fn part(token: &str, at: usize) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(at).unwrap()).unwrap()).unwrap()
}

fn kid(token: &str) -> String {
    part(token, 0)["kid"].as_str().unwrap().to_owned()
}

async fn log_in(node: &Node) -> String {
    node.anonymous().log_in(EMAIL, PASSWORD).await.assert(200).at("/tokens/accessToken")
}

async fn published(node: &Node) -> BTreeSet<String> {
    let set = node.anonymous().get("/realms/localhost/.well-known/jwks.json").await.assert(200).json();
    let keys = set["keys"].as_array().unwrap();
    assert!(keys.iter().all(|key| key["kty"] == "EC" && key["crv"] == "P-256" && key["use"] == "sig" && key.get("d").is_none()), "{set}");
    keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

fn set<const N: usize>(kids: [&str; N]) -> BTreeSet<String> {
    kids.into_iter().map(str::to_owned).collect()
}

async fn rows(app: &TestApp) -> Vec<StoredKey> {
    signing::list(app.app(), &app.operator().await).await.unwrap()
}

/// A token that `row`'s key signs and that does not expire before the next days: only its key can make it worth nothing.
fn lasting(app: &TestApp, row: &StoredKey, token: &str) -> String {
    let aad = format!("signing_keys|{}|{}|private_sealed", row.realm_id, row.id);
    let key = SigningKey::from_pkcs8(&row.kid, &app.app().keyring.unseal(&aad, &row.private_sealed).unwrap()).unwrap();
    let mut claims: AccessClaims = serde_json::from_value(part(token, 1)).unwrap();
    claims.exp += 7 * 86_400;
    key.sign(&claims).unwrap()
}

async fn me(node: &Node, token: &str) -> u16 {
    node.anonymous().bearer(token).me().await.status.as_u16()
}

on_both!(a_new_key_is_known_before_it_signs_and_the_old_one_outlives_its_tokens, |app| {
    app.user(EMAIL).await;
    let second = app.join(2).await;
    let old = log_in(&app.node).await;
    let lasting = lasting(&app, &rows(&app).await[0], &old);
    assert_eq!(published(&second).await, set([&kid(&old)]));
    let next = signing::rotate(app.app(), &app.operator().await).await.unwrap().expect("a new key");
    assert!(signing::rotate(app.app(), &app.operator().await).await.unwrap().is_none(), "one is on its way");
    second.follow_changes().await;
    for node in [&app.node, &second] {
        assert_eq!(published(node).await, set([&kid(&old), &next.kid]), "published before it signs");
        assert_eq!(kid(&log_in(node).await), kid(&old));
    }
    app.advance(TimeDelta::minutes(15));
    for node in [&app.node, &second] {
        assert_eq!(kid(&log_in(node).await), next.kid, "without a word between the nodes");
        assert_eq!(me(node, &lasting).await, 200);
        assert_eq!(published(node).await, set([&kid(&old), &next.kid]));
    }
    // The last token of the old key, made in its last moment by a realm with the longest of lives, has expired.
    app.advance(TimeDelta::seconds(3_604));
    assert_eq!((me(&app.node, &lasting).await, me(&second, &lasting).await), (200, 200));
    app.advance(TimeDelta::seconds(1));
    for node in [&app.node, &second] {
        assert_eq!(me(node, &lasting).await, 401);
        node.anonymous().bearer(&lasting).me().await.assert_problem(401, "invalid_access_token");
        assert_eq!(published(node).await, set([&next.kid]));
        assert_eq!(kid(&log_in(node).await), next.kid);
    }
    app.advance(TimeDelta::days(31));
    store::sweep::sweep(&app.app().db.write, app.clock.now()).await.unwrap();
    assert_eq!(rows(&app).await.len(), 1);
});

on_both!(two_nodes_rotate_once, |app| {
    app.realm("acme.example.com").await;
    let second = app.join(2).await;
    let nodes = [Arc::clone(app.app()), Arc::clone(&second.app)];
    app.advance(TimeDelta::days(60));
    app.realm("globex.example.com").await;
    assert_eq!(signing::rotate_due(app.app()).await.unwrap(), 0);
    app.advance(TimeDelta::days(31));
    let rotated = at_once(8, |number| {
        let app = Arc::clone(&nodes[number % 2]);
        async move { signing::rotate_due(&app).await.unwrap() }
    })
    .await;
    assert_eq!(rotated.iter().sum::<usize>(), 2, "the two realms whose time has come, once each: {rotated:?}");
    assert_eq!(app.count("signing_keys").await, 5);
    app.advance(TimeDelta::days(91));
    assert_eq!(signing::rotate_due(app.app()).await.unwrap(), 3);
    assert_eq!(app.sql("SELECT COUNT(*) AS v FROM audit_events WHERE action = 'signing_key.rotated'").await, ["5"]);
});

on_both!(rotation_by_age_can_be_switched_off, |app| {
    let never = app.join_with(2, |settings| settings.key_rotation_days = 0).await;
    app.advance(TimeDelta::days(4_000));
    assert_eq!(signing::rotate_due(&never.app).await.unwrap(), 0);
    assert_eq!(signing::rotate_due(app.app()).await.unwrap(), 1);
});

on_both!(a_revoked_key_counts_nowhere_and_another_signs_at_once, |app| {
    let ada = app.user(EMAIL).await;
    app.realm("acme.example.com").await;
    let elsewhere = app.user_in("acme.example.com", "bob@example.com").await;
    let second = app.join(2).await;
    assert_eq!((me(&app.node, &ada.access).await, me(&second, &ada.access).await), (200, 200));
    let leaked = kid(&ada.access);
    signing::revoke(app.app(), &app.operator().await, &leaked).await.unwrap();
    app.anonymous().bearer(&ada.access).me().await.assert_problem(401, "invalid_access_token");
    second.follow_changes().await;
    second.anonymous().bearer(&ada.access).me().await.assert_problem(401, "invalid_access_token");
    let renewed = second.anonymous().refresh(&ada.refresh).await.assert(200).at("/accessToken");
    assert_ne!(kid(&renewed), leaked, "the session goes on under another key");
    for node in [&app.node, &second] {
        assert_eq!(me(node, &renewed).await, 200);
        assert_eq!(published(node).await, set([&kid(&renewed)]));
        assert_eq!(me(node, &elsewhere.access).await, 200, "another realm's key is its own");
    }
    signing::revoke(app.app(), &app.operator().await, &leaked).await.unwrap();
    assert_eq!(rows(&app).await.len(), 2, "once is enough");
    assert!(matches!(signing::revoke(app.app(), &app.operator().await, "nosuch").await, Err(Error::NotFound)));
    let mut stranger = app.operator().await;
    stranger.principal = realmgate::service::Principal::Anonymous;
    assert!(matches!(signing::revoke(app.app(), &stranger, &leaked).await, Err(Error::NotPermitted)));
    assert!(matches!(signing::rotate(app.app(), &stranger).await, Err(Error::NotPermitted)));
});

on_both!(revoking_while_a_new_key_is_on_its_way, |app| {
    app.user(EMAIL).await;
    let operator = app.operator().await;
    let old = kid(&log_in(&app.node).await);
    let next = signing::rotate(app.app(), &operator).await.unwrap().unwrap();
    signing::revoke(app.app(), &operator, &old).await.unwrap();
    assert_eq!(kid(&log_in(&app.node).await), next.kid, "it signs before its time");
    let third = signing::rotate(app.app(), &operator).await.unwrap().unwrap();
    signing::revoke(app.app(), &operator, &third.kid).await.unwrap();
    let fourth = kid(&log_in(&app.node).await);
    assert!(![&old, &next.kid, &third.kid].contains(&&fourth), "the present one has its end already, so a new one takes over");
    assert_eq!(published(&app.node).await, set([&next.kid, &fourth]));
    app.advance(TimeDelta::days(2));
    assert_eq!(published(&app.node).await, set([&fourth]));
    assert!(signing::rotate(app.app(), &operator).await.unwrap().is_some());
});

on_both!(one_of_many_revocations_makes_the_new_key, |app| {
    app.user(EMAIL).await;
    let second = app.join(2).await;
    let nodes = [Arc::clone(app.app()), Arc::clone(&second.app)];
    let (operator, leaked) = (app.operator().await, kid(&log_in(&app.node).await));
    at_once(16, |number| {
        let (app, ctx, kid) = (Arc::clone(&nodes[number % 2]), operator.clone(), leaked.clone());
        async move { signing::revoke(&app, &ctx, &kid).await.unwrap() }
    })
    .await;
    assert_eq!(rows(&app).await.len(), 2);
});

/// Why a node with these master keys does not start on the app's database.
async fn refusal(app: &TestApp, keys: &str) -> String {
    let settings = app.app().settings.clone();
    let db = Db::connect(&Address { url: settings.database_url.clone(), max_connections: 2 }).await.unwrap();
    let node = App::new(
        settings,
        db,
        Arc::<realmgate::domain::clock::ManualClock>::clone(&app.clock),
        Arc::new(SeededEntropy::new(9)),
        Arc::new(Keyring::parse(keys).unwrap()),
    );
    match installation::ensure(&node.unwrap()).await {
        Err(Error::Setup(text)) => text,
        other => panic!("it starts: {other:?}"),
    }
}

async fn join_with_keys(app: &TestApp, seed: u64, keys: &str) -> Node {
    app.join_with(seed, |settings| settings.master_key = Some(keys.into())).await
}

on_both!(a_node_without_a_needed_master_key_does_not_start, |app| {
    app.user(EMAIL).await;
    for (keys, names) in [(K2, "`k1` is missing"), (OTHER_K1, "`k1` is another one"), (&*format!("{K2}\n{OTHER_K1}"), "`k1` is another one")] {
        let said = refusal(&app, keys).await;
        assert!(said.contains(names) && said.contains("REALMGATE_MASTER_KEY") && !said.contains('\n') && !said.contains("AgIC"), "{said}");
    }
    // From the first start with a new key on, nobody may lack that one either.
    join_with_keys(&app, 2, &format!("{K2}\n{K1}")).await;
    let said = refusal(&app, K1).await;
    assert!(said.contains("`k2` is missing"), "{said}");
    join_with_keys(&app, 3, &format!("{K1}\n{K2}")).await;
});

on_both!(a_master_key_can_be_changed_and_the_old_one_thrown_away, |app| {
    app.user(EMAIL).await;
    app.user("bob@example.com").await;
    app.realm("acme.example.com").await;
    let old = log_in(&app.node).await;
    let rotated = join_with_keys(&app, 2, &format!("{K2}\n{K1}")).await;
    assert_eq!(me(&rotated, &old).await, 200, "what the old key sealed is read by its id");
    assert_eq!(app.sql("SELECT COUNT(*) AS v FROM signing_keys WHERE private_sealed LIKE 'k2.%'").await, ["1"], "moved when it was needed");
    let operator = app.operator().await;
    let done = master_keys::reseal(&rotated.app, &operator, |_| {}).await.unwrap();
    assert_eq!(done.values, 2, "the other realm's key, and the check");
    let k1 = done.keys.iter().find(|key| key.id == "k1").unwrap();
    assert_eq!((k1.current, k1.needed(), k1.passwords), (false, true, 2), "hashes can't be changed without their passwords");
    assert!(refusal(&app, K2).await.contains("`k1` is missing"));

    log_in(&rotated).await;
    rotated.anonymous().log_in("bob@example.com", PASSWORD).await.assert(200);
    assert_eq!(app.sql("SELECT COUNT(*) AS v FROM credentials WHERE secret LIKE '%,keyid=azI$%'").await, ["2"]);
    // The set-up link of the first start is still open.
    let done = master_keys::reseal(&rotated.app, &operator, |_| {}).await.unwrap();
    assert_eq!((done.values, done.keys.iter().find(|key| key.id == "k1").unwrap().links), (0, 1));
    let link = installation::setup_link(&rotated.app).await.unwrap().unwrap();
    let token = link.split("token=").nth(1).unwrap();
    installation::set_up(&rotated.app, &operator, token, "Olive Operator", "olive@example.com", PASSWORD.into()).await.unwrap();
    let done = master_keys::reseal(&rotated.app, &operator, |_| {}).await.unwrap();
    assert!(!done.keys.iter().find(|key| key.id == "k1").unwrap().needed(), "{done:?}");
    let alone = join_with_keys(&app, 4, K2).await;
    assert_eq!(me(&alone, &log_in(&alone).await).await, 200);
    assert!(refusal(&app, K1).await.contains("`k2` is missing"));
});

on_both!(a_running_node_that_lacks_a_passwords_key_says_so_to_the_operator_alone, |app| {
    app.user(EMAIL).await;
    let rotated = join_with_keys(&app, 2, &format!("{K2}\n{K1}")).await;
    log_in(&rotated).await;
    assert!(app.app().passwords.missing_keys().is_empty());
    let refused = app.anonymous().log_in(EMAIL, PASSWORD).await.assert_problem(401, "invalid_credentials");
    app.anonymous().log_in("nobody@example.com", PASSWORD).await.assert_like(&refused);
    assert_eq!(app.app().passwords.missing_keys(), ["k2"]);
});

on_both!(second_factors_follow_the_master_key, |app| {
    let ada = app.enrolled(EMAIL).await;
    let rotated = join_with_keys(&app, 2, &format!("{K2}\n{K1}")).await;
    let answer = async |method: &str, code: &str| {
        let token = rotated.anonymous().first_half(EMAIL).await;
        rotated.anonymous().answer(&token, method, code).await
    };
    answer("totp", &app.code(&ada.secret)).await.assert(200);
    answer("recovery_code", &ada.codes[0]).await.assert(200);
    let done = master_keys::reseal(&rotated.app, &app.operator().await, |_| {}).await.unwrap();
    assert_eq!(done.keys.iter().find(|key| key.id == "k1").unwrap().recovery_codes, 9, "they can't move by themselves");
    assert_eq!(app.sql("SELECT COUNT(*) AS v FROM totp_secrets WHERE secret LIKE 'k2.%'").await, ["1"]);
    app.advance(chrono::TimeDelta::seconds(30));
    let access = answer("totp", &app.code(&ada.secret)).await.assert(200).at("/tokens/accessToken");
    rotated.anonymous().bearer(&access).post("/api/v1/me/mfa/recovery-codes", &serde_json::json!({})).await.assert(200);
    let done = master_keys::reseal(&rotated.app, &app.operator().await, |_| {}).await.unwrap();
    assert_eq!(done.keys.iter().find(|key| key.id == "k1").unwrap().recovery_codes, 0);
});

//! Who belongs to an account: who may change that, what the change takes away, and that an owner is always left.

use chrono::TimeDelta;
use realmgate::domain::{account::AccountStatus, user::Role};
use serde_json::json;

use crate::{
    on_both,
    support::{
        TestApp, User,
        keys::{Key, Owner, plain_key},
        members::members_of,
    },
};

const ROLES: [(&str, Role); 3] = [("owner", Role::Owner), ("admin", Role::Admin), ("member", Role::Member)];

/// A user of the root realm with a place in the account.
async fn placed(app: &TestApp, account: &str, email: &str, role: Role) -> User {
    let user = app.user(email).await;
    app.place(account, "localhost", &user.id, role).await;
    user
}

async fn team(app: &TestApp) -> (Owner, User, User) {
    let ada = app.owner("ada@example.com").await;
    let admin = app.joined(&ada.user.access, &ada.account, "admin@example.com", "admin").await;
    let member = app.joined(&ada.user.access, &ada.account, "member@example.com", "member").await;
    (ada, admin, member)
}

on_both!(members_see_each_other_and_strangers_see_nothing, |app| {
    let (ada, admin, member) = team(&app).await;
    for caller in [&ada.user, &admin, &member] {
        let client = app.anonymous().bearer(&caller.access);
        let roles = client.roles(&ada.account).await;
        let wanted = [("ada@example.com", "owner"), ("admin@example.com", "admin"), ("member@example.com", "member")];
        assert_eq!(roles, wanted.map(|(email, role)| (email.to_owned(), role.to_owned())));
    }
    let client = app.anonymous().bearer(&ada.user.access);
    let first = client.get(&format!("{}?limit=2", members_of(&ada.account))).await.assert(200);
    let mut keys: Vec<_> = first.json()["items"][0].as_object().unwrap().keys().cloned().collect();
    keys.sort();
    assert_eq!(keys, ["email", "joinedAt", "name", "realm", "role", "userId"]);
    assert_eq!((first.at("/items/0/userId"), first.at("/items/0/realm")), (ada.user.id.clone(), "localhost".to_owned()));
    let rest = client.get(&format!("{}?limit=2&cursor={}", members_of(&ada.account), first.at("/nextCursor"))).await.assert(200).json();
    assert_eq!((rest["items"].as_array().unwrap().len(), rest["items"][0]["email"].as_str()), (1, Some("member@example.com")));
    assert!(rest["nextCursor"].is_null());
    for query in ["limit=0", "limit=201", "cursor=x", "cursor=%00"] {
        client.get(&format!("{}?{query}", members_of(&ada.account))).await.assert_problem(422, "validation_failed");
    }
    // A stranger, and somebody below, of whom nobody here knows.
    let eve = app.owner("eve@example.com").await;
    let below = app.account("below", Some(&ada.account), "free").await;
    let mallory = placed(&app, &below, "mallory@example.com", Role::Owner).await;
    for caller in [&eve.user, &mallory] {
        app.anonymous().bearer(&caller.access).get(&members_of(&ada.account)).await.assert_problem(404, "not_found");
    }
    // From above one sees, if one administers there.
    client.get(&members_of(&below)).await.assert(200);
    app.anonymous().bearer(&member.access).get(&members_of(&below)).await.assert_problem(404, "not_found");
});

on_both!(owners_decide_about_all_and_admins_about_all_but_owners, |app| {
    let (ada, admin, member) = team(&app).await;
    let target = app.user("target@example.com").await;
    for (who, caller, decides) in
        [("owner", &ada.user, ["owner", "admin", "member"].as_slice()), ("admin", &admin, &["admin", "member"]), ("member", &member, &[])]
    {
        let client = app.anonymous().bearer(&caller.access);
        for (old_name, old) in ROLES {
            for (new, _) in ROLES {
                app.place_anew(&ada.account, &target.id, old).await;
                let reply = client.set_role(&ada.account, &target.id, new).await;
                let (old_role, may) = (old_name, decides.contains(&old_name) && decides.contains(&new));
                assert_eq!(reply.status.as_u16(), if may { 200 } else { 403 }, "{who}: {old_role} to {new}: {}", reply.text());
                let now = client.roles(&ada.account).await.into_iter().find(|(email, _)| email == "target@example.com").unwrap().1;
                assert_eq!(now, if may { new } else { old_role }, "{who}: {old_role} to {new}");
            }
            app.place_anew(&ada.account, &target.id, old).await;
            let reply = client.remove_member(&ada.account, &target.id).await;
            assert_eq!(reply.status.as_u16(), if decides.contains(&old_name) { 204 } else { 403 }, "{who} removes {old_name}");
        }
    }
    // Of somebody who is no member nothing is said, and of a role that is none nothing is kept.
    let client = app.anonymous().bearer(&ada.user.access);
    for id in ["x", "018f3c5e-7a70-7000-8000-000000000001", &app.user("nobody@example.com").await.id] {
        client.set_role(&ada.account, id, "admin").await.assert_problem(404, "not_found");
        client.remove_member(&ada.account, id).await.assert_problem(404, "not_found");
    }
    for role in ["", "Owner", "root", "owner "] {
        let reply = client.set_role(&ada.account, &member.id, role).await.assert_problem(422, "validation_failed");
        assert_eq!(reply.faults(), ["role:unknown_role"]);
    }
});

on_both!(an_account_keeps_an_owner, |app| {
    let (ada, admin, member) = team(&app).await;
    let client = app.anonymous().bearer(&ada.user.access);
    client.remove_member(&ada.account, &ada.user.id).await.assert_problem(409, "last_owner");
    for role in ["admin", "member"] {
        client.set_role(&ada.account, &ada.user.id, role).await.assert_problem(409, "last_owner");
    }
    client.set_role(&ada.account, &ada.user.id, "owner").await.assert(200);
    // Everybody else may leave, and the owner too once there is another.
    app.anonymous().bearer(&member.access).remove_member(&ada.account, &member.id).await.assert(204);
    app.anonymous().bearer(&member.access).remove_member(&ada.account, &member.id).await.assert_problem(404, "not_found");
    client.set_role(&ada.account, &admin.id, "owner").await.assert(200);
    client.remove_member(&ada.account, &ada.user.id).await.assert(204);
    client.get(&members_of(&ada.account)).await.assert_problem(404, "not_found");
    let roles = app.anonymous().bearer(&admin.access).roles(&ada.account).await;
    assert_eq!(roles, [("admin@example.com".to_owned(), "owner".to_owned())]);
});

on_both!(a_removed_member_loses_everything_at_once_and_their_keys_live_on, |app| {
    let (ada, admin, _) = team(&app).await;
    let other = app.join(2).await;
    let service = Key::of(app.anonymous().bearer(&ada.user.access).make_key(&ada.account, &json!({ "name": "S", "scopes": ["credentials:verify"] })).await);
    let key = Key::of(app.anonymous().bearer(&admin.access).make_key(&ada.account, &plain_key()).await);
    let verdict = async |node: &crate::support::Node, credential: &str| {
        let verdict = node.anonymous().bearer(&service.text).post("/api/v1/verify", &json!({ "credential": credential, "scopes": ["chat:read"] })).await;
        verdict.assert(200).at("/code")
    };
    other.follow_changes().await;
    for node in [&app.node, &other] {
        assert_eq!(verdict(node, &admin.access).await, "valid");
        node.anonymous().bearer(&admin.access).get(&members_of(&ada.account)).await.assert(200);
    }
    app.anonymous().bearer(&ada.user.access).remove_member(&ada.account, &admin.id).await.assert(204);
    let gone = async |node: &crate::support::Node| {
        // Their session goes on, as that of somebody without a place; what they are is not this account's to know.
        let me = node.anonymous().bearer(&admin.access).get("/api/v1/me").await.assert(200);
        assert!(!me.text().contains(&ada.account), "{}", me.text());
        assert_eq!(verdict(node, &admin.access).await, "not_found");
        let client = node.anonymous().bearer(&admin.access);
        client.get(&members_of(&ada.account)).await.assert_problem(404, "not_found");
        client.make_key(&ada.account, &plain_key()).await.assert_problem(404, "not_found");
        client.get(&format!("/api/v1/accounts/{}", ada.account)).await.assert_problem(404, "not_found");
        assert_eq!(verdict(node, &key.text).await, "valid");
    };
    gone(&app.node).await;
    other.follow_changes().await;
    gone(&other).await;
    let listed = app.anonymous().bearer(&ada.user.access).key(&ada.account, &key.id).await.assert(200);
    assert_eq!((listed.at("/createdBy"), listed.at("/status")), (admin.id.clone(), "active".to_owned()));
});

on_both!(a_lesser_role_counts_at_once_everywhere, |app| {
    let (ada, admin, _) = team(&app).await;
    let other = app.join(2).await;
    let service = Key::of(app.anonymous().bearer(&ada.user.access).make_key(&ada.account, &json!({ "name": "S", "scopes": ["credentials:verify"] })).await);
    let code = async |node: &crate::support::Node| {
        let body = json!({ "credential": admin.access, "scopes": ["chat:read"] });
        node.anonymous().bearer(&service.text).post("/api/v1/verify", &body).await.assert(200).at("/code")
    };
    other.follow_changes().await;
    assert_eq!((code(&app.node).await, code(&other).await), ("valid".to_owned(), "valid".to_owned()));
    app.anonymous().bearer(&ada.user.access).set_role(&ada.account, &admin.id, "member").await.assert(200);
    assert_eq!(code(&app.node).await, "insufficient_scope");
    other.follow_changes().await;
    assert_eq!(code(&other).await, "insufficient_scope");
    other.anonymous().bearer(&admin.access).make_key(&ada.account, &plain_key()).await.assert_problem(403, "not_permitted");
});

on_both!(giving_rights_asks_for_a_fresh_proof_and_taking_them_does_not, |app| {
    let (ada, admin, member) = team(&app).await;
    app.advance(TimeDelta::minutes(11));
    let client = app.anonymous().bearer(&ada.user.access);
    client.set_role(&ada.account, &member.id, "owner").await.assert_problem(401, "step_up_required");
    client.invite(&ada.account, "new@example.com", "member").await.assert_problem(401, "step_up_required");
    client.remove_member(&ada.account, &admin.id).await.assert(204);
    let again = app.again(&ada).await;
    app.anonymous().bearer(&again.access).set_role(&ada.account, &member.id, "owner").await.assert(200);
});

on_both!(from_above_one_decides_and_a_key_never, |app| {
    let ada = app.owner("ada@example.com").await;
    let below = app.account("below", Some(&ada.account), "free").await;
    let bob = placed(&app, &below, "bob@example.com", Role::Owner).await;
    let client = app.anonymous().bearer(&ada.user.access);
    // The account below keeps its owner, whoever asks.
    client.remove_member(&below, &bob.id).await.assert_problem(409, "last_owner");
    let carl = placed(&app, &below, "carl@example.com", Role::Member).await;
    client.set_role(&below, &carl.id, "owner").await.assert(200);
    client.remove_member(&below, &bob.id).await.assert(204);
    let key = Key::of(client.make_key(&ada.account, &plain_key()).await);
    let program = app.anonymous().bearer(&key.text);
    program.get(&members_of(&ada.account)).await.assert_problem(403, "not_permitted");
    program.set_role(&below, &carl.id, "member").await.assert_problem(403, "not_permitted");
    program.remove_member(&below, &carl.id).await.assert_problem(403, "not_permitted");
    program.invite(&ada.account, "x@example.com", "member").await.assert_problem(403, "not_permitted");
    // Nobody is made anything by an account that is disabled, and who is in it is no secret to its people.
    let id = below.parse().unwrap();
    realmgate::service::accounts::set_status(app.app(), &app.operator().await, id, AccountStatus::Disabled).await.unwrap();
    app.anonymous().bearer(&carl.access).set_role(&below, &carl.id, "member").await.assert_problem(403, "account_disabled");
    app.anonymous().bearer(&carl.access).get(&members_of(&below)).await.assert(200);
    client.invite(&below, "x@example.com", "member").await.assert_problem(403, "account_disabled");
});

on_both!(who_lost_a_place_or_got_another_role_hears_of_it, |app| {
    let (ada, admin, member) = team(&app).await;
    let client = app.anonymous().bearer(&ada.user.access);
    let mails = async |email: &str| {
        app.run_jobs().await;
        app.mails(email).await.len()
    };
    let before = (mails("member@example.com").await, mails("admin@example.com").await, mails("ada@example.com").await);
    client.set_role(&ada.account, &member.id, "admin").await.assert(200);
    client.set_role(&ada.account, &member.id, "admin").await.assert(200);
    assert_eq!(mails("member@example.com").await, before.0 + 1, "what changed nothing is no news");
    let mail = app.last_mail("member@example.com").await;
    assert!(mail.0.subject.contains("another role") && mail.0.text.contains("You are administrator there now"), "{}", mail.0.text);
    client.remove_member(&ada.account, &member.id).await.assert(204);
    assert_eq!(mails("member@example.com").await, before.0 + 2);
    let mail = app.last_mail("member@example.com").await;
    assert!(mail.0.subject.contains("no longer a member") && mail.0.text.contains("Test Person"), "{}", mail.0.text);
    // Who leaves knows that they did, and nobody else is told.
    app.anonymous().bearer(&admin.access).remove_member(&ada.account, &admin.id).await.assert(204);
    assert_eq!((mails("admin@example.com").await, mails("ada@example.com").await), (before.1, before.2));
    // Of two changes in a row the last is told, and of one that was overtaken by a removal only that.
    let joined = app.joined(&ada.user.access, &ada.account, "quick@example.com", "member").await;
    let before = mails("quick@example.com").await;
    client.set_role(&ada.account, &joined.id, "admin").await.assert(200);
    client.remove_member(&ada.account, &joined.id).await.assert(204);
    assert_eq!(mails("quick@example.com").await, before + 1);
    assert!(app.last_mail("quick@example.com").await.0.subject.contains("no longer a member"));
});

on_both!(every_change_is_in_the_trail, |app| {
    let (ada, admin, member) = team(&app).await;
    let client = app.anonymous().bearer(&ada.user.access);
    client.set_role(&ada.account, &member.id, "admin").await.assert(200);
    client.set_role(&ada.account, &member.id, "admin").await.assert(200);
    client.remove_member(&ada.account, &admin.id).await.assert(204);
    client.remove_member(&ada.account, &ada.user.id).await.assert(409);
    let lines = app.sql("SELECT action AS v FROM audit_events WHERE action LIKE 'member.%' ORDER BY action").await;
    assert_eq!(lines, ["member.removed", "member.role_changed"], "what changed nothing leaves no line");
    let placed = "account_id IS NOT NULL AND subject_user_id IS NOT NULL AND actor_user_id IS NOT NULL";
    let full = app.sql(&format!("SELECT COUNT(*) AS v FROM audit_events WHERE action LIKE 'member.%' AND {placed}")).await;
    assert_eq!(full, ["2"]);
});

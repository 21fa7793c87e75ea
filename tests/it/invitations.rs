//! Invitations through the API: what is mailed, who may take one up, what ends one, and what nobody learns.

use chrono::TimeDelta;
use realmgate::{
    domain::{
        language::Language,
        realm::{RealmSettings, RealmStatus},
        user::Role,
    },
    service::realms,
};
use serde_json::{Value, json};

use crate::{
    on_both,
    support::{
        PASSWORD, TestApp,
        members::{invitations_of, members_of},
        people::{OTHER, tampered},
    },
};

const NEW: &str = "charles@example.com";

on_both!(a_new_person_joins_by_the_mailed_link, |app| {
    let ada = app.owner("ada@example.com").await;
    let client = app.anonymous().bearer(&ada.user.access);
    let made = client.clone().header("x-forwarded-host", "evil.example").invite(&ada.account, "Charles@Example.com", "admin").await.assert(201);
    let mut keys: Vec<_> = made.json().as_object().unwrap().keys().cloned().collect();
    keys.sort();
    assert_eq!(keys, ["createdAt", "email", "expiresAt", "id", "invitedBy", "role", "status"]);
    assert_eq!(
        (made.at("/email"), made.at("/status"), made.at("/role"), made.at("/invitedBy")),
        (NEW.into(), "pending".into(), "admin".into(), ada.user.id.clone())
    );
    app.run_jobs().await;
    let mail = app.last_mail(NEW).await;
    assert_eq!(mail.0.subject, "An invitation to localhost");
    assert!(mail.link().starts_with("http://localhost:8080/ui/invitation?token="), "{}", mail.link());
    assert!(mail.0.text.contains("Test Person invites you to join Test Person at localhost. Your role there: administrator."), "{}", mail.0.text);
    let token = mail.token();
    assert!(app.text_columns().await.iter().filter(|column| column.table != "mailbox").all(|column| !column.values.iter().any(|value| value.contains(&token))));
    let joined = app.anonymous().join(&token, PASSWORD).await.assert(201);
    assert_eq!((joined.at("/account"), joined.at("/role"), joined.at("/email")), (ada.account.clone(), "admin".to_owned(), NEW.to_owned()));
    // No further proof of the address, and no account of their own.
    let charles = app.anonymous().log_in(NEW, PASSWORD).await.user("localhost", NEW);
    let me = app.anonymous().bearer(&charles.access).get("/api/v1/me").await.assert(200);
    assert_eq!((me.at("/emailVerified"), me.at("/accounts/0/id"), me.at("/accounts/0/role")), ("true".to_owned(), ada.account.clone(), "admin".to_owned()));
    assert_eq!(me.json()["accounts"].as_array().unwrap().len(), 1);
    app.run_jobs().await;
    assert_eq!(app.mails(NEW).await.len(), 1);
    // Once.
    for reply in [app.anonymous().join(&token, PASSWORD).await, app.anonymous().bearer(&charles.access).accept(&token).await] {
        reply.assert_problem(400, "invalid_token");
    }
    let list = client.get(&invitations_of(&ada.account)).await.assert(200);
    assert_eq!((list.at("/items/0/status"), list.at("/nextCursor")), ("accepted".to_owned(), "null".to_owned()));
    client.delete(&format!("{}/{}", invitations_of(&ada.account), made.at("/id"))).await.assert_problem(409, "invitation_accepted");
    let lines =
        app.sql("SELECT action AS v FROM audit_events WHERE action LIKE 'invitation.%' AND target_id IS NOT NULL AND account_id IS NOT NULL ORDER BY id").await;
    assert_eq!(lines, ["invitation.created", "invitation.accepted"]);
});

on_both!(a_user_accepts_with_the_invited_address_alone, |app| {
    let ada = app.owner("ada@example.com").await;
    let charles = app.owner(NEW).await;
    let eve = app.owner("eve@example.com").await;
    let token = app.invited(&ada.user.access, &ada.account, NEW, "member").await;
    app.anonymous().bearer(&eve.user.access).accept(&token).await.assert_problem(403, "not_invited");
    app.anonymous().accept(&token).await.assert_problem(401, "missing_credential");
    // Whoever holds the link learns that there is a user; they hold the address.
    app.anonymous().join(&token, OTHER).await.assert_problem(409, "invitee_exists");
    app.anonymous().log_in(NEW, OTHER).await.assert(401);
    let joined = app.anonymous().bearer(&charles.user.access).accept(&token).await.assert(200);
    assert_eq!((joined.at("/account"), joined.at("/role")), (ada.account.clone(), "member".to_owned()));
    let me = app.anonymous().bearer(&charles.user.access).get("/api/v1/me").await.assert(200);
    assert_eq!((me.at("/accounts/0/id"), me.at("/accounts/1/id")), (charles.account, ada.account.clone()), "at once, and the older account comes first");
    app.anonymous().bearer(&eve.user.access).accept(&token).await.assert_problem(400, "invalid_token");
    // A member is no secret to whoever reads the list of members.
    let reply = app.anonymous().bearer(&ada.user.access).invite(&ada.account, NEW, "admin").await.assert_problem(409, "taken");
    assert_eq!(reply.faults(), ["email:taken"]);
});

on_both!(whether_an_address_has_a_user_is_not_told, |app| {
    let ada = app.owner("ada@example.com").await;
    app.set_plan(&ada.account, "business").await;
    app.user("known@example.com").await;
    app.unverified("unproved@example.com").await;
    app.user("locked@example.com").await;
    app.lock("locked@example.com").await;
    let client = app.anonymous().bearer(&ada.user.access);
    let mut seen: Vec<(u16, Vec<String>, Vec<String>, Value)> = Vec::new();
    for email in ["nobody@example.com", "known@example.com", "unproved@example.com", "locked@example.com"] {
        let before = app.mails(email).await.len();
        let reply = client.invite(&ada.account, email, "member").await;
        let mut body = reply.json();
        for differs in ["id", "email"] {
            body[differs] = Value::Null;
        }
        let headers = reply.headers.keys().map(ToString::to_string).collect();
        let jobs = app.sql("SELECT kind AS v FROM jobs").await;
        seen.push((reply.status.as_u16(), headers, jobs, body["role"].clone()));
        app.run_jobs().await;
        assert_eq!(app.mails(email).await.len(), before + 1, "{email}");
    }
    assert!(seen.iter().all(|one| *one == seen[0]), "{seen:?}");
    // With wrong tokens neither.
    let token = app.last_mail("known@example.com").await.token();
    let wrong = app.anonymous().join(&tampered(&token), PASSWORD).await.assert_problem(400, "invalid_token");
    app.anonymous().join(&tampered(&app.last_mail("nobody@example.com").await.token()), PASSWORD).await.assert_like(&wrong);
    app.anonymous().join("x", PASSWORD).await.assert_like(&wrong);
});

on_both!(an_invitation_ends_by_time_by_a_newer_one_and_by_being_taken_back, |app| {
    let ada = app.owner("ada@example.com").await;
    app.set_plan(&ada.account, "business").await;
    let access = async || app.again(&ada).await.access;
    let older = app.invited(&ada.user.access, &ada.account, NEW, "admin").await;
    let newer = app.invited(&ada.user.access, &ada.account, NEW, "member").await;
    app.anonymous().join(&older, PASSWORD).await.assert_problem(400, "invalid_token");
    let list = app.anonymous().bearer(&ada.user.access).get(&invitations_of(&ada.account)).await.assert(200);
    assert_eq!((list.at("/items/0/status"), list.at("/items/1/status")), ("revoked".to_owned(), "pending".to_owned()));
    let path = format!("{}/{}", invitations_of(&ada.account), list.at("/items/1/id"));
    for _ in 0..2 {
        app.anonymous().bearer(&ada.user.access).delete(&path).await.assert(204);
    }
    app.anonymous().join(&newer, PASSWORD).await.assert_problem(400, "invalid_token");
    for id in ["x", "018f3c5e-7a70-7000-8000-000000000001", &list.at("/items/1/id").replace('0', "1")] {
        app.anonymous().bearer(&ada.user.access).delete(&format!("{}/{id}", invitations_of(&ada.account))).await.assert_problem(404, "not_found");
    }
    // To the second: a week, or what was asked for.
    let asked = app.invited(&ada.user.access, &ada.account, NEW, "member").await;
    app.advance(TimeDelta::days(7) + TimeDelta::seconds(1));
    app.anonymous().join(&asked, PASSWORD).await.assert_problem(400, "invalid_token");
    let list = app.anonymous().bearer(&access().await).get(&invitations_of(&ada.account)).await.assert(200);
    assert_eq!(list.at("/items/2/status"), "expired");
    let end = |days: i64| json!({ "email": NEW, "expiresAt": (app.now() + TimeDelta::days(days)).to_rfc3339_opts(chrono::SecondsFormat::Secs, true) });
    let client = app.anonymous().bearer(&access().await).clone();
    for (days, code) in [(-1, "in_the_past"), (31, "out_of_range")] {
        let reply = client.post(&invitations_of(&ada.account), &end(days)).await.assert_problem(422, "validation_failed");
        assert_eq!(reply.faults(), [format!("expiresAt:{code}")]);
    }
    let made = client.post(&invitations_of(&ada.account), &end(2)).await.assert(201);
    assert_eq!(made.at("/role"), "member");
    app.run_jobs().await;
    let token = app.last_mail(NEW).await.token();
    app.advance(TimeDelta::days(2) - TimeDelta::seconds(10));
    app.anonymous().join(&token, PASSWORD).await.assert(201);
    // One that ended before its mail went out is not mailed.
    let client = app.anonymous().bearer(&access().await).clone();
    let made = client.invite(&ada.account, "late@example.com", "member").await.assert(201);
    client.delete(&format!("{}/{}", invitations_of(&ada.account), made.at("/id"))).await.assert(204);
    app.run_jobs().await;
    assert!(app.mails("late@example.com").await.is_empty());
});

on_both!(who_may_invite_whom, |app| {
    let ada = app.owner("ada@example.com").await;
    app.set_plan(&ada.account, "business").await;
    let admin = app.joined(&ada.user.access, &ada.account, "admin@example.com", "admin").await;
    let member = app.joined(&ada.user.access, &ada.account, "member@example.com", "member").await;
    let eve = app.owner("eve@example.com").await;
    for role in ["owner", "admin", "member"] {
        let ask = async |access: &str, who: &str| app.anonymous().bearer(access).invite(&ada.account, &format!("{who}-{role}@example.com"), role).await;
        ask(&ada.user.access, "o").await.assert(201);
        let by_admin = ask(&admin.access, "a").await;
        assert_eq!(by_admin.status.as_u16(), if role == "owner" { 403 } else { 201 });
        ask(&member.access, "m").await.assert_problem(403, "not_permitted");
        ask(&eve.user.access, "e").await.assert_problem(404, "not_found");
    }
    let list = app.anonymous().bearer(&admin.access).get(&invitations_of(&ada.account)).await.assert(200).json();
    let of =
        |role: &str| list["items"].as_array().unwrap().iter().find(|item| item["role"] == role && item["status"] == "pending").unwrap()["id"].as_str().unwrap();
    let path = |role: &str| format!("{}/{}", invitations_of(&ada.account), of(role));
    app.anonymous().bearer(&admin.access).delete(&path("owner")).await.assert_problem(403, "not_permitted");
    app.anonymous().bearer(&admin.access).delete(&path("admin")).await.assert(204);
    for (caller, status) in [(&member.access, 403), (&eve.user.access, 404)] {
        app.anonymous().bearer(caller).get(&invitations_of(&ada.account)).await.assert(status);
        app.anonymous().bearer(caller).delete(&path("owner")).await.assert(status);
    }
    // Another account's invitation is none here.
    app.anonymous().bearer(&eve.user.access).delete(&format!("{}/{}", invitations_of(&eve.account), of("owner"))).await.assert_problem(404, "not_found");
    for (body, fault) in [(json!({ "email": "no address" }), "email:invalid_email"), (json!({ "email": "a@example.com", "role": "root" }), "role:unknown_role")]
    {
        let reply = app.anonymous().bearer(&ada.user.access).post(&invitations_of(&ada.account), &body).await.assert_problem(422, "validation_failed");
        assert_eq!(reply.faults(), [fault]);
    }
});

on_both!(who_loses_rights_leaves_no_door_open, |app| {
    let ada = app.owner("ada@example.com").await;
    app.set_plan(&ada.account, "business").await;
    let below = app.account("below", Some(&ada.account), "business").await;
    for lessens in [true, false] {
        let admin = app.joined(&ada.user.access, &ada.account, &format!("admin-{lessens}@example.com"), "admin").await;
        let here = app.invited(&admin.access, &ada.account, &format!("friend-{lessens}@example.com"), "admin").await;
        let there = app.invited(&admin.access, &below, &format!("pal-{lessens}@example.com"), "admin").await;
        let hers = app.invited(&ada.user.access, &ada.account, &format!("guest-{lessens}@example.com"), "member").await;
        let client = app.anonymous().bearer(&ada.user.access);
        if lessens {
            client.set_role(&ada.account, &admin.id, "member").await.assert(200);
        } else {
            client.remove_member(&ada.account, &admin.id).await.assert(204);
        }
        for token in [&here, &there] {
            app.anonymous().join(token, PASSWORD).await.assert_problem(400, "invalid_token");
        }
        app.anonymous().join(&hers, PASSWORD).await.assert(201);
    }
});

on_both!(an_invitation_holds_a_place_of_the_plan, |app| {
    let ada = app.owner("ada@example.com").await;
    let client = app.anonymous().bearer(&ada.user.access);
    let first = client.invite(&ada.account, "one@example.com", "member").await.assert(201);
    client.invite(&ada.account, "two@example.com", "member").await.assert(201);
    let full = client.invite(&ada.account, "three@example.com", "member").await.assert_problem(403, "plan_limit_reached");
    assert_eq!((full.at("/limit"), full.at("/detail")), ("maxMembers".to_owned(), "The account's plan allows no more members.".to_owned()));
    // The same address again takes no further place; one taken back frees its own.
    client.invite(&ada.account, "two@example.com", "admin").await.assert(201);
    client.delete(&format!("{}/{}", invitations_of(&ada.account), first.at("/id"))).await.assert(204);
    client.invite(&ada.account, "three@example.com", "member").await.assert(201);
    // A smaller plan keeps who is there, refuses more, and leaves the link good for better days.
    app.set_plan(&ada.account, "starter").await;
    let tokens = [
        app.invited(&ada.user.access, &ada.account, "a@example.com", "member").await,
        app.invited(&ada.user.access, &ada.account, "b@example.com", "member").await,
    ];
    for email in ["c@example.com", "d@example.com", "e@example.com"] {
        app.joined(&ada.user.access, &ada.account, email, "member").await;
    }
    app.set_plan(&ada.account, "free").await;
    assert_eq!(client.roles(&ada.account).await.len(), 4);
    let full = app.anonymous().join(&tokens[0], PASSWORD).await.assert_problem(403, "plan_limit_reached");
    assert_eq!(full.at("/limit"), "maxMembers");
    app.anonymous().log_in("a@example.com", PASSWORD).await.assert(401);
    client.invite(&ada.account, "f@example.com", "member").await.assert_problem(403, "plan_limit_reached");
    app.set_plan(&ada.account, "starter").await;
    app.anonymous().join(&tokens[0], PASSWORD).await.assert(201);
});

on_both!(an_invitation_is_of_its_realm, |app| {
    app.realm_with("closed.example.com", RealmSettings { sign_up: false, language: Some(Language::German), ..RealmSettings::default() }).await;
    let account = app.account("Verschlossen & Co", None, "business").await;
    let boss = {
        let user = realmgate::service::users::create(app.app(), &app.operator_in("closed.example.com").await, "Boss", "boss@example.com", PASSWORD.into())
            .await
            .unwrap();
        app.place(&account, "closed.example.com", &user.id.to_string(), Role::Owner).await;
        app.anonymous().realm("closed.example.com").log_in("boss@example.com", PASSWORD).await.user("closed.example.com", "boss@example.com")
    };
    let token = app.invited(&boss.access, &account, NEW, "owner").await;
    let mail = app.last_mail(NEW).await;
    assert_eq!(mail.0.subject, "Eine Einladung zu closed.example.com");
    assert!(mail.link().ends_with("&realm=closed.example.com"), "{}", mail.link());
    assert!(mail.0.text.contains("Boss lädt Sie ein, Verschlossen & Co bei closed.example.com beizutreten. Ihre Rolle dort: Eigentümer."), "{}", mail.0.text);
    app.anonymous().join(&token, PASSWORD).await.assert_problem(400, "invalid_token");
    let twin = app.owner(NEW).await;
    app.anonymous().bearer(&twin.user.access).accept(&token).await.assert_problem(400, "invalid_token");
    app.anonymous().realm("closed.example.com").sign_up("other@example.com", PASSWORD).await.assert_problem(403, "not_permitted");
    // Where no stranger may sign up, who is invited may.
    let set = async |status| {
        let change = realms::RealmChange { status: Some(status), ..realms::RealmChange::default() };
        realms::change(app.app(), &app.operator().await, "closed.example.com", change).await.unwrap();
    };
    set(RealmStatus::Suspended).await;
    app.anonymous().realm("closed.example.com").join(&token, PASSWORD).await.assert_problem(403, "realm_suspended");
    set(RealmStatus::Active).await;
    app.anonymous().realm("closed.example.com").join(&token, PASSWORD).await.assert(201);
    let here = app.anonymous().realm("closed.example.com").log_in(NEW, PASSWORD).await.user("closed.example.com", NEW);
    assert_eq!(app.anonymous().bearer(&here.access).get(&members_of(&account)).await.assert(200).at("/items/1/role"), "owner");
});

on_both!(who_signed_up_with_somebody_elses_address_has_nothing_of_it, |app| {
    let ada = app.owner("ada@example.com").await;
    let mailed = app.unverified(NEW).await;
    let token = app.invited(&ada.user.access, &ada.account, NEW, "admin").await;
    app.anonymous().join(&token, OTHER).await.assert(201);
    app.anonymous().log_in(NEW, PASSWORD).await.assert_problem(401, "invalid_credentials");
    app.anonymous().verify(&mailed).await.assert_problem(400, "invalid_token");
    let charles = app.anonymous().log_in(NEW, OTHER).await.user("localhost", NEW);
    assert_eq!(app.anonymous().bearer(&charles.access).get("/api/v1/me").await.at("/name"), "New Person");
});

on_both!(a_newcomers_password_is_judged_like_any_other, |app| {
    let ada = app.owner("ada@example.com").await;
    let token = app.invited(&ada.user.access, &ada.account, NEW, "admin").await;
    for (password, code) in [("short", "too_short"), ("password123", "too_common"), ("charles@example.com", "too_personal"), (&"x".repeat(1_025), "too_long")] {
        let reply = app.anonymous().join(&token, password).await.assert_problem(422, "validation_failed");
        assert_eq!(reply.faults(), [format!("password:{code}")]);
    }
    let body = json!({ "token": token, "name": "a\nb", "password": "x" });
    let mut faults = app.anonymous().post("/api/v1/invitations/sign-up", &body).await.assert_problem(422, "validation_failed").faults();
    faults.sort();
    assert_eq!(faults, ["name:invalid_character", "password:too_short"]);
    for (field, value) in [("role", json!("owner")), ("email", json!("x@example.com")), ("accountId", json!(ada.account))] {
        let mut body = json!({ "token": token, "name": "N", "password": PASSWORD });
        body[field] = value;
        app.anonymous().post("/api/v1/invitations/sign-up", &body).await.assert_problem(400, "invalid_request");
    }
    app.anonymous().join(&token, PASSWORD).await.assert(201);
});

#[tokio::test]
async fn nobody_is_flooded_with_invitations() {
    let app = TestApp::on(crate::support::Backend::Sqlite).await.unwrap();
    let owners = [app.owner("ada@example.com").await, app.owner("bob@example.com").await];
    for round in 0..3 {
        for owner in &owners {
            app.anonymous().bearer(&owner.user.access).invite(&owner.account, NEW, "member").await.assert(201);
            app.run_jobs().await;
        }
        assert_eq!(app.mails(NEW).await.len(), [2, 4, 5][round], "five an hour, whoever writes");
    }
    app.set_plan(&owners[0].account, "pro").await;
    let client = app.anonymous().bearer(&owners[0].user.access);
    // Three of one account to one address; the link that is there stays good.
    client.invite(&owners[0].account, NEW, "member").await.assert_problem(429, "rate_limited");
    let list = client.get(&invitations_of(&owners[0].account)).await.assert(200);
    assert_eq!(list.at("/items/2/status"), "pending");
    let mut made = 3;
    let refused = loop {
        let reply = client.invite(&owners[0].account, &format!("n{made}@example.com"), "member").await;
        if reply.status.as_u16() != 201 {
            break reply;
        }
        made += 1;
    };
    assert_eq!(made, 100);
    assert!(!refused.assert_problem(429, "rate_limited").header("retry-after").is_empty());
    app.advance(TimeDelta::hours(1));
    let again = app.again(&owners[0]).await;
    app.anonymous().bearer(&again.access).invite(&owners[0].account, NEW, "member").await.assert(201);
}

//! The tenancy matrix: every operation of the served document, asked by everybody, at every realm, for every id. An
//! operation that has no row here fails, so that none is forgotten.

use chrono::TimeDelta;
use realmgate::domain::user::Role;
use serde_json::{Value, json};

use crate::{
    on_both,
    support::{
        PASSWORD, Reply, TestApp, User,
        keys::{Key, plain_key},
        spec::{Operation, operations},
    },
};

const OWN: &str = "acme.example.com";
const OTHER: &str = "globex.example.com";

const OWNER: &str = "canary-owner@example.com";
const NEIGHBOUR: &str = "canary-neighbour@example.com";
const STRANGER: &str = "stranger@example.com";
const HOST: &str = "canary-host@example.com";

/// Who calls an operation that asks for a session, and at which realm their credential is good.
const CALLERS: [(&str, Option<&str>); 6] = [
    ("anonymous", None),
    ("garbage", None),
    ("an ended session", None),
    ("another realm's user", Some(OTHER)),
    ("the same realm's other user", Some(OWN)),
    ("the owner", Some(OWN)),
];

/// How an operation is asked, and which status its rightful caller gets; for a public operation also what the same secret
/// or address gets at another realm.
struct Row {
    /// What the path's parameters are, where that is not the owner's session.
    path: Vec<(&'static str, String)>,
    body: Option<Value>,
    good: u16,
    foreign: u16,
}

/// A moment passes, so that addresses made of the time differ.
fn tick(app: &TestApp) -> i64 {
    app.advance(TimeDelta::milliseconds(1));
    app.app().clock.now().timestamp_millis()
}

async fn signed_in(app: &TestApp, realm: &str, email: &str) -> User {
    tick(app);
    app.anonymous().realm(realm).log_in(email, PASSWORD).await.user(realm, email)
}

async fn world(app: &TestApp) {
    app.realm(OWN).await;
    app.realm(OTHER).await;
    let owner = app.user_in(OWN, OWNER).await;
    let account = app.account("canary account", None, "pro").await;
    app.place(&account, OWN, &owner.id, Role::Owner).await;
    app.user_in(OWN, NEIGHBOUR).await;
    app.user_in(OTHER, STRANGER).await;
    // Somebody who invites the owner to an account of theirs.
    let host = app.user_in(OWN, HOST).await;
    let account = app.account("canary host", None, "pro").await;
    app.place(&account, OWN, &host.id, Role::Owner).await;
}

/// The token of an invitation of the owner or of a newcomer to the host's account.
async fn invitation(app: &TestApp, email: &str) -> String {
    // So that one address may be mailed again.
    app.advance(TimeDelta::minutes(20));
    let (host, account) = (signed_in(app, OWN, HOST).await, account_named(app, "canary host").await);
    let client = app.anonymous().bearer(&host.access);
    if email == OWNER {
        // Whoever is there already can't be invited.
        let owner = signed_in(app, OWN, OWNER).await;
        client.remove_member(&account, &owner.id).await;
        // The word of that is not the invitation that is waited for.
        app.run_jobs().await;
    }
    client.invite(&account, email, "member").await.assert(201);
    app.run_jobs().await;
    app.last_mail(email).await.token()
}

/// The account that the owner has.
async fn account_of(app: &TestApp) -> String {
    account_named(app, "canary account").await
}

async fn account_named(app: &TestApp, name: &str) -> String {
    let accounts = realmgate::service::accounts::list(app.app(), &app.operator().await, None).await.unwrap();
    accounts.iter().find(|account| account.name == name).unwrap().id.to_string()
}

/// Somebody who wants another address: the token that went there, and the address that stands.
async fn email_change(app: &TestApp) -> (String, String) {
    let (old, new) = (format!("canary-{}@example.com", tick(app)), format!("next-{}@example.com", tick(app)));
    let user = app.user_in(OWN, &old).await;
    let body = json!({ "email": new, "password": PASSWORD });
    app.anonymous().bearer(&user.access).post("/api/v1/me/email", &body).await.assert(202);
    app.run_jobs().await;
    (app.last_mail(&new).await.token(), old)
}

/// A row of the matrix, made anew for each question, because some secrets are good once.
async fn row(app: &TestApp, operation: &str) -> Row {
    let row = |body: Value, good, foreign| Row { path: Vec::new(), body: Some(body), good, foreign };
    let plain = |good| Row { path: Vec::new(), body: None, good, foreign: good };
    let account = account_of(app).await;
    let in_account = |body: Option<Value>, good| Row { path: vec![("id", account.clone())], body, good, foreign: good };
    let home = app.anonymous().realm(OWN);
    match operation {
        "sign_up" => row(json!({ "name": "N", "email": format!("new-{}@example.com", tick(app)), "password": PASSWORD }), 202, 202),
        "resend_verification_email" | "request_password_reset" => row(json!({ "email": OWNER }), 202, 202),
        "log_in" => row(json!({ "email": OWNER, "password": PASSWORD }), 200, 401),
        "refresh_tokens" => row(json!({ "refreshToken": signed_in(app, OWN, NEIGHBOUR).await.refresh }), 200, 401),
        "verify_email" => {
            let email = format!("canary-{}@example.com", tick(app));
            home.sign_up(&email, PASSWORD).await.assert(202);
            app.run_jobs().await;
            row(json!({ "token": app.last_mail(&email).await.token() }), 200, 400)
        }
        "unlock_sign_in" => {
            let email = format!("canary-{}@example.com", tick(app));
            app.user_in(OWN, &email).await;
            row(json!({ "token": crate::guesses::link_after_a_siege(app, OWN, &email).await }), 200, 400)
        }
        "reset_password" => {
            let email = format!("canary-{}@example.com", tick(app));
            app.user_in(OWN, &email).await;
            home.post("/api/v1/auth/password/forgot", &json!({ "email": email })).await.assert(202);
            app.run_jobs().await;
            row(json!({ "token": app.last_mail(&email).await.token(), "newPassword": "another harbour otter" }), 204, 400)
        }
        // The wrong password's own status tells that the caller got as far as the proof.
        "change_password" => row(json!({ "currentPassword": "not the password", "newPassword": "another harbour otter" }), 403, 401),
        "update_me" => row(json!({ "phone": "+49 30 1234" }), 200, 401),
        "log_out" => row(json!({}), 204, 401),
        "erase_me" => row(json!({ "password": "not the password" }), 403, 401),
        "change_email" => row(json!({ "email": format!("next-{}@example.com", tick(app)), "password": PASSWORD }), 202, 401),
        "confirm_email_change" => row(json!({ "token": email_change(app).await.0 }), 200, 400),
        "undo_email_change" => {
            let (token, old) = email_change(app).await;
            home.post("/api/v1/auth/change-email/confirm", &json!({ "token": token })).await.assert(200);
            app.run_jobs().await;
            row(json!({ "token": app.last_mail(&old).await.token() }), 200, 400)
        }
        "export_me" => plain(200),
        "get_me" | "list_sessions" | "inspect_access_token" => plain(200),
        "get_second_factors" | "list_passkeys" | "list_trusted_devices" => plain(200),
        "begin_totp" | "ask_new_passkey" => plain(200),
        // What proves nothing tells that the caller got as far as the proof.
        "confirm_totp" => row(json!({ "code": "no code" }), 401, 401),
        "add_passkey" => row(json!({ "name": "N", "ceremonyId": "none", "credential": {} }), 401, 401),
        "remove_totp" | "make_recovery_codes" => plain(404),
        "ask_step_up_passkey" => plain(401),
        "step_up" => row(json!({ "method": "password", "password": "not the password" }), 403, 401),
        "rename_passkey" | "remove_passkey" | "distrust_device" => {
            let nobody = "01997b2e-6b1c-7d3a-9c55-0d5f0e9a7c11".to_owned();
            let body = (operation == "rename_passkey").then(|| json!({ "name": "N" }));
            Row { path: vec![("id", nobody)], body, good: 404, foreign: 404 }
        }
        "ask_sign_in_passkey" => plain(200),
        "log_in_with_passkey" => row(json!({ "ceremonyId": "none", "credential": {} }), 401, 401),
        "verify_second_factor" => {
            let email = format!("canary-{}@example.com", tick(app));
            let person = app.enrolled_in(OWN, &email).await;
            let token = home.first_half(&email).await;
            row(json!({ "mfaToken": token, "method": "recovery_code", "code": person.codes[0] }), 200, 401)
        }
        "ask_second_factor_passkey" => row(json!({ "mfaToken": "none" }), 401, 401),
        "begin_first_totp" | "ask_first_passkey" => row(json!({ "mfaToken": "none" }), 401, 401),
        "confirm_first_totp" => row(json!({ "mfaToken": "none", "code": "123456" }), 401, 401),
        "add_first_passkey" => row(json!({ "mfaToken": "none", "name": "N", "ceremonyId": "none", "credential": {} }), 401, 401),
        "request_magic_link" => row(json!({ "email": OWNER }), 404, 404),
        "log_in_with_magic_link" => row(json!({ "token": "none" }), 404, 404),
        "disown_sign_in" => {
            let email = format!("canary-{}@example.com", tick(app));
            app.user_in(OWN, &email).await;
            home.clone().header("user-agent", "Thief/1").log_in(&email, PASSWORD).await.assert(200);
            app.run_jobs().await;
            row(json!({ "token": app.last_mail(&email).await.token() }), 204, 400)
        }
        "end_session" => plain(204),
        "list_accounts" => plain(200),
        "report_leaked_key" => row(json!({ "key": "conv_canary" }), 202, 202),
        // Whoever administers nothing may not ask.
        "verify_credential" => row(json!({ "credential": signed_in(app, OWN, OWNER).await.access }), 200, 403),
        "get_account_limits" => in_account(None, 200),
        "list_plans" => plain(200),
        // The owner of a realm's account is no operator of the installation.
        "create_plan" => {
            let body = json!({ "id": "canary", "requestsPerMinute": 1, "maxApiKeys": 1, "maxRealms": 1, "maxMembers": 1, "maxWebhooks": 1 });
            row(body, 403, 403)
        }
        "update_plan" => Row { path: vec![("id", "free".to_owned())], ..row(json!({ "maxRealms": 1 }), 403, 403) },
        "set_account_plan" => in_account(Some(json!({ "plan": "pro" })), 403),
        "create_account" => row(json!({ "name": "canary account below", "parentId": account }), 201, 404),
        "get_account" | "list_api_keys" => in_account(None, 200),
        "update_account" => in_account(Some(json!({ "name": "canary account" })), 200),
        "create_api_key" => in_account(Some(plain_key()), 201),
        "get_account_usage" => in_account(None, 200),
        "get_api_key" | "get_api_key_usage" | "revoke_api_key" | "update_api_key" | "rotate_api_key" => {
            let owner = signed_in(app, OWN, OWNER).await;
            let key = Key::of(app.anonymous().bearer(&owner.access).make_key(&account, &plain_key()).await);
            let (body, good) = match operation {
                "update_api_key" => (Some(json!({ "name": "canary" })), 200),
                "rotate_api_key" => (Some(json!({})), 201),
                "revoke_api_key" => (None, 204),
                _ => (None, 200),
            };
            Row { path: vec![("id", account.clone()), ("key_id", key.id)], ..in_account(body, good) }
        }
        "list_members" | "list_invitations" => in_account(None, 200),
        "update_member" | "remove_member" => {
            let member = app.user_in(OWN, &format!("canary-{}@example.com", tick(app))).await;
            app.place(&account, OWN, &member.id, Role::Member).await;
            let (body, good) = if operation == "update_member" { (Some(json!({ "role": "admin" })), 200) } else { (None, 204) };
            Row { path: vec![("id", account.clone()), ("user_id", member.id)], ..in_account(body, good) }
        }
        "create_invitation" => in_account(Some(json!({ "email": format!("canary-{}@example.com", tick(app)) })), 201),
        "revoke_invitation" => {
            let owner = signed_in(app, OWN, OWNER).await;
            let made = app.anonymous().bearer(&owner.access).invite(&account, &format!("canary-{}@example.com", tick(app)), "member").await.assert(201);
            Row { path: vec![("id", account.clone()), ("invitation_id", made.at("/id"))], ..in_account(None, 204) }
        }
        "accept_invitation" => row(json!({ "token": invitation(app, OWNER).await }), 200, 400),
        "sign_up_with_invitation" => {
            let email = format!("canary-{}@example.com", tick(app));
            row(json!({ "token": invitation(app, &email).await, "name": "N", "password": PASSWORD }), 201, 400)
        }
        other => panic!("the operation {other} has no row in the tenancy matrix: add it"),
    }
}

async fn ask(app: &TestApp, operation: &Operation, realm: Option<&str>, token: Option<&str>, id: &str, row: &Row) -> Reply {
    let body = row.body.as_ref();
    let named: Vec<_> = row.path.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let path = if named.is_empty() { operation.at(id) } else { operation.with(&named) };
    let mut client = app.anonymous();
    if let Some(realm) = realm {
        client = client.realm(realm);
    }
    if let Some(token) = token {
        client = client.bearer(token);
    }
    let text = body.map(Value::to_string).unwrap_or_default();
    let reply = client.send(operation.method.clone(), &path, body.map(|_| "application/json"), text).await;
    assert!(operation.statuses.contains(&reply.status.as_u16()), "{}: {} is not declared", operation.id, reply.status);
    reply
}

/// A token of the caller's, fresh, so that a sign-out harms no later question.
async fn token_of(app: &TestApp, caller: &str, owner: &User) -> Option<String> {
    match caller {
        "anonymous" => None,
        "garbage" => Some("eyJhbGciOiJub25lIn0.e30.".to_owned()),
        "another realm's user" => Some(signed_in(app, OTHER, STRANGER).await.access),
        "the same realm's other user" => Some(signed_in(app, OWN, NEIGHBOUR).await.access),
        "an ended session" => {
            let ended = signed_in(app, OWN, OWNER).await;
            app.anonymous().bearer(&ended.access).post("/api/v1/auth/logout", &json!({})).await.assert(204);
            Some(ended.access)
        }
        "the owner" => Some(owner.access.clone()),
        other => panic!("{other}"),
    }
}

on_both!(every_operation_with_a_session_by_everybody_at_every_realm, |app| {
    world(&app).await;
    for operation in operations().into_iter().filter(|operation| operation.bearer && operation.id != "introspect_token") {
        for (caller, home) in CALLERS {
            for realm in [None, Some(OWN), Some(OTHER), Some("no-such.example.com")] {
                let row = row(&app, &operation.id).await;
                let owner = signed_in(&app, OWN, OWNER).await;
                let token = token_of(&app, caller, &owner).await;
                let reply = ask(&app, &operation, realm, token.as_deref(), &owner.session, &row).await;
                let wanted = match home {
                    None => 401,
                    Some(home) if realm.is_some_and(|realm| realm != home) => 401,
                    Some(_) if ["update_plan", "set_account_plan"].contains(&operation.id.as_str()) => 403,
                    // Everybody may do this to what is theirs; the id in the path is the owner's.
                    Some(_) if (operation.has_path_id() || operation.id == "create_account") && caller != "the owner" => 404,
                    // An invitation is for one address of one realm.
                    Some(home) if operation.id == "accept_invitation" && caller != "the owner" => {
                        if home == OWN {
                            403
                        } else {
                            400
                        }
                    }
                    Some(_) if operation.id == "verify_credential" && caller != "the owner" => 403,
                    Some(_) => row.good,
                };
                let context = format!("{} by {caller} at {realm:?}: {} {}", operation.id, reply.status, reply.text());
                assert_eq!(reply.status.as_u16(), wanted, "{context}");
                assert_eq!(reply.header("www-authenticate").starts_with("Bearer "), wanted == 401, "{context}");
                assert!(home == Some(OWN) || !reply.text().contains("canary"), "{context}");
                let ends = ["end_session", "log_out"].contains(&operation.id.as_str());
                let alive = if caller == "the owner" && wanted == 204 && ends { 401 } else { 200 };
                app.anonymous().bearer(&owner.access).get("/api/v1/me").await.assert(alive);
            }
        }
    }
});

on_both!(every_public_operation_at_every_realm, |app| {
    world(&app).await;
    for operation in operations().into_iter().filter(|operation| !operation.bearer) {
        // A credential that nobody asked for changes nothing.
        for token in [None, Some("garbage")] {
            let row_here = row(&app, &operation.id).await;
            let reply = ask(&app, &operation, Some(OWN), token, "", &row_here).await;
            assert_eq!(reply.status.as_u16(), row_here.good, "{}: {}", operation.id, reply.text());
            let row_there = row(&app, &operation.id).await;
            let reply = ask(&app, &operation, Some(OTHER), token, "", &row_there).await;
            assert_eq!(reply.status.as_u16(), row_there.foreign, "{} at another realm: {}", operation.id, reply.text());
            assert!(!reply.text().contains("canary"), "{}: {}", operation.id, reply.text());
            ask(&app, &operation, Some("no-such.example.com"), token, "", &row_there).await.assert_problem(404, "realm_not_found");
        }
    }
    app.run_jobs().await;
    // Their own realm still knows them, and no mail was sent on behalf of the other.
    signed_in(&app, OWN, OWNER).await;
    let other = app.operator_in(OTHER).await.realm.id;
    assert!(app.mails(OWNER).await.iter().all(|mail| mail.0.realm_id != other));
});

/// The body without the one thing that differs between two requests, and which headers came with it.
fn comparable(reply: &Reply) -> (u16, String, Vec<String>) {
    let id = reply.header("x-request-id");
    assert_eq!(id.len(), 24);
    (reply.status.as_u16(), reply.text().replace(&id, "-"), reply.headers.keys().map(|name| name.as_str().to_owned()).collect())
}

on_both!(what_is_of_another_realm_looks_like_what_does_not_exist, |app| {
    world(&app).await;
    let owner = signed_in(&app, OWN, OWNER).await;
    for (realm, email) in [(OWN, NEIGHBOUR), (OTHER, STRANGER)] {
        let caller = signed_in(&app, realm, email).await;
        let client = app.anonymous().bearer(&caller.access);
        let foreign = comparable(&client.delete(&format!("/api/v1/me/sessions/{}", owner.session)).await.assert_problem(404, "not_found"));
        for random in ["018f3c5e-7a70-7000-8000-000000000001", "00000000-0000-0000-0000-000000000000", "x", &caller.id, &"9".repeat(300)] {
            assert_eq!(comparable(&client.delete(&format!("/api/v1/me/sessions/{random}")).await), foreign, "{random}");
        }
    }
    let there = app.anonymous().realm(OTHER);
    let token = |row: &Row, field: &str| row.body.as_ref().unwrap()[field].as_str().unwrap().to_owned();
    let same_shape = |token: &str| {
        token
            .chars()
            .map(|c| {
                if c == 'A' {
                    'B'
                } else if c.is_ascii_alphanumeric() {
                    'A'
                } else {
                    c
                }
            })
            .collect::<String>()
    };
    for (path, operation, field) in [
        ("/api/v1/auth/refresh", "refresh_tokens", "refreshToken"),
        ("/api/v1/auth/verify-email", "verify_email", "token"),
        ("/api/v1/auth/password/reset", "reset_password", "token"),
        ("/api/v1/auth/unlock-sign-in", "unlock_sign_in", "token"),
        ("/api/v1/auth/change-email/confirm", "confirm_email_change", "token"),
        ("/api/v1/auth/change-email/undo", "undo_email_change", "token"),
        ("/api/v1/invitations/sign-up", "sign_up_with_invitation", "token"),
    ] {
        let row = row(&app, operation).await;
        let foreign = comparable(&there.post(path, row.body.as_ref().unwrap()).await);
        assert_eq!(foreign.0, row.foreign);
        let secret = token(&row, field);
        for random in [same_shape(&secret), "x".to_owned(), String::new()] {
            let mut body = row.body.clone().unwrap();
            body[field] = random.as_str().into();
            assert_eq!(comparable(&there.post(path, &body).await), foreign, "{path} {random}");
        }
        // The realm it is of takes it all the same: the questions above used nothing up.
        let reply = app.anonymous().realm(OWN).post(path, row.body.as_ref().unwrap()).await;
        assert_eq!(reply.status.as_u16(), row.good, "{path}: {}", reply.text());
    }
    for (path, body) in [
        ("/api/v1/auth/login", json!({ "password": PASSWORD })),
        ("/api/v1/auth/password/forgot", json!({})),
        ("/api/v1/auth/verify-email/resend", json!({})),
        ("/api/v1/auth/verify-email", json!({ "code": "000000" })),
    ] {
        let with = |email: &str| {
            let mut body = body.clone();
            body["email"] = email.into();
            body
        };
        let foreign = comparable(&there.post(path, &with(OWNER)).await);
        assert_eq!(comparable(&there.post(path, &with("nobody@example.com")).await), foreign, "{path}");
    }
});

on_both!(one_address_in_two_realms_is_two_people, |app| {
    world(&app).await;
    let twin = app.user_in(OTHER, OWNER).await;
    let owner = signed_in(&app, OWN, OWNER).await;
    assert_ne!(twin.id, owner.id);
    app.anonymous().bearer(&twin.access).patch("/api/v1/me", &json!({ "name": "Somebody Else" })).await.assert(200);
    let change = json!({ "currentPassword": PASSWORD, "newPassword": "another harbour otter" });
    app.anonymous().bearer(&twin.access).put("/api/v1/me/password", &change).await.assert(204);
    let me = app.anonymous().bearer(&owner.access).get("/api/v1/me").await.assert(200);
    assert_eq!((me.at("/name"), me.at("/realm")), ("Test Person".to_owned(), OWN.to_owned()));
    signed_in(&app, OWN, OWNER).await;
    app.anonymous().realm(OTHER).log_in(OWNER, PASSWORD).await.assert_problem(401, "invalid_credentials");
    app.anonymous().bearer(&twin.access).post("/api/v1/auth/logout", &json!({ "everywhere": true })).await.assert(204);
    app.anonymous().bearer(&owner.access).get("/api/v1/me").await.assert(200);
});

//! The profile: what its owner may change, what nobody may, and that no secret rests in a table.
//! Unknown fields are refused before anything is done.

use chrono::TimeDelta;
use poem::http::Method;
use serde_json::{Value, json};

use crate::{
    on_both,
    support::{
        PASSWORD,
        people::{OTHER, camel, with},
    },
};

const ME: &str = "/api/v1/me";

on_both!(fields_are_set_cleared_and_left_alone, |app| {
    let ada = app.user("ada@example.com").await;
    let client = app.anonymous().bearer(&ada.access);
    let all = json!({ "name": "Ada King", "company": "Analytical Engines", "country": "GB", "phone": "+44 20 7946 0000" });
    let reply = client.patch(ME, &all).await.assert(200);
    for (field, value) in all.as_object().unwrap() {
        assert_eq!(&reply.json()[field], value, "{field}");
    }
    assert_eq!(client.me().await.assert(200).json(), reply.json(), "the next look sees the same");
    let reply = client.patch(ME, &json!({ "company": null, "phone": "  " })).await.assert(200).json();
    assert!(reply.get("company").is_none() && reply.get("phone").is_none(), "{reply}");
    assert_eq!((&reply["name"], &reply["country"]), (&json!("Ada King"), &json!("GB")));
    let reply = client.patch(ME, &json!({})).await.assert(200).json();
    assert_eq!((&reply["name"], &reply["country"]), (&json!("Ada King"), &json!("GB")));
    let reply = client.patch(ME, &json!({ "name": "  Ada  " })).await.assert(200);
    assert_eq!(reply.at("/name"), "Ada");
    assert_eq!(app.sql("SELECT company AS v FROM users").await, [""]);
});

on_both!(a_change_is_seen_on_every_node, |app| {
    let ada = app.user("ada@example.com").await;
    let node = app.join(2).await;
    assert_eq!(node.anonymous().bearer(&ada.access).me().await.assert(200).at("/name"), "Test Person");
    app.anonymous().bearer(&ada.access).patch(ME, &json!({ "name": "Ada King" })).await.assert(200);
    node.follow_changes().await;
    assert_eq!(node.anonymous().bearer(&ada.access).me().await.assert(200).at("/name"), "Ada King");
});

on_both!(bad_values_are_refused_by_name_and_change_nothing, |app| {
    let ada = app.user("ada@example.com").await;
    let client = app.anonymous().bearer(&ada.access);
    let before = client.me().await.assert(200).json();
    for (body, status, fault) in [
        (json!({ "name": null }), 400, "name:wrong_type"),
        (json!({ "name": 7 }), 400, "name:wrong_type"),
        (json!({ "company": ["x"] }), 400, "company:wrong_type"),
        (json!({ "name": "" }), 422, "name:required"),
        (json!({ "name": " \u{200b} " }), 422, "name:required"),
        (json!({ "name": "é".repeat(101) }), 422, "name:too_long"),
        (json!({ "name": "é".repeat(401) }), 422, "name:too_long"),
        (json!({ "company": "x".repeat(101) }), 422, "company:too_long"),
        (json!({ "country": "x".repeat(101) }), 422, "country:too_long"),
        (json!({ "phone": "1".repeat(33) }), 422, "phone:too_long"),
        (json!({ "name": "Ada\r\nBcc: eve@example.com" }), 422, "name:invalid_character"),
        (json!({ "company": "a\nb" }), 422, "company:invalid_character"),
        (json!({ "country": "a\u{202e}b" }), 422, "country:invalid_character"),
        (json!({ "phone": "+44\r\n20" }), 422, "phone:invalid_character"),
        (json!({ "name": "a\0b" }), 422, "name:invalid_character"),
        (json!({ "phone": "call me" }), 422, "phone:invalid_character"),
        // One bad field spoils the good one beside it.
        (json!({ "name": "Eve", "phone": "call me" }), 422, "phone:invalid_character"),
    ] {
        let reply = client.patch(ME, &body).await.assert(status);
        assert_eq!(reply.faults(), [fault], "{body}");
    }
    assert_eq!(client.me().await.assert(200).json(), before);
    client.patch(ME, &json!({ "name": "é".repeat(100), "company": "x".repeat(100), "phone": "1".repeat(32) })).await.assert(200);
});

on_both!(no_request_takes_a_column_that_is_not_its_own, |app| {
    let ada = app.user("ada@example.com").await;
    let reset = app.reset_token("ada@example.com").await;
    let verify = app.unverified("bob@example.com").await;
    let before = snapshot(&app).await;
    let columns = app.columns("users").await;
    assert!(columns.len() > 10, "{columns:?}");
    let bodies = [
        (Method::POST, "/api/v1/auth/verify-email", json!({ "token": verify })),
        (Method::POST, "/api/v1/auth/verify-email/resend", json!({ "email": "bob@example.com" })),
        (Method::POST, "/api/v1/auth/refresh", json!({ "refreshToken": ada.refresh })),
        (Method::POST, "/api/v1/auth/logout", json!({ "everywhere": true })),
        (Method::POST, "/api/v1/auth/password/forgot", json!({ "email": "ada@example.com" })),
        (Method::POST, "/api/v1/auth/password/reset", json!({ "token": reset, "newPassword": OTHER })),
        (Method::PATCH, ME, json!({ "name": "Changed" })),
        (Method::PUT, "/api/v1/me/password", json!({ "currentPassword": PASSWORD, "newPassword": OTHER })),
    ];
    for (method, path, base) in &bodies {
        for column in &columns {
            let own = ["name", "company", "country", "phone", "locale"].contains(&column.as_str()) && *path == ME;
            if own || base.get(column).is_some() || (column == "email" && path.ends_with("verify-email")) {
                continue;
            }
            for (field, value) in [(column.clone(), json!("x")), (camel(column), json!(true)), (column.clone(), Value::Null)] {
                let body = with(base, &field, value).to_string();
                let client = app.anonymous().bearer(&ada.access);
                let reply = client.send(method.clone(), path, Some("application/json"), body).await.assert_problem(400, "invalid_request");
                assert_eq!(reply.faults(), [format!("{field}:unknown")], "{path}");
            }
        }
    }
    assert_eq!(snapshot(&app).await, before, "a refused request changed a row");
    // And all of it would have worked without the extra field.
    app.anonymous().verify(&verify).await.assert(200);
    app.anonymous().reset(&reset, OTHER).await.assert(204);
});

/// Every text there is, and how many rows.
async fn snapshot(app: &crate::support::TestApp) -> Vec<(String, String, Vec<String>)> {
    let mut all = Vec::new();
    for column in app.text_columns().await {
        let mut values = column.values;
        values.sort();
        all.push((column.table, column.column, values));
    }
    all.sort();
    assert!(all.iter().any(|(table, column, values)| table == "users" && column == "name" && !values.is_empty()));
    all
}

on_both!(no_secret_rests_in_a_table, |app| {
    let mut secrets = vec![("password", PASSWORD.to_owned()), ("password", OTHER.to_owned())];
    let mut mailed = Vec::new();
    let client = app.anonymous();
    // A life with everything in it that handles a secret: looked at after each step, while rows are still there.
    client.sign_up("ada@example.com", "an earlier harbour").await.assert(202);
    secrets.push(("password", "an earlier harbour".to_owned()));
    app.run_jobs().await;
    mailed.push(("verification", app.last_mail("ada@example.com").await.token()));
    client.sign_up("ada@example.com", PASSWORD).await.assert(202);
    assert_hidden(&app, &secrets, &mailed).await;
    app.run_jobs().await;
    mailed.push(("verification", app.last_mail("ada@example.com").await.token()));
    client.verify(&mailed[1].1).await.assert(200);
    let first = client.log_in("ada@example.com", PASSWORD).await.user("localhost", "ada@example.com");
    secrets.extend([("access", first.access.clone()), ("refresh", first.refresh.clone())]);
    let next = client.refresh(&first.refresh).await.assert(200);
    secrets.extend([("access", next.at("/accessToken")), ("refresh", next.at("/refreshToken"))]);
    // Again within the grace: the child is stored to be handed out once more.
    client.refresh(&first.refresh).await.assert(200);
    assert_hidden(&app, &secrets, &mailed).await;
    // Failures too, with the secrets in every place that takes text.
    client.log_in("ada@example.com", "a wrong harbour pilot").await.assert(401);
    client.log_in("a wrong harbour pilot", "ada@example.com").await.assert(401);
    secrets.push(("password", "a wrong harbour pilot".to_owned()));
    client.clone().bearer(&next.at("/accessToken")).change_password("a wrong harbour pilot", OTHER).await.assert(403);
    client.verify(&next.at("/refreshToken")).await.assert(400);
    client.forgot("ada@example.com").await.assert(202);
    client.resend("ada@example.com").await.assert(202);
    assert_hidden(&app, &secrets, &mailed).await;
    app.run_jobs().await;
    mailed.push(("reset", app.last_mail("ada@example.com").await.token()));
    assert_hidden(&app, &secrets, &mailed).await;
    client.reset(&mailed[2].1, "a third harbour pilot").await.assert(204);
    secrets.push(("password", "a third harbour pilot".to_owned()));
    let last = client.log_in("ada@example.com", "a third harbour pilot").await.user("localhost", "ada@example.com");
    secrets.extend([("access", last.access.clone()), ("refresh", last.refresh.clone())]);
    client.clone().bearer(&last.access).change_password("a third harbour pilot", OTHER).await.assert(204);
    // A spent token that comes back late ends its session and is told by mail.
    client.refresh(&last.refresh).await.assert(200);
    app.advance(TimeDelta::minutes(5));
    client.refresh(&last.refresh).await.assert(401);
    app.run_jobs().await;
    assert_hidden(&app, &secrets, &mailed).await;
});

/// Looks for the secrets, and for the secret part of each token, in every text of the database. Mailed tokens may stand
/// in the mailbox, which is the mail itself.
async fn assert_hidden(app: &crate::support::TestApp, secrets: &[(&str, String)], mailed: &[(&str, String)]) {
    let columns = app.text_columns().await;
    for table in ["audit_events", "jobs", "mail_requests", "users", "credentials", "sessions", "one_time_tokens", "mailbox"] {
        assert!(columns.iter().any(|column| column.table == table), "{table} was not looked at");
    }
    let found = |column: &crate::support::people::TextColumn, secret: &str| column.values.iter().any(|value| value.contains(secret));
    for column in &columns {
        let place = format!("{}.{}", column.table, column.column);
        for (kind, secret) in secrets {
            assert!(!found(column, secret), "{place} holds a {kind}");
            if *kind != "password" {
                let tail = &secret[secret.len() - 32..];
                assert!(!found(column, tail), "{place} holds the end of a {kind} token");
            }
        }
        if column.table != "mailbox" {
            for (kind, token) in mailed {
                assert!(!found(column, &token[22..]), "{place} holds a {kind} token");
            }
        }
    }
    // The look itself finds what is there.
    let has = |table: &str, text: &str| columns.iter().any(|column| column.table == table && found(column, text));
    assert!(has("credentials", "$argon2id$") && has("users", "ada@example.com"));
    for (_, token) in mailed {
        assert!(has("mailbox", token));
    }
}

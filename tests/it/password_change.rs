//! Changing a known password, and one verdict of the password policy wherever a password is set.
//! The session that asks goes on, every other one ends.

use chrono::TimeDelta;
use serde_json::json;

use crate::{
    on_both,
    support::{PASSWORD, people::OTHER},
};

on_both!(a_wrong_current_password_changes_nothing, |app| {
    let ada = app.user("ada@example.com").await;
    let hash = app.hash_of("ada@example.com").await;
    for wrong in [OTHER, "", &PASSWORD.to_uppercase()] {
        app.anonymous().bearer(&ada.access).change_password(wrong, OTHER).await.assert_problem(403, "wrong_password");
    }
    // The policy is not asked before the proof.
    app.anonymous().bearer(&ada.access).change_password("wrong", "x").await.assert_problem(403, "wrong_password");
    app.anonymous().change_password(PASSWORD, OTHER).await.assert_problem(401, "missing_credential");
    assert_eq!(app.hash_of("ada@example.com").await, hash);
    app.anonymous().bearer(&ada.access).me().await.assert(200);
});

on_both!(the_session_that_asks_goes_on_and_the_others_end, |app| {
    let asking = app.user("ada@example.com").await;
    let other = app.anonymous().log_in("ada@example.com", PASSWORD).await.user("localhost", "ada@example.com");
    let bob = app.user("bob@example.com").await;
    let node = app.join(2).await;
    node.anonymous().bearer(&other.access).me().await.assert(200);
    app.anonymous().bearer(&asking.access).change_password(PASSWORD, OTHER).await.assert(204);
    node.follow_changes().await;
    for client in [app.anonymous(), node.anonymous()] {
        let dead = client.clone().bearer(&other.access).me().await.assert_problem(401, "session_ended");
        assert_eq!(dead.at("/reason"), "password_changed");
        client.clone().bearer(&asking.access).me().await.assert(200);
        client.bearer(&bob.access).me().await.assert(200);
    }
    let dead = app.anonymous().refresh(&other.refresh).await.assert_problem(401, "invalid_refresh_token");
    assert_eq!(dead.at("/reason"), "password_changed");
    app.anonymous().refresh(&asking.refresh).await.assert(200);
    app.anonymous().log_in("ada@example.com", PASSWORD).await.assert_problem(401, "invalid_credentials");
    app.anonymous().log_in("ada@example.com", OTHER).await.assert(200);
});

on_both!(the_owner_is_told_by_mail, |app| {
    let ada = app.user("ada@example.com").await;
    app.anonymous().bearer(&ada.access).change_password(PASSWORD, OTHER).await.assert(204);
    app.run_jobs().await;
    let mails = app.mails("ada@example.com").await;
    assert_eq!(mails.len(), 2);
    assert!(mails[0].0.subject.contains("was changed"), "{}", mails[0].0.subject);
    for secret in [PASSWORD, OTHER, "token="] {
        assert!(!mails[0].0.text.contains(secret) && !mails[0].0.html.contains(secret), "{secret}");
    }
});

on_both!(mailed_reset_links_die_with_the_old_password, |app| {
    let ada = app.user("ada@example.com").await;
    let reset = app.reset_token("ada@example.com").await;
    app.anonymous().bearer(&ada.access).change_password(PASSWORD, OTHER).await.assert(204);
    app.anonymous().reset(&reset, "a third harbour pilot").await.assert_problem(400, "invalid_token");
    app.anonymous().log_in("ada@example.com", OTHER).await.assert(200);
});

on_both!(of_two_changes_at_once_one_wins, |app| {
    let ada = app.user("ada@example.com").await;
    let app = std::sync::Arc::new(app);
    let barrier = std::sync::Arc::new(tokio::sync::Barrier::new(6));
    let tries = (0..6).map(|nth| {
        let (app, barrier, access) = (std::sync::Arc::clone(&app), std::sync::Arc::clone(&barrier), ada.access.clone());
        tokio::spawn(async move {
            barrier.wait().await;
            app.anonymous().bearer(&access).change_password(PASSWORD, &format!("{OTHER} {nth}")).await.status.as_u16()
        })
    });
    let mut statuses = Vec::new();
    for one in tries.collect::<Vec<_>>() {
        statuses.push(one.await.unwrap());
    }
    let winners: Vec<_> = (0..6).filter(|nth| statuses[*nth] == 204).collect();
    assert_eq!(winners.len(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| [204, 403, 503].contains(status)), "a loser is told so: {statuses:?}");
    for nth in 0..6 {
        // Longer than any pause after wrong ones.
        app.advance(TimeDelta::minutes(15));
        let status = app.anonymous().log_in("ada@example.com", &format!("{OTHER} {nth}")).await.status.as_u16();
        assert_eq!(status, if nth == winners[0] { 200 } else { 401 });
    }
});

on_both!(every_path_gives_a_password_the_same_verdict, |app| {
    let bytes = |count: usize| "xy ".repeat(400)[..count].to_owned();
    let cases = [
        (bytes(7), Some("too_short")),
        ("k9#Lq2x".to_owned(), Some("too_short")),
        ("k9#Lq2xv".to_owned(), None),
        // Bytes count, not characters: four characters of two bytes each are enough.
        ("äöüß".to_owned(), None),
        (bytes(65), None),
        (bytes(1_024), None),
        (bytes(1_025), Some("too_long")),
        ("Password1".to_owned(), Some("too_common")),
        ("QWERTYUIOP".to_owned(), Some("too_common")),
        ("Lovelace1815!".to_owned(), Some("too_personal")),
        ("adalovelace".to_owned(), Some("too_personal")),
        ("countess@example.com".to_owned(), Some("too_personal")),
        ("Realmgate1!".to_owned(), Some("too_personal")),
        ("the countess lovelace counts her otters".to_owned(), None),
    ];
    let verdict = |reply: &crate::support::Reply, field: &str| {
        if reply.status.is_success() {
            return None;
        }
        assert_eq!(reply.status.as_u16(), 422, "{}", reply.text());
        let faults = reply.faults();
        assert_eq!(faults.len(), 1, "{faults:?}");
        Some(faults[0].strip_prefix(&format!("{field}:")).unwrap().to_owned())
    };
    let sign_up = async |email: &str, password: &str| {
        let body = json!({ "name": "Ada Lovelace", "email": email, "password": password });
        app.anonymous().post("/api/v1/auth/signup", &body).await
    };
    sign_up("countess@example.com", PASSWORD).await.assert(202);
    app.run_jobs().await;
    app.anonymous().verify(&app.last_mail("countess@example.com").await.token()).await.assert(200);
    let mut current = PASSWORD.to_owned();
    for (password, wanted) in cases {
        let wanted = wanted.map(str::to_owned);
        let shown: String = password.chars().take(24).collect();
        // A sign-up with the owner's address is judged like one with a new address.
        assert_eq!(verdict(&sign_up("countess@example.com", &password).await, "password"), wanted, "sign-up: {shown}");
        app.advance(chrono::TimeDelta::hours(1));
        app.run_jobs().await;
        let token = app.reset_token("countess@example.com").await;
        let reset = app.anonymous().reset(&token, &password).await;
        assert_eq!(verdict(&reset, "newPassword"), wanted, "reset: {shown}");
        if wanted.is_none() {
            current.clone_from(&password);
        }
        let access = app.anonymous().log_in("countess@example.com", &current).await.user("localhost", "countess@example.com").access;
        let change = app.anonymous().bearer(&access).change_password(&current, &password).await;
        assert_eq!(verdict(&change, "newPassword"), wanted, "change: {shown}");
        if let Some(code) = wanted {
            let operator = app.operator().await;
            let made = realmgate::service::users::create(app.app(), &operator, "Ada Lovelace", "countess@example.com", password.into()).await;
            assert!(matches!(&made, Err(realmgate::domain::Error::Invalid(faults)) if faults[0].code == code), "operator: {shown}: {made:?}");
        }
    }
});

on_both!(a_realm_may_ask_for_longer_passwords_on_every_path, |app| {
    let settings = realmgate::domain::realm::RealmSettings { password_min: 15, ..Default::default() };
    app.realm_with("strict.example.com", settings).await;
    let client = app.anonymous().realm("strict.example.com");
    let short = "k9#Lq2xv 14 ch";
    assert_eq!(client.sign_up("ada@example.com", short).await.assert(422).faults(), ["password:too_short"]);
    let ada = app.user_in("strict.example.com", "ada@example.com").await;
    assert_eq!(client.clone().bearer(&ada.access).change_password(PASSWORD, short).await.assert(422).faults(), ["newPassword:too_short"]);
    client.forgot("ada@example.com").await.assert(202);
    app.run_jobs().await;
    let token = app.last_mail("ada@example.com").await.token();
    assert_eq!(client.reset(&token, short).await.assert(422).faults(), ["newPassword:too_short"]);
    client.reset(&token, "k9#Lq2xv 15 cha").await.assert(204);
});

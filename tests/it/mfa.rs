//! Second factors at a sign-in: enrolled in two steps, asked for after the password, good once, and hopeless to guess.

use chrono::TimeDelta;
use realmgate::{
    domain::{Error, factor::MfaPolicy},
    service::{mfa, proofs::Proof},
};
use serde_json::json;

use crate::{
    guesses::stranger,
    on_both,
    support::{
        PASSWORD, TestApp,
        at_once::at_once,
        factors::{Enrolled, list},
        people::OTHER,
        spec::operations,
    },
};

const ADA: &str = "ada@example.com";

on_both!(an_app_is_enrolled_by_a_code_and_asked_for_from_then_on, |app| {
    let ada = app.user(ADA).await;
    let client = app.anonymous().bearer(&ada.access);
    let begun = client.begin_totp().await.assert(200);
    let secret = begun.at("/secret");
    assert_eq!(secret.len(), 32, "160 bits");
    assert!(begun.at("/uri").starts_with("otpauth://totp/localhost:ada") && begun.at("/uri").contains(&secret), "{}", begun.at("/uri"));
    assert!(begun.at("/qrSvg").contains("<svg") && begun.at("/qrPng").starts_with("data:image/png;base64,iVBOR"));
    // Half done it counts for nothing.
    app.anonymous().log_in(ADA, PASSWORD).await.assert(200);
    client.confirm_totp(&app.wrong_code(&secret)).await.assert_problem(401, "invalid_code");
    let done = client.confirm_totp(&app.code(&secret)).await.assert(200);
    assert_eq!(list(&done, "/recoveryCodes").len(), 10);
    // A session that began without the factor may not touch it.
    client.confirm_totp(&app.code(&secret)).await.assert_problem(401, "step_up_required");

    let asked = app.anonymous().log_in(ADA, PASSWORD).await.assert_problem(403, "mfa_required");
    assert_eq!(list(&asked, "/methods"), ["totp", "recovery_code"]);
    let token = asked.at("/mfaToken");
    app.anonymous().log_in(ADA, OTHER).await.assert_problem(401, "invalid_credentials");
    // The code that enrolled is spent.
    app.anonymous().answer(&token, "totp", &app.code(&secret)).await.assert_problem(401, "invalid_code");
    app.advance(TimeDelta::seconds(30));
    let entered = app.anonymous().answer(&token, "totp", &app.code(&secret)).await.assert(200);
    let told = app.anonymous().bearer(&entered.at("/tokens/accessToken")).get("/api/v1/auth/token").await.assert(200);
    assert_eq!(list(&told, "/amr"), ["pwd", "otp", "mfa"]);
    app.anonymous().answer(&token, "totp", &app.code(&secret)).await.assert_problem(401, "invalid_mfa_token");
    let overview = client.get("/api/v1/me/mfa").await.assert(200);
    assert_eq!((overview.at("/totp"), overview.at("/recoveryCodesLeft"), overview.at("/policy")), ("true".into(), "10".into(), "optional".into()));
    app.run_jobs().await;
    assert!(app.mails(ADA).await.iter().any(|mail| mail.0.text.contains("Authenticator app")), "a mail tells of it");
});

on_both!(an_enrolment_that_was_begun_ends_by_itself, |app| {
    let ada = app.user(ADA).await;
    let client = app.anonymous().bearer(&ada.access);
    let first = client.begin_totp().await.assert(200).at("/secret");
    let second = client.begin_totp().await.assert(200).at("/secret");
    client.confirm_totp(&app.code(&first)).await.assert_problem(401, "invalid_code");
    app.advance(TimeDelta::minutes(10));
    let again = app.anonymous().log_in(ADA, PASSWORD).await.user("localhost", ADA);
    let client = app.anonymous().bearer(&again.access);
    client.confirm_totp(&app.code(&second)).await.assert_problem(401, "invalid_code");
    app.anonymous().log_in(ADA, PASSWORD).await.assert(200);
});

on_both!(a_code_is_good_for_its_step_and_one_on_either_side_and_once, |app| {
    let Enrolled { secret, .. } = app.enrolled(ADA).await;
    let answer = async |code: String| {
        let token = app.anonymous().first_half(ADA).await;
        app.anonymous().answer(&token, "totp", &code).await
    };
    app.advance(TimeDelta::seconds(120));
    for off in [-90, 90] {
        answer(app.code_at(&secret, off)).await.assert_problem(401, "invalid_code");
    }
    answer(app.code_at(&secret, -30)).await.assert(200);
    answer(app.code_at(&secret, -30)).await.assert_problem(401, "invalid_code");
    answer(app.code_at(&secret, 30)).await.assert(200);
    // What came before the newest is over as well (RFC 6238 section 5.2).
    answer(app.code(&secret)).await.assert_problem(401, "invalid_code");
});

on_both!(of_many_who_show_one_code_at_once_one_is_in, |app| {
    let Enrolled { secret, codes, .. } = app.enrolled(ADA).await;
    for (method, code) in [("totp", app.code(&secret)), ("recovery_code", codes[0].clone())] {
        let mut tokens = Vec::new();
        for _ in 0..16 {
            tokens.push(app.anonymous().first_half(ADA).await);
        }
        // From as many places, so that none has to pause.
        let node = std::sync::Arc::clone(app.app());
        let (tokens, code) = (std::sync::Arc::new(tokens), std::sync::Arc::new(code));
        let results = at_once(16, move |number| {
            let (node, tokens, code) = (std::sync::Arc::clone(&node), std::sync::Arc::clone(&tokens), std::sync::Arc::clone(&code));
            async move {
                let ctx = stranger(&node, "localhost", &format!("198.51.100.{number}"), None).await;
                let proof = Proof::read(method, None, Some(code.as_str().into()), (None, None)).unwrap();
                mfa::verify(&node, &ctx, mfa::Answer { token: &tokens[number], proof: &proof, trust: false }).await.is_ok()
            }
        })
        .await;
        assert_eq!(results.iter().filter(|entered| **entered).count(), 1, "{method}: {results:?}");
    }
    assert_eq!(app.count("sessions WHERE ended_at IS NULL").await, 3);
});

on_both!(one_token_lets_one_in_however_often_it_is_shown, |app| {
    let Enrolled { codes, .. } = app.enrolled(ADA).await;
    let token = std::sync::Arc::new(app.anonymous().first_half(ADA).await);
    let (node, codes) = (std::sync::Arc::clone(app.app()), std::sync::Arc::new(codes));
    let results = at_once(5, move |number| {
        let (node, token, codes) = (std::sync::Arc::clone(&node), std::sync::Arc::clone(&token), std::sync::Arc::clone(&codes));
        async move {
            let ctx = stranger(&node, "localhost", &format!("198.51.100.{number}"), None).await;
            let proof = Proof::RecoveryCode(codes[number].as_str().into());
            mfa::verify(&node, &ctx, mfa::Answer { token: &token, proof: &proof, trust: false }).await.is_ok()
        }
    })
    .await;
    assert_eq!(results.iter().filter(|entered| **entered).count(), 1, "{results:?}");
    // Who lost did not spend their code.
    assert_eq!(app.count("recovery_codes WHERE used_at IS NOT NULL").await, 1);
});

on_both!(recovery_codes_are_good_once_in_any_spelling_and_replaced_as_a_whole, |app| {
    let Enrolled { user, codes, .. } = app.enrolled(ADA).await;
    let answer = async |code: &str| {
        let token = app.anonymous().first_half(ADA).await;
        app.anonymous().answer(&token, "recovery_code", code).await
    };
    let loud = codes[0].to_uppercase().replace('-', " ");
    let entered = answer(&loud).await.assert(200).at("/tokens/accessToken");
    answer(&codes[0]).await.assert_problem(401, "invalid_code");
    answer("no code").await.assert_problem(401, "invalid_code");
    let client = app.anonymous().bearer(&entered);
    assert_eq!(client.get("/api/v1/me/mfa").await.at("/recoveryCodesLeft"), "9");
    let fresh = list(&client.post("/api/v1/me/mfa/recovery-codes", &json!({})).await.assert(200), "/recoveryCodes");
    assert!(fresh.len() == 10 && fresh.iter().all(|code| !codes.contains(code)));
    answer(&codes[1]).await.assert_problem(401, "invalid_code");
    answer(&fresh[0]).await.assert(200);
    assert_eq!(app.count(&format!("recovery_codes WHERE code_hash LIKE '%{}%'", fresh[1])).await, 0);
    drop(user);
});

on_both!(five_answers_wear_a_token_out_and_five_minutes_end_it, |app| {
    let Enrolled { secret, codes, .. } = app.enrolled(ADA).await;
    let token = app.anonymous().first_half(ADA).await;
    for _ in 0..4 {
        app.anonymous().answer(&token, "totp", &app.wrong_code(&secret)).await.assert_problem(401, "invalid_code");
    }
    app.anonymous().answer(&token, "recovery_code", "aaaa-aaaa-aaaa-aaaa").await.assert_problem(401, "invalid_code");
    app.anonymous().answer(&token, "totp", &app.code(&secret)).await.assert_problem(401, "invalid_mfa_token");
    // The place has to pause, too: a fresh token does not help whoever guesses.
    let token = app.anonymous().first_half(ADA).await;
    app.anonymous().answer(&token, "totp", &app.code(&secret)).await.assert_problem(401, "invalid_code");
    app.advance(TimeDelta::seconds(30));
    app.anonymous().answer(&token, "totp", &app.code(&secret)).await.assert(200);

    let token = app.anonymous().first_half(ADA).await;
    app.advance(TimeDelta::minutes(5) - TimeDelta::milliseconds(1));
    app.anonymous().answer(&token, "recovery_code", &codes[0]).await.assert(200);
    let token = app.anonymous().first_half(ADA).await;
    app.advance(TimeDelta::minutes(5));
    app.anonymous().answer(&token, "recovery_code", &codes[1]).await.assert_problem(401, "invalid_mfa_token");
});

on_both!(a_thief_of_the_password_gets_a_hundred_guesses_from_however_many_places, |app| {
    let Enrolled { secret, .. } = app.enrolled(ADA).await;
    let guess = async |ip: &str, code: String| {
        let ctx = stranger(app.app(), "localhost", ip, None).await;
        let first = realmgate::service::login::with_password(app.app(), &ctx, ADA, &PASSWORD.into()).await;
        let Err(Error::FactorWanted { token, .. }) = first else { panic!("{first:?}") };
        let token = secrecy::ExposeSecret::expose_secret(&token).to_owned();
        mfa::verify(app.app(), &ctx, mfa::Answer { token: &token, proof: &Proof::Totp(code.into()), trust: false }).await.map(drop)
    };
    for place in 0..25 {
        for _ in 0..4 {
            let wrong = guess(&format!("198.51.100.{place}"), app.wrong_code(&secret)).await;
            assert!(matches!(wrong, Err(Error::InvalidFactorCode)), "{wrong:?}");
        }
    }
    // From now on not even the right one is looked at, from nowhere that is not known.
    for place in 0..3 {
        let right = guess(&format!("203.0.113.{place}"), app.code(&secret)).await;
        assert!(matches!(right, Err(Error::InvalidFactorCode)), "{right:?}");
    }
    // The owner is mailed a link, and the place that follows it is welcome.
    app.run_jobs().await;
    let link = app.last_mail(ADA).await.token();
    let ctx = stranger(app.app(), "localhost", "192.0.2.7", None).await;
    realmgate::service::sign_in_link::follow(app.app(), &ctx, &link).await.unwrap();
    guess("192.0.2.7", app.code(&secret)).await.unwrap();
});

on_both!(a_half_done_sign_in_opens_nothing_but_its_other_half, |app| {
    app.enrolled(ADA).await;
    let token = app.anonymous().first_half(ADA).await;
    let sessions = app.count("sessions").await;
    for operation in operations().into_iter().filter(|operation| operation.bearer && operation.id != "introspect_token") {
        let body = operation.body.as_ref().map(|_| json!({}).to_string()).unwrap_or_default();
        let client = app.anonymous().bearer(&token);
        let kind = operation.body.as_ref().map(|_| "application/json");
        let reply = client.send(operation.method.clone(), &operation.at("01997b2e-6b1c-7d3a-9c55-0d5f0e9a7c11"), kind, body).await;
        assert_eq!(reply.status.as_u16(), 401, "{}: {}", operation.id, reply.text());
    }
    app.anonymous().refresh(&token).await.assert_problem(401, "invalid_refresh_token");
    app.anonymous().reset(&token, OTHER).await.assert_problem(400, "invalid_token");
    app.anonymous().get(&format!("/api/v1/me?access_token={token}")).await.assert(401);
    assert_eq!(app.count("sessions").await, sessions, "it began none");
    // And its own operations know the kinds apart.
    let enrol = json!({ "mfaToken": token });
    app.anonymous().post("/api/v1/auth/mfa/enrol/totp", &enrol).await.assert_problem(401, "invalid_mfa_token");
    app.anonymous().answer("garbage", "totp", "123456").await.assert_problem(401, "invalid_mfa_token");
    app.anonymous().answer(&token, "password", "123456").await.assert_problem(422, "validation_failed");
});

on_both!(a_waiting_sign_in_is_over_with_what_it_was_a_proof_of, |app| {
    let Enrolled { secret, .. } = app.enrolled(ADA).await;
    app.run_jobs().await;
    let token = app.anonymous().first_half(ADA).await;
    let reset = app.reset_token(ADA).await;
    app.anonymous().reset(&reset, OTHER).await.assert(204);
    app.anonymous().answer(&token, "totp", &app.code(&secret)).await.assert_problem(401, "invalid_mfa_token");
    // A reset starts no session, and the factor is still asked for (ASVS 6.4.3).
    let token = app.anonymous().log_in(ADA, OTHER).await.assert_problem(403, "mfa_required").at("/mfaToken");
    app.anonymous().answer(&token, "totp", &app.code(&secret)).await.assert(200);
    let token = app.anonymous().log_in(ADA, OTHER).await.assert(403).at("/mfaToken");
    app.lock(ADA).await;
    app.advance(TimeDelta::seconds(30));
    app.anonymous().answer(&token, "totp", &app.code(&secret)).await.assert_problem(401, "invalid_mfa_token");
});

on_both!(another_realm_knows_nothing_of_it, |app| {
    app.realm("acme.example.com").await;
    let Enrolled { secret, codes, .. } = app.enrolled(ADA).await;
    let other = app.enrolled_in("acme.example.com", ADA).await;
    let token = app.anonymous().first_half(ADA).await;
    let there = app.anonymous().realm("acme.example.com");
    there.answer(&token, "totp", &app.code(&secret)).await.assert_problem(401, "invalid_mfa_token");
    there.answer(&token, "totp", &app.code(&other.secret)).await.assert_problem(401, "invalid_mfa_token");
    app.anonymous().answer(&token, "recovery_code", &other.codes[0]).await.assert_problem(401, "invalid_code");
    app.anonymous().answer(&token, "recovery_code", &codes[0]).await.assert(200);
});

on_both!(a_realm_that_requires_a_factor_leads_to_one_before_anybody_is_in, |app| {
    app.user(ADA).await;
    app.settings_of("localhost", |settings| settings.mfa = MfaPolicy::Required).await;
    let asked = app.anonymous().log_in(ADA, PASSWORD).await.assert_problem(403, "mfa_enrolment_required");
    assert_eq!(list(&asked, "/methods"), ["totp", "passkey"]);
    let token = asked.at("/mfaToken");
    app.anonymous().answer(&token, "totp", "123456").await.assert_problem(401, "invalid_mfa_token");
    let begun = app.anonymous().post("/api/v1/auth/mfa/enrol/totp", &json!({ "mfaToken": token })).await.assert(200);
    let secret = begun.at("/secret");
    let confirm = |code: String| json!({ "mfaToken": token, "code": code });
    let path = "/api/v1/auth/mfa/enrol/totp/confirm";
    app.anonymous().post(path, &confirm(app.wrong_code(&secret))).await.assert_problem(401, "invalid_code");
    let entered = app.anonymous().post(path, &confirm(app.code(&secret))).await.assert(200);
    assert_eq!(list(&entered, "/recoveryCodes").len(), 10);
    let client = app.anonymous().bearer(&entered.at("/login/tokens/accessToken"));
    client.get("/api/v1/me").await.assert(200);
    app.anonymous().post(path, &confirm(app.code(&secret))).await.assert_problem(401, "invalid_mfa_token");
    // From now on it is asked for, and the last one stays.
    app.anonymous().log_in(ADA, PASSWORD).await.assert_problem(403, "mfa_required");
    client.delete("/api/v1/me/mfa/totp").await.assert_problem(409, "last_factor");
    app.anonymous().log_in(ADA, PASSWORD).await.assert_problem(403, "mfa_required");
});

on_both!(a_factor_that_came_meanwhile_is_asked_for_and_not_replaced, |app| {
    app.user(ADA).await;
    app.settings_of("localhost", |settings| settings.mfa = MfaPolicy::Required).await;
    let first = app.anonymous().log_in(ADA, PASSWORD).await.assert(403).at("/mfaToken");
    let second = app.anonymous().log_in(ADA, PASSWORD).await.assert(403).at("/mfaToken");
    let enrol = async |token: &str| {
        let begun = app.anonymous().post("/api/v1/auth/mfa/enrol/totp", &json!({ "mfaToken": token })).await.assert(200);
        let body = json!({ "mfaToken": token, "code": app.code(&begun.at("/secret")) });
        app.anonymous().post("/api/v1/auth/mfa/enrol/totp/confirm", &body).await
    };
    enrol(&first).await.assert(200);
    enrol(&second).await.assert_problem(401, "invalid_mfa_token");
});

on_both!(a_realm_without_factors_asks_for_none, |app| {
    let Enrolled { user, .. } = app.enrolled(ADA).await;
    app.settings_of("localhost", |settings| settings.mfa = MfaPolicy::Off).await;
    app.anonymous().log_in(ADA, PASSWORD).await.assert(200);
    app.anonymous().bearer(&user.access).begin_totp().await.assert_problem(403, "mfa_off");
    app.anonymous().post("/api/v1/auth/passkey/options", &json!({})).await.assert_problem(403, "mfa_off");
    app.settings_of("localhost", |settings| settings.mfa = MfaPolicy::Optional).await;
    app.anonymous().log_in(ADA, PASSWORD).await.assert_problem(403, "mfa_required");
});

on_both!(other_doors_can_ask_whether_one_proof_is_enough, |app| {
    let grace = app.user("grace@example.com").await;
    let Enrolled { user, .. } = app.enrolled(ADA).await;
    let asks = async |id: &str| {
        let ctx = app.operator().await;
        realmgate::service::factors::has_factor(app.app(), &ctx.realm, id.parse().unwrap()).await.unwrap()
    };
    assert!(asks(&user.id).await && !asks(&grace.id).await);
    app.settings_of("localhost", |settings| settings.mfa = MfaPolicy::Required).await;
    assert!(asks(&grace.id).await);
    app.settings_of("localhost", |settings| settings.mfa = MfaPolicy::Off).await;
    assert!(!asks(&user.id).await);
});

on_both!(a_trusted_device_is_not_asked_until_it_is_struck_out, |app| {
    let Enrolled { secret, .. } = app.enrolled(ADA).await;
    let trust = async |app: &TestApp| {
        let token = app.anonymous().first_half(ADA).await;
        let body = json!({ "mfaToken": token, "method": "totp", "code": app.code(&secret), "trustDevice": true });
        let entered = app.anonymous().post("/api/v1/auth/mfa/verify", &body).await.assert(200);
        app.advance(TimeDelta::seconds(30));
        (entered.at("/deviceToken"), entered.at("/tokens/accessToken"))
    };
    let (device, _) = trust(&app).await;
    let entered = app.anonymous().log_in_from(ADA, PASSWORD, &device).await.assert(200);
    app.anonymous().log_in(ADA, PASSWORD).await.assert_problem(403, "mfa_required");
    app.anonymous().log_in_from(ADA, OTHER, &device).await.assert(401);
    // It is a password's session: it may not touch the factors.
    let client = app.anonymous().bearer(&entered.at("/tokens/accessToken"));
    let refused = client.delete("/api/v1/me/mfa/totp").await.assert_problem(401, "step_up_required");
    assert_eq!(list(&refused, "/methods"), ["totp", "recovery_code"]);
    let listed = client.get("/api/v1/me/trusted-devices").await.assert(200);
    assert_eq!(listed.json()["items"].as_array().unwrap().len(), 1);
    let path = format!("/api/v1/me/trusted-devices/{}", listed.at("/items/0/id"));
    client.delete(&path).await.assert(204);
    client.delete(&path).await.assert_problem(404, "not_found");
    app.anonymous().log_in_from(ADA, PASSWORD, &device).await.assert_problem(403, "mfa_required");

    let (device, access) = trust(&app).await;
    app.advance(TimeDelta::days(30) - TimeDelta::seconds(31));
    app.anonymous().log_in_from(ADA, PASSWORD, &device).await.assert(200);
    app.advance(TimeDelta::seconds(1));
    app.anonymous().log_in_from(ADA, PASSWORD, &device).await.assert_problem(403, "mfa_required");
    drop(access);
    // A new password, and a change of the factors, end it.
    let (device, access) = trust(&app).await;
    app.anonymous().bearer(&access).post("/api/v1/me/mfa/recovery-codes", &json!({})).await.assert(200);
    app.anonymous().log_in_from(ADA, PASSWORD, &device).await.assert_problem(403, "mfa_required");
    let (device, access) = trust(&app).await;
    app.anonymous().bearer(&access).change_password(PASSWORD, OTHER).await.assert(204);
    app.anonymous().log_in_from(ADA, OTHER, &device).await.assert_problem(403, "mfa_required");
});

on_both!(a_realm_may_trust_no_device, |app| {
    let Enrolled { secret, .. } = app.enrolled(ADA).await;
    app.settings_of("localhost", |settings| settings.lifetimes.trusted_device = 0).await;
    let token = app.anonymous().first_half(ADA).await;
    let body = json!({ "mfaToken": token, "method": "totp", "code": app.code(&secret), "trustDevice": true });
    let entered = app.anonymous().post("/api/v1/auth/mfa/verify", &body).await.assert(200);
    app.anonymous().log_in_from(ADA, PASSWORD, &entered.at("/deviceToken")).await.assert_problem(403, "mfa_required");
});

on_both!(without_its_last_factor_an_account_has_no_codes_either, |app| {
    let Enrolled { secret, codes, .. } = app.enrolled(ADA).await;
    let token = app.anonymous().first_half(ADA).await;
    let entered = app.anonymous().answer(&token, "totp", &app.code(&secret)).await.assert(200);
    let client = app.anonymous().bearer(&entered.at("/tokens/accessToken"));
    client.delete("/api/v1/me/mfa/totp").await.assert(204);
    client.delete("/api/v1/me/mfa/totp").await.assert_problem(404, "not_found");
    client.post("/api/v1/me/mfa/recovery-codes", &json!({})).await.assert_problem(404, "not_found");
    app.anonymous().log_in(ADA, PASSWORD).await.assert(200);
    assert_eq!(app.count("recovery_codes").await, 0);
    drop(codes);
});

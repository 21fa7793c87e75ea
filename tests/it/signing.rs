//! Access tokens under attack, asked at a real operation: forged, foreign, misplaced, presented oddly.
//! Each refusal stands beside a token that differs in that one thing and is taken (RFC 8725, RFC 9068 section 4).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use realmgate::{
    crypto::signing::{AccessClaims, SigningKey},
    domain::{clock::Clock as _, id::SigningKeyId},
    store::{
        self,
        revocations::RevocationKind,
        signing_keys::{KeyStatus, StoredKey},
    },
};
use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};

use crate::{
    on_both,
    support::{Node, PASSWORD, Reply, TestApp},
};

const ADA: &str = "ada@example.com";

async fn me(node: &Node, access: &str) -> Reply {
    node.anonymous().bearer(access).get("/api/v1/me").await
}

fn decoded(part: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64url")).expect("JSON")
}

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn header(token: &str) -> Value {
    decoded(token.split('.').next().unwrap())
}

fn claims(token: &str) -> AccessClaims {
    serde_json::from_value(decoded(token.split('.').nth(1).unwrap())).unwrap()
}

fn aad(row: &StoredKey) -> String {
    format!("signing_keys|{}|{}|private_sealed", row.realm_id, row.id)
}

/// The private key that the realm signs with.
async fn key_of(app: &TestApp, realm: &str) -> SigningKey {
    let realm = app.operator_in(realm).await.realm.id;
    let rows = store::signing_keys::list(&app.app().db.read, realm).await.unwrap();
    let row = rows.last().unwrap();
    SigningKey::from_pkcs8(&row.kid, &app.app().keyring.unseal(&aad(row), &row.private_sealed).unwrap()).unwrap()
}

/// Gives the root realm a newer key and tells the nodes.
async fn rotate_key(app: &TestApp) -> String {
    let (now, entropy) = (app.clock.now(), app.app().entropy.as_ref());
    let realm = app.operator().await.realm.id;
    let key = SigningKey::generate(entropy).unwrap();
    let mut row = StoredKey {
        id: SigningKeyId::new(now, entropy),
        realm_id: realm,
        kid: key.kid().to_owned(),
        algorithm: "ES256".to_owned(),
        status: KeyStatus::Active,
        public_jwk: key.public_jwk().to_string(),
        private_sealed: String::new(),
        created_at: now,
        signs_from: now,
        verifies_until: None,
    };
    row.private_sealed = app.app().keyring.seal(&aad(&row), key.pkcs8(), entropy).unwrap();
    store::signing_keys::insert(&app.app().db.write, &row).await.unwrap();
    tell(app).await;
    row.kid
}

async fn tell(app: &TestApp) {
    let realm = app.operator().await.realm.id;
    let db = &app.app().db.write;
    store::revocations::insert(db, realm, RevocationKind::Realm, realm.0, "keys", app.clock.now()).await.unwrap();
    app.node.follow_changes().await;
}

on_both!(forged_tokens_prove_nothing, |app| {
    let ada = app.user(ADA).await;
    let bob = app.user("bob@example.com").await;
    let parts: Vec<_> = ada.access.split('.').collect();
    let (head, body, signature) = (header(&ada.access), parts[1], parts[2]);
    let key = key_of(&app, "localhost").await;
    me(&app.node, &key.sign(&claims(&ada.access)).unwrap()).await.assert(200);
    let with = |name: &str, value: Value| {
        let mut head = head.clone();
        head[name] = value;
        part(&head)
    };
    let mut tokens = Vec::new();
    for alg in ["none", "None", "NONE", "", "HS256", "ES384", "es256"] {
        tokens.push((format!("alg {alg}, unsigned"), format!("{}.{body}.", with("alg", json!(alg)))));
        tokens.push((format!("alg {alg}, the old signature"), format!("{}.{body}.{signature}", with("alg", json!(alg)))));
    }
    let jwk = key.public_jwk();
    let point = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
    let point = [vec![4], point("x"), point("y")].concat();
    for secret in [jwk.to_string().into_bytes(), jwk["x"].as_str().unwrap().as_bytes().to_vec(), point] {
        let mut head = Header::new(Algorithm::HS256);
        (head.typ, head.kid) = (Some("at+jwt".to_owned()), Some(key.kid().to_owned()));
        let token = jsonwebtoken::encode(&head, &claims(&ada.access), &EncodingKey::from_secret(&secret)).unwrap();
        tokens.push(("HS256 with the public key".to_owned(), token));
    }
    let mut other = claims(&ada.access);
    other.sub = bob.id.clone();
    let tampered = part(&serde_json::to_value(&other).unwrap());
    tokens.push(("another subject".to_owned(), format!("{}.{tampered}.{signature}", parts[0])));
    let foreign = SigningKey::generate(app.app().entropy.as_ref()).unwrap();
    let same_kid = SigningKey::from_pkcs8(key.kid(), foreign.pkcs8()).unwrap();
    tokens.push(("a key of one's own".to_owned(), foreign.sign(&claims(&ada.access)).unwrap()));
    tokens.push(("a key of one's own under our id".to_owned(), same_kid.sign(&claims(&ada.access)).unwrap()));
    let mut head = Header::new(Algorithm::ES256);
    (head.typ, head.kid) = (Some("at+jwt".to_owned()), Some(key.kid().to_owned()));
    head.jwk = serde_json::from_value(foreign.public_jwk().clone()).ok();
    assert!(head.jwk.is_some());
    let own = EncodingKey::from_ec_der(foreign.pkcs8());
    tokens.push(("a key that it brings along".to_owned(), jsonwebtoken::encode(&head, &claims(&ada.access), &own).unwrap()));
    let zero = URL_SAFE_NO_PAD.encode([0; 64]);
    tokens.push(("a signature of zeros".to_owned(), format!("{}.{body}.{zero}", parts[0])));
    tokens.push(("no signature".to_owned(), format!("{}.{body}.", parts[0])));
    tokens.push(("two parts".to_owned(), format!("{}.{body}", parts[0])));
    tokens.push(("four parts".to_owned(), format!("{}.x", ada.access)));
    tokens.push(("padding".to_owned(), format!("{}=", ada.access)));
    tokens.push(("no text".to_owned(), "..".to_owned()));
    tokens.push(("a long text".to_owned(), "a".repeat(7_000)));
    for (what, token) in tokens {
        let reply = me(&app.node, &token).await;
        assert_eq!((reply.status.as_u16(), reply.at("/code")), (401, "invalid_access_token".to_owned()), "{what}");
        assert!(reply.header("www-authenticate").contains("invalid_token"), "{what}");
    }
    me(&app.node, &ada.access).await.assert(200);
});

on_both!(a_true_signature_does_not_make_up_for_what_a_token_says, |app| {
    app.realm("shop.example").await;
    let ada = app.user(ADA).await;
    let bob = app.user("bob@example.com").await;
    let there = app.user_in("shop.example", ADA).await;
    let key = key_of(&app, "localhost").await;
    let foreign = key_of(&app, "shop.example").await;
    let base = || claims(&ada.access);
    let issuer = claims(&there.access).iss;
    let now = app.clock.now().timestamp();
    me(&app.node, &key.sign(&AccessClaims { jti: "x".to_owned(), iat: now + 5, ..base() }).unwrap()).await.assert(200);
    let audience = base().aud;
    let odd = [
        ("the future", AccessClaims { iat: now + 6, ..base() }),
        ("another audience", AccessClaims { aud: format!("{audience}/chat"), ..base() }),
        ("no audience", AccessClaims { aud: String::new(), ..base() }),
        ("an unknown issuer", AccessClaims { iss: "https://evil.example/realms/localhost".to_owned(), ..base() }),
        ("no issuer", AccessClaims { iss: String::new(), ..base() }),
        ("another realm's issuer", AccessClaims { iss: issuer.clone(), ..base() }),
        ("an issuer in capitals", AccessClaims { iss: base().iss.replace("localhost", "LOCALHOST"), ..base() }),
        ("another version", AccessClaims { ver: 2, ..base() }),
        ("another's session", AccessClaims { sid: bob.session.clone(), ..base() }),
        ("another's subject", AccessClaims { sub: bob.id.clone(), ..base() }),
        ("a session of another realm", AccessClaims { sid: there.session.clone(), sub: there.id.clone(), ..base() }),
        ("no session", AccessClaims { sid: String::new(), ..base() }),
    ];
    for (what, claims) in odd {
        let reply = me(&app.node, &key.sign(&claims).unwrap()).await;
        assert_eq!((reply.status.as_u16(), reply.at("/code")), (401, "invalid_access_token".to_owned()), "{what}");
    }
    // The other realm's key, under its own id and under ours, does not speak for this realm.
    let ours = SigningKey::from_pkcs8(key.kid(), foreign.pkcs8()).unwrap();
    for forged in [foreign.sign(&base()).unwrap(), ours.sign(&base()).unwrap()] {
        me(&app.node, &forged).await.assert_problem(401, "invalid_access_token");
    }
    let mut untyped = Header::new(Algorithm::ES256);
    untyped.kid = Some(key.kid().to_owned());
    for typ in [None, Some("JWT"), Some("rt+jwt")] {
        untyped.typ = typ.map(str::to_owned);
        let token = jsonwebtoken::encode(&untyped, &base(), &EncodingKey::from_ec_der(key.pkcs8())).unwrap();
        me(&app.node, &token).await.assert_problem(401, "invalid_access_token");
    }
});

on_both!(a_token_is_good_for_its_own_purpose_only, |app| {
    let ada = app.user(ADA).await;
    let verify = app.last_mail(ADA).await.token();
    app.anonymous().post("/api/v1/auth/password/forgot", &json!({ "email": ADA })).await.assert(202);
    app.run_jobs().await;
    let reset = app.last_mail(ADA).await.token();
    for token in [&ada.refresh, &verify, &reset, &ada.session, &ada.id] {
        me(&app.node, token).await.assert_problem(401, "invalid_access_token");
    }
    for token in [&reset, &ada.access] {
        app.anonymous().refresh(token).await.assert_problem(401, "invalid_refresh_token");
    }
    for token in [&ada.refresh, &verify] {
        let body = json!({ "token": token, "newPassword": "another harbour otter" });
        app.anonymous().post("/api/v1/auth/password/reset", &body).await.assert_problem(400, "invalid_token");
    }
    for token in [&ada.refresh, &reset] {
        app.anonymous().post("/api/v1/auth/verify-email", &json!({ "token": token })).await.assert_problem(400, "invalid_token");
    }
    // An access token is longer than any that is mailed.
    let verify = app.anonymous().post("/api/v1/auth/verify-email", &json!({ "token": ada.access })).await;
    assert_eq!(verify.assert_problem(422, "validation_failed").faults(), ["token:too_long"]);
    // None of these attempts has used anything up.
    app.anonymous().refresh(&ada.refresh).await.assert(200);
    app.anonymous().post("/api/v1/auth/password/reset", &json!({ "token": reset, "newPassword": "another harbour otter" })).await.assert(204);
});

on_both!(a_token_is_presented_in_one_way, |app| {
    let ada = app.user(ADA).await;
    let token = &ada.access;
    let get = async |value: &str| app.node.raw_get("/api/v1/me", &[("authorization", value)]).await;
    for good in [format!("Bearer {token}"), format!("bearer {token}"), format!("BEARER {token}"), format!("Bearer  {token}"), format!("Bearer {token}  ")] {
        get(&good).await.assert(200);
    }
    for none in [token.clone(), "Bearer".to_owned(), format!("Basic {token}"), format!("Bearer:{token}"), format!("Token {token}"), String::new()] {
        let reply = get(&none).await.assert_problem(401, "missing_credential");
        assert!(reply.header("www-authenticate").starts_with("Bearer"), "{none}");
    }
    for bad in ["Bearer ".to_owned(), format!("Bearer {token}, Bearer {token}"), format!("Bearer {token} {token}"), format!("Bearer \"{token}\"")] {
        get(&bad).await.assert_problem(401, "invalid_access_token");
    }
    let header = format!("Bearer {token}");
    let twice = [("authorization", header.as_str()), ("authorization", header.as_str())];
    app.node.raw_get("/api/v1/me", &twice).await.assert_problem(401, "invalid_access_token");
    let mixed = [("authorization", "Basic eDp4"), ("authorization", header.as_str())];
    app.node.raw_get("/api/v1/me", &mixed).await.assert_problem(401, "invalid_access_token");
    app.node.raw_get(&format!("/api/v1/me?access_token={token}"), &[]).await.assert_problem(401, "missing_credential");
    app.node.raw_get("/api/v1/me", &[("cookie", &format!("access_token={token}"))]).await.assert_problem(401, "missing_credential");
});

on_both!(a_token_is_good_in_its_own_realm_only, |app| {
    app.realm("shop.example").await;
    app.realm("other.example").await;
    let ada = app.user(ADA).await;
    let there = app.user_in("shop.example", ADA).await;
    let cold = app.join(2).await;
    for _ in 0..2 {
        // The second time around the token is known.
        for node in [&app.node, &cold] {
            let ask = async |token: &str, headers: &[(&str, &str)]| {
                let client = headers.iter().fold(node.anonymous().bearer(token), |client, (name, value)| client.header(name, value));
                client.get("/api/v1/me").await
            };
            for wrong in [("x-realm", "other.example"), ("x-realm", "localhost"), ("x-realm", "no.such.realm"), ("x-realm", "?"), ("host", "other.example")] {
                ask(&there.access, &[wrong]).await.assert_problem(401, "realm_mismatch");
            }
            for wrong in [("x-realm", "shop.example"), ("host", "shop.example"), ("host", "SHOP.example:8080")] {
                ask(&ada.access, &[wrong]).await.assert_problem(401, "realm_mismatch");
            }
            for right in [("x-realm", "shop.example"), ("x-realm", "SHOP.example"), ("host", "shop.example"), ("host", "localhost"), ("host", "127.0.0.1")] {
                assert_eq!(ask(&there.access, &[right]).await.assert(200).at("/id"), there.id);
            }
            // What the header names counts, not where the request arrived.
            ask(&there.access, &[("host", "shop.example"), ("x-realm", "other.example")]).await.assert_problem(401, "realm_mismatch");
            assert_eq!(ask(&ada.access, &[]).await.assert(200).at("/id"), ada.id);
        }
    }
});

on_both!(whoever_has_the_key_set_can_check_an_access_token, |app| {
    app.realm("shop.example").await;
    let ada = app.user_in("shop.example", ADA).await;
    let discovery = app.anonymous().get("/realms/shop.example/.well-known/openid-configuration").await.assert(200);
    let uri = discovery.at("/jwks_uri");
    let path = uri.strip_prefix(&app.app().settings.public_url).expect("below the public address").to_owned();
    let reply = app.anonymous().get(&path).await.assert(200);
    let set = reply.json();
    let keys = set["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 1);
    let mut names: Vec<_> = keys[0].as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["alg", "crv", "kid", "kty", "use", "x", "y"], "the public half and nothing else");
    assert_eq!(header(&ada.access), json!({ "alg": "ES256", "typ": "at+jwt", "kid": keys[0]["kid"] }));
    let key = DecodingKey::from_ec_components(keys[0]["x"].as_str().unwrap(), keys[0]["y"].as_str().unwrap()).unwrap();
    let mut validation = Validation::new(Algorithm::ES256);
    // The token's time is the test's clock.
    validation.validate_exp = false;
    validation.set_issuer(&[discovery.at("/issuer")]);
    validation.set_audience(&[app.app().audience()]);
    let checked = jsonwebtoken::decode::<AccessClaims>(&ada.access, &key, &validation).expect("a genuine token").claims;
    assert_eq!((checked.sub, checked.sid), (ada.id, ada.session));
    assert_eq!((checked.iat, checked.exp), (app.clock.now().timestamp(), app.clock.now().timestamp() + 900));
    let root = app.anonymous().get("/realms/localhost/.well-known/jwks.json").await.assert(200).json();
    assert_ne!(root["keys"][0]["kid"], keys[0]["kid"], "each realm has a key of its own");
    assert_ne!(root["keys"][0]["x"], keys[0]["x"]);
    app.anonymous().get("/realms/no.such.realm/.well-known/jwks.json").await.assert_problem(404, "realm_not_found");
});

on_both!(a_newer_key_signs_and_the_older_one_still_verifies, |app| {
    let other = app.join(2).await;
    let ada = app.user(ADA).await;
    let old_kid = header(&ada.access)["kid"].clone();
    me(&other, &ada.access).await.assert(200);
    app.advance(chrono::TimeDelta::seconds(1));
    let new_kid = rotate_key(&app).await;
    assert_ne!(old_kid, json!(new_kid));
    other.follow_changes().await;
    let cold = app.join(3).await;
    for node in [&app.node, &other, &cold] {
        me(node, &ada.access).await.assert(200);
        let new = node.anonymous().log_in(ADA, PASSWORD).await.user("localhost", ADA);
        assert_eq!(header(&new.access)["kid"], json!(new_kid));
        for reader in [&app.node, &other, &cold] {
            me(reader, &new.access).await.assert(200);
        }
        let set = node.anonymous().get("/realms/localhost/.well-known/jwks.json").await.assert(200).json();
        let kids: Vec<_> = set["keys"].as_array().unwrap().iter().map(|key| key["kid"].clone()).collect();
        assert_eq!(kids, [old_kid.clone(), json!(new_kid)]);
    }
    let next = app.anonymous().refresh(&ada.refresh).await.assert(200);
    assert_eq!(header(&next.at("/accessToken"))["kid"], json!(new_kid));
});

on_both!(a_revoked_key_verifies_nothing_on_any_node, |app| {
    let other = app.join(2).await;
    let ada = app.user(ADA).await;
    let old_kid = header(&ada.access)["kid"].as_str().unwrap().to_owned();
    app.advance(chrono::TimeDelta::seconds(1));
    rotate_key(&app).await;
    let set = async |status: &str| {
        let update = format!("UPDATE signing_keys SET status = '{status}' WHERE kid = '{old_kid}'");
        assert_eq!(app.app().db.write.execute_unprepared(&update).await.unwrap().rows_affected(), 1);
        tell(&app).await;
        other.follow_changes().await;
    };
    set("retiring").await;
    me(&app.node, &ada.access).await.assert(200);
    me(&other, &ada.access).await.assert(200);
    set("revoked").await;
    let cold = app.join(3).await;
    // Also where the token was checked before and is remembered.
    for node in [&cold, &app.node, &other] {
        me(node, &ada.access).await.assert_problem(401, "invalid_access_token");
    }
    let next = app.anonymous().refresh(&ada.refresh).await.assert(200);
    me(&other, &next.at("/accessToken")).await.assert(200);
    let keys = app.anonymous().get("/realms/localhost/.well-known/jwks.json").await.assert(200).json();
    assert_eq!(keys["keys"].as_array().unwrap().len(), 1);
});

//! The store's guarded statements under real concurrency: many tasks, two connection pools, one database. Each race has
//! exactly one winner, or exactly as many as there are places.

use chrono::TimeDelta;
use realmgate::{
    crypto::hash::sha256_hex,
    domain::{
        clock::Clock as _,
        email::Email,
        id::{JobId, OneTimeTokenId, RealmId, SessionId, UserId},
        job::Job,
        realm::Realm,
        session::EndReason,
        token::Purpose,
        user::UserStatus,
    },
    store::{
        self, Db,
        one_time_tokens::OneTimeToken,
        primitive::{Reservation, reserve},
    },
};
use sea_orm::ConnectionTrait as _;

use crate::{
    on_both,
    support::{Backend, Database, TestApp, at_once::at_once},
};

/// The two pools that tasks take turns to use.
async fn pools(app: &TestApp) -> [Db; 2] {
    [app.app().db.clone(), app.join(2).await.app.db.clone()]
}

async fn root_realm(app: &TestApp) -> Realm {
    (*app.operator().await.realm).clone()
}

async fn mailed(app: &TestApp, realm: RealmId, user: UserId) -> OneTimeToken {
    let now = app.clock.now();
    let id = OneTimeTokenId::new(now, app.app().entropy.as_ref());
    let token = OneTimeToken {
        id,
        realm_id: realm,
        user_id: user,
        purpose: Purpose::ResetPassword,
        nonce: id.to_string(),
        token_hash: sha256_hex(id.0.as_bytes()),
        email: Email::parse("email", "ada@example.com").unwrap(),
        pending_secret: None,
        pending_name: None,
        tries: 0,
        created_at: now,
        expires_at: now + TimeDelta::hours(1),
        consumed_at: None,
    };
    assert!(store::one_time_tokens::insert_if_absent(&app.app().db.write, &token).await.unwrap());
    token
}

on_both!(of_many_who_use_a_mailed_token_at_once_one_wins, |app| {
    let ada = app.user("ada@example.com").await;
    let (pools, realm, now) = (pools(&app).await, root_realm(&app).await.id, app.clock.now());
    for _ in 0..10 {
        let token = mailed(&app, realm, ada.id.parse().unwrap()).await;
        let won = at_once(32, |n| {
            let (db, token) = (pools[n % 2].clone(), token.clone());
            async move { store::one_time_tokens::consume(&db.write, realm, token.purpose, token.id, &token.token_hash, now).await.unwrap() }
        })
        .await;
        let won: Vec<_> = won.into_iter().flatten().collect();
        assert_eq!(won.len(), 1);
        assert_eq!((won[0].id, won[0].consumed_at), (token.id, Some(now)));
    }
});

on_both!(a_mailed_token_is_not_used_with_another_hash_purpose_realm_or_too_late, |app| {
    let ada = app.user("ada@example.com").await;
    app.realm("shop.example").await;
    let (db, realm, now) = (&app.app().db.write, root_realm(&app).await.id, app.clock.now());
    let other = app.operator_in("shop.example").await.realm.id;
    let token = mailed(&app, realm, ada.id.parse().unwrap()).await;
    let (id, hash) = (token.id, token.token_hash.as_str());
    let consume = async |realm, purpose, hash: &str, now| store::one_time_tokens::consume(db, realm, purpose, id, hash, now).await.unwrap().is_some();
    assert!(!consume(realm, token.purpose, &sha256_hex(b"x"), now).await);
    assert!(!consume(realm, Purpose::VerifyEmail, hash, now).await);
    assert!(!consume(other, token.purpose, hash, now).await);
    assert!(!consume(realm, token.purpose, hash, token.expires_at).await);
    assert!(consume(realm, token.purpose, hash, token.expires_at - TimeDelta::microseconds(1)).await);
});

on_both!(guesses_of_a_code_are_counted_exactly, |app| {
    let ada = app.user("ada@example.com").await;
    let (pools, realm) = (pools(&app).await, root_realm(&app).await.id);
    let token = mailed(&app, realm, ada.id.parse().unwrap()).await;
    let counted = at_once(32, |n| {
        let (db, id) = (pools[n % 2].clone(), token.id);
        async move { store::one_time_tokens::count_try(&db.write, realm, id, 5).await.unwrap() }
    })
    .await;
    assert_eq!(counted.into_iter().filter(|counted| *counted).count(), 5);
    let row = store::one_time_tokens::find(&app.app().db.read, realm, token.purpose, token.id).await.unwrap().unwrap();
    assert_eq!(row.tries, 5);
});

on_both!(a_window_has_exactly_its_places_and_all_of_them_again_when_it_is_over, |app| {
    let (pools, realm) = (pools(&app).await, root_realm(&app).await.id);
    let window = TimeDelta::minutes(15);
    let begun = app.clock.now();
    for later in [TimeDelta::zero(), window, window * 3] {
        let now = begun + later;
        let places = at_once(64, |n| {
            let db = pools[n % 2].clone();
            async move { reserve(&db.write, realm, "login|ada", 5, window, now).await.unwrap() }
        })
        .await;
        assert_eq!(places.iter().filter(|place| place.is_reserved()).count(), 5, "{later} after the beginning");
        assert!(places.iter().all(|place| place.is_reserved() || *place == Reservation::Full { retry_after: 900 }));
    }
    let db = &pools[1].write;
    let late = begun + window * 4 - TimeDelta::microseconds(1);
    assert_eq!(reserve(db, realm, "login|ada", 5, window, late).await.unwrap(), Reservation::Full { retry_after: 1 }, "a microsecond before the end");
    assert!(reserve(db, realm, "login|bob", 5, window, late).await.unwrap().is_reserved(), "another key");
    app.realm("shop.example").await;
    let other = app.operator_in("shop.example").await.realm.id;
    assert!(reserve(db, other, "login|ada", 5, window, late).await.unwrap().is_reserved(), "another realm");
});

on_both!(of_many_who_use_a_refresh_token_at_once_one_wins, |app| {
    let ada = app.user("ada@example.com").await;
    let (pools, realm, now) = (pools(&app).await, root_realm(&app).await.id, app.clock.now());
    let session: SessionId = ada.session.parse().unwrap();
    for round in 0..10 {
        let won = at_once(32, |n| {
            let db = pools[n % 2].clone();
            async move { store::sessions::rotate(&db.write, realm, session, round, now, TimeDelta::hours(1)).await.unwrap() }
        })
        .await;
        let won: Vec<_> = won.into_iter().flatten().collect();
        assert_eq!(won.len(), 1);
        assert_eq!(won[0].rotation.generation, round + 1);
        let kept = store::sessions::find(&app.app().db.read, realm, session).await.unwrap().unwrap();
        assert_eq!(kept.rotation, won[0].rotation, "what the winner left is what stays");
    }
});

on_both!(a_session_is_ended_once_and_keeps_its_first_reason, |app| {
    let ada = app.user("ada@example.com").await;
    let (pools, realm, now) = (pools(&app).await, root_realm(&app).await.id, app.clock.now());
    let session: SessionId = ada.session.parse().unwrap();
    let ended = at_once(32, |n| {
        let db = pools[n % 2].clone();
        let reason = EndReason::ALL[n % EndReason::ALL.len()];
        async move { store::sessions::end(&db.write, realm, session, reason, now).await.unwrap().then_some(reason) }
    })
    .await;
    let ended: Vec<_> = ended.into_iter().flatten().collect();
    assert_eq!(ended.len(), 1);
    let row = store::sessions::find(&app.app().db.read, realm, session).await.unwrap().unwrap();
    assert_eq!(row.ended, Some((now, ended[0])));
});

on_both!(a_session_begins_only_on_the_version_that_its_proof_was_of, |app| {
    let ada = app.user("ada@example.com").await;
    let (db, now) = (&app.app().db, app.clock.now());
    let (realm, id) = (root_realm(&app).await.id, ada.id.parse::<UserId>().unwrap());
    let mut session = store::sessions::find(&db.read, realm, ada.session.parse().unwrap()).await.unwrap().unwrap();
    session.id = SessionId::new(now, app.app().entropy.as_ref());
    let begins = async |user_version| {
        let tx = store::begin_write(db).await.unwrap();
        let new = store::sessions::NewSession { session: &session, user_agent: "", cookie_hash: None, user_version, keep: 5, idle: TimeDelta::hours(1) };
        let begun = store::sessions::begin(&tx, new).await.unwrap().is_some();
        tx.rollback().await.unwrap();
        begun
    };
    let version = store::users::find(&db.read, realm, id).await.unwrap().unwrap().version;
    assert!(begins(version).await);
    // Somebody set another password while this one was hashed.
    assert!(store::users::bump_version_if(&db.write, realm, id, version, now).await.unwrap());
    assert!(!begins(version).await && begins(version + 1).await);
    // Whatever the version, nobody enters who was locked meanwhile.
    assert!(store::users::set_status(&db.write, realm, id, UserStatus::Locked, now).await.unwrap());
    assert!(!begins(version + 1).await && !begins(version + 2).await);
});

on_both!(the_database_refuses_rows_that_point_into_another_realm, |app| {
    app.realm("shop.example").await;
    let ada = app.user("ada@example.com").await;
    let now = app.clock.now();
    let db = &app.app().db.write;
    let (own, other) = (root_realm(&app).await.id, app.operator_in("shop.example").await.realm.id);
    let (user, id) = (ada.id.parse().unwrap(), ada.session.parse::<SessionId>().unwrap());
    let mut session = store::sessions::find(db, own, id).await.unwrap().unwrap();
    let mut token = mailed(&app, own, user).await;
    let version = store::users::find(db, own, user).await.unwrap().unwrap().version;
    for (realm, fits) in [(other, false), (own, true)] {
        session.id = SessionId::new(now, app.app().entropy.as_ref());
        token.id = OneTimeTokenId::new(now, app.app().entropy.as_ref());
        token.token_hash = sha256_hex(token.id.0.as_bytes());
        (session.realm_id, token.realm_id) = (realm, realm);
        let new =
            store::sessions::NewSession { session: &session, user_agent: "", cookie_hash: None, user_version: version, keep: 5, idle: TimeDelta::hours(1) };
        let tx = store::begin_write(&app.app().db).await.unwrap();
        assert_eq!(store::sessions::begin(&tx, new).await.unwrap().is_some(), fits, "sessions");
        tx.rollback().await.unwrap();
        assert_eq!(store::one_time_tokens::insert_if_absent(db, &token).await.is_ok(), fits, "one_time_tokens");
        let entropy = app.app().entropy.as_ref();
        assert_eq!(store::credentials::put_password(db, realm, user, entropy, "hash", now).await.is_ok(), fits, "credentials");
    }
    // Nor can a row be moved there afterwards.
    for table in ["sessions", "one_time_tokens", "credentials", "memberships", "users"] {
        let realm = if app.database.backend == Backend::Postgres { format!("'{other}'") } else { format!("X'{}'", other.0.simple()) };
        let moved = db.execute_unprepared(&format!("UPDATE {table} SET realm_id = {realm}")).await;
        let fault = moved.expect_err("a row of another realm").to_string().to_ascii_lowercase();
        assert!(fault.contains("foreign key"), "{table}: {fault}");
    }
});

on_both!(two_nodes_claim_each_job_once, |app| {
    let (pools, realm, now) = (pools(&app).await, root_realm(&app).await.id, app.clock.now());
    let ada: UserId = app.user("ada@example.com").await.id.parse().unwrap();
    for _ in 0..40 {
        let job = Job::SendPasswordChanged { realm_id: realm, user_id: ada };
        store::jobs::enqueue(&pools[0].write, JobId::new(now, app.app().entropy.as_ref()), &job, now, now).await.unwrap();
    }
    let lease = TimeDelta::seconds(120);
    let claim_all = || {
        at_once(8, |n| {
            let db = pools[n % 2].clone();
            async move {
                let mut mine = Vec::new();
                loop {
                    let claimed = store::jobs::claim(&db.write, now, lease, 3).await.unwrap();
                    assert!(claimed.len() <= 3);
                    if claimed.is_empty() {
                        return mine;
                    }
                    mine.extend(claimed.into_iter().map(|job| job.id));
                }
            }
        })
    };
    let mut ids: Vec<_> = claim_all().await.into_iter().flatten().collect();
    // Rows that another claim held were passed over; whoever looks last finds them leased.
    assert_eq!(ids.len(), 40);
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 40, "no job twice");
    let again = store::jobs::claim(&pools[1].write, now + lease - TimeDelta::microseconds(1), lease, 50).await.unwrap();
    assert!(again.is_empty(), "leases hold");
    let again = store::jobs::claim(&pools[1].write, now + lease, lease, 50).await.unwrap();
    assert_eq!(again.len(), 40, "leases end");
});

async fn migrate_at_once(backend: Backend) {
    let Some(database) = Database::fresh(backend).await else { return };
    let address = store::connection::Address { url: database.url.clone().into(), max_connections: 2 };
    let results = at_once(2, |_| {
        let address = address.clone();
        async move { store::migrate::migrate(&address).await }
    })
    .await;
    let applied: Vec<_> = results.into_iter().map(|result| result.expect("both go on")).collect();
    assert!(applied.iter().any(|steps| steps.len() >= 5), "{applied:?}");
    assert!(store::migrate::pending(&address).await.unwrap().is_empty());
    assert!(store::migrate::migrate(&address).await.unwrap().is_empty(), "nothing is left to do");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_that_migrate_one_file_at_once_both_go_on() {
    migrate_at_once(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_that_migrate_one_server_at_once_both_go_on() {
    migrate_at_once(Backend::Postgres).await;
}

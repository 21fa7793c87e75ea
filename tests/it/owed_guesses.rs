//! Guesses that were counted and are none: nobody looked at them, or they were right and the database broke off. They slow
//! nobody down.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use realmgate::{app::cache::OwedGuess, config::Settings, crypto::hash::sha256_hex, domain::Error};

use crate::{
    guesses::{counts, refused, try_from},
    on_both,
    support::{Backend, PASSWORD, TestApp, people::OTHER},
};

const EMAIL: &str = "ada@example.com";

on_both!(what_an_ill_database_left_counted_is_taken_back, |app| {
    let ada = app.user(EMAIL).await;
    let realm = app.operator().await.realm.id;
    let place = format!("{realm} {} network 203.0.113.7", sha256_hex(format!("user {}", ada.id).as_bytes()));
    let attempt = async |password| try_from(app.app(), "203.0.113.7", EMAIL, password, None).await;
    for _ in 0..5 {
        refused(attempt(OTHER).await);
    }
    refused(attempt(PASSWORD).await);
    // As if the last of the five had been right, and its sign-in broken off.
    app.app().caches.owe_guess(place.clone(), OwedGuess::Right(5, None));
    attempt(PASSWORD).await.expect("no pause is left");
    assert_eq!(app.sql("SELECT guesses AS v FROM password_guesses WHERE place = ''").await, ["0"]);
    for _ in 0..4 {
        refused(attempt(OTHER).await);
    }
    // As if nobody had looked at the last of the four: the next is not the fifth.
    app.app().caches.owe_guess(place.clone(), OwedGuess::Unseen);
    refused(attempt(OTHER).await);
    assert_eq!(counts(&app, "network 203.0.113.7").await, ["5 4"]);
    attempt(PASSWORD).await.expect("no pause begins");
    assert!(app.app().caches.take_owed_guess(&place).is_none(), "it was taken back once");
});

async fn a_full_pool_slows_nobody_down(backend: Backend) {
    let change = |settings: &mut Settings| (settings.hash_permits, settings.hash_queue, settings.hash_memory_kib) = (1, 0, 4_096);
    let Some(app) = TestApp::with(backend, change).await else { return };
    app.user(EMAIL).await;
    let (crowd, stop) = (Arc::clone(app.app()), Arc::new(AtomicBool::new(false)));
    let others = tokio::spawn({
        let stop = Arc::clone(&stop);
        async move {
            while !stop.load(Ordering::Relaxed) {
                let _ = crowd.passwords.verify(&OTHER.into(), None).await;
            }
        }
    });
    let mut in_a_row = 0;
    for _ in 0..5_000 {
        match try_from(app.app(), "203.0.113.7", EMAIL, PASSWORD, None).await {
            Ok(()) => in_a_row = 0,
            Err(Error::Busy { .. }) => in_a_row += 1,
            Err(error) => panic!("{error:?} after {in_a_row} refusals for want of room"),
        }
        if in_a_row == 8 {
            break;
        }
    }
    stop.store(true, Ordering::Relaxed);
    others.await.unwrap();
    assert_eq!(in_a_row, 8, "the pool was hardly ever full");
    try_from(app.app(), "203.0.113.7", EMAIL, PASSWORD, None).await.expect("guesses that nobody looked at are none");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_pool_slows_nobody_down_on_sqlite() {
    a_full_pool_slows_nobody_down(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_pool_slows_nobody_down_on_postgres() {
    a_full_pool_slows_nobody_down(Backend::Postgres).await;
}

//! How fast a node hears what another has changed, on real time: at once with Redis, by its own look within a second without.

use std::time::{Duration, Instant};

use realmgate::{service::change_feed::Feed, worker};
use serde_json::json;
use tokio::sync::watch;

use crate::support::{
    Backend, Node, PASSWORD, TestApp,
    books::{own_prefix, redis_url},
    keys::{Key, plain_key},
};

/// What a node runs to hear of others and to be heard.
async fn follow(node: &Node, stop: &watch::Receiver<bool>) {
    worker::spawn_feed(&node.app, Feed::open(&node.app).await.unwrap(), stop.clone());
    worker::spawn_presence(&node.app, stop.clone());
}

/// How long until `path` is refused to `credential` at `node`, and every answer before was good.
async fn until_refused(node: &Node, path: &str, credential: &str) -> Duration {
    let started = Instant::now();
    loop {
        match node.anonymous().bearer(credential).get(path).await.status.as_u16() {
            401 => return started.elapsed(),
            200 | 204 => tokio::time::sleep(Duration::from_millis(2)).await,
            other => panic!("{other}"),
        }
        assert!(started.elapsed() < Duration::from_secs(5), "never heard");
    }
}

/// Sessions and keys ended at one node and asked for at the other: all times, sorted.
async fn latencies(app: &TestApp, other: &Node) -> Vec<Duration> {
    let ada = app.owner("ada@example.com").await;
    let mut times = Vec::new();
    for round in 0..12 {
        // So that rounds meet the other node's own look at every moment of it.
        tokio::time::sleep(Duration::from_millis(41 * round)).await;
        app.advance(chrono::TimeDelta::milliseconds(1));
        let session = app.anonymous().log_in("ada@example.com", PASSWORD).await.user("localhost", "ada@example.com");
        other.anonymous().bearer(&session.access).get("/api/v1/me").await.assert(200);
        app.anonymous().bearer(&session.access).post("/api/v1/auth/logout", &json!({})).await.assert(204);
        times.push(until_refused(other, "/api/v1/me", &session.access).await);
        let owner = app.again(&ada).await;
        let client = app.anonymous().bearer(&owner.access);
        let key = Key::of(client.make_key(&ada.account, &plain_key()).await);
        other.anonymous().bearer(&key.text).get("/gateway/nginx").await.assert(204);
        client.delete(&format!("{}/{}", crate::support::keys::keys_of(&ada.account), key.id)).await.assert(204);
        app.anonymous().bearer(&key.text).get("/gateway/nginx").await.assert(401);
        times.push(until_refused(other, "/gateway/nginx", &key.text).await);
    }
    times.sort();
    times
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_is_heard_within_a_second_and_with_redis_at_once() {
    let (end, stop) = watch::channel(false);
    for (backend, redis) in [(Backend::Sqlite, None), (Backend::Postgres, None), (Backend::Postgres, redis_url())] {
        let with_redis = redis.is_some();
        let set = |settings: &mut realmgate::config::Settings| {
            settings.redis_url = redis.map(Into::into);
            settings.redis_prefix = own_prefix();
        };
        let Some(app) = TestApp::with(backend, set).await else { continue };
        let other = app.join(2).await;
        follow(&app.node, &stop).await;
        follow(&other, &stop).await;
        // The line to Redis is opened in the background.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let times = latencies(&app, &other).await;
        let (median, most) = (times[times.len() / 2], times[times.len() - 1]);
        println!("measured: {backend:?} redis={with_redis}: {} ends, median {median:?}, at most {most:?}", times.len());
        assert!(most < Duration::from_secs(1), "{most:?}");
        assert!(!with_redis || median < Duration::from_millis(100), "the bell was not heard: {times:?}");
    }
    end.send(true).unwrap();
}

//! A clock that jumps an hour ahead and back: nothing dies before its time, nothing dead comes back, no limit sticks.

use std::sync::Arc;

use chrono::TimeDelta;
use serde_json::json;

use crate::{
    support::{Database, PASSWORD, TestApp},
    world::{Outcome, World},
};

const ADA: &str = "ada@example.com";
const ME: &str = "/api/v1/me";

pub async fn a_clock_that_jumps_revives_nothing(world: Arc<World>) -> Outcome {
    let mut lines = Vec::new();
    for place in world.places().await {
        let backend = place.backend;
        let app = TestApp::at(Database { url: place.url, backend, folder: place.folder }, |_| {}).await;
        let checks = one_database(&app).await;
        lines.push(format!("{backend:?}: clock + 1 h, - 1 h and - 2 h: {checks} checks, 0 ended early, 0 revived, 0 limits stuck"));
    }
    Outcome::Passed(lines)
}

async fn one_database(app: &TestApp) -> u32 {
    let hour = TimeDelta::hours(1);
    let stays = app.user(ADA).await;
    app.advance(TimeDelta::seconds(1));
    let gone = app.anonymous().log_in(ADA, PASSWORD).await.user("localhost", ADA);
    app.anonymous().bearer(&gone.access).post("/api/v1/auth/logout", &json!({})).await.assert(204);
    let token = app.reset_token(ADA).await;
    let me = async |access: &str| app.anonymous().bearer(access).get(ME).await;
    let mut checks = 0;

    // Ahead: the short token is over, the session is not, and the reset link has had its half hour.
    app.advance(hour);
    me(&stays.access).await.assert_problem(401, "access_token_expired");
    let next = app.anonymous().refresh(&stays.refresh).await.assert(200);
    let ahead = next.at("/accessToken");
    me(&ahead).await.assert(200);
    app.anonymous().reset(&token, "another harbour otter").await.assert_problem(400, "invalid_token");
    app.run_jobs().await;
    // A wrong guess in what will be the future does not count against the right password.
    app.anonymous().log_in(ADA, "wrong harbour otter").await.assert(401);
    checks += 4;

    // Back, and further back than where it began.
    for back in [hour, hour] {
        app.advance(-back);
        // Made in what is now the future, by this service: still good.
        me(&ahead).await.assert(200);
        me(&gone.access).await.assert(401);
        app.anonymous().refresh(&gone.refresh).await.assert(401);
        // Another node, which remembers nothing, says the same.
        let other = app.join(7).await;
        other.anonymous().bearer(&gone.access).get(ME).await.assert(401);
        let in_again = app.anonymous().log_in(ADA, PASSWORD).await.user("localhost", ADA);
        me(&in_again.access).await.assert(200);
        // Work that is owed now is done now.
        app.anonymous().sign_up(&format!("new{checks}@example.com"), PASSWORD).await.assert(202);
        app.run_jobs().await;
        assert_eq!(app.mails(&format!("new{checks}@example.com")).await.len(), 1);
        checks += 6;
    }

    // The limit of three mails an hour was used up at times that are in the future now. It ends.
    for _ in 0..3 {
        app.anonymous().forgot(ADA).await.assert(202);
        app.run_jobs().await;
    }
    let before = app.mails(ADA).await.len();
    app.advance(hour * 4);
    app.anonymous().forgot(ADA).await.assert(202);
    app.run_jobs().await;
    assert_eq!(app.mails(ADA).await.len(), before + 1, "the limit sticks");
    checks + 1
}

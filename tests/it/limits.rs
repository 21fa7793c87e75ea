//! Limits through the public surface, as a fresh installation has them: SQLite with books in the process, and Postgres with
//! books in Redis for two nodes.

use chrono::TimeDelta;
use realmgate::{
    domain::{account::PlanChange, id::NodeId},
    limiter::{Books, Limiter, Shared},
    service::{accounts, nodes, plans},
};
use serde_json::json;

use crate::support::{
    Backend, Client, Node, PASSWORD, TestApp, User,
    at_once::at_once,
    books::{own_prefix, redis_url},
    tab::Tab,
};

/// Both sets of parts that people run; the second one only where its servers are.
async fn installations() -> Vec<TestApp> {
    let mut all = vec![TestApp::limited(Backend::Sqlite, |_| {}).await.unwrap()];
    if let Some(url) = redis_url() {
        all.extend(
            TestApp::limited(Backend::Postgres, |settings| {
                settings.redis_url = Some(url.into());
                settings.redis_prefix = own_prefix();
            })
            .await,
        );
    }
    all
}

fn me<'a>(node: &'a Node, user: &User) -> Client<'a> {
    node.anonymous().bearer(&user.access)
}

/// Calls until refused; how many were let in.
async fn drain(client: &Client<'_>, path: &str, most: u32) -> u32 {
    for admitted in 0..most {
        if client.get(path).await.status == 429 {
            return admitted;
        }
    }
    most
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_has_its_plans_limit_whoever_of_it_calls() {
    for app in installations().await {
        let ada = app.user("ada@example.com").await;
        let reply = me(&app.node, &ada).get("/api/v1/me").await.assert(200);
        assert_eq!(reply.header("ratelimit-policy"), r#""account";q=100;w=60"#);
        let state = reply.header("ratelimit");
        assert!(state.starts_with(r#""account";r=99;t="#), "{state}");
        assert_eq!((reply.header("x-ratelimit-limit"), reply.header("x-ratelimit-remaining")), ("100".into(), "99".into()));
        let reset: i64 = reply.header("x-ratelimit-reset").parse().unwrap();
        assert!((1..=62).contains(&(reset - app.app().clock.now().timestamp())), "{reset}");
        // Another session of the same person is the same account.
        let other = app.anonymous().log_in("ada@example.com", PASSWORD).await.user("localhost", "ada@example.com");
        assert_eq!(drain(&me(&app.node, &other), "/api/v1/me", 200).await, 99);
        let refused = me(&app.node, &ada).get("/api/v1/auth/token").await.assert_problem(429, "rate_limited");
        assert_eq!(refused.at("/limit"), "account");
        let wait: i64 = refused.header("retry-after").parse().unwrap();
        assert!((1..=61).contains(&wait), "{wait}");
        assert_eq!(refused.header("x-ratelimit-remaining"), "0");
        // Somebody else has their own.
        let bob = app.user("bob@example.com").await;
        me(&app.node, &bob).get("/api/v1/me").await.assert(200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_signed_in_at_the_pages_counts_against_their_account() {
    for app in installations().await {
        let ada = app.user("ada@example.com").await;
        let mut tab = Tab::new(app.anonymous());
        tab.sign_in("ada@example.com", PASSWORD).await.assert(303);
        let page = tab.get("/ui/account").await.assert(200);
        assert_eq!((page.header("ratelimit-policy").as_str(), page.header("x-ratelimit-remaining").as_str()), (r#""account";q=100;w=60"#, "99"));
        // Forms too, and pages that need no session; each counts once.
        let page = tab.post("/ui/account/profile", &[("name", "Ada"), ("company", ""), ("country", ""), ("phone", "")]).await.assert(303);
        assert_eq!(page.header("x-ratelimit-remaining"), "98");
        for (left, path) in ["/ui/forgot-password", "/ui/sign-up", "/ui/invitation?token=x", "/ui/verify-email?token=x"].iter().enumerate() {
            let page = tab.get(path).await;
            assert_eq!(page.header("x-ratelimit-remaining"), (97 - left).to_string(), "{path}");
        }
        let mut admitted = 0;
        while tab.get("/ui/account").await.status != 429 {
            admitted += 1;
        }
        assert_eq!(admitted, 94);
        let refused = me(&app.node, &ada).get("/api/v1/me").await.assert_problem(429, "rate_limited");
        assert_eq!(refused.at("/limit"), "account", "one account, whatever the credential");
        // The address has what it had, and a cookie that is nobody's is a stranger's.
        let page = app.anonymous().get("/ui/sign-in").await.assert(200);
        assert!(page.header("ratelimit-policy").starts_with("\"address\";"), "{}", page.header("ratelimit-policy"));
        let before: u32 = page.header("x-ratelimit-remaining").parse().unwrap();
        for cookie in ["realmgate_session=x", "realmgate_session=x.localhost", &format!("realmgate_session={}.localhost", "A".repeat(64))] {
            app.anonymous().header("cookie", cookie).get("/ui/account").await.assert(303);
        }
        let page = app.anonymous().get("/ui/sign-in").await.assert(200);
        assert_eq!(page.header("x-ratelimit-remaining"), (before - 4).to_string());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_plan_counts_within_the_feeds_second_on_every_node() {
    for app in installations().await {
        let ada = app.user("ada@example.com").await;
        let other = app.join(2).await;
        let operator = app.operator().await;
        assert_eq!(drain(&me(&app.node, &ada), "/api/v1/me", 60).await, 60);
        me(&other, &ada).get("/api/v1/me").await.assert(200);
        let change = |requests| PlanChange { requests_per_minute: Some(requests), ..PlanChange::default() };
        plans::change(app.app(), &operator, "free", change(50)).await.unwrap();
        let refused = me(&app.node, &ada).get("/api/v1/me").await.assert_problem(429, "rate_limited");
        assert_eq!(refused.header("x-ratelimit-limit"), "50");
        other.follow_changes().await;
        if matches!(other.app.limiter, Limiter::Shared(_)) {
            me(&other, &ada).get("/api/v1/me").await.assert_problem(429, "rate_limited");
        }
        // And an account that moves to another plan.
        let account = realmgate::service::limits::account_of(app.app(), &app.operator().await).await;
        assert!(account.is_err(), "an operator acts for no account");
        let accounts = accounts::list(app.app(), &operator, None).await.unwrap();
        let mine = accounts.iter().find(|account| account.plan_id == "free").unwrap();
        accounts::set_plan(app.app(), &operator, mine.id, "starter").await.unwrap();
        let reply = me(&app.node, &ada).get("/api/v1/me").await.assert(200);
        assert_eq!(reply.header("x-ratelimit-limit"), "500");
        other.follow_changes().await;
        assert_eq!(me(&other, &ada).get("/api/v1/me").await.assert(200).header("x-ratelimit-limit"), "500");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_are_limited_by_their_address() {
    for app in installations().await {
        let forged = app.anonymous().bearer("eyJhbGciOiJub25lIn0.e30.");
        let reply = forged.get("/api/v1/me").await.assert(401);
        assert_eq!(reply.header("ratelimit-policy"), r#""address";q=600;w=60"#);
        assert_eq!(drain(&forged, "/api/v1/me", 1_000).await, 599);
        let refused = app.anonymous().get("/ui/forgot-password").await.assert(429);
        assert!(!refused.header("retry-after").is_empty() && refused.header("content-type").starts_with("text/html"));
        app.anonymous().log_in("ada@example.com", PASSWORD).await.assert_problem(429, "rate_limited");
        app.anonymous().realm("no-such.example.com").log_in("ada@example.com", PASSWORD).await.assert_problem(429, "rate_limited");
        // A header makes nobody somebody else, and what operators ask is not counted.
        app.anonymous().header("x-forwarded-for", "198.51.100.7").get("/ui/forgot-password").await.assert(429);
        let ready = app.anonymous().get("/healthz/ready").await.assert(200);
        assert!(ready.headers.get("ratelimit").is_none());
        app.advance(TimeDelta::seconds(61));
        if app.app().limiter.books() == Books::Memory {
            app.anonymous().get("/ui/forgot-password").await.assert(200);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_strangers_try_has_stricter_rules_of_its_own() {
    for app in installations().await {
        let client = app.anonymous();
        let tries = [
            ("sign_in", 60, "/api/v1/auth/login", json!({ "email": "nobody@example.com", "password": "x" })),
            ("sign_up", 60, "/api/v1/auth/signup", json!({ "name": "", "email": "x", "password": "x" })),
            ("mail", 60, "/api/v1/auth/password/forgot", json!({ "email": "x" })),
            ("mailed_token", 60, "/api/v1/auth/password/reset", json!({ "token": "x", "newPassword": "x" })),
        ];
        for (rule, limit, path, body) in tries {
            for left in (0..limit).rev() {
                let mut body = body.clone();
                if rule == "sign_in" {
                    // Guesses at one address are slowed down much earlier.
                    body["email"] = format!("nobody-{left}@example.com").into();
                }
                let reply = client.post(path, &body).await;
                assert!(reply.status.is_client_error() && reply.status != 429, "{rule} {left}: {}", reply.text());
                let state = reply.header("ratelimit");
                assert!(state.starts_with("\"address\";r=") && state.contains(&format!("\"{rule}\";r={left};t=")), "{state}");
                assert_eq!(reply.header("x-ratelimit-remaining"), left.to_string(), "the tightest rule is told");
            }
            let refused = client.post(path, &body).await.assert_problem(429, "rate_limited");
            assert_eq!(refused.at("/limit"), rule);
        }
        // One rule for both ways to ask for a mail, and for all mailed tokens.
        client.post("/api/v1/auth/verify-email/resend", &json!({ "email": "x" })).await.assert(429);
        client.post("/api/v1/auth/verify-email", &json!({ "token": "x" })).await.assert(429);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_admit_a_plan_exactly() {
    let Some(url) = redis_url() else { return };
    let with_redis = |settings: &mut realmgate::config::Settings| {
        settings.redis_url = Some(url.clone().into());
        settings.redis_prefix = own_prefix();
    };
    let Some(app) = TestApp::limited(Backend::Postgres, with_redis).await else { return };
    let other = app.join(2).await;
    let operator = app.operator().await;
    let nodes = [std::sync::Arc::clone(&app.node.app), std::sync::Arc::clone(&other.app)];
    let endpoints = nodes.each_ref().map(|node| std::sync::Arc::new(realmgate::http::endpoint(node, realmgate::http::AccessLog::off())));
    for plan in ["free", "starter"] {
        let person = format!("{plan}@example.com");
        let user = app.user(&person).await;
        let all = accounts::list(app.app(), &operator, None).await.unwrap();
        accounts::set_plan(app.app(), &operator, all.last().unwrap().id, plan).await.unwrap();
        other.follow_changes().await;
        let limit: u32 = if plan == "free" { 100 } else { 500 };
        // Each knows the token before the burst, which is about limits and not about a database's connections.
        for node in [&app.node, &other] {
            me(node, &user).get("/api/v1/auth/token").await.assert(200);
        }
        let token = std::sync::Arc::new(user.access.clone());
        let counts = at_once(20, |number| {
            let (endpoint, token) = (std::sync::Arc::clone(&endpoints[number % 2]), std::sync::Arc::clone(&token));
            async move {
                let mut admitted = 0;
                for _ in 0..(limit + 200) / 20 {
                    let request = poem::Request::builder()
                        .uri_str("/api/v1/auth/token")
                        .header("host", "localhost")
                        .header("authorization", format!("Bearer {token}"))
                        .finish();
                    let status = poem::Endpoint::get_response(&endpoint, request).await.status().as_u16();
                    assert!([200, 429].contains(&status), "{status}");
                    admitted += u32::from(status == 200);
                }
                admitted
            }
        })
        .await;
        assert_eq!(nodes.iter().map(|node| node.limiter.judged_alone()).sum::<u64>(), 0, "Redis was there all the time");
        assert_eq!(counts.iter().sum::<u32>() + 2, limit, "{plan}");
    }
}

#[tokio::test]
async fn without_redis_each_node_admits_its_share_and_recovers() {
    // Nothing listens there.
    let shared = Shared::new("redis://127.0.0.1:1", "test", None).unwrap();
    let limiter = Limiter::Shared(shared);
    limiter.set_nodes(4);
    let ask = realmgate::domain::limit::Ask {
        key: realmgate::domain::limit::Key::address(realmgate::domain::limit::Rule::Address, [192, 0, 2, 1].into()),
        limit: 100,
    };
    let mut admitted = 0;
    for _ in 0..200 {
        let standing = limiter.take(&[ask], 1, crate::support::start()).await[0];
        assert_eq!(standing.limit, 100);
        admitted += u32::from(standing.admitted);
    }
    assert_eq!((admitted, limiter.books()), (25, Books::Share));
    assert_eq!(limiter.judged_alone(), 200);
}

/// How much a node admits of 100 while Redis does not answer.
async fn share_of(node: &Node, subject: u8) -> u32 {
    use realmgate::domain::limit::{Ask, Key, Rule};
    let ask = Ask { key: Key::address(Rule::Address, [192, 0, 2, subject].into()), limit: 100 };
    let mut admitted = 0;
    for _ in 0..150 {
        admitted += u32::from(node.app.limiter.take(&[ask], 1, crate::support::start()).await[0].admitted);
    }
    admitted
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_share_is_the_limit_by_the_nodes_that_live() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        // Nothing listens there.
        let Some(app) = TestApp::limited(backend, |settings| settings.redis_url = Some("redis://127.0.0.1:1".into())).await else { continue };
        let (second, third) = (app.join(2).await, app.join(3).await);
        let ids = [1, 2, 3].map(|seed| NodeId::new(app.app().clock.now(), &realmgate::crypto::entropy::SeededEntropy::new(seed)));
        let stamp = async |node: &Node, id: usize| nodes::stamp(&node.app, ids[id]).await.unwrap();
        stamp(&app.node, 0).await;
        assert_eq!(share_of(&app.node, 1).await, 100, "alone");
        stamp(&second, 1).await;
        stamp(&third, 2).await;
        stamp(&app.node, 0).await;
        stamp(&second, 1).await;
        assert_eq!((share_of(&app.node, 2).await, share_of(&second, 2).await, share_of(&third, 2).await), (34, 34, 34));
        // One that stops is gone at once, one that dies after a minute.
        nodes::leave(&third.app, ids[2]).await.unwrap();
        stamp(&app.node, 0).await;
        assert_eq!(share_of(&app.node, 3).await, 50);
        app.advance(TimeDelta::seconds(61));
        stamp(&app.node, 0).await;
        assert_eq!(share_of(&app.node, 4).await, 100);
        // Where the number is set, nobody is counted.
        let told = app.join_with(4, |settings| settings.nodes = 4).await;
        stamp(&told, 1).await;
        assert_eq!(share_of(&told, 5).await, 25);
        assert_eq!(app.count("nodes").await, 2);
    }
}

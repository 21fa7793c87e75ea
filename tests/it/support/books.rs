//! The two back ends of the limiter, on a clock that the test moves: this process, and the Redis that `TEST_REDIS_URL` names.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use realmgate::{
    domain::clock::ManualClock,
    limiter::{Limiter, Memory, Shared},
};

/// Declares one test for each back end: `on_both_books!(name, |books| { … })`.
#[macro_export]
macro_rules! on_both_books {
    ($(#[$meta:meta])* $name:ident, |$books:ident| $body:block) => {
        $(#[$meta])*
        mod $name {
            #[allow(unused_imports, clippy::allow_attributes, reason = "bodies differ in what they need")]
            use super::*;

            async fn body($books: $crate::support::books::Books) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn memory() {
                body($crate::support::books::Books::memory()).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn redis() {
                // Without TEST_REDIS_URL there is no server to ask; tests/run says so in its summary.
                if let Some(books) = $crate::support::books::Books::redis() {
                    body(books).await;
                }
            }
        }
    };
}

/// A limiter with its clock.
pub struct Books {
    pub limiter: Arc<Limiter>,
    pub clock: Arc<ManualClock>,
}

impl Books {
    pub fn memory() -> Self {
        Self { limiter: Arc::new(Limiter::Memory(Memory::default())), clock: Arc::new(ManualClock::new(super::start())) }
    }

    pub fn redis() -> Option<Self> {
        let clock = Arc::new(ManualClock::new(super::start()));
        let shared = Shared::new(&redis_url()?, &own_prefix(), Some(Arc::<ManualClock>::clone(&clock))).expect("an address");
        Some(Self { limiter: Arc::new(Limiter::Shared(shared)), clock })
    }
}

/// The server that tests share.
#[expect(clippy::disallowed_methods, reason = "the runner hands the server's address over in the environment")]
pub fn redis_url() -> Option<String> {
    std::env::var("TEST_REDIS_URL").ok().filter(|url| !url.is_empty())
}

/// A name that no other test's books have.
pub fn own_prefix() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

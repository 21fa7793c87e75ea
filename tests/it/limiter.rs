//! The limiter's books, the same tests on both back ends: never more than the limit in any span of a window, nearly the
//! limit when asked for, and nothing that sticks, leaks or opens.

use std::{
    collections::VecDeque,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use chrono::{TimeDelta, Utc};
use proptest::prelude::*;
use realmgate::{
    domain::{
        clock::{Clock, ManualClock},
        id::AccountId,
        limit::{Ask, Key, Rule, Standing},
    },
    limiter::{Limiter, Memory, Shared, memory::MOST_BUCKETS},
};
use uuid::Uuid;

use crate::{
    on_both_books,
    support::{
        at_once::at_once,
        books::{Books, own_prefix, redis_url},
    },
};

fn account(number: u128, limit: u32) -> Ask {
    Ask { key: Key::account(AccountId(Uuid::from_u128(number))), limit }
}

async fn take(books: &Books, ask: Ask, cost: u32) -> Standing {
    books.limiter.take(&[ask], cost, books.clock.now()).await[0]
}

/// Takes one by one until refused; how many there were.
async fn drain(books: &Books, ask: Ask) -> u32 {
    let mut admitted = 0;
    while take(books, ask, 1).await.admitted {
        admitted += 1;
    }
    admitted
}

on_both_books!(the_limit_and_not_one_more, |books| {
    let ask = account(1, 100);
    let first = take(&books, ask, 1).await;
    assert_eq!((first.admitted, first.limit, first.remaining), (true, 100, 99));
    assert_eq!(drain(&books, ask).await, 99);
    let refused = take(&books, ask, 1).await;
    assert_eq!((refused.admitted, refused.remaining), (false, 0));
    assert_eq!(drain(&books, account(2, 100)).await, 100, "another account has its own");
    // It says when to come again, and keeps that word.
    books.clock.advance(TimeDelta::milliseconds(i64::try_from(refused.free_in).unwrap() - 1));
    assert!(!take(&books, ask, 1).await.admitted);
    books.clock.advance(TimeDelta::milliseconds(1));
    assert_eq!(drain(&books, ask).await, 100);
});

on_both_books!(in_parallel_exactly_the_limit, |books| {
    for limit in [100, 500, 2_000, 10_000] {
        let each = (limit + 200) / 50;
        let admitted = at_once(50, |_| {
            let (limiter, now) = (Arc::clone(&books.limiter), books.clock.now());
            async move {
                let mut admitted = 0;
                for _ in 0..each {
                    admitted += u32::from(limiter.take(&[account(u128::from(limit), limit)], 1, now).await[0].admitted);
                }
                admitted
            }
        })
        .await;
        assert_eq!(admitted.iter().sum::<u32>(), limit);
    }
});

on_both_books!(at_a_windows_edge_no_span_of_a_minute_holds_more, |books| {
    let ask = account(1, 100);
    let mut log: VecDeque<i64> = VecDeque::new();
    let mut total = 0;
    // Ten minutes of demand at uneven moments, always for more than there is.
    for step in 0..600_i64 {
        books.clock.advance(TimeDelta::milliseconds(1 + (step * 7_919) % 1_999));
        let now = books.clock.now().timestamp_millis();
        for _ in 0..5 {
            if take(&books, ask, 1).await.admitted {
                log.push_back(now);
                total += 1;
            }
        }
        while log.front().is_some_and(|at| now - at >= 60_000) {
            log.pop_front();
        }
        assert!(log.len() <= 100, "{} within a minute at step {step}", log.len());
    }
    let minutes = f64::from(u32::try_from(books.clock.now().timestamp() - crate::support::start().timestamp()).unwrap()) / 60.0;
    assert!(f64::from(total) >= 0.95 * 100.0 * minutes.floor(), "{total} in {minutes} minutes");
});

/// Two nodes with the books in one Redis, on one clock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_hold_a_limit_over_a_minutes_edge() {
    let Some(url) = redis_url() else { return };
    let (clock, prefix) = (Arc::new(ManualClock::new(crate::support::start())), own_prefix());
    let node = || {
        let clock: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
        Arc::new(Limiter::Shared(Shared::new(&url, &prefix, Some(clock)).unwrap()))
    };
    let nodes = [node(), node()];
    let demand = async |ask: Ask| -> u32 {
        let each = (ask.limit + 200).div_ceil(20);
        let admitted = at_once(20, |number| {
            let (node, now) = (Arc::clone(&nodes[number % 2]), clock.now());
            async move {
                let mut admitted = 0;
                for _ in 0..each {
                    admitted += u32::from(node.take(&[ask], 1, now).await[0].admitted);
                }
                admitted
            }
        });
        admitted.await.iter().sum()
    };
    for limit in [100, 500, 2_000, 10_000] {
        // Half a second before a full minute of the clock on the wall.
        let to_edge = 60_000 - clock.now().timestamp_millis().rem_euclid(60_000);
        clock.advance(TimeDelta::milliseconds(to_edge + 59_500));
        let ask = account(u128::from(limit), limit);
        assert_eq!(demand(ask).await, limit);
        for past in [600, 1_000, 27_000, 31_300] {
            clock.advance(TimeDelta::milliseconds(past));
            assert_eq!(demand(ask).await, 0, "{limit}: {} s after the burst", past / 1_000);
        }
        clock.advance(TimeDelta::milliseconds(1_100));
        assert_eq!(demand(ask).await, limit, "a minute and a slot later all of it");
    }
    assert_eq!(nodes.iter().map(|node| node.judged_alone()).sum::<u64>(), 0, "Redis was there all the time");
}

on_both_books!(costs_count_and_a_look_costs_nothing, |books| {
    let ask = account(1, 10);
    assert_eq!(take(&books, ask, 7).await.remaining, 3);
    assert!(!take(&books, ask, 4).await.admitted);
    for _ in 0..20 {
        let seen = books.limiter.look(&[ask], books.clock.now()).await[0];
        assert_eq!((seen.admitted, seen.remaining, seen.free_in > 0), (true, 3, true));
    }
    assert_eq!(take(&books, ask, 3).await.remaining, 0);
    let never = take(&books, account(2, 10), 11).await;
    assert_eq!((never.admitted, never.remaining, never.free_in > 0), (false, 10, true), "more than the limit is never there");
    assert_eq!(take(&books, account(2, 10), 10).await.remaining, 0);
    let unused = books.limiter.look(&[account(3, 10)], books.clock.now()).await[0];
    assert_eq!((unused.remaining, unused.free_in), (10, 0));
});

on_both_books!(of_two_keys_both_or_none, |books| {
    let (narrow, wide) = (account(1, 5), account(2, 8));
    let both = async |narrow, wide| books.limiter.take(&[narrow, wide], 1, books.clock.now()).await;
    for left in (0..5).rev() {
        assert_eq!(both(narrow, wide).await.map(|standing| standing.remaining), [left, left + 3]);
    }
    let refused = both(narrow, wide).await;
    assert_eq!(refused.map(|standing| (standing.admitted, standing.remaining)), [(false, 0), (true, 3)], "the wide one lost nothing");
    let other = account(3, 5);
    for _ in 0..3 {
        assert!(both(other, wide).await.iter().all(|standing| standing.admitted));
    }
    assert_eq!(both(other, wide).await.map(|standing| (standing.admitted, standing.remaining)), [(true, 2), (false, 0)]);
});

on_both_books!(a_limit_lowered_in_mid_burst_holds_at_once_and_a_raised_one_too, |books| {
    let at = |limit| account(1, limit);
    for _ in 0..60 {
        assert!(take(&books, at(100), 1).await.admitted);
    }
    let refused = take(&books, at(50), 1).await;
    assert_eq!((refused.admitted, refused.remaining), (false, 0));
    assert_eq!(drain(&books, at(100)).await, 40, "what was refused was not counted");
    assert_eq!(drain(&books, at(120)).await, 20);
    // All but 49 have to be free again, and that is when it says.
    let wait = take(&books, at(50), 1).await.free_in;
    books.clock.advance(TimeDelta::milliseconds(i64::try_from(wait).unwrap()));
    assert_eq!(drain(&books, at(50)).await, 50);
});

on_both_books!(a_clock_that_jumps_neither_opens_nor_sticks, |books| {
    let ask = account(1, 10);
    assert_eq!(drain(&books, ask).await, 10);
    books.clock.advance(TimeDelta::hours(-1));
    assert_eq!(drain(&books, ask).await, 0, "an hour back opens nothing");
    // A minute later it is over; two, where Redis learns of the jump after this node.
    books.clock.advance(TimeDelta::seconds(62));
    if drain(&books, ask).await == 0 {
        books.clock.advance(TimeDelta::seconds(62));
        assert_eq!(drain(&books, ask).await, 10);
    }
    books.clock.advance(TimeDelta::milliseconds(-1));
    assert_eq!(drain(&books, ask).await, 0);
    books.clock.advance(TimeDelta::hours(1));
    assert_eq!(drain(&books, ask).await, 10);
});

on_both_books!(a_window_of_an_hour_is_kept_too, |books| {
    let ask = Ask { key: Key::address(Rule::SignUp, IpAddr::from([192, 0, 2, 1])), limit: 6 };
    for _ in 0..6 {
        assert!(take(&books, ask, 1).await.admitted);
        books.clock.advance(TimeDelta::minutes(9));
    }
    let refused = take(&books, ask, 1).await;
    assert!(!refused.admitted && refused.free_in_seconds() <= 7 * 60, "{refused:?}");
    books.clock.advance(TimeDelta::milliseconds(i64::try_from(refused.free_in).unwrap()));
    assert!(take(&books, ask, 1).await.admitted);
    assert!(!take(&books, ask, 1).await.admitted);
});

#[test]
fn a_million_strangers_take_bounded_memory_and_open_no_hot_bucket() {
    let (memory, now) = (Memory::default(), crate::support::start());
    let stranger = |number: u64| Ask { key: Key::address(Rule::Address, Ipv6Addr::from_bits(u128::from(number) << 64).into()), limit: 600 };
    let hot: Vec<Ask> = (1..=200).map(|number| account(number, 100)).collect();
    let used = |ask: &Ask| memory.take(&[*ask], 0, now)[0];
    for ask in &hot {
        assert!((0..100).all(|_| memory.take(&[*ask], 1, now)[0].admitted));
    }
    for number in 1..=1_000_000 {
        assert!(memory.take(&[stranger(number)], 1, now)[0].admitted, "a newcomer finds a place");
    }
    assert!(memory.buckets() <= MOST_BUCKETS, "{}", memory.buckets());
    assert!(hot.iter().all(|ask| used(ask).remaining == 0), "a hot bucket was forgotten");
    memory.trim(now + TimeDelta::seconds(62));
    assert_eq!(memory.buckets(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Against a log of every unit: never more than the limit in a span of a minute, and what is refused was really too much
    /// for a minute and a slot.
    #[test]
    fn any_demand_stays_under_the_limit(limit in 1_u32..40, demand in prop::collection::vec((0_i64..9_000, 1_u32..6), 1..400)) {
        let memory = Memory::default();
        let ask = account(1, limit);
        let mut now = crate::support::start();
        let mut log: Vec<(chrono::DateTime<Utc>, u32)> = Vec::new();
        for (pause, cost) in demand {
            now += TimeDelta::milliseconds(pause);
            let within = |span: i64| log.iter().filter(|(at, _)| now - *at < TimeDelta::milliseconds(span)).map(|(_, cost)| cost).sum::<u32>();
            if memory.take(&[ask], cost, now)[0].admitted {
                prop_assert!(within(60_000) + cost <= limit);
                log.push((now, cost));
            } else {
                prop_assert!(within(61_001) + cost > limit);
            }
        }
    }
}

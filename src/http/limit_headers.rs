//! The headers that tell a client how it stands with its limits: `RateLimit-Policy` and `RateLimit` as structured fields
//! (draft-ietf-httpapi-ratelimit-headers-10), and the older `X-RateLimit-*`, which speak of the tightest rule alone.
//!
//! Written into a buffer on the stack: every reply has them.

use std::io::Write as _;

use chrono::{DateTime, Utc};
use poem::http::{HeaderMap, HeaderName, HeaderValue};

use crate::{domain::limit::Standing, service::limits::Meter};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STATE: HeaderName = HeaderName::from_static("ratelimit");
const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// Two items of the longest rule's name and the largest numbers fit in.
type Buffer = [u8; 160];

/// Adds the headers of what `meter` holds, if anything.
pub(super) fn put(headers: &mut HeaderMap, meter: &Meter, now: DateTime<Utc>) {
    let Some(tightest) = tightest(meter) else { return };
    let policy = |standing: &Standing, mut to: &mut [u8]| {
        write!(to, "\"{}\";q={};w={}", standing.rule.as_str(), standing.limit, standing.rule.window()).map(|()| to.len())
    };
    let state = |standing: &Standing, mut to: &mut [u8]| {
        write!(to, "\"{}\";r={};t={}", standing.rule.as_str(), standing.remaining, standing.free_in_seconds()).map(|()| to.len())
    };
    for (name, value) in [(POLICY, list(meter, policy)), (STATE, list(meter, state))] {
        if let Some(value) = value {
            headers.insert(name, value);
        }
    }
    headers.insert(LIMIT, HeaderValue::from(tightest.limit));
    headers.insert(REMAINING, HeaderValue::from(tightest.remaining));
    // The instant, in seconds since the epoch, at which units are free again.
    let reset = u64::try_from(now.timestamp_millis()).unwrap_or_default() + tightest.free_in;
    headers.insert(RESET, HeaderValue::from(reset.div_ceil(1_000)));
}

/// The rule that refused, else the one with the least left.
pub(super) fn tightest(meter: &Meter) -> Option<&Standing> {
    meter.standings().min_by_key(|standing| (standing.admitted, standing.remaining))
}

/// The items of a list, each written by `item`, which answers how much of its buffer is left.
fn list(meter: &Meter, item: impl Fn(&Standing, &mut [u8]) -> std::io::Result<usize>) -> Option<HeaderValue> {
    let mut buffer: Buffer = [0; 160];
    let mut at = 0;
    for standing in meter.standings() {
        if at > 0 {
            buffer.get_mut(at..at + 2)?.copy_from_slice(b", ");
            at += 2;
        }
        let left = item(standing, &mut buffer[at..]).ok()?;
        at = buffer.len() - left;
    }
    HeaderValue::from_bytes(&buffer[..at]).ok()
}

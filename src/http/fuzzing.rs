//! Private parsers for the fuzz targets in `tests/fuzz`, which are a crate of their own. Behind a feature that nothing else sets.

use std::net::IpAddr;

use chrono::DateTime;
use poem::{
    Request,
    http::{HeaderMap, HeaderName, HeaderValue, header},
};
pub use url::Url;
pub use uuid::Uuid;

use super::{client, context, traceparent};
use crate::domain::{
    id::{AccountId, RealmId},
    realm::{Realm, RealmSettings, RealmStatus},
};

fn headers(into: &mut HeaderMap, name: &HeaderName, values: &[&[u8]]) {
    // What HTTP does not let through can't reach us.
    values.iter().filter_map(|value| HeaderValue::from_bytes(value).ok()).for_each(|value| {
        into.append(name, value);
    });
}

/// The bearer token of a request with these `Authorization` headers.
#[must_use]
pub fn bearer(values: &[&[u8]]) -> Option<String> {
    let mut req = Request::default();
    headers(req.headers_mut(), &header::AUTHORIZATION, values);
    context::bearer_token(&req).ok().map(str::to_owned)
}

/// Trace and span of a request with these `traceparent` headers.
#[must_use]
pub fn traceparent(values: &[&[u8]]) -> Option<(u128, u64)> {
    let mut map = HeaderMap::new();
    headers(&mut map, &HeaderName::from_static("traceparent"), values);
    traceparent::parent(&map).map(|parent| (parent.trace_id, parent.span_id))
}

/// The client of a request from `peer` with these headers, where `10.0.0.0/8` are proxies of ours.
#[must_use]
pub fn client_address(peer: IpAddr, plain: &[&[u8]], forwarded: &[&[u8]]) -> IpAddr {
    let mut map = HeaderMap::new();
    headers(&mut map, &HeaderName::from_static("x-forwarded-for"), plain);
    headers(&mut map, &header::FORWARDED, forwarded);
    let ours = ipnet::Ipv4Net::new_assert([10, 0, 0, 0].into(), 8);
    client::address(peer, &map, &[ours.into()])
}

/// A realm that lets browsers return to these addresses.
#[must_use]
pub fn realm_with_redirects(allowed: &[&str]) -> Realm {
    let allowed_redirect_uris = allowed.iter().map(|uri| (*uri).to_owned()).collect();
    Realm {
        id: RealmId(Uuid::nil()),
        account_id: AccountId(Uuid::nil()),
        name: "localhost".to_owned(),
        status: RealmStatus::Active,
        settings: RealmSettings { allowed_redirect_uris, ..RealmSettings::default() },
        created_at: DateTime::UNIX_EPOCH,
    }
}

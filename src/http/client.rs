//! Where a request comes from. Headers count only from proxies that the settings name.

use std::net::IpAddr;

use ipnet::IpNet;
use poem::{
    Addr, Request,
    http::{HeaderMap, header},
};

use crate::{domain::language::Language, service::Client};

/// The client of a request.
pub(super) fn resolve(req: &Request, trusted: &[IpNet]) -> Client {
    let peer = match &req.remote_addr().0 {
        Addr::SocketAddr(address) => address.ip().to_canonical(),
        _ => IpAddr::from([127, 0, 0, 1]),
    };
    let user_agent = req.headers().get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    Client { ip: address(peer, req.headers(), trusted), user_agent: user_agent.to_owned(), device: None, language: language(req.headers()) }
}

/// What a request's `Accept-Language` asks for, if that is a language of ours.
pub(super) fn language(headers: &HeaderMap) -> Option<Language> {
    Language::accepted(headers.get(header::ACCEPT_LANGUAGE)?.to_str().ok()?)
}

/// The right-most hop that is no proxy of ours; the peer itself if it is none, or if its header can't be read.
pub(super) fn address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_ours = |ip: IpAddr| trusted.iter().any(|network| network.contains(&ip));
    if !is_ours(peer) {
        return peer;
    }
    let hops = hops(headers);
    let mut last = peer;
    for hop in hops.iter().rev() {
        let Some(ip) = hop else { return last };
        if !is_ours(*ip) {
            return *ip;
        }
        last = *ip;
    }
    last
}

/// The hops that proxies wrote down, left to right; `None` stands for one that can't be read. Where both `Forwarded`
/// (RFC 7239) and `X-Forwarded-For` came, a proxy of ours wrote one of them and the client may have made up the other:
/// unless they agree, neither counts.
fn hops(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let list = |name: &str| -> Vec<String> {
        let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect()
    };
    let plain: Vec<_> = list("x-forwarded-for").iter().map(|item| node(item)).collect();
    let hop = |item: &String| {
        let pair = item.split(';').find_map(|pair| pair.trim().split_once('=').filter(|(key, _)| key.eq_ignore_ascii_case("for")))?;
        node(pair.1.trim_matches('"'))
    };
    let forwarded: Vec<_> = list("forwarded").iter().map(hop).collect();
    match (forwarded.is_empty(), plain.is_empty()) {
        (true, _) => plain,
        (false, true) => forwarded,
        (false, false) if forwarded == plain => plain,
        (false, false) => vec![None],
    }
}

/// `192.0.2.1`, `192.0.2.1:80`, `[2001:db8::1]`, `[2001:db8::1]:80` or `2001:db8::1`.
fn node(text: &str) -> Option<IpAddr> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some(ip.to_canonical());
    }
    if let Ok(address) = text.parse::<std::net::SocketAddr>() {
        return Some(address.ip().to_canonical());
    }
    text.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seen(peer: &str, header: (&'static str, &str), trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(header.0, header.1.parse().unwrap());
        let trusted: Vec<IpNet> = trusted.iter().map(|network| network.parse().unwrap()).collect();
        address(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    const XFF: &str = "x-forwarded-for";

    #[test]
    fn headers_of_strangers_do_not_count() {
        assert_eq!(seen("203.0.113.9", (XFF, "1.2.3.4"), &[]), "203.0.113.9");
        assert_eq!(seen("203.0.113.9", ("forwarded", "for=1.2.3.4"), &["10.0.0.0/8"]), "203.0.113.9");
    }

    #[test]
    fn the_right_most_untrusted_hop_counts() {
        let ours = &["10.0.0.0/8"];
        assert_eq!(seen("10.0.0.1", (XFF, "6.6.6.6, 203.0.113.9, 10.0.0.2"), ours), "203.0.113.9");
        assert_eq!(seen("10.0.0.1", (XFF, "10.0.0.3, 10.0.0.2"), ours), "10.0.0.3");
        assert_eq!(seen("10.0.0.1", (XFF, "203.0.113.9, rubbish"), ours), "10.0.0.1", "what can't be read ends the search");
        assert_eq!(seen("10.0.0.1", ("forwarded", "for=6.6.6.6, for=\"[2001:db8::1]:4711\";proto=https"), ours), "2001:db8::1");
        assert_eq!(seen("10.0.0.1", ("forwarded", "for=_hidden"), ours), "10.0.0.1");
    }

    #[test]
    fn two_headers_that_disagree_do_not_count() {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap()];
        let seen = |forwarded: &str, plain: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("forwarded", forwarded.parse().unwrap());
            headers.insert(XFF, plain.parse().unwrap());
            address("10.0.0.1".parse().unwrap(), &headers, &trusted).to_string()
        };
        assert_eq!(seen("for=6.6.6.6", "203.0.113.9"), "10.0.0.1");
        assert_eq!(seen("for=203.0.113.9", "203.0.113.9"), "203.0.113.9");
    }

    proptest! {
        #[test]
        fn what_stands_left_of_the_client_does_not_count(made_up in "[ -~]{0,60}", client in 1..=255_u8, ours in 0..=3_usize, old: bool) {
            let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap()];
            let hops: Vec<_> = std::iter::once(format!("203.0.113.{client}")).chain((0..ours).map(|n| format!("10.0.0.{n}"))).collect();
            let (name, list) = if old {
                (XFF, hops.join(", "))
            } else {
                ("forwarded", hops.iter().map(|hop| format!("for={hop}")).collect::<Vec<_>>().join(", "))
            };
            let mut headers = HeaderMap::new();
            headers.insert(name, format!("{made_up}, {list}").parse().unwrap());
            prop_assert_eq!(address("10.0.0.9".parse().unwrap(), &headers, &trusted).to_string(), format!("203.0.113.{client}"));
            prop_assert_eq!(address("203.0.113.77".parse().unwrap(), &headers, &trusted).to_string(), "203.0.113.77");
        }

        #[test]
        fn an_address_was_written_by_the_peer_or_by_a_hop(plain in "[0-9a-f.:, \\[\\]]{0,60}", forwarded in "[a-zA-Z0-9.:,;=\" \\[\\]]{0,60}") {
            let mut headers = HeaderMap::new();
            headers.insert(XFF, plain.parse().unwrap());
            headers.insert("forwarded", forwarded.parse().unwrap());
            let peer = IpAddr::from([10, 0, 0, 1]);
            let seen = address(peer, &headers, &["10.0.0.0/8".parse().unwrap()]);
            prop_assert!(seen == peer || hops(&headers).contains(&Some(seen)));
        }
    }
}

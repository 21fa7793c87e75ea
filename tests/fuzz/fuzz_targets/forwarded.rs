//! Who a request is from, behind proxies: what a client makes up to the left of a proxy's word never counts.
#![no_main]

use std::net::{IpAddr, Ipv4Addr};

use libfuzzer_sys::fuzz_target;
use realmgate::http::fuzzing;

const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 9));

fuzz_target!(|input: (Vec<&[u8]>, Vec<&[u8]>, [u8; 4], bool)| {
    let (plain, forwarded, client, old) = input;
    // A stranger's headers are not read at all.
    let stranger = IpAddr::V4(Ipv4Addr::new(203, 0, 113, client[0]));
    assert_eq!(fuzzing::client_address(stranger, &plain, &forwarded), stranger);
    let seen = fuzzing::client_address(PROXY, &plain, &forwarded);
    if plain.is_empty() && forwarded.is_empty() {
        assert_eq!(seen, PROXY);
    }
    // What one of our proxies adds is believed, whatever stood there before in the same header.
    let client = IpAddr::V4(Ipv4Addr::new(198, 51, 100, client[1]));
    let (name_of, made_up) = if old { ("", &plain) } else { ("for=", &forwarded) };
    let word = format!("{name_of}{client}");
    let mut values = made_up.clone();
    values.push(word.as_bytes());
    let seen = if old { fuzzing::client_address(PROXY, &values, &[]) } else { fuzzing::client_address(PROXY, &[], &values) };
    assert_eq!(seen, client);
    // The same when the proxy writes it behind a comma; then the made-up part may be no text, and all of it unreadable.
    let joined = made_up.iter().flat_map(|value| value.iter().copied().chain(*b", ")).chain(word.bytes()).collect::<Vec<_>>();
    let joined = [&joined[..]];
    let seen = if old { fuzzing::client_address(PROXY, &joined, &[]) } else { fuzzing::client_address(PROXY, &[], &joined) };
    assert!(seen == client || seen == PROXY, "{seen} was made up");
});

//! What holds of every header, however odd.

use proptest::prelude::*;

use super::*;

fn request(name: header::HeaderName, values: &[&[u8]]) -> Option<Request> {
    let mut req = Request::default();
    for value in values {
        req.headers_mut().append(&name, header::HeaderValue::from_bytes(value).ok()?);
    }
    Some(req)
}

proptest! {
    #[test]
    fn a_bearer_token_is_what_follows_the_scheme(value in prop_oneof!["(?i)(bearer|basic|digest)?[ \t]{0,3}[!-~]{0,40}[ \t]{0,2}", ".{0,60}"]) {
        let Some(req) = request(header::AUTHORIZATION, &[value.as_bytes()]) else { return Ok(()) };
        if let Ok(token) = bearer_token(&req) {
            let (scheme, rest) = value.split_once(' ').unwrap();
            prop_assert!(scheme.eq_ignore_ascii_case("bearer"));
            prop_assert_eq!(token, rest.trim());
        }
    }

    #[test]
    fn of_two_credentials_none_counts(first in "[ -~]{0,30}", second in "[ -~]{0,30}") {
        let req = request(header::AUTHORIZATION, &[first.as_bytes(), second.as_bytes()]).unwrap();
        prop_assert!(bearer_token(&req).is_err());
    }

    #[test]
    fn a_host_is_its_name_in_lower_case(name in "[A-Za-z0-9.-]{1,40}", port: Option<u16>) {
        let value = port.map_or_else(|| name.clone(), |port| format!("{name}:{port}"));
        prop_assert_eq!(host(&request(header::HOST, &[value.as_bytes()]).unwrap()).unwrap(), name.to_ascii_lowercase());
    }

    #[test]
    fn no_host_is_too_odd_to_read(value: Vec<u8>) {
        if let Some(req) = request(header::HOST, &[&value]) {
            prop_assert!(host(&req).is_none_or(|host| !host.bytes().any(|b| b.is_ascii_uppercase())));
        }
    }
}

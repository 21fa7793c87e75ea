//! Where a browser may be led to, and what a host or a realm is called: never anybody else's site.
#![no_main]

use libfuzzer_sys::fuzz_target;
use realmgate::{
    domain::{realm::host_name, return_to::ReturnTo},
    http::fuzzing,
};

fuzz_target!(|input: (&str, Vec<&str>)| {
    let (text, allowed) = input;
    if let Ok(name) = host_name("name", text) {
        assert!((1..=253).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b)));
        assert!(name.split('.').all(|label| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')));
        assert_eq!(host_name("name", &name).expect("a name is a name"), name);
    }
    let realm = fuzzing::realm_with_redirects(&allowed);
    let Some(place) = ReturnTo::parse(&realm, text) else { return };
    assert_eq!(place.href(), text, "nothing is rewritten");
    assert!(text.bytes().all(|b| b.is_ascii_graphic()), "{text:?} could split a header");
    // What a browser makes of it on our own site.
    let base = fuzzing::Url::parse("https://id.example/ui/sign-in").expect("an address");
    let followed = base.join(place.href()).expect("an address that a browser can follow");
    match place.source() {
        None => {
            assert_eq!(followed.origin(), base.origin(), "{text:?} leads away");
            assert!(followed.path().starts_with("/ui/"), "{text:?} leads out of the pages, to {followed}");
        }
        Some(_) => {
            assert!(allowed.contains(&text), "{text:?} was never allowed");
            assert!(!matches!(followed.scheme(), "javascript" | "data" | "vbscript" | "file" | "blob" | "about"), "{text:?} runs");
        }
    }
});

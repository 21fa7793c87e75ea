//! The headers that say who calls, in which trace, and in which language: any bytes that HTTP lets through.
#![no_main]

use libfuzzer_sys::fuzz_target;
use realmgate::{domain::language::Language, http::fuzzing};

fuzz_target!(|values: Vec<&[u8]>| {
    if let Some(token) = fuzzing::bearer(&values) {
        let [value] = values[..] else { panic!("one header counts, and {} were taken", values.len()) };
        let text = std::str::from_utf8(value).expect("what is read is text");
        assert!(text[..7].eq_ignore_ascii_case("bearer "), "{text:?} is another scheme");
        assert!(text.ends_with(&token) || text.trim_end().ends_with(&token));
        assert_eq!(token.trim(), token);
        // However the scheme is spelt and padded, it is the same token.
        if !token.is_empty() {
            let again = format!("BEARER  {token}");
            assert_eq!(fuzzing::bearer(&[again.as_bytes()]).as_deref(), Some(token.as_str()));
        }
    }
    if let Some((trace, span)) = fuzzing::traceparent(&values) {
        assert!(trace != 0 && span != 0, "zeros are no ids");
        let again = format!("00-{trace:032x}-{span:016x}-00");
        assert_eq!(fuzzing::traceparent(&[again.as_bytes()]), Some((trace, span)));
    }
    for text in values.iter().filter_map(|value| std::str::from_utf8(value).ok()) {
        let _ = Language::accepted(text);
    }
});

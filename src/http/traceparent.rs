//! W3C Trace Context: the trace that a request says it belongs to.
//!
//! Anybody can send the header. All it decides is which hex digits stand in our log beside the request's own id, and
//! whether its span is sent to the operator's own collector.

use poem::http::HeaderMap;

/// A caller's place in its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parent {
    pub(super) trace_id: u128,
    pub(super) span_id: u64,
    /// The caller keeps its own span of this request.
    pub(super) sampled: bool,
}

/// Trace and span of a request, for its log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TraceIds {
    pub(super) trace_id: u128,
    pub(super) span_id: u64,
}

/// What the header says; `None` if it is absent, there twice or malformed, which a request is none the worse for.
pub(super) fn parent(headers: &HeaderMap) -> Option<Parent> {
    let mut values = headers.get_all("traceparent").iter();
    let value = values.next()?;
    if values.next().is_some() { None } else { parse(value.as_bytes()) }
}

/// `version-trace_id-parent_id-flags`. Later versions may go on after a dash (section 2.2.4 of the recommendation).
fn parse(text: &[u8]) -> Option<Parent> {
    let (head, rest) = text.split_at_checked(55)?;
    let [version] = hex(&head[..2])?;
    let whole = rest.is_empty() || (version > 0 && rest[0] == b'-');
    if version == 0xff || !whole || [2, 35, 52].iter().any(|at| head[*at] != b'-') {
        return None;
    }
    let (trace_id, span_id, [flags]) = (u128::from_be_bytes(hex(&head[3..35])?), u64::from_be_bytes(hex(&head[36..52])?), hex(&head[53..])?);
    (trace_id != 0 && span_id != 0).then_some(Parent { trace_id, span_id, sampled: flags & 1 == 1 })
}

/// Bytes behind lower-case hex digits.
fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    (digits.len() == 2 * N).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn the_example_of_the_recommendation_is_read() {
        let parent = parse(GOOD.as_bytes()).unwrap();
        assert_eq!((parent.trace_id, parent.span_id), (0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c, 0xb7ad_6b71_6920_3331));
        assert!(parent.sampled && !parse(GOOD.replace("-01", "-00").as_bytes()).unwrap().sampled);
        assert!(parse(format!("cc{}-what-comes-later", &GOOD[2..]).as_bytes()).is_some());
    }

    #[test]
    fn what_is_malformed_is_ignored() {
        let wrong = [
            String::new(),
            GOOD[..54].to_owned(),
            format!("{GOOD}-more"),
            format!("{GOOD}0"),
            format!("ff{}", &GOOD[2..]),
            format!("cc{}more", &GOOD[2..]),
            GOOD.to_uppercase(),
            GOOD.replace('-', "_"),
            GOOD.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            GOOD.replace("b7ad6b7169203331", &"0".repeat(16)),
            GOOD.replace("0af7", "0ag7"),
            format!("\"{GOOD}\""),
        ];
        for text in wrong {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
        let mut twice = HeaderMap::new();
        for _ in 0..2 {
            twice.append("traceparent", GOOD.parse().unwrap());
        }
        assert_eq!(parent(&twice), None);
    }
}

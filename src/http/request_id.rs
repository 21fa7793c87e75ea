//! Where ids of requests come from.

use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering},
};

use crate::{
    crypto::entropy::SystemEntropy,
    domain::{clock::Entropy as _, request_id::RequestId},
};

/// The next one, 24 hex digits: 12 drawn once a process, 12 counted. Unique without a system call a request; no secret.
pub(crate) fn next() -> RequestId {
    static START: OnceLock<(u64, AtomicU64)> = OnceLock::new();
    let (process, count) = START.get_or_init(|| {
        let mut random = [0; 8];
        SystemEntropy.fill(&mut random);
        (u64::from_be_bytes(random) >> 16, AtomicU64::new(0))
    });
    let count = count.fetch_add(1, Ordering::Relaxed);
    let mut text = [0; 24];
    for (index, digit) in text.iter_mut().enumerate() {
        let half = if index < 12 { *process } else { count };
        let nibble = (half >> (44 - 4 * (index % 12))) & 15;
        *digit = b"0123456789abcdef"[usize::try_from(nibble).unwrap_or_default()];
    }
    RequestId::new(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_24_hex_digits_and_differ() {
        let (first, second) = (next(), next());
        assert!(first.as_str().bytes().all(|b| b.is_ascii_hexdigit()) && first.as_str().len() == 24);
        assert!(first != second && first.as_str()[..12] == second.as_str()[..12]);
        assert_eq!(RequestId::default().as_str(), "");
    }
}

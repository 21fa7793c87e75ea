//! Where randomness comes from: the operating system, or a seed in tests.

use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::{digest, rand};

use crate::domain::clock::Entropy;

/// The generator of aws-lc, seeded by the operating system.
#[derive(Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        // It fails only if the operating system has no randomness at all; going on would hand out guessable secrets.
        if rand::fill(bytes).is_err() {
            std::process::abort();
        }
    }
}

/// The same bytes for the same seed and order of calls, for tests alone: SHA-256 in counter mode.
#[derive(Debug)]
pub struct SeededEntropy {
    seed: u64,
    counter: AtomicU64,
}

impl SeededEntropy {
    /// A generator for `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed, counter: AtomicU64::new(0) }
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(32) {
            let count = self.counter.fetch_add(1, Ordering::Relaxed);
            let mut block = [0; 16];
            block[..8].copy_from_slice(&self.seed.to_be_bytes());
            block[8..].copy_from_slice(&count.to_be_bytes());
            let digest = digest::digest(&digest::SHA256, &block);
            chunk.copy_from_slice(&digest.as_ref()[..chunk.len()]);
        }
    }
}

//! Hashes, seals and signatures. Knows the domain's words, no database and no HTTP; aws-lc-rs does the arithmetic.

pub mod entropy;
pub mod hash;
mod hash_threads;
pub mod keyring;
pub mod passkeys;
pub mod password_pool;
pub mod signing;
pub mod totp;

//! Everything through the public surface, on real databases. One binary, so that it links once.
#![expect(clippy::unwrap_used, reason = "a test that can't go on must stop")]

mod architecture;
mod flows;
mod login;
mod password_change;
mod password_reset;
mod profile;
mod registration;
mod support;
mod verification;

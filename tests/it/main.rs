//! Everything through the public surface, on real databases. One binary, so that it links once.
#![expect(clippy::unwrap_used, reason = "a test that can't go on must stop")]

mod architecture;
mod flows;
mod nodes;
mod races;
mod refresh;
mod sessions;
mod signing;
mod store_races;
mod support;

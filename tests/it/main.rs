//! Everything through the public surface, on real databases. One binary, so that it links once.
#![expect(clippy::unwrap_used, reason = "a test that can't go on must stop")]
#![expect(unreachable_pub, reason = "one binary, which nobody depends on")]

mod architecture;
mod bad_input;
mod flows;
mod openapi;
mod realms;
mod mail;
mod page_safety;
mod pages;
mod secrets;
mod server;
mod smtp;
mod nodes;
mod races;
mod refresh;
mod sessions;
mod signing;
mod store_races;
mod support;
mod tenancy;

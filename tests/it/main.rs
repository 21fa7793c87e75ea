//! Everything through the public surface, on real databases. One binary, so that it links once.
#![expect(clippy::unwrap_used, reason = "a test that can't go on must stop")]
#![expect(unreachable_pub, reason = "one binary, which nobody depends on")]

mod api_keys;
mod architecture;
mod backup;
mod bad_input;
mod config_cli;
mod devices;
mod flows;
mod guesses;
mod key_races;
mod keys;
mod languages;
mod limiter;
mod limiter_faults;
mod limits;
mod listener;
mod login;
mod mail;
mod metrics;
mod migrations;
mod nodes;
mod openapi;
mod page_safety;
mod pages;
mod password_change;
mod password_reset;
mod production;
mod profile;
mod races;
mod realms;
mod refresh;
mod registration;
mod secrets;
mod server;
mod sessions;
mod sign_in_pages;
mod sign_in_safety;
mod signing;
mod smtp;
mod store_races;
mod support;
mod tenancy;
mod token_guesses;
mod tracing;
mod verification;

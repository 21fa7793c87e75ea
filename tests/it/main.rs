//! Everything through the public surface, on real databases. One binary, so that it links once.
#![expect(clippy::unwrap_used, reason = "a test that can't go on must stop")]

mod architecture;
mod bad_input;
mod config_cli;
mod flows;
mod listener;
mod openapi;
mod realms;
mod support;
mod tenancy;

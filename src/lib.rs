//! Realmgate.
pub mod config;
pub mod crypto;
pub mod domain;
pub mod store;

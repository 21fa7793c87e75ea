//! Realmgate.
pub mod app;
pub mod cache;
pub mod cli;
pub mod config;
pub mod crypto;
pub mod domain;
pub mod http;
pub mod mail;
pub mod service;
pub mod store;
pub mod telemetry;
pub mod worker;

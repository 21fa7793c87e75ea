//! HTTP adapters.
pub mod ui;

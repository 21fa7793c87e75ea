//! Realmgate.
pub mod domain;

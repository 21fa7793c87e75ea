//! Server-rendered pages.
pub mod view;

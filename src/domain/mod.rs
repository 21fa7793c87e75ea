//! The words of the product and the rules that need no I/O.
//!
//! Everything here is a plain value: it may know the other files of this folder and small parsing crates, never the
//! database, the network or HTTP. Statuses, SQL and templates live in the rings around it.

pub mod account;
pub mod api_key;
pub mod clock;
pub mod credential;
pub mod device;
pub mod email;
pub mod error;
pub mod event;
pub mod factor;
pub mod guess;
pub mod held_token;
pub mod id;
pub mod invitation;
pub mod job;
pub mod language;
pub mod limit;
pub mod measure;
pub mod page;
pub mod password;
pub mod realm;
pub mod request_id;
pub mod return_to;
pub mod scope;
pub mod session;
pub mod text;
pub mod token;
pub mod usage;
pub mod user;
pub mod verdict;
pub mod words;

pub use error::{Error, FieldError, Result};

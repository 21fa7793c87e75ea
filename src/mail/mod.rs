//! Mail: what the service has to say ([`Message`]), how it reads ([`Renderer`]) and how it leaves ([`Transport`]).
//!
//! Plain values in, plain values out: who gets a mail, when, and what becomes of a failed one is decided by the
//! services and the worker. The development mailbox is a table, so a service writes it, not this folder.

pub mod message;
mod plain;
pub mod relay;
pub mod render;
pub mod speak;
pub mod transport;

pub use message::Message;
pub use render::{Rendered, Renderer};
pub use transport::{Outgoing, SendFault, Transport, check_sender};

//! One round of a load: what was answered, and what that cost the server.

use std::{net::SocketAddr, time::Duration};

use crate::{
    Outcome,
    load::{self, Repeat, Sample},
    peers::cpu_micros,
    process::Child,
};

pub(crate) struct Round {
    pub(crate) sample: Sample,
    /// The server's processor time a request.
    pub(crate) micros: f64,
}

impl Round {
    /// Loads `addr`, where `child` listens, for `span`.
    pub(crate) fn take(child: &Child, addr: SocketAddr, dialogues: &[Repeat], span: Duration) -> Outcome<Self> {
        let before = child.cpu()?;
        let (sample, _) = load::run(addr, dialogues.to_vec(), span)?;
        let micros = cpu_micros(child.cpu()?.saturating_sub(before), sample.count);
        Ok(Self { sample, micros })
    }
}

//! A client's socket as hyper wants it, telling the listener when bytes come and go. That is all the listener needs to
//! hold heads and idle connections to their deadlines.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::listener::{Connection, Connections};

pub(super) struct ClientIo {
    inner: TokioIo<TcpStream>,
    state: Arc<Connection>,
    connections: Arc<Connections>,
}

impl ClientIo {
    pub(super) fn new(socket: TcpStream, state: Arc<Connection>, connections: Arc<Connections>) -> Self {
        Self { inner: TokioIo::new(socket), state, connections }
    }
}

impl Read for ClientIo {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.inner).poll_read(cx, buffer);
        if matches!(outcome, Poll::Ready(Ok(()))) {
            self.state.received(&self.connections);
        }
        outcome
    }
}

impl Write for ClientIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.inner).poll_write(cx, bytes);
        if outcome.is_ready() {
            self.state.sent(&self.connections);
        }
        outcome
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.inner).poll_write_vectored(cx, bytes);
        if outcome.is_ready() {
            self.state.sent(&self.connections);
        }
        outcome
    }
}

//! The least of an HTTP/1.1 client: ready-made request bytes, one reply at a time over a kept connection.
//!
//! A full client would take more of the two processors than the server under test. It understands `Content-Length` only
//! and refuses whatever else it meets.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::Outcome;

/// A reply, as far as the benchmark cares.
pub(crate) struct Reply<'a> {
    pub(crate) status: u16,
    /// Seconds of `Retry-After`.
    pub(crate) retry_after: Option<u64>,
    pub(crate) body: &'a [u8],
    head: &'a [u8],
}

impl Reply<'_> {
    /// The body's JSON, if the status is the wanted one; else a fault that shows the reply.
    pub(crate) fn json(&self, wanted: u16, asked: &str) -> Outcome<serde_json::Value> {
        if self.status != wanted {
            return Err(format!("{asked} answered {} instead of {wanted}: {}", self.status, self.excerpt()).into());
        }
        serde_json::from_slice(self.body).map_err(|fault| format!("{asked} answered no JSON ({fault}): {}", self.excerpt()).into())
    }

    /// Names and values of its headers.
    pub(crate) fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let head = std::str::from_utf8(self.head).unwrap_or_default();
        head.split("\r\n").skip(1).filter_map(|line| line.split_once(':')).map(|(name, value)| (name, value.trim()))
    }

    /// The first part of the body, to explain a fault.
    pub(crate) fn excerpt(&self) -> String {
        String::from_utf8_lossy(self.body).chars().take(300).collect()
    }
}

/// One kept connection.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects to `addr`.
    pub(crate) async fn open(addr: SocketAddr) -> Outcome<Self> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(8_192) })
    }

    /// Sends `request` and waits for its whole reply.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Outcome<Reply<'_>> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let head_end = loop {
            // The blank line may straddle two reads.
            let searched = self.buffer.len().saturating_sub(3);
            self.read().await?;
            if let Some(at) = find(&self.buffer[searched..], b"\r\n\r\n") {
                break searched + at + 4;
            }
        };
        let head = Head::parse(&self.buffer[..head_end])?;
        let end = head_end + head.length;
        while self.buffer.len() < end {
            self.read().await?;
        }
        if self.buffer.len() > end {
            return Err("the server sent more than its Content-Length says".into());
        }
        Ok(Reply { status: head.status, retry_after: head.retry_after, head: &self.buffer[..head_end], body: &self.buffer[head_end..] })
    }

    async fn read(&mut self) -> Outcome<()> {
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err("the server closed the connection before its reply was complete".into()),
            _ => Ok(()),
        }
    }
}

struct Head {
    status: u16,
    length: usize,
    retry_after: Option<u64>,
}

impl Head {
    fn parse(head: &[u8]) -> Outcome<Self> {
        let head = std::str::from_utf8(head).map_err(|_| "the reply's head is no text")?;
        let status = head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok()).ok_or("the reply is no HTTP/1.1")?;
        let (mut length, mut retry_after) = (None, None);
        for (name, value) in head.split("\r\n").skip(1).filter_map(|line| line.split_once(':')) {
            if name.eq_ignore_ascii_case("content-length") {
                length = Some(value.trim().parse()?);
            } else if name.eq_ignore_ascii_case("retry-after") {
                retry_after = value.trim().parse().ok();
            }
        }
        if status == 204 {
            length = Some(0);
        }
        Ok(Self { status, length: length.ok_or("the reply has no Content-Length")?, retry_after })
    }
}

/// The bytes of a GET.
pub(crate) fn get(addr: SocketAddr, path: &str, bearer: Option<&str>) -> Vec<u8> {
    let authorization = bearer.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
    format!("GET {path} HTTP/1.1\r\nhost: {addr}\r\n{authorization}\r\n").into_bytes()
}

/// The bytes of a POST with a JSON body, appended to `request`.
pub(crate) fn write_post(request: &mut Vec<u8>, addr: SocketAddr, path: &str, body: &str) {
    let length = body.len();
    request.extend_from_slice(
        format!("POST {path} HTTP/1.1\r\nhost: {addr}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}").as_bytes(),
    );
}

/// The bytes of a POST with a JSON body.
pub(crate) fn post(addr: SocketAddr, path: &str, body: &serde_json::Value) -> Vec<u8> {
    let mut request = Vec::new();
    write_post(&mut request, addr, path, &body.to_string());
    request
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

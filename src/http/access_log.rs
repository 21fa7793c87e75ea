//! One line a request: id, method, route pattern, status, time, address. Never a URI, a query, a header or a body.
//!
//! The line is built by hand and handed to one writer thread, because at the rates of the hot path a general logger
//! costs more than the request. If the writer can't keep up, lines are dropped and counted, requests are not held up.

use std::{
    fmt::Write as _,
    io::Write as _,
    sync::{
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use chrono::{DateTime, SecondsFormat, Utc};

use crate::config::LogFormat;

const WAITING_LINES: usize = 8_192;

/// What a line says.
pub(super) struct Line<'a> {
    pub(super) at: DateTime<Utc>,
    pub(super) id: &'a str,
    pub(super) method: &'a str,
    pub(super) route: &'a str,
    pub(super) status: u16,
    pub(super) took: Duration,
    pub(super) code: Option<&'static str>,
}

/// The way to the writer.
pub struct AccessLog {
    lines: Option<SyncSender<String>>,
    writer: Option<JoinHandle<()>>,
    dropped: AtomicU64,
    format: LogFormat,
}

impl std::fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessLog").field("format", &self.format).finish_non_exhaustive()
    }
}

impl AccessLog {
    /// A log that goes to standard output.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn stdout(format: LogFormat) -> std::io::Result<Self> {
        let (lines, waiting) = sync_channel(WAITING_LINES);
        let writer = std::thread::Builder::new().name("access-log".to_owned()).spawn(move || write_all(&waiting))?;
        Ok(Self { lines: Some(lines), writer: Some(writer), dropped: AtomicU64::new(0), format })
    }

    /// No log.
    #[must_use]
    pub fn off() -> Self {
        Self { lines: None, writer: None, dropped: AtomicU64::new(0), format: LogFormat::Json }
    }

    /// Writes a line.
    pub(super) fn write(&self, line: &Line<'_>) {
        let Some(lines) = &self.lines else { return };
        let mut text = String::with_capacity(256);
        let at = line.at.to_rfc3339_opts(SecondsFormat::Millis, true);
        let micros = line.took.as_micros();
        // Method and route come from fixed sets and the id is hex: nothing here needs escaping.
        let written = match self.format {
            LogFormat::Json => write!(
                text,
                r#"{{"timestamp":"{at}","level":"INFO","message":"request","request_id":"{}","method":"{}","route":"{}","status":{},"duration_us":{micros}"#,
                line.id, line.method, line.route, line.status
            ),
            LogFormat::Text => write!(text, "{at}  INFO {} {} {} {micros}us {}", line.method, line.route, line.status, line.id),
        };
        let code = match (self.format, line.code) {
            (LogFormat::Json, Some(code)) => write!(text, r#","code":"{code}""#),
            (LogFormat::Text, Some(code)) => write!(text, " {code}"),
            (_, None) => Ok(()),
        };
        if self.format == LogFormat::Json {
            text.push('}');
        }
        text.push('\n');
        if written.and(code).is_err() || lines.try_send(text).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.lines = None;
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has nothing left to flush.
            let _ = writer.join();
        }
    }
}

fn write_all(lines: &Receiver<String>) {
    let mut out = std::io::BufWriter::with_capacity(64 * 1_024, std::io::stdout());
    loop {
        // Whoever reads the log is gone if a write fails; the service goes on without it.
        match lines.recv_timeout(Duration::from_millis(50)) {
            Ok(line) => {
                let _ = out.write_all(line.as_bytes());
            }
            Err(RecvTimeoutError::Timeout) => {
                let _ = out.flush();
                match lines.recv() {
                    Ok(line) => {
                        let _ = out.write_all(line.as_bytes());
                    }
                    Err(_) => break,
                }
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let _ = out.flush();
}

//! One line a request: id, method, route pattern, status, time, address. Never a URI, a query, a header or a body.
//!
//! The line is built by hand and appended to a buffer that one thread writes out in batches, because at the rates of the
//! hot path a general logger costs more than the request. If nobody reads fast enough, lines are dropped and counted;
//! requests are not held up.

use std::{
    cell::RefCell,
    fmt::Write as _,
    io::Write as _,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use chrono::{DateTime, Utc};

use super::{
    spans::Spans,
    traceparent::{Parent, TraceIds},
};
use crate::{config::LogFormat, crypto::entropy::SystemEntropy, domain::clock::Entropy as _};

/// Bytes that may wait to be written.
const BUFFER: usize = 1 << 20;
/// How long lines gather before they are written together.
const BATCH: Duration = Duration::from_millis(20);

/// What a line says.
pub(super) struct Line<'a> {
    pub(super) at: DateTime<Utc>,
    pub(super) id: &'a str,
    pub(super) method: &'static str,
    pub(super) route: &'a str,
    pub(super) status: u16,
    pub(super) took: Duration,
    pub(super) code: Option<&'static str>,
    /// The trace that the request says it belongs to.
    pub(super) parent: Option<Parent>,
}

/// The way to the writer.
pub struct AccessLog {
    shared: Option<Arc<Shared>>,
    writer: Option<JoinHandle<()>>,
    format: LogFormat,
    spans: Option<Spans>,
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    filled: Condvar,
}

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    dropped: u64,
    closed: bool,
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
        let shared = Arc::new(Shared::default());
        let writer = std::thread::Builder::new().name("access-log".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || shared.write_out()
        })?;
        Ok(Self { shared: Some(shared), writer: Some(writer), format, spans: None })
    }

    /// No log.
    #[must_use]
    pub fn off() -> Self {
        Self { shared: None, writer: None, format: LogFormat::Json, spans: None }
    }

    /// The same that hands requests to a collector as well.
    #[must_use]
    pub fn with_spans(mut self, spans: Option<Spans>) -> Self {
        self.spans = spans;
        self
    }

    /// Writes a line.
    pub(super) fn write(&self, line: &Line<'_>) {
        let trace = match &self.spans {
            Some(spans) => Some(spans.record(line, line.parent)),
            None => line.parent.map(own_span),
        };
        thread_local!(static TEXT: RefCell<String> = RefCell::new(String::with_capacity(512)));
        let Some(shared) = &self.shared else { return };
        TEXT.with_borrow_mut(|text| {
            text.clear();
            // Writing into a string fails never.
            let _ = line.put(self.format, trace, text);
            shared.push(text.as_bytes());
        });
    }
}

impl Line<'_> {
    /// Method and route come from fixed sets and the id is hex: nothing here needs escaping.
    fn put(&self, format: LogFormat, trace: Option<TraceIds>, text: &mut String) -> std::fmt::Result {
        // The second that lines were last written in: the greater part of an instant's text stays the same for thousands.
        thread_local!(static SECOND: RefCell<(i64, String)> = const { RefCell::new((0, String::new())) });
        SECOND.with_borrow_mut(|(second, at)| {
            if *second != self.at.timestamp() || at.is_empty() {
                *second = self.at.timestamp();
                *at = self.at.format("%Y-%m-%dT%H:%M:%S").to_string();
            }
            self.put_at(format_args!("{at}.{:03}Z", self.at.timestamp_subsec_millis()), format, trace, text)
        })
    }

    fn put_at(&self, at: std::fmt::Arguments<'_>, format: LogFormat, trace: Option<TraceIds>, text: &mut String) -> std::fmt::Result {
        let Self { id, method, route, status, .. } = self;
        let micros = self.took.as_micros();
        match format {
            LogFormat::Json => {
                write!(
                    text,
                    r#"{{"timestamp":"{at}","level":"INFO","message":"request","request_id":"{id}","method":"{method}","route":"{route}","status":{status},"duration_us":{micros}"#
                )?;
                if let Some(code) = self.code {
                    write!(text, r#","code":"{code}""#)?;
                }
                if let Some(TraceIds { trace_id, span_id }) = trace {
                    write!(text, r#","trace_id":"{trace_id:032x}","span_id":"{span_id:016x}""#)?;
                }
                text.push_str("}\n");
            }
            LogFormat::Text => {
                let code = self.code.unwrap_or_default();
                write!(text, "{at}  INFO {method} {route} {status} {micros}us {id} {code}")?;
                if let Some(TraceIds { trace_id, .. }) = trace {
                    write!(text, " trace {trace_id:032x}")?;
                }
                text.push('\n');
            }
        }
        Ok(())
    }
}

/// A span of our own in a caller's trace, where no collector keeps it.
fn own_span(parent: Parent) -> TraceIds {
    let mut span_id = [0; 8];
    SystemEntropy.fill(&mut span_id);
    TraceIds { trace_id: parent.trace_id, span_id: u64::from_be_bytes(span_id) }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: &[u8]) {
        let mut waiting = self.lock();
        if waiting.bytes.len() + line.len() > BUFFER {
            waiting.dropped += 1;
            return;
        }
        let was_empty = waiting.bytes.is_empty();
        waiting.bytes.extend_from_slice(line);
        drop(waiting);
        // The writer sleeps only while nothing waits: a busy server wakes it once a batch.
        if was_empty {
            self.filled.notify_one();
        }
    }

    fn write_out(&self) {
        let mut batch = Vec::new();
        loop {
            let empty = |waiting: &mut Waiting| waiting.bytes.is_empty() && !waiting.closed;
            let mut waiting = self.filled.wait_while(self.lock(), empty).unwrap_or_else(PoisonError::into_inner);
            if !waiting.closed {
                (waiting, _) = self.filled.wait_timeout_while(waiting, BATCH, |waiting| !waiting.closed).unwrap_or_else(PoisonError::into_inner);
            }
            std::mem::swap(&mut waiting.bytes, &mut batch);
            let (dropped, closed) = (std::mem::take(&mut waiting.dropped), waiting.closed);
            drop(waiting);
            let mut out = std::io::stdout().lock();
            // There is nobody to tell if the log itself can't be written.
            let _ = out.write_all(&batch).and_then(|()| out.flush());
            drop(out);
            batch.clear();
            if dropped > 0 {
                tracing::warn!(dropped, "access log lines were dropped: nobody read them fast enough");
            }
            if closed {
                return;
            }
        }
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        if let Some(shared) = &self.shared {
            shared.lock().closed = true;
            shared.filled.notify_one();
        }
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has nothing left to write.
            let _ = writer.join();
        }
    }
}

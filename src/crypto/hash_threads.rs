//! The threads that hash passwords, and the line in front of them.
//!
//! Threads of their own and not the runtime's blocking ones: whoever is done takes the next of the line at once, instead
//! of waking a task that wakes a thread, and under load each of those wakes would interrupt another hash.

use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use crossbeam_channel::{Receiver, Sender, unbounded};
use tokio::sync::oneshot;

use crate::domain::{Error, Result};

type Work = Box<dyn FnOnce() + Send>;

/// As many threads as were asked for, begun with the first piece of work.
#[derive(Debug)]
pub(super) struct HashThreads {
    size: usize,
    /// How many pieces of work may wait.
    queue: usize,
    load: Arc<Load>,
    line: OnceLock<Sender<Queued>>,
}

/// What is asked of the threads at this moment.
#[derive(Debug, Default)]
struct Load {
    /// Waiting or running.
    asked: AtomicUsize,
    running: AtomicUsize,
}

/// A piece of work in the line.
struct Queued {
    work: Work,
    place: Arc<Place>,
}

/// A place among what is asked. It is given back once: by the thread when it is done, or before it began, by whoever
/// went away while waiting.
#[derive(Debug)]
struct Place {
    load: Arc<Load>,
    settled: AtomicBool,
}

impl Place {
    /// Whether this call settled it: the work is taken up, or nobody wants it any more.
    fn settle(&self) -> bool {
        !self.settled.swap(true, Ordering::AcqRel)
    }
}

/// The asking side of a place; dropped, it takes back what has not begun.
struct Wanted(Arc<Place>);

impl Drop for Wanted {
    fn drop(&mut self) {
        if self.0.settle() {
            self.0.load.asked.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl HashThreads {
    pub(super) fn new(size: usize, queue: usize) -> Self {
        Self { size, queue, load: Arc::default(), line: OnceLock::new() }
    }

    /// Runs `work` on one of the threads.
    ///
    /// # Errors
    /// [`Error::Busy`] if too many wait.
    pub(super) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let most = self.size + self.queue;
        let asked = self.load.asked.fetch_update(Ordering::AcqRel, Ordering::Acquire, |asked| (asked < most).then_some(asked + 1));
        asked.map_err(|_| Error::Busy { retry_after: 1 })?;
        let place = Arc::new(Place { load: Arc::clone(&self.load), settled: AtomicBool::new(false) });
        let wanted = Wanted(Arc::clone(&place));
        let (answer, done) = oneshot::channel();
        let load = Arc::clone(&self.load);
        let work: Work = Box::new(move || {
            let result = {
                let _running = Running::begin(&load);
                work()
            };
            // Whoever asked may have gone away; there is nobody to tell then.
            let _ = answer.send(result);
        });
        self.line().send(Queued { work, place }).map_err(|_| Error::internal("the threads that hash are gone"))?;
        let result = done.await.map_err(|_| Error::internal("a hash did not come to its end"));
        drop(wanted);
        result
    }

    fn line(&self) -> &Sender<Queued> {
        self.line.get_or_init(|| {
            let (sender, line) = unbounded();
            for number in 1..=self.size {
                let line = line.clone();
                let begun = thread::Builder::new().name(format!("hash-{number}")).spawn(move || work_off(&line));
                if let Err(error) = begun {
                    tracing::error!(%error, "a thread that hashes passwords can't be begun");
                }
            }
            sender
        })
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    pub(super) fn running(&self) -> usize {
        self.load.running.load(Ordering::Relaxed)
    }

    pub(super) fn waiting(&self) -> usize {
        self.load.asked.load(Ordering::Relaxed).saturating_sub(self.running())
    }
}

/// Work that runs; over when dropped, however it ended.
struct Running<'a>(&'a Load);

impl<'a> Running<'a> {
    fn begin(load: &'a Load) -> Self {
        load.running.fetch_add(1, Ordering::AcqRel);
        Self(load)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::AcqRel);
        self.0.asked.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What a thread does until the line is closed.
fn work_off(line: &Receiver<Queued>) {
    for Queued { work, place } in line {
        if place.settle() {
            // A panic is that hash's alone: the thread goes on, and who waits for it is told.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        }
    }
}

/// Memory that hashes used and will use again.
#[derive(Debug, Default)]
pub(super) struct Kept<T>(Mutex<Vec<T>>);

impl<T> Kept<T> {
    pub(super) fn take(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    pub(super) fn put(&self, kept: T) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(kept);
    }

    pub(super) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

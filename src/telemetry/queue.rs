//! A bounded queue and the one thread that empties it. Offering never waits.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;
use std::{fmt, io, thread};

use super::capture::{Record, become_writer, take_own};
use super::events;
use crate::sys::signals;

/// The queue; shared by those who fill it.
pub(super) struct Queue<T> {
    sender: SyncSender<T>,
    /// Dropped since the start.
    dropped: AtomicU64,
    /// Taken into the queue since the start.
    taken: AtomicU64,
    /// Written since the start.
    written: Mutex<u64>,
    progress: Condvar,
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("dropped", &self.dropped)
            .finish_non_exhaustive()
    }
}

impl<T> Queue<T> {
    pub(super) fn new(capacity: usize) -> (Arc<Self>, Receiver<T>) {
        let (sender, receiver) = sync_channel(capacity);
        let queue = Arc::new(Self {
            sender,
            dropped: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            written: Mutex::new(0),
            progress: Condvar::new(),
        });
        (queue, receiver)
    }

    /// Puts something into the queue, or counts it as dropped if that is full.
    pub(super) fn offer(&self, item: T) {
        // Counted before it is there: the writer may be faster than this thread.
        self.taken.fetch_add(1, Ordering::SeqCst);
        if self.sender.try_send(item).is_err() {
            self.taken.fetch_sub(1, Ordering::SeqCst);
            self.dropped.fetch_add(1, Ordering::SeqCst);
        }
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::SeqCst)
    }

    /// Waits until everything offered before has been written, at most `limit`; answers whether it has.
    pub(super) fn flush(&self, limit: Duration) -> bool {
        let goal = self.taken.load(Ordering::SeqCst);
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        match self
            .progress
            .wait_timeout_while(written, limit, |written| *written < goal)
        {
            Ok((_, late)) => !late.timed_out(),
            Err(_) => false,
        }
    }

    fn wrote_one(&self) {
        *self.written.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.progress.notify_all();
    }

    /// Writes until nobody can fill the queue any more. `lost` hears, after a write, how many were dropped since
    /// it last heard.
    pub(super) fn drain(
        &self,
        receiver: &Receiver<T>,
        mut write: impl FnMut(&T),
        mut lost: impl FnMut(u64) -> Vec<T>,
    ) {
        let mut reported = 0;
        while let Ok(item) = receiver.recv() {
            write(&item);
            let dropped = self.dropped();
            if dropped > reported {
                for item in lost(dropped - reported) {
                    write(&item);
                }
                reported = dropped;
            }
            self.wrote_one();
        }
    }
}

impl Queue<Record> {
    /// A queue with its thread. `sink` is made on that thread.
    pub(super) fn start(
        capacity: usize,
        sink: impl FnOnce() -> Box<dyn FnMut(&Record)> + Send + 'static,
    ) -> io::Result<Arc<Self>> {
        let (queue, receiver) = Self::new(capacity);
        let own = Arc::clone(&queue);
        // The new thread inherits the mask, so no signal ever lands on it.
        let _blocked = signals::block_all()?;
        thread::Builder::new().name("log".to_owned()).spawn(move || {
            become_writer();
            let write = sink();
            own.drain(&receiver, write, |count| {
                events::log_dropped(count);
                take_own()
            });
        })?;
        Ok(queue)
    }
}

//! The store: SQLite behind one small interface, with group commit (DESIGN §2, §4; W14 to W18, W31).
//!
//! It owns the database file, its schema and the one thread that writes. Batches of changes go in with
//! [`Store::submit`] and are answered in order when they are durable; views come out through [`Reader`]. It
//! decides nothing: what a run may do next is the scheduler's business, and a batch that contradicts what is
//! stored is refused as a whole. It reads no clock and touches no file but the database's own.

mod account;
mod apply;
mod codes;
mod error;
mod history;
mod installed;
mod notices;
mod open;
mod reader;
mod recovery;
mod retire;
mod schema;
mod views;
mod writer;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::model::change::Change;
use crate::model::{AttemptId, Time};

pub use error::{Error, OpenError};
pub use history::{Cursor, Filter, HISTORY_MAX, Page};
pub use installed::PlanRecord;
pub use reader::Reader;
pub use recovery::{Counts, HeldAttempt, LiveAttempt, QueuedRun, Recovery, RetryState};
pub use retire::{Directory, Limits, OldRun, Series, SeriesPlace};
pub use views::AttemptSummary;

/// Gives the absolute path of an attempt's log directory from the time of its intent and its id. The store keeps
/// neither that directory's path nor that of a file inside it, so the tree can be moved.
pub type LogDir = Arc<dyn Fn(Time, &AttemptId) -> String + Send + Sync>;

/// Is told each batch's number and how it went, in the order of [`Store::submit`], on the writer's thread. Must be
/// quick: the next commit waits for it.
pub type Done = Box<dyn FnMut(u64, Result<(), Error>) + Send>;

/// What the store has to know.
#[derive(Clone)]
pub struct Options {
    /// Where attempts have their logs.
    pub log_dir: LogDir,
    /// How long to wait for a lock that another process holds, such as an administrator's `sqlite3`.
    pub wait: Duration,
}

impl Options {
    /// The usual wait of five seconds.
    #[must_use]
    pub fn new(log_dir: LogDir) -> Self {
        Self {
            log_dir,
            wait: Duration::from_secs(5),
        }
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("wait", &self.wait)
            .finish_non_exhaustive()
    }
}

/// The open store. Dropping it commits and answers what was submitted.
#[derive(Debug)]
pub struct Store {
    reader: Reader,
    writer: writer::Writer,
}

impl Store {
    /// Opens the database at `path`; makes it (mode 0600) if there is none, and brings an older schema up to date.
    ///
    /// # Errors
    /// [`OpenError`] tells what is wrong and what helps. The file is then as it was before.
    pub fn open(path: &Path, options: Options, done: Done) -> Result<Self, OpenError> {
        let connection = open::writer(path, options.wait, schema::MIGRATIONS)?;
        open::check_schema(&connection, path)?;
        let writer = writer::Writer::start(connection, path, Arc::clone(&options.log_dir), done)?;
        let reader = Reader::new(path, options);
        Ok(Self { reader, writer })
    }

    /// Hands over a batch that is committed as a whole or not at all. Never blocks; the answer comes to [`Done`].
    ///
    /// # Errors
    /// [`Error::Other`] if the writer's thread is gone; then no answer comes.
    pub fn submit(&self, number: u64, changes: Vec<Change>) -> Result<(), Error> {
        self.writer.submit(number, changes)
    }

    /// A handle to ask questions with, from any thread.
    #[must_use]
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // The connection that closes last empties the write-ahead log, and only the writer's can.
        self.reader.close_idle();
        self.writer.finish();
    }
}

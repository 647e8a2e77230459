//! Logging to the journal or standard error, the names of its fields, the events that operators watch for, and the
//! words for the service manager.
//!
//! Owns the process's one logger. Logging never waits: a record goes into a bounded queue and one thread writes it,
//! so a journal that has stopped reading costs records, which are counted and reported, and never time. The
//! program logs with events only; spans add nothing to the output.

mod capture;
pub mod escape;
pub mod events;
mod journal;
pub mod metrics;
pub mod native;
pub mod notify;
mod queue;
mod render;
#[cfg(test)]
mod tests;

use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::Duration;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{EnvFilter, Registry, reload};

use capture::{Capture, Record};
use queue::Queue;

/// Records that may wait to be written.
const QUEUE: usize = 1024;
/// How long the end of the process waits for the records that are still in the queue.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How long the start waits to hear whether the journal takes records.
const HELLO: Duration = Duration::from_secs(1);

/// Where the log goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The journal if standard error is connected to it (`JOURNAL_STREAM`, systemd.exec(5)), else standard error.
    Auto,
    /// The systemd journal.
    Journal,
    /// Standard error, as text.
    Stderr,
    /// Standard error, one JSON object a line.
    Json,
}

/// Why there is no logging, or not at that level.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter cannot be read.
    #[error("log level {level:?} is no filter: {why}; write error, warn, info, debug, trace or off")]
    Level {
        /// What was given.
        level: String,
        /// What is wrong with it.
        why: String,
    },
    /// The process has a logger already.
    #[error("logging was started twice")]
    Twice,
    /// The writing thread could not be started.
    #[error("cannot start the thread that writes the log: {0}")]
    Thread(#[source] std::io::Error),
}

/// The process's logger. Dropping it gives the queue a last chance to be written, two seconds at most.
#[derive(Debug)]
pub struct Telemetry {
    filter: reload::Handle<EnvFilter, Registry>,
    queue: Arc<Queue<Record>>,
    target: Target,
}

fn filter(level: &str) -> Result<EnvFilter, TelemetryError> {
    EnvFilter::builder()
        .parse(level)
        .map_err(|error| TelemetryError::Level {
            level: level.to_owned(),
            why: error.to_string(),
        })
}

/// Whether standard error is the journal's stream (systemd.exec(5), `$JOURNAL_STREAM`).
fn stderr_is_journal() -> bool {
    let about = || {
        let stderr = std::io::stderr().as_fd().try_clone_to_owned().ok()?;
        std::fs::File::from(stderr).metadata().ok()
    };
    std::env::var("JOURNAL_STREAM")
        .ok()
        .zip(about())
        .is_some_and(|(stream, about)| stream == format!("{}:{}", about.dev(), about.ino()))
}

/// Starts logging for the whole process. `identifier` is the name that journalctl(1) shows.
///
/// Call it once, after any fork: it starts a thread, with every signal blocked. If the journal does not answer,
/// the log goes to standard error, and says so.
///
/// # Errors
/// [`TelemetryError`].
pub fn init(level: &str, target: Target, identifier: &str) -> Result<Telemetry, TelemetryError> {
    let filter = filter(level)?;
    let connected = stderr_is_journal();
    let asked = match target {
        Target::Auto if connected => Target::Journal,
        Target::Auto => Target::Stderr,
        other => other,
    };
    let identifier = identifier.to_owned();
    let (hello, answer) = std::sync::mpsc::sync_channel(1);
    let queue = Queue::start(QUEUE, move || {
        // The journal is called from this thread only: even the first word to it can wait for ever.
        let (got, why, write) = sink(asked, connected, &identifier);
        // Nobody listens any more if it took too long.
        drop(hello.try_send((got, why)));
        write
    })
    .map_err(TelemetryError::Thread)?;
    let (filter, handle) = reload::Layer::new(filter);
    let subscriber = Registry::default()
        .with(filter)
        .with(Capture::new(Arc::clone(&queue)));
    tracing::subscriber::set_global_default(subscriber).map_err(|_| TelemetryError::Twice)?;
    let (got, why) = answer.recv_timeout(HELLO).unwrap_or((asked, None));
    if let Some(why) = why {
        tracing::warn!("the journal does not take the log ({why}), so it goes to standard error");
    }
    Ok(Telemetry {
        filter: handle,
        queue,
        target: got,
    })
}

/// What writes a record; it may block.
type Sink = Box<dyn FnMut(&Record)>;

fn sink(asked: Target, connected: bool, identifier: &str) -> (Target, Option<String>, Sink) {
    let mut why = None;
    if asked == Target::Journal {
        match journal::sink(identifier) {
            Ok(sink) => return (asked, None, sink),
            Err(error) => why = Some(error.to_string()),
        }
    }
    let json = asked == Target::Json;
    let write = move |record: &Record| {
        let line = if json {
            render::json(record)
        } else {
            render::text(record, connected)
        };
        // There is nowhere to complain about a standard error that is closed.
        drop(std::io::stderr().write_all(line.as_bytes()));
    };
    let got = if json { Target::Json } else { Target::Stderr };
    (got, why, Box::new(write))
}

impl Telemetry {
    /// Changes the filter of the running process.
    ///
    /// # Errors
    /// [`TelemetryError::Level`]; the old filter then stays.
    pub fn set_level(&self, level: &str) -> Result<(), TelemetryError> {
        self.filter
            .reload(filter(level)?)
            .map_err(|error| TelemetryError::Level {
                level: level.to_owned(),
                why: error.to_string(),
            })
    }

    /// Where the log really goes; never [`Target::Auto`].
    #[must_use]
    pub fn target(&self) -> Target {
        self.target
    }

    /// Records dropped since the start because the queue was full.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.queue.dropped()
    }

    /// Waits until what is in the queue has been written, but not longer than `limit`. Answers whether it has.
    pub fn flush(&self, limit: Duration) -> bool {
        self.queue.flush(limit)
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        self.flush(LAST_WORDS);
    }
}

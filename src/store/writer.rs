//! The one thread that writes. It takes all batches that wait, commits them as one transaction (one wait for the
//! disk) and answers each. A batch is a savepoint of its own, so a bad one harms no other.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;

use rusqlite::Connection;

use crate::model::change::Change;

use super::error::Fault;
use super::{Done, Error, LogDir, OpenError, apply, open};

/// Most batches of one transaction.
const GROUP_BATCHES: usize = 512;
/// Changes after which a transaction takes no further batch. It bounds how long the first one waits.
const GROUP_CHANGES: usize = 4096;
/// Bytes that the test for free space writes: more than the end of a block that happens to be free.
const PROBE: usize = 16 * 1024;

type Batch = (u64, Vec<Change>);

#[derive(Debug)]
pub(super) struct Writer {
    batches: Option<Sender<Batch>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(
        connection: Connection,
        path: &Path,
        log_dir: LogDir,
        done: Done,
    ) -> Result<Self, OpenError> {
        let (batches, receiver) = mpsc::channel();
        let mut state = State {
            connection,
            path: path.to_owned(),
            log_dir,
            done,
        };
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || state.run(&receiver))
            .map_err(|error| OpenError::io(path, error))?;
        Ok(Self {
            batches: Some(batches),
            thread: Some(thread),
        })
    }

    pub(super) fn submit(&self, number: u64, changes: Vec<Change>) -> Result<(), Error> {
        let gone = || Error::Other("the store's writer has ended".to_owned());
        let batches = self.batches.as_ref().ok_or_else(gone)?;
        batches.send((number, changes)).map_err(|_| gone())
    }

    /// Waits until everything is committed and the connection is closed.
    pub(super) fn finish(&mut self) {
        self.batches = None;
        if let Some(thread) = self.thread.take() {
            // A panic of that thread was reported when it happened; there is nothing left to do about it.
            drop(thread.join());
        }
    }
}

struct State {
    connection: Connection,
    path: PathBuf,
    log_dir: LogDir,
    done: Done,
}

impl State {
    fn run(&mut self, receiver: &Receiver<Batch>) {
        while let Ok(first) = receiver.recv() {
            let mut changes = first.1.len();
            let mut group = vec![first];
            while group.len() < GROUP_BATCHES && changes < GROUP_CHANGES {
                let Ok(next) = receiver.try_recv() else { break };
                changes += next.1.len();
                group.push(next);
            }
            self.commit(group);
        }
    }

    fn commit(&mut self, group: Vec<Batch>) {
        let mut results = Vec::with_capacity(group.len());
        if let Err(error) = self.transaction(&group, &mut results) {
            // What was applied in this transaction is gone with it.
            results.clear();
            results.resize(group.len(), Err(error));
        }
        if !self.connection.is_autocommit() {
            // The next transaction's BEGIN tells if this fails.
            drop(self.connection.execute_batch("ROLLBACK"));
        }
        for ((number, _), result) in group.into_iter().zip(results) {
            (self.done)(number, result);
        }
    }

    fn transaction(&self, group: &[Batch], results: &mut Vec<Result<(), Error>>) -> Result<(), Error> {
        self.sql("BEGIN IMMEDIATE")?;
        for (_, changes) in group {
            self.sql("SAVEPOINT batch")?;
            let result = changes
                .iter()
                .try_for_each(|change| apply::apply(&self.connection, change, &self.log_dir));
            if let Err(error) = result {
                let error = self.explain(error);
                // A full disk may have made SQLite roll back the whole transaction.
                if self.connection.is_autocommit() {
                    return Err(error);
                }
                self.sql("ROLLBACK TO batch")?;
                results.push(Err(error));
            } else {
                results.push(Ok(()));
            }
            self.sql("RELEASE batch")?;
        }
        self.sql("COMMIT")
    }

    fn sql(&self, sql: &str) -> Result<(), Error> {
        let done = self
            .connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute([]));
        match done {
            Ok(_) => Ok(()),
            Err(error) => Err(self.explain(Fault::Sqlite(error))),
        }
    }

    /// SQLite tells an I/O error without its cause. Whether space is short is found out by trying.
    fn explain(&self, fault: Fault) -> Error {
        let unclear = fault.is_unclear();
        match Error::from(fault) {
            Error::Other(text) if unclear && self.is_full() => Error::DiskFull(text),
            error => error,
        }
    }

    fn is_full(&self) -> bool {
        let path = open::beside(&self.path, ".probe");
        let written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(&[1; PROBE]).and_then(|()| file.sync_all()));
        // If it cannot be removed, the next probe says "exists" and so "not full": a vague error, no harm.
        drop(std::fs::remove_file(&path));
        written.is_err_and(|error| {
            matches!(
                error.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
            )
        })
    }
}

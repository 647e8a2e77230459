//! The attempt's truth: the journal, and the view that follows from it.
//!
//! When the journal cannot be written (disk full), facts are held in memory, in order, and written as soon as
//! there is room; the shim does not leave before (P21).

use std::collections::VecDeque;
use std::fs::File;

use crate::journal::{JournalError, Writer};
use crate::model::view::RunView;
use crate::model::{Fact, Record, Time};

/// Journal and view of the attempt.
#[derive(Debug)]
pub(super) struct Journalled {
    writer: Writer,
    view: RunView,
    held: VecDeque<(Time, Fact)>,
}

impl Journalled {
    /// Takes up the journal whose header the daemon has written.
    pub(super) fn open(file: File, view: RunView) -> Result<Self, JournalError> {
        Ok(Self {
            writer: Writer::resume(file)?,
            view,
            held: VecDeque::new(),
        })
    }

    /// How the attempt stands.
    pub(super) fn view(&self) -> &RunView {
        &self.view
    }

    /// Sets the state that a retry takes over from the attempt before.
    pub(super) fn preload(&mut self, preload: impl FnOnce(&mut RunView)) {
        preload(&mut self.view);
    }

    /// Appends a fact that must be durable before anything else happens.
    pub(super) fn record_durably(&mut self, at: Time, fact: Fact) -> Result<(), JournalError> {
        let record = self.writer.append(at, fact)?;
        self.view.apply(&record);
        self.writer.sync()
    }

    /// Appends a fact, or holds it until it can be appended.
    pub(super) fn record(&mut self, at: Time, fact: Fact) {
        // The view tells what happened even while the disk is full.
        self.view.apply(&Record {
            seq: 0,
            at,
            fact: fact.clone(),
        });
        self.held.push_back((at, fact));
        self.write_held();
    }

    /// Writes what is held; the end durably, also when it had to wait for room. True if nothing is left.
    pub(super) fn write_held(&mut self) -> bool {
        while let Some((at, fact)) = self.held.front() {
            if self.writer.append(*at, fact.clone()).is_err() {
                return false;
            }
            let ended = matches!(fact, Fact::Ended { .. });
            self.held.pop_front();
            if ended {
                // A failed sync leaves the record in the page cache, which a crash of this process does not lose.
                drop(self.writer.sync());
            }
        }
        true
    }

    /// Whether facts wait for room on the disk.
    pub(super) fn is_behind(&self) -> bool {
        !self.held.is_empty()
    }
}

//! What steps write, on its way to the journal: line by line, with the fields that tell whose it is.
//!
//! Nobody waits for the journal. What it does not take at once waits here, in order and bounded; what is too much is left
//! out and counted, and it is in the log file anyway. The records are sent by the job's user, who could send the same
//! without us: what journald itself says of their sender is what can be trusted.

use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;

use crate::telemetry::native::{self, Journal, field};
use crate::wire::shim::ShimSpec;

/// Most bytes that wait for the journal.
const WAITING_MAX: usize = 1024 * 1024;
/// Longest line of one record, in bytes; longer ones come in pieces. journald cuts at 48 KiB by default.
const LINE_MAX: usize = 16 * 1024;
/// The identifier that journalctl shows.
const IDENTIFIER: &[u8] = b"proctor-step";

/// The way to the journal of one attempt.
#[derive(Debug)]
pub(super) struct Outlet {
    journal: Journal,
    /// Fields of every record.
    head: Vec<u8>,
    /// Records that wait, and the log files that have them, too.
    waiting: VecDeque<(Vec<u8>, Rc<str>)>,
    bytes: usize,
    /// Lines that were left out since that was last told.
    lost: u64,
    /// Log files of which the journal does not have everything.
    incomplete: BTreeSet<Rc<str>>,
}

/// The outlet, as its streams share it.
pub(super) type Shared = Rc<RefCell<Outlet>>;

impl AsFd for Outlet {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.journal.as_fd()
    }
}

impl Outlet {
    /// The way to the journal that the specification names. None if no journal is wanted; or if none is there: then all is
    /// in the log files alone.
    pub(super) fn open(spec: &ShimSpec) -> Option<Self> {
        let journal = Journal::connect(spec.journal.as_deref()?.as_ref()).ok()?;
        let mut head = Vec::new();
        for (name, value) in [
            ("SYSLOG_IDENTIFIER", IDENTIFIER),
            ("DAG", spec.run.dag.as_str().as_bytes()),
            ("RUN_ID", spec.run.id.as_str().as_bytes()),
            ("ATTEMPT_ID", spec.attempt.as_str().as_bytes()),
        ] {
            field(&mut head, name, value);
        }
        Some(Self {
            journal,
            head,
            waiting: VecDeque::new(),
            bytes: 0,
            lost: 0,
            incomplete: BTreeSet::new(),
        })
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether the journal has everything that is in a log file.
    pub(super) fn has_all_of(&self, log: &str) -> bool {
        !self.incomplete.contains(log)
    }

    /// Sends what waits, as far as the journal takes it.
    pub(super) fn flush(&mut self) {
        while let Some((record, log)) = self.waiting.pop_front() {
            match self.journal.send(&record) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return self.waiting.push_front((record, log));
                }
                // A record that is refused would be refused again.
                Err(_) => self.leave_out(&log),
            }
            self.bytes = self.bytes.saturating_sub(record.len());
        }
        self.tell_lost();
    }

    /// Gives up what still waits: the attempt leaves.
    pub(super) fn give_up(&mut self) {
        for (_, log) in std::mem::take(&mut self.waiting) {
            self.leave_out(&log);
        }
        self.bytes = 0;
    }

    /// A record goes out behind what waits.
    fn offer(&mut self, record: Vec<u8>, log: &Rc<str>) {
        self.flush();
        if self.waiting.is_empty() {
            match self.journal.send(&record) {
                Ok(()) => return,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return self.leave_out(log),
            }
        }
        if self.bytes.saturating_add(record.len()) > WAITING_MAX {
            return self.leave_out(log);
        }
        self.bytes += record.len();
        self.waiting.push_back((record, Rc::clone(log)));
    }

    fn leave_out(&mut self, log: &Rc<str>) {
        self.lost += 1;
        self.incomplete.insert(Rc::clone(log));
    }

    /// Once there is room again, the journal says what it does not have.
    fn tell_lost(&mut self) {
        let lost = self.lost;
        if lost == 0 {
            return;
        }
        let mut record = self.head.clone();
        field(&mut record, "PRIORITY", b"4");
        field(&mut record, "MESSAGE_ID", native::STEP_OUTPUT_LOST.as_bytes());
        field(&mut record, "COUNT", lost.to_string().as_bytes());
        let lines = if lost == 1 {
            "line of a step is"
        } else {
            "lines of steps are"
        };
        let text = format!("{lost} {lines} in the log files only, since the journal was not quick enough");
        field(&mut record, "MESSAGE", text.as_bytes());
        if self.journal.send(&record).is_ok() {
            self.lost = 0;
        }
    }
}

/// One stream of a step.
#[derive(Debug)]
pub(super) struct Lines {
    outlet: Shared,
    /// Fields of every record of it.
    head: Vec<u8>,
    /// Name of its log file.
    log: Rc<str>,
    /// A line that has no end yet.
    begun: Vec<u8>,
}

impl Lines {
    /// Standard output, or standard error, of a step.
    pub(super) fn new(outlet: &Shared, step: &str, log: &str, is_error: bool) -> Self {
        let mut head = outlet.borrow().head.clone();
        let (stream, priority): (&[u8], &[u8]) = if is_error {
            (b"stderr", b"5")
        } else {
            (b"stdout", b"6")
        };
        field(&mut head, "STEP", step.as_bytes());
        field(&mut head, "STREAM", stream);
        field(&mut head, "PRIORITY", priority);
        field(&mut head, "MESSAGE_ID", native::STEP_OUTPUT.as_bytes());
        Self {
            outlet: Rc::clone(outlet),
            head,
            log: log.into(),
            begun: Vec::new(),
        }
    }

    /// Takes bytes that were written to the log.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = bytes.split_at(end);
            self.take(line);
            self.finish();
            bytes = rest.get(1..).unwrap_or_default();
        }
        self.take(bytes);
    }

    /// The line is at its end, or nothing more comes. An empty one is no record.
    pub(super) fn finish(&mut self) {
        let line = std::mem::take(&mut self.begun);
        if !line.is_empty() {
            self.send(&line);
        }
    }

    /// Takes a part of a line.
    fn take(&mut self, part: &[u8]) {
        self.begun.extend_from_slice(part);
        while self.begun.len() > LINE_MAX {
            let rest = self.begun.split_off(cut(&self.begun));
            let piece = std::mem::replace(&mut self.begun, rest);
            self.send(&piece);
        }
    }

    fn send(&self, line: &[u8]) {
        let mut record = Vec::with_capacity(self.head.len() + line.len() + 16);
        record.extend_from_slice(&self.head);
        field(&mut record, "MESSAGE", line);
        self.outlet.borrow_mut().offer(record, &self.log);
    }
}

/// Where a line that is too long is cut: not inside of a character, if there are characters in it.
fn cut(line: &[u8]) -> usize {
    let is_inside = |at: &usize| line.get(*at).is_some_and(|byte| byte & 0xc0 == 0x80);
    let mut before = (LINE_MAX.saturating_sub(3)..=LINE_MAX).rev();
    before.find(|at| !is_inside(at)).unwrap_or(LINE_MAX)
}

#[cfg(test)]
mod tests;

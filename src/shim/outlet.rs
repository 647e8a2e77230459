//! What steps write, on its way to the journal: line by line, with the fields that tell whose it is.
//!
//! It is read from the log files, which have it first and masked, and sent as fast as the journal takes it. So no step waits
//! for the journal, nothing of it waits in memory, and what the journal never takes is in its file. The records are sent by
//! the job's user, who could send the same without us: what journald itself says of their sender is what can be trusted.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;

use super::files::length;
use crate::sys::files::Dir;
use crate::telemetry::native::{self, Journal, field};
use crate::wire::shim::ShimSpec;

/// Longest line of one record, in bytes; longer ones come in pieces. journald cuts at 48 KiB by default.
const LINE_MAX: usize = 16 * 1024;
/// Most records that are sent at a time, so that nobody else has to wait.
const TURN: usize = 512;
/// The identifier that journalctl shows.
const IDENTIFIER: &[u8] = b"proctor-step";

/// The way to the journal of one attempt.
#[derive(Debug)]
pub(super) struct Outlet {
    journal: Journal,
    /// Fields of every record.
    head: Vec<u8>,
    /// Logs of which something may have to be sent, by file name.
    open: BTreeMap<String, Stream>,
    /// How far other logs have been sent.
    sent: BTreeMap<String, u64>,
    /// Logs of which the journal does not have everything, and will not.
    missing: BTreeSet<String>,
    /// Those of them that it has refused. In the end that is tried once more.
    refused: BTreeSet<String>,
}

/// A log by its file name, and whose it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct LogOf<'a> {
    pub(super) name: &'a str,
    pub(super) step: &'a str,
    pub(super) is_error: bool,
}

/// A log that is being sent.
#[derive(Debug)]
struct Stream {
    log: File,
    /// Fields of every record of it.
    head: Vec<u8>,
    /// Everything before this position is sent, or is no record.
    at: u64,
    /// Up to here a line needs no end.
    until: u64,
    /// Whether nothing more is written to it for now.
    ended: bool,
}

/// Why sending stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// There is nothing more.
    Nothing,
    /// Others have their turn, or the journal does not take more now.
    Later,
    /// The journal does not take it at all.
    Refused,
}

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
        Some(Self::to(journal, head))
    }

    const fn to(journal: Journal, head: Vec<u8>) -> Self {
        Self {
            journal,
            head,
            open: BTreeMap::new(),
            sent: BTreeMap::new(),
            missing: BTreeSet::new(),
            refused: BTreeSet::new(),
        }
    }

    /// A log of a step grows from now on. One that had grown before goes on where it was.
    pub(super) fn add(&mut self, log: &LogOf<'_>, file: io::Result<File>) {
        if let Some(stream) = self.open.get_mut(log.name) {
            stream.ended = false;
            return;
        }
        let name = log.name.to_owned();
        match file {
            Ok(file) if !self.missing.contains(&name) => {
                let at = self.sent.remove(&name).unwrap_or(0);
                let stream = Stream {
                    log: file,
                    head: self.head_of(log),
                    at,
                    until: at,
                    ended: false,
                };
                self.open.insert(name, stream);
            }
            _ => drop(self.missing.insert(name)),
        }
    }

    fn head_of(&self, log: &LogOf<'_>) -> Vec<u8> {
        let mut head = self.head.clone();
        let (stream, priority): (&[u8], &[u8]) = if log.is_error {
            (b"stderr", b"5")
        } else {
            (b"stdout", b"6")
        };
        field(&mut head, "STEP", log.step.as_bytes());
        field(&mut head, "STREAM", stream);
        field(&mut head, "PRIORITY", priority);
        field(&mut head, "MESSAGE_ID", native::STEP_OUTPUT.as_bytes());
        head
    }

    /// The step has ended: its last line needs no end, and its log is closed once it is sent.
    pub(super) fn end(&mut self, name: &str) {
        if let Some(stream) = self.open.get_mut(name) {
            stream.ended = true;
            stream.until = length(&stream.log);
        }
    }

    /// The step of this log has ended long ago, and the attempt has now: what it left in the background may have written more.
    /// What the journal has refused it may take by now, as it may have been started again.
    pub(super) fn end_for_good(&mut self, log: &LogOf<'_>, dir: &Dir) {
        if self.refused.remove(log.name) {
            self.missing.remove(log.name);
        }
        if let Some(at) = self.sent.get(log.name).copied()
            && let Ok(file) = dir.open_regular(log.name)
            && length(&file) > at
        {
            self.add(log, Ok(file));
        }
        self.end(log.name);
    }

    /// Sends what the logs have and the journal takes. Whether something is left that can be sent when it takes more.
    pub(super) fn pump(&mut self) -> bool {
        let mut left = false;
        let mut piece = vec![0; LINE_MAX + 1];
        // All have the same share, so that one that is written to without end keeps no other waiting.
        let share = (TURN / self.open.len().max(1)).max(1);
        for (name, stream) in &mut self.open {
            match stream.send(&self.journal, share, &mut piece) {
                Stop::Later => left = true,
                Stop::Refused => {
                    self.missing.insert(name.clone());
                    self.refused.insert(name.clone());
                }
                Stop::Nothing => {}
            }
        }
        // What is refused now would be refused again, and what has ended and is sent needs no descriptor.
        let missing = &self.missing;
        let over: Vec<String> = self
            .open
            .iter()
            .filter(|(name, stream)| missing.contains(*name) || (stream.ended && stream.at >= stream.until))
            .map(|(name, _)| name.clone())
            .collect();
        for name in over {
            if let Some(stream) = self.open.remove(&name) {
                self.sent.insert(name, stream.at);
            }
        }
        left
    }

    /// The journal gets nothing more: tells it how many bytes it does not have, and gives that number.
    pub(super) fn give_up(&mut self, dir: &Dir) -> u64 {
        let behind = std::mem::take(&mut self.open).into_iter();
        let behind = behind.filter(|(_, stream)| stream.at < length(&stream.log));
        let mut bytes: u64 = 0;
        for (name, stream) in behind {
            bytes = bytes.saturating_add(length(&stream.log).saturating_sub(stream.at));
            self.missing.insert(name);
        }
        for name in std::mem::take(&mut self.refused) {
            let sent = self.sent.get(&name).copied().unwrap_or(0);
            let length = dir.open_regular(&name).map_or(0, |file| length(&file));
            bytes = bytes.saturating_add(length.saturating_sub(sent));
        }
        if bytes == 0 {
            return 0;
        }
        let mut record = self.head.clone();
        field(&mut record, "PRIORITY", b"4");
        field(&mut record, "MESSAGE_ID", native::STEP_OUTPUT_LOST.as_bytes());
        field(&mut record, "BYTES", bytes.to_string().as_bytes());
        let text = format!(
            "{bytes} bytes that steps wrote are in the log files only: the journal has not taken them"
        );
        field(&mut record, "MESSAGE", text.as_bytes());
        // A journal that does not even take that is one that nobody reads.
        drop(self.journal.send(&record));
        bytes
    }

    /// Whether the journal has everything that is in a log file.
    pub(super) fn has_all_of(&self, log: &str) -> bool {
        !self.missing.contains(log) && !self.open.contains_key(log)
    }
}

impl Stream {
    /// Sends line after line, so many at most. `piece` is to read into, and has room for a line and its end.
    fn send(&mut self, journal: &Journal, mut most: usize, piece: &mut [u8]) -> Stop {
        loop {
            let count = match self.log.read_at(piece, self.at) {
                Ok(0) => return Stop::Nothing,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // A log that cannot be read is no log to follow.
                Err(_) => return Stop::Refused,
            };
            let mut rest = piece.get(..count).unwrap_or_default();
            while let Some((line, taken)) = self.next_line(rest) {
                if most == 0 {
                    return Stop::Later;
                }
                match self.send_line(journal, line) {
                    Ok(()) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Stop::Later,
                    Err(_) => return Stop::Refused,
                }
                most -= 1;
                self.at = self.at.saturating_add(u64::try_from(taken).unwrap_or(0));
                rest = rest.get(taken..).unwrap_or_default();
            }
            // Without another whole line it is waited for more, unless the file goes on behind this piece.
            if rest.len() == count || count < piece.len() {
                return Stop::Nothing;
            }
        }
    }

    /// The next line without its end, and how many bytes it takes. None if it is not complete yet.
    fn next_line<'p>(&self, bytes: &'p [u8]) -> Option<(&'p [u8], usize)> {
        let window = bytes.get(..bytes.len().min(LINE_MAX + 1)).unwrap_or_default();
        if let Some(end) = window.iter().position(|byte| *byte == b'\n') {
            return Some((window.get(..end).unwrap_or_default(), end + 1));
        }
        if window.len() > LINE_MAX {
            let cut = cut(window);
            return Some((window.get(..cut).unwrap_or_default(), cut));
        }
        let length = u64::try_from(window.len()).unwrap_or(u64::MAX);
        let is_last = !window.is_empty() && self.at.saturating_add(length) <= self.until;
        is_last.then_some((window, window.len()))
    }

    /// An empty line is no record.
    fn send_line(&self, journal: &Journal, line: &[u8]) -> io::Result<()> {
        if line.is_empty() {
            return Ok(());
        }
        let mut record = Vec::with_capacity(self.head.len() + line.len() + 16);
        record.extend_from_slice(&self.head);
        field(&mut record, "MESSAGE", line);
        journal.send(&record)
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

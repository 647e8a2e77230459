//! The way of a step's output into its logs where secrets have to be hidden: through pipes that the shim reads.
//!
//! Only DAGs with secrets pay for it; the others' steps write to their logs themselves. Nothing here waits: a process
//! that was left in the background and keeps a pipe open holds up nobody (W32), and what it writes later is masked and
//! appended as well, until the run ends.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;

use super::children::Streams;
use super::files;
use super::mask::{Masker, Stream};
use crate::sys::pipe;

/// Most bytes that are read at a time, so that nobody else has to wait.
const PIECE: usize = 64 * 1024;

/// Whether more can come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    Open,
    /// Nobody holds the other end any more.
    Over,
}

/// One pipe.
#[derive(Debug)]
pub(super) struct Tap {
    pipe: File,
    state: RefCell<State>,
}

#[derive(Debug)]
struct State {
    masker: Rc<Masker>,
    stream: Stream,
    log: File,
    capture: Option<Capture>,
    /// Why the log says less than the step wrote.
    error: Option<String>,
    over: bool,
}

/// What a step wrote, as it was.
#[derive(Debug)]
struct Capture {
    bytes: Vec<u8>,
    /// Bytes in all; only the first are kept.
    size: u64,
    limit: u64,
}

impl AsFd for Tap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

impl Tap {
    /// A pipe that ends in a log, and the end to write to. With a limit its bytes are kept, too.
    fn open(masker: &Rc<Masker>, log: &File, capture: Option<u64>) -> io::Result<(Rc<Self>, File)> {
        let (reader, writer) = pipe::pipe()?;
        let state = State {
            masker: Rc::clone(masker),
            stream: Stream::default(),
            log: log.try_clone()?,
            capture: capture.map(|limit| Capture {
                bytes: Vec::new(),
                size: 0,
                limit,
            }),
            error: None,
            over: false,
        };
        let tap = Self {
            pipe: reader.into(),
            state: RefCell::new(state),
        };
        Ok((Rc::new(tap), writer.into()))
    }

    /// Takes some of what is there.
    pub(super) fn pump(&self) -> Flow {
        self.take(PIECE.try_into().unwrap_or(u64::MAX))
    }

    /// Takes what is there now. A writer that goes on writing does not make it more: the pipe's capacity is the bound.
    pub(super) fn drain(&self) -> Flow {
        self.take(pipe::capacity(&self.pipe).unwrap_or(1024 * 1024))
    }

    /// Takes what is there, and takes it that nothing more comes.
    pub(super) fn finish(&self) {
        if self.drain() == Flow::Open {
            self.state.borrow_mut().end();
        }
    }

    fn take(&self, most: u64) -> Flow {
        let state = &mut *self.state.borrow_mut();
        let mut piece = vec![0; PIECE];
        let mut left = usize::try_from(most).unwrap_or(usize::MAX);
        while left > 0 && !state.over {
            let room = piece.len().min(left);
            match (&self.pipe).read(piece.get_mut(..room).unwrap_or_default()) {
                Ok(0) => state.end(),
                Ok(n) => {
                    left -= n;
                    state.write(piece.get(..n).unwrap_or_default());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => state.end(),
            }
        }
        if state.over { Flow::Over } else { Flow::Open }
    }
}

impl State {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(capture) = &mut self.capture {
            let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            let room = capture.limit.saturating_sub(capture.size).min(length);
            let kept = usize::try_from(room).unwrap_or(usize::MAX);
            capture
                .bytes
                .extend_from_slice(bytes.get(..kept).unwrap_or_default());
            capture.size = capture.size.saturating_add(length);
        }
        let mut out = Vec::with_capacity(bytes.len());
        self.stream.feed(&self.masker, bytes, &mut out);
        self.append(&out);
    }

    fn end(&mut self) {
        if !std::mem::replace(&mut self.over, true) {
            let mut out = Vec::new();
            self.stream.finish(&mut out);
            self.append(&out);
        }
    }

    /// A log that cannot be written loses text; its step goes on, and fails at its end.
    fn append(&mut self, masked: &[u8]) {
        if let Err(error) = self.log.write_all(masked) {
            self.error.get_or_insert(format!("cannot write the log: {error}"));
        }
    }
}

/// The pipes of one try.
#[derive(Debug)]
pub(super) struct Taps {
    stdout: Rc<Tap>,
    stderr: Option<Rc<Tap>>,
    /// Given to the step's commands, until the last one has ended.
    writers: RefCell<Option<Rc<Streams>>>,
}

impl Taps {
    /// Pipes in front of the logs. With a limit standard output is captured; merged streams share a pipe if it is not.
    pub(super) fn open(
        masker: &Rc<Masker>,
        logs: &Streams,
        merged: bool,
        capture: Option<u64>,
    ) -> io::Result<Self> {
        let (stdout, out) = Tap::open(masker, &logs.stdout, capture)?;
        let (stderr, err) = if merged && capture.is_none() {
            (None, out.try_clone()?)
        } else {
            let (tap, err) = Tap::open(masker, &logs.stderr, None)?;
            (Some(tap), err)
        };
        let writers = Streams {
            stdout: out,
            stderr: err,
        };
        Ok(Self {
            stdout,
            stderr,
            writers: RefCell::new(Some(Rc::new(writers))),
        })
    }

    /// Each pipe, to be waited for.
    pub(super) fn each(&self) -> impl Iterator<Item = &Rc<Tap>> {
        std::iter::once(&self.stdout).chain(&self.stderr)
    }

    /// The ends that commands write to.
    pub(super) fn writers(&self) -> Option<Rc<Streams>> {
        self.writers.borrow().clone()
    }

    /// Takes a line as if it were written to standard output. It does not go through the pipe, which may be too small.
    pub(super) fn say(&self, line: &str) {
        let mut state = self.stdout.state.borrow_mut();
        state.write(line.as_bytes());
        state.write(b"\n");
    }

    /// Takes what a command has left in the pipes.
    pub(super) fn drain(&self) {
        for tap in self.each() {
            tap.drain();
        }
    }

    /// The try is over: takes what is in the pipes. What may be the beginning of a secret is held back as long as
    /// anybody keeps a pipe open.
    ///
    /// # Errors
    /// In words, when the log could not be written.
    pub(super) fn close(&self) -> Result<(), String> {
        self.writers.borrow_mut().take();
        self.drain();
        self.each()
            .find_map(|tap| tap.state.borrow_mut().error.take())
            .map_or(Ok(()), Err)
    }

    /// What was written to standard output, trimmed. From now on nothing is captured.
    ///
    /// # Errors
    /// In words, when it is too large.
    pub(super) fn captured(&self) -> Result<String, String> {
        let capture = self.stdout.state.borrow_mut().capture.take();
        let Some(capture) = capture else {
            return Ok(String::new());
        };
        files::check_captured(capture.size, capture.limit)?;
        Ok(files::trimmed(&capture.bytes))
    }
}

#[cfg(test)]
mod tests;

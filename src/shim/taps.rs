//! Pipes that the shim reads: what comes through them is masked, appended to a log, kept in part.
//!
//! A step's output goes through them on its way to its logs where secrets have to be hidden, or where standard output is
//! captured and shares a log with standard error; other steps write to their logs themselves. What substitutions and
//! conditions write is read through them too, so that it is bounded in memory however much it is. Nothing here waits: a
//! process that was left in the background and keeps a pipe open holds up nobody (W32), and what it writes later is masked
//! and appended as well, until the run ends.

use std::cell::RefCell;
use std::collections::VecDeque;
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

#[derive(Debug, Default)]
struct State {
    /// What hides secrets on the way to the log.
    masker: Option<(Rc<Masker>, Stream)>,
    log: Option<File>,
    kept: Option<Kept>,
    /// Why the log says less than the step wrote.
    error: Option<String>,
    over: bool,
}

/// What is kept in memory, as it was written.
#[derive(Debug)]
enum Kept {
    /// The first bytes.
    First {
        bytes: Vec<u8>,
        /// Bytes in all.
        size: u64,
        /// How many are kept.
        limit: u64,
    },
    /// The last bytes, and how many they are at most.
    Last { bytes: VecDeque<u8>, most: usize },
}

impl Kept {
    const fn first(limit: u64) -> Self {
        Self::First {
            bytes: Vec::new(),
            size: 0,
            limit,
        }
    }

    fn add(&mut self, new: &[u8]) {
        match self {
            Self::First { bytes, size, limit } => {
                let room = usize::try_from(limit.saturating_sub(*size)).unwrap_or(usize::MAX);
                bytes.extend_from_slice(new.get(..room.min(new.len())).unwrap_or_default());
                *size = size.saturating_add(u64::try_from(new.len()).unwrap_or(u64::MAX));
            }
            Self::Last { bytes, most } => {
                let new = new.get(new.len().saturating_sub(*most)..).unwrap_or_default();
                let gone = (bytes.len() + new.len()).saturating_sub(*most);
                drop(bytes.drain(..gone));
                bytes.extend(new);
            }
        }
    }
}

impl AsFd for Tap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

impl Tap {
    /// A pipe that ends in a log, and the end to write to. With a limit the first bytes are kept, too.
    fn open(masker: Option<&Rc<Masker>>, log: &File, capture: Option<u64>) -> io::Result<(Rc<Self>, File)> {
        Self::with(State {
            masker: masker.map(|masker| (Rc::clone(masker), Stream::default())),
            log: Some(log.try_clone()?),
            kept: capture.map(Kept::first),
            ..State::default()
        })
    }

    /// A pipe that ends here, and the end to write to.
    fn keeping(kept: Kept) -> io::Result<(Rc<Self>, File)> {
        Self::with(State {
            kept: Some(kept),
            ..State::default()
        })
    }

    fn with(state: State) -> io::Result<(Rc<Self>, File)> {
        let (reader, writer) = pipe::pipe()?;
        let tap = Self {
            pipe: reader.into(),
            state: RefCell::new(state),
        };
        Ok((Rc::new(tap), writer.into()))
    }

    /// Whether more was written than can be kept from the beginning.
    pub(super) fn is_too_much(&self) -> bool {
        matches!(&self.state.borrow().kept, Some(Kept::First { size, limit, .. }) if size > limit)
    }

    /// The bytes that were kept. From now on none are; whoever goes on writing is read all the same.
    pub(super) fn take_kept(&self) -> Vec<u8> {
        match self.state.borrow_mut().kept.take() {
            None => Vec::new(),
            Some(Kept::First { bytes, .. }) => bytes,
            Some(Kept::Last { bytes, .. }) => bytes.into(),
        }
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
        if let Some(kept) = &mut self.kept {
            kept.add(bytes);
        }
        if let Some((masker, stream)) = &mut self.masker {
            let mut out = Vec::with_capacity(bytes.len());
            stream.feed(masker, bytes, &mut out);
            self.append(&out);
        } else {
            self.append(bytes);
        }
    }

    fn end(&mut self) {
        if !std::mem::replace(&mut self.over, true)
            && let Some((_, stream)) = &mut self.masker
        {
            let mut out = Vec::new();
            stream.finish(&mut out);
            self.append(&out);
        }
    }

    /// A log that cannot be written loses text; its step goes on, and fails at its end.
    fn append(&mut self, masked: &[u8]) {
        if let Some(Err(error)) = self.log.as_mut().map(|log| log.write_all(masked)) {
            self.error.get_or_insert(format!("cannot write the log: {error}"));
        }
    }
}

/// The pipes of a command that is no step's own: what it writes goes to no log, and a bounded part of it is kept.
#[derive(Debug)]
pub(super) struct Pipes {
    /// Its standard output, from the beginning, if that is wanted.
    pub(super) stdout: Option<(Rc<Tap>, File)>,
    /// The end of its standard error.
    pub(super) stderr: (Rc<Tap>, File),
}

impl Pipes {
    /// `first` bounds what is kept of standard output, none if nobody reads that; `last` what is kept of standard error.
    pub(super) fn open(first: Option<u64>, last: usize) -> io::Result<Self> {
        let stdout = first.map(|limit| Tap::keeping(Kept::first(limit))).transpose()?;
        let stderr = Tap::keeping(Kept::Last {
            bytes: VecDeque::new(),
            most: last,
        })?;
        Ok(Self { stdout, stderr })
    }

    /// Each pipe, to be waited for.
    pub(super) fn each(&self) -> impl Iterator<Item = &Rc<Tap>> {
        self.stdout.iter().chain([&self.stderr]).map(|(tap, _)| tap)
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
        masker: Option<&Rc<Masker>>,
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
        let kept = self.stdout.state.borrow_mut().kept.take();
        let Some(Kept::First { bytes, size, limit }) = kept else {
            return Ok(String::new());
        };
        files::check_captured(size, limit)?;
        Ok(files::trimmed(&bytes))
    }
}

#[cfg(test)]
mod tests;

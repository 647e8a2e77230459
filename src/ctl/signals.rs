//! SIGINT and SIGTERM as descriptors that can be waited for together with the daemon's socket.

use signal_hook::consts::{SIGINT, SIGTERM};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use nix::poll::{PollFd, PollFlags, PollTimeout};

/// Which signal came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caught {
    /// Ctrl-C.
    Interrupt,
    /// A request to end, as from a supervisor or a script.
    Terminate,
}

/// Catches the two signals from its making on. They are not given back to their defaults: after it, the process
/// only has to end.
#[derive(Debug)]
pub(super) struct Signals {
    interrupt: UnixStream,
    terminate: UnixStream,
}

impl Signals {
    pub(super) fn catch() -> io::Result<Self> {
        Self::catch_these(SIGINT, SIGTERM)
    }

    fn catch_these(interrupt: i32, terminate: i32) -> io::Result<Self> {
        Ok(Self {
            interrupt: pipe_of(interrupt)?,
            terminate: pipe_of(terminate)?,
        })
    }

    /// The descriptors to wait for.
    pub(super) fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        [self.interrupt.as_fd(), self.terminate.as_fd()]
    }

    /// The signals that came since the last call.
    pub(super) fn take(&self) -> Vec<Caught> {
        let mut caught = Vec::new();
        for (stream, kind) in [
            (&self.interrupt, Caught::Interrupt),
            (&self.terminate, Caught::Terminate),
        ] {
            let mut bytes = [0; 16];
            let mut stream = stream;
            // An error is `WouldBlock`: no signal came.
            let count = stream.read(&mut bytes).unwrap_or(0);
            caught.extend(std::iter::repeat_n(kind, count));
        }
        caught
    }
}

/// A stream that becomes readable, one byte for each signal.
fn pipe_of(signal: i32) -> io::Result<UnixStream> {
    let (reader, writer) = UnixStream::pair()?;
    reader.set_nonblocking(true)?;
    signal_hook::low_level::pipe::register(signal, writer)?;
    Ok(reader)
}

/// Waits until one of the descriptors can be read or has hung up; says which. All are false when the time is
/// over, and also when a signal came. `None` waits for ever.
pub(super) fn wait(descriptors: &[BorrowedFd<'_>], timeout_ms: Option<u16>) -> io::Result<Vec<bool>> {
    wait_or_lost(descriptors, None, timeout_ms)
}

/// The same, and until the reader of `output` is gone, which is told last. Of a descriptor that is only written to,
/// poll(2) always tells errors and the end, and nothing else if nothing is asked for.
pub(super) fn wait_or_lost(
    descriptors: &[BorrowedFd<'_>],
    output: Option<BorrowedFd<'_>>,
    timeout_ms: Option<u16>,
) -> io::Result<Vec<bool>> {
    let mut polled: Vec<PollFd<'_>> = descriptors
        .iter()
        .map(|fd| PollFd::new(*fd, PollFlags::POLLIN))
        .chain(output.map(|fd| PollFd::new(fd, PollFlags::empty())))
        .collect();
    let timeout = timeout_ms.map_or(PollTimeout::NONE, PollTimeout::from);
    match nix::poll::poll(&mut polled, timeout) {
        Ok(_) => Ok(polled.iter().map(|fd| fd.any().unwrap_or(false)).collect()),
        Err(nix::errno::Errno::EINTR) => Ok(vec![false; polled.len()]),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::{Signal, raise};

    #[test]
    fn a_reader_that_goes_away_wakes_the_waiter() {
        let (reader, writer) = io::pipe().unwrap();
        let (quiet, _held) = io::pipe().unwrap();
        let ready = |timeout| wait_or_lost(&[quiet.as_fd()], Some(writer.as_fd()), timeout).unwrap();
        assert_eq!(
            ready(Some(0)),
            [false, false],
            "that it can be written to is no news"
        );
        drop(reader);
        assert_eq!(ready(None), [false, true]);
    }

    #[test]
    fn signals_wake_the_waiter_and_are_told_apart() {
        // Other tests of this process must not see SIGINT.
        let signals = Signals::catch_these(Signal::SIGUSR1 as i32, Signal::SIGUSR2 as i32).unwrap();
        assert_eq!(wait(&signals.descriptors(), Some(0)).unwrap(), [false, false]);
        assert_eq!(signals.take(), []);
        raise(Signal::SIGUSR2).unwrap();
        assert_eq!(wait(&signals.descriptors(), None).unwrap(), [false, true]);
        assert_eq!(signals.take(), [Caught::Terminate]);
        raise(Signal::SIGUSR1).unwrap();
        raise(Signal::SIGUSR1).unwrap();
        assert_eq!(signals.take(), [Caught::Interrupt, Caught::Interrupt]);
        assert_eq!(wait(&signals.descriptors(), Some(0)).unwrap(), [false, false]);
    }
}

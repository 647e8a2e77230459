//! The journal's native protocol: one datagram is one record, a list of fields
//! (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL>). The daemon's own log goes through tracing-journald; this is for what
//! steps write, which is bytes and no events.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

/// `MESSAGE_ID` of a line that a step wrote. Never changed.
pub const STEP_OUTPUT: &str = "d7a0b35c4e1f48269b6cf8015e92a47d";
/// `MESSAGE_ID` of the record that tells how much of what steps wrote the journal does not have. Never changed.
pub const STEP_OUTPUT_LOST: &str = "1c84e9f2a6d04b7bb35e07d92f16c8a3";

/// Appends a field to a record. `name` is of capitals, digits and `_`.
pub fn field(record: &mut Vec<u8>, name: &str, value: &[u8]) {
    record.extend_from_slice(name.as_bytes());
    if value.contains(&b'\n') {
        record.push(b'\n');
        let length = u64::try_from(value.len()).unwrap_or(0);
        record.extend_from_slice(&length.to_le_bytes());
    } else {
        record.push(b'=');
    }
    record.extend_from_slice(value);
    record.push(b'\n');
}

/// A connection to a journal. It never blocks.
#[derive(Debug)]
pub struct Journal {
    socket: UnixDatagram,
    path: PathBuf,
}

impl AsFd for Journal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Journal {
    /// Connects to the journal that listens there.
    ///
    /// # Errors
    /// `NotFound` or `ConnectionRefused` if there is none.
    pub fn connect(path: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(path)?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket,
            path: path.to_owned(),
        })
    }

    /// Sends a record.
    ///
    /// # Errors
    /// `WouldBlock` while the journal does not read; it can be waited for that it does. Anything else means that it does
    /// not get the record.
    pub fn send(&self, record: &[u8]) -> io::Result<()> {
        match self.socket.send(record) {
            Ok(_) => Ok(()),
            Err(error) if is_gone(&error) => {
                // Another one may listen there by now.
                self.socket.connect(&self.path)?;
                self.socket.send(record).map(drop)
            }
            Err(error) => Err(error),
        }
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset | io::ErrorKind::NotConnected
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_several_lines_has_its_length() {
        let mut record = Vec::new();
        field(&mut record, "DAG", b"nightly");
        field(&mut record, "MESSAGE", b"a\nb");
        field(&mut record, "EMPTY", b"");
        assert_eq!(record, b"DAG=nightly\nMESSAGE\n\x03\0\0\0\0\0\0\0a\nb\nEMPTY=\n");
    }

    #[test]
    fn a_journal_that_comes_back_is_found_again_and_one_that_sleeps_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        assert_eq!(
            Journal::connect(&path).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
        let listener = UnixDatagram::bind(&path).unwrap();
        let journal = Journal::connect(&path).unwrap();
        let mut sent = 0;
        let full = loop {
            match journal.send(b"A=1\n") {
                Ok(()) => sent += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
        assert!(sent > 0);
        drop(listener);
        std::fs::remove_file(&path).unwrap();
        assert!(journal.send(b"A=2\n").is_err());
        let listener = UnixDatagram::bind(&path).unwrap();
        journal.send(b"A=3\n").unwrap();
        let mut bytes = [0; 16];
        let count = listener.recv(&mut bytes).unwrap();
        assert_eq!(&bytes[..count], b"A=3\n");
    }
}

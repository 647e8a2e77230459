//! What a hook writes: the beginning is kept for the log, the rest is read and thrown away, so that nobody waits for it.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::AbortHandle;

use crate::sys::reactor;

/// Most bytes of a hook's output that are logged.
const KEPT_MAX: usize = 4096;
/// Pieces read at a time: a hook that writes without end must not keep others waiting.
const PIECES: usize = 16;

/// The reading end of a hook's output.
#[derive(Debug)]
pub(super) struct Tap {
    reader: File,
    kept: Vec<u8>,
    cut: bool,
}

impl Tap {
    /// Takes an end that never blocks.
    pub(super) fn new(reader: OwnedFd) -> Self {
        Self {
            reader: File::from(reader),
            kept: Vec::new(),
            cut: false,
        }
    }

    /// Reads what is there. True when nothing more can come.
    pub(super) fn drain(&mut self) -> bool {
        let mut piece = [0; 8192];
        for _ in 0..PIECES {
            match self.reader.read(&mut piece) {
                Ok(0) => return true,
                Ok(count) => {
                    let room = (KEPT_MAX - self.kept.len()).min(count);
                    self.kept.extend_from_slice(piece.get(..room).unwrap_or(&[]));
                    self.cut |= room < count;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return error.kind() != io::ErrorKind::WouldBlock,
            }
        }
        false
    }

    /// What was kept, as text.
    pub(super) fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.kept);
        let mut text = text.trim_end().to_owned();
        if self.cut {
            text.push_str("... [cut]");
        }
        text
    }
}

/// Reads on whenever something comes, until the end.
pub(super) fn listen(tap: &Arc<Mutex<Tap>>) -> Option<AbortHandle> {
    let copy = {
        let tap = tap.lock().unwrap_or_else(PoisonError::into_inner);
        tap.reader.as_fd().try_clone_to_owned()
    };
    let watched = copy.and_then(reactor::readable).ok()?;
    let tap = Arc::clone(tap);
    let task = tokio::spawn(async move {
        while let Ok(mut ready) = watched.readable().await {
            let over = tap.lock().unwrap_or_else(PoisonError::into_inner).drain();
            if over {
                return;
            }
            // A pipe that still holds something is ready at once again.
            ready.clear_ready();
            tokio::task::yield_now().await;
        }
    });
    Some(task.abort_handle())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn the_beginning_is_kept_and_nobody_waits_for_the_rest() {
        let (reader, writer) = crate::sys::pipe::pipe().unwrap();
        let (mut tap, mut writer) = (Tap::new(reader), File::from(writer));
        assert!(!tap.drain());
        writer.write_all(b"one\n").unwrap();
        assert!(!tap.drain());
        assert_eq!(tap.text(), "one");
        for _ in 0..4 {
            writer.write_all(&[b'x'; 4000]).unwrap();
            tap.drain();
        }
        drop(writer);
        assert!(tap.drain());
        assert_eq!(tap.text().len(), KEPT_MAX + "... [cut]".len());
        assert!(tap.text().starts_with("one\nxx"));
    }
}

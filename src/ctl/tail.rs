//! Reading step logs, also while they grow. The files are opened with the user's own rights, and only if they are
//! regular files: their directory belongs to the job's user, who could put anything there.

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use super::render::escape::escape_block;
use crate::sys::files::Dir;

/// Most bytes taken at a time.
const CHUNK: u64 = 64 * 1024;

/// A log file and how far it is read.
#[derive(Debug)]
pub(super) struct Tail {
    path: PathBuf,
    file: Option<File>,
    offset: u64,
}

impl Tail {
    pub(super) fn new(path: &str) -> Self {
        Self {
            path: PathBuf::from(path),
            file: None,
            offset: 0,
        }
    }

    /// The file's path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// How many bytes there are beyond what is read. A file that does not exist is an empty one: files that stay empty
    /// are removed when the run has ended. One that became shorter begins anew.
    pub(super) fn unread(&mut self) -> io::Result<u64> {
        let len = self.len()?;
        if len < self.offset {
            self.offset = 0;
        }
        Ok(len - self.offset)
    }

    /// The next bytes, at most `most` and at most a chunk; empty if there are none.
    pub(super) fn next(&mut self, most: u64) -> io::Result<Vec<u8>> {
        self.unread()?;
        let Some(mut file) = self.file.as_ref() else {
            return Ok(Vec::new());
        };
        file.seek(SeekFrom::Start(self.offset))?;
        let mut bytes = Vec::new();
        file.take(CHUNK.min(most)).read_to_end(&mut bytes)?;
        self.offset += u64::try_from(bytes.len()).unwrap_or(0);
        Ok(bytes)
    }

    /// Goes on at most `keep` bytes before the end; says whether anything is left out.
    pub(super) fn skip_to_last(&mut self, keep: u64) -> io::Result<bool> {
        self.offset = self.len()?.saturating_sub(keep);
        Ok(self.offset > 0)
    }

    fn len(&mut self) -> io::Result<u64> {
        self.open()?;
        Ok(match &self.file {
            Some(file) => file.metadata()?.len(),
            None => 0,
        })
    }

    fn open(&mut self) -> io::Result<()> {
        if self.file.is_none() {
            let (Some(parent), Some(name)) = (self.path.parent(), self.path.file_name()) else {
                return Err(io::Error::from(io::ErrorKind::InvalidInput));
            };
            match Dir::open(parent).and_then(|dir| dir.open_regular(name)) {
                Ok(file) => self.file = Some(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Tells when a file in a directory is written to.
#[derive(Debug)]
pub(super) struct Watcher {
    queue: Inotify,
    watched: Option<PathBuf>,
}

impl AsFd for Watcher {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.queue.as_fd()
    }
}

impl Watcher {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            queue: Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?,
            watched: None,
        })
    }

    /// Watches this directory from now on. One that does not exist yet is tried again at the next call.
    pub(super) fn watch(&mut self, directory: &Path) -> io::Result<()> {
        if self.watched.as_deref() == Some(directory) {
            return Ok(());
        }
        let events = AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO;
        match self
            .queue
            .add_watch(directory, events | AddWatchFlags::IN_ONLYDIR)
        {
            Ok(_) => {
                self.watched = Some(directory.to_owned());
                Ok(())
            }
            Err(nix::errno::Errno::ENOENT) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Takes the events that wait, and says which files they are about.
    pub(super) fn take(&self) -> io::Result<Vec<OsString>> {
        match self.queue.read_events() {
            Ok(events) => Ok(events.into_iter().filter_map(|event| event.name).collect()),
            Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EINTR) => Ok(Vec::new()),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// Makes log bytes harmless for a terminal, piece by piece: a character that a piece cuts in two is put together.
#[derive(Debug, Default)]
pub(super) struct Cleaner {
    held: Vec<u8>,
}

impl Cleaner {
    pub(super) fn clean(&mut self, bytes: &[u8]) -> String {
        self.held.extend_from_slice(bytes);
        let whole = match std::str::from_utf8(&self.held) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            // Bytes that are no UTF-8 in the middle are shown as such; only an unfinished end is held back.
            Err(_) => self.held.len() - unfinished(&self.held),
            Ok(text) => text.len(),
        };
        let rest = self.held.split_off(whole);
        let text = String::from_utf8_lossy(&self.held).replace("\r\n", "\n");
        self.held = rest;
        escape_block(&text).into_owned()
    }

    /// What is held back, when no more comes: the beginning of a character that nobody finished.
    pub(super) fn finish(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.held)).into_owned()
    }
}

/// How many bytes at the end begin a character without finishing it.
fn unfinished(bytes: &[u8]) -> usize {
    let tail = bytes.len().saturating_sub(3);
    let last = bytes.get(tail..).unwrap_or_default();
    let Some(start) = last.iter().rposition(|byte| *byte >= 0xc0) else {
        return 0;
    };
    let piece = last.get(start..).unwrap_or_default();
    match std::str::from_utf8(piece) {
        Err(error) if error.error_len().is_none() => piece.len(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_growing_file_is_read_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.out");
        let mut tail = Tail::new(path.to_str().unwrap());
        assert_eq!(tail.next(CHUNK).unwrap(), b"");
        let mut file = File::create(&path).unwrap();
        file.write_all(b"one").unwrap();
        assert_eq!(tail.next(CHUNK).unwrap(), b"one");
        assert_eq!(tail.next(CHUNK).unwrap(), b"");
        file.write_all(b"two").unwrap();
        assert_eq!(tail.next(CHUNK).unwrap(), b"two");
        file.set_len(0).unwrap();
        file.rewind().unwrap();
        file.write_all(b"3").unwrap();
        assert_eq!(
            tail.next(CHUNK).unwrap(),
            b"3",
            "a file that was emptied begins anew"
        );
    }

    #[test]
    fn links_and_pipes_are_not_opened() {
        let dir = tempfile::tempdir().unwrap();
        let secret = dir.path().join("secret");
        std::fs::write(&secret, "x").unwrap();
        let link = dir.path().join("a.out");
        std::os::unix::fs::symlink(&secret, &link).unwrap();
        assert!(Tail::new(link.to_str().unwrap()).next(CHUNK).is_err());
        let pipe = dir.path().join("b.out");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(Tail::new(pipe.to_str().unwrap()).next(CHUNK).is_err());
    }

    #[test]
    fn only_the_end_can_be_wanted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.out");
        std::fs::write(&path, "0123456789").unwrap();
        let mut tail = Tail::new(path.to_str().unwrap());
        assert!(tail.skip_to_last(4).unwrap());
        assert_eq!(tail.next(CHUNK).unwrap(), b"6789");
        assert!(!tail.skip_to_last(100).unwrap());
        assert_eq!(tail.unread().unwrap(), 10);
        assert_eq!(tail.next(7).unwrap(), b"0123456");
        assert_eq!(tail.unread().unwrap(), 3);
    }

    #[test]
    fn a_watched_directory_tells_of_writing() {
        let dir = tempfile::tempdir().unwrap();
        let mut watcher = Watcher::new().unwrap();
        watcher.watch(&dir.path().join("later")).unwrap();
        watcher.watch(dir.path()).unwrap();
        assert_eq!(watcher.take().unwrap(), Vec::<OsString>::new());
        std::fs::write(dir.path().join("a"), "x").unwrap();
        assert!(watcher.take().unwrap().contains(&OsString::from("a")));
    }

    #[test]
    fn characters_that_are_cut_in_two_are_put_together() {
        let bytes = "a é 日 👩\x1b[1m\r\nb".as_bytes();
        for cut in 0..=bytes.len() {
            let mut cleaner = Cleaner::default();
            let (head, tail) = bytes.split_at(cut);
            let shown = cleaner.clean(head) + &cleaner.clean(tail);
            assert!(shown.starts_with("a é 日 👩\\x1b[1m"), "{shown}");
        }
        let mut cleaner = Cleaner::default();
        assert_eq!(cleaner.clean(b"\xff\xe6\x97"), "\u{fffd}");
        assert_eq!(cleaner.clean(b"\xa5"), "日");
        assert_eq!(cleaner.finish(), "");
        assert_eq!(cleaner.clean(b"a\xe6\x97"), "a");
        assert_eq!(cleaner.finish(), "\u{fffd}");
        assert_eq!(cleaner.finish(), "");
    }
}

//! Being told of changes in directories.

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify as Inner, WatchDescriptor};
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::Path;

/// The watch an event belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Watch(WatchDescriptor);

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// A name came: made, or moved in.
    Appeared,
    /// A name went: removed, or moved out.
    Vanished,
    /// A file that was open for writing was closed.
    Written,
    /// A watched file was written to.
    Modified,
    /// Owner, permissions or times of a file are others, or of the directory itself.
    Attributes,
    /// The watched directory itself is gone, and so is the watch.
    WatchGone,
    /// Events were lost: look at everything again. Belongs to no watch.
    Overflow,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEvent {
    /// The watch; `None` for [`Change::Overflow`].
    pub watch: Option<Watch>,
    /// What happened.
    pub change: Change,
    /// The name in the directory; `None` if it concerns the directory itself.
    pub name: Option<OsString>,
}

/// A queue of changes; readable when there are some. One for the whole process, as their number is limited.
#[derive(Debug)]
pub struct Inotify(Inner);

impl AsFd for Inotify {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Inotify {
    /// An empty queue, non-blocking and close-on-exec.
    ///
    /// # Errors
    /// `EMFILE` at the limit of `fs.inotify.max_user_instances`.
    pub fn new() -> io::Result<Self> {
        Ok(Self(Inner::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?))
    }

    /// Watches a directory for names that come and go and for files written.
    ///
    /// # Errors
    /// `NotADirectory`; `ENOSPC` at the limit of `fs.inotify.max_user_watches`.
    pub fn add_dir_watch(&self, path: &Path) -> io::Result<Watch> {
        self.add_dir(path, AddWatchFlags::empty())
    }

    /// As [`Inotify::add_dir_watch`], and for attributes that change.
    ///
    /// # Errors
    /// As [`Inotify::add_dir_watch`].
    pub fn add_dir_watch_with_attributes(&self, path: &Path) -> io::Result<Watch> {
        self.add_dir(path, AddWatchFlags::IN_ATTRIB)
    }

    fn add_dir(&self, path: &Path, more: AddWatchFlags) -> io::Result<Watch> {
        let flags = AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_MOVED_FROM
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF
            | AddWatchFlags::IN_ONLYDIR
            | AddWatchFlags::IN_DONT_FOLLOW;
        Ok(Watch(self.0.add_watch(path, flags | more)?))
    }

    /// Watches an open file for writes, whatever its name is or becomes.
    ///
    /// # Errors
    /// `ENOSPC` at the limit of `fs.inotify.max_user_watches`; when `/proc` is not mounted.
    pub fn add_file_watch(&self, file: impl AsFd) -> io::Result<Watch> {
        let path = format!("/proc/self/fd/{}", file.as_fd().as_raw_fd());
        Ok(Watch(
            self.0.add_watch(Path::new(&path), AddWatchFlags::IN_MODIFY)?,
        ))
    }

    /// Ends a watch.
    ///
    /// # Errors
    /// `EINVAL` if it has ended already.
    pub fn remove_watch(&self, watch: Watch) -> io::Result<()> {
        Ok(self.0.rm_watch(watch.0)?)
    }

    /// The events that are waiting; empty when there are none.
    ///
    /// # Errors
    /// Not in practice.
    pub fn read(&self) -> io::Result<Vec<DirEvent>> {
        let found = match self.0.read_events() {
            Ok(found) => found,
            Err(Errno::EAGAIN | Errno::EINTR) => return Ok(Vec::new()),
            Err(errno) => return Err(errno.into()),
        };
        Ok(found.into_iter().map(translate).collect())
    }
}

fn translate(event: nix::sys::inotify::InotifyEvent) -> DirEvent {
    let has = |flags| event.mask.intersects(flags);
    let change = if has(AddWatchFlags::IN_Q_OVERFLOW) {
        return DirEvent {
            watch: None,
            change: Change::Overflow,
            name: None,
        };
    } else if has(AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO) {
        Change::Appeared
    } else if has(AddWatchFlags::IN_DELETE | AddWatchFlags::IN_MOVED_FROM) {
        Change::Vanished
    } else if has(AddWatchFlags::IN_CLOSE_WRITE) {
        Change::Written
    } else if has(AddWatchFlags::IN_MODIFY) {
        Change::Modified
    } else if has(AddWatchFlags::IN_ATTRIB) {
        Change::Attributes
    } else {
        Change::WatchGone
    };
    DirEvent {
        watch: Some(Watch(event.wd)),
        change,
        name: event.name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_of_files_that_come_are_written_and_go() {
        let dir = tempfile::tempdir().unwrap();
        let queue = Inotify::new().unwrap();
        assert_eq!(queue.read().unwrap(), []);
        let watch = queue.add_dir_watch(dir.path()).unwrap();
        std::fs::write(dir.path().join("a"), "x").unwrap();
        std::fs::rename(dir.path().join("a"), dir.path().join("b")).unwrap();
        std::fs::remove_file(dir.path().join("b")).unwrap();
        let seen: Vec<_> = queue
            .read()
            .unwrap()
            .into_iter()
            .map(|e| {
                assert_eq!(e.watch, Some(watch));
                (e.change, e.name.unwrap().into_string().unwrap())
            })
            .collect();
        let expected = [
            (Change::Appeared, "a"),
            (Change::Written, "a"),
            (Change::Vanished, "a"),
            (Change::Appeared, "b"),
            (Change::Vanished, "b"),
        ];
        assert_eq!(seen, expected.map(|(change, name)| (change, name.to_owned())));
    }
}

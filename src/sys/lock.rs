//! Locks that belong to an open file description (`F_OFD_SETLK`): they pass with a descriptor that is
//! inherited or sent over a socket, and end when its last copy is closed. So a lock held says "somebody who
//! was given this descriptor lives", and there is nothing to clean up after a crash.

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag};
use nix::sys::stat::{Mode, SFlag};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

fn whole_file(kind: i32) -> libc::flock {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "F_WRLCK, F_UNLCK and SEEK_SET are 0 to 2"
    )]
    libc::flock {
        l_type: kind as _,
        l_whence: libc::SEEK_SET as _,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

/// Takes the exclusive lock on the file if nobody else holds it. The descriptor must be open for writing.
/// Taking it again through the same description succeeds.
///
/// # Errors
/// `EBADF` if the descriptor is read-only, `ENOLCK` on a file system without locks.
pub fn try_lock_exclusive(fd: BorrowedFd<'_>) -> io::Result<bool> {
    match nix::fcntl::fcntl(fd, FcntlArg::F_OFD_SETLK(&whole_file(libc::F_WRLCK))) {
        Ok(_) => Ok(true),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Whether a description other than the one behind `fd` holds the exclusive lock. A read-only descriptor will do.
///
/// The question is asked for a shared lock, because only an exclusive one is in its way: everybody who may read a
/// file may put a shared lock on it (`fcntl(2)`), and must not be able to make a dead process look alive with it.
///
/// # Errors
/// On a file system without locks.
pub fn is_locked(fd: BorrowedFd<'_>) -> io::Result<bool> {
    let mut probe = whole_file(libc::F_RDLCK);
    nix::fcntl::fcntl(fd, FcntlArg::F_OFD_GETLK(&mut probe))?;
    Ok(i32::from(probe.l_type) != libc::F_UNLCK)
}

/// Waits until no other description holds an exclusive lock. The descriptor must be open for reading and hold
/// none itself.
///
/// # Errors
/// On a file system without locks.
pub fn wait_until_free(fd: BorrowedFd<'_>) -> io::Result<()> {
    // A shared lock is granted when the last exclusive one goes.
    loop {
        match nix::fcntl::fcntl(fd, FcntlArg::F_OFD_SETLKW(&whole_file(libc::F_RDLCK))) {
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
            Ok(_) => return unlock(fd),
        }
    }
}

/// Gives the lock up, for every copy of the descriptor.
///
/// # Errors
/// On a file system without locks.
pub fn unlock(fd: BorrowedFd<'_>) -> io::Result<()> {
    nix::fcntl::fcntl(fd, FcntlArg::F_OFD_SETLK(&whole_file(libc::F_UNLCK)))?;
    Ok(())
}

/// Why a daemon's lock could not be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody has it.
    #[error("{path} is held by {}: another daemon uses this state directory", holder(*.pid))]
    Held {
        /// The lock file.
        path: PathBuf,
        /// The number that the holder wrote into the file, for people.
        pid: Option<u32>,
    },
    /// The file is not a plain file with one name.
    #[error("{path} is not a regular file with one link: remove what is there")]
    NotRegular {
        /// The lock file.
        path: PathBuf,
    },
    /// The name kept being moved to another file.
    #[error("{path} is replaced by somebody while it is locked: a lock file must never be removed")]
    Replaced {
        /// The lock file.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot {operation} {path}: {source}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// The lock file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

/// The lock of one daemon per state directory, held until dropped. The file is never unlinked: a second
/// daemon could otherwise lock the old file while a third locks the new one.
#[derive(Debug)]
pub struct DaemonLock {
    file: File,
}

impl AsFd for DaemonLock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for DaemonLock {
    fn drop(&mut self) {
        // A child that is just being started may hold a copy until its exec; closing ours would leave the
        // lock to it for that moment. When unlocking fails, closing does it.
        drop(unlock(self.file.as_fd()));
    }
}

/// A moment between two tries.
#[expect(
    clippy::disallowed_methods,
    reason = "the exec of a process that is nobody's child any more gives no event to wait for"
)]
fn pause() {
    std::thread::sleep(Duration::from_millis(2));
}

/// How long the children of a dead holder get until their exec. It takes them microseconds, more on a busy machine.
const ORPHANS: Duration = Duration::from_secs(5);

/// Whether the process that wrote its number is there no more, or only as a zombie.
fn is_gone(pid: u32) -> bool {
    match super::pidfd::PidFd::open(pid) {
        Ok(holder) => holder.is_exited().unwrap_or(false),
        Err(error) => error.raw_os_error() == Some(libc::ESRCH),
    }
}

/// Whether a file with several names is a lock file of ours all the same: nobody else can make names where it lies, and
/// nothing but a process number is in it. Somebody linked to it from elsewhere then, which must not keep the daemon from
/// starting.
fn is_own_lock(file: &File, path: &Path) -> bool {
    let above = path.parent().filter(|above| !above.as_os_str().is_empty());
    let dir = super::files::Dir::open(above.unwrap_or(Path::new(".")));
    let mut bytes = [0; 16];
    let plain = |text: &[u8]| text.iter().all(|byte| byte.is_ascii_digit() || *byte == b'\n');
    let read = file.read_at(&mut bytes, 0);
    dir.and_then(|dir| dir.is_ours()).unwrap_or(false)
        && read.is_ok_and(|n| n < bytes.len() && plain(bytes.get(..n).unwrap_or_default()))
}

impl DaemonLock {
    /// Opens or makes the file (mode 0600, no symbolic link followed), locks it, checks that the name still
    /// leads to it, and writes this process' number into it.
    ///
    /// A daemon that was killed while it started a process leaves the lock to that child until its exec: if the
    /// holder is known to be dead, that moment is waited for.
    ///
    /// # Errors
    /// [`LockError::Held`] names the holder; the others say what is wrong with the file.
    pub fn acquire(path: &Path) -> Result<Self, LockError> {
        let begun = super::clock::boot_micros();
        loop {
            match Self::try_acquire(path) {
                Err(LockError::Held { pid: Some(pid), .. })
                    if is_gone(pid)
                        && Duration::from_micros(super::clock::boot_micros().saturating_sub(begun))
                            < ORPHANS =>
                {
                    pause();
                }
                other => return other,
            }
        }
    }

    fn try_acquire(path: &Path) -> Result<Self, LockError> {
        let io_error = |operation: &'static str| {
            move |source: io::Error| LockError::Io {
                operation,
                path: path.to_owned(),
                source,
            }
        };
        for _ in 0..8 {
            let flags = OFlag::O_RDWR
                | OFlag::O_CREAT
                | OFlag::O_NOFOLLOW
                | OFlag::O_CLOEXEC
                | OFlag::O_NOCTTY
                | OFlag::O_NONBLOCK;
            let mode = Mode::S_IRUSR | Mode::S_IWUSR;
            let fd = nix::fcntl::open(path, flags, mode).map_err(|e| io_error("open")(e.into()))?;
            let mut file = File::from(fd);
            let stat = nix::sys::stat::fstat(&file).map_err(|e| io_error("inspect")(e.into()))?;
            let regular = stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFREG.bits();
            if !regular || (stat.st_nlink > 1 && !is_own_lock(&file, path)) {
                return Err(LockError::NotRegular {
                    path: path.to_owned(),
                });
            }
            if !try_lock_exclusive(file.as_fd()).map_err(io_error("lock"))? {
                let mut text = String::new();
                let pid = (&file).take(32).read_to_string(&mut text).ok();
                let pid = pid.and_then(|_| text.trim().parse().ok());
                return Err(LockError::Held {
                    path: path.to_owned(),
                    pid,
                });
            }
            let named = nix::sys::stat::lstat(path);
            if named.is_ok_and(|named| (named.st_dev, named.st_ino) == (stat.st_dev, stat.st_ino)) {
                file.set_len(0).map_err(io_error("truncate"))?;
                let text = format!("{}\n", std::process::id());
                file.write_all(text.as_bytes()).map_err(io_error("write"))?;
                return Ok(Self { file });
            }
        }
        Err(LockError::Replaced {
            path: path.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests;

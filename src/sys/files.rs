//! Files and directories by descriptor and single name, so that nobody can swap a part of a path underneath.
//!
//! No function here follows a symbolic link in the last part of a name, changes owner or mode by path, or
//! leaves a descriptor open over exec.

mod confined;
mod errors;
mod replace;
mod tree;

pub use tree::Removal;

use nix::dir::Type;
use nix::fcntl::{AtFlags, OFlag};
use nix::sys::stat::{FileStat, Mode, SFlag};
use nix::unistd::{Gid, Uid, UnlinkatFlags};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileExt;
use std::path::Path;

pub use errors::{disk_full, is_link};

/// How [`Dir::create_file`] opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Create {
    /// A new file; an existing one is an error. Open for reading and writing.
    New,
    /// A new or existing regular file, written at its end only. Open for writing.
    Append,
    /// A new or existing regular file as it is. Open for reading and writing.
    Open,
}

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: OsString,
    /// Whether it is a directory (not a link to one).
    pub is_dir: bool,
}

/// A directory, held open.
#[derive(Debug)]
pub struct Dir(OwnedFd);

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<Dir> for OwnedFd {
    fn from(dir: Dir) -> Self {
        dir.0
    }
}

/// Flags that every open here has.
fn common() -> OFlag {
    OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW | OFlag::O_NOCTTY
}

fn mode_bits(mode: u32) -> Mode {
    Mode::from_bits_truncate(mode & 0o7777)
}

fn is_kind(stat: &FileStat, kind: SFlag) -> bool {
    stat.st_mode & SFlag::S_IFMT.bits() == kind.bits()
}

/// One part of a path, that cannot lead elsewhere.
fn single(name: &OsStr) -> io::Result<&OsStr> {
    let bytes = name.as_bytes();
    let bad =
        bytes.is_empty() || bytes == b"." || bytes == b".." || bytes.contains(&b'/') || bytes.contains(&0);
    if bad {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("not a single file name: {name:?}"),
        ));
    }
    Ok(name)
}

/// How often a file is opened that is removed meanwhile.
const TRIES: u32 = 4;

fn not_regular(name: &OsStr) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("{name:?} is not a regular file with one link"),
    )
}

impl Dir {
    /// Opens a directory by path. Links in the path are followed, but not in its last part: the path must
    /// come from the configuration, not from a user.
    ///
    /// # Errors
    /// `NotFound`, `NotADirectory` (also for a symbolic link), and the like.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let flags = common() | OFlag::O_DIRECTORY | OFlag::O_RDONLY;
        Ok(Self(nix::fcntl::open(path.as_ref(), flags, Mode::empty())?))
    }

    /// Takes a descriptor that came from elsewhere.
    ///
    /// # Errors
    /// `NotADirectory` if it is something else.
    pub fn from_owned(fd: OwnedFd) -> io::Result<Self> {
        if !is_kind(&nix::sys::stat::fstat(&fd)?, SFlag::S_IFDIR) {
            return Err(io::Error::from(io::ErrorKind::NotADirectory));
        }
        Ok(Self(fd))
    }

    /// The same directory by a descriptor of its own.
    ///
    /// # Errors
    /// When no descriptor is free.
    pub fn try_clone(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }

    fn open_at(&self, name: &OsStr, flags: OFlag, mode: Mode) -> io::Result<OwnedFd> {
        Ok(nix::fcntl::openat(
            &self.0,
            single(name)?,
            flags | common(),
            mode,
        )?)
    }

    /// Opens a directory in this one; not through a symbolic link, and not on another mount: a user can put a file system
    /// of his own on a directory of his (FUSE), which answers when it likes.
    ///
    /// # Errors
    /// `NotFound`; `NotADirectory` also for a symbolic link; `CrossesDevices` at a mount point.
    pub fn open_child_dir(&self, name: impl AsRef<OsStr>) -> io::Result<Self> {
        confined::enter(self, single(name.as_ref())?, OFlag::O_RDONLY).map(Self)
    }

    /// Whether only root and the caller can make names in it.
    ///
    /// # Errors
    /// When it cannot be inspected.
    pub fn is_ours(&self) -> io::Result<bool> {
        let stat = nix::sys::stat::fstat(&self.0)?;
        let own = nix::unistd::geteuid().as_raw();
        Ok((stat.st_uid == 0 || stat.st_uid == own) && stat.st_mode & 0o022 == 0)
    }

    /// Makes a directory with `mode` (less the umask).
    ///
    /// # Errors
    /// `AlreadyExists`, and the like.
    pub fn create_dir(&self, name: impl AsRef<OsStr>, mode: u32) -> io::Result<()> {
        Ok(nix::sys::stat::mkdirat(
            &self.0,
            single(name.as_ref())?,
            mode_bits(mode),
        )?)
    }

    /// Opens a directory in this one, making it if needed. An existing one keeps its mode.
    ///
    /// # Errors
    /// `NotADirectory` if the name is taken by something else, a symbolic link included.
    pub fn ensure_dir(&self, name: impl AsRef<OsStr>, mode: u32) -> io::Result<Self> {
        match self.create_dir(name.as_ref(), mode) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => self.open_child_dir(name),
        }
    }

    /// Makes or opens a regular file; a new one gets `mode` (less the umask). What exists already must be a
    /// regular file with one name, which belongs to the directory's owner.
    ///
    /// # Errors
    /// `AlreadyExists` with [`Create::New`]; `ELOOP` for a symbolic link; `InvalidInput` for other kinds.
    pub fn create_file(&self, name: impl AsRef<OsStr>, mode: u32, how: Create) -> io::Result<File> {
        let name = name.as_ref();
        let flags = match how {
            Create::New => {
                // Nothing else than what this makes can be opened.
                let flags = OFlag::O_RDWR | OFlag::O_EXCL | OFlag::O_CREAT;
                return self.open_at(name, flags, mode_bits(mode)).map(File::from);
            }
            Create::Append => OFlag::O_WRONLY | OFlag::O_APPEND,
            Create::Open => OFlag::O_RDWR,
        };
        let flags = flags | OFlag::O_CREAT | OFlag::O_NONBLOCK;
        self.open_there(name, flags, mode_bits(mode), false)
    }

    /// Opens a regular file for reading, if it is no link. Never blocks, whatever the name leads to.
    ///
    /// It must be the directory's owner's and have one name only, unless the directory is [ours](Self::is_ours): nobody can
    /// have put a strange file there, and who gives ours a second name elsewhere, which not every kernel forbids, must not
    /// take it away from us (CVE-2007-1856).
    ///
    /// # Errors
    /// `NotFound`; `ELOOP` for a symbolic link; `InvalidInput` for other kinds.
    pub fn open_regular(&self, name: impl AsRef<OsStr>) -> io::Result<File> {
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK;
        self.open_there(name.as_ref(), flags, Mode::empty(), true)
    }

    /// Opens a regular file, one that is there. In a directory of ours it may have further names with `others`.
    ///
    /// In a directory of somebody else's it must be that user's. He can give any file a name there, where the kernel lets
    /// him, and take it away while we look, so that a count of names says nothing; an owner he cannot change.
    fn open_there(&self, name: &OsStr, flags: OFlag, mode: Mode, others: bool) -> io::Result<File> {
        for _ in 0..TRIES {
            let fd = self.open_at(name, flags, mode)?;
            let stat = nix::sys::stat::fstat(&fd)?;
            if !is_kind(&stat, SFlag::S_IFREG) {
                break;
            }
            if stat.st_nlink == 0 {
                // Removed since. What has the name now is meant.
                continue;
            }
            if others && self.is_ours()? {
                return Ok(File::from(fd));
            }
            let owner = nix::sys::stat::fstat(&self.0)?.st_uid;
            if stat.st_uid != owner || stat.st_nlink != 1 {
                break;
            }
            return Ok(File::from(fd));
        }
        Err(not_regular(name))
    }

    /// Whether the name leads to a regular file with nothing in it and no other name. It is not opened for that, so
    /// nothing can come of asking.
    ///
    /// # Errors
    /// `NotFound`; `CrossesDevices` at a mount point.
    pub fn is_empty_file(&self, name: impl AsRef<OsStr>) -> io::Result<bool> {
        let held = confined::hold(self, single(name.as_ref())?)?;
        let stat = nix::sys::stat::fstat(&held)?;
        Ok(is_kind(&stat, SFlag::S_IFREG) && stat.st_size == 0 && stat.st_nlink == 1)
    }

    pub(super) fn open_for_reading(&self, name: &str) -> io::Result<File> {
        self.open_at(name.as_ref(), OFlag::O_RDONLY, Mode::empty())
            .map(File::from)
    }

    pub(super) fn open_for_writing(&self, name: &str) -> io::Result<File> {
        self.open_at(name.as_ref(), OFlag::O_WRONLY, Mode::empty())
            .map(File::from)
    }

    /// Device and inode of what has this name, a symbolic link not followed; `None` if there is nothing.
    ///
    /// # Errors
    /// When the directory cannot be searched.
    pub fn inode_of(&self, name: impl AsRef<OsStr>) -> io::Result<Option<(u64, u64)>> {
        match nix::sys::stat::fstatat(&self.0, single(name.as_ref())?, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some((stat.st_dev, stat.st_ino))),
            Err(nix::errno::Errno::ENOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Removes a file, link or socket.
    ///
    /// # Errors
    /// `NotFound`; `IsADirectory`.
    pub fn remove_file(&self, name: impl AsRef<OsStr>) -> io::Result<()> {
        Ok(nix::unistd::unlinkat(
            &self.0,
            single(name.as_ref())?,
            UnlinkatFlags::NoRemoveDir,
        )?)
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// `NotFound`; `DirectoryNotEmpty`.
    pub fn remove_dir(&self, name: impl AsRef<OsStr>) -> io::Result<()> {
        Ok(nix::unistd::unlinkat(
            &self.0,
            single(name.as_ref())?,
            UnlinkatFlags::RemoveDir,
        )?)
    }

    /// All entries, in the order of the file system.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn list(&self) -> io::Result<Vec<Entry>> {
        // A description of its own, as the reading position belongs to it.
        let flags = common() | OFlag::O_DIRECTORY | OFlag::O_RDONLY;
        let mut dir = nix::dir::Dir::openat(&self.0, ".", flags, Mode::empty())?;
        let mut found = Vec::new();
        for entry in dir.iter() {
            let entry = entry?;
            let bytes = entry.file_name().to_bytes();
            if bytes == b"." || bytes == b".." {
                continue;
            }
            let name = OsString::from_vec(bytes.to_vec());
            let is_dir = match entry.file_type() {
                Some(kind) => kind == Type::Directory,
                None => self.is_dir(&name)?,
            };
            found.push(Entry { name, is_dir });
        }
        Ok(found)
    }

    fn is_dir(&self, name: &OsStr) -> io::Result<bool> {
        match nix::sys::stat::fstatat(&self.0, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(is_kind(&stat, SFlag::S_IFDIR)),
            Err(nix::errno::Errno::ENOENT) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Renames within this directory, replacing what has the new name.
    ///
    /// # Errors
    /// `NotFound`, and the like.
    pub fn publish(&self, from: impl AsRef<OsStr>, to: impl AsRef<OsStr>) -> io::Result<()> {
        let (from, to) = (single(from.as_ref())?, single(to.as_ref())?);
        Ok(nix::fcntl::renameat(&self.0, from, &self.0, to)?)
    }

    /// Makes the names in this directory durable.
    ///
    /// # Errors
    /// `EIO` and the like; then nothing is known about what is on the disk.
    pub fn sync(&self) -> io::Result<()> {
        Ok(nix::unistd::fsync(&self.0)?)
    }
}

/// Sets the permission bits of an open file.
///
/// # Errors
/// `EPERM` if it is somebody else's.
pub fn fchmod(file: impl AsFd, mode: u32) -> io::Result<()> {
    Ok(nix::sys::stat::fchmod(file, mode_bits(mode))?)
}

/// Sets owner and group of an open file.
///
/// # Errors
/// `EPERM` without privileges.
pub fn fchown(file: impl AsFd, uid: u32, gid: u32) -> io::Result<()> {
    Ok(nix::unistd::fchown(
        file,
        Some(Uid::from_raw(uid)),
        Some(Gid::from_raw(gid)),
    )?)
}

/// Writes all of `bytes` at `offset`.
///
/// # Errors
/// As `pwrite(2)`; a part may have been written.
pub fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    file.write_all_at(bytes, offset)
}

/// Reads a file to its end, if that is not more than `limit` bytes away.
///
/// # Errors
/// `FileTooLarge` if it is.
pub fn read_at_most(file: &mut File, limit: u64) -> io::Result<Vec<u8>> {
    // Most files that are read so are small: with room at hand they take one read and one that finds the end.
    let mut bytes = Vec::with_capacity(usize::try_from(limit).unwrap_or(1024).min(1024));
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > limit) {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("file is larger than {limit} bytes"),
        ));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;

//! Removing a tree without leaving it, whatever is in it and whoever changes it meanwhile.
//!
//! Every step is by descriptor and single name. Links are removed, not followed; a mount point is not entered. Neither
//! depth nor number of entries costs memory: directories are read as a stream, at most [`DEEPEST`] of them are open, and
//! what lies deeper is first moved up to the top of the tree.

use super::confined::enter;
use super::{Dir, common, fchmod, single};
use nix::dir::OwningIter;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag};
use nix::sys::stat::{FchmodatFlags, FileStat, Mode, SFlag, fchmodat, fstat, fstatat};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStringExt;

/// Most directories that are open at a time, twice each: to look names up, and to read.
const DEEPEST: usize = 64;
/// How often a directory that was read to its end and is not empty is read again, if something went at each reading.
/// One that is filled as fast as it is emptied is given up.
const PASSES: u32 = 16;
/// Bytes of a block in `st_blocks`.
const BLOCK: u64 = 512;

/// What became of a tree.
#[derive(Debug, Default)]
pub struct Removal {
    /// Files and directories that went.
    pub entries: u64,
    /// Bytes on the disk of those files; one with further names does not count.
    pub bytes: u64,
    /// The first thing that could not be removed. Everything else went, unless the kind is `Interrupted`.
    pub failure: Option<io::Error>,
}

impl Dir {
    /// Removes what has this name, and if it is a directory all in it. Links are removed, not followed, and
    /// a directory that is a mount point is left and reported.
    ///
    /// # Errors
    /// `EXDEV` at a mount point; `NotFound` if there is nothing. What else can go is gone then.
    pub fn remove_tree(&self, name: impl AsRef<OsStr>) -> io::Result<()> {
        let removal = self.remove_tree_while(name, &mut || true);
        removal.failure.map_or(Ok(()), Err)
    }

    /// As [`Dir::remove_tree`], as long as `go_on` says so; it is asked before each entry.
    pub fn remove_tree_while(&self, name: impl AsRef<OsStr>, go_on: &mut dyn FnMut() -> bool) -> Removal {
        match single(name.as_ref()) {
            Ok(name) => remove(self, name, go_on),
            Err(error) => Removal {
                failure: Some(error),
                ..Removal::default()
            },
        }
    }

    /// Bytes on the disk of what has this name and all below it, mounts and what links lead to not counted. False if
    /// something could not be counted, or `go_on` said no.
    ///
    /// # Errors
    /// `NotFound` if there is nothing.
    pub fn measure_tree(
        &self,
        name: impl AsRef<OsStr>,
        go_on: &mut dyn FnMut() -> bool,
    ) -> io::Result<(u64, bool)> {
        measure(self, single(name.as_ref())?, go_on)
    }

    /// The entries one by one, from the first, by a description of its own.
    fn stream(&self) -> io::Result<OwningIter> {
        let flags = common() | OFlag::O_DIRECTORY | OFlag::O_RDONLY;
        Ok(nix::dir::Dir::openat(&self.0, ".", flags, Mode::empty())?.into_iter())
    }
}

/// An open directory that is being emptied.
struct Level {
    dir: Dir,
    entries: OwningIter,
    /// Its name in the directory above.
    name: OsString,
    /// Whether something went, or changed, since it was last read from the beginning.
    progress: bool,
    /// Whether something in it could not be removed.
    failed: bool,
    passes: u32,
}

/// What a name stands for.
enum Plain {
    /// It is gone.
    Gone,
    /// A directory.
    Directory,
}

struct Remover<'a> {
    go_on: &'a mut dyn FnMut() -> bool,
    removal: Removal,
    stack: Vec<Level>,
    /// How many directories were moved up; part of the next one's name.
    lifted: u64,
}

/// Removes `name` in `parent` and all below it, while `go_on` says so; it is asked before each entry.
pub(super) fn remove(parent: &Dir, name: &OsStr, go_on: &mut dyn FnMut() -> bool) -> Removal {
    let mut remover = Remover {
        go_on,
        removal: Removal::default(),
        stack: Vec::new(),
        lifted: 0,
    };
    if let Err(error) = remover.begin(parent, name) {
        remover.note(error);
    }
    remover.removal
}

impl Remover<'_> {
    fn begin(&mut self, parent: &Dir, name: &OsStr) -> io::Result<()> {
        match self.remove_plain(parent, name)? {
            Plain::Gone => return Ok(()),
            Plain::Directory => self.stack.push(Level::enter(parent, name)?),
        }
        while let Some(level) = self.stack.last_mut() {
            if !(self.go_on)() {
                return Err(io::Error::from(io::ErrorKind::Interrupted));
            }
            match level.entries.next() {
                Some(Ok(entry)) => {
                    let bytes = entry.file_name().to_bytes();
                    if bytes != b"." && bytes != b".." {
                        self.entry(&OsString::from_vec(bytes.to_vec()));
                    }
                }
                Some(Err(errno)) => {
                    level.failed = true;
                    self.note(errno.into());
                    self.leave(parent);
                }
                None => self.leave(parent),
            }
        }
        Ok(())
    }

    /// One entry of the directory on top.
    fn entry(&mut self, name: &OsStr) {
        let Some(mut level) = self.stack.pop() else { return };
        let depth = self.stack.len();
        let mut below = None;
        match self.remove_plain(&level.dir, name) {
            Ok(Plain::Gone) => level.progress = true,
            Ok(Plain::Directory) => match Level::enter(&level.dir, name) {
                Ok(entered) if depth + 1 < DEEPEST => below = Some(entered),
                Ok(_) => match self.lift(&level.dir, name) {
                    Ok(()) => level.progress = true,
                    Err(error) => level.fails(self, error),
                },
                // It is something else by now, which the next reading finds.
                Err(error) if is_changed(&error) => level.progress = true,
                Err(error) => level.fails(self, error),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => level.fails(self, error),
        }
        self.stack.push(level);
        self.stack.extend(below);
    }

    /// Moves a directory that lies too deep to the top of the tree, where it is found by the next reading.
    fn lift(&mut self, from: &Dir, name: &OsStr) -> io::Result<()> {
        let Some(top) = self.stack.first_mut() else {
            return Err(io::Error::from_raw_os_error(libc::ELOOP));
        };
        let mut last = Errno::EEXIST;
        for _ in 0..PASSES {
            self.lifted += 1;
            let to = format!(".lifted-{}", self.lifted);
            match nix::fcntl::renameat(from, name, &top.dir, to.as_str()) {
                Ok(()) => {
                    top.progress = true;
                    top.passes = 0;
                    return Ok(());
                }
                // The tree has such a name itself.
                Err(errno @ (Errno::EEXIST | Errno::ENOTEMPTY | Errno::ENOTDIR)) => last = errno,
                Err(errno) => return Err(errno.into()),
            }
        }
        Err(last.into())
    }

    /// The directory on top was read to its end.
    fn leave(&mut self, parent: &Dir) {
        let Some(mut level) = self.stack.pop() else { return };
        let above = self.stack.last().map_or(parent, |above| &above.dir);
        let error = match above.remove_dir(&level.name) {
            Ok(()) => {
                self.removal.entries += 1;
                if let Some(above) = self.stack.last_mut() {
                    above.progress = true;
                }
                return;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => error,
        };
        if is_filled(&error) && level.progress && level.passes < PASSES && level.rewind().is_ok() {
            self.stack.push(level);
            return;
        }
        if let Some(above) = self.stack.last_mut() {
            // Somebody may have swapped it for something else meanwhile, but it did not go here.
            above.failed = true;
        }
        if !level.failed {
            self.note(error);
        }
    }

    /// Removes anything but a directory.
    fn remove_plain(&mut self, parent: &Dir, name: &OsStr) -> io::Result<Plain> {
        let about = look(parent, name)?;
        if is_directory(&about) {
            return Ok(Plain::Directory);
        }
        match parent.remove_file(name) {
            Ok(()) => {
                self.removal.entries += 1;
                self.removal.bytes += size(&about);
                Ok(Plain::Gone)
            }
            Err(error) => match look(parent, name) {
                Ok(now) if is_directory(&now) => Ok(Plain::Directory),
                _ => Err(error),
            },
        }
    }

    fn note(&mut self, error: io::Error) {
        self.removal.failure.get_or_insert(error);
    }
}

impl Level {
    fn enter(parent: &Dir, name: &OsStr) -> io::Result<Self> {
        let dir = match enter(parent, name, OFlag::O_RDONLY) {
            Err(error) if error.raw_os_error() == Some(libc::EACCES) => {
                make_accessible(parent, name)?;
                enter(parent, name, OFlag::O_RDONLY)?
            }
            other => other?,
        };
        let dir = Dir::from_owned(dir)?;
        let about = fstat(&dir)?;
        let own = nix::unistd::geteuid();
        if !own.is_root() && about.st_uid == own.as_raw() && about.st_mode & 0o700 != 0o700 {
            fchmod(&dir, 0o700)?;
        }
        Ok(Self {
            entries: dir.stream()?,
            dir,
            name: name.to_owned(),
            progress: false,
            failed: false,
            passes: 0,
        })
    }

    fn rewind(&mut self) -> io::Result<()> {
        self.entries = self.dir.stream()?;
        self.passes += 1;
        self.progress = false;
        self.failed = false;
        Ok(())
    }

    fn fails(&mut self, remover: &mut Remover<'_>, error: io::Error) {
        self.failed = true;
        remover.note(error);
    }
}

/// Bytes on the disk of `name` in `parent` and all below it; false if something was not counted: it cannot be read, lies
/// too deep, or `go_on` said no.
pub(super) fn measure(
    parent: &Dir,
    name: &OsStr,
    go_on: &mut dyn FnMut() -> bool,
) -> io::Result<(u64, bool)> {
    let about = look(parent, name)?;
    let mut bytes = size(&about);
    if !is_directory(&about) {
        return Ok((bytes, true));
    }
    let open = |parent: &Dir, name: &OsStr| -> io::Result<(Dir, OwningIter)> {
        let dir = Dir::from_owned(enter(parent, name, OFlag::O_RDONLY)?)?;
        let entries = dir.stream()?;
        Ok((dir, entries))
    };
    let mut whole = true;
    let mut stack = Vec::new();
    match open(parent, name) {
        Ok(top) => stack.push(top),
        Err(_) => whole = false,
    }
    while let Some((dir, entries)) = stack.last_mut() {
        if !go_on() {
            return Ok((bytes, false));
        }
        let Some(Ok(entry)) = entries.next() else {
            stack.pop();
            continue;
        };
        let found = entry.file_name().to_bytes();
        if found == b"." || found == b".." {
            continue;
        }
        let found = OsString::from_vec(found.to_vec());
        let Ok(about) = look(dir, &found) else { continue };
        bytes += size(&about);
        if is_directory(&about) {
            match open(dir, &found) {
                Ok(below) if stack.len() < DEEPEST => stack.push(below),
                _ => whole = false,
            }
        }
    }
    Ok((bytes, whole))
}

/// Gives the owner, who calls this, back the rights on a directory that its mode takes away. The name is resolved
/// once: what the mode is set of is what was looked at.
fn make_accessible(parent: &Dir, name: &OsStr) -> io::Result<()> {
    let held = enter(parent, name, OFlag::O_PATH)?;
    if fstat(&held)?.st_uid != nix::unistd::geteuid().as_raw() {
        return Err(io::Error::from_raw_os_error(libc::EACCES));
    }
    // A descriptor that is only a place takes no fchmod(2); the kernel's name for it leads to just that directory.
    let place = format!("/proc/self/fd/{}", held.as_raw_fd());
    Ok(fchmodat(
        AT_FDCWD,
        place.as_str(),
        Mode::S_IRWXU,
        FchmodatFlags::FollowSymlink,
    )?)
}

fn look(parent: &Dir, name: &OsStr) -> io::Result<FileStat> {
    Ok(fstatat(parent, name, AtFlags::AT_SYMLINK_NOFOLLOW)?)
}

const fn is_directory(about: &FileStat) -> bool {
    about.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFDIR.bits()
}

fn size(about: &FileStat) -> u64 {
    if !is_directory(about) && about.st_nlink > 1 {
        return 0;
    }
    u64::try_from(about.st_blocks).unwrap_or(0) * BLOCK
}

/// Whether a name that was a directory's stands for something else by now.
fn is_changed(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ENOENT | libc::ENOTDIR | libc::ELOOP)
    )
}

fn is_filled(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOTEMPTY | libc::EEXIST))
}

//! Making an entry, in two steps. Between them the shim is spawned.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::dir::{ProcDir, ProcError, tidy};
use super::entry::{Entry, LockState, Meta, Owner, decode, encode};
use super::name::{EntryName, TEMP_SUFFIX};
use crate::model::{GroupName, Time};
use crate::sys::files::{Create, Dir, fchmod, write_all_at};
use crate::sys::lock;

/// Mode of an entry: everybody may read, only the daemon's user may open it for writing. A shim beats through
/// the descriptor it was given.
const FILE_MODE: u32 = 0o644;

/// An entry that is locked and not yet published.
///
/// It is a file `<name>.<random>.tmp` beside its later place. Dropped, it is removed. The lock belongs to the
/// open file description, so it passes to the shim with the descriptor, and lasts until the last copy is closed.
#[derive(Debug)]
pub struct Prepared {
    root: PathBuf,
    dir: Dir,
    dir_path: PathBuf,
    group: GroupName,
    name: EntryName,
    meta: Meta,
    file: File,
    temp: String,
    is_there: bool,
}

impl AsFd for Prepared {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl ProcDir {
    /// Makes the file of a new entry and takes its lock, before there is a shim.
    ///
    /// # Errors
    /// [`ProcError`]; nothing is left behind.
    pub fn prepare(&mut self, group: &GroupName, meta: Meta, now: Time) -> Result<Prepared, ProcError> {
        let name = EntryName::new(now, &meta.run.id, &meta.attempt)?;
        self.prepare_as(group, name, meta, now)
    }

    /// Makes the file once more for an entry that somebody deleted while its attempt lives: same name, same
    /// metadata. The caller hands the descriptor to the shim and then publishes.
    ///
    /// # Errors
    /// As [`Self::prepare`].
    pub fn prepare_again(&mut self, entry: &Entry, now: Time) -> Result<Prepared, ProcError> {
        self.prepare_as(&entry.group, entry.name.clone(), entry.meta.clone(), now)
    }

    fn prepare_as(
        &mut self,
        group: &GroupName,
        name: EntryName,
        meta: Meta,
        now: Time,
    ) -> Result<Prepared, ProcError> {
        // First, so that nothing is made for metadata that cannot be written.
        let bytes = encode(now, &meta, None)?;
        let dir_path = self.dag_path(group, &meta.run.dag);
        let (dir, temp, file) = self.make_temp(group, &name, &meta)?;
        let prepared = Prepared {
            root: self.path.clone(),
            dir,
            dir_path,
            group: group.clone(),
            name,
            meta,
            file,
            temp,
            is_there: true,
        };
        match lock::try_lock_exclusive(prepared.file.as_fd()) {
            Ok(true) => {}
            Ok(false) => {
                return Err(ProcError::Held {
                    path: prepared.temp_path(),
                });
            }
            Err(error) => return Err(ProcError::io("lock", prepared.temp_path())(error)),
        }
        // Written now so that a file that a crash leaves behind tells whose it is.
        prepared.write(&bytes)?;
        Ok(prepared)
    }

    fn make_temp(
        &mut self,
        group: &GroupName,
        name: &EntryName,
        meta: &Meta,
    ) -> Result<(Dir, String, File), ProcError> {
        let mut tries = 0;
        loop {
            let dir = self.dag_dir(group, &meta.run.dag)?;
            self.next_temp = self.next_temp.wrapping_add(1);
            let temp = format!(
                "{name}.{:x}-{:x}{TEMP_SUFFIX}",
                std::process::id(),
                self.next_temp
            );
            tries += 1;
            match dir.create_file(&temp, 0o600, Create::New) {
                Ok(file) => return Ok((dir, temp, file)),
                // A daemon with this process number crashed here, or the directory was tidied away meanwhile.
                Err(error)
                    if tries < 64
                        && matches!(
                            error.kind(),
                            io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound
                        ) => {}
                Err(error) => {
                    return Err(ProcError::io(
                        "create",
                        self.dag_path(group, &meta.run.dag).join(temp),
                    )(error));
                }
            }
        }
    }
}

impl Prepared {
    /// A copy of the locked descriptor, close-on-exec, to be sent to the shim.
    ///
    /// # Errors
    /// [`ProcError::Io`] if no descriptor is free.
    pub fn descriptor(&self) -> Result<OwnedFd, ProcError> {
        self.file
            .as_fd()
            .try_clone_to_owned()
            .map_err(ProcError::io("copy the descriptor of", self.temp_path()))
    }

    /// Where the entry will be.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.dir_path.join(self.name.to_string())
    }

    /// The metadata.
    #[must_use]
    pub const fn meta(&self) -> &Meta {
        &self.meta
    }

    fn temp_path(&self) -> PathBuf {
        self.dir_path.join(&self.temp)
    }

    fn write(&self, bytes: &[u8]) -> Result<(), ProcError> {
        let failed = || ProcError::io("write", self.temp_path());
        write_all_at(&self.file, bytes, 0).map_err(failed())?;
        let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.file.set_len(len).map_err(failed())
    }

    /// Writes the final content and gives the file its name. Readers see the whole entry or none, and from then on
    /// only its first eight bytes ever change. The daemon's own descriptor is closed, so that the lock tells of
    /// the shim alone.
    ///
    /// The content is synced before the rename, so that power loss leaves no empty file under the name. The
    /// directory is not: what power loss takes from it are entries of attempts that it ended, too.
    ///
    /// # Errors
    /// [`ProcError::Exists`] if there is such an entry; [`ProcError::Io`]. The temporary file is removed.
    pub fn publish(mut self, owner: &Owner, now: Time) -> Result<Entry, ProcError> {
        let path = self.path();
        let bytes = encode(now, &self.meta, Some(owner))?;
        if let Err(error) = decode(&self.meta.run.dag, &self.name, now, &bytes) {
            return Err(ProcError::Meta(error));
        }
        let final_name = self.name.to_string();
        if self
            .dir
            .inode_of(&final_name)
            .map_err(ProcError::io("inspect", &path))?
            .is_some()
        {
            return Err(ProcError::Exists { path });
        }
        self.write(&bytes)?;
        fchmod(&self.file, FILE_MODE).map_err(ProcError::io("set the mode of", self.temp_path()))?;
        self.file
            .sync_all()
            .map_err(ProcError::io("sync", self.temp_path()))?;
        let metadata = self
            .file
            .metadata()
            .map_err(ProcError::io("inspect", self.temp_path()))?;
        self.dir
            .publish(&self.temp, &final_name)
            .map_err(ProcError::io("publish", &path))?;
        self.is_there = false;
        Ok(Entry {
            path,
            group: self.group.clone(),
            name: self.name.clone(),
            heartbeat: u64::try_from(now.secs()).unwrap_or(0),
            mtime: now,
            inode: (metadata.dev(), metadata.ino()),
            meta: self.meta.clone(),
            owner: Some(owner.clone()),
            lock: LockState::Held,
        })
    }

    /// Takes it back: the file goes, and the directories that become empty with it.
    ///
    /// # Errors
    /// [`ProcError::Io`].
    pub fn abandon(mut self) -> Result<(), ProcError> {
        self.take_back()
    }

    fn take_back(&mut self) -> Result<(), ProcError> {
        if !std::mem::take(&mut self.is_there) {
            return Ok(());
        }
        match self.dir.remove_file(&self.temp) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(ProcError::io("remove", self.temp_path())(error));
            }
            _ => {}
        }
        tidy(&self.root, &self.group, &self.meta.run.dag)
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        // There is nobody to tell; what stays is found by `ProcDir::leftovers`.
        drop(self.take_back());
    }
}

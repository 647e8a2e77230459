//! Users, and becoming one: exactly the identity that was asked for, or an error.

use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::{Gid, Group, Uid, getgroups, getresgid, getresuid};
use std::ffi::CString;
use std::io;
use std::path::PathBuf;

/// The number that means "no change" to the kernel and so can be no user or group.
const NOBODY_AT_ALL: u32 = u32::MAX;

/// Why an identity could not be found or taken.
#[derive(Debug, thiserror::Error)]
pub enum CredsError {
    /// No such user.
    #[error("no user named {0:?} in the user database")]
    NoSuchName(String),
    /// No such user.
    #[error("no user with uid {0} in the user database")]
    NoSuchUid(u32),
    /// No such group.
    #[error("no group named {0:?} in the group database")]
    NoSuchGroup(String),
    /// The name cannot be a user's.
    #[error("{0:?} is not a user or group name")]
    BadName(String),
    /// The databases did not answer, or answered for somebody else.
    #[error("looking up {what} failed: {source}")]
    Lookup {
        /// Who was asked for.
        what: String,
        /// The reason.
        source: io::Error,
    },
    /// A call that changes the identity failed.
    #[error("{call} for user {user} failed: {source}; only root can become another user")]
    Change {
        /// The call.
        call: &'static str,
        /// The user to become.
        user: String,
        /// The reason.
        source: io::Error,
    },
    /// The kernel reports another identity than was set.
    #[error("identity after the change to user {user} is wrong: {what}")]
    Mismatch {
        /// The user to become.
        user: String,
        /// What differs.
        what: &'static str,
    },
}

/// A user, complete: nothing needs to be looked up after this was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Login name.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// All groups, the primary one included; sorted, each once.
    pub groups: Vec<u32>,
    /// Home directory.
    pub home: PathBuf,
    /// Login shell.
    pub shell: PathBuf,
}

impl User {
    /// Looks a user up by number.
    ///
    /// # Errors
    /// [`CredsError::NoSuchUid`], or [`CredsError::Lookup`] when the database failed: never a guess.
    pub fn by_uid(uid: u32) -> Result<Self, CredsError> {
        if uid == NOBODY_AT_ALL {
            return Err(CredsError::NoSuchUid(uid));
        }
        let found = nix::unistd::User::from_uid(Uid::from_raw(uid));
        let found = found.map_err(|errno| lookup(format!("uid {uid}"), errno.into()))?;
        let found = found
            .filter(|user| user.uid.as_raw() == uid)
            .ok_or(CredsError::NoSuchUid(uid))?;
        Self::complete(found)
    }

    /// Looks a user up by name, and by nothing but name: `0`, `0x0` or `+0` are no way to say root.
    ///
    /// # Errors
    /// [`CredsError::NoSuchName`], [`CredsError::BadName`], or [`CredsError::Lookup`].
    pub fn by_name(name: &str) -> Result<Self, CredsError> {
        check_name(name)?;
        let found =
            nix::unistd::User::from_name(name).map_err(|errno| lookup(name.to_owned(), errno.into()))?;
        // A database that answers for another spelling would let two names mean one user.
        let found = found.filter(|user| user.name == name);
        Self::complete(found.ok_or_else(|| CredsError::NoSuchName(name.to_owned()))?)
    }

    /// The user this process acts as, with the groups that this process has. One that no database knows, as
    /// in a container, goes by its number.
    ///
    /// # Errors
    /// [`CredsError::Lookup`] when the groups cannot be read.
    pub fn current() -> Result<Self, CredsError> {
        let (uid, gid) = (Uid::effective(), Gid::effective());
        let groups = getgroups().map_err(|errno| lookup("own groups".to_owned(), errno.into()))?;
        let groups = normal(groups.iter().chain([&gid]).map(|gid| gid.as_raw()));
        let known = nix::unistd::User::from_uid(uid).ok().flatten();
        let (name, home, shell) = match known {
            Some(user) => (user.name, user.dir, user.shell),
            None => (uid.to_string(), PathBuf::from("/"), PathBuf::from("/bin/sh")),
        };
        Ok(Self {
            name,
            uid: uid.as_raw(),
            gid: gid.as_raw(),
            groups,
            home,
            shell,
        })
    }

    fn complete(found: nix::unistd::User) -> Result<Self, CredsError> {
        let failed = |source| lookup(format!("groups of {}", found.name), source);
        let (uid, gid) = (found.uid.as_raw(), found.gid.as_raw());
        if uid == NOBODY_AT_ALL || gid == NOBODY_AT_ALL {
            return Err(failed(io::Error::from(io::ErrorKind::InvalidData)));
        }
        let name =
            CString::new(found.name.as_str()).map_err(|_| failed(io::ErrorKind::InvalidData.into()))?;
        let groups = nix::unistd::getgrouplist(&name, found.gid).map_err(|errno| failed(errno.into()))?;
        let groups = normal(groups.iter().map(|gid| gid.as_raw()).chain([gid]));
        if groups.contains(&NOBODY_AT_ALL) {
            return Err(failed(io::Error::from(io::ErrorKind::InvalidData)));
        }
        Ok(Self {
            name: found.name,
            uid,
            gid,
            groups,
            home: found.dir,
            shell: found.shell,
        })
    }
}

fn lookup(what: String, source: io::Error) -> CredsError {
    CredsError::Lookup { what, source }
}

fn normal(ids: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut ids: Vec<u32> = ids.collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

fn check_name(name: &str) -> Result<(), CredsError> {
    let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, ':' | '/' | ',');
    if name.is_empty() || name.len() > 256 || name.starts_with(['-', '+', '~']) || name.contains(odd) {
        return Err(CredsError::BadName(name.to_owned()));
    }
    Ok(())
}

/// The id of the group `name`.
///
/// # Errors
/// [`CredsError::NoSuchGroup`], [`CredsError::BadName`], or [`CredsError::Lookup`].
pub fn group_gid(name: &str) -> Result<u32, CredsError> {
    check_name(name)?;
    let found = Group::from_name(name).map_err(|errno| lookup(format!("group {name}"), errno.into()))?;
    found
        .filter(|group| group.name == name && group.gid.as_raw() != NOBODY_AT_ALL)
        .map(|group| group.gid.as_raw())
        .ok_or_else(|| CredsError::NoSuchGroup(name.to_owned()))
}

/// The effective user id of this process.
#[must_use]
pub fn effective_uid() -> u32 {
    Uid::effective().as_raw()
}

/// Becomes `user`, for good: groups, then group, then user, in all threads; then reads everything back,
/// capabilities included, and compares. After an error the process must run nothing more.
///
/// Without privileges this succeeds only for who the process is already, and leaves the groups as they are.
///
/// # Errors
/// [`CredsError::Change`] or [`CredsError::Mismatch`].
pub fn apply(user: &User) -> Result<(), CredsError> {
    let change = |call: &'static str| {
        move |errno: nix::errno::Errno| CredsError::Change {
            call,
            user: user.name.clone(),
            source: errno.into(),
        }
    };
    if user.uid == NOBODY_AT_ALL || user.gid == NOBODY_AT_ALL || user.groups.contains(&NOBODY_AT_ALL) {
        return Err(CredsError::Mismatch {
            user: user.name.clone(),
            what: "an id of -1 means no change",
        });
    }
    if !Uid::effective().is_root() && ids_are(user)? {
        return Ok(());
    }
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    let groups: Vec<Gid> = user.groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
    nix::unistd::setgroups(&groups).map_err(change("setgroups"))?;
    nix::unistd::setresgid(gid, gid, gid).map_err(change("setresgid"))?;
    nix::unistd::setresuid(uid, uid, uid).map_err(change("setresuid"))?;
    let wrong = |what| {
        Err(CredsError::Mismatch {
            user: user.name.clone(),
            what,
        })
    };
    if !ids_are(user)? {
        return wrong("user or group ids");
    }
    let now = getgroups().map_err(change("getgroups"))?;
    if normal(now.iter().map(|gid| gid.as_raw())) != normal(user.groups.iter().copied()) {
        return wrong("supplementary groups");
    }
    if user.uid != 0 {
        // What programs would inherit outlives the change of user.
        super::raw::process::drop_capabilities()
            .map_err(|source| lookup("own capabilities".to_owned(), source))?;
    }
    if user.uid != 0
        && !without_capabilities().map_err(|source| lookup("own capabilities".to_owned(), source))?
    {
        return wrong("capabilities are left");
    }
    Ok(())
}

fn ids_are(user: &User) -> Result<bool, CredsError> {
    let failed = |errno: nix::errno::Errno| lookup("own ids".to_owned(), errno.into());
    let (uids, gids) = (getresuid().map_err(failed)?, getresgid().map_err(failed)?);
    let uids = [uids.real, uids.effective, uids.saved].map(Uid::as_raw);
    let gids = [gids.real, gids.effective, gids.saved].map(Gid::as_raw);
    Ok(uids == [user.uid; 3] && gids == [user.gid; 3])
}

/// Whether the capability sets of the calling thread are empty, but for the bounding one.
fn without_capabilities() -> io::Result<bool> {
    let text = std::fs::read_to_string("/proc/thread-self/status")?;
    Ok(["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"].iter().all(|key| {
        let value = text.lines().find_map(|line| line.strip_prefix(key));
        value.is_some_and(|value| value.trim().bytes().all(|digit| digit == b'0'))
    }))
}

/// Forbids gaining privileges by set-user-id programs and file capabilities, for good and for all children.
///
/// # Errors
/// Never on Linux 3.5 and later.
pub fn set_no_new_privs() -> io::Result<()> {
    Ok(nix::sys::prctl::set_no_new_privs()?)
}

/// Sets the mask of permission bits that new files do not get.
pub fn set_umask(mask: u32) {
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(mask & 0o777));
}

/// Sets the nice value, -20 (first) to 19 (last), of the calling thread and what it starts.
///
/// # Errors
/// `EACCES` when it is lowered without the right to.
pub fn set_nice(value: i32) -> io::Result<()> {
    super::raw::process::set_nice(value)
}

/// A resource limit (`getrlimit(2)`).
pub use crate::model::Rlimit as Limit;

/// A value that stands for no limit.
pub const UNLIMITED: u64 = libc::RLIM_INFINITY;

fn resource(limit: Limit) -> Resource {
    match limit {
        Limit::AddressSpace => Resource::RLIMIT_AS,
        Limit::Core => Resource::RLIMIT_CORE,
        Limit::Cpu => Resource::RLIMIT_CPU,
        Limit::Data => Resource::RLIMIT_DATA,
        Limit::FileSize => Resource::RLIMIT_FSIZE,
        Limit::Locks => Resource::RLIMIT_LOCKS,
        Limit::LockedMemory => Resource::RLIMIT_MEMLOCK,
        Limit::MessageQueues => Resource::RLIMIT_MSGQUEUE,
        Limit::OpenFiles => Resource::RLIMIT_NOFILE,
        Limit::Processes => Resource::RLIMIT_NPROC,
        Limit::PendingSignals => Resource::RLIMIT_SIGPENDING,
        Limit::Stack => Resource::RLIMIT_STACK,
    }
}

/// The number by which system calls know a limit.
pub(super) fn number_of(limit: Limit) -> i32 {
    resource(limit) as i32
}

/// Sets a limit of this process and what it starts.
///
/// # Errors
/// `EINVAL` if soft is above hard, `EPERM` if hard is raised without the right to.
pub fn set_rlimit(limit: Limit, soft: u64, hard: u64) -> io::Result<()> {
    Ok(setrlimit(resource(limit), soft, hard)?)
}

/// The soft and hard value of a limit.
///
/// # Errors
/// Not on Linux.
pub fn get_rlimit(limit: Limit) -> io::Result<(u64, u64)> {
    Ok(nix::sys::resource::getrlimit(resource(limit))?)
}

/// The highest limit of open files that the kernel gives anybody, root included (`/proc/sys/fs/nr_open`,
/// `proc_sys_fs(5)`); [`UNLIMITED`] if it does not say.
#[must_use]
pub fn open_files_max() -> u64 {
    let text = std::fs::read_to_string("/proc/sys/fs/nr_open").ok();
    text.and_then(|text| text.trim().parse().ok())
        .unwrap_or(UNLIMITED)
}

/// Sets every signal to its default and unblocks all: what a program expects at its start.
///
/// # Errors
/// Not on Linux.
pub fn reset_signals() -> io::Result<()> {
    super::signals::reset()
}

/// Undoes the protection from the OOM killer that a daemon has, so that a job does not inherit it.
///
/// # Errors
/// `EACCES` when the value was raised and this process may not lower it.
pub fn reset_oom_score_adj() -> io::Result<()> {
    const PATH: &str = "/proc/self/oom_score_adj";
    if std::fs::read_to_string(PATH)?.trim() == "0" {
        Ok(())
    } else {
        std::fs::write(PATH, "0")
    }
}

#[cfg(test)]
mod tests;

//! Starting a program with nothing inherited by accident: descriptors 0 to 2 and no other, the given
//! environment and no more, default signals, and in its cgroup from the first instruction.
//!
//! Safe to use from a process with threads: everything is prepared before the child exists.

use super::cgroup::Cgroup;
use super::creds::{Limit, number_of};
use super::pidfd::PidFd;
use super::raw::spawn as raw;
use super::signals;
use std::ffi::{CString, OsStr, OsString};
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Length of a record in the error pipe: stage and errno.
const RECORD: usize = 8;
/// The stage of a child that died before its first instruction.
const STILLBORN: &str = "killed at birth";

/// Where the program starts.
#[derive(Debug, Clone, Default)]
pub enum WorkDir<'a> {
    /// Where the parent is.
    #[default]
    Inherit,
    /// A directory held open.
    Dir(BorrowedFd<'a>),
    /// A path, looked up by the child.
    Path(PathBuf),
}

/// What to start, and how. `Spawn::new` gives null devices for the standard descriptors, an empty
/// environment and no arguments.
#[derive(Debug, Clone)]
pub struct Spawn<'a> {
    /// Path of the program. It is not searched for in any list of directories.
    pub program: PathBuf,
    /// The program, held open; `program` is then only a name for messages. Not for `#!` scripts, whose
    /// interpreter could not open a descriptor that closes on exec.
    pub program_fd: Option<BorrowedFd<'a>>,
    /// All arguments, the zeroth included; if empty, `program` is the zeroth.
    pub argv: Vec<OsString>,
    /// The exact environment, in this order.
    pub env: Vec<(OsString, OsString)>,
    /// The working directory.
    pub cwd: WorkDir<'a>,
    /// Descriptor 0; the null device if absent.
    pub stdin: Option<BorrowedFd<'a>>,
    /// Descriptor 1; the null device if absent.
    pub stdout: Option<BorrowedFd<'a>>,
    /// Descriptor 2; the null device if absent.
    pub stderr: Option<BorrowedFd<'a>>,
    /// Make the child leader of a session of its own, without a terminal (`setsid(2)`).
    pub new_session: bool,
    /// The process group to join; 0 makes a new one. Not together with `new_session`.
    pub process_group: Option<u32>,
    /// The cgroup in which the child starts.
    pub cgroup: Option<&'a Cgroup>,
    /// Limits of the program: which, soft and hard value. The others are inherited.
    pub limits: &'a [(Limit, u64, u64)],
}

/// A started child.
#[derive(Debug)]
pub struct Spawned {
    /// Its number.
    pub pid: u32,
    /// Its descriptor.
    pub pidfd: PidFd,
}

/// What kind of failure a [`SpawnError`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpawnErrorKind {
    /// The program, its interpreter or the working directory does not exist.
    NotFound,
    /// Not allowed.
    Permission,
    /// The program is a directory.
    IsDirectory,
    /// Not a program for this system (`ENOEXEC`): a script without `#!`, or another architecture.
    NotExecutable,
    /// The system is short of something (processes, memory, descriptors): may work later.
    Resource,
    /// The request itself is wrong: a NUL byte, arguments too long.
    Invalid,
    /// Anything else.
    Other,
}

/// A program that did not start. Nothing of it ran.
#[derive(Debug, thiserror::Error)]
#[error("cannot start {program}: {stage}: {}", io::Error::from_raw_os_error(*.errno))]
pub struct SpawnError {
    /// The step that failed: `prepare`, `clone`, `stdio`, `close descriptors`, `setsid`, `setpgid`,
    /// `cgroup`, `chdir`, `signal mask`, `limits`, `exec`, or `killed at birth` when the child was killed before that.
    pub stage: &'static str,
    /// The system's reason.
    pub errno: i32,
    /// What kind of failure it is.
    pub kind: SpawnErrorKind,
    /// The program.
    pub program: PathBuf,
}

impl<'a> Spawn<'a> {
    /// A plain start of `program`.
    #[must_use]
    pub fn new(program: impl AsRef<Path>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            program_fd: None,
            argv: Vec::new(),
            env: Vec::new(),
            cwd: WorkDir::Inherit,
            stdin: None,
            stdout: None,
            stderr: None,
            new_session: false,
            process_group: None,
            cgroup: None,
            limits: &[],
        }
    }

    /// Starts the program. Returns when the program runs or is known not to.
    ///
    /// # Errors
    /// [`SpawnError`] with the step that failed; the child, if there was one, is reaped.
    pub fn spawn(&self) -> Result<Spawned, SpawnError> {
        match self.start(Way::Best) {
            // Seen on Linux 6.18: a child that is cloned into a cgroup on which `cgroup.kill` was used before is
            // killed at birth. Nothing of it ran, and a child that moves in by `cgroup.procs` lives.
            Err(error) if self.cgroup.is_some() && error.stage == STILLBORN => self.start(Way::Legacy),
            other => other,
        }
    }

    /// Whether `clone3(2)` can start this child, in its cgroup if it has one. The program must not exist.
    pub(super) fn clone3_works(&self) -> bool {
        self.start(Way::Clone3).is_err_and(|error| error.stage == "exec")
    }

    fn start(&self, way: Way) -> Result<Spawned, SpawnError> {
        let prepare = |error: io::Error| self.error("prepare", errno_of(&error));
        let program = c_string(self.program.as_os_str()).map_err(prepare)?;
        let argv = if self.argv.is_empty() {
            vec![program.clone()]
        } else {
            self.argv
                .iter()
                .map(|text| c_string(text))
                .collect::<io::Result<Vec<_>>>()
                .map_err(prepare)?
        };
        let env = self.env.iter().map(|(name, value)| variable(name, value));
        let env = env.collect::<io::Result<Vec<_>>>().map_err(prepare)?;
        let (cwd_fd, cwd_path) = match &self.cwd {
            WorkDir::Inherit => (None, None),
            WorkDir::Dir(fd) => (Some(*fd), None),
            WorkDir::Path(path) => (None, Some(c_string(path.as_os_str()).map_err(prepare)?)),
        };
        let stdio = [self.stdin, self.stdout, self.stderr];
        let null = if stdio.iter().all(Option::is_some) {
            None
        } else {
            Some(null_device().map_err(prepare)?)
        };
        let null = null.as_ref().map(AsFd::as_fd);
        let mut held = Vec::new();
        for fd in stdio {
            let fd = fd.or(null).ok_or_else(|| self.error("prepare", libc::EBADF))?;
            held.push(High::of(fd).map_err(prepare)?);
        }
        let [stdin, stdout, stderr] = held.as_slice() else {
            return Err(self.error("prepare", libc::EBADF));
        };
        let cwd_fd = cwd_fd.map(High::of).transpose().map_err(prepare)?;
        let program_fd = self.program_fd.map(High::of).transpose().map_err(prepare)?;
        let (reader, writer) = io::pipe().map_err(prepare)?;
        let report = High::of(writer.as_fd()).map_err(prepare)?;
        let group = self.process_group.map(libc::pid_t::try_from).transpose();
        let limits: Vec<raw::RawLimit> = self.limits.iter().map(raw_limit).collect();
        let (argv, envp) = (raw::StringArray::new(&argv), raw::StringArray::new(&env));
        let plan = raw::Plan::new(&raw::PlanParts {
            program: &program,
            program_fd: program_fd.as_ref().map(High::as_fd),
            argv: &argv,
            envp: &envp,
            stdio: [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()],
            cwd_fd: cwd_fd.as_ref().map(High::as_fd),
            cwd_path: cwd_path.as_deref(),
            new_session: self.new_session,
            process_group: group.map_err(|_| self.error("prepare", libc::EINVAL))?,
            limits: &limits,
            report: report.as_fd(),
        });
        let made = self.clone_child(plan, way)?;
        drop(report);
        drop(writer);
        self.outcome(made, reader)
    }

    /// Makes the child, by the best call the system allows.
    fn clone_child(&self, plan: raw::Plan<'_>, way: Way) -> Result<(i32, PidFd), SpawnError> {
        let refused = |error: &io::Error| matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM));
        let failed = |error: io::Error| self.error("clone", errno_of(&error));
        let blocked = signals::block_all().map_err(failed)?;
        if way != Way::Legacy {
            match raw::clone3(&plan, self.cgroup.map(AsFd::as_fd)) {
                Ok((pid, fd)) => return Ok((pid, PidFd::from_owned(fd))),
                Err(error) if refused(&error) && way == Way::Best => {}
                Err(error) => return Err(failed(error)),
            }
        }
        let procs = self.cgroup.map(Cgroup::open_procs).transpose();
        let procs = procs.map_err(|error| self.error("cgroup", errno_of(&error)))?;
        let procs = procs
            .as_ref()
            .map(|fd| High::of(fd.as_fd()))
            .transpose()
            .map_err(failed)?;
        let mut plan = plan;
        if let Some(procs) = &procs {
            plan.join(procs.as_fd());
        }
        let (pid, fd) = raw::clone_legacy(&plan).map_err(failed)?;
        drop(blocked);
        Ok((pid, PidFd::from_owned(fd)))
    }

    /// Reads the error pipe. After the child's word that it is ready, end-of-file means that the program
    /// started, as exec closed the other end; without that word the child died before it could do anything.
    fn outcome(&self, (pid, pidfd): (i32, PidFd), reader: io::PipeReader) -> Result<Spawned, SpawnError> {
        let mut bytes = Vec::with_capacity(RECORD * 2);
        // A failed read leaves less than a record, and that is dealt with below.
        let _read = reader.take(RECORD as u64 * 2).read_to_end(&mut bytes);
        let mut failure = Some((STILLBORN, libc::ECANCELED));
        for record in bytes.chunks_exact(RECORD) {
            let word = |at: usize| {
                let word = record.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
                word.map_or(0, i32::from_ne_bytes)
            };
            let stage = usize::try_from(word(0)).ok().and_then(|at| raw::STAGES.get(at));
            failure = (word(0) != raw::READY).then(|| (*stage.unwrap_or(&"exec"), word(4)));
        }
        let Some((stage, errno)) = failure else {
            return Ok(Spawned {
                pid: pid.unsigned_abs(),
                pidfd,
            });
        };
        // The child ends right after its report; it must not stay as a zombie.
        drop(pidfd.wait());
        Err(self.error(stage, errno))
    }

    fn error(&self, stage: &'static str, errno: i32) -> SpawnError {
        let kind = match errno {
            libc::ENOENT | libc::ENOTDIR => SpawnErrorKind::NotFound,
            libc::EACCES if stage == "exec" && self.program_is_dir() => SpawnErrorKind::IsDirectory,
            libc::EISDIR => SpawnErrorKind::IsDirectory,
            libc::EACCES | libc::EPERM => SpawnErrorKind::Permission,
            libc::ENOEXEC => SpawnErrorKind::NotExecutable,
            libc::EAGAIN | libc::ENOMEM | libc::EMFILE | libc::ENFILE => SpawnErrorKind::Resource,
            libc::EINVAL | libc::E2BIG if stage != "clone" => SpawnErrorKind::Invalid,
            _ => SpawnErrorKind::Other,
        };
        SpawnError {
            stage,
            errno,
            kind,
            program: self.program.clone(),
        }
    }

    fn program_is_dir(&self) -> bool {
        match (&self.program_fd, &self.cwd) {
            (Some(fd), _) => nix::sys::stat::fstat(fd).is_ok_and(|stat| {
                stat.st_mode & nix::sys::stat::SFlag::S_IFMT.bits() == nix::sys::stat::SFlag::S_IFDIR.bits()
            }),
            (None, WorkDir::Path(base)) => base.join(&self.program).is_dir(),
            (None, _) => self.program.is_dir(),
        }
    }
}

/// Which call makes the child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// `clone3`, or the old call where a filter refuses it.
    Best,
    /// `clone3` or nothing.
    Clone3,
    /// The old call at once.
    Legacy,
}

/// A descriptor above 2, so that filling 0 to 2 cannot overwrite it: the given one, or a copy.
enum High<'a> {
    Given(BorrowedFd<'a>),
    Copy(OwnedFd),
}

impl<'a> High<'a> {
    fn of(fd: BorrowedFd<'a>) -> io::Result<Self> {
        if fd.as_raw_fd() > 2 {
            return Ok(Self::Given(fd));
        }
        // `try_clone_to_owned` gives the lowest number above 2.
        fd.try_clone_to_owned().map(Self::Copy)
    }

    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Given(fd) => *fd,
            Self::Copy(fd) => fd.as_fd(),
        }
    }
}

fn null_device() -> io::Result<std::fs::File> {
    std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")
}

fn c_string(text: &OsStr) -> io::Result<CString> {
    CString::new(text.as_bytes()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

fn variable(name: &OsStr, value: &OsStr) -> io::Result<CString> {
    if name.is_empty() || name.as_bytes().contains(&b'=') {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    let mut text = name.to_owned();
    text.push("=");
    text.push(value);
    c_string(&text)
}

fn raw_limit((limit, soft, hard): &(Limit, u64, u64)) -> raw::RawLimit {
    raw::RawLimit {
        soft: *soft,
        hard: *hard,
        resource: number_of(*limit).into(),
    }
}

fn errno_of(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EIO)
}

#[cfg(test)]
mod tests;

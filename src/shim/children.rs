//! Child processes of the shim: how they are started, and what is kept of them until they end.
//!
//! Every child leads its own session and process group and has descriptors 0 to 2 and no other. It writes to files;
//! where secrets have to be hidden, to pipes whose end nobody waits for (W32).

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::mask::Masker;
use super::task::TaskKey;
use crate::model::Exit;
use crate::sys::cgroup::Cgroup;
use crate::sys::files::{Create, Dir};
use crate::sys::pidfd::{PidFd, WaitStatus};
use crate::sys::spawn::{Spawn, SpawnErrorKind, WorkDir};

/// Most bytes of standard error that go into an error's text (seed-spec 7.15).
const STDERR_TAIL: u64 = 1024;

/// What a child is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A command substitution: its standard output is the value.
    Substitution,
    /// A condition: only its exit counts.
    Condition,
    /// A command of the step.
    Main,
}

/// A child to be started.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) purpose: Purpose,
    pub(super) argv: Vec<String>,
    pub(super) env: Vec<(String, String)>,
    pub(super) cwd: PathBuf,
    /// Text of a script, and the position in `argv` that its path takes.
    pub(super) script: Option<(String, usize)>,
}

/// How a child ended.
#[derive(Debug, Clone)]
pub(super) struct ChildEnd {
    /// How it exited; none if it was never started.
    pub(super) exit: Option<Exit>,
    /// Standard output of a substitution.
    pub(super) output: String,
    /// Why it was not started, or the end of its standard error.
    pub(super) error: String,
}

impl ChildEnd {
    pub(super) fn not_started(error: String) -> Self {
        Self {
            exit: None,
            output: String::new(),
            error,
        }
    }
}

/// A running child.
#[derive(Debug)]
pub(super) struct Child {
    pub(super) pid: u32,
    pub(super) pidfd: PidFd,
    pub(super) task: TaskKey,
    pub(super) purpose: Purpose,
    output: Option<File>,
    errors: Option<(File, u64)>,
    script: Option<String>,
}

/// The two streams of a step's commands.
#[derive(Debug)]
pub(super) struct Streams {
    pub(super) stdout: File,
    pub(super) stderr: File,
}

/// What starting needs besides the request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) steps: Option<&'a Cgroup>,
    pub(super) log_dir: &'a Dir,
    pub(super) log_path: &'a str,
    /// Where the commands of a step write to, and the log that has their errors in the end.
    pub(super) streams: Option<&'a Streams>,
    pub(super) errors: Option<&'a File>,
    /// Makes the names of script files unique inside the attempt.
    pub(super) serial: u64,
}

impl Child {
    /// Starts a child.
    ///
    /// # Errors
    /// In words that name the program or directory, for the step's error.
    pub(super) fn start(task: TaskKey, request: Request, place: Place<'_>) -> Result<Self, String> {
        let Request {
            purpose,
            mut argv,
            env,
            cwd,
            script,
        } = request;
        check_working_dir(&cwd)?;
        let script = match script {
            Some((text, position)) => {
                let name = format!("script-{}", place.serial);
                write_script(place.log_dir, &name, &text)?;
                if let Some(slot) = argv.get_mut(position) {
                    *slot = format!("{}/{name}", place.log_path);
                }
                Some(name)
            }
            None => None,
        };
        let remove_script = |error: String| {
            if let Some(name) = &script {
                drop(place.log_dir.remove_file(name));
            }
            error
        };
        let scratch = |what: &str| scratch_file(what).map_err(|error| format!("{what}: {error}"));
        let (output, errors) = match (purpose, place.errors) {
            (Purpose::Main, Some(log)) => {
                let tail = log.try_clone().map_err(|error| format!("the log: {error}"))?;
                let length = tail.metadata().map(|data| data.len()).unwrap_or(0);
                (None, Some((tail, length)))
            }
            (Purpose::Substitution, _) => (Some(scratch("output")?), Some((scratch("errors")?, 0))),
            _ => (None, Some((scratch("errors")?, 0))),
        };
        let name = argv.first().cloned().unwrap_or_default();
        let program = find_program(&name, &env, &cwd).map_err(remove_script)?;
        let mut spawn = Spawn::new(&program);
        spawn.argv = argv.into_iter().map(OsString::from).collect();
        spawn.env = env
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        spawn.cwd = WorkDir::Path(cwd.clone());
        spawn.new_session = true;
        spawn.cgroup = place.steps;
        match (purpose, place.streams) {
            (Purpose::Main, Some(streams)) => {
                spawn.stdout = Some(streams.stdout.as_fd());
                spawn.stderr = Some(streams.stderr.as_fd());
            }
            _ => {
                spawn.stdout = output.as_ref().map(AsFd::as_fd);
                spawn.stderr = errors.as_ref().map(|(file, _)| file.as_fd());
            }
        }
        let spawned = spawn.spawn().map_err(|error| {
            let reason = match (error.stage, error.kind) {
                ("chdir", _) => format!("cannot enter the working directory {}: ", cwd.display()),
                (_, SpawnErrorKind::NotFound) => {
                    format!("cannot start {name}: its interpreter is missing: ")
                }
                (_, SpawnErrorKind::NotExecutable) => {
                    format!("cannot start {name}: no program of this system, and it has no #! line: ")
                }
                _ => format!("cannot start {name}: {}: ", error.stage),
            };
            remove_script(format!("{reason}{}", io::Error::from_raw_os_error(error.errno)))
        })?;
        Ok(Self {
            pid: spawned.pid,
            pidfd: spawned.pidfd,
            task,
            purpose,
            output,
            errors,
            script,
        })
    }

    /// What is left of it once it has exited. `limit` bounds a substitution's output, `masker` hides secrets in the end
    /// of standard error before that is cut.
    pub(super) fn finish(
        self,
        status: WaitStatus,
        log_dir: &Dir,
        limit: u64,
        masker: Option<&Masker>,
    ) -> ChildEnd {
        if let Some(name) = &self.script {
            drop(log_dir.remove_file(name));
        }
        let mut error = match &self.errors {
            Some((file, from)) => tail(file, *from, masker),
            None => String::new(),
        };
        let mut exit = exit_of(status);
        let output = match &self.output {
            Some(file) => match read_limited(file, limit) {
                Ok(text) => text,
                Err(reason) => {
                    error = reason;
                    exit = Exit::Code(1);
                    String::new()
                }
            },
            None => String::new(),
        };
        ChildEnd {
            exit: Some(exit),
            output,
            error,
        }
    }
}

/// The model's word for a wait status.
pub(super) fn exit_of(status: WaitStatus) -> Exit {
    match status {
        WaitStatus::Code(code) => Exit::Code(code),
        WaitStatus::Signal { signal, core } => Exit::Signal { signal, core },
    }
}

/// A file in memory that nobody can name: a substitution's output.
pub(super) fn scratch_file(name: &str) -> io::Result<File> {
    let name = std::ffi::CString::new(name)?;
    let fd = nix::sys::memfd::memfd_create(name.as_c_str(), nix::sys::memfd::MFdFlags::MFD_CLOEXEC)?;
    Ok(File::from(fd))
}

fn read_limited(file: &File, limit: u64) -> Result<String, String> {
    let length = file
        .metadata()
        .map_err(|error| format!("its output: {error}"))?
        .len();
    if length > limit {
        return Err(format!(
            "its output has {length} bytes; at most {limit} are allowed (max_output_size)"
        ));
    }
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    file.read_exact_at(&mut bytes, 0)
        .map_err(|error| format!("its output: {error}"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The end of what was written to a file behind `from`.
fn tail(file: &File, from: u64, masker: Option<&Masker>) -> String {
    let length = file.metadata().map(|data| data.len()).unwrap_or(0);
    // A secret that begins before the cut must be found as well.
    let before = masker.map_or(0, |masker| u64::try_from(masker.longest()).unwrap_or(u64::MAX));
    let start = |most: u64| length.saturating_sub(most).max(from);
    let size = |start: u64| usize::try_from(length.saturating_sub(start)).unwrap_or(0);
    let read_from = start(STDERR_TAIL.saturating_add(before));
    let mut bytes = vec![0; size(read_from)];
    match file.read_exact_at(&mut bytes, read_from) {
        Ok(()) => {
            let shown = masker.map(|masker| masker.end_of(&bytes, size(start(STDERR_TAIL))));
            String::from_utf8_lossy(&shown.unwrap_or(bytes)).trim().to_owned()
        }
        // The log was opened for appending only, or cut meanwhile: the error does without its text.
        Err(_) => String::new(),
    }
}

fn write_script(dir: &Dir, name: &str, text: &str) -> Result<(), String> {
    let write = || -> io::Result<()> {
        let file = dir.create_file(name, 0o700, Create::New)?;
        file.write_all_at(text.as_bytes(), 0)
    };
    write().map_err(|error| format!("cannot write the script {name}: {error}"))
}

fn check_working_dir(path: &Path) -> Result<(), String> {
    match std::fs::metadata(path) {
        Ok(data) if data.is_dir() => Ok(()),
        Ok(_) => Err(format!(
            "cannot use the working directory {}: it is not a directory",
            path.display()
        )),
        Err(error) => Err(format!(
            "cannot use the working directory {}: {error}",
            path.display()
        )),
    }
}

/// Makes the working directory as the job's user, with its parents, if it is missing (seed-spec 7.9).
pub(super) fn make_working_dir(path: &Path) -> Result<(), String> {
    if path.is_dir() {
        return Ok(());
    }
    let mut builder = std::fs::DirBuilder::new();
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o750);
    builder
        .recursive(true)
        .create(path)
        .map_err(|error| format!("cannot use the working directory {}: {error}", path.display()))
}

/// Finds the program like `execvp(3)`, in the child's own `PATH`, and says what is wrong with it before it is
/// started.
fn find_program(name: &str, env: &[(String, String)], cwd: &Path) -> Result<PathBuf, String> {
    if name.is_empty() {
        return Err(String::from("the command is empty"));
    }
    if name.contains('/') {
        let path = cwd.join(name);
        return match check_program(&path) {
            Ok(()) => Ok(path),
            Err(reason) => Err(format!("cannot start {name}: {reason}")),
        };
    }
    let path = env
        .iter()
        .rev()
        .find(|(key, _)| key == "PATH")
        .map(|(_, value)| value.as_str());
    let list = path.unwrap_or("/usr/local/bin:/usr/bin:/bin");
    let mut refused = None;
    for dir in list.split(':') {
        let path = if dir.is_empty() {
            cwd.join(name)
        } else {
            cwd.join(dir).join(name)
        };
        match check_program(&path) {
            Ok(()) => return Ok(path),
            Err(reason) if path.exists() => refused = refused.or(Some((path, reason))),
            Err(_) => {}
        }
    }
    match refused {
        Some((path, reason)) => Err(format!("cannot start {name}: {}: {reason}", path.display())),
        None => Err(format!("cannot start {name}: command not found in PATH={list}")),
    }
}

fn check_program(path: &Path) -> Result<(), String> {
    let data = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if data.is_dir() {
        return Err(String::from("it is a directory"));
    }
    if !data.is_file() || data.permissions().mode() & 0o111 == 0 {
        return Err(String::from(
            "it is not an executable file (chmod +x makes it one)",
        ));
    }
    nix::unistd::access(path, nix::unistd::AccessFlags::X_OK).map_err(|error| error.to_string())
}

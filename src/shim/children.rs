//! Child processes of the shim: how they are started, and what is kept of them until they end.
//!
//! Every child leads its own session and process group and has descriptors 0 to 2 and no other. It writes to files, or to
//! pipes whose end nobody waits for (W32), see [`super::taps`].

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::files;
use super::secrets::Cover;
use super::setup;
use super::taps::{Pipes, Tap};
use super::task::TaskKey;
use crate::model::{Cause, Exit};
use crate::sys::cgroup::Cgroup;
use crate::sys::files::{Create, Dir};
use crate::sys::pidfd::{PidFd, WaitStatus};
use crate::sys::spawn::{Spawn, SpawnErrorKind, WorkDir};
use crate::wire::shim::ShimSpec;

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
    /// How it exited; none if it was never started, or if that does not count any more: a substitution wrote too much.
    pub(super) exit: Option<Exit>,
    /// Standard output of a substitution.
    pub(super) output: String,
    /// Why there is no exit, or the end of its standard error.
    pub(super) error: String,
    /// What the kernel did meanwhile.
    pub(super) cause: Option<Cause>,
}

impl ChildEnd {
    /// It could not be started, perhaps because the kernel refused a fork.
    pub(super) fn not_started(error: String, cause: Option<Cause>) -> Self {
        Self {
            exit: None,
            output: String::new(),
            error: match cause {
                Some(cause) => format!("{error}; {cause}"),
                None => error,
            },
            cause,
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
    output: Option<Rc<Tap>>,
    errors: Errors,
    script: Option<String>,
}

/// Where the end of a child's standard error is found.
#[derive(Debug)]
enum Errors {
    /// In a log, behind this position.
    Log(File, u64),
    /// In what was kept of it.
    Kept(Rc<Tap>),
}

/// The two streams of a step's commands.
#[derive(Debug)]
pub(super) struct Streams {
    pub(super) stdout: File,
    pub(super) stderr: File,
}

/// Where a child writes to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Output<'a> {
    /// The streams of a step, and the log that has its errors in the end.
    Step { streams: &'a Streams, errors: &'a File },
    /// Pipes of its own.
    Own(&'a Pipes),
}

/// What starting needs besides the request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) steps: Option<&'a Cgroup>,
    pub(super) log_dir: &'a Dir,
    pub(super) log_path: &'a str,
    /// Where it writes to.
    pub(super) output: Output<'a>,
    /// What the job may use.
    pub(super) spec: &'a ShimSpec,
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
        let errors = match place.output {
            Output::Step { errors: log, .. } => {
                let tail = log.try_clone().map_err(|error| format!("the log: {error}"))?;
                let length = files::length(&tail);
                Errors::Log(tail, length)
            }
            Output::Own(pipes) => Errors::Kept(Rc::clone(&pipes.stderr.0)),
        };
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
        spawn.limits = &place.spec.limits.rlimits;
        let output = match place.output {
            Output::Step { streams, .. } => {
                spawn.stdout = Some(streams.stdout.as_fd());
                spawn.stderr = Some(streams.stderr.as_fd());
                None
            }
            Output::Own(pipes) => {
                spawn.stdout = pipes.stdout.as_ref().map(|(_, writer)| writer.as_fd());
                spawn.stderr = Some(pipes.stderr.1.as_fd());
                pipes.stdout.as_ref().map(|(tap, _)| Rc::clone(tap))
            }
        };
        let spawned = spawn.spawn().map_err(|error| {
            let cause = io::Error::from_raw_os_error(error.errno);
            let reason = match (error.stage, error.kind) {
                // EAGAIN; also from exec, if the user had too many processes when the shim became that user.
                (_, SpawnErrorKind::Resource) if cause.kind() == io::ErrorKind::WouldBlock => {
                    format!("cannot start {name}: {}: ", setup::crowded(place.spec))
                }
                ("chdir", _) => format!("cannot enter the working directory {}: ", cwd.display()),
                (_, SpawnErrorKind::NotFound) => {
                    format!("cannot start {name}: its interpreter is missing: ")
                }
                (_, SpawnErrorKind::NotExecutable) => {
                    format!("cannot start {name}: no program of this system, and it has no #! line: ")
                }
                _ => format!("cannot start {name}: {}: ", error.stage),
            };
            remove_script(format!("{reason}{cause}"))
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

    /// Whether this pipe has its standard output.
    pub(super) fn writes_to(&self, tap: &Rc<Tap>) -> bool {
        self.output.as_ref().is_some_and(|own| Rc::ptr_eq(own, tap))
    }

    /// What is left of it once it has exited. `limit` is the one of a substitution's output; `cover` says how secrets are
    /// hidden in the end of standard error, before that is cut.
    pub(super) fn finish(self, status: WaitStatus, log_dir: &Dir, limit: u64, cover: Cover<'_>) -> ChildEnd {
        if let Some(name) = &self.script {
            drop(log_dir.remove_file(name));
        }
        let mut error = self.errors.tail(cover);
        let mut exit = Some(exit_of(status));
        let mut output = String::new();
        if let Some(tap) = &self.output {
            tap.drain();
            if tap.is_too_much() {
                error =
                    format!("its output has more than the {limit} bytes that are allowed (max_output_size)");
                exit = None;
            } else {
                output = String::from_utf8_lossy(&tap.take_kept()).into_owned();
            }
        }
        ChildEnd {
            exit,
            output,
            error,
            cause: None,
        }
    }
}

impl Errors {
    fn tail(&self, cover: Cover<'_>) -> String {
        match self {
            Self::Log(file, from) => {
                let length = files::length(file);
                let start = length.saturating_sub(cover.tail_needs()).max(*from);
                let mut bytes = vec![0; usize::try_from(length.saturating_sub(start)).unwrap_or(0)];
                match file.read_exact_at(&mut bytes, start) {
                    Ok(()) => cover.tail(&bytes),
                    // The log was opened for appending only, or cut meanwhile: the error does without its text.
                    Err(_) => String::new(),
                }
            }
            Self::Kept(tap) => {
                tap.drain();
                cover.tail(&tap.take_kept())
            }
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

fn write_script(dir: &Dir, name: &str, text: &str) -> Result<(), String> {
    let write = || -> io::Result<()> {
        let file = dir.create_file(name, 0o700, Create::New)?;
        file.write_all_at(text.as_bytes(), 0).inspect_err(|_| {
            // On a full disk nothing of it is left either.
            drop(dir.remove_file(name));
        })
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

/// Makes the working directory as the job's user, with its parents, if it is missing (seed-spec 7.9). `base`, where the
/// DAG comes from, is not made: where a file system is not mounted nothing is to look as if it were, and an empty directory
/// of installed DAGs would say that all of them were removed.
pub(super) fn make_working_dir(path: &Path, base: &Path) -> Result<(), String> {
    if path.is_dir() {
        return Ok(());
    }
    if path.starts_with(base) && !base.is_dir() {
        return Err(format!(
            "cannot use the working directory {}: there is no directory {}",
            path.display(),
            base.display()
        ));
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

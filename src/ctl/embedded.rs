//! Starting a private daemon for a root directory where none answers.
//!
//! The daemon runs in a session of its own, tells `ready` on its standard output, and leaves by itself when no client
//! is connected and nothing is live. Its standard error goes to `proctord.log` in the root, so that a client that
//! ends does not take it away, and so that the reason of a failed start can be told.

use nix::fcntl::{Flock, FlockArg, OFlag};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::exit::Exit;
use super::failure::Failure;
use super::signals::{self, Signals};
use crate::sys::lock;
use crate::sys::spawn::{Spawn, Spawned, WorkDir};

/// Name of the daemon's program.
const PROGRAM: &str = "proctord";

/// Most of the daemon's last words that are told, in bytes.
const LAST_WORDS: u64 = 4096;

/// A private daemon that this process started.
#[derive(Debug)]
pub(super) struct Daemon {
    child: Spawned,
}

/// Only one client at a time finds out whether a daemon must be started for a root. Held by locking the root
/// directory itself (flock(2)), which needs no file and ends with the process.
#[derive(Debug)]
pub(super) struct Turn {
    _lock: Flock<File>,
}

impl Turn {
    /// Makes the root directory if there is none, and waits for the turn.
    pub(super) fn wait(root: &Path) -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::file("use the root directory", root, &error);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(root)
            .map_err(failed)?;
        let mut directory = File::open(root).map_err(failed)?;
        loop {
            match Flock::lock(directory, FlockArg::LockExclusive) {
                Ok(lock) => return Ok(Self { _lock: lock }),
                Err((back, nix::errno::Errno::EINTR)) => directory = back,
                Err((_, errno)) => return Err(failed(errno.into())),
            }
        }
    }
}

/// Waits until no daemon holds the lock of the root. False if none held it: then nothing has changed.
pub(super) fn wait_for_former(root: &Path) -> Result<bool, Failure> {
    let path = root.join("run/proctor/proctord.lock");
    let failed = |error: io::Error| Failure::file("look at", &path, &error);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(failed(error)),
    };
    if !lock::is_locked(file.as_fd()).map_err(failed)? {
        return Ok(false);
    }
    lock::wait_until_free(file.as_fd()).map_err(failed)?;
    Ok(true)
}

impl Daemon {
    /// Starts the daemon and waits until it is ready or has ended.
    pub(super) fn start(root: &Path) -> Result<Self, Failure> {
        Self::start_program(&find_program()?, root)
    }

    fn start_program(program: &Path, root: &Path) -> Result<Self, Failure> {
        let log_path = root.join("proctord.log");
        let mut log = OpenOptions::new()
            .create(true)
            .truncate(true)
            .read(true)
            .write(true)
            .mode(0o600)
            .custom_flags(OFlag::O_NOFOLLOW.bits())
            .open(&log_path)
            .map_err(|error| Failure::file("write", &log_path, &error))?;
        let (mut ready, stdout) =
            io::pipe().map_err(|error| Failure::system("cannot make a pipe", &error))?;
        let mut spawn = Spawn::new(program);
        spawn.argv = vec![program.into(), "--embedded".into(), "--root".into(), root.into()];
        spawn.env = std::env::vars_os().collect();
        spawn.stdout = Some(stdout.as_fd());
        spawn.stderr = Some(log.as_fd());
        spawn.new_session = true;
        // It must not keep the user's directory busy; all paths it gets are absolute.
        spawn.cwd = WorkDir::Path(PathBuf::from("/"));
        let child = spawn
            .spawn()
            .map_err(|error| Failure::new(Exit::Config, error.to_string()))?;
        drop(stdout);
        let mut said = Vec::new();
        // End-of-file comes when the daemon closes the pipe, or ends.
        ready
            .read_to_end(&mut said)
            .map_err(|error| Failure::system("cannot hear from the private daemon", &error))?;
        if said.starts_with(b"ready") {
            return Ok(Self { child });
        }
        let status = child.pidfd.wait();
        let why = last_words(&mut log).unwrap_or_default();
        let why = match (why.trim(), status) {
            ("", Ok(status)) => format!("{status:?}"),
            (why, _) => why.to_owned(),
        };
        Err(Failure::new(
            Exit::Unreachable,
            format!("the private daemon did not start: {why}"),
        )
        .with_hint(format!("its messages are in {}", log_path.display())))
    }

    /// Waits until the daemon has ended, or a signal came.
    pub(super) fn wait(self, signals: Option<&Signals>) -> io::Result<()> {
        let mut descriptors = vec![self.child.pidfd.as_fd()];
        descriptors.extend(signals.iter().flat_map(|signals| signals.descriptors()));
        loop {
            let ready = signals::wait(&descriptors, None)?;
            if ready.first() == Some(&true) {
                self.child.pidfd.reap()?;
                return Ok(());
            }
            if signals.is_some_and(|signals| !signals.take().is_empty()) {
                return Ok(());
            }
        }
    }
}

fn last_words(log: &mut File) -> io::Result<String> {
    let len = log.metadata()?.len();
    log.seek(SeekFrom::Start(len.saturating_sub(LAST_WORDS)))?;
    let mut bytes = Vec::new();
    log.take(LAST_WORDS).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The daemon beside the running program, so that both are of one release; else the first one in `PATH`.
fn find_program() -> Result<PathBuf, Failure> {
    let beside = std::env::current_exe()
        .ok()
        .and_then(|own| Some(own.parent()?.join(PROGRAM)));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path)
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join(PROGRAM));
    beside
        .into_iter()
        .chain(in_path)
        .find(|candidate| candidate.is_file())
        .ok_or_else(|| {
            Failure::new(
                Exit::Config,
                format!("cannot find {PROGRAM}, which is to run the DAG"),
            )
            .with_hint("install it beside proctorctl or in a directory of PATH")
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn program(dir: &Path, script: &str) -> PathBuf {
        let path = dir.join(PROGRAM);
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn a_daemon_that_says_ready_is_started_with_its_root_and_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let script = "echo \"$@\" > \"$3/args\"; echo ready; exec 1>&-; exit 0";
        let daemon = Daemon::start_program(&program(dir.path(), script), dir.path()).unwrap();
        daemon.wait(None).unwrap();
        let args = std::fs::read_to_string(dir.path().join("args")).unwrap();
        assert_eq!(args.trim(), format!("--embedded --root {}", dir.path().display()));
    }

    #[test]
    fn a_daemon_that_ends_first_tells_why() {
        let dir = tempfile::tempdir().unwrap();
        let program = program(dir.path(), "echo 'another daemon is here' >&2; exit 1");
        let failure = Daemon::start_program(&program, dir.path()).unwrap_err();
        assert_eq!(
            failure.message,
            "the private daemon did not start: another daemon is here"
        );
        assert_eq!(failure.exit, Exit::Unreachable);
    }

    #[test]
    fn a_missing_program_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let failure = Daemon::start_program(&dir.path().join("none"), dir.path()).unwrap_err();
        assert_eq!(failure.exit, Exit::Config);
    }

    #[test]
    fn the_root_is_made_for_its_user_only() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("a/b");
        let turn = Turn::wait(&root).unwrap();
        assert_eq!(
            std::fs::metadata(&root).unwrap().permissions().mode() & 0o777,
            0o700
        );
        drop(turn);
        drop(Turn::wait(&root).unwrap());
    }

    #[test]
    fn a_root_without_a_daemon_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(wait_for_former(dir.path()), Ok(false));
        std::fs::create_dir_all(dir.path().join("run/proctor")).unwrap();
        let path = dir.path().join("run/proctor/proctord.lock");
        std::fs::write(&path, "").unwrap();
        assert_eq!(wait_for_former(dir.path()), Ok(false));
        let held = lock::DaemonLock::acquire(&path).unwrap();
        let root = dir.path().to_owned();
        let waiter = std::thread::spawn(move || wait_for_former(&root));
        drop(held);
        // The waiter may have looked before or after the lock went; either way it comes back.
        assert!(waiter.join().unwrap().is_ok());
    }
}

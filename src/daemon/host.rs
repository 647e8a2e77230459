//! What the daemon finds on the machine, or makes there: directories, the shim, cgroups, the control socket, the log.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use super::boot::{Failure, because};
use crate::config::types::LogTarget;
use crate::config::{Config, Paths};
use crate::sys::files::Dir;
use crate::sys::{creds, socket};
use crate::telemetry::{self, Target, Telemetry};

/// Highest descriptor number that select(2) can take, and so the usual soft limit.
const SELECT_MAX: u64 = 1024;

/// Makes the directories that are missing. Those below a private root belong to the person who runs it.
pub(super) fn make_directories(paths: &Paths) -> Result<(), Failure> {
    for (path, mode) in [
        (paths.state.clone(), 0o755),
        (paths.runtime.clone(), 0o755),
        (paths.attempts(), 0o755),
        (paths.user_dags(), 0o755),
        (paths.work(), 0o711),
        (paths.sockets(), 0o755),
        (paths.proc_dir(), 0o755),
    ] {
        make_directory(&path, mode).map_err(because(path.display()))?;
    }
    Ok(())
}

fn make_directory(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    if !path.is_dir() {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(mode)
            .create(path)?;
    }
    Ok(())
}

/// Finds the shim: beside the daemon, or where packages put it. It stays open, so that an upgrade meanwhile
/// cannot mix versions.
pub(super) fn find_shim() -> Result<(std::fs::File, PathBuf), Failure> {
    let own = std::env::current_exe().map_err(because("the daemon's own path"))?;
    let beside = own.with_file_name("proctor-shim");
    let packaged = PathBuf::from("/usr/libexec/proctor/proctor-shim");
    for path in [&beside, &packaged] {
        if let Ok(file) = std::fs::File::open(path) {
            return Ok((file, path.clone()));
        }
    }
    let text = format!(
        "no proctor-shim at {} or {}",
        beside.display(),
        packaged.display()
    );
    Err(Failure::Other(text))
}

/// The control socket: given by systemd, or made here; with the device and inode of one that is made here, which
/// goes with the daemon. One that systemd holds stays, so that clients wait for the next daemon. Only the holder of
/// the daemon's lock comes so far, so a socket that is there is a dead daemon's.
pub(super) fn control_listener(
    config: &Config,
    given: Option<OwnedFd>,
) -> Result<(OwnedFd, Option<(u64, u64)>), Failure> {
    if let Some(listener) = given {
        return Ok((listener, None));
    }
    let path = config.paths.control_socket();
    if let Err(error) = Dir::open(&config.paths.runtime).and_then(|dir| dir.remove_file("control.sock"))
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(because(path.display())(error));
    }
    let listener = socket::listen(&path, config.control.socket_mode).map_err(because(path.display()))?;
    Ok((listener, socket_identity(&config.paths)))
}

fn socket_identity(paths: &Paths) -> Option<(u64, u64)> {
    Dir::open(&paths.runtime).ok()?.inode_of("control.sock").ok()?
}

/// Starts logging.
pub(super) fn start_log(config: &Config) -> Result<Telemetry, Failure> {
    let target = match config.log.target {
        LogTarget::Auto => Target::Auto,
        LogTarget::Journal => Target::Journal,
        LogTarget::Stderr => Target::Stderr,
        LogTarget::Json => Target::Json,
    };
    telemetry::init(&config.log.level, target, "proctord").map_err(|error| Failure::Other(error.to_string()))
}

/// Raises the daemon's own limit of open descriptors as far as it may: each live attempt takes five. Returns the
/// soft limit that jobs get instead: what it was, and 1024 at most where jobs of other users run.
pub(super) fn raise_open_files() -> Option<u64> {
    let limit = creds::Limit::OpenFiles;
    let (soft, hard) = creds::get_rlimit(limit).ok()?;
    if let Err(error) = creds::set_rlimit(limit, hard, hard) {
        tracing::warn!(%error, soft, "the limit of open files stays as it is");
        return None;
    }
    Some(if creds::effective_uid() == 0 {
        soft.min(SELECT_MAX)
    } else {
        soft
    })
}

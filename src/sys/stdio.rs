//! The standard descriptors of this process.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// Takes descriptor 0 as an owned, close-on-exec descriptor and puts the null device in its place: for a
/// process that is started with a socket there.
///
/// # Errors
/// `EBADF` if descriptor 0 is not open.
pub fn take_stdin() -> io::Result<OwnedFd> {
    let taken = io::stdin().as_fd().try_clone_to_owned()?;
    nix::unistd::dup2_stdin(OpenOptions::new().read(true).open("/dev/null")?)?;
    Ok(taken)
}

/// Puts the null device on descriptor 1: for a process whose parent waits for the end of what it has to say.
///
/// # Errors
/// When the null device cannot be opened.
pub fn silence_stdout() -> io::Result<()> {
    nix::unistd::dup2_stdout(OpenOptions::new().write(true).open("/dev/null")?)?;
    Ok(())
}

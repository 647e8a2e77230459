//! What the service manager hands over at the start (sd_listen_fds(3)): the control socket, and the process descriptors of
//! shims that the last daemon left with it.

use std::os::fd::OwnedFd;

use super::boot::{Failure, because};
use crate::sys::pidfd::PidFd;
use crate::sys::socket;

/// What came.
#[derive(Debug, Default)]
pub(super) struct Inherited {
    /// The control socket, which systemd listens on for us.
    pub(super) listener: Option<OwnedFd>,
    /// Descriptors of processes, in no order.
    pub(super) processes: Vec<PidFd>,
}

impl Inherited {
    /// Takes what this process was started with. What each is, it shows itself: names are the manager's affair.
    ///
    /// # Errors
    /// When something came that is neither.
    pub(super) fn take() -> Result<Self, Failure> {
        let mut came = Self::default();
        for number in sd_notify::listen_fds().map_err(because("the inherited descriptors"))? {
            let fd = socket::take_inherited(number)
                .map_err(because(format!("the inherited descriptor {number}")))?;
            let process = PidFd::from_owned(fd);
            if process.inode().is_ok() {
                came.processes.push(process);
            } else if came.listener.is_none() {
                let listener = socket::as_listener(process.into());
                came.listener =
                    Some(listener.map_err(because(format!("the inherited descriptor {number}")))?);
            }
        }
        Ok(came)
    }
}

//! Which process exactly: evidence that can be stored and compared after a restart.

use super::cgroup;
use super::pidfd::PidFd;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Read};
use std::sync::OnceLock;

/// This boot's random id, as text (`/proc/sys/kernel/random/boot_id`).
///
/// # Errors
/// When `/proc` is not mounted.
pub fn boot_id() -> io::Result<String> {
    /// It cannot change while a process lives.
    static BOOT_ID: OnceLock<String> = OnceLock::new();
    if let Some(known) = BOOT_ID.get() {
        return Ok(known.clone());
    }
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    Ok(BOOT_ID.get_or_init(|| text.trim().to_owned()).clone())
}

/// When process `pid` started, in clock ticks since boot (field 22 of `/proc/<pid>/stat`). Only meaningful
/// while a verified descriptor of that process shows that it is not reaped.
///
/// # Errors
/// `NotFound` if there is no such process.
pub fn start_ticks(pid: u32) -> io::Result<u64> {
    // The wanted field is within the first 512 bytes, and the kernel gives them with one read.
    let mut buffer = [0; 512];
    let len = File::open(format!("/proc/{pid}/stat"))?.read(&mut buffer)?;
    let text = buffer.get(..len).unwrap_or_default();
    // The name in parentheses may hold anything, so the fields are counted from the last parenthesis.
    let after = text
        .iter()
        .rposition(|byte| *byte == b')')
        .and_then(|end| text.get(end + 1..));
    let field = after.and_then(|rest| {
        let mut fields = rest
            .split(u8::is_ascii_whitespace)
            .filter(|field| !field.is_empty());
        std::str::from_utf8(fields.nth(19)?).ok()?.parse().ok()
    });
    field.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "unreadable /proc/<pid>/stat"))
}

/// The answer to "is this the process that was recorded?".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SameProcess {
    /// Certainly the same.
    Same,
    /// Certainly another one.
    Different,
    /// The evidence does not decide: never signal, never start again on this.
    Uncertain,
}

/// Evidence of who a process is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// The process number, for people; proves nothing.
    pub pid: u32,
    /// Its inode in pidfs (Linux 6.9): unique in one boot.
    pub pidfs_inode: Option<u64>,
    /// Start time in clock ticks since boot: necessary, never sufficient.
    pub start_ticks: Option<u64>,
    /// The boot it ran in.
    pub boot_id: String,
    /// Its cgroup in the v2 hierarchy.
    pub cgroup_id: Option<u64>,
}

impl ProcessIdentity {
    /// Reads the evidence of the process behind `fd`, which must have number `pid`.
    ///
    /// # Errors
    /// `NotFound` when the process is reaped, or the descriptor is of another process.
    pub fn read(fd: &PidFd, pid: u32) -> io::Result<Self> {
        let gone = || io::Error::new(io::ErrorKind::NotFound, format!("process {pid} is gone"));
        let info = fd.info()?;
        if info.pid != Some(pid) {
            return Err(gone());
        }
        let start_ticks = start_ticks(pid).ok();
        let cgroup_id = info.cgroup_id.or_else(|| cgroup::id_of_process(pid));
        // What was read under the number belongs to our process only if that was not reaped meanwhile.
        if fd.is_reaped()? {
            return Err(gone());
        }
        Ok(Self {
            pid,
            pidfs_inode: fd.inode().ok(),
            start_ticks,
            boot_id: boot_id()?,
            cgroup_id,
        })
    }

    /// Compares the recorded evidence with the process behind `fd`, strongest first. Start time and number
    /// alone never give [`SameProcess::Same`].
    #[must_use]
    pub fn compare(&self, fd: &PidFd) -> SameProcess {
        match boot_id() {
            Ok(now) if now != self.boot_id => return SameProcess::Different,
            Ok(_) => {}
            Err(_) => return SameProcess::Uncertain,
        }
        let Ok(info) = fd.info() else {
            return SameProcess::Uncertain;
        };
        let mut ticks = info.pid.and_then(|pid| start_ticks(pid).ok());
        let mut cgroup_id = info
            .cgroup_id
            .or_else(|| info.pid.and_then(cgroup::id_of_process));
        if fd.is_reaped().unwrap_or(true) {
            ticks = None;
            cgroup_id = info.cgroup_id;
        }
        let now = Evidence {
            inode: fd.inode().ok(),
            pid: info.pid,
            ticks,
            cgroup_id,
        };
        self.judge(&now)
    }

    fn judge(&self, now: &Evidence) -> SameProcess {
        let ticks_agree = agree(self.start_ticks, now.ticks);
        match agree(self.pidfs_inode, now.inode) {
            Some(false) => SameProcess::Different,
            // An inode that fits with a start time that does not means a damaged or forged record.
            Some(true) if ticks_agree == Some(false) => SameProcess::Uncertain,
            Some(true) => SameProcess::Same,
            None if ticks_agree == Some(false) || now.pid.is_some_and(|pid| pid != self.pid) => {
                SameProcess::Different
            }
            None if ticks_agree == Some(true) && agree(self.cgroup_id, now.cgroup_id) == Some(true) => {
                // The attempt's own cgroup holds nothing but the attempt's processes.
                SameProcess::Same
            }
            None => SameProcess::Uncertain,
        }
    }
}

/// What can be seen of a process now.
struct Evidence {
    inode: Option<u64>,
    pid: Option<u32>,
    ticks: Option<u64>,
    cgroup_id: Option<u64>,
}

fn agree(stored: Option<u64>, seen: Option<u64>) -> Option<bool> {
    Some(stored? == seen?)
}

#[cfg(test)]
mod tests;

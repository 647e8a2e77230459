//! Hostile input, hostile users and old mistakes: the tests T1 to T12 and T25 to T27, which stand for what has gone wrong in
//! other systems. Each has its number in its name.
//!
//! | test | what went wrong elsewhere | where it is |
//! |---|---|---|
//! | T1 | parts of paths swapped under chown, chmod and rm -r (CVE-2023-41914, CVE-2026-65109, CVE-2026-6959) | `paths`; `sys::files`; T1d, no owner or mode is changed by path, in `architecture` |
//! | T2 | a file with a mode that nobody meant (CVE-2016-10156) | `modes` |
//! | T3 | a file that is open to others for a moment | `modes`, with strace(1); `sys::socket` |
//! | T4 | abstract sockets (CVE-2020-15257) | `sockets` |
//! | T5 | acting on other users' jobs (CVE-2024-48936) | `others`, beside the verbs; each cell of role, verb and owner in `wire::access` and in the tests of users |
//! | T6 | adoption of foreign processes (CVE-2014-3684) | `adoption` |
//! | T7 | a process number from a file of the job's is killed (CVE-2018-16888) | `adoption` |
//! | T8 | journal, protocol and notifications that are not what they seem (CVE-2018-15686) | `records`; the journal at every byte in `journal` |
//! | T9 | invalid requests, giant arguments and environments (CVE-2026-65168) | `rubbish`, `fuzz`, `giants`; messages in `wire::codec` and `wire::json` |
//! | T10 | /proc read of a process that is another one by now (CVE-2025-4598) | `numbers`; that nothing else reads there, in `architecture` |
//! | T11 | number and start time forged (CVE-2019-6133) | `numbers`; each kind of evidence in `sys::identity` |
//! | T12 | a number that was used again is killed after a restart (Nomad) | `numbers` |
//! | T25 | line feeds, escape sequences and turned text in names and logs | `names`; characters in `telemetry::escape` and `ctl::render::escape` |
//! | T26 | links to a crontab stop its jobs, huge ones exhaust memory (CVE-2007-1856, CVE-2019-9704) | `limits`; sizes and counts in the tests of installed DAGs |
//! | T27 | predictable files in /tmp | `temporary` |
//!
//! What needs root, strace(1) or a kernel's feature is skipped where that is missing, and says so. Not run here, and why:
//! sysctls such as `fs.protected_hardlinks` are the machine's, and not switched off for a test. As root, who is exempt from
//! them, the tests make the links that users could make then. Devices are made in the tests of `sys::files` only: no user can
//! make one. T27's machine of its own is a mount namespace with an empty /tmp.

mod adoption;
mod fuzz;
mod giants;
mod limits;
mod modes;
mod names;
mod numbers;
mod others;
mod paths;
mod records;
mod rubbish;
mod sockets;
mod temporary;

use std::path::Path;
use std::process::{Child, Command};

use nix::sched::CloneFlags;
use proctor::sys::creds::User;
use proctor::sys::identity::ProcessIdentity;
use proctor::sys::pidfd::PidFd;
use serde_json::json;

use crate::helper::{Daemon, alive};

/// Runs something in a thread of its own. A panic in it goes on here.
fn in_thread<T: Send>(what: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| match scope.spawn(what).join() {
        Ok(found) => found,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

/// Runs something in a thread that shares with the others neither what the flags say nor umask and working directory.
/// Programs that it starts are apart like it. An error if that is not allowed.
fn apart<T: Send>(flags: CloneFlags, what: impl FnOnce() -> T + Send) -> Result<T, nix::errno::Errno> {
    in_thread(|| {
        nix::sched::unshare(flags | CloneFlags::CLONE_FS)?;
        Ok(what())
    })
}

/// Runs something in a thread that is another user, with no privileges and no further groups.
fn as_user<T: Send>(user: &User, what: impl FnOnce() -> T + Send) -> T {
    use rustix::process::{Gid, Uid};
    use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
    in_thread(|| {
        let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
        set_thread_groups(&[]).unwrap();
        set_thread_res_gid(gid, gid, gid).unwrap();
        set_thread_res_uid(uid, uid, uid).unwrap();
        what()
    })
}

/// A process that must live through a test, and is ended with it.
struct Bystander(Child);

impl Bystander {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new("sleep");
        command.arg("1000");
        change(&mut command);
        Self(command.spawn().unwrap())
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    fn identity(&self) -> ProcessIdentity {
        ProcessIdentity::read(&PidFd::open(self.pid()).unwrap(), self.pid()).unwrap()
    }

    fn expect_alive(&self, daemon: &Daemon) {
        assert!(
            alive(self.pid()),
            "a process of somebody else's was ended\n{}",
            daemon.log()
        );
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A step that runs until the file `go` is there. What comes before it is run first.
fn waiting(daemon: &Daemon, before: &str) -> String {
    let go = daemon.path("go");
    format!(
        "steps:\n  - name: a\n    script: |\n      {before}\n      while [ ! -e {} ]; do sleep 0.05; done\n",
        go.display()
    )
}

/// Asks for a run to be stopped, and waits for nothing but that this is recorded.
fn ask_to_stop(daemon: &Daemon, run: &str) {
    let (dag, id) = run.split_once(':').unwrap();
    daemon
        .control()
        .ask(&json!({"stop": {"run": {"dag": dag, "run": id}}}));
}

/// Everything about a file that somebody could have changed: what is in it, and its mode, owners and times.
type State = (Vec<u8>, [i64; 6]);

fn state_of(path: &Path) -> State {
    use std::os::unix::fs::MetadataExt;
    let about = std::fs::symlink_metadata(path).unwrap();
    let content = if about.is_file() {
        std::fs::read(path).unwrap()
    } else {
        Vec::new()
    };
    let numbers = [
        i64::from(about.mode()),
        i64::from(about.uid()),
        i64::from(about.gid()),
        about.mtime_nsec(),
        about.ctime(),
        about.ctime_nsec(),
    ];
    (content, numbers)
}

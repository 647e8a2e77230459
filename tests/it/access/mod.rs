//! Who may use the daemon, and for what: the lists of the configuration, and every cell of role, verb and owner.

mod lists;
mod matrix;
mod seen;
mod status;

use std::os::unix::net::UnixStream;
use std::path::Path;

use proctor::sys::creds::User;
use rustix::process::{Gid, Uid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use crate::helper::{Control, Daemon, is_root, skip};
use crate::users::open_up;

/// Users of the machine that are not root: Ann and Bob have runs, the admin is of the admin group.
pub(crate) struct People {
    pub(crate) ann: User,
    pub(crate) bob: User,
    pub(crate) admin: User,
}

/// None where the tests cannot be other users.
pub(crate) fn people() -> Option<People> {
    if !is_root() {
        skip("only root can be other users");
        return None;
    }
    match ["daemon", "nobody", "bin"].map(User::by_name) {
        [Ok(ann), Ok(bob), Ok(admin)] => Some(People { ann, bob, admin }),
        _ => {
            skip("there are no users daemon, nobody and bin");
            None
        }
    }
}

impl People {
    /// A configuration in which everybody may connect, and the admin's primary group is the admin group.
    pub(crate) fn config(&self) -> String {
        let group = User::by_name("bin").map(|user| user.name).unwrap();
        format!("[control]\nsocket_mode = \"0666\"\n[access]\nadmin_group = \"{group}\"\n")
    }
}

/// A daemon with this configuration that every user can find the way to.
pub(crate) fn open_world(config: &str) -> Daemon {
    let mut daemon = Daemon::prepare(config);
    daemon.dag("who", "steps: [{name: a, command: \"true\"}]");
    open_up(&daemon, &User::by_uid(0).unwrap());
    daemon.restart();
    daemon
}

/// Does something as a user: on a thread of its own, so that nothing else of the tests is that user.
pub(crate) fn as_user<T: Send + 'static>(user: &User, act: impl FnOnce() -> T + Send + 'static) -> T {
    let user = user.clone();
    let acting = std::thread::spawn(move || {
        let groups: Vec<Gid> = user.groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
        let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
        set_thread_groups(&groups).unwrap();
        set_thread_res_gid(gid, gid, gid).unwrap();
        set_thread_res_uid(uid, uid, uid).unwrap();
        act()
    });
    acting.join().unwrap()
}

/// A connection of a user's process to a socket, as the kernel tells the other side.
pub(crate) fn connect_as(user: &User, path: &Path) -> UnixStream {
    let path = path.to_owned();
    as_user(user, move || UnixStream::connect(path).unwrap())
}

/// A connection of a user's to the control socket that speaks JSON.
pub(crate) fn control_as(user: &User, daemon: &Daemon) -> Control {
    Control::over(connect_as(user, &daemon.path("run/proctor/control.sock")))
}

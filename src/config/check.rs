//! Settings that are legal and unwise.

use std::fmt;
use std::path::Path;

use super::types::Config;
use crate::sys::creds::{CredsError, User, group_gid};

/// A setting that is legal and probably not what was meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The key, with its table: `proc.stale_after_sec`.
    pub key: &'static str,
    /// Why it is unwise and what to do instead.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.message)
    }
}

impl Config {
    /// Everything legal and unwise about the configuration. It looks at nothing else but the programs and users of hooks and the
    /// names of `[access]`: whether
    /// the admin group or the directories exist, the daemon finds out. The defaults have no warnings.
    #[must_use]
    pub fn check(&self) -> Vec<Warning> {
        let mut found = Vec::new();
        let mut warn = |key, message: &str| {
            found.push(Warning {
                key,
                message: message.to_owned(),
            });
        };
        self.check_liveness(&mut warn);
        self.check_jobs(&mut warn);
        self.check_places(&mut warn);
        if !self.paths.private && self.control.socket_mode & 0o022 == 0 {
            warn(
                "control.socket_mode",
                "only the daemon's own user can connect; the daemon decides by the caller's identity, so \"0666\" is safe",
            );
        }
        self.hooks.check(&mut found);
        self.log.check(&mut found);
        self.metrics.check(&mut found);
        self.check_access(&mut found);
        found
    }

    /// A name that nobody has is not an error: who has it may come, as with a directory service that is not up yet.
    fn check_access(&self, found: &mut Vec<Warning>) {
        let access = &self.access;
        let no_user = |name: &String| match User::by_name(name) {
            Err(error @ (CredsError::NoSuchName(_) | CredsError::BadName(_))) => Some(error.to_string()),
            _ => None,
        };
        let no_group = |name: &String| match group_gid(name) {
            Err(error @ (CredsError::NoSuchGroup(_) | CredsError::BadName(_))) => Some(error.to_string()),
            _ => None,
        };
        let mut missing = |key, wrong: Vec<String>| {
            if !wrong.is_empty() {
                let message = format!("{}; make it, or correct the name", wrong.join(", "));
                found.push(Warning { key, message });
            }
        };
        missing(
            "access.allow_users",
            access.allow_users.iter().filter_map(no_user).collect(),
        );
        missing(
            "access.deny_users",
            access.deny_users.iter().filter_map(no_user).collect(),
        );
        missing(
            "access.allow_groups",
            access.allow_groups.iter().filter_map(no_group).collect(),
        );
        missing(
            "access.deny_groups",
            access.deny_groups.iter().filter_map(no_group).collect(),
        );
        for (key, lists) in [
            ("access.deny_users", [&access.allow_users, &access.deny_users]),
            ("access.deny_groups", [&access.allow_groups, &access.deny_groups]),
        ] {
            let both: Vec<&str> = lists[0].intersection(lists[1]).map(String::as_str).collect();
            if !both.is_empty() {
                let message = format!("also allowed, which has no effect: {}", both.join(", "));
                found.push(Warning { key, message });
            }
        }
        let denied = access
            .deny_users
            .contains("root")
            .then_some("root has no effect: root always may");
        found.extend(denied.map(|message| Warning {
            key: "access.deny_users",
            message: message.to_owned(),
        }));
    }

    fn check_liveness(&self, warn: &mut impl FnMut(&'static str, &str)) {
        let proc = &self.proc;
        if proc.stale_after_sec < 3.0 * proc.heartbeat_interval_sec {
            warn(
                "proc.stale_after_sec",
                "two late heartbeats are enough to look stalled; use at least three times heartbeat_interval_sec",
            );
        }
        if proc.heartbeat_interval_sec < 1.0 {
            warn(
                "proc.heartbeat_interval_sec",
                "heartbeats count whole seconds, so beating more than once a second only costs writes",
            );
        }
        if proc.stop_stalled_after_sec > 0.0 && proc.stop_stalled_after_sec < proc.stale_after_sec {
            warn(
                "proc.stop_stalled_after_sec",
                "less than proc.stale_after_sec: a pause of the machine that makes attempts look stalled may end them, too",
            );
        }
        let queue = &self.queue;
        if queue.max_active_runs == 0 && queue.max_live_attempts == 0 {
            warn(
                "queue.max_live_attempts",
                "nothing limits how many attempts are live, since queue.max_active_runs is 0, too; set one of the two",
            );
        }
        let total = queue.max_live_attempts;
        let above: Vec<&str> = queue
            .named
            .iter()
            .filter(|(_, limit)| total != 0 && **limit > total)
            .map(|(name, _)| name.as_str())
            .collect();
        if !above.is_empty() {
            let message = format!(
                "larger than queue.max_live_attempts ({total}), so never reached, in: {}",
                above.join(", ")
            );
            warn("queues.NAME.max_active_runs", &message);
        }
        if total != 0 && queue.max_active_runs > total {
            warn(
                "queue.max_active_runs",
                "larger than queue.max_live_attempts, so never reached",
            );
        }
    }

    fn check_jobs(&self, warn: &mut impl FnMut(&'static str, &str)) {
        let job = &self.job;
        if job.path.split(':').any(|part| !part.starts_with('/')) {
            warn(
                "job.path",
                "a part that is empty or relative means the job's current directory, where anybody may have put a program",
            );
        }
        if job.umask & 0o002 == 0 {
            warn(
                "job.umask",
                "files that jobs make can be written by everybody; use \"022\"",
            );
        }
        if job.umask & 0o700 != 0 {
            warn("job.umask", "jobs cannot use the files they make; use \"022\"");
        }
        if job.inherit_environment == Some(true) && !self.paths.private {
            warn(
                "job.inherit_environment",
                "every user's jobs see the daemon's environment, secrets included; name what they need in job.environment",
            );
        }
        for name in job.environment.keys() {
            if name == "PATH" {
                warn("job.environment", "PATH hides job.path; set job.path instead");
            } else if name.starts_with("LD_") {
                let message = format!("{name} changes the code of every program that every job runs");
                warn("job.environment", &message);
            }
        }
    }

    fn check_places(&self, warn: &mut impl FnMut(&'static str, &str)) {
        // sun_path holds 107 bytes; the name of a status socket takes "/attempts/", 16 digits and ".sock".
        if self.paths.runtime.as_os_str().len() > 107 - 31 {
            warn(
                "paths.runtime",
                "longer than 76 bytes: proctorctl can connect, but other programs cannot name sockets in it",
            );
        }
        let shared = ["/tmp", "/var/tmp", "/dev/shm"];
        if !self.paths.private {
            for (key, path) in [
                ("paths.dags", &self.paths.dags),
                ("paths.base", &self.paths.base),
                ("paths.state", &self.paths.state),
                ("paths.runtime", &self.paths.runtime),
            ] {
                if shared.iter().any(|dir| path.starts_with(dir)) {
                    warn(
                        key,
                        "everybody can make the directory before the daemon does; use one that root owns",
                    );
                }
            }
        }
        if [Path::new("/run"), Path::new("/var/run")]
            .iter()
            .any(|run| self.paths.state.starts_with(run))
        {
            warn(
                "paths.state",
                "a reboot deletes it, and with it every queued run; use a place on disk",
            );
        }
        if !self.cgroup.enabled {
            warn(
                "cgroup.enabled",
                "without cgroups a process that leaves its session outlives a stop, and resource limits do nothing",
            );
            if self.cgroup.parent.is_some() {
                warn("cgroup.parent", "has no effect, since cgroup.enabled is false");
            }
        }
    }
}

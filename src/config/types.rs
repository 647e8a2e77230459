//! The configuration as the daemon uses it: every default filled in.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::{Hooks, Metrics, Paths};
use crate::model::{GroupName, Resources, StepOutput};

/// The whole configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Where things are.
    pub paths: Paths,
    /// Heartbeats.
    pub proc: Proc,
    /// How many attempts may be live.
    pub queue: Queue,
    /// When schedules are due.
    pub schedule: Schedule,
    /// What jobs get.
    pub job: Job,
    /// Clients and protocols.
    pub control: Control,
    /// Who may do what.
    pub access: Access,
    /// The cgroup attempts get theirs in.
    pub cgroup: Cgroup,
    /// What a shutdown does.
    pub shutdown: Shutdown,
    /// Commands for operators.
    pub hooks: Hooks,
    /// How long ended runs are kept.
    pub retention: Retention,
    /// Logging.
    pub log: Log,
    /// Where metrics can be read.
    pub metrics: Metrics,
}

/// `[proc]`: heartbeats.
#[derive(Debug, Clone, PartialEq)]
pub struct Proc {
    /// Seconds between two heartbeats of a shim; 0.1 to 3600.
    pub heartbeat_interval_sec: f64,
    /// Age in seconds at which a heartbeat is stale; more than the interval.
    pub stale_after_sec: f64,
    /// Seconds after which a stalled attempt is stopped; 0 only reports it.
    pub stop_stalled_after_sec: f64,
}

/// `[queue]` and `[queues.NAME]`: how many attempts may be live.
#[derive(Debug, Clone, PartialEq)]
pub struct Queue {
    /// Most live runs of a DAG that says nothing itself; 0 is no limit.
    pub max_active_runs: u32,
    /// Most live attempts in all; 0 is no limit.
    pub max_live_attempts: u32,
    /// Named queues: most live runs of each; 0 is no limit.
    pub named: BTreeMap<GroupName, u32>,
}

/// `[schedule]`: when schedules are due.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Schedule {
    /// Name of the time zone of schedules that name none, as the IANA database has it; empty is that of the machine.
    pub time_zone: String,
}

/// `[job]`: what jobs get.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Shell of steps that name none and whose DAG names none; empty takes `SHELL` of an inherited environment,
    /// else `/bin/sh`.
    pub default_shell: String,
    /// `PATH` of jobs with a clean environment.
    pub path: String,
    /// Whether jobs inherit the daemon's environment; none is: only those of a daemon that is not root or that
    /// serves a private root.
    pub inherit_environment: Option<bool>,
    /// Further environment of every job.
    pub environment: BTreeMap<String, String>,
    /// File mode creation mask.
    pub umask: u32,
    /// Whether jobs can never gain privileges (set-user-ID programs such as sudo then fail).
    pub no_new_privs: bool,
    /// What attempts may use whose DAG says nothing, and the most that those of users may ask for.
    pub limits: Resources,
}

/// `[control]`: clients and protocols.
#[derive(Debug, Clone, PartialEq)]
pub struct Control {
    /// Most clients of the control socket at a time.
    pub max_clients: u32,
    /// Most clients of an attempt's status socket at a time.
    pub max_status_clients: u32,
    /// File mode of the control socket.
    pub socket_mode: u32,
    /// Seconds a client may take for its hello or to read an answer.
    pub client_timeout_sec: f64,
}

/// `[access]`: who may do what.
#[derive(Debug, Clone, PartialEq)]
pub struct Access {
    /// Members of this group may do everything but repair and reload; empty is nobody.
    pub admin_group: String,
    /// Users that alone may start anything, beside those of `allow_groups`; if both are empty everybody may. Names.
    pub allow_users: BTreeSet<String>,
    /// Users that may start nothing, whoever allows it. Names.
    pub deny_users: BTreeSet<String>,
    /// Groups whose members may start something, as `allow_users` has it. Names.
    pub allow_groups: BTreeSet<String>,
    /// Groups whose members may start nothing, whoever allows it. Names.
    pub deny_groups: BTreeSet<String>,
}

impl Access {
    /// Whether everybody may start something: no list names anybody.
    #[must_use]
    pub fn is_open(&self) -> bool {
        [
            &self.allow_users,
            &self.deny_users,
            &self.allow_groups,
            &self.deny_groups,
        ]
        .iter()
        .all(|list| list.is_empty())
    }
}

/// `[cgroup]`: the cgroup attempts get theirs in.
#[derive(Debug, Clone, PartialEq)]
pub struct Cgroup {
    /// Whether cgroups are used where they can be.
    pub enabled: bool,
    /// Directory of a cgroup2 mount; none is the daemon's own cgroup.
    pub parent: Option<PathBuf>,
    /// Whether an attempt does not start if a limit of its cgroup cannot be enforced.
    pub require_limits: bool,
}

/// `[shutdown]`: what a shutdown does.
#[derive(Debug, Clone, PartialEq)]
pub struct Shutdown {
    /// What happens to live attempts.
    pub attempts: OnShutdown,
    /// Seconds after which attempts that are being stopped are left to end by themselves; 1 to 86400.
    pub wait_sec: f64,
}

/// What a shutdown does to live attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnShutdown {
    /// They go on, and the next daemon adopts them.
    Keep,
    /// They are stopped, and the daemon leaves when they have ended.
    Stop,
}

/// `[retention]`: how long ended runs are kept whose DAG says nothing about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Whether old runs are removed without being asked for it.
    pub enabled: bool,
    /// Days after their end for which runs are kept; 0 is for ever.
    pub days: u32,
    /// How many runs of a DAG are kept, the newest; 0 is all.
    pub runs: u32,
}

/// `[log]`: logging.
#[derive(Debug, Clone, PartialEq)]
pub struct Log {
    /// Filter: `error`, `warn`, `info`, `debug`, `trace`, or per module as tracing has it.
    pub level: String,
    /// Where to.
    pub target: LogTarget,
    /// Whether the start, the tries and the end of each step are logged; that a step failed is anyway.
    pub steps: bool,
    /// Where what steps write goes.
    pub step_output: StepOutput,
    /// The socket of the journal that gets it, with the journal's native protocol.
    pub journal_socket: PathBuf,
}

/// Where the log goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogTarget {
    /// The journal if the daemon was started with it, else standard error.
    Auto,
    /// The systemd journal.
    Journal,
    /// Standard error, as text.
    Stderr,
    /// Standard error, one JSON object a line.
    Json,
}

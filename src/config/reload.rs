//! The values in effect, one by one, and what a reload can change.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::keys::{Effect, effect_of};
use super::limits;
use super::types::{Access, Cgroup, Config, Control, Job, OnShutdown, Proc, Queue};
use super::types::{Retention, Schedule, Shutdown};

/// What a reload does.
#[derive(Debug, Clone, PartialEq)]
pub struct Reload {
    /// The configuration to go on with: the new one, but with the old values of what needs a restart.
    pub config: Config,
    /// The keys whose new values are in `config`.
    pub applied: Vec<String>,
    /// The keys whose new values wait for the next start.
    pub needs_restart: Vec<String>,
}

impl Config {
    /// Every value in effect, as TOML, by the whole name of its key. The names of queues and of environment
    /// variables are part of the keys. Values of environment variables may be secrets: show them to
    /// administrators only.
    #[must_use]
    pub fn entries(&self) -> BTreeMap<String, String> {
        // Every struct is taken apart by name, so that a new field cannot be forgotten here.
        let Self {
            paths,
            proc:
                Proc {
                    heartbeat_interval_sec,
                    stale_after_sec,
                    stop_stalled_after_sec,
                },
            queue:
                Queue {
                    max_active_runs,
                    max_live_attempts,
                    named,
                },
            schedule: Schedule { time_zone },
            job,
            control:
                Control {
                    max_clients,
                    max_status_clients,
                    socket_mode,
                    client_timeout_sec,
                },
            access:
                Access {
                    admin_group,
                    allow_users,
                    deny_users,
                    allow_groups,
                    deny_groups,
                },
            cgroup:
                Cgroup {
                    enabled,
                    parent,
                    require_limits,
                },
            shutdown: Shutdown { attempts, wait_sec },
            hooks,
            retention:
                Retention {
                    enabled: retains,
                    days,
                    runs,
                },
            log,
            metrics,
        } = self;
        let mut all = BTreeMap::new();
        let mut put = |key: &str, value: String| {
            all.insert(key.to_owned(), value);
        };
        put("paths.dags", path(&paths.dags));
        put("paths.base", path(&paths.base));
        put("paths.state", path(&paths.state));
        put("paths.runtime", path(&paths.runtime));
        put("proc.heartbeat_interval_sec", heartbeat_interval_sec.to_string());
        put("proc.stale_after_sec", stale_after_sec.to_string());
        put("proc.stop_stalled_after_sec", stop_stalled_after_sec.to_string());
        put("queue.max_active_runs", max_active_runs.to_string());
        put("queue.max_live_attempts", max_live_attempts.to_string());
        for (name, limit) in named {
            put(&format!("queues.{name}.max_active_runs"), limit.to_string());
        }
        put("schedule.time_zone", quoted(time_zone));
        job_entries(job, &mut put);
        put("control.max_clients", max_clients.to_string());
        put("control.max_status_clients", max_status_clients.to_string());
        put("control.socket_mode", mode(*socket_mode));
        put("control.client_timeout_sec", client_timeout_sec.to_string());
        put("access.admin_group", quoted(admin_group));
        put("access.allow_users", names(allow_users));
        put("access.deny_users", names(deny_users));
        put("access.allow_groups", names(allow_groups));
        put("access.deny_groups", names(deny_groups));
        put("cgroup.enabled", enabled.to_string());
        put("cgroup.parent", path(parent.as_deref().unwrap_or(Path::new(""))));
        put("cgroup.require_limits", require_limits.to_string());
        let word = match attempts {
            OnShutdown::Keep => "keep",
            OnShutdown::Stop => "stop",
        };
        put("shutdown.attempts", quoted(word));
        put("shutdown.wait_sec", wait_sec.to_string());
        hooks.entries(&mut put);
        put("retention.enabled", retains.to_string());
        put("retention.days", days.to_string());
        put("retention.runs", runs.to_string());
        log.entries(&mut put);
        metrics.entries(&mut put);
        all
    }

    /// Compares with a newly read configuration and says what of it can be applied now.
    ///
    /// Paths, cgroup, log target and the sockets with their modes are built into what stands for the daemon's life. All
    /// else can change: limits at once, what attempts get for attempts that start afterwards.
    #[must_use]
    pub fn diff_reload(&self, new: &Self) -> Reload {
        let (before, after) = (self.entries(), new.entries());
        let mut changed: Vec<&String> = before
            .iter()
            .filter(|(key, value)| after.get(*key) != Some(value))
            .map(|(key, _)| key)
            .chain(after.keys().filter(|key| !before.contains_key(*key)))
            .collect();
        changed.sort();
        let (applied, needs_restart): (Vec<_>, Vec<_>) = changed
            .into_iter()
            .cloned()
            .partition(|key| effect_of(key) == Effect::Reload);
        let mut config = new.clone();
        config.paths = self.paths.clone();
        let require_limits = new.cgroup.require_limits;
        config.cgroup = Cgroup {
            require_limits,
            ..self.cgroup.clone()
        };
        config.log.target = self.log.target;
        config.metrics.socket = self.metrics.socket;
        config.metrics.socket_mode = self.metrics.socket_mode;
        config.control.socket_mode = self.control.socket_mode;
        Reload {
            config,
            applied,
            needs_restart,
        }
    }
}

fn job_entries(job: &Job, put: &mut impl FnMut(&str, String)) {
    let Job {
        default_shell,
        path,
        inherit_environment,
        environment,
        umask,
        no_new_privs,
        limits,
    } = job;
    put("job.default_shell", quoted(default_shell));
    put("job.path", quoted(path));
    let inherit = inherit_environment.map_or_else(|| quoted("auto"), |on| on.to_string());
    put("job.inherit_environment", inherit);
    for (name, value) in environment {
        put(&format!("job.environment.{name}"), quoted(value));
    }
    put("job.umask", mode(*umask));
    put("job.no_new_privs", no_new_privs.to_string());
    limits::entries(limits, put);
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn names(list: &BTreeSet<String>) -> String {
    let list = list.iter().map(|name| toml::Value::from(name.as_str()));
    toml::Value::Array(list.collect()).to_string()
}

fn path(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

fn mode(bits: u32) -> String {
    quoted(&format!("{bits:03o}"))
}

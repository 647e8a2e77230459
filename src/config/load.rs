//! From the file to a [`Config`]: defaults, then what the file says, then what contradicts itself.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use toml::de::DeTable;

use super::error::ConfigError;
use super::reader::{Reader, shown};
use super::types::{Access, Cgroup, Config, Control, Job, Log, OnShutdown, Proc, Queue};
use super::types::{Retention, Schedule, Shutdown};
use super::{Hooks, Metrics, Paths, limits, value};
use crate::model::{GroupName, Resources};
use crate::sys::{creds, files};

/// Largest configuration file, in bytes.
const FILE_MAX: u64 = 1024 * 1024;

impl Config {
    /// The configuration of the tree below `root` with every key left at its default.
    ///
    /// `job.no_new_privs` alone depends on the tree: on for the system's daemon, off for a private one, whose
    /// jobs run as the person who started it and should get what that person's shell gets.
    #[must_use]
    pub fn defaults(root: &Path) -> Self {
        let paths = Paths::below(root);
        let private = paths.private;
        Self {
            paths,
            proc: Proc {
                heartbeat_interval_sec: 5.0,
                stale_after_sec: 90.0,
                stop_stalled_after_sec: 0.0,
            },
            queue: Queue {
                max_active_runs: 1,
                max_live_attempts: 0,
                named: std::collections::BTreeMap::new(),
            },
            schedule: Schedule::default(),
            job: Job {
                default_shell: String::new(),
                path: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
                inherit_environment: None,
                environment: std::collections::BTreeMap::new(),
                umask: 0o022,
                no_new_privs: !private,
                limits: Resources::default(),
            },
            control: Control {
                max_clients: 256,
                max_status_clients: 16,
                // A private daemon is its user's alone, unless they say otherwise.
                socket_mode: if private { 0o600 } else { 0o666 },
                client_timeout_sec: 10.0,
            },
            access: Access {
                admin_group: "proctor".to_owned(),
                allow_users: BTreeSet::new(),
                deny_users: BTreeSet::new(),
                allow_groups: BTreeSet::new(),
                deny_groups: BTreeSet::new(),
            },
            cgroup: Cgroup {
                enabled: true,
                parent: None,
                require_limits: true,
            },
            shutdown: Shutdown {
                attempts: OnShutdown::Keep,
                wait_sec: 90.0,
            },
            hooks: Hooks::default(),
            retention: Retention {
                enabled: true,
                days: 30,
                runs: 0,
            },
            log: Log::defaults(),
            metrics: Metrics::defaults(private),
        }
    }

    /// Reads the configuration of the tree below `root`: from `path`, which then has to exist, or else from the
    /// tree's own place, where no file means all defaults. A relative `root` counts from the current directory.
    ///
    /// # Errors
    /// [`ConfigError`]: the file cannot be read, is not to be trusted, or is wrong. Everything that is wrong is
    /// found at once.
    pub fn load(path: Option<&Path>, root: &Path) -> Result<Self, ConfigError> {
        let read = |path: &Path, source| ConfigError::Read {
            path: path.to_owned(),
            source,
        };
        let root = std::path::absolute(root).map_err(|source| read(root, source))?;
        let usual = Paths::below(&root).config;
        let file = std::path::absolute(path.unwrap_or(&usual))
            .map_err(|source| read(path.unwrap_or(&usual), source))?;
        match read_file(&file) {
            Ok(bytes) => Self::parse(&bytes, &file, &root),
            Err(ConfigError::Read { source, .. })
                if path.is_none() && source.kind() == io::ErrorKind::NotFound =>
            {
                Ok(Self::defaults(&root))
            }
            Err(error) => Err(error),
        }
    }

    /// The configuration that the contents of `file` stand for. `root` is absolute.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] with everything that is wrong.
    pub fn parse(bytes: &[u8], file: &Path, root: &Path) -> Result<Self, ConfigError> {
        let mut config = Self::defaults(root);
        file.clone_into(&mut config.paths.config);
        let text = String::from_utf8_lossy(bytes);
        let mut reader = Reader::new(&text);
        if let Err(error) = std::str::from_utf8(bytes) {
            let at = error.valid_up_to();
            reader.problem(
                &(at..at + 1),
                "not UTF-8 text".to_owned(),
                "save the file as UTF-8".to_owned(),
            );
        } else {
            let (table, errors) = DeTable::parse_recoverable(&text);
            if reader.syntax(&errors) {
                fill(&mut config, &mut reader, table.get_ref());
            }
        }
        let problems = reader.finish();
        if problems.is_empty() {
            return Ok(config);
        }
        Err(ConfigError::Invalid {
            path: file.to_owned(),
            problems,
        })
    }

    /// Whether jobs get the daemon's environment below their own: as `job.inherit_environment` says, else only
    /// if every job runs as the person who started the daemon.
    #[must_use]
    pub fn inherits_environment(&self, daemon_is_root: bool) -> bool {
        self.job
            .inherit_environment
            .unwrap_or(self.paths.private || !daemon_is_root)
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, ConfigError> {
    let read = |source| ConfigError::Read {
        path: path.to_owned(),
        source,
    };
    // Asked before it is opened: opening a pipe would wait for a writer.
    let about = std::fs::metadata(path).map_err(read)?;
    if !about.is_file() {
        let text = "it is not a regular file; name one with --config";
        return Err(read(io::Error::new(io::ErrorKind::InvalidInput, text)));
    }
    trusted(path, about.uid(), about.mode(), creds::effective_uid())?;
    let mut file = std::fs::File::open(path).map_err(read)?;
    files::read_at_most(&mut file, FILE_MAX).map_err(read)
}

/// Who can write the file decides what root does, so only root may be able to.
fn trusted(path: &Path, owner: u32, mode: u32, euid: u32) -> Result<(), ConfigError> {
    let (why, cure) = if euid != 0 {
        return Ok(());
    } else if owner != 0 {
        (
            format!("belongs to user {owner}, but the daemon runs as root"),
            format!("chown root {}", path.display()),
        )
    } else if mode & 0o002 != 0 {
        (
            "can be written by everybody".to_owned(),
            format!("chmod o-w {}", path.display()),
        )
    } else {
        return Ok(());
    };
    Err(ConfigError::Untrusted {
        path: path.to_owned(),
        why,
        cure,
    })
}

fn fill<'t>(config: &mut Config, reader: &mut Reader<'_>, root: &'t DeTable<'t>) {
    reader.top(root);
    paths(&mut config.paths, reader, root);
    heartbeats(&mut config.proc, reader, root);
    queues(&mut config.queue, reader, root);
    let section = reader.section(root, "schedule");
    reader.set(&section, "time_zone", &mut config.schedule.time_zone, value::text);
    job(&mut config.job, reader, root);

    let section = reader.section(root, "control");
    let control = &mut config.control;
    reader.set(
        &section,
        "max_clients",
        &mut control.max_clients,
        value::whole(1, 65_536),
    );
    let most = &mut control.max_status_clients;
    reader.set(&section, "max_status_clients", most, value::whole(1, 4096));
    reader.set(&section, "socket_mode", &mut control.socket_mode, value::mode);
    let timeout = &mut control.client_timeout_sec;
    reader.set(
        &section,
        "client_timeout_sec",
        timeout,
        value::seconds(0.1, 3600.0),
    );

    let section = reader.section(root, "access");
    let access = &mut config.access;
    reader.set(&section, "admin_group", &mut access.admin_group, value::group);
    reader.set(&section, "allow_users", &mut access.allow_users, value::users);
    reader.set(&section, "deny_users", &mut access.deny_users, value::users);
    reader.set(&section, "allow_groups", &mut access.allow_groups, value::groups);
    reader.set(&section, "deny_groups", &mut access.deny_groups, value::groups);

    let section = reader.section(root, "cgroup");
    reader.set(&section, "enabled", &mut config.cgroup.enabled, value::truth);
    reader.set(
        &section,
        "parent",
        &mut config.cgroup.parent,
        value::path_or_empty,
    );
    let require = &mut config.cgroup.require_limits;
    reader.set(&section, "require_limits", require, value::truth);

    let section = reader.section(root, "shutdown");
    let words = &[("keep", OnShutdown::Keep), ("stop", OnShutdown::Stop)];
    let attempts = &mut config.shutdown.attempts;
    reader.set(&section, "attempts", attempts, value::choice(words));
    let wait = &mut config.shutdown.wait_sec;
    reader.set(&section, "wait_sec", wait, value::seconds(1.0, 86_400.0));

    config.hooks.fill(reader, root);

    let section = reader.section(root, "retention");
    let retention = &mut config.retention;
    reader.set(&section, "enabled", &mut retention.enabled, value::truth);
    reader.set(&section, "days", &mut retention.days, value::whole(0, 36_500));
    reader.set(
        &section,
        "runs",
        &mut retention.runs,
        value::whole(0, 1_000_000_000),
    );

    config.log.fill(reader, root);
    config.metrics.fill(reader, root);
}

fn paths<'t>(paths: &mut Paths, reader: &mut Reader<'_>, root: &'t DeTable<'t>) {
    let section = reader.section(root, "paths");
    reader.set(&section, "dags", &mut paths.dags, value::path);
    reader.set(&section, "base", &mut paths.base, value::path);
    let state = reader.set(&section, "state", &mut paths.state, value::path);
    let runtime = reader.set(&section, "runtime", &mut paths.runtime, value::path);
    if let Some(span) = runtime.or(state)
        && reader.is_whole()
        && paths.state == paths.runtime
    {
        reader.problem(
            &span,
            "`paths.state` and `paths.runtime` are the same directory".to_owned(),
            "name two: the state survives a reboot, the runtime directory must not".to_owned(),
        );
    }
}

fn heartbeats<'t>(proc: &mut Proc, reader: &mut Reader<'_>, root: &'t DeTable<'t>) {
    let section = reader.section(root, "proc");
    let interval = &mut proc.heartbeat_interval_sec;
    let range = value::seconds(0.1, 3600.0);
    let interval = reader.set(&section, "heartbeat_interval_sec", interval, range);
    let range = value::seconds(0.2, 86_400.0);
    let stale = reader.set(&section, "stale_after_sec", &mut proc.stale_after_sec, range);
    let stop = &mut proc.stop_stalled_after_sec;
    reader.set(
        &section,
        "stop_stalled_after_sec",
        stop,
        value::seconds(0.0, 604_800.0),
    );
    if let Some(span) = stale.or(interval)
        && reader.is_whole()
        && proc.stale_after_sec <= proc.heartbeat_interval_sec
    {
        let message = format!(
            "`proc.stale_after_sec` ({}) is not more than `proc.heartbeat_interval_sec` ({}): every attempt would look \
             stalled between two heartbeats",
            proc.stale_after_sec, proc.heartbeat_interval_sec
        );
        let cure = "make it at least three times the interval".to_owned();
        reader.problem(&span, message, cure);
    }
}

fn queues<'t>(queue: &mut Queue, reader: &mut Reader<'_>, root: &'t DeTable<'t>) {
    const MOST: u32 = 1_000_000;
    let section = reader.section(root, "queue");
    let runs = &mut queue.max_active_runs;
    reader.set(&section, "max_active_runs", runs, value::whole(0, MOST));
    let live = &mut queue.max_live_attempts;
    reader.set(&section, "max_live_attempts", live, value::whole(0, MOST));
    let default = queue.max_active_runs;
    for (name, span, section) in reader.below(root, "queues", "queues.NAME") {
        let mut limit = default;
        reader.set(&section, "max_active_runs", &mut limit, value::whole(0, MOST));
        match GroupName::new(name) {
            Ok(name) => {
                queue.named.insert(name, limit);
                if !section.has("max_active_runs") {
                    reader.problem(
                        &span,
                        format!("`{}` is not set", section.path("max_active_runs")),
                        "say how many runs of this queue may be live, 0 for no limit".to_owned(),
                    );
                }
            }
            Err(error) => {
                reader.problem(&span, error.to_string(), "rename the queue".to_owned());
            }
        }
    }
}

fn job<'t>(job: &mut Job, reader: &mut Reader<'_>, root: &'t DeTable<'t>) {
    let section = reader.section(root, "job");
    reader.set(&section, "default_shell", &mut job.default_shell, value::text);
    reader.set(&section, "path", &mut job.path, value::text);
    let inherit = &mut job.inherit_environment;
    reader.set(&section, "inherit_environment", inherit, value::truth_or_auto);
    reader.set(&section, "umask", &mut job.umask, value::mode);
    reader.set(&section, "no_new_privs", &mut job.no_new_privs, value::truth);
    limits::fill(&mut job.limits, reader, &section);
    for (name, span, found) in reader.free(&section, "environment") {
        let path = format!("job.environment.{}", shown(name));
        if !value::is_environment_name(name) {
            let cure = "use letters, digits and '_', and no digit first".to_owned();
            reader.problem(&span, format!("`{path}` is no name for a variable"), cure);
        }
        match value::environment_value(found.get_ref()) {
            Ok(text) => {
                job.environment.insert(name.to_owned(), text);
            }
            Err(value::Complaint { fault, cure }) => {
                reader.problem(&found.span(), format!("`{path}` {fault}"), cure);
            }
        }
    }
}

#[cfg(test)]
mod trust_tests {
    use super::*;

    #[test]
    fn root_takes_no_orders_from_files_that_others_can_write() {
        let path = Path::new("/f");
        assert!(trusted(path, 0, 0o100_644, 0).is_ok());
        assert!(trusted(path, 1000, 0o100_666, 1000).is_ok());
        assert!(trusted(path, 1000, 0o100_600, 0).is_err());
        let error = trusted(path, 0, 0o100_646, 0).unwrap_err().to_string();
        assert!(error.contains("chmod o-w /f"), "{error}");
    }
}

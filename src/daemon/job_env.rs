//! What a job finds in its environment before its DAG adds to it.

use super::tree::Mark;
use crate::config::Config;
use crate::sys::creds::{self, User};

/// The daemon's own environment without what the service manager has put there for the daemon alone.
pub(super) fn of_the_daemon() -> Vec<(String, String)> {
    const MANAGERS: [&str; 6] = [
        "NOTIFY_SOCKET",
        "WATCHDOG_USEC",
        "WATCHDOG_PID",
        "JOURNAL_STREAM",
        "FDSTORE",
        "PROCTOR_CGROUP",
    ];
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| !MANAGERS.contains(&name.as_str()) && !name.starts_with("LISTEN_"))
        .collect()
}

/// The job's environment; `own` is the daemon's. Built from nothing unless it inherits the daemon's.
pub(super) fn environment(
    own: &[(String, String)],
    config: &Config,
    user: &User,
    mark: &Mark,
) -> Vec<(String, String)> {
    let inherit = inherits(config, user);
    let mut env: std::collections::BTreeMap<String, String> = std::collections::BTreeMap::new();
    if inherit {
        env.extend(own.iter().cloned());
    } else {
        env.insert("PATH".into(), config.job.path.clone());
        env.insert("LANG".into(), "C.UTF-8".into());
        for (name, value) in [
            ("HOME", user.home.display().to_string()),
            ("SHELL", user.shell.display().to_string()),
            ("USER", user.name.clone()),
            ("LOGNAME", user.name.clone()),
        ] {
            env.insert(name.into(), value);
        }
    }
    env.extend(config.job.environment.clone());
    env.extend(
        mark.variables()
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    env.into_iter().collect()
}

/// Whether jobs of this user get the daemon's environment. Nobody else's do but by order: it may hold secrets.
fn inherits(config: &Config, user: &User) -> bool {
    let own = creds::effective_uid();
    config.job.inherit_environment.unwrap_or(user.uid == own) && config.inherits_environment(own == 0)
}

/// The shell of steps that name none and whose DAG names none.
pub(super) fn default_shell(own: &[(String, String)], config: &Config, user: &User) -> String {
    if !config.job.default_shell.is_empty() {
        return config.job.default_shell.clone();
    }
    let inherit = inherits(config, user);
    let shell = own
        .iter()
        .find(|(name, _)| name == "SHELL")
        .map(|(_, value)| value.clone());
    shell
        .filter(|shell| inherit && !shell.is_empty())
        .unwrap_or_else(|| String::from("/bin/sh"))
}

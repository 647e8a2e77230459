//! The table of every key, and the guess at which one was meant.

/// When a changed value takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// At a reload. What attempts get applies to attempts that start afterwards.
    Reload,
    /// At the next start of the daemon: it is built into something that stands for the daemon's whole life.
    Restart,
}

/// A key of the configuration file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Its table; `queues.NAME` stands for every table of a named queue.
    pub section: &'static str,
    /// Its name.
    pub name: &'static str,
    /// When a change takes effect.
    pub effect: Effect,
}

const fn now(section: &'static str, name: &'static str) -> Key {
    Key {
        section,
        name,
        effect: Effect::Reload,
    }
}

const fn later(section: &'static str, name: &'static str) -> Key {
    Key {
        section,
        name,
        effect: Effect::Restart,
    }
}

/// Every key, in the order of `proctord.toml`.
pub const KEYS: &[Key] = &[
    later("paths", "dags"),
    later("paths", "base"),
    later("paths", "state"),
    later("paths", "runtime"),
    now("proc", "heartbeat_interval_sec"),
    now("proc", "stale_after_sec"),
    now("proc", "stop_stalled_after_sec"),
    now("queue", "max_active_runs"),
    now("queue", "max_live_attempts"),
    now("queues.NAME", "max_active_runs"),
    now("schedule", "time_zone"),
    now("job", "default_shell"),
    now("job", "path"),
    now("job", "inherit_environment"),
    now("job", "environment"),
    now("job", "umask"),
    now("job", "no_new_privs"),
    now("job.limits", "memory_max"),
    now("job.limits", "memory_high"),
    now("job.limits", "swap_max"),
    now("job.limits", "cpu_weight"),
    now("job.limits", "cpu_max"),
    now("job.limits", "io_weight"),
    now("job.limits", "pids_max"),
    now("job.limits", "nice"),
    now("job.limits", "rlimits"),
    now("control", "max_clients"),
    now("control", "max_status_clients"),
    later("control", "socket_mode"),
    now("control", "client_timeout_sec"),
    now("access", "admin_group"),
    now("access", "allow_users"),
    now("access", "deny_users"),
    now("access", "allow_groups"),
    now("access", "deny_groups"),
    later("cgroup", "enabled"),
    later("cgroup", "parent"),
    now("cgroup", "require_limits"),
    now("shutdown", "attempts"),
    now("shutdown", "wait_sec"),
    now("hooks", "max_parallel"),
    now("hooks", "queue_max"),
    now("hooks.failed", "command"),
    now("hooks.failed", "user"),
    now("hooks.failed", "timeout_sec"),
    now("hooks.failed", "dags"),
    now("hooks.lost", "command"),
    now("hooks.lost", "user"),
    now("hooks.lost", "timeout_sec"),
    now("hooks.lost", "dags"),
    now("hooks.succeeded", "command"),
    now("hooks.succeeded", "user"),
    now("hooks.succeeded", "timeout_sec"),
    now("hooks.succeeded", "dags"),
    now("retention", "enabled"),
    now("retention", "days"),
    now("retention", "runs"),
    now("log", "level"),
    later("log", "target"),
    now("log", "steps"),
    now("log", "step_output"),
    now("log", "journal_socket"),
    later("metrics", "socket"),
    later("metrics", "socket_mode"),
    now("metrics", "group"),
    now("metrics", "textfile"),
    now("metrics", "textfile_mode"),
    now("metrics", "interval_sec"),
];

/// The tables a file may have at its top.
pub(super) fn sections() -> Vec<&'static str> {
    let mut names: Vec<&'static str> = Vec::new();
    for key in KEYS {
        let top = key.section.split('.').next().unwrap_or(key.section);
        if !names.contains(&top) {
            names.push(top);
        }
    }
    names
}

/// The keys a table may have.
pub(super) fn keys_of(section: &str) -> impl Iterator<Item = &'static str> + Clone {
    KEYS.iter()
        .filter(move |key| key.section == section)
        .map(|key| key.name)
}

/// Whether `name` is a table inside the table `section`.
pub(super) fn is_inner(section: &str, name: &str) -> bool {
    let inner = |key: &Key| {
        key.section
            .strip_prefix(section)
            .and_then(|rest| rest.strip_prefix('.'))
            == Some(name)
    };
    KEYS.iter().any(inner)
}

/// When a change of `path`, as [`super::Config::entries`] names it, takes effect.
pub(super) fn effect_of(path: &str) -> Effect {
    KEYS.iter()
        .find(|key| match key.section.strip_suffix(".NAME") {
            Some(top) => path.starts_with(top) && path.ends_with(key.name),
            None => path
                .strip_prefix(key.section)
                .and_then(|rest| rest.strip_prefix('.'))
                .and_then(|rest| rest.strip_prefix(key.name))
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.')),
        })
        .map_or(Effect::Restart, |key| key.effect)
}

/// What to do about an unknown key of `section`.
pub(super) fn cure_for_key(section: &str, found: &str) -> String {
    if let Some(name) = nearest(found, keys_of(section)) {
        return format!("did you mean `{name}`?");
    }
    if let Some(key) = KEYS.iter().find(|key| key.name == found) {
        return format!("`{found}` belongs in [{}]", key.section);
    }
    let all: Vec<&str> = keys_of(section).collect();
    format!("[{section}] has these keys: {}", all.join(", "))
}

/// What to do about an unknown key or table at the top of the file.
pub(super) fn cure_for_section(found: &str) -> String {
    if let Some(key) = KEYS.iter().find(|key| key.name == found) {
        return format!("`{found}` belongs below the line [{}]", key.section);
    }
    let names = sections();
    match nearest(found, names.iter().copied()) {
        Some(name) => format!("did you mean [{name}]?"),
        None => format!("the tables are: {}", names.join(", ")),
    }
}

/// The candidate that a mistyped word most likely stands for; `None` if none is near.
pub(super) fn nearest<'c>(found: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    // A longer word is none of ours, and the comparison costs the product of the lengths.
    if found.len() > 64 {
        return None;
    }
    let plain = |word: &str| word.to_ascii_lowercase().replace('-', "_");
    let found = plain(found);
    candidates
        .map(|candidate| {
            // A forgotten unit (`stale_after`) is a longer distance than a slip, but no less clear.
            let short = found.len() >= 4 && candidate.starts_with(&found);
            let far = if short {
                0
            } else {
                distance(&found, &plain(candidate))
            };
            (far, candidate)
        })
        .filter(|(far, candidate)| *far <= (candidate.len() / 3).clamp(1, 4))
        .min_by_key(|(far, _)| *far)
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions, replacements and swaps of neighbours between two words.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let swap = match (i.checked_sub(1), j.checked_sub(1)) {
                (Some(p), Some(q)) if a.get(p) == Some(y) && b.get(q) == Some(x) => {
                    before.get(q).map_or(usize::MAX, |cost| cost + 1)
                }
                _ => usize::MAX,
            };
            let cost = |row: &[usize], at: usize| row.get(at).copied().unwrap_or(usize::MAX - 1);
            let replaced = cost(&last, j) + usize::from(x != y);
            let other = (cost(&last, j + 1) + 1).min(cost(&row, j) + 1);
            row.push(replaced.min(other).min(swap));
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

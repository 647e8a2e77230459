//! `[hooks]`: commands that tell operators of the ends of runs.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;

use toml::de::DeTable;

use super::check::Warning;
use super::reader::Reader;
use super::value;
use crate::model::{DagName, NoticeEvent};
use crate::sys::creds::{CredsError, User};

/// Commands for operators, and how many of them run and wait.
#[derive(Debug, Clone, PartialEq)]
pub struct Hooks {
    /// Most hooks that run at a time; 1 to 64.
    pub max_parallel: u32,
    /// Most notices that wait for their hook; 1 to 1000000. Beyond that the oldest are dropped.
    pub queue_max: u32,
    /// When a run has failed.
    pub failed: Hook,
    /// When a run is lost.
    pub lost: Hook,
    /// When a run has succeeded.
    pub succeeded: Hook,
}

/// One command for operators.
#[derive(Debug, Clone, PartialEq)]
pub struct Hook {
    /// The program by its absolute path, and its arguments; empty is no hook.
    pub command: Vec<String>,
    /// Name of the user it runs as; empty is the daemon's own.
    pub user: String,
    /// Seconds after which it is killed with everything it started; 1 to 3600.
    pub timeout_sec: u32,
    /// The DAGs it is for; empty is all.
    pub dags: BTreeSet<DagName>,
}

impl Default for Hook {
    fn default() -> Self {
        Self {
            command: Vec::new(),
            user: String::new(),
            timeout_sec: 60,
            dags: BTreeSet::new(),
        }
    }
}

impl Default for Hooks {
    fn default() -> Self {
        Self {
            max_parallel: 4,
            queue_max: 1000,
            failed: Hook::default(),
            lost: Hook::default(),
            succeeded: Hook::default(),
        }
    }
}

/// The table of an event's hook.
const fn section(event: NoticeEvent) -> &'static str {
    match event {
        NoticeEvent::Failed => "hooks.failed",
        NoticeEvent::Lost => "hooks.lost",
        NoticeEvent::Succeeded => "hooks.succeeded",
    }
}

impl Hooks {
    /// What the configuration says for an event.
    #[must_use]
    pub const fn of(&self, event: NoticeEvent) -> &Hook {
        match event {
            NoticeEvent::Failed => &self.failed,
            NoticeEvent::Lost => &self.lost,
            NoticeEvent::Succeeded => &self.succeeded,
        }
    }

    /// The hook that is to be run for an event of this DAG, if there is one.
    #[must_use]
    pub fn wanted(&self, event: NoticeEvent, dag: &DagName) -> Option<&Hook> {
        let hook = self.of(event);
        let meant = hook.dags.is_empty() || hook.dags.contains(dag);
        Some(hook).filter(|hook| meant && !hook.command.is_empty())
    }

    pub(super) fn fill<'t>(&mut self, reader: &mut Reader<'_>, root: &'t DeTable<'t>) {
        let top = reader.section(root, "hooks");
        let most = &mut self.max_parallel;
        reader.set(&top, "max_parallel", most, value::whole(1, 64));
        let most = &mut self.queue_max;
        reader.set(&top, "queue_max", most, value::whole(1, 1_000_000));
        for event in NoticeEvent::ALL {
            let hook = match event {
                NoticeEvent::Failed => &mut self.failed,
                NoticeEvent::Lost => &mut self.lost,
                NoticeEvent::Succeeded => &mut self.succeeded,
            };
            let table = reader.inner(&top, event.as_str(), section(event));
            reader.set(&table, "command", &mut hook.command, value::command);
            reader.set(&table, "user", &mut hook.user, value::user);
            let limit = &mut hook.timeout_sec;
            reader.set(&table, "timeout_sec", limit, value::whole(1, 3600));
            reader.set(&table, "dags", &mut hook.dags, value::dags);
        }
    }

    /// Every value in effect, by the whole name of its key.
    pub(super) fn entries(&self, put: &mut impl FnMut(&str, String)) {
        let Self {
            max_parallel,
            queue_max,
            failed: _,
            lost: _,
            succeeded: _,
        } = self;
        put("hooks.max_parallel", max_parallel.to_string());
        put("hooks.queue_max", queue_max.to_string());
        let list = |words: Vec<&str>| {
            let words = words.into_iter().map(toml::Value::from);
            toml::Value::Array(words.collect()).to_string()
        };
        for event in NoticeEvent::ALL {
            let Hook {
                command,
                user,
                timeout_sec,
                dags,
            } = self.of(event);
            let table = section(event);
            let command = command.iter().map(String::as_str).collect();
            put(&format!("{table}.command"), list(command));
            put(
                &format!("{table}.user"),
                toml::Value::from(user.as_str()).to_string(),
            );
            put(&format!("{table}.timeout_sec"), timeout_sec.to_string());
            let dags = dags.iter().map(DagName::as_str).collect();
            put(&format!("{table}.dags"), list(dags));
        }
    }

    /// A program or user that is missing is not an error: it may be installed, or its file system mounted, before a run ends.
    pub(super) fn check(&self, found: &mut Vec<Warning>) {
        let keys = [
            ("hooks.failed.command", "hooks.failed.user", &self.failed),
            ("hooks.lost.command", "hooks.lost.user", &self.lost),
            ("hooks.succeeded.command", "hooks.succeeded.user", &self.succeeded),
        ];
        for (key, user, hook) in keys {
            if hook.command.is_empty() && *hook != Hook::default() {
                found.push(Warning {
                    key,
                    message: String::from("is not set, so the other keys of the table have no effect"),
                });
            }
            if !hook.command.is_empty()
                && !hook.user.is_empty()
                && let Err(error @ CredsError::NoSuchName(_)) = User::by_name(&hook.user)
            {
                let message = format!("{error}, so the hook will fail; make the user, or correct the name");
                found.push(Warning { key: user, message });
            }
            if let Some(why) = hook.command.first().and_then(|program| unusable(program)) {
                found.push(Warning { key, message: why });
            }
        }
    }
}

/// Why a program could not be started as things are. What cannot be looked at is not judged.
fn unusable(program: &str) -> Option<String> {
    match std::fs::metadata(program) {
        Ok(about) if about.is_file() && about.permissions().mode() & 0o111 != 0 => None,
        Ok(_) => Some(format!(
            "{program} is no program, so the hook will fail; name an executable file"
        )),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Some(
            format!("there is no program {program}, so the hook will fail; install it, or correct the path"),
        ),
        Err(_) => None,
    }
}

//! SIGHUP and `proctorctl reload`: what can be changed is, and the rest is named.

use std::sync::Arc;

use super::dispatcher::Dispatcher;
use crate::config::{Config, ConfigError};
use crate::telemetry::events;
use crate::wire::control::{ErrorKind, Problem, Response};

/// The answer to a client whose reload was refused: every mistake with its place.
fn refused(error: &ConfigError) -> Response {
    let problems = match error {
        ConfigError::Invalid { path, problems } => {
            let number = |n: usize| u32::try_from(n).ok();
            let file = path.display().to_string();
            problems
                .iter()
                .map(|problem| Problem {
                    message: problem.message.clone(),
                    file: Some(file.clone()),
                    line: number(problem.line),
                    column: number(problem.column),
                    hint: Some(problem.cure.clone()),
                })
                .collect()
        }
        ConfigError::Read { .. } | ConfigError::Untrusted { .. } | ConfigError::Zone(_) => Vec::new(),
    };
    let why = if problems.is_empty() {
        format!(": {error}")
    } else {
        String::new()
    };
    Response::Error {
        kind: ErrorKind::Invalid,
        message: format!("the configuration is wrong{why}; the old one stays in force"),
        hint: None,
        problems,
    }
}

impl Dispatcher {
    /// A client's wish for a reload, and its answer.
    pub(super) fn reload_request(&mut self) -> Response {
        match self.reload() {
            Ok(lines) => Response::Reloaded(lines),
            Err(error) => refused(&error),
        }
    }

    /// Reads the configuration again. Returns what happened, one line each; or what is wrong with it, and then the old
    /// one stays in force.
    pub(super) fn reload(&mut self) -> Result<Vec<String>, Box<ConfigError>> {
        let root = if self.config.paths.private {
            self.config
                .paths
                .runtime
                .ancestors()
                .nth(2)
                .map(std::path::Path::to_owned)
        } else {
            None
        };
        let root = root.unwrap_or_else(|| std::path::PathBuf::from("/"));
        let path = self.config.paths.config.clone();
        let named = path.exists().then_some(path.as_path());
        let new = match Config::load(named, &root) {
            Ok(new) => new,
            Err(error) => {
                self.metrics.reloaded(false);
                events::config_rejected(&error.report());
                return Err(Box::new(error));
            }
        };
        if let Err(error) = super::registry::zone_of(&new) {
            self.metrics.reloaded(false);
            let error = ConfigError::Zone(error);
            events::config_rejected(&error.report());
            return Err(Box::new(error));
        }
        let reload = self.config.diff_reload(&new);
        let access = self.config.access != reload.config.access;
        self.config = Arc::new(reload.config);
        self.limits.send_replace(super::clients::Limits::of(&self.config));
        self.engine.configure(crate::engine::scheduler::Config {
            max_live: self.config.queue.max_live_attempts,
            queues: self.config.queue.named.clone(),
            unbounded: Some(crate::sys::creds::effective_uid()),
        });
        self.tell(crate::engine::scheduler::Event::Tick);
        self.run_hooks();
        self.reload_registry(access);
        if let Err(error) = self.telemetry.set_level(&self.config.log.level) {
            tracing::error!(%error, "the log level stays as it was");
        }
        if reload.applied.iter().any(|key| key.starts_with("retention.")) {
            self.retain_all();
        }
        if reload.applied.iter().any(|key| key.starts_with("metrics.")) {
            self.arm_textfile();
        }
        self.metrics.reloaded(true);
        let applied = reload.applied.iter().map(|key| format!("applied: {key}"));
        let later = reload
            .needs_restart
            .iter()
            .map(|key| format!("needs a restart: {key}"));
        let mut lines: Vec<String> = applied.chain(later).collect();
        if lines.is_empty() {
            lines.push(String::from("nothing has changed"));
        }
        let named = |keys: &[_]| {
            if keys.is_empty() {
                String::from("none")
            } else {
                keys.join(" ")
            }
        };
        events::config_reloaded(&named(&reload.applied), &named(&reload.needs_restart));
        Ok(lines)
    }
}

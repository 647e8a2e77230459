//! SIGHUP and `proctorctl reload`: what can be changed is, and the rest is named.

use std::sync::Arc;

use super::dispatcher::Dispatcher;
use crate::config::Config;
use crate::telemetry::events;

impl Dispatcher {
    /// Reads the configuration again. Returns what happened, one line each.
    pub(super) fn reload(&mut self) -> Vec<String> {
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
                let report = error.report();
                events::config_rejected(&report);
                let mut lines = vec![String::from(
                    "the configuration is wrong; the old one stays in force",
                )];
                lines.extend(report.lines().map(str::to_owned));
                return lines;
            }
        };
        let reload = self.config.diff_reload(&new);
        self.config = Arc::new(reload.config);
        self.limits.send_replace(super::clients::Limits::of(&self.config));
        self.engine.configure(crate::engine::scheduler::Config {
            max_live: self.config.queue.max_live_attempts,
        });
        self.tell(crate::engine::scheduler::Event::Tick);
        if let Err(error) = self.telemetry.set_level(&self.config.log.level) {
            tracing::error!(%error, "the log level stays as it was");
        }
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
        lines
    }
}

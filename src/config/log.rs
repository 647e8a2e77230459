//! `[log]`: what is logged, and where what steps write goes.

use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::check::Warning;
use super::reader::Reader;
use super::types::{Log, LogTarget};
use super::value;
use crate::model::StepOutput;

impl Log {
    pub(super) fn defaults() -> Self {
        Self {
            level: "info".to_owned(),
            target: LogTarget::Auto,
            steps: true,
            step_output: StepOutput::File,
            journal_socket: PathBuf::from("/run/systemd/journal/socket"),
        }
    }

    /// The journal's socket, if what steps write goes there.
    #[must_use]
    pub fn steps_journal(&self) -> Option<String> {
        let path = self.step_output.is_to_journal().then_some(&self.journal_socket);
        path.map(|path| path.display().to_string())
    }

    pub(super) fn fill<'t>(&mut self, reader: &mut Reader<'_>, root: &'t DeTable<'t>) {
        let section = reader.section(root, "log");
        reader.set(&section, "level", &mut self.level, value::filter);
        let words = &[
            ("auto", LogTarget::Auto),
            ("journal", LogTarget::Journal),
            ("stderr", LogTarget::Stderr),
            ("json", LogTarget::Json),
        ];
        reader.set(&section, "target", &mut self.target, value::choice(words));
        reader.set(&section, "steps", &mut self.steps, value::truth);
        let words = &[
            ("file", StepOutput::File),
            ("journal", StepOutput::Journal),
            ("both", StepOutput::Both),
        ];
        let output = &mut self.step_output;
        reader.set(&section, "step_output", output, value::choice(words));
        reader.set(&section, "journal_socket", &mut self.journal_socket, value::path);
    }

    /// Every value in effect, by the whole name of its key.
    pub(super) fn entries(&self, put: &mut impl FnMut(&str, String)) {
        let Self {
            level,
            target,
            steps,
            step_output,
            journal_socket,
        } = self;
        let quoted = |text: &str| toml::Value::from(text).to_string();
        put("log.level", quoted(level));
        let word = match target {
            LogTarget::Auto => "auto",
            LogTarget::Journal => "journal",
            LogTarget::Stderr => "stderr",
            LogTarget::Json => "json",
        };
        put("log.target", quoted(word));
        put("log.steps", steps.to_string());
        put("log.step_output", quoted(step_output.as_str()));
        put("log.journal_socket", quoted(&journal_socket.to_string_lossy()));
    }

    pub(super) fn check(&self, found: &mut Vec<Warning>) {
        let usual = Self::defaults().journal_socket;
        if self.step_output == StepOutput::File && self.journal_socket != usual {
            found.push(Warning {
                key: "log.journal_socket",
                message: String::from("has no effect, since log.step_output is \"file\""),
            });
        }
        // Whoever can make it first reads what all steps write.
        let shared = ["/tmp", "/var/tmp", "/dev/shm"];
        if shared
            .iter()
            .any(|dir| self.journal_socket.starts_with(Path::new(dir)))
        {
            found.push(Warning {
                key: "log.journal_socket",
                message: String::from(
                    "everybody can make the socket before the journal does; use one that root owns",
                ),
            });
        }
    }
}

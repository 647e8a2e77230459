//! `[metrics]`: where numbers about the daemon can be read besides the control socket.

use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::check::Warning;
use super::reader::Reader;
use super::value;

/// A socket and a file with metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metrics {
    /// Whether there is a socket that gives metrics to who connects.
    pub socket: bool,
    /// File mode of that socket.
    pub socket_mode: u32,
    /// Members of this group may read metrics from the socket, besides root, the daemon's own user and the admin group; empty
    /// is nobody.
    pub group: String,
    /// File that gets the metrics again and again; none writes none.
    pub textfile: Option<PathBuf>,
    /// File mode of that file.
    pub textfile_mode: u32,
    /// Seconds between two times that it is written; 1 to 3600.
    pub interval_sec: u32,
}

impl Metrics {
    /// Those of the system's daemon, or of a private one.
    pub(super) const fn defaults(private: bool) -> Self {
        Self {
            socket: false,
            socket_mode: if private { 0o600 } else { 0o666 },
            group: String::new(),
            textfile: None,
            textfile_mode: 0o644,
            interval_sec: 15,
        }
    }

    pub(super) fn fill<'t>(&mut self, reader: &mut Reader<'_>, root: &'t DeTable<'t>) {
        let section = reader.section(root, "metrics");
        reader.set(&section, "socket", &mut self.socket, value::truth);
        reader.set(&section, "socket_mode", &mut self.socket_mode, value::mode);
        reader.set(&section, "group", &mut self.group, value::group);
        let file = reader.set(&section, "textfile", &mut self.textfile, value::path_or_empty);
        if let (Some(span), Some(path)) = (file, &self.textfile)
            && (path.file_name().is_none() || path.as_os_str().as_encoded_bytes().ends_with(b"/"))
        {
            let message = format!("`metrics.textfile` names the directory {path:?}");
            let cure =
                String::from("write the path of a file in it, such as /var/lib/node_exporter/proctor.prom");
            reader.problem(&span, message, cure);
        }
        reader.set(&section, "textfile_mode", &mut self.textfile_mode, value::mode);
        let interval = &mut self.interval_sec;
        reader.set(&section, "interval_sec", interval, value::whole(1, 3600));
    }

    /// Every value in effect, by the whole name of its key.
    pub(super) fn entries(&self, put: &mut impl FnMut(&str, String)) {
        let Self {
            socket,
            socket_mode,
            group,
            textfile,
            textfile_mode,
            interval_sec,
        } = self;
        let quoted = |text: &str| toml::Value::from(text).to_string();
        let path = textfile.as_deref().unwrap_or(Path::new(""));
        put("metrics.socket", socket.to_string());
        put("metrics.socket_mode", quoted(&format!("{socket_mode:03o}")));
        put("metrics.group", quoted(group));
        put("metrics.textfile", quoted(&path.to_string_lossy()));
        put("metrics.textfile_mode", quoted(&format!("{textfile_mode:03o}")));
        put("metrics.interval_sec", interval_sec.to_string());
    }

    pub(super) fn check(&self, found: &mut Vec<Warning>) {
        if !self.socket && !self.group.is_empty() {
            found.push(Warning {
                key: "metrics.group",
                message: String::from("has no effect, since metrics.socket is false"),
            });
        }
        if self.textfile_mode & 0o022 != 0 {
            found.push(Warning {
                key: "metrics.textfile_mode",
                message: String::from("others can change the file and so what is measured; use \"644\""),
            });
        }
        // The collector of text files reads no others.
        let ending = self.textfile.as_ref().map(|path| path.extension());
        if ending.is_some_and(|ending| ending.is_none_or(|ending| ending != "prom")) {
            found.push(Warning {
                key: "metrics.textfile",
                message: String::from("does not end in .prom, and node_exporter reads no other file"),
            });
        }
    }
}

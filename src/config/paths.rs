//! Where things are. `--root DIR` moves the whole tree; a key in `[paths]` moves one part.

use std::path::{Path, PathBuf};

use crate::model::AttemptId;

/// The directories of a daemon; all absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// Configuration file.
    pub config: PathBuf,
    /// System DAGs, `/etc/proctor/dags`.
    pub dags: PathBuf,
    /// Base configuration of installed DAGs, `/etc/proctor/base.yaml`.
    pub base: PathBuf,
    /// State that survives a reboot, `/var/lib/proctor`.
    pub state: PathBuf,
    /// State of this boot, `/run/proctor`.
    pub runtime: PathBuf,
    /// Whether the tree was moved with `--root`: a private daemon.
    pub private: bool,
}

impl Paths {
    /// The tree below `root`; `/` gives the system's own places.
    #[must_use]
    pub fn below(root: &Path) -> Self {
        Self {
            config: root.join("etc/proctor/proctord.toml"),
            dags: root.join("etc/proctor/dags"),
            base: root.join("etc/proctor/base.yaml"),
            state: root.join("var/lib/proctor"),
            runtime: root.join("run/proctor"),
            private: root != Path::new("/"),
        }
    }

    /// Held for the daemon's life.
    #[must_use]
    pub fn lock_file(&self) -> PathBuf {
        self.runtime.join("proctord.lock")
    }

    /// The control socket.
    #[must_use]
    pub fn control_socket(&self) -> PathBuf {
        self.runtime.join("control.sock")
    }

    /// The proc directory.
    #[must_use]
    pub fn proc_dir(&self) -> PathBuf {
        self.runtime.join("proc")
    }

    /// The directory of the attempts' status sockets.
    #[must_use]
    pub fn sockets(&self) -> PathBuf {
        self.runtime.join("attempts")
    }

    /// An attempt's status socket.
    #[must_use]
    pub fn socket(&self, attempt: &AttemptId) -> PathBuf {
        self.sockets().join(format!("{attempt}.sock"))
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.state.join("proctor.db")
    }

    /// The directory of the attempts' directories, one a day below it.
    #[must_use]
    pub fn attempts(&self) -> PathBuf {
        self.state.join("attempts")
    }

    /// An attempt's directory; `day` is `YYYY-MM-DD`.
    #[must_use]
    pub fn attempt(&self, day: &str, attempt: &AttemptId) -> PathBuf {
        self.attempts().join(day).join(attempt.as_str())
    }

    /// The directory of the runs' scratch directories.
    #[must_use]
    pub fn work(&self) -> PathBuf {
        self.state.join("work")
    }

    /// The users' own DAGs.
    #[must_use]
    pub fn user_dags(&self) -> PathBuf {
        self.state.join("dags")
    }
}

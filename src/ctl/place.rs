//! Which daemon is meant: the system's, or the private one of a root directory.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::failure::Failure;

/// Control socket of the system's daemon (DESIGN §2).
const SYSTEM_SOCKET: &str = "/run/proctor/control.sock";

/// Where a daemon is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// Its root directory, absolute; none is the system's daemon.
    pub(super) root: Option<PathBuf>,
    /// Whether a private daemon is to be started when none answers.
    pub(super) embedded: bool,
}

/// What of the environment decides the place.
#[derive(Debug, Clone, Default)]
pub(super) struct PlaceEnv {
    /// `PROCTOR_ROOT`.
    pub(super) root: Option<OsString>,
    /// `XDG_STATE_HOME`.
    pub(super) state_home: Option<OsString>,
    /// `HOME`.
    pub(super) home: Option<OsString>,
}

impl PlaceEnv {
    /// That of this process. Empty variables count as not set.
    pub(super) fn of_process() -> Self {
        let get = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        Self {
            root: get("PROCTOR_ROOT"),
            state_home: get("XDG_STATE_HOME"),
            home: get("HOME"),
        }
    }
}

impl Place {
    /// `--root`, else `PROCTOR_ROOT`, else with `--embedded` the user's own root, else the system's daemon.
    pub(super) fn find(root: Option<PathBuf>, embedded: bool, env: &PlaceEnv) -> Result<Self, Failure> {
        let root = match root.or_else(|| env.root.clone().map(PathBuf::from)) {
            Some(root) => {
                let path = std::path::absolute(&root).map_err(|error| Failure::file("use", &root, &error))?;
                Some(path)
            }
            None if embedded => Some(Self::users_own(env)?),
            None => None,
        };
        Ok(Self { root, embedded })
    }

    /// The per-user root. The XDG base directory specification has relative paths ignored.
    fn users_own(env: &PlaceEnv) -> Result<PathBuf, Failure> {
        let state = env
            .state_home
            .as_ref()
            .map(PathBuf::from)
            .filter(|path| path.is_absolute());
        let home = || env.home.as_ref().map(|home| Path::new(home).join(".local/state"));
        let state = state
            .or_else(home)
            .filter(|path| path.is_absolute())
            .ok_or_else(|| {
                Failure::usage("there is no place for a private daemon: HOME is not set")
                    .with_hint("give --root DIR")
            })?;
        Ok(state.join("proctor"))
    }

    /// The daemon's control socket.
    pub(super) fn socket(&self) -> PathBuf {
        match &self.root {
            Some(root) => root.join("run/proctor/control.sock"),
            None => PathBuf::from(SYSTEM_SOCKET),
        }
    }

    /// Whether anything was ever recorded in a private root; for the system's daemon only it can say.
    pub(super) fn is_unused(&self) -> bool {
        let store = |root: &PathBuf| root.join("var/lib/proctor/proctor.db");
        self.root.as_ref().is_some_and(|root| !store(root).exists())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(root: &str, state: &str, home: &str) -> PlaceEnv {
        let some = |text: &str| (!text.is_empty()).then(|| OsString::from(text));
        PlaceEnv {
            root: some(root),
            state_home: some(state),
            home: some(home),
        }
    }

    fn socket(root: Option<&str>, embedded: bool, env: &PlaceEnv) -> String {
        let place = Place::find(root.map(PathBuf::from), embedded, env).unwrap();
        place.socket().to_str().unwrap().to_owned()
    }

    #[test]
    fn the_place_is_the_most_explicit_one() {
        let all = env("/env", "/state", "/home/u");
        assert_eq!(socket(Some("/r"), true, &all), "/r/run/proctor/control.sock");
        assert_eq!(socket(None, true, &all), "/env/run/proctor/control.sock");
        let own = env("", "/state", "/home/u");
        assert_eq!(
            socket(None, true, &own),
            "/state/proctor/run/proctor/control.sock"
        );
        assert_eq!(socket(None, false, &own), SYSTEM_SOCKET);
        let home = env("", "relative", "/home/u");
        assert_eq!(
            socket(None, true, &home),
            "/home/u/.local/state/proctor/run/proctor/control.sock"
        );
        assert!(Place::find(None, true, &env("", "", "")).is_err());
    }

    #[test]
    fn a_root_is_made_absolute() {
        let place = Place::find(Some(PathBuf::from("r")), false, &PlaceEnv::default()).unwrap();
        assert!(place.root.unwrap().is_absolute());
    }

    #[test]
    fn only_a_private_root_can_be_known_to_be_unused() {
        assert!(
            !Place::find(None, false, &PlaceEnv::default())
                .unwrap()
                .is_unused()
        );
        let dir = tempfile::tempdir().unwrap();
        let place = Place::find(Some(dir.path().to_owned()), false, &PlaceEnv::default()).unwrap();
        assert!(place.is_unused());
        std::fs::create_dir_all(dir.path().join("var/lib/proctor")).unwrap();
        std::fs::write(dir.path().join("var/lib/proctor/proctor.db"), "").unwrap();
        assert!(!place.is_unused());
    }
}

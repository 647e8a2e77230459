//! Where attempts get their cgroups.

use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use super::boot::{Failure, because};
use crate::config::Config;
use crate::model::hash::hex;
use crate::sys::cgroup::{self, CgroupRoot, Controller, Controllers};
use crate::telemetry::{events, notify};

/// Where attempts get their cgroups, and what those can limit.
#[derive(Debug)]
pub(super) struct FoundCgroups {
    root: Option<CgroupRoot>,
    /// The one above it.
    above: Option<CgroupRoot>,
    controllers: Controllers,
}

impl FoundCgroups {
    /// Where it is.
    pub(super) fn path(&self) -> Option<&Path> {
        self.root.as_ref().map(CgroupRoot::path)
    }
}

/// The same in the daemon's life: somebody may take it away, or make room for controllers later.
#[derive(Debug)]
pub(super) struct Place(RwLock<FoundCgroups>);

impl Place {
    pub(super) fn new(found: FoundCgroups) -> Self {
        Self(RwLock::new(found))
    }

    /// The cgroup below which attempts get theirs, if they do.
    pub(super) fn root(&self) -> Option<CgroupRoot> {
        let found = self.0.read().unwrap_or_else(PoisonError::into_inner);
        found.root.clone()
    }

    /// What the cgroups of attempts can limit.
    pub(super) fn controllers(&self) -> Controllers {
        let found = self.0.read().unwrap_or_else(PoisonError::into_inner);
        found.controllers.clone()
    }

    /// The same for an attempt that needs these. What it would lack is tried to be turned on once more: whoever was in the way
    /// when the daemon started may be gone.
    pub(super) fn controllers_for(&self, mut needed: impl Iterator<Item = Controller>) -> Controllers {
        let known = self.controllers();
        if needed.all(|controller| known.lacks(controller).is_none()) {
            return known;
        }
        let mut found = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let (Some(root), Some(above)) = (&found.root, &found.above) {
            let now = root.enable(Some(&above.enable(None)));
            if now != found.controllers {
                let on: Vec<&str> = now.on().map(Controller::as_str).collect();
                tracing::info!(on = on.join(" "), "other controllers are on for attempts now");
                found.controllers = now;
            }
        }
        found.controllers.clone()
    }

    /// Finds a place anew if somebody has taken the one there was away, and no service manager makes that again with the daemon.
    /// True if there is something else now, so that what has failed for that can be tried again.
    pub(super) fn is_renewed(&self, config: &Config) -> bool {
        if notify::is_listening() {
            return false;
        }
        let mut found = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if !found.root.as_ref().is_some_and(CgroupRoot::is_gone) {
            return false;
        }
        match find_cgroups(config) {
            Ok(anew) => {
                let path = anew.path().map(|path| path.display().to_string());
                tracing::warn!(
                    path,
                    "the cgroup of the attempts was taken away; this is the new one"
                );
                *found = anew;
                true
            }
            Err(error) => {
                tracing::error!(%error, "the cgroup of the attempts was taken away, and there is no other place for one");
                false
            }
        }
    }
}

/// Finds where attempts get their cgroups, and turns on what controllers there are. Private daemons that share a parent
/// cgroup do not share theirs.
pub(super) fn find_cgroups(config: &Config) -> Result<FoundCgroups, Failure> {
    use sha2::{Digest, Sha256};
    let none = |why: &str| FoundCgroups {
        root: None,
        above: None,
        controllers: Controllers::none(why),
    };
    if !config.cgroup.enabled {
        return Ok(none("attempts have no cgroups: cgroup.enabled is false"));
    }
    let of_unit = attempts_unit(config).and_then(|path| match CgroupRoot::detect(Some(&path)) {
        Ok(root) => Some(root),
        Err(unavailable) => {
            // The cure is with who has changed the units.
            tracing::warn!(
                "{}; attempts get cgroups below the daemon's own, where their limits may not be enforceable",
                unavailable.reason
            );
            None
        }
    });
    let detected = match of_unit {
        Some(root) => Ok(root),
        None => CgroupRoot::detect(config.cgroup.parent.as_deref()),
    };
    let above = match detected {
        Ok(root) => root,
        Err(unavailable) if config.cgroup.parent.is_some() => {
            return Err(Failure::Other(format!("cgroup.parent: {}", unavailable.reason)));
        }
        Err(unavailable) => {
            events::cgroup_unavailable(&unavailable.reason);
            return Ok(none(&format!("attempts have no cgroups: {}", unavailable.reason)));
        }
    };
    let name = if config.paths.private {
        let hash = Sha256::digest(config.paths.state.as_os_str().as_encoded_bytes());
        format!("proctor-{}", hex(hash.get(..4).unwrap_or(&hash)))
    } else {
        String::from("attempts")
    };
    let root = above
        .subtree(&name)
        .map_err(because(format!("the cgroup {name}")))?;
    let controllers = root.enable(Some(&above.enable(None)));
    Ok(FoundCgroups {
        root: Some(root),
        above: Some(above),
        controllers,
    })
}

/// The cgroup of the unit that is for attempts, if the daemon's own unit names one (`PROCTOR_CGROUP`): it lies beside the
/// daemon's own. The configuration goes before it.
fn attempts_unit(config: &Config) -> Option<PathBuf> {
    let name = std::env::var_os("PROCTOR_CGROUP")?;
    if config.cgroup.parent.is_some() || config.paths.private {
        return None;
    }
    Some(cgroup::own_path().ok()?.parent()?.join(name))
}

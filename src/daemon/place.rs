//! Where attempts get their cgroups.

use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::boot::Failure;
use crate::config::{Config, Paths};
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
    /// Why there are none although they are wanted.
    unavailable: Option<String>,
}

impl FoundCgroups {
    /// Where it is.
    pub(super) fn path(&self) -> Option<&Path> {
        self.root.as_ref().map(CgroupRoot::path)
    }
}

/// Why something has failed that needs the place.
#[derive(Debug)]
pub(super) enum Failed {
    /// For something else: the reason.
    Itself(String),
    /// There is no place any more: what of it is to be told. The next daemon may find one.
    NoPlace(String),
}

/// The same in the daemon's life: somebody may take it away, or make room for controllers later.
#[derive(Debug)]
pub(super) struct Place(RwLock<Current>);

/// The place that is in force.
#[derive(Debug)]
struct Current {
    found: FoundCgroups,
    /// How many there were before it.
    number: u64,
}

impl Current {
    fn replace(&mut self, found: FoundCgroups) {
        self.found = found;
        self.number += 1;
    }

    /// Whether there was one before, and none was found when that was taken away.
    const fn is_lost(&self) -> bool {
        self.number > 0 && self.found.root.is_none()
    }
}

impl Place {
    pub(super) fn new(found: FoundCgroups) -> Self {
        Self(RwLock::new(Current { found, number: 0 }))
    }

    fn read(&self) -> RwLockReadGuard<'_, Current> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Current> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The cgroup below which attempts get theirs, if they do.
    pub(super) fn root(&self) -> Option<CgroupRoot> {
        self.read().found.root.clone()
    }

    /// What the cgroups of attempts can limit.
    pub(super) fn controllers(&self) -> Controllers {
        self.read().found.controllers.clone()
    }

    /// The same for an attempt that needs these. What it would lack is tried to be turned on once more: whoever was in the way
    /// when the daemon started may be gone.
    pub(super) fn controllers_for(&self, mut needed: impl Iterator<Item = Controller>) -> Controllers {
        let known = self.controllers();
        if needed.all(|controller| known.lacks(controller).is_none()) {
            return known;
        }
        let found = &mut self.write().found;
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

    /// Does what needs the place. If somebody has taken that away meanwhile, it is done again at the next one: where no service
    /// manager makes the place again with the daemon, another one is found.
    ///
    /// # Errors
    /// Those of what is done, told apart by whether there is a place.
    pub(super) fn within<T>(
        &self,
        config: &Config,
        mut act: impl FnMut() -> Result<T, String>,
    ) -> Result<T, Failed> {
        loop {
            // It is read before the place is: one that is replaced in between is tried once too often, not once too seldom.
            let number = self.enter(config);
            let why = match act() {
                Ok(done) => return Ok(done),
                Err(why) => why,
            };
            match self.fate(config, number) {
                Fate::Replaced => {}
                Fate::Kept => return Err(Failed::Itself(why)),
                Fate::Gone(told) => return Err(Failed::NoPlace(format!("{told}: {why}"))),
            }
        }
    }

    /// The number of the place that is in force. If the attempts have lost theirs, one is looked for before.
    fn enter(&self, config: &Config) -> u64 {
        let (number, lost) = {
            let now = self.read();
            (now.number, now.is_lost())
        };
        if !lost {
            return number;
        }
        let mut now = self.write();
        if now.is_lost()
            && let Ok(found) = look(config)
            && let Some(path) = found.path().map(Path::to_owned)
        {
            now.replace(found);
            tracing::info!(path = %path.display(), "attempts have cgroups again");
        }
        now.number
    }

    /// What has become of the place of this number, now that something has failed there.
    fn fate(&self, config: &Config, number: u64) -> Fate {
        let mut now = self.write();
        if now.number != number {
            return Fate::Replaced;
        }
        if !now.found.root.as_ref().is_some_and(CgroupRoot::is_gone) {
            return Fate::Kept;
        }
        if notify::is_listening() {
            return Fate::Gone("the cgroup of the attempts is gone, as when its unit was stopped".to_owned());
        }
        match look(config) {
            Ok(found) => {
                match (found.path(), &found.unavailable) {
                    (Some(path), _) => tracing::warn!(
                        path = %path.display(),
                        "the cgroup of the attempts was taken away; this is the new one"
                    ),
                    (None, why) => tracing::error!(
                        why = why.as_deref().unwrap_or("cgroup.enabled is false"),
                        "the cgroup of the attempts was taken away, and none can be made; until one can, attempts have none"
                    ),
                }
                now.replace(found);
                Fate::Replaced
            }
            Err(error) => Fate::Gone(format!(
                "the cgroup of the attempts was taken away, and there is no other place for one: {error}"
            )),
        }
    }
}

/// What has become of a place.
enum Fate {
    /// There is another one in its stead, or it is known now that there is none to be had.
    Replaced,
    /// It is as it was.
    Kept,
    /// It is gone, and nothing has replaced it: why.
    Gone(String),
}

/// Finds where attempts get their cgroups when the daemon starts, and says so if they get none.
pub(super) fn find_cgroups(config: &Config) -> Result<FoundCgroups, Failure> {
    let found = look(config).map_err(Failure::Other)?;
    if let Some(reason) = &found.unavailable {
        events::cgroup_unavailable(reason);
    }
    Ok(found)
}

/// Finds where attempts get their cgroups, and turns on what controllers there are. Private daemons that share a parent
/// cgroup do not share theirs.
fn look(config: &Config) -> Result<FoundCgroups, String> {
    if !config.cgroup.enabled {
        return Ok(FoundCgroups {
            root: None,
            above: None,
            controllers: Controllers::none("attempts have no cgroups: cgroup.enabled is false"),
            unavailable: None,
        });
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
            return Err(format!("cgroup.parent: {}", unavailable.reason));
        }
        Err(unavailable) => {
            return Ok(FoundCgroups {
                root: None,
                above: None,
                controllers: Controllers::none(&format!("attempts have no cgroups: {}", unavailable.reason)),
                unavailable: Some(unavailable.reason),
            });
        }
    };
    let name = root_name(&config.paths);
    let root = above
        .subtree(&name)
        .map_err(|error| format!("the cgroup {name}: {error}"))?;
    let controllers = root.enable(Some(&above.enable(None)));
    Ok(FoundCgroups {
        root: Some(root),
        above: Some(above),
        controllers,
        unavailable: None,
    })
}

/// The name of the cgroup below which attempts get theirs, wherever it is.
pub(super) fn root_name(paths: &Paths) -> String {
    use sha2::{Digest, Sha256};
    if !paths.private {
        return String::from("attempts");
    }
    let hash = Sha256::digest(paths.state.as_os_str().as_encoded_bytes());
    format!("proctor-{}", hex(hash.get(..4).unwrap_or(&hash)))
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

#[cfg(test)]
mod tests;

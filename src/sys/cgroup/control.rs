//! Controllers: turning them on for cgroups below, and the limits they enforce.

use std::collections::BTreeMap;
use std::fmt;
use std::io;

use super::walk::procs_in;
use super::{Cgroup, CgroupRoot};
use crate::model::resources::WEIGHT_DEFAULT;
use crate::model::{Amount, Resources};
use crate::sys::files;

/// The period of `cpu.max`, in microseconds.
const PERIOD: u64 = 100_000;
/// Most bytes of a file that lists controllers.
const LIST_MAX: u64 = 4096;

/// A controller that limits of attempts need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Controller {
    /// CPU time.
    Cpu,
    /// Disks.
    Io,
    /// Memory and swap space.
    Memory,
    /// Processes and threads.
    Pids,
}

impl Controller {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Cpu, Self::Io, Self::Memory, Self::Pids];

    /// Its name, as the kernel has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Io => "io",
            Self::Memory => "memory",
            Self::Pids => "pids",
        }
    }
}

impl fmt::Display for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which controllers attempts have, and why they lack the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Controllers {
    missing: BTreeMap<Controller, String>,
}

impl Controllers {
    /// None, for one reason.
    #[must_use]
    pub fn none(why: &str) -> Self {
        let missing = Controller::ALL.map(|controller| (controller, why.to_owned()));
        Self {
            missing: missing.into(),
        }
    }

    /// Why attempts do not have this one, and the cure; `None` if they have it.
    #[must_use]
    pub fn lacks(&self, controller: Controller) -> Option<&str> {
        self.missing.get(&controller).map(String::as_str)
    }

    /// Those that attempts have.
    pub fn on(&self) -> impl Iterator<Item = Controller> {
        let all = Controller::ALL.into_iter();
        all.filter(|controller| !self.missing.contains_key(controller))
    }
}

/// Why a limit cannot be enforced.
#[derive(Debug, thiserror::Error)]
#[error("{key} cannot be enforced: {file} of the cgroup: {source}")]
pub struct LimitError {
    /// The limit, as a DAG has it.
    pub key: &'static str,
    /// The controller it needs.
    pub controller: Controller,
    /// The file of the cgroup.
    pub file: &'static str,
    /// The reason.
    pub source: io::Error,
}

impl CgroupRoot {
    /// Turns controllers on for the cgroups below, as far as there are any. What is on stays on. `above` says what the
    /// cgroup above could give; its reasons are kept for what is missing there.
    #[must_use]
    pub fn enable(&self, above: Option<&Controllers>) -> Controllers {
        let mut missing = BTreeMap::new();
        let wanted = Controller::ALL.map(Controller::as_str);
        for (controller, (_, refused)) in Controller::ALL.into_iter().zip(self.turn_on(&wanted)) {
            let why = above.and_then(|above| above.lacks(controller)).map(str::to_owned);
            if let Some(why) = refused.map(|refused| why.unwrap_or(refused)) {
                missing.insert(controller, why);
            }
        }
        Controllers { missing }
    }

    /// Turns controllers on by name; says of each why it is not on.
    pub(super) fn turn_on<'n>(&self, names: &[&'n str]) -> Vec<(&'n str, Option<String>)> {
        let each = |name: &&'n str| (*name, self.turn_on_one(name).err());
        names.iter().map(each).collect()
    }

    fn turn_on_one(&self, name: &str) -> Result<(), String> {
        let place = self.path.display();
        let unreadable =
            |error: io::Error| format!("the controllers of the cgroup {place} cannot be read: {error}");
        if self.listed("cgroup.subtree_control", name).map_err(unreadable)? {
            return Ok(());
        }
        if !self.listed("cgroup.controllers", name).map_err(unreadable)? {
            return Err(unavailable(name, &place.to_string()));
        }
        // The kernel would turn some on all the same, and then let nothing into the cgroups below.
        if self.has_processes().map_err(unreadable)? {
            return Err(occupied(&place.to_string()));
        }
        // One write for each, so that one that is refused takes no other with it.
        self.write("cgroup.subtree_control", &format!("+{name}"))
            .map_err(|error| match error.raw_os_error() {
                Some(libc::EBUSY | libc::EOPNOTSUPP) => occupied(&place.to_string()),
                Some(libc::EACCES | libc::EPERM) => format!(
                    "this daemon may not change the cgroup {place}: only one of root, or one to whom it is delegated, can"
                ),
                _ => format!("{name} cannot be turned on in the cgroup {place}: {error}"),
            })
    }

    /// Whether processes are in this very cgroup. Those of the root of all do not count.
    fn has_processes(&self) -> io::Result<bool> {
        let is_root = self.dir.inode_of("cgroup.type")?.is_none();
        Ok(!is_root && !procs_in(&self.dir)?.is_empty())
    }

    fn listed(&self, file: &str, name: &str) -> io::Result<bool> {
        let bytes = files::read_at_most(&mut self.dir.open_for_reading(file)?, LIST_MAX)?;
        let text = String::from_utf8_lossy(&bytes);
        Ok(text.split_ascii_whitespace().any(|word| word == name))
    }

    fn write(&self, file: &str, text: &str) -> io::Result<()> {
        nix::unistd::write(self.dir.open_for_writing(file)?, text.as_bytes())?;
        Ok(())
    }
}

/// Why a cgroup that has processes of its own gives no controller (cgroups(7), "no internal processes").
fn occupied(place: &str) -> String {
    format!(
        "the cgroup {place} has processes of its own, and then gives no controller to cgroups below it: have proctord run in \
         a cgroup below that one (DelegateSubgroup= of systemd 254), or name another one in cgroup.parent"
    )
}

/// Why a cgroup cannot give a controller: the cgroups above do not give it, or the whole machine has it elsewhere.
fn unavailable(name: &str, place: &str) -> String {
    let elsewhere = std::fs::read_to_string("/proc/cgroups").is_ok_and(|text| in_v1(&text, name));
    if elsewhere {
        return format!(
            "the controller {name} is in use by cgroup v1 on this machine: boot it with systemd.unified_cgroup_hierarchy=1, \
             or unmount that hierarchy"
        );
    }
    format!(
        "the cgroup {place} has no controller {name}: have it turned on in the cgroups above, under systemd by Delegate=yes \
         in the unit, else in their cgroup.subtree_control"
    )
}

/// Whether `/proc/cgroups` says that a controller belongs to a hierarchy of version 1.
fn in_v1(text: &str, name: &str) -> bool {
    // The file has an old name for one.
    let name = if name == "io" { "blkio" } else { name };
    text.lines().any(|line| {
        let mut fields = line.split_ascii_whitespace();
        fields.next() == Some(name) && fields.next().is_some_and(|hierarchy| hierarchy != "0")
    })
}

/// A limit as a cgroup's file takes it.
#[derive(Debug, PartialEq, Eq)]
struct Setting {
    key: &'static str,
    controller: Controller,
    file: &'static str,
    text: String,
}

/// What is to be written for these limits. What a new cgroup has anyway needs no writing, and no controller.
fn settings(limits: &Resources) -> Vec<Setting> {
    let mut found = Vec::new();
    let mut put = |key, controller, file, text: Option<String>| {
        found.extend(text.map(|text| Setting {
            key,
            controller,
            file,
            text,
        }));
    };
    let amount = |limit: Option<Amount>| Some(limit?.number()?.to_string());
    let weight = |weight: Option<u32>| weight.filter(|weight| *weight != WEIGHT_DEFAULT);
    put(
        "memory_max",
        Controller::Memory,
        "memory.max",
        amount(limits.memory_max),
    );
    put(
        "memory_high",
        Controller::Memory,
        "memory.high",
        amount(limits.memory_high),
    );
    put(
        "swap_max",
        Controller::Memory,
        "memory.swap.max",
        amount(limits.swap_max),
    );
    let share = weight(limits.cpu_weight).map(|weight| weight.to_string());
    put("cpu_weight", Controller::Cpu, "cpu.weight", share);
    let percent = limits.cpu_max.and_then(Amount::number);
    let quota = percent.map(|percent| format!("{} {PERIOD}", percent.saturating_mul(PERIOD / 100)));
    put("cpu_max", Controller::Cpu, "cpu.max", quota);
    let share = weight(limits.io_weight).map(|weight| format!("default {weight}"));
    put("io_weight", Controller::Io, "io.weight", share);
    put("pids_max", Controller::Pids, "pids.max", amount(limits.pids_max));
    found
}

/// The weight of the BFQ scheduler, 1 to 1000, for one of 1 to 10000; both have 100 in the middle.
fn bfq_weight(weight: u32) -> u32 {
    if weight <= WEIGHT_DEFAULT {
        weight
    } else {
        WEIGHT_DEFAULT + (weight - WEIGHT_DEFAULT) * (1_000 - WEIGHT_DEFAULT) / (10_000 - WEIGHT_DEFAULT)
    }
}

impl Cgroup {
    /// The limits of these that need a controller, each with the controller.
    pub fn needs(limits: &Resources) -> impl Iterator<Item = (&'static str, Controller)> {
        let all = settings(limits).into_iter();
        all.map(|setting| (setting.key, setting.controller))
    }

    /// Sets every limit of a new cgroup that `wanted` agrees to. The others stay as they are.
    ///
    /// # Errors
    /// [`LimitError`] of the first that cannot be set.
    pub fn limit(&self, limits: &Resources, wanted: impl Fn(&'static str) -> bool) -> Result<(), LimitError> {
        for setting in settings(limits).into_iter().filter(|setting| wanted(setting.key)) {
            let Setting {
                key,
                controller,
                file,
                text,
            } = setting;
            let mut written = self.write(file, &text);
            // Where the kernel leaves shares to the scheduler of a disk, that has a file of its own.
            if let (Err(error), Some(weight)) = (&written, limits.io_weight)
                && key == "io_weight"
                && error.kind() == io::ErrorKind::NotFound
            {
                written = self.write("io.bfq.weight", &format!("default {}", bfq_weight(weight)));
            }
            written.map_err(|source| LimitError {
                key,
                controller,
                file,
                source,
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

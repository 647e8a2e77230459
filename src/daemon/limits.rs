//! What an attempt may use in the end: what its DAG says, what the configuration says, and who may go beyond that.

use std::collections::BTreeMap;

use super::registry::of_file;
use crate::config::Config;
use crate::dag::types::Execution;
use crate::model::resources::WEIGHT_DEFAULT;
use crate::model::{Amount, Resources, Rlimit, RlimitPair};
use crate::sys::cgroup::{Cgroup, Controllers};
use crate::sys::creds;
use crate::wire::control::Problem;

/// What a limit of processes is if nobody says anything: soft and hard value.
pub(super) type Inherited<'a> = &'a dyn Fn(Rlimit) -> (u64, u64);

/// What an attempt gets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Effective {
    /// All but the limits of processes.
    pub(super) resources: Resources,
    /// Limits of processes that are not inherited: soft and hard value.
    pub(super) rlimits: Vec<(Rlimit, u64, u64)>,
    /// What counts as less than the DAG says.
    pub(super) lowered: Vec<Lowered>,
}

/// What counts as less than the DAG says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lowered {
    /// In words.
    pub(super) text: String,
    /// Whether it is the configuration that says so.
    pub(super) configured: bool,
}

/// Whether the limits of the configuration bound those of a DAG: that of a user, in a daemon that serves several.
pub(super) fn is_bounded(owner: u32, execution: &Execution) -> bool {
    creds::effective_uid() == 0 && owner != 0 && !execution.of_system
}

/// What the daemon's own processes have, which jobs inherit.
pub(super) fn own(limit: Rlimit) -> (u64, u64) {
    creds::get_rlimit(limit).unwrap_or((creds::UNLIMITED, creds::UNLIMITED))
}

/// What an attempt gets whose DAG says `wanted`, where the configuration says `given`; `bounded` is whether it may not
/// have more than that. `open_files_max` is what [`creds::open_files_max`] gives.
pub(super) fn effective(
    wanted: &Resources,
    given: &Resources,
    bounded: bool,
    inherited: Inherited<'_>,
    open_files_max: u64,
) -> Effective {
    let mut lowered = Vec::new();
    let mut most = Most {
        bounded,
        open_files: open_files_max,
        lowered: &mut lowered,
    };
    let size = Amount::as_size;
    let percent = |amount: Amount| match amount {
        Amount::Of(percent) => format!("{percent}%"),
        Amount::Max => amount.to_string(),
    };
    let count = |amount: Amount| amount.to_string();
    let resources = Resources {
        memory_max: most.amount("memory_max", wanted.memory_max, given.memory_max, size),
        memory_high: most.amount("memory_high", wanted.memory_high, given.memory_high, size),
        swap_max: most.amount("swap_max", wanted.swap_max, given.swap_max, size),
        cpu_weight: most.weight("cpu_weight", wanted.cpu_weight, given.cpu_weight),
        cpu_max: most.amount("cpu_max", wanted.cpu_max, given.cpu_max, percent),
        io_weight: most.weight("io_weight", wanted.io_weight, given.io_weight),
        pids_max: most.amount("pids_max", wanted.pids_max, given.pids_max, count),
        nice: most.nice(wanted.nice, given.nice),
        umask: wanted.umask.or(given.umask),
        rlimits: BTreeMap::new(),
    };
    let limits = given.rlimits.keys().chain(wanted.rlimits.keys());
    let limits: std::collections::BTreeSet<Rlimit> = limits.copied().collect();
    let pair = |all: &BTreeMap<Rlimit, RlimitPair>, limit| all.get(&limit).copied().unwrap_or_default();
    let rlimits = limits
        .into_iter()
        .map(|limit| {
            let (wanted, given) = (pair(&wanted.rlimits, limit), pair(&given.rlimits, limit));
            let (soft, hard) = most.rlimit(limit, wanted, given, inherited(limit));
            (limit, soft, hard)
        })
        .collect();
    Effective {
        resources,
        rlimits,
        lowered,
    }
}

/// The most that a DAG may have, and what it had to give up.
struct Most<'a> {
    bounded: bool,
    open_files: u64,
    lowered: &'a mut Vec<Lowered>,
}

impl Most<'_> {
    fn lower(&mut self, key: &str, wanted: &str, (whose, allowed): (&str, &str), configured: bool) {
        self.lowered.push(Lowered {
            text: format!("`limits.{key}` is {wanted}, and {whose} is {allowed}: it counts as {allowed}"),
            configured,
        });
    }

    /// The same for what only the system's administrator can change.
    fn bound(&mut self, key: &str, wanted: &str, allowed: &str) {
        self.lower(key, wanted, ("the most for DAGs of users", allowed), true);
    }

    fn amount(
        &mut self,
        key: &str,
        wanted: Option<Amount>,
        given: Option<Amount>,
        shown: impl Fn(Amount) -> String,
    ) -> Option<Amount> {
        match (wanted, given) {
            (Some(wanted), Some(given)) if self.bounded && wanted > given => {
                self.bound(key, &shown(wanted), &shown(given));
                Some(given)
            }
            _ => wanted.or(given),
        }
    }

    fn weight(&mut self, key: &str, wanted: Option<u32>, given: Option<u32>) -> Option<u32> {
        let most = given.unwrap_or(WEIGHT_DEFAULT);
        match wanted {
            Some(wanted) if self.bounded && wanted > most => {
                self.bound(key, &wanted.to_string(), &most.to_string());
                Some(most)
            }
            _ => wanted.or(given),
        }
    }

    fn nice(&mut self, wanted: Option<i32>, given: Option<i32>) -> Option<i32> {
        let least = given.unwrap_or(0);
        match wanted {
            Some(wanted) if self.bounded && wanted < least => {
                let allowed = ("the least for DAGs of users", &*least.to_string());
                self.lower("nice", &wanted.to_string(), allowed, true);
                Some(least)
            }
            _ => wanted.or(given),
        }
    }

    fn rlimit(
        &mut self,
        limit: Rlimit,
        wanted: RlimitPair,
        given: RlimitPair,
        (own_soft, own_hard): (u64, u64),
    ) -> (u64, u64) {
        let number = |amount: Amount| amount.number().unwrap_or(creds::UNLIMITED);
        let shown = |value: u64| match value {
            creds::UNLIMITED => String::from("unlimited"),
            value => value.to_string(),
        };
        let key = |part: &str| format!("rlimits.{}.{part}", limit.as_str());
        let most = given.hard.map_or(own_hard, number);
        let mut hard = wanted.hard.map_or(most, number);
        if self.bounded && hard > most {
            self.bound(&key("hard"), &shown(hard), &shown(most));
            hard = most;
        }
        if limit == Rlimit::OpenFiles && hard > self.open_files {
            if wanted.hard.is_some() {
                let most = ("the most of this kernel (fs.nr_open)", &*shown(self.open_files));
                self.lower(&key("hard"), &shown(hard), most, false);
            }
            hard = self.open_files;
        }
        let soft = match wanted.soft.map(number) {
            Some(soft) if soft > hard => {
                // Of both in one, that was said already.
                if wanted.soft != wanted.hard {
                    let most = ("the hard limit", &*shown(hard));
                    self.lower(&key("soft"), &shown(soft), most, self.bounded);
                }
                hard
            }
            Some(soft) => soft,
            None => given.soft.map_or(own_soft, number).min(hard),
        };
        (soft, hard)
    }
}

/// What of the limits of a DAG counts as less, said of its file.
pub(super) fn lowered(execution: &Execution, owner: u32, config: &Config, file: &str) -> Vec<Problem> {
    let bounded = is_bounded(owner, execution);
    let found = effective(
        &execution.limits,
        &config.job.limits,
        bounded,
        &own,
        creds::open_files_max(),
    );
    let told = |lowered: Lowered| {
        let hint = format!("[job.limits] in {} has the most", config.paths.config.display());
        of_file(lowered.text, lowered.configured.then_some(hint), file)
    };
    found.lowered.into_iter().map(told).collect()
}

/// Sets the limits of an attempt's new cgroup. Gives those that cannot be enforced, in words, if that is allowed.
///
/// # Errors
/// What cannot be enforced, and the cure.
pub(super) fn enforce(
    cgroup: Option<&Cgroup>,
    controllers: &Controllers,
    limits: &Resources,
    require: bool,
) -> Result<Vec<String>, String> {
    let mut unmet: BTreeMap<&str, String> = BTreeMap::new();
    for (key, controller) in Cgroup::needs(limits) {
        if let Some(why) = controllers.lacks(controller) {
            let text = format!("limits.{key} needs the cgroup controller {controller}, and {why}");
            unmet.insert(key, text);
        }
    }
    if let Some(cgroup) = cgroup {
        while let Err(error) = cgroup.limit(limits, |key| !unmet.contains_key(key)) {
            unmet.insert(error.key, format!("limits.{error}"));
        }
    }
    match unmet.values().next() {
        Some(first) if require => Err(format!(
            "{first}; with require_limits = false in [cgroup] of proctord.toml it starts without that limit"
        )),
        _ => Ok(unmet.into_values().collect()),
    }
}

#[cfg(test)]
mod tests;

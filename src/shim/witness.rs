//! What the kernel does to the attempt beside what it does for everybody: processes that its out-of-memory killer takes, forks
//! that it refuses. Both are counted in the attempt's cgroup; here the counts are compared before and after each process.
//!
//! A count is raised before the process that it is about dies, so what is read once that has ended is complete. It does not say
//! whose process was taken. So it is kept with every process of the shim's that ran meanwhile, until nothing is left that it could
//! have belonged to; and one of them was taken itself only if there was nothing else that could have been.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Cause, Exit, OomScope, OomVictim, PidsScope, Usage};
use crate::sys::cgroup::{Cgroup, Events, Hits};
use crate::sys::reap;

/// Number of SIGKILL, the one signal that the out-of-memory killer sends.
const KILL: i32 = 9;

/// What is known of the attempt's limits.
#[derive(Debug, Default)]
pub(super) struct Witness {
    cgroup: Option<Cgroup>,
    events: Events,
    /// How the counts stood when a process was started that runs.
    before: BTreeMap<u32, Hits>,
    /// Processes that the out-of-memory killer took, and that may have belonged to some that run.
    kills: Vec<Kills>,
    /// How many it had taken when that was looked at last.
    seen: u64,
    /// How many the journal tells of.
    told: u64,
}

/// Processes that the out-of-memory killer took while the same ones ran.
#[derive(Debug, PartialEq, Eq)]
struct Kills {
    /// How many, without those that are known to be somebody's.
    count: u64,
    /// Which of those that ran then run yet.
    running: BTreeSet<u32>,
    /// Whether another one ran then, and has ended since.
    others: bool,
    /// Whether one of those was not taken itself, as far as is known: they may have been its.
    spared: bool,
    /// Whether one of those was told that they may be its.
    told: bool,
}

impl Kills {
    /// Whether they can have belonged to this process only.
    fn is_of(&self, pid: u32) -> bool {
        !self.others && self.running.len() == 1 && self.running.contains(&pid)
    }

    /// Whether this process, which a SIGKILL of nobody's has ended, was one of them: there is one for each that ran then, or it
    /// was the only one. With fewer, somebody else may have killed it, and the killer a child of another one.
    fn took(&self, pid: u32) -> bool {
        let enough = usize::try_from(self.count).unwrap_or(usize::MAX) >= self.running.len();
        !self.told && !self.spared && enough && self.running.contains(&pid)
    }
}

impl Witness {
    /// Without a cgroup nothing of it is known.
    pub(super) fn new(cgroup: Option<Cgroup>) -> Self {
        let events = cgroup.as_ref().map(Cgroup::events).unwrap_or_default();
        let seen = events.read().oom_kills.unwrap_or(0);
        Self {
            events,
            cgroup,
            seen,
            told: seen,
            ..Self::default()
        }
    }

    /// How the counts stand.
    pub(super) fn look(&self) -> Hits {
        self.events.read()
    }

    /// A process was started after a look.
    pub(super) fn started(&mut self, pid: u32, before: Hits) {
        self.note(before);
        self.before.insert(pid, before);
    }

    /// Keeps what was taken since the last look with all that ran since then.
    fn note(&mut self, now: Hits) {
        let Some(total) = now.oom_kills else { return };
        let count = total.saturating_sub(self.seen);
        self.seen = self.seen.max(total);
        if count > 0 {
            self.kills.push(Kills {
                count,
                running: self.before.keys().copied().collect(),
                others: false,
                spared: false,
                told: false,
            });
            self.tidy();
        }
    }

    /// Forgets what can be nobody's any more, and puts together what can be the same ones'.
    fn tidy(&mut self) {
        let mut kept: Vec<Kills> = Vec::new();
        for kills in std::mem::take(&mut self.kills) {
            if kills.count == 0 || kills.running.is_empty() {
                continue;
            }
            let alike = |other: &&mut Kills| {
                let of = |kills: &Kills| (kills.others, kills.spared, kills.told);
                other.running == kills.running && of(other) == of(&kills)
            };
            match kept.iter_mut().find(alike) {
                Some(other) => other.count += kills.count,
                None => kept.push(kills),
            }
        }
        self.kills = kept;
    }

    /// A process has ended, `asked` to do so by a signal of the shim or not: what the kernel did meanwhile that may be why.
    pub(super) fn ended(&mut self, pid: u32, exit: Exit, asked: bool) -> Option<Cause> {
        let now = self.look();
        self.note(now);
        let before = self.before.remove(&pid)?;
        let taken = matches!(exit, Exit::Signal { signal: KILL, .. }) && !asked;
        let found = self.claim(pid, taken, exit.is_success());
        if exit.is_success() {
            return None;
        }
        if let Some((killed, victim)) = found {
            return Some(Cause::OutOfMemory {
                killed,
                total: self.seen,
                scope: self.scope(before, now),
                victim,
            });
        }
        self.refused(before, now)
    }

    /// What the out-of-memory killer took that was of this process or may have been, now that it has ended; `taken` if its end
    /// looks like that of one that was taken itself. What is its for certain is nobody else's.
    fn claim(&mut self, pid: u32, taken: bool, well: bool) -> Option<(u64, OomVictim)> {
        let by = self.kills.iter().rposition(|kills| taken && kills.took(pid));
        if let Some(kills) = by.and_then(|place| self.kills.get_mut(place)) {
            kills.count -= 1;
        }
        let own = by.is_some();
        let (mut certain, mut possible) = (u64::from(own), 0_u64);
        for kills in self.kills.iter().filter(|kills| kills.running.contains(&pid)) {
            let sum = if kills.is_of(pid) {
                &mut certain
            } else {
                &mut possible
            };
            *sum = sum.saturating_add(kills.count);
        }
        let found = match (certain, possible) {
            (0, 0) => None,
            (0, _) => Some((possible, OomVictim::Unclear {})),
            _ if own => Some((certain, OomVictim::Own {})),
            _ => Some((certain, OomVictim::Below {})),
        };
        let unclear = !well && certain == 0;
        for (place, kills) in self.kills.iter_mut().enumerate() {
            if kills.running.remove(&pid) {
                kills.others = true;
                kills.spared |= by != Some(place);
                kills.told |= unclear;
            }
        }
        self.tidy();
        found
    }

    /// What the journal has to tell so that a process that was taken is not held for the supervisor, `told` being the cause
    /// that it tells: how many were taken so far. None if that tells it.
    pub(super) fn untold(&mut self, told: Option<Cause>) -> Option<Usage> {
        if let Some(Cause::OutOfMemory { total, .. }) = told {
            self.told = self.told.max(total);
        }
        (self.seen > self.told).then(|| {
            self.told = self.seen;
            Usage {
                oom_kills: Some(self.seen),
                ..Usage::UNKNOWN
            }
        })
    }

    /// A process could not be started after a look: whether that was for the attempt's limit of processes.
    pub(super) fn refused_since(&self, before: Hits) -> Option<Cause> {
        self.refused(before, self.look())
    }

    fn refused(&self, before: Hits, now: Hits) -> Option<Cause> {
        let refused = now.pids_refused?.saturating_sub(before.pids_refused.unwrap_or(0));
        (refused > 0).then(|| Cause::PidsLimit {
            refused,
            scope: self.whose_limit(),
        })
    }

    /// Whose limit refused forks that were counted.
    fn whose_limit(&self) -> PidsScope {
        let limit = self.cgroup.as_ref().and_then(Cgroup::pids_max);
        if self.events.counts_own_limit_only() {
            return PidsScope::Attempt { limit };
        }
        let most = self.cgroup.as_ref().and_then(Cgroup::pids_peak);
        match (limit, most) {
            // There is none, or it was never reached.
            (None, _) => PidsScope::Around {},
            (Some(limit), Some(most)) if most < limit => PidsScope::Around {},
            _ => PidsScope::Unclear { limit },
        }
    }

    /// Who was out of memory: a limit of the attempt's own counts as such there, one of anybody else's does not.
    fn scope(&self, before: Hits, now: Hits) -> OomScope {
        if now.ooms > before.ooms {
            OomScope::Attempt {
                limit: self.cgroup.as_ref().and_then(Cgroup::memory_max),
            }
        } else {
            OomScope::Around {}
        }
    }

    /// What the attempt has used, now that nothing of its steps lives: as its cgroup counted it, else as its reaped processes
    /// did.
    pub(super) fn usage(&self) -> Usage {
        let counted = self.cgroup.as_ref().map_or(Usage::UNKNOWN, Cgroup::usage);
        counted.or(reap::children_usage())
    }
}

#[cfg(test)]
mod tests;

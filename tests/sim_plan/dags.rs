//! The DAGs of a history: random policies, and what the engine is told of them.

use crate::rng::Rng;
use crate::timetable::{Timetable, ZONES};
use proctor::dag::cron::{Schedule, Zone};
use proctor::dag::types::OverlapPolicy;
use proctor::engine::scheduler::{Installed, TickKind};
use proctor::model::change::NewRun;
use proctor::model::{DagName, GroupName, Priority, RetryPolicy, RetryRule, RunRef, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Whose most DAGs are.
pub(crate) const OWNER: u32 = 1000;
/// Who has DAGs of the same names, and sometimes gets hold of the name itself.
pub(crate) const OTHER: u32 = 1001;
/// A queue that DAGs share.
pub(crate) const SHARED: &str = "shared";

const MICROS: i64 = 1_000_000;

fn policy(rng: &mut Rng) -> RetryPolicy {
    let rule = RetryRule {
        limit: u32::try_from(1 + rng.below(3)).unwrap(),
        interval_sec: [1, 45, 600, 7_200][rng.below(4)],
        backoff: 0.0,
        max_interval_sec: 7_200,
    };
    RetryPolicy {
        failed: Some(rule),
        exit_codes: Vec::new(),
        lost: Some(rule).filter(|_| rng.percent(50)),
        shared: rng.percent(50),
    }
}

/// A DAG and its policies, as they are now, and what its timetables were before.
#[derive(Debug, Clone)]
pub(crate) struct Dag {
    pub(crate) name: DagName,
    pub(crate) owner: u32,
    /// What counts now.
    pub(crate) table: Timetable,
    /// What counted before, each for the times up to this one, the oldest first. None is: it was not installed.
    pub(crate) past: Vec<(Time, Option<Timetable>)>,
    /// Ticks that were put off when an edit came, and when they are due since.
    pub(crate) moved: BTreeMap<Time, Time>,
    /// Those of them that the new timetable did not have.
    pub(crate) dropped: BTreeSet<Time>,
    /// Up to this time it cannot be said from outside which timetable counts: the daemon died, or the clock was set,
    /// before the change was on record.
    pub(crate) vague: Time,
    pub(crate) overlap: OverlapPolicy,
    pub(crate) catchup_sec: i64,
    pub(crate) skip_if_successful: bool,
    pub(crate) capacity: u32,
    pub(crate) shares: bool,
    pub(crate) priority: Priority,
    pub(crate) dag_limit: u32,
    pub(crate) retry: Option<RetryPolicy>,
}

fn overlap(rng: &mut Rng) -> OverlapPolicy {
    [
        OverlapPolicy::Skip,
        OverlapPolicy::All,
        OverlapPolicy::Latest,
        OverlapPolicy::CancelOther,
    ][rng.below(4)]
}

impl Dag {
    pub(crate) fn random(number: usize, rng: &mut Rng) -> Self {
        Self {
            name: format!("dag{number}").parse().unwrap(),
            owner: OWNER,
            table: Timetable::random(rng),
            past: Vec::new(),
            moved: BTreeMap::new(),
            dropped: BTreeSet::new(),
            vague: Time(i64::MIN),
            overlap: overlap(rng),
            catchup_sec: [0, 0, 1800, 7200, 86_400][rng.below(5)],
            skip_if_successful: rng.percent(15),
            capacity: u32::try_from(rng.below(4)).unwrap(),
            shares: rng.percent(30),
            priority: Priority::new([-10, 0, 0, 10][rng.below(4)]).unwrap(),
            dag_limit: [0, 0, 1, 2][rng.below(4)],
            retry: rng.percent(60).then(|| policy(rng)),
        }
    }

    /// Somebody changes something of it.
    pub(crate) fn edit(&mut self, rng: &mut Rng) {
        match rng.below(10) {
            0..=2 => self.table = Timetable::random(rng),
            3 => self.table.zone = rng.below(ZONES.len()),
            4 | 5 => self.table.jitter_sec = Timetable::random(rng).jitter_sec,
            6 => self.overlap = overlap(rng),
            7 => self.catchup_sec = [0, 1800, 7200, 86_400][rng.below(4)],
            8 => self.skip_if_successful = !self.skip_if_successful,
            _ => self.retry = rng.percent(60).then(|| policy(rng)),
        }
    }

    fn table_at(&self, at: Time) -> Option<&Timetable> {
        let before = self.past.iter().find(|(to, _)| at <= *to);
        before.map_or(Some(&self.table), |(_, table)| table.as_ref())
    }

    /// What is to happen at a time.
    pub(crate) fn kind(&self, at: Time) -> Option<TickKind> {
        if self.dropped.contains(&at) {
            return None;
        }
        self.table_at(at)?.kind(at.secs().div_euclid(60))
    }

    /// Whether that may happen at a time, by whatever timetable may count then.
    pub(crate) fn may(&self, at: Time, kind: TickKind) -> bool {
        let past = self.past.iter().filter_map(|(_, table)| table.as_ref());
        let is = |table: &Timetable| table.kind(at.secs().div_euclid(60)) == Some(kind);
        self.kind(at) == Some(kind) || (at <= self.vague && past.chain([&self.table]).any(is))
    }

    /// When what is scheduled for a time is due.
    pub(crate) fn due(&self, at: Time) -> Time {
        if let Some(due) = self.moved.get(&at) {
            return *due;
        }
        let wait = self
            .table_at(at)
            .map_or(0, |table| table.wait_sec(&self.name, at));
        Time(at.0 + wait * MICROS)
    }

    /// Another version counts from `now` on; with `decided` up to when the one before is known to have been looked at, and
    /// up to when that is stored.
    pub(crate) fn replace(&mut self, new: &Self, now: Time, (decided, stored): (Time, Time), sure: bool) {
        let upto = now.max(decided);
        // What has come and waits for its delay to pass.
        let from = Time(now.0 - 3_601 * MICROS);
        let waits = self.ticks(from, now).filter(|(at, _)| self.due(*at) > now);
        let waits: Vec<Time> = waits.map(|(at, _)| at).collect();
        let old = std::mem::replace(self, new.clone());
        if old.table.is_same(&self.table) {
            // What was due stays so, although it may be on its way to the store: it comes again if it is refused there.
            let open: Vec<Time> = old.ticks(stored.min(from), now).map(|(at, _)| at).collect();
            for at in open {
                self.moved.insert(at, old.due(at));
            }
            for at in waits {
                let wait = self.table.wait_sec(&self.name, at);
                self.moved.insert(at, now.max(Time(at.0 + wait * MICROS)));
            }
        } else {
            // It comes if the new one has it, too.
            for at in waits {
                if old.kind(at) == self.table.kind(at.secs().div_euclid(60)) {
                    let wait = self.table.wait_sec(&self.name, at);
                    self.moved.insert(at, now.max(Time(at.0 + wait * MICROS)));
                } else {
                    self.dropped.insert(at);
                }
            }
            self.past.push((upto, Some(old.table)));
        }
        if !sure || decided > now {
            self.blur(upto);
        }
    }

    /// It was not installed up to now.
    pub(crate) fn comes_back(&mut self, now: Time) {
        self.past.push((now, None));
        self.moved.clear();
    }

    /// The latest time that edits may have had marked as decided.
    pub(crate) fn marked(&self) -> Time {
        let times = self.past.iter().map(|(to, _)| *to);
        times.max().unwrap_or(self.vague).max(self.vague)
    }

    /// Nobody outside knows which timetable counts for the times up to that one.
    pub(crate) fn blur(&mut self, to: Time) {
        self.vague = self.vague.max(to);
    }

    /// The clock was put back to before a change.
    pub(crate) fn rewound(&mut self, now: Time) {
        if let Some((last, _)) = self
            .past
            .iter()
            .max_by_key(|(to, _)| *to)
            .filter(|(to, _)| *to > now)
        {
            self.vague = self.vague.max(*last);
        }
    }

    /// What was not on record counts as vague, since the daemon died or the clock was set.
    pub(crate) fn forget(&mut self, watermark: Option<Time>) {
        let last = self.past.iter().map(|(to, _)| *to);
        let last = last.chain(self.moved.keys().copied()).max();
        if let Some(last) = last.filter(|last| watermark.is_none_or(|watermark| watermark < *last)) {
            self.blur(last);
        }
        self.moved.clear();
    }

    /// All that is scheduled after one time and up to another.
    pub(crate) fn ticks(
        &self,
        after: Time,
        to: Time,
    ) -> impl DoubleEndedIterator<Item = (Time, TickKind)> + '_ {
        let minutes = after.secs().div_euclid(60) + 1..to.secs().div_euclid(60) + 1;
        minutes.filter_map(|minute| {
            let at = Time::from_secs(minute * 60);
            Some((at, self.kind(at)?))
        })
    }

    pub(crate) fn group(&self) -> GroupName {
        if self.shares {
            SHARED.parse().unwrap()
        } else {
            (&self.name).into()
        }
    }

    pub(crate) fn new_run(&self, id: &str, owner: u32, at: Time) -> NewRun {
        let run = RunRef {
            dag: self.name.clone(),
            id: id.parse().unwrap(),
        };
        NewRun {
            capacity: self.capacity,
            owner,
            created_at: at,
            priority: self.priority,
            dag_limit: self.dag_limit,
            retry: self.retry.clone(),
            ..NewRun::bare(run, self.group())
        }
    }

    pub(crate) fn installed(&self) -> Installed {
        let compile = |list: Vec<String>| {
            list.iter()
                .map(|expression| Schedule::parse(expression).unwrap())
                .collect()
        };
        let [starts, stops, restarts] = self.table.expressions();
        Installed {
            dag: self.name.clone(),
            starts: compile(starts),
            stops: compile(stops),
            restarts: compile(restarts),
            zone: Zone::named(ZONES[self.table.zone].0).unwrap(),
            jitter_sec: self.table.jitter_sec,
            overlap: self.overlap,
            catchup_sec: self.catchup_sec.unsigned_abs(),
            skip_if_successful: self.skip_if_successful,
            template: Arc::new(self.new_run("template", self.owner, Time::default())),
            suspended: false,
            watermark: None,
            last_success: None,
        }
    }
}

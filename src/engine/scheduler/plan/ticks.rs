//! Ticks: the scheduled times of a DAG's plan, and when each of them is due.

use std::collections::VecDeque;

use crate::dag::cron::{Fire, Schedule, Zone};
use crate::engine::scheduler::api::{Installed, TickKind};
use crate::model::hash::Hasher;
use crate::model::{DagName, Time};

/// Most ticks that are held back for a DAG. Of what was missed during a long time the newest are looked at, however
/// often it is scheduled.
pub(super) const BACKLOG_MAX: usize = 1000;

const SECOND: i64 = 1_000_000;

/// A scheduled time, and what is to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tick {
    /// The scheduled time.
    pub(super) at: Time,
    /// When to act: `at`, or later by the jitter.
    pub(super) due: Time,
    pub(super) kind: TickKind,
    /// What the clock shows then, and what is unusual about it.
    pub(super) fire: Fire,
    /// Whose clock that is.
    pub(super) zone: Zone,
    /// It was decided in time, and could not be stored. So it is not late, whenever it is tried again.
    pub(super) tried: bool,
    /// The store holds its run already.
    pub(super) known: bool,
}

/// The first tick after a time. Whatever is scheduled for one time is one tick (W34).
///
/// A start is due later than scheduled by its jitter, but always before the next tick: ticks are due in their order.
pub(super) fn next(plan: &Installed, after: Time) -> Option<Tick> {
    let (fire, kind, zone) = soonest(plan, after)?;
    let at = fire.at;
    let mut wait = 0;
    if plan.jitter_sec > 0 && kind != TickKind::Stop {
        wait = i64::from(jitter_sec(&plan.dag, at, plan.jitter_sec)) * SECOND;
        if let Some((next, ..)) = soonest(plan, at) {
            wait = wait
                .min(next.at.0.saturating_sub(at.0).saturating_sub(SECOND))
                .max(0);
        }
    }
    Some(Tick {
        at,
        due: Time(at.0.saturating_add(wait)),
        kind,
        fire,
        zone,
        tried: false,
        known: false,
    })
}

/// The newest ticks that are due, at most [`BACKLOG_MAX`], and the first one that is not; both after `after`. `span` is
/// a guess, in microseconds, of how far back they reach: what lies before is not looked at.
pub(super) fn newest(
    plan: &Installed,
    after: Time,
    now: Time,
    mut span: i64,
) -> (VecDeque<Tick>, Option<Tick>) {
    loop {
        let from = Time(now.0.saturating_sub(span)).max(after);
        let mut due = VecDeque::new();
        let mut upcoming = next(plan, from);
        while let Some(tick) = upcoming.filter(|tick| tick.due <= now) {
            if due.len() == BACKLOG_MAX {
                due.pop_front();
            }
            due.push_back(tick);
            upcoming = next(plan, tick.at);
        }
        if due.len() == BACKLOG_MAX || from == after {
            return (due, upcoming);
        }
        span = span.max(SECOND).saturating_mul(2);
    }
}

/// The last tick up to a time, if any can be due later than scheduled.
pub(super) fn last(plan: &Installed, now: Time) -> Option<Tick> {
    if plan.jitter_sec == 0 {
        return None;
    }
    let later = Time(now.0.saturating_add(1));
    let all = plan.starts.iter().chain(&plan.stops).chain(&plan.restarts);
    let fires = all.filter_map(|schedule| schedule.previous(later, plan.zone));
    let at = fires.map(|fire| fire.at).filter(|at| *at <= now).max()?;
    next(plan, just_before(at))
}

/// The last moment before a time.
pub(super) const fn just_before(at: Time) -> Time {
    Time(at.0.saturating_sub(1))
}

/// The scheduled start before a time, by whatever expression.
pub(super) fn previous_start(plan: &Installed, before: Time) -> Option<Time> {
    let fires = plan
        .starts
        .iter()
        .filter_map(|start| start.previous(before, plan.zone));
    fires.map(|fire| fire.at).filter(|at| *at < before).max()
}

fn soonest(plan: &Installed, after: Time) -> Option<(Fire, TickKind, Zone)> {
    let lists: [(TickKind, &Vec<Schedule>); 3] = [
        (TickKind::Start, &plan.starts),
        (TickKind::Stop, &plan.stops),
        (TickKind::Restart, &plan.restarts),
    ];
    let mut soonest: Option<(Fire, TickKind, Zone)> = None;
    for (kind, schedules) in lists {
        for schedule in schedules {
            // One that does not go ahead would go round for ever.
            let fire = schedule.next(after, plan.zone).filter(|fire| fire.at > after);
            let Some(fire) = fire else { continue };
            match &mut soonest {
                Some((known_fire, known, _)) if known_fire.at == fire.at => {
                    // Stop and start at one time are a restart, and a restart starts a run anyway.
                    if *known != kind {
                        *known = TickKind::Restart;
                    }
                }
                Some((known_fire, ..)) if known_fire.at < fire.at => {}
                soonest => *soonest = Some((fire, kind, schedule.zone().unwrap_or(plan.zone))),
            }
        }
    }
    soonest
}

/// By how many seconds a tick is put off: a hash, so that it is the same whoever asks, and after a restart.
fn jitter_sec(dag: &DagName, at: Time, most: u32) -> u32 {
    let mut hash = Hasher::default();
    for part in ["jitter", dag.as_str(), &at.0.to_string()] {
        hash.add(part);
    }
    let number = u64::from_str_radix(&hash.finish(7), 16).unwrap_or(0);
    u32::try_from(number % (u64::from(most) + 1)).unwrap_or(0)
}

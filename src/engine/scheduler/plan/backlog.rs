//! What is due and not decided yet, and what is to become of each of it.

use std::collections::{BTreeMap, VecDeque};

use super::ticks::{self, BACKLOG_MAX, Tick};
use crate::engine::scheduler::api::{Installed, TickKind, Token};
use crate::model::{Boot, Time};

use super::flight::Flight;

/// By how much a tick may be late without having been missed, in microseconds: 60 s.
pub(super) const LATE_MAX: i64 = 60_000_000;
/// A watermark that lies further ahead of the clock than this, in microseconds, was made while the clock was wrong: 3 h.
pub(super) const AHEAD_MAX: i64 = 3 * 3_600_000_000;

/// The plan of a DAG.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// None if the DAG is not installed, and somebody waits for the store yet.
    pub(super) installed: Option<Installed>,
    pub(super) suspended: bool,
    /// Whose DAG it is, or was before it went.
    pub(super) owner: Option<u32>,
    /// Every tick up to this one is decided, and the store knows.
    pub(super) watermark: Time,
    /// What the watermark becomes when the backlog is empty, although no tick of that time was decided.
    pub(super) mark: Option<Time>,
    /// Ticks that are due and not decided, in their order.
    pub(super) backlog: VecDeque<Tick>,
    /// The first tick that is not due.
    pub(super) next: Option<Tick>,
    /// What is being committed. There is at most one batch, so decisions follow each other.
    pub(super) flight: Option<Flight>,
    /// Who wants it held back, or not any more, in order.
    pub(super) asks: VecDeque<(Token, bool)>,
    /// Batches that failed in a row.
    pub(super) failures: u32,
    /// When to try again.
    pub(super) again: Option<Boot>,
    /// Its place in the agenda.
    pub(super) entry: Option<Time>,
    /// The time that the newest success counts for, of those that count for no time to come.
    pub(super) last_success: Option<Time>,
    /// The same of those that do: the clock was put back since, or it was wrong.
    pub(super) success_to_come: Option<Time>,
}

/// What is to become of a tick, before it is asked what the DAG is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// It is in time.
    Live,
    /// It is late, and is made up for.
    Late,
    /// It is late, and is left out.
    Missed,
    /// It is late, and the stop of its hours has passed as well.
    Over,
    /// A newer one takes its place.
    Replaced,
}

/// Whether a time was noted while the clock was wrong.
pub(super) const fn is_far_ahead(at: Time, now: Time) -> bool {
    at.0.saturating_sub(now.0) > AHEAD_MAX
}

impl Plan {
    /// Moves what is due into the backlog.
    pub(super) fn collect(&mut self, now: Time) {
        let Some(installed) = &self.installed else {
            return;
        };
        let mut fresh = 0;
        let first = self.next.map_or(now, |tick| tick.at);
        while let Some(tick) = self.next.filter(|tick| tick.due <= now) {
            if fresh == BACKLOG_MAX {
                let last = self.backlog.back().map_or(tick.at, |tick| tick.at);
                let span = last.0.saturating_sub(first.0);
                let (due, next) = ticks::newest(installed, last, now, span);
                self.backlog.extend(due);
                self.next = next;
                break;
            }
            fresh += 1;
            self.next = ticks::next(installed, tick.at);
            self.backlog.push_back(tick);
        }
        if let Some(excess) = self.backlog.len().checked_sub(BACKLOG_MAX) {
            // What was tried is there behind what was left out together with it.
            let gone = self.backlog.drain(..excess);
            let tried: Vec<Tick> = gone.filter(|tick| tick.tried).collect();
            for tick in tried.into_iter().rev() {
                self.backlog.push_front(tick);
            }
        }
    }

    /// Forgets what is due, and goes on after that time.
    pub(super) fn go_on_after(&mut self, at: Time) {
        self.backlog.clear();
        self.next = self.installed.as_ref().and_then(|plan| ticks::next(plan, at));
    }

    /// The tick that is scheduled for a time up to `now`, after that which is decided, and is due later by its jitter.
    pub(super) fn put_off(&self, now: Time, decided: Time) -> Option<Tick> {
        let tick = ticks::last(self.installed.as_ref()?, now)?;
        Some(tick).filter(|tick| tick.due > now && tick.at > decided)
    }

    /// The clock was put back: what is not due any more comes again, and so does what was too old to be looked at before.
    pub(super) fn put_back(&mut self, now: Time) {
        let (Some(installed), Some(first), Some(last)) =
            (&self.installed, self.backlog.front(), self.backlog.back())
        else {
            return;
        };
        if self.backlog.iter().all(|tick| tick.due <= now) {
            return;
        }
        let span = last.at.0.saturating_sub(first.at.0);
        // What was decided or never scheduled before an edit does not come by that.
        let decided = self.decided_up_to().max(self.mark.unwrap_or_default());
        let (due, next) = ticks::newest(installed, decided, now, span);
        // What is known of those that are still due stays known.
        let due = due.into_iter().map(|tick| (tick.at, tick));
        let mut all: BTreeMap<Time, Tick> = due.collect();
        let still = self.backlog.iter().filter(|tick| tick.due <= now);
        all.extend(still.map(|tick| (tick.at, *tick)));
        self.backlog = all.into_values().collect();
        self.next = next;
    }

    /// Notes a success that counts for a time, and which of those that are known count now. One that counts for a time to
    /// come says nothing of the starts until then.
    pub(super) fn note_success(&mut self, at: Option<Time>, now: Time) {
        let known = [self.last_success, self.success_to_come, at]
            .into_iter()
            .flatten();
        self.last_success = known.clone().filter(|at| *at <= now).max();
        self.success_to_come = known.filter(|at| *at > now).max();
    }

    /// Up to when nothing happens because the clock was ahead and the times until then are decided already. A lead that
    /// no tick would be late by is none.
    pub(super) fn decided_ahead(&self, now: Time) -> Option<Time> {
        let lead = self.watermark.0.saturating_sub(now.0);
        Some(self.watermark).filter(|_| (LATE_MAX + 1..=AHEAD_MAX).contains(&lead))
    }

    /// Classifies each tick of the backlog, in order.
    pub(super) fn classes<'a>(
        &'a self,
        installed: &'a Installed,
        now: Time,
    ) -> impl Iterator<Item = (Tick, Class)> + 'a {
        let newest = |kind| self.backlog.iter().rposition(|tick| tick.kind == kind);
        let newest = [TickKind::Start, TickKind::Stop, TickKind::Restart].map(newest);
        let window = installed.catchup_sec.saturating_mul(1_000_000);
        let window = i64::try_from(window).unwrap_or(i64::MAX);
        let only_newest = installed.overlap.only_newest();
        let stop = newest[1];
        let class_of = move |place: usize, tick: &Tick| {
            let late = now.0.saturating_sub(tick.due.0);
            let is_newest = newest.contains(&Some(place));
            let over = tick.kind == TickKind::Start && stop.is_some_and(|stop| place < stop);
            if tick.tried && over {
                Class::Over
            } else if tick.tried || (is_newest && late <= LATE_MAX) {
                Class::Live
            } else if tick.kind != TickKind::Start || installed.catchup_sec == 0 || late > window {
                Class::Missed
            } else if over {
                Class::Over
            } else {
                Class::Late
            }
        };
        let is_started = move |place: usize, tick: &Tick| {
            tick.kind == TickKind::Start && matches!(class_of(place, tick), Class::Live | Class::Late)
        };
        let backlog = || self.backlog.iter().enumerate();
        // One that is left out takes nobody's place.
        let last = backlog().rfind(|(place, tick)| is_started(*place, tick));
        let last = last.map(|(place, _)| place).filter(|_| only_newest);
        backlog().map(move |(place, tick)| {
            let replaced = last.is_some_and(|last| place < last) && is_started(place, tick);
            let class = class_of(place, tick);
            (*tick, if replaced { Class::Replaced } else { class })
        })
    }
}

//! The reference: which scheduled times must be started, may be, and must not; from the rules alone.

use crate::dags::Dag;
use crate::store::Row;
use crate::world::{Ask, Pending, World};
use proctor::dag::types::OverlapPolicy;
use proctor::engine::scheduler::TickKind;
use proctor::engine::scheduler::api::CommitError;
use proctor::model::change::{Change, NewRun};
use proctor::model::{DagName, RunId, RunRef, Time, Trigger};
use std::collections::BTreeSet;

const MINUTE: i64 = 60_000_000;
const HOUR: i64 = 60 * MINUTE;

impl World {
    /// A run is made for a scheduled time: the time must be scheduled, and it must not be too late for it.
    pub(crate) fn check_start(&self, dag: &Dag, new: &NewRun, at: Time) {
        let restart = new.run.id.as_str().starts_with("restart-");
        let kind = if restart {
            TickKind::Restart
        } else {
            TickKind::Start
        };
        assert!(dag.may(at, kind), "{}: nothing starts then", new.run);
        assert_eq!(new.run.id, RunId::scheduled(&dag.name, dag.owner, at, restart));
        assert_eq!((new.owner, &new.group), (dag.owner, &dag.group()));
        assert!(at <= self.now.wall, "{} starts before its time", new.run);
        if !restart && dag.skip_if_successful && self.answers.is_empty() {
            assert!(
                !self.succeeded_since_start_before(dag, at, true),
                "{} was to be left out",
                new.run
            );
        }
        if at <= dag.vague {
            return;
        }
        let late = self.now.wall.0 - dag.due(at).0;
        let delayed = self.delayed.contains(&(dag.name.clone(), at));
        assert!(late >= 0, "{} starts before it is due", new.run);
        if new.trigger == Trigger::Catchup {
            assert!(
                !restart && late <= dag.catchup_sec * 1_000_000,
                "{} is made up for too late",
                new.run
            );
            let stops = |(_, kind): (Time, TickKind)| kind == TickKind::Stop;
            assert!(
                !dag.ticks(at, self.now.wall).any(stops),
                "{} is made up for, and its stop has passed",
                new.run
            );
        } else {
            assert!(late <= MINUTE || delayed, "{} is {late} us late", new.run);
            let newer = |(at, other): &(Time, TickKind)| *other == kind && dag.due(*at) <= self.now.wall;
            assert!(
                delayed || !dag.ticks(at, self.now.wall).any(|tick| newer(&tick)),
                "{} starts as if it were in time, but there is a newer one",
                new.run
            );
        }
    }

    /// Commits a batch, and looks at every scheduled time that it decides.
    pub(crate) fn commit(&mut self, pending: &Pending) -> Result<(), CommitError> {
        let mark = pending.batch.iter().find_map(|change| match change {
            Change::Watermark { dag, at } => Some((dag.clone(), *at)),
            _ => None,
        });
        let before = mark
            .as_ref()
            .and_then(|(dag, _)| self.store.watermarks.get(dag).copied());
        let was_held = mark
            .as_ref()
            .is_some_and(|(dag, _)| self.store.suspended.get(dag) == Some(&true));
        self.store.commit(&pending.batch)?;
        // By the rules of when it was decided: an edit may have come while it was on its way.
        let newest = pending.dag.as_ref().is_some_and(|dag| dag.overlap.only_newest());
        let makes_way = |change: &Change| {
            matches!(change, Change::Accept(new) if new.scheduled_for.is_some()
                && (newest || new.run.id.as_str().starts_with("restart-")))
        };
        if pending.batch.iter().any(makes_way) {
            // Who waits beside the newest has met its start.
            for run in &pending.subject {
                self.store.taken_back.remove(run);
            }
        }
        if let [Change::Uninstall { dag, .. }] = &pending.batch[..] {
            self.forgets.remove(dag);
            self.far.remove(dag);
            self.removed.insert(dag.clone());
        }
        if let Some((dag, at)) = mark {
            self.check_watermark(&dag, before, at, (pending, was_held));
            self.removed.remove(&dag);
            self.far.remove(&dag);
            if before.is_some_and(|before| at < before) {
                let of_that_name = self.dags.iter_mut().filter(|other| other.name == dag);
                of_that_name.for_each(|dag| dag.forget(Some(at)));
            }
        }
        for dag in &self.dags {
            if dag.overlap == OverlapPolicy::Latest {
                let waits = self.store.rows.iter().filter(|(run, row)| {
                    run.dag == dag.name
                        && row.owner == dag.owner
                        && row.queued.is_some()
                        && row.stop.is_none()
                        && row.scheduled_for.is_some()
                        // One that was taken back waits again, beside the newest.
                        && !self.store.taken_back.contains(run)
                        && run.id.as_str().starts_with("sched-")
                });
                assert!(waits.count() <= 1, "more than the newest of {} waits", dag.name);
            }
        }
        Ok(())
    }

    /// With `was_held` the DAG was held back, as the store had it before.
    fn check_watermark(
        &mut self,
        dag: &DagName,
        before: Option<Time>,
        at: Time,
        (pending, was_held): (&Pending, bool),
    ) {
        let decided = pending.decided;
        let Some(before) = before else {
            // The clock may have been put back since it came.
            assert!(at.0 <= decided.0 + 3 * HOUR, "a new DAG counts from now on");
            return;
        };
        if at < before {
            assert!(self.far.contains(dag), "the watermark goes back without need");
            // The clock may have been put back once more.
            assert!(
                at.0 <= decided.0 + 3 * HOUR,
                "the watermark is ahead of the clock"
            );
            return;
        }
        let dag = &pending.dag.clone().unwrap_or_else(|| self.dag(dag).clone());
        assert!(
            at <= decided.max(before).max(dag.marked()),
            "the watermark is ahead of the clock"
        );
        let goes_on = |change: &Change| matches!(change, Change::Suspend { on: false, .. });
        // What passed while it was held back is left out.
        let left_out = was_held && pending.batch.iter().any(goes_on);
        let newest = |kind| {
            let mut ticks = dag.ticks(before, decided);
            ticks.rfind(|(at, other)| *other == kind && dag.due(*at) <= decided)
        };
        let newest = [TickKind::Start, TickKind::Stop, TickKind::Restart].map(newest);
        for (time, kind) in dag.ticks(before.max(dag.vague), at) {
            assert!(
                dag.due(time) <= decided.max(dag.vague),
                "{} {} is decided before it is due",
                dag.name,
                time.rfc3339()
            );
            let run = RunRef {
                dag: dag.name.clone(),
                id: RunId::scheduled(&dag.name, dag.owner, time, kind == TickKind::Restart),
            };
            let is_newest = newest.contains(&Some((time, kind)));
            let late = decided.0 - dag.due(time).0;
            let live = late <= MINUTE && is_newest;
            let wanted = live || late <= dag.catchup_sec * 1_000_000;
            if left_out {
                continue;
            }
            let delayed = self.delayed.contains(&(dag.name.clone(), time));
            // What was tried in time is never late. What comes anew is not what was tried.
            let tick = (dag.name.clone(), time);
            let anew = self.anew.contains(&tick) || self.removed.contains(&dag.name);
            let acts = live || (delayed && !anew);
            if acts && kind == TickKind::Stop {
                self.check_stop(dag, pending);
            }
            assert!(
                !acts || kind != TickKind::Restart || self.store.rows.contains_key(&run),
                "{run} is lost: decided at {}",
                decided.rfc3339()
            );
            if kind != TickKind::Start || !wanted || self.store.rows.contains_key(&run) {
                continue;
            }
            // Its run would have been ended by then; what could not be stored before is not begun after its stop, either.
            let stops = |(_, kind): (Time, TickKind)| kind == TickKind::Stop;
            if (!live || delayed) && dag.ticks(time, decided).any(stops) {
                continue;
            }
            let why = || format!("{run} is lost: decided at {}", decided.rfc3339());
            if dag.skip_if_successful && self.succeeded_since_start_before(dag, time, false) {
                continue;
            }
            match dag.overlap {
                OverlapPolicy::All => panic!("{}", why()),
                OverlapPolicy::Skip => assert!(!pending.idle, "{}", why()),
                OverlapPolicy::Latest | OverlapPolicy::CancelOther => assert!(!is_newest, "{}", why()),
            }
        }
    }

    /// What is certainly live, waits by a schedule or waits for its retry, and nobody has stopped: a stop that is decided
    /// now is to end it. What is on its way to or from the store may be something else by then.
    pub(crate) fn subject_to_stop(&self, dag: &Dag) -> BTreeSet<RunRef> {
        let about = |run: &RunRef| {
            let asked = self
                .asks
                .values()
                .any(|ask| matches!(ask, Ask::Stop(other) if other == run));
            let told = self.pending.iter().flat_map(|pending| &pending.batch);
            let mut told = told.map(|change| format!("{change:?}"));
            asked || told.any(|change| change.contains(&format!("{run:?}")))
        };
        let live = |run: &RunRef| {
            let mut shims = self.shims.values().filter(|shim| shim.run == *run);
            shims.any(|shim| shim.started && !shim.ended && !shim.gone && !shim.stop)
        };
        let waits = |row: &Row| {
            let scheduled = row.queued.is_some() && row.scheduled_for.is_some();
            self.answers.is_empty() && (scheduled || row.retry.due.is_some())
        };
        let rows = self.store.rows.iter();
        let of_dag = rows.filter(|(run, row)| run.dag == dag.name && row.owner == dag.owner);
        let subject = of_dag.filter(|(run, row)| {
            let live = row.status.is_none() && live(run);
            row.stop.is_none() && (live || waits(row)) && !about(run)
        });
        subject.map(|(run, _)| run.clone()).collect()
    }

    /// A stop that is in time leaves nothing going on.
    fn check_stop(&mut self, dag: &Dag, pending: &Pending) {
        for run in &pending.subject {
            let row = &self.store.rows[run];
            let over = row.status.is_some() && row.retry.due.is_none();
            assert!(
                over || row.stop.is_some(),
                "{run} goes on after a stop of {}: {row:?}",
                dag.name
            );
        }
        self.report.in_time += u64::from(!pending.subject.is_empty());
    }

    /// With `surely` it is known to every daemon: of successes the store tells the next one only the last.
    fn succeeded_since_start_before(&self, dag: &Dag, time: Time, surely: bool) -> bool {
        let from = Time(time.0 - 48 * HOUR);
        let just_before = Time(time.0 - MINUTE);
        let start = |minute: &i64| dag.table.starts_at(*minute);
        let before = (from.secs() / 60..=just_before.secs() / 60).rev().find(start);
        let all = self.store.successes.get(&(dag.name.clone(), dag.owner));
        // One that counts for a time to come says nothing yet.
        let mut success = all.into_iter().flatten().rev();
        let counts = |success: &&Time| **success <= self.now.wall;
        let success = if surely {
            success.next().filter(counts)
        } else {
            success.find(counts)
        };
        success
            .zip(before)
            .is_some_and(|(success, before)| success.0 > before * MINUTE)
    }

    /// Notes which watermarks were made by a clock that was far ahead.
    pub(crate) fn note_far(&mut self) {
        for (dag, watermark) in &self.store.watermarks {
            if watermark.0 - self.now.wall.0 > 3 * HOUR {
                self.far.insert(dag.clone());
            }
        }
    }
}

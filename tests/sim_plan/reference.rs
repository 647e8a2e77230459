//! The reference: which scheduled times must be started, may be, and must not; from the rules alone.

use crate::dags::Dag;
use crate::world::{Pending, World};
use proctor::dag::types::OverlapPolicy;
use proctor::engine::scheduler::TickKind;
use proctor::engine::scheduler::api::CommitError;
use proctor::model::change::{Change, NewRun};
use proctor::model::{DagName, RunId, RunRef, Time, Trigger};

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
        assert_eq!((new.owner, &new.group), (dag.owner, &dag.group(dag.owner)));
        assert!(at <= self.now.wall, "{} starts before its time", new.run);
        if !restart && dag.skip_if_successful && self.answers.is_empty() {
            assert!(
                !self.succeeded_since_start_before(dag, at),
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
        self.store.commit(&pending.batch)?;
        if let Some((dag, at)) = mark {
            self.check_watermark(&dag, before, at, pending);
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

    fn check_watermark(&self, dag: &DagName, before: Option<Time>, at: Time, pending: &Pending) {
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
        if pending.batch.iter().any(goes_on) {
            return;
        }
        let newest = dag
            .ticks(before, decided)
            .rfind(|(at, kind)| *kind == TickKind::Start && dag.due(*at) <= decided);
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
            let is_newest = newest.is_some_and(|(newest, _)| newest == time);
            let late = decided.0 - dag.due(time).0;
            let live = late <= MINUTE && is_newest;
            let wanted = live || late <= dag.catchup_sec * 1_000_000;
            if kind != TickKind::Start || !wanted || self.store.rows.contains_key(&run) {
                continue;
            }
            // Its run would have been ended by then.
            let stops = |(_, kind): (Time, TickKind)| kind == TickKind::Stop;
            if !live && dag.ticks(time, decided).any(stops) {
                continue;
            }
            let why = || format!("{run} is lost: decided at {}", decided.rfc3339());
            let success = self.store.successes.get(&(dag.name.clone(), dag.owner));
            // Behind one that counts for a time to come there may be an older one, which the engine knows.
            let unclear = success.is_some_and(|success| *success > decided);
            if dag.skip_if_successful && (unclear || self.succeeded_since_start_before(dag, time)) {
                continue;
            }
            match dag.overlap {
                OverlapPolicy::All => panic!("{}", why()),
                OverlapPolicy::Skip => assert!(!pending.idle, "{}", why()),
                OverlapPolicy::Latest | OverlapPolicy::CancelOther => assert!(!is_newest, "{}", why()),
            }
        }
    }

    fn succeeded_since_start_before(&self, dag: &Dag, time: Time) -> bool {
        let from = Time(time.0 - 48 * HOUR);
        let just_before = Time(time.0 - MINUTE);
        let start = |minute: &i64| dag.table.starts_at(*minute);
        let before = (from.secs() / 60..=just_before.secs() / 60).rev().find(start);
        let success = self.store.successes.get(&(dag.name.clone(), dag.owner));
        // One that counts for a time to come says nothing yet.
        let success = success.filter(|success| **success <= self.now.wall);
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

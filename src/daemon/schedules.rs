//! What the engine makes of schedules, and what people ask about them.

use std::collections::{BTreeMap, BTreeSet};

use super::control::refusal;
use super::dispatcher::{Dispatcher, now};
use super::live::LiveRun;
use super::requests::Asker;
use crate::dag::cron::Dst;
use crate::engine::scheduler::api::{SCHEDULED_MAX, USER_SCHEDULED_MAX};
use crate::engine::scheduler::{Scheduler, TickOutcome};
use crate::engine::scheduler::{TickKind, Upcoming};
use crate::model::change::NewRun;
use crate::model::{DagName, Time, Trigger};
use crate::telemetry::events;
use crate::wire::control::{ErrorKind, Response};
use crate::wire::manage;

/// Most times of one answer.
const NEXT_MAX: usize = 1000;

/// Counters of scheduled times, for `doctor`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Ticks {
    pub(super) started: u64,
    pub(super) caught_up: u64,
    pub(super) stopped: u64,
    pub(super) skipped: u64,
    pub(super) crowded: u64,
    pub(super) missed: u64,
    pub(super) held_back: u64,
    pub(super) delayed: u64,
}

impl Ticks {
    /// With their names.
    pub(super) const fn named(self) -> [(&'static str, u64); 8] {
        [
            ("scheduled starts", self.started),
            ("scheduled starts made up for", self.caught_up),
            ("scheduled stops", self.stopped),
            ("scheduled times skipped", self.skipped),
            ("scheduled starts left out, too many waited", self.crowded),
            ("scheduled times missed", self.missed),
            ("scheduled times left out, the DAG was disabled", self.held_back),
            ("scheduled starts delayed", self.delayed),
        ]
    }
}

impl Dispatcher {
    /// The engine has made a run.
    pub(super) fn make(&mut self, mut new: NewRun) {
        self.runs.share(&mut new);
        self.runs.insert(new.run.clone(), LiveRun::first(new));
    }

    /// What became of a scheduled time.
    pub(super) fn ticked(&mut self, dag: &DagName, at: Time, kind: TickKind, outcome: &TickOutcome) {
        let mut words = words(kind, outcome);
        if let Some(why) = self
            .registry
            .barred(dag)
            .filter(|_| *outcome == TickOutcome::Barred)
        {
            words = format!("{words}: {why}");
        }
        let ticks = &mut self.counters.ticks;
        match outcome {
            TickOutcome::Started { run, caught_up } => {
                ticks.started += 1;
                ticks.caught_up += u64::from(*caught_up);
                self.metrics.accepted(if *caught_up {
                    Trigger::Catchup
                } else {
                    Trigger::Scheduler
                });
                events::schedule_started(run, at, *caught_up);
            }
            TickOutcome::Stopped(count) => {
                ticks.stopped += 1;
                // Most schedules stop what has ended by itself: that is no news.
                if *count > 0 {
                    events::schedule_stopped(dag, at, *count);
                }
            }
            TickOutcome::StartedBefore
            | TickOutcome::Overlapped
            | TickOutcome::Replaced
            | TickOutcome::AwaitsRetry(_)
            | TickOutcome::Successful
            | TickOutcome::Barred => {
                ticks.skipped += 1;
                events::schedule_skipped(dag, at, &words);
            }
            TickOutcome::Crowded | TickOutcome::UserCrowded => {
                ticks.crowded += 1;
                events::schedule_skipped(dag, at, &words);
            }
            TickOutcome::Missed | TickOutcome::StopPassed => {
                ticks.missed += 1;
                events::schedule_skipped(dag, at, &words);
            }
            TickOutcome::HeldBack => {
                ticks.held_back += 1;
                events::schedule_skipped(dag, at, &words);
            }
            TickOutcome::Delayed(why) => {
                ticks.delayed += 1;
                events::schedule_delayed(dag, at, why);
            }
        }
        let last = format!("{}: {words}", at.rfc3339());
        self.registry.last.insert(dag.clone(), last);
    }

    /// Warns if the schedules of a DAG are silent because the clock was ahead.
    pub(super) fn warn_if_ahead(&self, dag: &DagName) {
        if let Some(until) = self.engine.decided_ahead(dag, now().wall) {
            events::schedule_ahead(dag, until);
        }
    }

    /// What the schedules will do.
    pub(super) fn next(&mut self, dag: Option<&DagName>, count: u32, owner: Option<u32>, asker: &Asker) {
        let count = usize::try_from(count).unwrap_or(NEXT_MAX);
        if count == 0 || count > NEXT_MAX {
            let text = format!("the number of times must be 1 to {NEXT_MAX}");
            return self.answer(&asker.answers, refusal(ErrorKind::Invalid, &text));
        }
        let at = now().wall;
        let next = match (dag, owner) {
            (None, None) => self.engine.upcoming(None, at, count),
            (Some(dag), _) => match self.may_see(dag, owner) {
                Ok(()) => self.engine.upcoming(Some(dag), at, count),
                Err(refused) => return self.answer(&asker.answers, *refused),
            },
            (None, Some(_)) => {
                let seen = self
                    .registry
                    .in_force
                    .keys()
                    .filter(|dag| self.may_see(dag, owner).is_ok());
                merged(&self.engine, seen.cloned().collect(), at, count)
            }
        };
        let next = next.into_iter().map(|next| self.told(next)).collect();
        self.answer(&asker.answers, Response::Next(next));
    }

    /// A time to come as it is told, with what the registry knows.
    pub(super) fn told(&self, next: Upcoming) -> manage::Upcoming {
        let barred = self.registry.barred(&next.dag);
        let barred = barred.filter(|_| next.kind != TickKind::Stop);
        manage::Upcoming { barred, ..told(next) }
    }
}

/// The next times of these DAGs together.
fn merged(engine: &Scheduler, dags: BTreeSet<DagName>, after: Time, count: usize) -> Vec<Upcoming> {
    // Three actions may share a time, so of four times the last one may not be all of its kind, and others are.
    const AT_ONCE: usize = 4;
    let mut waiting: BTreeMap<(Time, DagName), Vec<Upcoming>> = BTreeMap::new();
    let more = |dag: &DagName, after: Time, beyond: Option<Time>| {
        let mut next = engine.upcoming(Some(dag), after, AT_ONCE);
        // What was put off beyond its time is told already.
        next.retain(|one| beyond.is_none_or(|beyond| one.at > beyond));
        let last = next.last().filter(|_| next.len() == AT_ONCE).map(|last| last.at);
        next.retain(|one| last.is_none_or(|last| one.at < last));
        next
    };
    for dag in dags {
        let next = more(&dag, after, None);
        waiting.extend(next.first().map(|first| first.at).map(|at| ((at, dag), next)));
    }
    let mut all = Vec::new();
    while all.len() < count
        && let Some(((_, dag), next)) = waiting.pop_first()
    {
        let at = next.first().map_or(after, |first| first.at);
        let (now, mut later): (Vec<_>, Vec<_>) = next.into_iter().partition(|one| one.at == at);
        all.extend(now);
        if later.is_empty() {
            later = more(&dag, at, Some(at));
        }
        waiting.extend(later.first().map(|first| first.at).map(|at| ((at, dag), later)));
    }
    all.truncate(count);
    all
}

/// A time to come as it is told.
fn told(next: Upcoming) -> manage::Upcoming {
    let fire = next.fire;
    let note = match fire.dst {
        Dst::Usual => None,
        Dst::Moved { wanted } => Some(format!(
            "the clock leaps over {wanted} that day: at the end of the gap instead"
        )),
        Dst::First => Some("the clock shows this time twice that day: the first of the two".to_owned()),
    };
    manage::Upcoming {
        dag: next.dag,
        action: match next.kind {
            TickKind::Start => manage::Action::Start,
            TickKind::Stop => manage::Action::Stop,
            TickKind::Restart => manage::Action::Restart,
        },
        at: next.at,
        due: next.due,
        local: format!("{} {}", fire.local, offset(fire.offset_sec)),
        zone: next.zone.name().to_owned(),
        note,
        suspended: next.suspended,
        decided_ahead: next.decided_ahead,
        idle: next.idle,
        barred: None,
    }
}

/// An offset from UTC, such as `+02:00`; with seconds if it has some.
fn offset(seconds: i32) -> String {
    let sign = if seconds < 0 { '-' } else { '+' };
    let all = seconds.unsigned_abs();
    let (hours, minutes, rest) = (all / 3600, all / 60 % 60, all % 60);
    if rest == 0 {
        format!("{sign}{hours:02}:{minutes:02}")
    } else {
        format!("{sign}{hours:02}:{minutes:02}:{rest:02}")
    }
}

/// What became of a scheduled time, in words.
fn words(kind: TickKind, outcome: &TickOutcome) -> String {
    let undone = match kind {
        TickKind::Start => "not started",
        TickKind::Stop => "nothing was stopped",
        TickKind::Restart => "not restarted",
    };
    match outcome {
        TickOutcome::Started {
            run,
            caught_up: false,
        } => format!("run {} was queued", run.id),
        TickOutcome::Started { run, caught_up: true } => format!("run {} was queued, late", run.id),
        TickOutcome::StartedBefore => "its run had been started before".to_owned(),
        TickOutcome::Stopped(1) => "1 run was stopped".to_owned(),
        TickOutcome::Stopped(count) => format!("{count} runs were stopped"),
        TickOutcome::Overlapped => {
            "not started: a run of the DAG was queued or live (overlap_policy)".to_owned()
        }
        TickOutcome::Replaced => "not started: a later start takes its place (overlap_policy)".to_owned(),
        TickOutcome::Crowded => {
            format!("not started: {SCHEDULED_MAX} scheduled runs of the DAG wait already")
        }
        TickOutcome::UserCrowded => {
            format!("not started: {USER_SCHEDULED_MAX} scheduled runs of its user wait already")
        }
        TickOutcome::AwaitsRetry(run) => {
            format!(
                "not started: run {} has failed and waits for its retry (overlap_policy)",
                run.id
            )
        }
        TickOutcome::Successful => {
            "not started: a run since the time before has succeeded (skip_if_successful)".to_owned()
        }
        TickOutcome::Missed if kind == TickKind::Start => {
            "not started: the time had passed while nothing could start (catchup_window)".to_owned()
        }
        TickOutcome::Missed => {
            format!("{undone}: the time had passed, and only starts are made up for")
        }
        TickOutcome::StopPassed => {
            "not started: the time had passed, and so had that of the stop after it".to_owned()
        }
        TickOutcome::HeldBack => format!("{undone}: the DAG was disabled"),
        TickOutcome::Barred => format!("{undone}: its user may start nothing"),
        TickOutcome::Delayed(why) => match kind {
            TickKind::Start => format!("not started yet: {why}"),
            TickKind::Stop => format!("nothing is stopped yet: {why}"),
            TickKind::Restart => format!("not restarted yet: {why}"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dag::cron::{Schedule, Zone};
    use crate::dag::types::OverlapPolicy;
    use crate::engine::scheduler::{Config, Event, Installed};
    use crate::model::{Boot, Now};

    #[test]
    fn offsets_are_written_as_rfc_3339_has_them() {
        for (seconds, text) in [
            (0, "+00:00"),
            (7_200, "+02:00"),
            (-12_600, "-03:30"),
            (-2_670, "-00:44:30"),
        ] {
            assert_eq!(offset(seconds), text);
        }
    }

    #[test]
    fn every_outcome_has_words_of_its_own() {
        let run = crate::model::RunRef {
            dag: DagName::new("d").unwrap(),
            id: crate::model::RunId::new("r").unwrap(),
        };
        let started = |caught_up| TickOutcome::Started {
            run: run.clone(),
            caught_up,
        };
        let all = [
            started(false),
            started(true),
            TickOutcome::StartedBefore,
            TickOutcome::Stopped(1),
            TickOutcome::Stopped(2),
            TickOutcome::Overlapped,
            TickOutcome::Replaced,
            TickOutcome::Crowded,
            TickOutcome::UserCrowded,
            TickOutcome::AwaitsRetry(run.clone()),
            TickOutcome::Successful,
            TickOutcome::Missed,
            TickOutcome::StopPassed,
            TickOutcome::HeldBack,
            TickOutcome::Barred,
            TickOutcome::Delayed("full".to_owned()),
        ];
        let start: BTreeSet<String> = all.iter().map(|one| words(TickKind::Start, one)).collect();
        assert_eq!(start.len(), all.len());
        for kind in [TickKind::Stop, TickKind::Restart] {
            for outcome in [TickOutcome::Missed, TickOutcome::HeldBack] {
                let told = words(kind, &outcome);
                assert!(
                    !told.contains("not started") && !told.contains("catchup"),
                    "{told}"
                );
            }
        }
    }

    fn hourly(dag: &str) -> Installed {
        let dag = DagName::new(dag).unwrap();
        let run = crate::model::RunRef {
            dag: dag.clone(),
            id: crate::model::RunId::new("r").unwrap(),
        };
        let template = NewRun {
            capacity: 1,
            ..NewRun::bare(run, (&dag).into())
        };
        Installed {
            dag,
            starts: vec![Schedule::parse("0 * * * *").unwrap()],
            stops: Vec::new(),
            restarts: Vec::new(),
            zone: Zone::UTC,
            jitter_sec: 3000,
            overlap: OverlapPolicy::All,
            catchup_sec: 0,
            skip_if_successful: false,
            template: template.into(),
            suspended: false,
            watermark: Some(Time(0)),
            last_success: None,
        }
    }

    #[test]
    fn of_several_dags_each_time_is_told_once_and_in_order_also_when_it_is_put_off() {
        let mut engine = Scheduler::new(Config::default());
        let wall = Time::from_secs(3600);
        let now = Now { wall, boot: Boot(1) };
        let dags = ["a", "b", "c"];
        for dag in dags {
            engine.handle(now, Event::Install(Box::new(hourly(dag))), &mut Vec::new());
        }
        let seen = || dags.iter().map(|dag| DagName::new(*dag).unwrap()).collect();
        let times = |count| {
            let told = merged(&engine, seen(), wall, count);
            told.iter()
                .map(|one| (one.at.secs() / 3600, one.dag.to_string()))
                .collect::<Vec<_>>()
        };
        let all: Vec<_> = (1..=10)
            .flat_map(|hour| dags.map(|dag| (hour, dag.to_owned())))
            .collect();
        assert_eq!(times(30), all);
        assert_eq!(times(4), all[..4]);
    }
}

//! What the engine wants done, and what must hold when it does.

use crate::world::{Ask, Pending, Shim, World};
use proctor::dag::types::OverlapPolicy;
use proctor::engine::scheduler::api::Refusal;
use proctor::engine::scheduler::{Effect, TickOutcome, Token};
use proctor::model::change::{Change, NewRun};
use proctor::model::{AttemptId, DagName, RunRef, StopReason, Time};

impl World {
    pub(crate) fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Commit(number, batch) => {
                for change in &batch {
                    self.report.retries +=
                        u64::from(matches!(change, Change::Requeue { automatic: true, .. }));
                    if let Change::Requeue {
                        run, automatic: true, ..
                    } = change
                    {
                        let known = self.pending.is_empty() && self.answers.is_empty();
                        assert!(
                            !known || !self.gives_way(run),
                            "{run} is tried again beside a newer one"
                        );
                    }
                    if let Change::CancelRetry { reason, .. } = change {
                        self.report.given_up += u64::from(!matches!(reason, StopReason::User { .. }));
                    }
                    if let Change::Accept(new) = change
                        && new.scheduled_for.is_some()
                    {
                        assert!(
                            self.made.remove(&new.run),
                            "{} is accepted and was not made",
                            new.run
                        );
                    }
                }
                let dag = batch.iter().find_map(|change| match change {
                    Change::Watermark { dag, at } => Some((dag, *at)),
                    _ => None,
                });
                self.wanted.extend(dag.map(|(dag, at)| (dag.clone(), at)));
                let dag = dag.map(|(dag, _)| dag);
                let idle = dag.is_some_and(|dag| self.is_idle(dag));
                let dag = dag.map(|dag| self.dag(dag).clone());
                let subject = dag.as_ref().map(|dag| self.subject_to_stop(dag));
                self.pending.push_back(Pending {
                    number,
                    batch,
                    decided: self.now.wall,
                    idle,
                    dag,
                    subject: subject.unwrap_or_default(),
                });
            }
            Effect::Make(new) => self.make(&new),
            Effect::Unmake(run) => assert!(!self.made.contains(&run), "its batch came, and did not take it"),
            Effect::Launch(run, attempt, _) => self.launch(run, attempt),
            Effect::OpenGate(attempt) => self.shim(&attempt).open = true,
            Effect::CloseGate(attempt) => self.shim(&attempt).closed = true,
            Effect::Adopt(_, attempt, _) => assert!(!self.shim(&attempt).gone),
            Effect::SendStop(attempt, reason) | Effect::EnsureStop(attempt, reason) => {
                self.report.superseded += u64::from(reason == StopReason::Superseded);
                self.shim(&attempt).stop = true;
            }
            Effect::NoRetry(attempt) => self.shim(&attempt).retried = false,
            Effect::Clean(attempt) => {
                let run = attempt.clone();
                let shim = self.shims.entry(attempt).or_insert_with(|| Shim {
                    run: RunRef {
                        dag: "cleaned".parse().unwrap(),
                        id: run.as_str().parse().unwrap(),
                    },
                    open: false,
                    closed: true,
                    ready: true,
                    started: false,
                    ended: false,
                    stop: false,
                    gone: true,
                    cleaning: false,
                    retried: false,
                });
                assert!(shim.gone || !shim.ready, "cleaned while it lives");
                shim.gone = true;
                shim.cleaning = true;
            }
            Effect::Accepted(token) => self.answered(token, true),
            Effect::Refused(token, why) => {
                if matches!(self.asks.get(&token), Some(Ask::Gone)) {
                    let store = matches!(why, Refusal::Store(_));
                    assert!(store || why == Refusal::NotFound, "{why:?}: it is not there");
                    self.report.orphans += 1;
                }
                self.answered(token, false);
            }
            Effect::Tick(dag, at, _, outcome) => self.ticked(&dag, at, &outcome),
            Effect::Arm(at) => self.armed = Some(at),
            Effect::Changed(_) | Effect::Over(_) => {}
            Effect::Idle => {
                let idle = self.pending.iter().all(Pending::is_own);
                assert!(idle, "idle, but {:?}", self.pending);
            }
        }
    }

    pub(crate) fn shim(&mut self, attempt: &AttemptId) -> &mut Shim {
        self.shims.get_mut(attempt).expect("no such shim")
    }

    pub(crate) fn dag(&self, name: &DagName) -> &crate::dags::Dag {
        self.dags
            .iter()
            .find(|dag| dag.name == *name)
            .expect("no such DAG")
    }

    /// Whether a stored run is one of the DAG, and not of somebody else's DAG of that name.
    fn is_of(&self, dag: &DagName, run: &RunRef) -> bool {
        let row = self.store.rows.get(run);
        run.dag == *dag && row.is_some_and(|row| row.owner == self.dag(dag).owner)
    }

    /// Whether nothing of the DAG is queued or live, nor on its way there: neither in the store, nor elsewhere.
    fn is_idle(&self, dag: &DagName) -> bool {
        let stored = self
            .store
            .rows
            .iter()
            .any(|(run, row)| self.is_of(dag, run) && (row.status.is_none() || row.retry.due.is_some()));
        let alive = self
            .shims
            .values()
            .any(|shim| self.is_of(dag, &shim.run) && !shim.gone);
        let coming = self.pending.iter().flat_map(|pending| &pending.batch);
        let mut coming = coming.filter(|change| matches!(change, Change::Accept(new) if new.run.dag == *dag));
        !stored && !alive && coming.next().is_none() && self.answers.is_empty()
    }

    /// A schedule starts a run.
    fn make(&mut self, new: &NewRun) {
        let (dag, at) = (&new.run.dag, new.scheduled_for.expect("made for no time"));
        assert!(
            !self.held.contains(dag),
            "{} starts while it is held back",
            new.run
        );
        assert!(!self.draining, "{} starts while the daemon leaves", new.run);
        let away = |number: &usize| self.dags[*number].name == *dag;
        assert!(!self.away.iter().any(away), "{}: it is not installed", new.run);
        assert_eq!(new.created_at, self.now.wall);
        let reference = self.dag(dag);
        self.check_start(reference, new, at);
        let put_off = u64::from(reference.due(at) > at);
        if reference.overlap == OverlapPolicy::Skip && !new.run.id.as_str().starts_with("restart-") {
            // What is being ended in the queue is not in its way.
            let ending = |run: &RunRef| {
                let mut changes = self.pending.iter().flat_map(|pending| &pending.batch);
                changes.any(|change| matches!(change, Change::EndQueued { run: other, .. } if other == run))
            };
            let mut queued = self.store.rows.iter().filter(|(run, row)| {
                self.is_of(dag, run) && row.queued.is_some() && !self.store.taken_back.contains(run)
            });
            assert!(
                queued.all(|(run, _)| ending(run)),
                "{} overlaps what waits",
                new.run
            );
            let mut rows = self.store.rows.iter();
            let pausing = rows.find(|(run, row)| self.is_of(dag, run) && row.retry.due.is_some());
            assert_eq!(
                pausing.map(|(run, _)| run),
                None,
                "{} overlaps what waits for a retry",
                new.run
            );
            let mut live = self
                .shims
                .values()
                .filter(|shim| self.is_of(dag, &shim.run) && shim.open);
            assert!(live.all(|shim| shim.gone), "{} overlaps what is live", new.run);
        }
        assert!(self.made.insert(new.run.clone()), "{} is made twice", new.run);
        self.report.put_off += put_off;
    }

    fn launch(&mut self, run: RunRef, attempt: AttemptId) {
        let row = &self.store.rows[&run];
        assert_eq!(
            row.live,
            Some((attempt.clone(), false)),
            "launched without an intent"
        );
        // What is stored, and not told yet, is not known to the engine; and what a person submitted may have been on its way.
        let told = self.answers.is_empty() && row.scheduled_for.is_some();
        for (id, shim) in &self.shims {
            assert_ne!(*id, attempt, "launched on top of itself");
            assert_ne!(shim.run, run, "two attempts of {run}");
            let Some(other) = self.store.rows.get(&shim.run) else {
                continue;
            };
            let same = shim.run.dag == run.dag && other.owner == row.owner;
            if same && !shim.gone && told && row.stop.is_none() {
                // Nothing starts while a run lives that made way for it.
                assert_ne!(
                    other.stop,
                    Some(StopReason::Superseded),
                    "{run} starts beside {}",
                    shim.run
                );
            }
        }
        self.report.full += u64::from(self.check_room(&run));
        // The supervisor is told when it is launched.
        let retried = self.engine.retried_on(&run).is_some();
        let shim = Shim {
            run,
            open: false,
            closed: false,
            ready: false,
            started: false,
            ended: false,
            stop: false,
            gone: false,
            cleaning: false,
            retried,
        };
        self.shims.insert(attempt, shim);
    }

    fn answered(&mut self, token: Token, yes: bool) {
        let ask = self.asks.remove(&token).expect("answered twice");
        assert!(!yes || !matches!(ask, Ask::Gone), "accepted of another DAG");
        let Ask::Suspend(dag, on) = ask else {
            return;
        };
        let later = self.asks.values().rev().find_map(|ask| match ask {
            Ask::Suspend(other, on) if *other == dag => Some(*on),
            _ => None,
        });
        let stored = self.store.suspended.get(&dag).copied().unwrap_or(false);
        let stored = stored && !self.forgets.contains(&dag);
        assert!(!yes || stored == on, "accepted, not stored");
        if stored || later == Some(true) {
            self.held.insert(dag);
        } else {
            self.held.remove(&dag);
        }
    }

    fn ticked(&mut self, dag: &DagName, at: Time, outcome: &TickOutcome) {
        let watermark = self.store.watermarks.get(dag);
        let report = &mut self.report;
        match outcome {
            TickOutcome::Started { run, caught_up } => {
                report.started += 1;
                report.caught_up += u64::from(*caught_up);
                report.restarts += u64::from(run.id.as_str().starts_with("restart-"));
                assert_eq!(self.store.rows[run].scheduled_for, Some(at));
            }
            TickOutcome::StartedBefore => report.before += 1,
            TickOutcome::Stopped(count) => report.stopped += u64::from(*count > 0),
            TickOutcome::Overlapped | TickOutcome::Replaced => report.overlapped += 1,
            TickOutcome::AwaitsRetry(_) => report.awaits_retry += 1,
            TickOutcome::Successful => report.successful += 1,
            TickOutcome::Crowded | TickOutcome::UserCrowded => panic!("{dag}: fewer wait"),
            TickOutcome::Barred => panic!("{dag}: every user may"),
            TickOutcome::Missed | TickOutcome::HeldBack => report.missed += 1,
            TickOutcome::StopPassed => report.stop_passed += 1,
            TickOutcome::Delayed(_) => {
                report.delayed += 1;
                // With the clock put back it comes again, and a DAG that was removed and comes back is a new one.
                let tick = (dag.clone(), at);
                let news = self.delayed.insert(tick.clone());
                let news = news || self.anew.contains(&tick) || self.removed.contains(dag);
                assert!(news, "told twice that it is delayed");
                // The clock was put back while it was on its way to the store.
                if self.dag(dag).due(at) > self.now.wall {
                    self.anew.insert(tick);
                }
                return;
            }
        }
        // Of one that comes back after it was gone that is not known any more.
        assert!(
            watermark.is_some_and(|watermark| *watermark >= at) || self.removed.contains(dag),
            "told before it is stored"
        );
    }
}

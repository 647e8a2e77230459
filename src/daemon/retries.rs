//! Retries of runs as a whole, as the daemon's memory has them: what recovery finds of them, what the view of a run
//! says that waits for one, and how such a run goes back into its queue.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::dispatcher::{Asked, Asking, Dispatcher};
use super::live::LiveRun;
use super::requests::Asker;
use crate::dag::scheduling::AT_LEAST_ONCE;
use crate::engine::scheduler::Event;
use crate::engine::scheduler::api::{DueRetry, Origin, Recovered, RetryFacts, Retrying};
use crate::model::change::{Change, NewRun};
use crate::model::view::RunView;
use crate::model::{DagName, RunRef, StopReason, Time};
use crate::telemetry::events;

/// What becomes of a run that waits for its retry, once a batch is stored.
#[derive(Debug)]
pub(super) enum Turn {
    /// It is in its queue again.
    Requeued(RunRef),
    /// No retry comes.
    Cancelled(RunRef, StopReason),
}

/// Whether the run is tried again after a loss because of `delivery`, and no policy that somebody wrote.
fn is_of_delivery(new: &NewRun) -> bool {
    let rule = new.retry.as_ref().and_then(|policy| policy.lost);
    rule == Some(AT_LEAST_ONCE)
}

impl Dispatcher {
    /// Notes what a change of an engine's batch means for the view of a run that waits for its retry, or will.
    pub(super) fn note_retry(&mut self, number: u64, change: &Change) {
        match change {
            Change::RetryLater { run, retry, .. } => {
                // A batch that could not be stored comes again.
                if let Some(live) = self.runs.get_mut(run)
                    && live.view.retry.replace(*retry) != Some(*retry)
                {
                    live.view.held = self.engine.holds_retries(&run.dag, live.new.owner);
                    events::retry_pending(run, retry);
                    self.metrics.retry_pending();
                }
            }
            Change::Requeue { run, .. } => {
                // Others were taken into memory for a request, as what they are once it is stored.
                let waits = self.runs.get(run).is_some_and(|live| live.view.retry.is_some());
                if waits {
                    let turns = self.turning.entry(number).or_default();
                    turns.push(Turn::Requeued(run.clone()));
                }
            }
            Change::CancelRetry { run, reason, .. } => {
                let turns = self.turning.entry(number).or_default();
                turns.push(Turn::Cancelled(run.clone(), reason.clone()));
            }
            _ => {}
        }
    }

    /// The retries of a DAG's runs are held back, or go on: their views say so, and who follows them is told.
    pub(super) fn note_hold(&mut self, dag: &DagName) {
        self.note_holds(|other| other == dag);
    }

    /// The same for several DAGs.
    pub(super) fn note_holds(&mut self, which: impl Fn(&DagName) -> bool) {
        let held = |live: &LiveRun| self.engine.holds_retries(&live.view.run.dag, live.new.owner);
        let concerns = |live: &&LiveRun| {
            live.view.retry.is_some() && which(&live.view.run.dag) && live.view.held != held(live)
        };
        let runs: Vec<(RunRef, bool)> = self
            .runs
            .values()
            .filter(concerns)
            .map(|live| (live.view.run.clone(), held(live)))
            .collect();
        for (run, held) in runs {
            if let Some(live) = self.runs.get_mut(&run) {
                live.view.held = held;
                self.followers
                    .update(&run, &live.view, &BTreeSet::new(), &BTreeSet::new());
            }
        }
    }

    /// The batch that ends the waiting for a retry is stored: the views follow, then the engine is told. A schedule may
    /// end it for several runs at once; one that goes back into its queue does so by itself.
    pub(super) fn turn(&mut self, number: u64, turns: Vec<Turn>) {
        let mut requeued = None;
        for turn in turns {
            match turn {
                Turn::Cancelled(run, reason) => {
                    if let Some(live) = self.runs.get_mut(&run) {
                        live.view.retry = None;
                        live.view.stop = Some(reason);
                    }
                }
                Turn::Requeued(run) => requeued = Some(run),
            }
        }
        let Some((run, live)) = requeued.and_then(|run| Some((run.clone(), self.runs.get(&run)?))) else {
            return self.tell(Event::Committed(number));
        };
        // The store may know more than the attempt did: how sub-runs ended that have outlived it.
        let (reader, last) = (self.reader.clone(), live.view.number);
        self.elsewhere(
            move || (reader.attempt_view(&run, last), run),
            move |dispatcher, (stored, run)| {
                if let Some(live) = dispatcher.runs.get_mut(&run) {
                    let last = match stored {
                        Ok(Some(view)) => view,
                        other => {
                            let error = other.err().map(|error| error.to_string());
                            let error = error.unwrap_or_default();
                            tracing::warn!(run = %run, error, "a retry goes on from memory");
                            live.view.clone()
                        }
                    };
                    *live = LiveRun::further(Arc::clone(&live.new), last);
                }
                dispatcher.tell(Event::Committed(number));
            },
        );
    }

    /// What the store holds of a run's retries.
    pub(super) fn stored_retries(&self, new: &NewRun) -> Result<Retrying, String> {
        if new.retry.is_none() {
            return Ok(Retrying::default());
        }
        let state = self
            .reader
            .retry_state(&new.run)
            .map_err(|error| format!("the store cannot be read: {error}"))?;
        Ok(Retrying {
            policy: new.retry.clone(),
            so_far: state.so_far,
            due: state
                .due
                .map(|(retry, boot, boot_id)| DueRetry { retry, boot, boot_id }),
        })
    }

    /// A run of which nothing is left but a pending retry.
    pub(super) fn recover_retrying(&mut self, run: &RunRef) -> Result<Option<Recovered>, String> {
        let new = self.launch_data_of(run)?;
        let retry = self.stored_retries(&new)?;
        let view = self
            .reader
            .run_view(run)
            .map_err(|error| format!("the store cannot be read: {error}"))?;
        let Some(view) = view else { return Ok(None) };
        let recovered = Recovered {
            run: run.clone(),
            group: new.group.clone(),
            capacity: new.capacity,
            attempts: view.number,
            queued: None,
            live: None,
            unstored_start: None,
            // A schedule may have stopped it just before it ended: then no retry comes.
            stop: view.stop.clone(),
            parent: None,
            retry,
            origin: Origin::of(&new),
            owner: new.owner,
            priority: new.priority,
            now: new.now,
            dag_limit: new.dag_limit,
        };
        self.runs.insert(run.clone(), LiveRun::ended(new, view));
        Ok(Some(recovered))
    }

    /// Somebody wants a retry of a run that would be tried again by itself.
    pub(super) fn retry_at_once(&mut self, asker: Asker, view: &RunView) {
        let Some(live) = self.runs.get(&view.run) else {
            return;
        };
        let facts = RetryFacts::of(&live.new, view);
        let token = self.ask(Asked {
            run: view.run.clone(),
            asking: Asking::Client(asker.answers),
            warnings: Vec::new(),
            created: false,
        });
        self.tell(Event::Retry(token, view.run.clone(), facts));
    }

    /// What `why` adds about a retry that comes by itself.
    pub(super) fn explain_retry(&self, view: &RunView, now: Time, evidence: &mut Vec<String>) -> String {
        let Some(retry) = view.retry else {
            if let Some(reason) = view.stop.as_ref().filter(|_| view.status.is_terminal()) {
                evidence.push(format!("{reason}: no retry of the run follows by itself"));
            }
            return String::new();
        };
        let at = retry.at.utc().format("%Y-%m-%d %H:%M:%S UTC");
        let live = self.runs.get(&view.run);
        let delivery = view.lost.is_some() && live.is_some_and(|live| is_of_delivery(&live.new));
        let why = if delivery {
            "what its DAG promises (delivery: at_least_once)"
        } else {
            "its retry policy (retry_policy)"
        };
        evidence.push(format!(
            "{why} has it tried again; stop cancels that, retry does it at once"
        ));
        if self.engine.is_ownerless(&view.run.dag, view.owner) {
            evidence.push(format!(
                "there is no user any more to whom DAG {} belongs, and somebody else may have the user id {}",
                view.run.dag, view.owner
            ));
            return format!("; {retry} waits until the user is back");
        }
        if self.engine.holds_retries(&view.run.dag, view.owner) {
            evidence.push(format!("DAG {} is disabled", view.run.dag));
            return format!("; {retry} waits until the DAG is enabled");
        }
        if retry.at <= now {
            evidence.extend(
                self.store_trouble
                    .is_some()
                    .then(|| String::from("the retry is due, and waits until the store can be written")),
            );
            return format!("; {retry} is due since {at}");
        }
        format!("; {retry} follows at {at}")
    }
}

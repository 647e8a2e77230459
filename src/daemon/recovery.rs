//! Recovery: what the store holds as intended or live is compared with the kernel's objects, and the engine is
//! told what is true (DESIGN §4 and §5). It may be cut short anywhere and done again.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use super::attempt::Attempt;
use super::decisions::resume_steps;
use super::dispatcher::{Dispatcher, now};
use super::effects::{carried_over, fresh_view};
use super::live::LiveRun;
use super::patience::Patience;
use super::registry::ownerless;
use super::run_as;
use super::tree;
use crate::engine::scheduler::Event;
use crate::engine::scheduler::api::{AttemptEnd, Evidence, Origin, Recovered, StartRecord};
use crate::model::view::{RunView, StepView};
use crate::model::{AttemptId, DagName, RunRef};
use crate::proc::{Entry, LockState};
use crate::store::{HeldAttempt, LiveAttempt, QueuedRun};
use crate::sys::creds;
use crate::telemetry::events;

/// How long recovery waits for the end of what one dead attempt has left.
const END_PATIENCE: std::time::Duration = std::time::Duration::from_secs(2);

impl Dispatcher {
    /// Finds out what is true of everything that has not ended, and tells the engine.
    ///
    /// # Errors
    /// When store or proc directory cannot be read: then nothing may be decided.
    pub(super) async fn recover(&mut self) -> Result<(), String> {
        let text = |error: &dyn std::fmt::Display| format!("recovery: {error}");
        let scan = self.proc.scan(now().wall).map_err(|error| text(&error))?;
        for bad in &scan.bad {
            self.quarantine(bad);
        }
        self.recover_hooks().await?;
        let recovery = self.reader.recover().map_err(|error| text(&error))?;
        let held = self.reader.not_cleaned().map_err(|error| text(&error))?;
        let paused = self.reader.paused().map_err(|error| text(&error))?;
        let mut list = Vec::new();
        let mut later = Vec::new();
        let mut patience = Patience::new();
        for attempt in held {
            patience.progress();
            list.extend(self.recover_ended(attempt, &scan.entries).await?);
        }
        for attempt in recovery.live {
            patience.progress();
            let (recovered, end) = self.recover_live(attempt, &scan.entries).await?;
            if let (Some(end), Some((attempt, ..))) = (end, &recovered.live) {
                later.push(Event::Ended(attempt.clone(), end));
            }
            list.push(recovered);
        }
        for run in recovery.queued {
            patience.progress();
            list.push(self.recover_queued(run)?);
        }
        for run in recovery.retrying {
            if !self.runs.contains_key(&run) {
                list.extend(self.recover_retrying(&run)?);
            }
        }
        self.let_go_of_the_rest();
        self.remove_leftovers(&scan.entries);
        self.watch_foreign(&scan.entries);
        if !list.is_empty() {
            tracing::info!(runs = list.len(), "taking up what was queued or live");
        }
        let plans = self.reader.plans().map_err(|error| text(&error))?;
        let suspended = plans.into_iter().filter(|plan| plan.suspended);
        let installed = self.reader.installed().map_err(|error| text(&error))?;
        let suspended: Vec<DagName> = suspended.map(|plan| plan.dag).collect();
        // Only of those that may be tried again: a directory service may be slow.
        let mut dags = installed;
        let known: HashSet<&DagName> = self.runs.keys().map(|run| &run.dag).collect();
        dags.retain(|version| known.contains(&version.dag));
        let config = Arc::clone(&self.config);
        let asked = tokio::task::spawn_blocking(move || {
            let owners = suspended.into_iter().map(|dag| {
                let version = dags.iter().find(|version| version.dag == dag);
                let owner = version.map_or_else(|| Some(creds::effective_uid()), run_as::of_stored);
                (dag, owner)
            });
            (owners.collect(), ownerless(&config, &dags))
        });
        let (owners, ownerless): (Vec<_>, _) = asked.await.map_err(|error| text(&error))?;
        self.tell(Event::Suspended(self.held_back(owners)));
        self.registry.ownerless.clone_from(&ownerless);
        self.tell(Event::Ownerless(ownerless));
        self.tell(Event::Paused(paused));
        self.tell(Event::Recover(list));
        for event in later {
            self.tell(event);
        }
        Ok(())
    }

    /// Whose retries are held back, given the DAGs that are held back and whose they are. Of one whose user is not known
    /// now, everybody's are, until it is installed again.
    fn held_back(&self, dags: Vec<(DagName, Option<u32>)>) -> Vec<(DagName, u32)> {
        let mut held = BTreeSet::new();
        for (dag, owner) in dags {
            match owner {
                Some(owner) => held.extend([(dag, owner)]),
                None => {
                    let runs = self.runs.values().map(|run| &run.view);
                    let runs = runs.filter(|view| view.run.dag == dag);
                    held.extend(runs.map(|view| (dag.clone(), view.owner)));
                }
            }
        }
        held.into_iter().collect()
    }

    fn quarantine(&mut self, bad: &crate::proc::BadEntry) {
        match self.proc.quarantine(bad, now().wall) {
            Ok(_) => {
                self.counters.quarantined += 1;
                events::entry_quarantined(&bad.path, &bad.error);
            }
            Err(error) => tracing::error!(%bad, %error, "a bad proc entry cannot be put aside"),
        }
    }

    /// A run that waits.
    fn recover_queued(&mut self, queued: QueuedRun) -> Result<Recovered, String> {
        let run = queued.run.clone();
        let new = self.launch_data_of(&run)?;
        let (parent, origin) = (parent_of(&new), Origin::of(&new));
        let retry = self.stored_retries(&new)?;
        let mut live = match self.attempt_view(&run, queued.attempts)? {
            Some(last) => LiveRun::further(Arc::clone(&new), last),
            None => LiveRun::first(Arc::clone(&new)),
        };
        live.view.stop.clone_from(&queued.stop);
        self.runs.insert(run.clone(), live);
        Ok(Recovered {
            run,
            group: queued.group,
            capacity: queued.capacity,
            owner: new.owner,
            priority: new.priority,
            now: new.now,
            dag_limit: new.dag_limit,
            attempts: queued.attempts,
            queued: Some(queued.position),
            live: None,
            stop: queued.stop,
            unstored_start: None,
            parent,
            retry,
            origin,
        })
    }

    pub(super) fn launch_data_of(&self, run: &RunRef) -> Result<Arc<crate::model::change::NewRun>, String> {
        match self.reader.launch_data(run) {
            Ok(Some(mut new)) => {
                self.runs.share(&mut new);
                Ok(Arc::new(new))
            }
            Ok(None) => Err(format!("the store has no data of run {run}")),
            Err(error) => Err(format!("the store cannot be read: {error}")),
        }
    }

    /// An attempt that is intended or live as far as the store knows.
    async fn recover_live(
        &mut self,
        stored: LiveAttempt,
        entries: &[Entry],
    ) -> Result<(Recovered, Option<AttemptEnd>), String> {
        let new = self.launch_data_of(&stored.run)?;
        let attempt = stored.attempt.clone();
        let mut held = Attempt::new(stored.run.clone(), stored.number, stored.intended_at);
        held.entry = entries
            .iter()
            .find(|entry| entry.owner.is_some() && entry.meta.attempt == attempt)
            .cloned();
        held.cgroup = self.cgroup_of(&attempt, stored.identity.as_ref())?;
        let mut view = RunView {
            attempt: Some(attempt.clone()),
            number: stored.number,
            log_dir: stored.log_dir.clone(),
            stop: stored.stop.clone(),
            ..fresh_view(&new)
        };
        let resume = self.steps_before(&stored)?;
        let mut unsaved = BTreeSet::new();
        if let Some(steps) = carried_over(&new, resume.as_deref()) {
            view.steps = steps;
        }
        let alive = self.find_shim(&mut held, stored.identity.as_ref())
            || !self.end_rest(&mut held, &attempt, new.owner).await;
        let mut told = self.read_from_start(&attempt, &mut held, &mut view, &mut unsaved);
        if stored.started_at.is_some() && !told.started {
            // It cannot be taken for one that never started, which the store would refuse again and again.
            told.started = true;
            held.damaged.get_or_insert_with(|| {
                String::from("it does not tell of the start, which the store knows of")
            });
        }
        let oom_told = view.usage.oom_kills;
        if !alive {
            held.account(&mut view);
        }
        let evidence = if alive {
            Evidence::Alive {
                identity: self.identity_of(&held, stored.identity.as_ref()),
                started: told.started,
            }
        } else if let Some(end) = told.end.clone() {
            Evidence::Ended(end)
        } else {
            self.evidence_of_death(&held, &stored, told.started, oom_told)
        };
        let unstored_start = view
            .started_at
            .filter(|_| stored.started_at.is_none())
            .map(|at| StartRecord {
                at,
                params: Some(view.params.clone()),
            });
        tracing::debug!(ATTEMPT_ID = %attempt, run = %stored.run, ?evidence, "found");
        let (parent, origin) = (parent_of(&new), Origin::of(&new));
        let retry = self.stored_retries(&new)?;
        self.runs.insert(
            stored.run.clone(),
            LiveRun {
                new: Arc::clone(&new),
                view,
                resume,
                unsaved,
                over: false,
            },
        );
        self.attempts.insert(attempt.clone(), held);
        let end = if alive { told.end } else { None };
        let recovered = Recovered {
            run: stored.run,
            group: stored.group,
            capacity: stored.capacity,
            owner: new.owner,
            priority: new.priority,
            now: new.now,
            dag_limit: new.dag_limit,
            attempts: stored.number,
            queued: None,
            live: Some((attempt, stored.number, evidence)),
            stop: stored.stop,
            unstored_start,
            parent,
            retry,
            origin,
        };
        Ok((recovered, end))
    }

    /// Ends what a dead supervisor has left. False if that takes long, because a process is stuck in the kernel: it is
    /// gone on with, and until it is done the attempt counts as live.
    async fn end_rest(&self, held: &mut Attempt, attempt: &AttemptId, owner: u32) -> bool {
        let mark = self.workshop.mark(attempt, owner);
        let ended = tokio::time::timeout(END_PATIENCE, tree::end(held.cgroup.as_ref(), &mark)).await;
        if matches!(ended, Ok(Ok(()))) {
            return true;
        }
        tracing::warn!(ATTEMPT_ID = %attempt, "what a dead attempt left does not end; it counts as live until it does");
        held.ending = true;
        self.end_in_background(mark, held.cgroup.clone());
        false
    }

    /// The steps of the attempt before, for a retry.
    fn steps_before(&self, stored: &LiveAttempt) -> Result<Option<Vec<StepView>>, String> {
        let last = self.attempt_view(&stored.run, stored.number.saturating_sub(1))?;
        Ok(last.map(resume_steps))
    }

    /// An attempt as the store has it. A retry that could not see the one before would run again what has succeeded.
    fn attempt_view(&self, run: &RunRef, number: u32) -> Result<Option<RunView>, String> {
        self.reader
            .attempt_view(run, number)
            .map_err(|error| format!("the store cannot be read: {error}"))
    }

    /// An attempt whose end is in the store, and whose clean-up is not.
    async fn recover_ended(
        &mut self,
        stored: HeldAttempt,
        entries: &[Entry],
    ) -> Result<Option<Recovered>, String> {
        let new = self.launch_data_of(&stored.run)?;
        let Some(mut view) = self.attempt_view(&stored.run, stored.number)? else {
            return Ok(None);
        };
        let attempt = stored.attempt.clone();
        let mut held = Attempt::new(stored.run.clone(), stored.number, stored.intended_at);
        held.entry = entries
            .iter()
            .find(|entry| entry.owner.is_some() && entry.meta.attempt == attempt)
            .cloned();
        held.cgroup = self.cgroup_of(&attempt, stored.identity.as_ref())?;
        let alive = self.find_shim(&mut held, stored.identity.as_ref())
            || !self.end_rest(&mut held, &attempt, new.owner).await;
        if !alive {
            held.account(&mut view);
        }
        let alive = alive.then(|| self.identity_of(&held, stored.identity.as_ref()));
        let recovered = Recovered {
            run: stored.run.clone(),
            group: stored.group,
            capacity: new.capacity,
            owner: new.owner,
            priority: new.priority,
            now: new.now,
            dag_limit: new.dag_limit,
            attempts: stored.number,
            queued: None,
            live: Some((
                attempt.clone(),
                stored.number,
                Evidence::Recorded {
                    status: view.status,
                    alive,
                },
            )),
            // A schedule may have stopped it just before it ended: then no retry comes.
            stop: view.stop.clone(),
            unstored_start: None,
            parent: parent_of(&new),
            retry: self.stored_retries(&new)?,
            origin: Origin::of(&new),
        };
        self.runs.insert(stored.run, LiveRun::ended(new, view));
        self.attempts.insert(attempt, held);
        Ok(Some(recovered))
    }

    /// Removes prepared entries that nobody holds, and own entries of attempts that are not held any more.
    fn remove_leftovers(&mut self, entries: &[Entry]) {
        for leftover in self.proc.leftovers().unwrap_or_default() {
            if let Err(error) = self.proc.remove_leftover(&leftover) {
                tracing::warn!(path = %leftover.path.display(), %error, "a prepared proc entry is left over");
            }
        }
        for entry in entries {
            let dead = entry.owner.is_some() && entry.lock == LockState::Free;
            if dead
                && !self.attempts.contains_key(&entry.meta.attempt)
                && let Err(error) = self.proc.remove(entry)
            {
                tracing::warn!(path = %entry.path.display(), %error, "a dead proc entry is left over");
            }
        }
    }
}

/// The run that called it.
fn parent_of(new: &crate::model::change::NewRun) -> Option<RunRef> {
    new.parent.as_ref().map(|caller| caller.run.clone())
}

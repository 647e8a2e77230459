//! What people and calling steps ask of the daemon.

use crate::world::{Ask, World};
use proctor::engine::scheduler::api::{Decision, Origin, RetryFacts};
use proctor::engine::scheduler::{Event, Token};
use proctor::model::change::{Caller, Change, NewRun};
use proctor::model::view::StepView;
use proctor::model::{AttemptId, GroupName, Node, Priority, RunRef, RunStatus, StopReason};

impl World<'_> {
    pub(crate) fn ask(&mut self, ask: Ask) -> Token {
        self.last_token += 1;
        self.asks.insert(Token(self.last_token), ask);
        Token(self.last_token)
    }

    pub(crate) fn submit(&mut self) {
        let index = self.rng.below(self.names.runs.len());
        let run = self.names.runs[index].clone();
        let group = index % self.names.groups.len();
        let capacity = match self.capacity[group] {
            Some(capacity) if !self.config.queues.contains_key(&self.names.groups[group]) => capacity,
            _ => u32::try_from(self.rng.below(3)).unwrap(),
        };
        let retry = crate::again::policy(&mut self.rng);
        let owner = [1000, 1001][self.rng.below(2)];
        let dag_limit = self.dag_limits.get(&(run.dag.clone(), owner)).copied();
        let new = NewRun {
            capacity,
            owner,
            dag_limit: dag_limit.unwrap_or(0),
            priority: Priority::new([-5, 0, 0, 0, 10][self.rng.below(5)]).unwrap(),
            now: self.rng.percent(8),
            retry,
            ..self.new_run(run.clone(), self.names.groups[group].clone())
        };
        let token = self.ask(Ask::Submit(run));
        self.tell(Event::Submit(token, Box::new(new)));
    }

    pub(crate) fn retry(&mut self) {
        let ended: Vec<_> = self
            .store
            .rows
            .iter()
            .filter(|(_, row)| row.parent.is_none())
            .filter(|(_, row)| row.status.is_some() || self.rng.clone().percent(20))
            .map(|(run, _)| run.clone())
            .collect();
        if ended.is_empty() {
            return;
        }
        let run = ended[self.rng.below(ended.len())].clone();
        let stale = self.rng.percent(5);
        let row = self.store.rows.get_mut(&run).unwrap();
        row.stale |= stale;
        let attempts = u32::try_from(row.attempts.len()).unwrap();
        let facts = RetryFacts {
            group: row.group.clone(),
            capacity: row.capacity,
            owner: row.owner,
            priority: row.priority,
            now: row.now,
            dag_limit: row.dag_limit,
            attempts: attempts.saturating_sub(u32::from(stale)),
            status: row.status.unwrap_or(RunStatus::Running),
            caller: None,
            retry: row.retry.policy.clone(),
            origin: Origin::default(),
        };
        let token = self.ask(Ask::Retry(run.clone()));
        self.tell(Event::Retry(token, run, facts));
    }

    /// A step of an attempt calls another run, or calls one again that did not succeed. The caller may be over.
    pub(crate) fn call(&mut self) {
        let callers: Vec<RunRef> = self
            .shims
            .values()
            .filter(|shim| shim.started)
            .map(|shim| shim.run.clone())
            .collect();
        if callers.is_empty() {
            return;
        }
        let parent = callers[self.rng.below(callers.len())].clone();
        let run = self.names.called[self.rng.below(self.names.called.len())].clone();
        if run == parent {
            return;
        }
        let row = &self.store.rows[&parent];
        let (group, capacity) = (row.group.clone(), row.capacity);
        match self.store.rows.get(&run) {
            // The shell sees to it that nobody calls what somebody else has called.
            Some(known) if known.parent.as_ref() != Some(&parent) => {}
            Some(known) => {
                let Some(status) = known.status else { return };
                let facts = RetryFacts {
                    group,
                    capacity,
                    owner: known.owner,
                    priority: known.priority,
                    now: false,
                    dag_limit: 0,
                    attempts: u32::try_from(known.attempts.len()).unwrap(),
                    status,
                    caller: Some((parent, 1)),
                    retry: None,
                    origin: Origin::default(),
                };
                let token = self.ask(Ask::Retry(run.clone()));
                self.tell(Event::Retry(token, run, facts));
            }
            None => {
                let root = parent.clone();
                let new = NewRun {
                    capacity,
                    parent: Some(Caller {
                        run: parent,
                        attempt: 1,
                        step: "s".into(),
                        root,
                        depth: 1,
                    }),
                    ..self.new_run(run.clone(), group)
                };
                let token = self.ask(Ask::Submit(run));
                self.tell(Event::Submit(token, Box::new(new)));
            }
        }
    }

    fn new_run(&self, run: RunRef, group: GroupName) -> NewRun {
        NewRun {
            owner: 1000,
            created_at: self.now.wall,
            ..NewRun::bare(run, group)
        }
    }

    /// Somebody approves or rejects a step of a run that waits, or stops the run; now and then the run does not wait.
    pub(crate) fn decide(&mut self) {
        let waiting: Vec<_> = self
            .store
            .rows
            .iter()
            // What is decided about a run that was called queues the root of its tree.
            .filter(|(_, row)| row.parent.is_none())
            .filter(|(_, row)| row.status == Some(RunStatus::Waiting) || self.rng.clone().percent(10))
            .map(|(run, _)| run.clone())
            .collect();
        if waiting.is_empty() {
            return;
        }
        let run = waiting[self.rng.below(waiting.len())].clone();
        let row = &self.store.rows[&run];
        let number = u32::try_from(row.attempts.len()).unwrap();
        let facts = RetryFacts {
            group: row.group.clone(),
            capacity: row.capacity,
            owner: row.owner,
            priority: row.priority,
            now: row.now,
            dag_limit: row.dag_limit,
            attempts: number,
            // What the shell read may be out of date.
            status: row
                .status
                .filter(|_| self.rng.percent(95))
                .unwrap_or(RunStatus::Waiting),
            caller: None,
            retry: row.retry.policy.clone(),
            origin: Origin::default(),
        };
        let decision = if self.rng.percent(70) {
            Decision::Resume(vec![Change::Decide {
                run: run.clone(),
                attempt: AttemptId::derive(&run, number),
                node: Node::Step(0),
                view: Box::new(StepView::new("s")),
            }])
        } else {
            Decision::Stop(StopReason::User { uid: 1000 })
        };
        let token = self.ask(match decision {
            Decision::Resume(_) => Ask::Decide(run.clone()),
            Decision::Stop(_) => Ask::EndWaiting(run.clone()),
        });
        self.tell(Event::Decide(token, run, facts, decision));
    }
}

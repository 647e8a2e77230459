//! The work of the nodes: tasks go on, their children are started, signalled and collected.

use super::super::children::{Child, ChildEnd, Output, Place, Purpose, Request, exit_of};
use super::super::taps::Taps;
use super::super::task::{Step, Task, TaskKey, Work};
use super::super::timers::Alarm;
use super::super::tree;
use super::{SUBSTITUTION_SECS, Supervisor, now};
use crate::engine::attempt::{Event, NodeKey};
use crate::model::{Cause, Fact, Node, RunStatus};
use crate::sys::reap;

impl Supervisor {
    pub(super) fn begin(&mut self, key: TaskKey, work: Work) {
        self.tasks.insert(key, Task::new(work));
        self.drive(key);
    }

    /// Opens the logs of a node and begins its try.
    pub(super) fn execute(&mut self, key: NodeKey) {
        let names = self.boot.log_names(key.node);
        let merged = names.stdout == names.stderr;
        let captured = self.boot.step(key.node).is_some_and(|step| step.output.is_some());
        let opened = names
            .open(&self.log_dir)
            .and_then(|streams| Ok((self.tap(&streams, merged, captured)?, streams)));
        match opened {
            Ok((taps, streams)) => {
                self.send_logs(key.node, &names, &streams);
                self.record(Fact::NodeStarted {
                    node: key.node,
                    stdout: names.stdout.clone(),
                    stderr: names.stderr.clone(),
                });
                let work = Work::execute(streams, taps);
                self.begin(TaskKey::Node(key), work);
            }
            Err(error) => {
                let error = format!("cannot open the log {}: {error}", names.stdout);
                let end = crate::engine::attempt::TryEnd {
                    error: Some(error),
                    ..Default::default()
                };
                self.events.push_back(Event::TryEnded(key, end));
            }
        }
    }

    /// Lets a task go on until it waits for a child or is finished.
    pub(super) fn drive(&mut self, key: TaskKey) {
        // Only handlers are told the run's status, and finding it looks at every step.
        let status = match key {
            TaskKey::Node(NodeKey {
                node: Node::Handler(_),
                ..
            }) => self.engine.status(),
            TaskKey::Node(_) | TaskKey::Initialise => RunStatus::Running,
        };
        let Some(mut task) = self.tasks.remove(&key) else {
            return;
        };
        loop {
            match task.step(key, &self.boot, self.truth.view(), status) {
                Step::Need(request) => {
                    let purpose = request.purpose;
                    self.serial += 1;
                    self.watch_copies(&task);
                    let before = self.witness.look();
                    match self.start(key, *request, &task) {
                        Ok(child) => {
                            self.witness.started(child.pid, before);
                            self.tell_of_kills(None);
                            self.started(key, purpose, &child);
                            task.running = Some(child.pid);
                            self.children.insert(child.pid, child);
                            self.tasks.insert(key, task);
                            return;
                        }
                        Err(error) => {
                            let cause = self.witness.refused_since(before);
                            task.answer(ChildEnd::not_started(error, cause));
                        }
                    }
                }
                Step::Calls(planned) => {
                    self.watch_copies(&task);
                    self.tasks.insert(key, task);
                    if let TaskKey::Node(node) = key {
                        self.begin_calls(key, node.node, planned);
                    }
                    return;
                }
                Step::Done { event, facts } => {
                    for fact in facts {
                        self.record(fact);
                    }
                    self.events.push_back(match self.boot.secrets.get() {
                        Some(secrets) => secrets.cover_event(event),
                        None => event,
                    });
                    return;
                }
            }
        }
    }

    /// Starts a child for a task.
    fn start(&mut self, key: TaskKey, request: Request, task: &Task) -> Result<Child, String> {
        let (writers, pipes);
        let output = match task.streams().filter(|_| request.purpose == Purpose::Main) {
            Some(logs) => {
                writers = task.taps().and_then(Taps::writers);
                Output::Step {
                    streams: writers.as_deref().unwrap_or(logs),
                    errors: &logs.stderr,
                }
            }
            None => {
                let opened = self.pipes(request.purpose);
                pipes = opened.map_err(|error| format!("pipes for its output: {error}"))?;
                Output::Own(&pipes)
            }
        };
        let place = Place {
            steps: self.steps.as_ref(),
            log_dir: &self.log_dir,
            log_path: &self.boot.spec.view.log_dir,
            output,
            spec: &self.boot.spec,
            serial: self.serial,
        };
        Child::start(key, request, place)
    }

    pub(super) fn started(&mut self, key: TaskKey, purpose: Purpose, child: &Child) {
        match (key, purpose) {
            (TaskKey::Node(node), Purpose::Main) => {
                self.record(Fact::NodeSpawned {
                    node: node.node,
                    pid: child.pid,
                });
                self.poke();
            }
            (key, Purpose::Substitution) => self.bound_substitution(key),
            _ => {}
        }
    }

    pub(super) fn bound_substitution(&mut self, key: TaskKey) {
        self.timers
            .arm(Alarm::Substitution(key), now().boot.after_secs(SUBSTITUTION_SECS));
    }

    /// Sends a signal to the process group of a node's running child; nothing further of it is started.
    pub(super) fn signal(&mut self, key: NodeKey, signal: i32) {
        let Some(task) = self.tasks.get_mut(&TaskKey::Node(key)) else {
            return;
        };
        task.refuse(&format!(
            "stopped with {}",
            crate::model::outcome::signal_name(signal)
        ));
        if let Some(child) = task.running.and_then(|pid| self.children.get(&pid)) {
            tree::ignore_gone(child.pidfd.signal_group(child.pid, signal));
        }
    }

    pub(super) fn refuse_all(&mut self, why: &str) {
        for task in self.tasks.values_mut() {
            task.refuse(why);
        }
    }

    /// Collects every child that has exited. An exit is recorded before the child is reaped: a crash in between
    /// loses nothing.
    pub(super) fn reap(&mut self) {
        while let Ok(Some(pid)) = reap::next_zombie() {
            let status = reap::peek_pid(pid).ok().flatten();
            let mut cause = None;
            if let (Some(child), Some(status)) = (self.children.get(&pid), status) {
                let exit = exit_of(status);
                let task = self.tasks.get(&child.task);
                let found = self.witness.ended(pid, exit, task.is_none_or(Task::is_refused));
                let node = match (child.task, child.purpose) {
                    (TaskKey::Node(key), Purpose::Main) => Some(key.node),
                    _ => None,
                };
                cause = found.filter(|_| node.is_some());
                // First, so that whoever kills this supervisor once the exit is known is not taken for the killer of these.
                self.tell_of_kills(cause);
                if let Some(node) = node {
                    self.record(Fact::NodeExited { node, exit, cause });
                }
            }
            let reaped = reap::reap_pid(pid).ok().flatten().or(status);
            if let (Some(child), Some(status)) = (self.children.remove(&pid), reaped) {
                self.child_ended(child, status, cause);
            }
        }
        if self.killing_tree {
            if tree::has_children() {
                tree::kill_all(self.steps.as_ref());
            } else if self.calls.is_empty() {
                self.killing_tree = false;
                self.finish_taps();
                self.events.push_back(Event::TreeEmpty);
            }
        }
    }

    /// Records how many processes the out-of-memory killer took, if the cause that is recorded next does not tell: else the
    /// next one that it takes, should that be this one, would be taken for one of them, and the other way round.
    fn tell_of_kills(&mut self, cause: Option<Cause>) {
        if let Some(usage) = self.witness.untold(cause) {
            self.record(Fact::Used { usage });
        }
    }

    fn child_ended(&mut self, child: Child, status: crate::sys::pidfd::WaitStatus, cause: Option<Cause>) {
        let key = child.task;
        if child.purpose == Purpose::Substitution {
            self.timers.disarm(Alarm::Substitution(key));
        }
        let mut task = self.tasks.get_mut(&key);
        if let Some(taps) = task.as_ref().and_then(|task| task.taps()) {
            taps.drain();
        }
        let cover = self.boot.cover();
        let mut end = child.finish(status, &self.log_dir, self.boot.dag.max_output_size, cover);
        end.cause = cause;
        if let Some(task) = &mut task {
            task.running = None;
            task.answer(end);
            self.drive(key);
        }
    }
}

//! The work of the nodes: tasks go on, their children are started, signalled and collected.

use super::super::children::{Child, Place, Purpose, exit_of};
use super::super::task::{Step, Task, TaskKey, Work};
use super::super::timers::Alarm;
use super::super::tree;
use super::{COPIES, SUBSTITUTION_SECS, Supervisor, now};
use crate::engine::attempt::{Event, NodeKey};
use crate::model::{Fact, Node, RunStatus};
use crate::sys::epoll::Ready;
use crate::sys::inotify::Inotify;
use crate::sys::reap;

impl Supervisor {
    pub(super) fn begin(&mut self, key: TaskKey, work: Work) {
        self.tasks.insert(key, Task::new(work));
        self.drive(key);
    }

    /// Opens the logs of a node and begins its try.
    pub(super) fn execute(&mut self, key: NodeKey) {
        let names = self.boot.log_names(key.node);
        match names.open(&self.log_dir) {
            Ok(streams) => {
                self.record(Fact::NodeStarted {
                    node: key.node,
                    stdout: names.stdout.clone(),
                    stderr: names.stderr.clone(),
                });
                let apart = names.stdout == names.stderr
                    && self.boot.step(key.node).is_some_and(|step| step.output.is_some());
                self.begin(TaskKey::Node(key), Work::execute(streams, apart));
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
                    let place = Place {
                        steps: self.steps.as_ref(),
                        log_dir: &self.log_dir,
                        log_path: &self.boot.spec.view.log_dir,
                        streams: task.streams(),
                        serial: self.serial,
                    };
                    match Child::start(key, *request, place) {
                        Ok(child) => {
                            self.started(key, purpose, &child);
                            task.running = Some(child.pid);
                            self.children.insert(child.pid, child);
                            self.tasks.insert(key, task);
                            return;
                        }
                        Err(error) => task.answer(super::super::children::ChildEnd::not_started(error)),
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
                    self.events.push_back(event);
                    return;
                }
            }
        }
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

    /// Has the copies of a task's logs kept up to date. Without a watch they are made when the try ends.
    fn watch_copies(&mut self, task: &Task) {
        if task.copies().is_empty() {
            return;
        }
        if self.copies.is_none()
            && let Ok(watch) = Inotify::new()
            && self.epoll.add(&watch, COPIES, Ready::READ).is_ok()
        {
            self.copies = Some(watch);
        }
        if let Some(watch) = &self.copies {
            for copy in task.copies() {
                // Adding a watch that is there already changes nothing.
                drop(watch.add_file_watch(copy.log()));
            }
        }
    }

    /// Some log has grown: what is copied catches up. A copy that cannot be written fails its try at the end.
    pub(super) fn copy_logs(&mut self) {
        if let Some(watch) = &self.copies {
            drop(watch.read());
        }
        for task in self.tasks.values() {
            for copy in task.copies() {
                drop(copy.follow());
            }
        }
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
            if let (Some(child), Some(status)) = (self.children.get(&pid), status)
                && let (TaskKey::Node(key), Purpose::Main) = (child.task, child.purpose)
            {
                self.record(Fact::NodeExited {
                    node: key.node,
                    exit: exit_of(status),
                });
            }
            let reaped = reap::reap_pid(pid).ok().flatten().or(status);
            if let (Some(child), Some(status)) = (self.children.remove(&pid), reaped) {
                self.child_ended(child, status);
            }
        }
        if self.killing_tree {
            if tree::has_children() {
                tree::kill_all(self.steps.as_ref());
            } else if self.calls.is_empty() {
                self.killing_tree = false;
                self.events.push_back(Event::TreeEmpty);
            }
        }
    }

    pub(super) fn child_ended(&mut self, child: Child, status: crate::sys::pidfd::WaitStatus) {
        let key = child.task;
        if child.purpose == Purpose::Substitution {
            self.timers.disarm(Alarm::Substitution(key));
        }
        let end = child.finish(status, &self.log_dir, self.boot.dag.max_output_size);
        if let Some(task) = self.tasks.get_mut(&key) {
            task.running = None;
            task.answer(end);
            self.drive(key);
        }
    }
}

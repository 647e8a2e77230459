//! Those who follow a run: each gets the run as it stands, then every change, then the end.
//!
//! A follower that reads slowly misses intermediate states, never the end: what it could not take is summed up
//! and sent as soon as it reads again. Nothing waits for it.

use std::collections::{BTreeSet, HashMap};

use tokio::sync::mpsc;

use crate::model::view::{RunView, StepView};
use crate::model::{Fact, Node, Record, RunRef};
use crate::wire::control::{ChildUpdate, Response, Update};

/// One follower.
#[derive(Debug)]
struct Follower {
    answers: mpsc::Sender<Response>,
    /// Nodes it has not been told of.
    missed: BTreeSet<Node>,
    /// Sub-runs it has not been told of, by their position.
    missed_children: BTreeSet<(Node, u32)>,
    /// Attempt it was last told of.
    number: u32,
}

/// All followers, by run.
#[derive(Debug, Default)]
pub(super) struct Followers {
    by_run: HashMap<RunRef, Vec<Follower>>,
}

fn update(view: &RunView, nodes: &BTreeSet<Node>, children: &BTreeSet<(Node, u32)>, anew: bool) -> Update {
    let told = |node: &Node| {
        let step = view.node(*node)?;
        Some((*node, step.without_children()))
    };
    Update {
        summary: view.summary(),
        stop: view.stop.clone(),
        nodes: nodes.iter().filter_map(told).collect(),
        children: children_of(view, children),
        params: Some(view.params.clone()),
        outputs: view.outputs.clone(),
        lost: view.lost.clone(),
        log_dir: anew.then(|| view.log_dir.clone()),
        timed_out: view.timed_out,
        kill_escalated: view.kill_escalated,
    }
}

/// What is to be told of sub-runs, node by node.
fn children_of(view: &RunView, children: &BTreeSet<(Node, u32)>) -> Vec<ChildUpdate> {
    let mut updates: Vec<ChildUpdate> = Vec::new();
    for (node, at) in children {
        let Some(step) = view.node(*node) else { continue };
        if updates.last().is_none_or(|last| last.node != *node) {
            updates.push(ChildUpdate {
                node: *node,
                count: u32::try_from(step.children.len()).unwrap_or(u32::MAX),
                changed: Vec::new(),
            });
        }
        let child = usize::try_from(*at).ok().and_then(|at| step.children.get(at));
        if let (Some(last), Some(child)) = (updates.last_mut(), child) {
            last.changed.push((*at, child.clone()));
        }
    }
    updates
}

/// Every sub-run of every node. A node without any counts as changed, too: it may have had some.
fn all_children(view: &RunView) -> BTreeSet<(Node, u32)> {
    let of = |(node, step): (Node, &StepView)| {
        let count = u32::try_from(step.children.len()).unwrap_or(u32::MAX).max(1);
        (0..count).map(move |at| (node, at))
    };
    view.nodes().flat_map(of).collect()
}

/// The sub-runs that a record changes.
pub(super) fn changed_children(record: &Record, changed: &mut BTreeSet<(Node, u32)>) {
    match &record.fact {
        Fact::NodeCalls { node, children } => {
            let count = u32::try_from(children.len()).unwrap_or(u32::MAX).max(1);
            changed.extend((0..count).map(|at| (*node, at)));
        }
        Fact::ChildChanged { node, child, .. } => drop(changed.insert((*node, *child))),
        _ => {}
    }
}

impl Followers {
    /// Somebody wants to follow a run. An over run is told and done with.
    pub(super) fn add(&mut self, view: &RunView, over: bool, answers: mpsc::Sender<Response>) {
        // The channel is new and empty, so both fit.
        drop(answers.try_send(Response::Run(Box::new(view.clone()))));
        if over {
            drop(answers.try_send(Response::Done));
            return;
        }
        let follower = Follower {
            answers,
            missed: BTreeSet::new(),
            missed_children: BTreeSet::new(),
            number: view.number,
        };
        self.by_run.entry(view.run.clone()).or_default().push(follower);
    }

    /// The run, and these nodes of it, have changed. Over runs are not followed any more.
    pub(super) fn update(
        &mut self,
        run: &RunRef,
        view: &RunView,
        nodes: &BTreeSet<Node>,
        children: &BTreeSet<(Node, u32)>,
    ) {
        let Some(followers) = self.by_run.get_mut(run) else {
            return;
        };
        followers.retain_mut(|follower| follower.tell(view, nodes, children));
        if followers.is_empty() {
            self.by_run.remove(run);
        }
    }

    /// The run is over and recorded: the last word. When an attempt is lost its running steps end with it, without
    /// records of their own; so all steps are told then.
    pub(super) fn end(&mut self, run: &RunRef, view: &RunView) {
        for mut follower in self.by_run.remove(run).unwrap_or_default() {
            let anew = follower.number != view.number;
            let all = view.nodes().map(|(node, _)| node).collect();
            let nodes = if anew || view.lost.is_some() {
                &all
            } else {
                &follower.missed
            };
            let mut children = std::mem::take(&mut follower.missed_children);
            if anew {
                children = all_children(view);
            }
            let last = Response::Update(Box::new(update(view, nodes, &children, anew)));
            let answers = std::mem::replace(&mut follower.answers, mpsc::channel(1).0);
            tokio::spawn(async move {
                // A follower that has left does not need to know.
                if answers.send(last).await.is_ok() {
                    drop(answers.send(Response::Done).await);
                }
            });
        }
    }

    /// How many follow something.
    pub(super) fn len(&self) -> usize {
        self.by_run.values().map(Vec::len).sum()
    }
}

impl Follower {
    /// Tells a change. False if the follower has left.
    fn tell(&mut self, view: &RunView, nodes: &BTreeSet<Node>, children: &BTreeSet<(Node, u32)>) -> bool {
        self.missed.extend(nodes);
        self.missed_children.extend(children);
        let anew = self.number != view.number;
        if anew {
            self.missed = view.nodes().map(|(node, _)| node).collect();
            self.missed_children = all_children(view);
        }
        let told = update(view, &self.missed, &self.missed_children, anew);
        let message = Response::Update(Box::new(told));
        match self.answers.try_send(message) {
            Ok(()) => {
                self.missed.clear();
                self.missed_children.clear();
                self.number = view.number;
                true
            }
            // The next change, or the end, tells what it misses now.
            Err(mpsc::error::TrySendError::Full(_)) => true,
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        }
    }
}

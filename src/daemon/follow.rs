//! Those who follow a run: each gets the run as it stands, then every change, then the end.
//!
//! A follower that reads slowly misses intermediate states, never the end: what it could not take is summed up
//! and sent as soon as it reads again. Nothing waits for it.

use std::collections::{BTreeSet, HashMap};

use tokio::sync::mpsc;

use crate::model::view::RunView;
use crate::model::{Node, RunRef};
use crate::wire::control::{Response, Update};

/// One follower.
#[derive(Debug)]
struct Follower {
    answers: mpsc::Sender<Response>,
    /// Nodes it has not been told of.
    missed: BTreeSet<Node>,
    /// Attempt it was last told of.
    number: u32,
}

/// All followers, by run.
#[derive(Debug, Default)]
pub(super) struct Followers {
    by_run: HashMap<RunRef, Vec<Follower>>,
}

/// Whether nothing more will happen to a run without somebody's asking.
pub(super) fn is_over(view: &RunView) -> bool {
    view.status.is_terminal()
}

fn update(view: &RunView, nodes: &BTreeSet<Node>, anew: bool) -> Update {
    let told = |node: &Node| Some((*node, view.node(*node)?.clone()));
    Update {
        summary: view.summary(),
        stop: view.stop.clone(),
        nodes: nodes.iter().filter_map(told).collect(),
        params: Some(view.params.clone()),
        outputs: view.outputs.clone(),
        lost: view.lost.clone(),
        log_dir: anew.then(|| view.log_dir.clone()),
    }
}

impl Followers {
    /// Somebody wants to follow a run. An over run is told and done with.
    pub(super) fn add(&mut self, view: &RunView, answers: mpsc::Sender<Response>) {
        // The channel is new and empty, so both fit.
        drop(answers.try_send(Response::Run(Box::new(view.clone()))));
        if is_over(view) {
            drop(answers.try_send(Response::Done));
            return;
        }
        let follower = Follower {
            answers,
            missed: BTreeSet::new(),
            number: view.number,
        };
        self.by_run.entry(view.run.clone()).or_default().push(follower);
    }

    /// The run, and these nodes of it, have changed. Over runs are not followed any more.
    pub(super) fn update(&mut self, run: &RunRef, view: &RunView, nodes: &BTreeSet<Node>) {
        let Some(followers) = self.by_run.get_mut(run) else {
            return;
        };
        followers.retain_mut(|follower| follower.tell(view, nodes));
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
            let last = Response::Update(Box::new(update(view, nodes, anew)));
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
    fn tell(&mut self, view: &RunView, nodes: &BTreeSet<Node>) -> bool {
        self.missed.extend(nodes);
        let anew = self.number != view.number;
        if anew {
            self.missed = view.nodes().map(|(node, _)| node).collect();
        }
        let message = Response::Update(Box::new(update(view, &self.missed, anew)));
        match self.answers.try_send(message) {
            Ok(()) => {
                self.missed.clear();
                self.number = view.number;
                true
            }
            // The next change, or the end, tells what it misses now.
            Err(mpsc::error::TrySendError::Full(_)) => true,
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        }
    }
}

//! Changes of a followed run, and how they bring its view up to date.

use serde::{Deserialize, Serialize};

use crate::model::view::{ChildView, RunSummary, RunView, StepView};
use crate::model::{LostCause, Node, StopReason};

/// A change of a run that is followed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Update {
    /// The run without its steps.
    pub summary: RunSummary,
    /// Who stopped it, if somebody did.
    pub stop: Option<StopReason>,
    /// The nodes that changed, without their sub-runs.
    pub nodes: Vec<(Node, StepView)>,
    /// What changed of the sub-runs of nodes.
    pub children: Vec<ChildUpdate>,
    /// Effective parameters, if they changed.
    pub params: Option<Vec<(String, String)>>,
    /// Collected outputs, if it ended.
    pub outputs: Vec<(String, String)>,
    /// Why it is lost, if it is.
    pub lost: Option<LostCause>,
    /// Names of the steps if the whole run was begun anew (a retry): everything else is then reset.
    pub log_dir: Option<String>,
    /// Whether the time limit of the run was over.
    pub timed_out: bool,
    /// Whether SIGKILL had to end the grace period of a stop.
    pub kill_escalated: bool,
}

/// Changes of the sub-runs of a node. There may be a thousand of them, so only those that changed are told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildUpdate {
    /// Which node.
    pub node: Node,
    /// How many sub-runs it has now.
    pub count: u32,
    /// Position and state of those that changed, by position.
    pub changed: Vec<(u32, ChildView)>,
}

impl Update {
    /// Brings a followed run's view up to date.
    pub fn apply_to(self, view: &mut RunView) {
        let summary = self.summary;
        if let Some(log_dir) = self.log_dir {
            view.log_dir = log_dir;
            for step in &mut view.steps {
                *step = StepView::new(&step.name);
            }
            for (_, step) in &mut view.handlers {
                *step = StepView::new(&step.name);
            }
        }
        for (node, step) in self.nodes {
            if let Some(old) = view.node_mut(node) {
                let children = std::mem::take(&mut old.children);
                *old = StepView { children, ..step };
            }
        }
        for update in self.children {
            if let Some(step) = view.node_mut(update.node) {
                update.apply_to(&mut step.children);
            }
        }
        if let Some(params) = self.params {
            view.params = params;
        }
        view.attempt = summary.attempt;
        view.number = summary.number;
        view.status = summary.status;
        view.error = summary.error;
        view.stalled = summary.stalled;
        view.started_at = summary.started_at;
        view.finished_at = summary.finished_at;
        view.pid = summary.pid;
        view.stop = self.stop;
        view.outputs = self.outputs;
        view.lost = self.lost;
        view.retry = summary.retry;
        view.held = summary.held;
        view.usage = summary.usage;
        view.timed_out = self.timed_out;
        view.kill_escalated = self.kill_escalated;
    }
}

impl ChildUpdate {
    /// Brings the list of a node's sub-runs up to date. What would be a gap in it is left out.
    fn apply_to(self, children: &mut Vec<ChildView>) {
        let count = usize::try_from(self.count).unwrap_or(usize::MAX);
        children.truncate(count);
        for (at, child) in self.changed {
            let at = usize::try_from(at).unwrap_or(usize::MAX);
            let next = at == children.len() && at < count;
            match children.get_mut(at) {
                Some(old) => *old = child,
                None if next => children.push(child),
                None => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Cause, DagName, GroupName, RunId, RunRef, RunStatus, Time, Trigger};

    fn child(id: &str, status: RunStatus) -> ChildView {
        ChildView {
            run: RunRef {
                dag: DagName::new("d").unwrap(),
                id: RunId::new(id).unwrap(),
            },
            params: String::new(),
            status,
        }
    }

    #[test]
    fn a_view_that_is_brought_up_to_date_tells_the_same_cause_as_the_one_it_follows() {
        let dag = DagName::new("d").unwrap();
        let group = GroupName::from(&dag);
        let id = RunId::new("r").unwrap();
        let mut followed = RunView::new(RunRef { dag, id }, group, 0, Trigger::Manual, Time(1));
        followed.steps = vec![StepView::new("s")];
        let mut view = followed.clone();
        followed.status = RunStatus::Failed;
        followed.timed_out = true;
        followed.kill_escalated = true;
        followed.usage.cpu_user_usec = Some(1);
        followed.steps[0].cause = Some(Cause::RunTimeout {});
        let update = Update {
            summary: followed.summary(),
            stop: None,
            nodes: vec![(Node::Step(0), followed.steps[0].clone())],
            children: Vec::new(),
            params: None,
            outputs: Vec::new(),
            lost: None,
            log_dir: None,
            timed_out: followed.timed_out,
            kill_escalated: followed.kill_escalated,
        };
        update.apply_to(&mut view);
        assert_eq!(view, followed);
        assert!(view.ended_by().is_some());
    }

    #[test]
    fn only_the_sub_runs_that_changed_are_told() {
        let mut list = Vec::new();
        let mut tell = |count: u32, changed: &[(u32, &str, RunStatus)]| {
            let changed = changed.iter().map(|(at, id, status)| (*at, child(id, *status)));
            let update = ChildUpdate {
                node: Node::Step(0),
                count,
                changed: changed.collect(),
            };
            update.apply_to(&mut list);
            list.iter()
                .map(|child| format!("{} {}", child.run.id, child.status))
                .collect::<Vec<_>>()
        };
        let queued = RunStatus::Queued;
        assert_eq!(
            tell(2, &[(0, "a", queued), (1, "b", queued)]),
            ["a queued", "b queued"]
        );
        assert_eq!(tell(2, &[(1, "b", RunStatus::Failed)]), ["a queued", "b failed"]);
        assert_eq!(
            tell(1, &[(0, "c", queued)]),
            ["c queued"],
            "a further try planned fewer"
        );
        assert_eq!(
            tell(1, &[(1, "x", queued), (7, "y", queued)]),
            ["c queued"],
            "no gaps, no excess"
        );
        assert!(tell(0, &[]).is_empty());
    }
}

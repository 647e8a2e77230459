//! The step graph in the form the engine walks: who depends on whom, both ways.

use crate::dag::{Dag, Step};
use crate::model::StepStatus;
use crate::model::view::StepView;

use super::Resume;
use super::approval::{goes_on_waiting, is_rejected};

/// Edges in two flat lists, so that a graph of many steps costs two allocations per direction and the end of a
/// step costs as much as it has dependants.
#[derive(Debug, Clone)]
pub(super) struct Graph {
    depends: Edges,
    dependants: Edges,
}

#[derive(Debug, Clone)]
struct Edges {
    /// Node `i` owns `targets[starts[i]..starts[i + 1]]`.
    starts: Vec<usize>,
    targets: Vec<usize>,
}

impl Edges {
    fn of(&self, node: usize) -> &[usize] {
        match (self.starts.get(node), self.starts.get(node + 1)) {
            (Some(from), Some(to)) => self.targets.get(*from..*to).unwrap_or_default(),
            _ => &[],
        }
    }
}

impl Graph {
    pub(super) fn new(dag: &Dag) -> Self {
        let count = dag.steps.len();
        let mut depends = Edges {
            starts: Vec::with_capacity(count + 1),
            targets: Vec::new(),
        };
        let mut out_degree = vec![0_usize; count + 1];
        depends.starts.push(0);
        for step in &dag.steps {
            for dependency in &step.depends {
                let dependency = usize::try_from(*dependency).unwrap_or(usize::MAX);
                depends.targets.push(dependency);
                if let Some(degree) = out_degree.get_mut(dependency) {
                    *degree += 1;
                }
            }
            depends.starts.push(depends.targets.len());
        }
        let mut dependants = Edges {
            starts: Vec::with_capacity(count + 1),
            targets: Vec::new(),
        };
        let mut total = 0;
        for degree in &out_degree {
            dependants.starts.push(total);
            total += degree;
        }
        dependants.targets = vec![0; total];
        let mut next = dependants.starts.clone();
        for step in 0..count {
            for dependency in depends.of(step) {
                if let Some(slot) = next.get_mut(*dependency).filter(|_| *dependency < count) {
                    if let Some(target) = dependants.targets.get_mut(*slot) {
                        *target = step;
                    }
                    *slot += 1;
                }
            }
        }
        Self { depends, dependants }
    }

    /// The steps it depends on, as defined.
    pub(super) fn depends(&self, step: usize) -> &[usize] {
        self.depends.of(step)
    }

    /// The steps that depend on it, in order of definition.
    pub(super) fn dependants(&self, step: usize) -> &[usize] {
        self.dependants.of(step)
    }
}

/// What the steps of a new attempt are before it begins: those that the attempt before settled keep what they
/// have, the others and everything downstream of them are fresh (seed-spec 7.13, W23). The shim shows this as
/// the run's state, since the new journal says nothing about steps that are kept.
#[must_use]
pub fn carry_over(dag: &Dag, resume: Option<&Resume>) -> Vec<StepView> {
    let fresh = dag.steps.iter().map(|step| StepView::new(&step.name));
    let Some(resume) = resume else {
        return fresh.collect();
    };
    let kept = kept(&Graph::new(dag), dag, resume);
    fresh
        .enumerate()
        .map(|(index, new)| match resume.steps.get(index) {
            Some(old) if kept.get(index) == Some(&true) => old.clone(),
            _ => new,
        })
        .collect()
}

/// Which steps keep their state. Each step and each edge is visited once.
///
/// A step that waits for approval keeps waiting. A rejection stands, and with it everything else that ended: no step
/// runs then.
fn kept(graph: &Graph, dag: &Dag, resume: &Resume) -> Vec<bool> {
    let rejected = is_rejected(&resume.steps);
    let settled = |step: &Step, old: &StepView| match old.status {
        StepStatus::Succeeded | StepStatus::Skipped | StepStatus::PartiallySucceeded => true,
        StepStatus::Waiting => rejected || goes_on_waiting(step, old),
        StepStatus::Rejected | StepStatus::Failed | StepStatus::Aborted => rejected,
        StepStatus::NotStarted | StepStatus::Running | StepStatus::Retrying => false,
    };
    let mut kept: Vec<bool> = (0..dag.steps.len())
        .map(|index| match (dag.steps.get(index), resume.steps.get(index)) {
            (Some(step), Some(old)) => step.name == old.name && settled(step, old),
            _ => false,
        })
        .collect();
    let mut reset: Vec<usize> = (0..kept.len())
        .filter(|step| kept.get(*step) == Some(&false))
        .collect();
    while let Some(step) = reset.pop() {
        for dependant in graph.dependants(step) {
            if let Some(flag) = kept.get_mut(*dependant).filter(|flag| **flag) {
                *flag = false;
                reset.push(*dependant);
            }
        }
    }
    kept
}

//! What is done to an attempt, and what comes of it.

use proctor::dag::Dag;
use proctor::engine::attempt::{Effect, Event, Resume, carry_over};
use proctor::model::view::{RunView, StepView};
use proctor::model::{Boot, DagName, Fact, GroupName, Node, Record, RunId, RunRef, RunStatus};
use proctor::model::{StopReason, Time, Trigger};

use crate::fate::Rng;
use crate::reference::Summary;

/// What is done to an attempt from outside.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// A stop before `Begin`.
    pub(crate) early: Option<StopReason>,
    /// Further stops: microseconds after the begin.
    pub(crate) stops: Vec<(u64, StopReason)>,
    /// When it is told of a stop that it may know of already.
    pub(crate) repeated: Vec<u64>,
    /// Whether old answers and timers come a second time.
    pub(crate) echoes: bool,
    /// The exit codes after which the whole run is tried again.
    pub(crate) retried_on: Option<Vec<i32>>,
}

impl Plan {
    pub(crate) fn calm() -> Self {
        Self {
            early: None,
            stops: Vec::new(),
            repeated: Vec::new(),
            echoes: true,
            retried_on: None,
        }
    }

    pub(crate) fn any(dag: &Dag, rng: &mut Rng) -> Self {
        let reason = |rng: &mut Rng| match rng.below(4) {
            0 => StopReason::User { uid: 7 },
            1 => StopReason::Client { uid: 7 },
            2 => StopReason::Shutdown,
            _ => StopReason::Signal(15),
        };
        let early = rng.percent(2).then(|| reason(rng));
        let span = 1 + 2_000_000 * dag.steps.len();
        let count = rng.pick(&[0, 0, 1, 1, 1, 2, 3, 4]);
        let stops: Vec<_> = (0..count)
            .map(|_| (u64::try_from(rng.below(span)).unwrap(), reason(rng)))
            .collect();
        // Most come after a stop, as from a daemon that was restarted.
        let first = stops.iter().map(|(after, _)| *after).min().unwrap_or(0);
        let repeats = rng.pick(&[0, 0, 1, 3]);
        let repeated = (0..repeats)
            .map(|_| first + u64::try_from(rng.below(span)).unwrap())
            .collect();
        Self {
            early,
            stops,
            repeated,
            echoes: rng.percent(30),
            retried_on: rng
                .pick(&[None, Some(&[][..]), Some(&[1]), Some(&[2, 3])])
                .map(<[i32]>::to_vec),
        }
    }
}

/// One line of a trace.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Line {
    /// The engine was told.
    Told(Event),
    /// The engine wants.
    Wants(Effect),
    /// The shell recorded this itself.
    Shell(Fact),
}

/// Everything that happened.
#[derive(Debug)]
pub(crate) struct History {
    /// The whole trace with its times.
    pub(crate) effects: Vec<(Boot, Line)>,
    /// The journal.
    pub(crate) records: Vec<Record>,
    pub(crate) steps: Vec<StepView>,
}

/// The view before the first record.
pub(crate) fn view(dag: &Dag, resume: Option<&Resume>) -> RunView {
    let dag_name = DagName::new("sim").unwrap();
    let group = GroupName::from(&dag_name);
    let run = RunRef {
        dag: dag_name,
        id: RunId::new("r1").unwrap(),
    };
    RunView {
        number: 1,
        status: RunStatus::NotStarted,
        log_dir: "/log".to_owned(),
        steps: carry_over(dag, resume),
        handlers: dag
            .handlers
            .iter()
            .map(|(handler, step)| (*handler, StepView::new(&step.name)))
            .collect(),
        ..RunView::new(run, group, 0, Trigger::Manual, Time(0))
    }
}

impl History {
    /// What the reference tells too.
    pub(crate) fn summary(&self, dag: &Dag) -> Summary {
        let ended = |record: &Record| match &record.fact {
            Fact::NodeEnded {
                node: Node::Handler(handler),
                status,
                ..
            } => Some((*handler, *status)),
            _ => None,
        };
        let Some(Fact::Ended { status, outputs, .. }) = self.records.last().map(|record| &record.fact) else {
            panic!("the last record is not the end");
        };
        assert_eq!(self.steps.len(), dag.steps.len());
        Summary {
            status: *status,
            steps: self
                .steps
                .iter()
                .map(|step| (step.status, step.done_count, step.retry_count, step.tolerated))
                .collect(),
            handlers: self.records.iter().filter_map(ended).collect(),
            outputs: outputs.clone(),
        }
    }
}

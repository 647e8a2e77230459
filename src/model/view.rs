//! What is known of a run: the projection of an attempt's facts. The shim keeps one of its own attempt, the
//! daemon one of each live attempt, and the store gives them back for ended ones. All apply facts with the one
//! function here, so all tell the same.

mod ends;
mod step;
mod summary;

use serde::{Deserialize, Serialize};

use super::change::Caller;
use super::{AttemptId, Cause, Exit, Fact, GroupName, Handler, LostCause, Node, Record, RunRef, RunStatus};
use super::{PendingRetry, Priority, StepStatus, StopReason, Time, Trigger, Usage};

pub use summary::RunSummary;

/// A step or handler as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepView {
    /// Name, given or made.
    pub name: String,
    /// Status.
    pub status: StepStatus,
    /// What went wrong, or why it was skipped or aborted.
    pub error: Option<String>,
    /// Exit code of the last try; -1 for death by a signal.
    pub exit_code: Option<i32>,
    /// How the last main process ended.
    pub exit: Option<Exit>,
    /// Retries used.
    pub retry_count: u32,
    /// Times executed to the end, not counting tries that were retried or aborted.
    pub done_count: u32,
    /// Whether the repeat policy made it run again.
    pub repeated: bool,
    /// Absolute path of the file that holds its standard output.
    pub stdout: Option<String>,
    /// Absolute path of the file that holds its standard error.
    pub stderr: Option<String>,
    /// Captured output: variable and value.
    pub variables: Vec<(String, String)>,
    /// Process id of the main process while it runs.
    pub pid: Option<u32>,
    /// Begin of the first try.
    pub started_at: Option<Time>,
    /// End of the last try.
    pub finished_at: Option<Time>,
    /// When the next try begins, while it waits for one.
    pub next_try_at: Option<Time>,
    /// Whether its failure is tolerated.
    pub tolerated: bool,
    /// The sub-runs of its last execution, in the order of the items.
    #[serde(default)]
    pub children: Vec<ChildView>,
    /// What somebody decided about it while it waited.
    #[serde(default)]
    pub decision: Option<Decision>,
    /// What the kernel did while its last process ran, or what brought it to its end where the exit does not tell. A step
    /// that ended well may have one, too: see [`StepView::ended_by`].
    #[serde(default)]
    pub cause: Option<Cause>,
}

/// What a person decided about a step that waited for approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Whether it was approved; else it was rejected.
    pub approved: bool,
    /// User id of who decided.
    pub uid: u32,
    /// When.
    pub at: Time,
    /// Why, if that was said.
    pub reason: Option<String>,
}

/// A sub-run of a step as the calling attempt knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildView {
    /// Which run.
    pub run: RunRef,
    /// Its parameters as one text, for people.
    pub params: String,
    /// Status; `not_started` until it is asked for.
    pub status: RunStatus,
}

impl StepView {
    /// A step that has not begun.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            status: StepStatus::NotStarted,
            error: None,
            exit_code: None,
            exit: None,
            retry_count: 0,
            done_count: 0,
            repeated: false,
            stdout: None,
            stderr: None,
            variables: Vec::new(),
            pid: None,
            started_at: None,
            finished_at: None,
            next_try_at: None,
            tolerated: false,
            children: Vec::new(),
            decision: None,
            cause: None,
        }
    }
}

/// A run and its newest attempt as they stand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunView {
    /// Which run.
    pub run: RunRef,
    /// Its newest attempt; none before the first launch.
    pub attempt: Option<AttemptId>,
    /// Number of that attempt, from 1; 0 before the first launch.
    pub number: u32,
    /// Status.
    pub status: RunStatus,
    /// The error in words.
    pub error: Option<String>,
    /// Why the attempt is lost, if it is.
    pub lost: Option<LostCause>,
    /// Who stopped it, if somebody did.
    pub stop: Option<StopReason>,
    /// Whether the time limit of the run was over.
    pub timed_out: bool,
    /// Whether SIGKILL had to end the grace period of a stop.
    pub kill_escalated: bool,
    /// Whether the supervisor lives but has stopped beating.
    pub stalled: bool,
    /// Effective parameters, in order; a positional one is named by its number.
    pub params: Vec<(String, String)>,
    /// Collected outputs, in order of the steps.
    pub outputs: Vec<(String, String)>,
    /// Capacity domain.
    pub group: GroupName,
    /// User id the run belongs to and runs as.
    pub owner: u32,
    /// What made the run.
    pub trigger: Trigger,
    /// The step of another run that called it.
    #[serde(default)]
    pub parent: Option<Caller>,
    /// When the run was accepted.
    pub created_at: Time,
    /// When the newest attempt started.
    pub started_at: Option<Time>,
    /// When the run ended.
    pub finished_at: Option<Time>,
    /// Process id of the shim while it lives.
    pub pid: Option<u32>,
    /// Absolute path of the directory with the attempt's step logs.
    pub log_dir: String,
    /// Steps in the order of the DAG.
    pub steps: Vec<StepView>,
    /// Handlers that the DAG has.
    pub handlers: Vec<(Handler, StepView)>,
    /// Which of the runs that wait in its queue goes first.
    #[serde(default)]
    pub priority: Priority,
    /// The time of its schedule that it is for.
    #[serde(default)]
    pub scheduled_for: Option<Time>,
    /// The retry that will come by itself.
    #[serde(default)]
    pub retry: Option<PendingRetry>,
    /// Whether that retry waits until the DAG is enabled, or its user is back. Only the daemon's memory knows.
    #[serde(default)]
    pub held: bool,
    /// Whether it starts at once, before all others and beyond the limits.
    #[serde(default)]
    pub now: bool,
    /// What its newest attempt has used; while that lives, as much as is known of it.
    #[serde(default)]
    pub usage: Usage,
}

impl RunView {
    /// A run that is queued and has had no attempt: nobody called it, and it has no parameters, steps or handlers.
    #[must_use]
    pub fn new(run: RunRef, group: GroupName, owner: u32, trigger: Trigger, created_at: Time) -> Self {
        Self {
            run,
            attempt: None,
            number: 0,
            status: RunStatus::Queued,
            error: None,
            lost: None,
            stop: None,
            timed_out: false,
            kill_escalated: false,
            stalled: false,
            params: Vec::new(),
            outputs: Vec::new(),
            group,
            owner,
            trigger,
            parent: None,
            created_at,
            started_at: None,
            finished_at: None,
            pid: None,
            log_dir: String::new(),
            steps: Vec::new(),
            handlers: Vec::new(),
            priority: Priority::default(),
            scheduled_for: None,
            retry: None,
            held: false,
            now: false,
            usage: Usage::UNKNOWN,
        }
    }

    /// The node's view, if the DAG has that node.
    #[must_use]
    pub fn node(&self, node: Node) -> Option<&StepView> {
        match node {
            Node::Step(index) => self.steps.get(usize::try_from(index).ok()?),
            Node::Handler(handler) => self
                .handlers
                .iter()
                .find(|(h, _)| *h == handler)
                .map(|(_, view)| view),
        }
    }

    /// The node's view, to change it.
    pub fn node_mut(&mut self, node: Node) -> Option<&mut StepView> {
        match node {
            Node::Step(index) => self.steps.get_mut(usize::try_from(index).ok()?),
            Node::Handler(handler) => self
                .handlers
                .iter_mut()
                .find(|(h, _)| *h == handler)
                .map(|(_, view)| view),
        }
    }

    /// Every node with its view: steps first.
    pub fn nodes(&self) -> impl Iterator<Item = (Node, &StepView)> {
        let steps = (0u32..).map(Node::Step).zip(&self.steps);
        steps.chain(
            self.handlers
                .iter()
                .map(|(handler, view)| (Node::Handler(*handler), view)),
        )
    }

    /// Applies one record and says which node it changed. A record about a node the DAG does not have changes
    /// nothing: a journal is written with the user's rights and is not trusted to be well-formed. For the same reason
    /// nothing changes an attempt that has ended.
    pub fn apply(&mut self, record: &Record) -> Option<Node> {
        if self.status.ends_attempt() {
            return None;
        }
        let at = record.at;
        match &record.fact {
            Fact::Started { pid } => {
                self.status = RunStatus::Running;
                self.started_at = Some(at);
                self.pid = Some(*pid);
            }
            Fact::Params { params } => self.params.clone_from(params),
            Fact::PreconditionsUnmet { reason } => self.error = Some(reason.clone()),
            Fact::StopRequested { reason } => self.stop = Some(reason.clone()),
            Fact::KillEscalated {} => self.kill_escalated = true,
            Fact::TimedOut {} => self.timed_out = true,
            Fact::Used { usage } => self.usage = *usage,
            Fact::Ended {
                status,
                error,
                outputs,
                ..
            } => {
                self.status = *status;
                self.error.clone_from(error);
                self.outputs.clone_from(outputs);
                self.finished_at = Some(at);
                self.pid = None;
                self.stalled = false;
            }
            Fact::NodeStarted { node, .. }
            | Fact::NodeSpawned { node, .. }
            | Fact::NodeExited { node, .. }
            | Fact::NodeRetrying { node, .. }
            | Fact::NodeRepeating { node, .. }
            | Fact::NodeOutput { node, .. }
            | Fact::NodeCalls { node, .. }
            | Fact::ChildChanged { node, .. }
            | Fact::NodeEnded { node, .. } => {
                if let Fact::NodeExited {
                    cause: Some(Cause::OutOfMemory { total, .. }),
                    ..
                } = &record.fact
                {
                    // So many of them were no death of the supervisor.
                    self.usage.oom_kills = self.usage.oom_kills.max(Some(*total));
                }
                let dir = self.log_dir.clone();
                self.node_mut(*node)?.apply(&dir, at, &record.fact);
                return Some(*node);
            }
        }
        None
    }

    /// Ends the attempt as lost: running steps fail with the cause (DESIGN §5), steps that never began stay so.
    /// Says which nodes changed.
    pub fn lose(&mut self, at: Time, cause: LostCause) -> Vec<Node> {
        let text = format!("lost: {cause}");
        let live = |view: &StepView| matches!(view.status, StepStatus::Running | StepStatus::Retrying);
        let nodes: Vec<Node> = self
            .nodes()
            .filter(|(_, view)| live(view))
            .map(|(node, _)| node)
            .collect();
        for node in &nodes {
            if let Some(view) = self.node_mut(*node) {
                view.status = StepStatus::Failed;
                view.cause = Some(Cause::Lost {});
                view.error = Some(text.clone());
                view.finished_at = Some(at);
                view.pid = None;
                view.next_try_at = None;
            }
        }
        self.status = RunStatus::Failed;
        self.error = Some(text);
        self.lost = Some(cause);
        self.finished_at = Some(at);
        self.pid = None;
        self.stalled = false;
        nodes
    }
}

#[cfg(test)]
mod tests;

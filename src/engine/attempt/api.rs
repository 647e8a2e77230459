//! What goes into the attempt engine and what comes out.

use crate::model::{Boot, Cause, Exit, Fact, Node, StepStatus, StopReason};

/// A node and the serial number of what was asked for it. An answer with an older serial is ignored, so a late
/// answer to something that was given up cannot be taken for the current one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeKey {
    /// The node.
    pub node: Node,
    /// Counts the questions asked for it, from 1.
    pub serial: u32,
}

/// Something the engine is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// `Started` is in the journal: begin. The answer to parameters, dotenv and environment is awaited next.
    Begin,
    /// The answer to [`Effect::Initialise`]: parameters, dotenv files, environment and working directory are
    /// there, and whether the DAG's preconditions are met (`Ok(Err(reason))` is: not met).
    Initialised(Result<Result<(), String>, String>),
    /// The answer to [`Effect::Prepare`]. `Err` is a number that could not be evaluated or a log file that could
    /// not be opened: the node fails.
    Prepared(NodeKey, Result<Prepared, String>),
    /// The answer to [`Effect::Execute`]: the try ended. Always comes, also after a signal or a kill.
    TryEnded(NodeKey, TryEnd),
    /// The answer to [`Effect::CheckRepeat`]: whether the condition is met. One that could not be evaluated is not.
    RepeatChecked(NodeKey, Result<bool, String>),
    /// A timer is due.
    Timer(Timer),
    /// Somebody asks to stop. A second request shortens the grace period to nothing.
    Stop(StopReason),
    /// The run is to stop: somebody asked for it who may have been told to this attempt before. Nothing happens if a stop is
    /// known, so that a daemon that comes back does not cut the grace period short.
    EnsureStop(StopReason),
    /// The run will not be tried again as a whole.
    NoRetry,
    /// The answer to [`Effect::KillTree`]: no process of a step is left.
    TreeEmpty,
}

/// What [`Effect::Prepare`] found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Prepared {
    /// Most retries, evaluated; 0 if there is no policy.
    pub retry_limit: u32,
    /// Seconds before a retry, evaluated.
    pub retry_interval: f64,
    /// Most executions in all, evaluated; 0 is no limit.
    pub repeat_limit: u32,
    /// Seconds before a repeat, evaluated.
    pub repeat_interval: f64,
    /// Why the preconditions are not met, which skips the node; none if they are. A condition that could not be
    /// evaluated counts as not met (seed-spec 7.7).
    pub unmet: Option<String>,
}

/// How a try ended.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TryEnd {
    /// How the last process ended; none if none was started.
    pub exit: Option<Exit>,
    /// What went wrong, in words; none for success. With an exit other than code 0 it is always there.
    pub error: Option<String>,
    /// Captured output, if the step asks for one and the try got that far.
    pub output: Option<String>,
    /// Whether standard output matched one of `continue_on.output`. Only evaluated for failures.
    pub output_matched: bool,
    /// What the try came to, where the exit of a process cannot tell: sub-runs can succeed in part, wait or be
    /// refused. With it there need not be an exit.
    pub verdict: Option<StepStatus>,
    /// What the kernel did to its processes, if that is why it failed.
    pub cause: Option<Cause>,
}

/// Something the engine wants done. Effects of one call are performed in order.
///
/// The engine records what it decides. What only the shell sees, the shell records itself, before it reports the
/// end of the try: `Started`, `Params`, `NodeStarted`, `NodeSpawned`, `NodeExited` and `NodeOutput`; and before
/// [`Fact::Ended`], `Used`.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Append to the journal. Performed, and for [`Fact::Ended`] made durable, before the next effect.
    Record(Fact),
    /// Evaluate parameters, dotenv files, environment, working directory, then the DAG's preconditions.
    Initialise,
    /// Evaluate the numbers of the node's policies and its preconditions. Opens no process of the step itself.
    Prepare(NodeKey),
    /// Execute one try of the node: evaluate environment and command anew, start the process or processes.
    Execute(NodeKey),
    /// Evaluate the node's repeat condition.
    CheckRepeat(NodeKey),
    /// Send a signal to the process group of the node's running process, and start no further command of it.
    /// `Prepare` and `CheckRepeat` under way end with an error.
    Signal(NodeKey, i32),
    /// SIGKILL everything the node's try has in its process group and session, and start no further command.
    /// `Prepare` and `CheckRepeat` under way end with an error.
    Kill(NodeKey),
    /// SIGKILL every process of every step, wait until none is left, then answer [`Event::TreeEmpty`]. If none is
    /// there the answer comes at once. `Initialise`, `Prepare` and `CheckRepeat` under way end with an error. The
    /// engine starts nothing, and asks for no second one, before the answer.
    KillTree,
    /// Arm a timer; an armed timer of the same name is replaced.
    Arm(Timer, Boot),
    /// Disarm a timer.
    Disarm(Timer),
    /// Everything is recorded: leave.
    Leave,
}

/// A timer of the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// The time limit of the run.
    RunTimeout,
    /// The time limit of a node's try.
    TryTimeout(NodeKey),
    /// A node's next try or repeat.
    NextTry(NodeKey),
    /// The pause after a start (`delay_sec`).
    StartDelay,
    /// The end of a stop's grace period.
    Grace,
}

/// What a retry of a run takes over from the attempt before (seed-spec 7.13): per step its status and outputs.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Resume {
    /// The steps in order of definition, as the earlier attempt left them. Those that succeeded, were skipped or wait
    /// for approval, and do not come after one that runs again, keep their state. With a rejected step among them the
    /// attempt carries out the rejection: no step runs, what depends on it is aborted, and the handlers follow.
    pub steps: Vec<crate::model::view::StepView>,
}

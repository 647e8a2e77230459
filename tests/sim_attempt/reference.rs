//! A plain interpreter of the rules, written without a look at the engine's: no events, no time, no queues. It
//! works where nothing depends on time, that is without stops and without a time limit of the run.
//!
//! Also `tests/it/prop.rs` judges by it, with real processes; so it knows nothing of the simulated world.

use proctor::dag::Dag;
use proctor::dag::types::{RepeatMode, Step};
use proctor::engine::attempt::Prepared;
use proctor::model::{Handler, Node, RunStatus, StepStatus};

/// What a process does that nobody disturbs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Course {
    /// It exits with this code.
    Exit(i32),
    /// A signal from elsewhere kills it.
    Crash(i32),
    /// It cannot be started.
    NoStart,
    /// The sub-runs that it called came to this.
    #[allow(dead_code, reason = "the random jobs with real processes call nothing")]
    Verdict(StepStatus),
}

/// One try, as far as it decides.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trial {
    /// How long it takes, in milliseconds.
    pub(crate) millis: u64,
    pub(crate) course: Course,
    /// Whether it writes what `continue_on.output` looks for.
    pub(crate) output_matched: bool,
}

/// What happens to each node, whatever the order.
pub(crate) trait Fates {
    /// What the attempt's begin finds: why its conditions are not met, or why it cannot begin.
    fn initialise(&self) -> Result<Result<(), String>, String>;
    /// What a node's preparation finds.
    fn prepare(&self, node: Node) -> Result<Prepared, String>;
    /// The try with this number, from 0.
    fn trial(&self, node: Node, number: u32) -> Trial;
    /// The repeat condition after so many tries.
    fn repeat_check(&self, node: Node, tries: u32) -> Result<bool, String>;
}

/// What an attempt came to.
#[derive(Debug, PartialEq)]
pub(crate) struct Summary {
    pub(crate) status: RunStatus,
    /// Status, executions, retries, whether the failure is tolerated.
    pub(crate) steps: Vec<(StepStatus, u32, u32, bool)>,
    /// Those that ended, in order.
    pub(crate) handlers: Vec<(Handler, StepStatus)>,
    pub(crate) outputs: Vec<(String, String)>,
}

/// A node that was executed, or skipped at the door.
struct Played {
    status: StepStatus,
    done: u32,
    retries: u32,
    tolerated: bool,
    output: Option<String>,
}

fn play(step: &Step, node: Node, fate: &impl Fates) -> Played {
    let mut played = Played {
        status: StepStatus::Failed,
        done: 0,
        retries: 0,
        tolerated: step.continue_on.failure,
        output: None,
    };
    let Ok(numbers) = fate.prepare(node) else {
        return played;
    };
    if numbers.unmet.is_some() {
        played.status = StepStatus::Skipped;
        played.tolerated = false;
        return played;
    }
    let is_step = matches!(node, Node::Step(_));
    let mut number = 0;
    loop {
        let a_try = fate.trial(node, number);
        number += 1;
        let too_slow = step.timeout_sec > 0 && a_try.millis > step.timeout_sec * 1000;
        let code = match a_try.course {
            _ if too_slow => 124,
            Course::Exit(code) => code,
            Course::Crash(_) => -1,
            Course::NoStart => 1,
            Course::Verdict(verdict) => {
                played.status = verdict;
                played.tolerated = false;
                return played;
            }
        };
        if !too_slow && a_try.course != Course::NoStart && step.output.is_some() && is_step {
            played.output = Some(format!("{node} {number}"));
        }
        let mut forgivable = !too_slow;
        let left = is_step && played.retries < numbers.retry_limit;
        if let Some(policy) = step.retry.as_ref().filter(|_| code != 0 && !too_slow && left) {
            if policy.exit_code.is_empty() || policy.exit_code.contains(&code) {
                played.retries += 1;
                continue;
            }
            forgivable = false;
        }
        let matched = !too_slow && !step.continue_on.output.is_empty() && a_try.output_matched;
        let tolerated = step.continue_on.failure || step.continue_on.exit_code.contains(&code) || matched;
        let forgiven = tolerated && step.continue_on.mark_success && forgivable;
        played.status = if code == 0 || forgiven {
            StepStatus::Succeeded
        } else {
            StepStatus::Failed
        };
        played.tolerated = played.status == StepStatus::Failed && tolerated;
        played.done += 1;
        if !is_step || !again(step, fate, node, &played, numbers.repeat_limit, code, number) {
            return played;
        }
    }
}

fn again(
    step: &Step,
    fate: &impl Fates,
    node: Node,
    played: &Played,
    limit: u32,
    code: i32,
    tries: u32,
) -> bool {
    let Some(policy) = &step.repeat else {
        return false;
    };
    if limit > 0 && played.done >= limit {
        return false;
    }
    let met = || fate.repeat_check(node, tries) == Ok(true);
    let listed = policy.exit_code.contains(&code);
    let bare = policy.condition.is_none() && policy.exit_code.is_empty();
    match policy.mode {
        RepeatMode::While => listed || (policy.condition.is_some() && met()) || (bare && code == 0),
        RepeatMode::Until => !(listed || (policy.condition.is_some() && met()) || (bare && code == 0)),
    }
}

/// What becomes of an attempt.
pub(crate) fn interpret(dag: &Dag, fate: &impl Fates) -> Summary {
    let count = dag.steps.len();
    let mut states: Vec<Option<Played>> = (0..count).map(|_| None).collect();
    let mut handlers = Vec::new();
    let mut failed_handler = false;
    let mut play_handler = |wanted: Handler| {
        let step = dag.handlers.iter().find(|(handler, _)| *handler == wanted);
        if let Some((_, step)) = step {
            let status = play(step, Node::Handler(wanted), fate).status;
            handlers.push((wanted, status));
            failed_handler |= status == StepStatus::Failed;
        }
        failed_handler
    };
    let mut verdict = None;
    match fate.initialise() {
        Err(_) => verdict = Some(RunStatus::Failed),
        // An empty plan is all well (3.4 rule 1).
        Ok(Err(_)) if count > 0 => verdict = Some(RunStatus::Aborted),
        Ok(Err(_)) => verdict = Some(RunStatus::Succeeded),
        Ok(Ok(())) => {
            if play_handler(Handler::Init) {
                verdict = Some(if count > 0 {
                    RunStatus::Aborted
                } else {
                    RunStatus::Failed
                });
            }
        }
    }
    if verdict.is_none() {
        // Until nothing changes any more: whoever has all its dependencies settled is played.
        while let Some(index) = (0..count).find(|index| settle(dag, fate, &states, *index).is_some()) {
            states[index] = settle(dag, fate, &states, index);
        }
    }
    let of = |state: &Option<Played>| match state {
        Some(played) => (played.status, played.done, played.retries, played.tolerated),
        None => (StepStatus::NotStarted, 0, 0, false),
    };
    let steps: Vec<_> = states.iter().map(of).collect();
    let mut status = verdict.unwrap_or_else(|| judge(&steps));
    let chosen = match status {
        RunStatus::Succeeded | RunStatus::PartiallySucceeded => Handler::Success,
        RunStatus::Aborted => Handler::Abort,
        RunStatus::Waiting => Handler::Wait,
        _ => Handler::Failure,
    };
    play_handler(chosen);
    if status != RunStatus::Waiting && play_handler(Handler::Exit) && status == RunStatus::Succeeded {
        status = RunStatus::Failed;
    }
    let mut outputs: Vec<(String, String)> = Vec::new();
    for (step, state) in dag.steps.iter().zip(&states) {
        let value = state.as_ref().and_then(|played| played.output.clone());
        if let (Some(output), Some(value)) = (step.output.as_ref().filter(|output| !output.omit), value) {
            let key = match output.name.as_str() {
                "OUT" => "out",
                "SOME_THING" => "someThing",
                name => name,
            };
            match outputs.iter_mut().find(|(known, _)| known == key) {
                Some((_, old)) => *old = value,
                None => outputs.push((key.to_owned(), value)),
            }
        }
    }
    Summary {
        status,
        steps,
        handlers,
        outputs,
    }
}

/// What becomes of a step, if it is not known yet and its dependencies tell.
fn settle(dag: &Dag, fate: &impl Fates, states: &[Option<Played>], index: usize) -> Option<Played> {
    if states[index].is_some() {
        return None;
    }
    let ended = |status| Played {
        status,
        done: 0,
        retries: 0,
        tolerated: false,
        output: None,
    };
    for dependency in &dag.steps[index].depends {
        let dependency = usize::try_from(*dependency).unwrap();
        let state = states[dependency].as_ref()?;
        match state.status {
            StepStatus::Succeeded => {}
            StepStatus::Failed if state.tolerated => {}
            StepStatus::Skipped if dag.steps[dependency].continue_on.skipped => {}
            StepStatus::Skipped => return Some(ended(StepStatus::Skipped)),
            StepStatus::Waiting => return None,
            _ => return Some(ended(StepStatus::Aborted)),
        }
    }
    let node = Node::Step(u32::try_from(index).unwrap());
    let mut played = play(&dag.steps[index], node, fate);
    if played.status == StepStatus::Succeeded && dag.steps[index].approval.is_some() {
        played.status = StepStatus::Waiting;
    }
    Some(played)
}

fn judge(steps: &[(StepStatus, u32, u32, bool)]) -> RunStatus {
    let failure = |tolerated| {
        steps
            .iter()
            .any(|step| step.0 == StepStatus::Failed && step.3 == tolerated)
    };
    let any = |status| steps.iter().any(|step| step.0 == status);
    if any(StepStatus::Rejected) {
        return RunStatus::Rejected;
    }
    if any(StepStatus::Waiting) {
        return RunStatus::Waiting;
    }
    let some_success = steps.iter().any(|step| step.0 == StepStatus::Succeeded);
    match (!failure(false), !failure(true), some_success) {
        (true, true, _) => RunStatus::Succeeded,
        (true, false, true) => RunStatus::PartiallySucceeded,
        _ => RunStatus::Failed,
    }
}

//! What is told of runs, from their views alone.

use std::convert::Infallible;

use super::*;
use crate::model::change::Caller;
use crate::model::outcome::signal_number;
use crate::model::{Cause, DagName, Exit, GroupName, OomScope, OomVictim, RunId, Time, Trigger, Usage};

fn run(dag: &str, id: &str) -> RunRef {
    RunRef {
        dag: DagName::new(dag).unwrap(),
        id: RunId::new(id).unwrap(),
    }
}

fn view(run: RunRef, status: RunStatus, steps: Vec<StepView>) -> RunView {
    let group = GroupName::from(&run.dag);
    RunView {
        status,
        steps,
        ..RunView::new(run, group, 0, Trigger::Manual, Time(0))
    }
}

fn step(name: &str, status: StepStatus) -> StepView {
    StepView {
        status,
        ..StepView::new(name)
    }
}

fn ended(exit: Exit, error: &str, retries: u32) -> StepView {
    StepView {
        exit: Some(exit),
        error: Some(error.to_owned()),
        retry_count: retries,
        ..step("s", StepStatus::Failed)
    }
}

fn child(run: &RunRef, status: RunStatus) -> ChildView {
    ChildView {
        run: run.clone(),
        params: String::new(),
        status,
    }
}

fn calls(name: &str, status: StepStatus, children: &[(&RunRef, RunStatus)]) -> StepView {
    StepView {
        children: children.iter().map(|(run, status)| child(run, *status)).collect(),
        ..step(name, status)
    }
}

fn failed(step: StepView) -> (String, Vec<String>) {
    let view = view(run("d", "1"), RunStatus::Failed, vec![step]);
    let mut evidence = Vec::new();
    let answer = why_failed(&view, &mut evidence);
    (answer, evidence)
}

#[test]
fn a_failure_is_told_with_the_end_of_standard_error() {
    let text = "exit status 3\nstderr (end):\ndisk full\n\n  at /data\n";
    let (answer, evidence) = failed(ended(Exit::Code(3), text, 0));
    assert_eq!(answer, "step s failed: exit code 3");
    assert_eq!(
        evidence,
        [
            "step s: exit code 3",
            "step s wrote to standard error: disk full",
            "step s wrote to standard error:   at /data",
        ]
    );
    // The error of a sub-run is told as that of the step that called it.
    let text = "sub-run sub:1 failed: exit status 3\nstderr (end):\ndisk full";
    let sub = run("sub", "1");
    let (answer, evidence) = failed(StepView {
        error: Some(text.to_owned()),
        ..calls("fan", StepStatus::Failed, &[(&sub, RunStatus::Failed)])
    });
    assert_eq!(answer, "step fan failed: sub-run sub:1 failed: exit status 3");
    assert_eq!(
        evidence[1],
        "a sub-run of step fan wrote to standard error: disk full"
    );
    // Of much the last lines.
    let lines: Vec<String> = (1..=12).map(|line| line.to_string()).collect();
    let text = format!("exit status 3\nstderr (end):\n{}", lines.join("\n"));
    let (_, evidence) = failed(ended(Exit::Code(3), &text, 0));
    assert_eq!(evidence.len(), 11, "{evidence:?}");
    assert_eq!(evidence[1], "step s wrote to standard error: 3");
    assert_eq!(evidence[10], "step s wrote to standard error: 12");
}

#[test]
fn a_reason_says_everything_once() {
    let killed = Exit::Signal {
        signal: signal_number("KILL").unwrap(),
        core: false,
    };
    for (step, told) in [
        (ended(Exit::Code(3), "exit status 3", 0), "exit code 3"),
        (
            ended(Exit::Code(3), "exit code 3", 1),
            "exit code 3 after 1 retry",
        ),
        (ended(Exit::Code(3), "", 2), "exit code 3 after 2 retries"),
        (
            ended(Exit::Code(3), "a condition", 1),
            "exit code 3 after 1 retry: a condition",
        ),
        (ended(killed, "killed by SIGKILL", 0), "killed by SIGKILL"),
        (
            ended(killed, "killed by SIGKILL: time limit\nstderr (end):\nx", 0),
            "killed by SIGKILL: time limit",
        ),
        (ended(killed, "time limit", 0), "killed by SIGKILL: time limit"),
        (
            StepView {
                exit: None,
                ..ended(killed, "no such program", 0)
            },
            "no such program",
        ),
    ] {
        assert_eq!(reason(&step), told);
    }
}

#[test]
fn a_step_that_calls_waits_for_its_sub_runs() {
    let runs: Vec<RunRef> = (0..8).map(|at| run("sub", &at.to_string())).collect();
    let mut statuses = [RunStatus::Running; 8];
    statuses[0] = RunStatus::Succeeded;
    statuses[7] = RunStatus::NotStarted;
    let children: Vec<(&RunRef, RunStatus)> = runs.iter().zip(statuses).collect();
    let fan = calls("fan", StepStatus::Running, &children);
    let live =
        |step: &StepView, stands: &dyn Fn(&ChildView) -> RunStatus| explain_live(step, Time(0), None, stands);
    let told = live(&fan, &|child| child.status);
    assert_eq!(
        told[0],
        "step fan waits for its sub-runs: 1 not_started, 6 running, 1 succeeded"
    );
    assert_eq!(told.len(), 1 + NAMED, "{told:?}");
    assert_eq!(told[1], "sub-run sub:1 is running");
    // What the daemon knows is newer than what the caller was told.
    let told = live(&fan, &|child| match child.run.id.as_str() {
        "7" => RunStatus::Queued,
        _ => RunStatus::Failed,
    });
    assert_eq!(
        told,
        [
            "step fan waits for its sub-runs: 7 failed, 1 queued",
            "sub-run sub:7 is queued"
        ]
    );
    let prepared = ["step fan is being prepared"];
    assert_eq!(
        live(&step("fan", StepStatus::Running), &|_| RunStatus::Running),
        prepared
    );
    // It is not told of an end before what the sub-run itself called is gone.
    let told = live(&fan, &|_| RunStatus::Failed);
    assert_eq!(told, ["step fan waits for its sub-runs: 8 failed"]);
    let over: Vec<(&RunRef, RunStatus)> = runs.iter().map(|run| (run, RunStatus::Failed)).collect();
    let fan = calls("fan", StepStatus::Running, &over);
    assert_eq!(live(&fan, &|child| child.status), prepared);
}

#[test]
fn a_try_that_is_due_waits_for_room_beside_other_sub_runs() {
    let mut retrying = ended(Exit::Code(1), "exit status 1\nstderr (end):\nno route", 1);
    retrying.status = StepStatus::Retrying;
    retrying.next_try_at = Some(Time::from_secs(60));
    let mut repeating = step("r", StepStatus::Running);
    repeating.next_try_at = Some(Time::from_secs(60));
    let root = run("top", "1");
    let caller = Caller {
        run: root.clone(),
        attempt: 1,
        step: "fan".to_owned(),
        root,
        depth: 1,
    };
    let told = |step: &StepView, at: i64, wanted: bool| {
        let told = explain_live(step, Time::from_secs(at), wanted.then_some(&caller), |child| {
            child.status
        });
        told.join("; ")
    };
    let later = "waits for its next try at 1970-01-01T00:01:00";
    let wrote = "exit code 1; step s wrote to standard error: no route";
    let due = "is due for its next try, and waits until step fan of top:1 has room for it (max_concurrent)";
    for (at, wanted) in [(0, false), (0, true), (60, false)] {
        let line = told(&retrying, at, wanted);
        assert!(line.starts_with(&format!("step s {later}")), "{line}");
        assert!(line.ends_with(wrote), "{line}");
    }
    assert_eq!(told(&retrying, 60, true), format!("step s {due}: {wrote}"));
    assert!(told(&repeating, 0, false).starts_with(&format!("step r repeats: it {later}")));
    assert_eq!(told(&repeating, 61, true), format!("step r repeats: it {due}"));
}

/// A root that waits for two runs, which wait for two each: in those a step waits.
fn waiting_tree() -> Vec<RunView> {
    let waits = RunStatus::Waiting;
    let leaves: Vec<RunRef> = (1..=4).map(|at| run("leaf", &at.to_string())).collect();
    let middles = [run("middle", "1"), run("middle", "2")];
    let asks = |leaf: &RunRef| {
        let mut ask = step("ask", StepStatus::Waiting);
        ask.error = Some("waits for approval: Ship it?".to_owned());
        view(leaf.clone(), waits, vec![ask])
    };
    let on = |name: &str, runs: &[RunRef]| {
        let children: Vec<(&RunRef, RunStatus)> = runs.iter().map(|run| (run, waits)).collect();
        calls(name, StepStatus::Waiting, &children)
    };
    let mut tree = vec![view(run("top", "1"), waits, vec![on("fan", &middles)])];
    for (middle, leaves) in middles.iter().zip(leaves.chunks(2)) {
        tree.push(view(middle.clone(), waits, vec![on("call", leaves)]));
        tree.extend(leaves.iter().map(asks));
    }
    tree
}

fn below(tree: &[RunView]) -> Below {
    let look = |run: &RunRef| Ok::<_, Infallible>(tree.iter().find(|view| view.run == *run).cloned());
    Below::find(&tree[0], look).unwrap_or_else(|never| match never {})
}

#[test]
fn the_runs_that_are_named_are_those_to_decide_in() {
    let mut tree = waiting_tree();
    let mut evidence = Vec::new();
    let answer = why_waiting(&tree[0], &below(&tree), &mut evidence);
    assert_eq!(answer, "a person has to decide in leaf:1, leaf:2, leaf:3, leaf:4");
    assert_eq!(evidence[0], "it waits for sub-run middle:1");
    assert_eq!(evidence[2], "step ask of leaf:1 waits for approval: Ship it?");
    // One has been decided about, and another one has a second step.
    tree[2].steps[0].status = StepStatus::Succeeded;
    tree[3].steps.push(step("again", StepStatus::Waiting));
    // The root has one of its own, too.
    tree[0].steps.push(step("own", StepStatus::Waiting));
    assert_eq!(
        why_waiting(&tree[0], &below(&tree), &mut Vec::new()),
        "a person has to approve or reject own, and to decide in leaf:2, leaf:3, leaf:4"
    );
}

#[test]
fn of_many_runs_to_decide_in_the_first_are_named() {
    let leaves: Vec<RunRef> = (1..=9).map(|at| run("leaf", &at.to_string())).collect();
    let children: Vec<(&RunRef, RunStatus)> = leaves.iter().map(|run| (run, RunStatus::Waiting)).collect();
    let fan = calls("fan", StepStatus::Waiting, &children);
    let mut tree = vec![view(run("top", "1"), RunStatus::Waiting, vec![fan])];
    let ask = || vec![step("ask", StepStatus::Waiting)];
    tree.extend(
        leaves
            .iter()
            .map(|leaf| view(leaf.clone(), RunStatus::Waiting, ask())),
    );
    let mut evidence = Vec::new();
    let answer = why_waiting(&tree[0], &below(&tree), &mut evidence);
    assert_eq!(
        answer,
        "a person has to decide in leaf:1, leaf:2, leaf:3, leaf:4, leaf:5, and others"
    );
    assert_eq!(evidence.len(), 2 * NAMED, "{evidence:?}");
    // A tree on its way out of waiting: what the root waits for is named.
    for view in &mut tree[1..] {
        view.status = RunStatus::Queued;
    }
    let answer = why_waiting(&tree[0], &below(&tree), &mut Vec::new());
    assert!(answer.starts_with("a person has to decide in leaf:1"), "{answer}");
}

#[test]
fn what_the_kernel_did_is_told_once_and_what_it_may_have_done_is_told_as_that() {
    let killed = Exit::Signal {
        signal: signal_number("KILL").unwrap(),
        core: false,
    };
    let oom = Cause::OutOfMemory {
        killed: 1,
        total: 1,
        scope: OomScope::Attempt {
            limit: Some(32 << 20),
        },
        victim: OomVictim::Own {},
    };
    let below = Cause::OutOfMemory {
        killed: 1,
        total: 1,
        scope: OomScope::Attempt {
            limit: Some(32 << 20),
        },
        victim: OomVictim::Below {},
    };
    let with = |exit: Exit, cause: Cause| StepView {
        cause: Some(cause),
        ..ended(exit, &Cause::describe(Some(cause), exit), 0)
    };
    assert_eq!(
        reason(&with(killed, oom)),
        "killed by the out-of-memory killer (SIGKILL); memory_max is 32 MiB"
    );
    assert_eq!(
        reason(&with(Exit::Code(137), below)),
        "exit code 137; the out-of-memory killer took 1 process of the attempt meanwhile: memory_max is 32 MiB"
    );
    let (_, evidence) = failed(ended(killed, "killed by SIGKILL", 0));
    assert!(
        evidence[1].contains("is not known: attempts have no memory controller"),
        "{evidence:?}"
    );
    let told = |usage: Usage, step: StepView| {
        let failed = RunView {
            usage,
            ..view(run("d", "1"), RunStatus::Failed, vec![step])
        };
        explain_kills(&failed)
    };
    let known = |oom_kills, pids_refused| Usage {
        oom_kills: Some(oom_kills),
        pids_refused: Some(pids_refused),
        ..Usage::UNKNOWN
    };
    assert!(told(known(0, 0), ended(killed, "killed by SIGKILL", 0)).is_empty());
    assert_eq!(
        told(known(2, 1), with(killed, oom)),
        [
            "the out-of-memory killer took 2 processes of the attempt",
            "1 fork of the attempt was refused by a limit of processes"
        ]
    );
    // A time limit kills, too, and that is known.
    let limit = StepView {
        cause: Some(Cause::StepTimeout {}),
        ..ended(killed, "step timed out after 1 s", 0)
    };
    assert!(told(Usage::UNKNOWN, limit).is_empty());
}

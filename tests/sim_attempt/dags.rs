//! Random DAGs.

use proctor::dag::Dag;
use proctor::dag::types::{
    Action, Approval, Call, Condition, ContinueOn, DagKind, Number, Output, RepeatMode, RepeatPolicy,
    RetryPolicy, Step,
};
use proctor::model::{DagName, Handler};

use crate::fate::Rng;

/// A small DAG of any form, with any policies. Numbers that `Prepare` evaluates are the fate's.
pub(crate) fn any(rng: &mut Rng) -> Dag {
    let count = rng.below(8);
    let chain = rng.percent(25);
    // A step may depend on one that is defined after it, so the order of definition is shuffled.
    let mut places: Vec<usize> = (0..count).collect();
    if rng.percent(50) {
        for at in (1..count).rev() {
            places.swap(at, rng.below(at + 1));
        }
    }
    let mut steps: Vec<Step> = (0..count).map(|n| step(&format!("s{n}"), rng)).collect();
    for (order, place) in places.iter().enumerate() {
        let mut depends: Vec<u32> = Vec::new();
        for earlier in places.iter().take(order) {
            if (chain && *earlier == places[order - 1]) || (!chain && rng.percent(30)) {
                depends.push(u32::try_from(*earlier).unwrap());
            }
        }
        if rng.percent(50) {
            depends.reverse();
        }
        steps[*place].depends = depends;
    }
    let mut handlers = Vec::new();
    for handler in Handler::ALL {
        if rng.percent(40) {
            handlers.push((handler, step(handler.as_str(), rng)));
        }
    }
    Dag {
        kind: if chain { DagKind::Chain } else { DagKind::Graph },
        steps,
        handlers,
        timeout_sec: rng.pick(&[0, 0, 0, 1, 3, 8]),
        delay_sec: rng.pick(&[0, 0, 0, 1, 4]),
        max_active_steps: rng.pick(&[0, 0, 1, 2, 3]),
        max_clean_up_time_sec: rng.pick(&[0, 1, 5]),
        ..Dag::new(DagName::new("sim").unwrap())
    }
}

fn codes(rng: &mut Rng) -> Vec<i32> {
    match rng.below(4) {
        0 => vec![1],
        1 => vec![2, 124],
        _ => Vec::new(),
    }
}

fn step(name: &str, rng: &mut Rng) -> Step {
    let retry = rng.percent(35).then(|| RetryPolicy {
        limit: Number::Known(0.0),
        interval_sec: Number::Known(0.0),
        exit_code: codes(rng),
        backoff: rng.pick(&[0.0, 2.0]),
        max_interval_sec: rng.pick(&[0.0, 4.0]),
    });
    let repeat = rng.percent(20).then(|| RepeatPolicy {
        mode: rng.pick(&[RepeatMode::While, RepeatMode::Until]),
        interval_sec: Number::Known(0.0),
        limit: Number::Known(0.0),
        condition: rng.percent(50).then(|| Condition {
            condition: "test -f flag".to_owned(),
            expected: None,
            negate: false,
        }),
        exit_code: codes(rng),
        backoff: rng.pick(&[0.0, 2.0]),
        max_interval_sec: rng.pick(&[0.0, 4.0]),
    });
    Step {
        output: rng.percent(40).then(|| Output {
            name: rng.pick(&["OUT", "SOME_THING", "x"]).to_owned(),
            key: None,
            omit: rng.percent(20),
        }),
        continue_on: ContinueOn {
            failure: rng.percent(15),
            skipped: rng.percent(30),
            exit_code: if rng.percent(20) { codes(rng) } else { Vec::new() },
            output: if rng.percent(10) {
                vec!["text".to_owned()]
            } else {
                Vec::new()
            },
            mark_success: rng.percent(20),
        },
        retry,
        repeat,
        timeout_sec: rng.pick(&[0, 0, 0, 1, 3]),
        signal_on_stop: rng.pick(&[None, None, Some(2)]),
        approval: rng.percent(12).then(Approval::default),
        ..Step::new(name, action(rng))
    }
}

/// Some steps call another DAG: those can wait, or be rejected, by what their sub-runs do.
fn action(rng: &mut Rng) -> Action {
    if rng.percent(88) {
        return Action::Nothing;
    }
    Action::Call(Box::new(Call {
        target: "sub".to_owned(),
        params: Vec::new(),
        parallel: None,
    }))
}

/// What of a DAG decides, for a message.
pub(crate) fn text(dag: &Dag) -> String {
    let mut text = String::new();
    for (index, step) in dag.steps.iter().enumerate() {
        text.push_str(&format!(
            "{index} after {:?}: {:?} {:?} {:?} {:?} limit {} s{}\n",
            step.depends,
            step.action,
            step.continue_on,
            step.retry,
            step.repeat,
            step.timeout_sec,
            if step.approval.is_some() { ", approval" } else { "" }
        ));
    }
    text
}

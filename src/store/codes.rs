//! How values are written in rows. These numbers and texts are a disk format: they may be added to, never changed.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::model::view::ChildView;
use crate::model::{Exit, Handler, Node, RunStatus, StepStatus, Trigger};

use super::error::Fault;

pub(super) const fn run_status(status: RunStatus) -> i64 {
    match status {
        RunStatus::NotStarted => 0,
        RunStatus::Running => 1,
        RunStatus::Failed => 2,
        RunStatus::Aborted => 3,
        RunStatus::Succeeded => 4,
        RunStatus::Queued => 5,
        RunStatus::PartiallySucceeded => 6,
        RunStatus::Waiting => 7,
        RunStatus::Rejected => 8,
    }
}

pub(super) const fn step_status(status: StepStatus) -> i64 {
    match status {
        StepStatus::NotStarted => 0,
        StepStatus::Running => 1,
        StepStatus::Failed => 2,
        StepStatus::Aborted => 3,
        StepStatus::Succeeded => 4,
        StepStatus::Skipped => 5,
        StepStatus::PartiallySucceeded => 6,
        StepStatus::Waiting => 7,
        StepStatus::Rejected => 8,
        StepStatus::Retrying => 9,
    }
}

pub(super) const fn trigger(trigger: Trigger) -> i64 {
    match trigger {
        Trigger::Manual => 0,
        Trigger::Scheduler => 1,
        Trigger::Catchup => 2,
        Trigger::Subdag => 3,
        Trigger::Retry => 4,
    }
}

const fn handler(handler: Handler) -> i64 {
    match handler {
        Handler::Init => -1,
        Handler::Success => -2,
        Handler::Failure => -3,
        Handler::Abort => -4,
        Handler::Exit => -5,
        Handler::Wait => -6,
    }
}

pub(super) fn node(node: Node) -> i64 {
    match node {
        Node::Step(index) => i64::from(index),
        Node::Handler(which) => handler(which),
    }
}

pub(super) fn to_run_status(code: i64) -> Result<RunStatus, Fault> {
    find(RunStatus::ALL, run_status, code, "run status")
}

pub(super) fn to_step_status(code: i64) -> Result<StepStatus, Fault> {
    find(StepStatus::ALL, step_status, code, "step status")
}

pub(super) fn to_trigger(code: i64) -> Result<Trigger, Fault> {
    find(Trigger::ALL, trigger, code, "trigger")
}

pub(super) fn to_node(code: i64) -> Result<Node, Fault> {
    if let Ok(index) = u32::try_from(code) {
        return Ok(Node::Step(index));
    }
    find(&Handler::ALL, handler, code, "node").map(Node::Handler)
}

fn find<T: Copy>(all: &[T], code_of: fn(T) -> i64, code: i64, what: &str) -> Result<T, Fault> {
    all.iter()
        .copied()
        .find(|value| code_of(*value) == code)
        .ok_or_else(|| Fault::Text(format!("a row of the store holds {code}, which is no {what}")))
}

/// The steps' statuses after which nothing more happens to a step, as an SQL list.
pub(super) fn done_statuses() -> String {
    let codes = StepStatus::ALL.iter().filter(|status| status.is_done());
    let codes: Vec<String> = codes.map(|status| step_status(*status).to_string()).collect();
    codes.join(",")
}

const EXIT_SIGNAL: i64 = 1;
const EXIT_SIGNAL_CORE: i64 = 2;

/// Kind in the upper half (0 code, 1 signal, 2 signal with core), number in the lower one.
pub(super) fn exit(exit: Exit) -> i64 {
    let (kind, number) = match exit {
        Exit::Code(code) => (0, code),
        Exit::Signal { signal, core: false } => (EXIT_SIGNAL, signal),
        Exit::Signal { signal, core: true } => (EXIT_SIGNAL_CORE, signal),
    };
    kind << 32 | i64::from(number.cast_unsigned())
}

pub(super) fn to_exit(code: i64) -> Result<Exit, Fault> {
    let number = u32::try_from(code & i64::from(u32::MAX))
        .unwrap_or(0)
        .cast_signed();
    match code >> 32 {
        0 => Ok(Exit::Code(number)),
        EXIT_SIGNAL => Ok(Exit::Signal {
            signal: number,
            core: false,
        }),
        EXIT_SIGNAL_CORE => Ok(Exit::Signal {
            signal: number,
            core: true,
        }),
        _ => Err(Fault::Text(format!(
            "a row of the store holds {code}, which is no way of ending"
        ))),
    }
}

pub(super) fn json<T: Serialize + ?Sized>(value: &T) -> Result<String, Fault> {
    serde_json::to_string(value)
        .map_err(|error| Fault::Text(format!("value cannot be written as JSON: {error}")))
}

/// An empty list is NULL.
pub(super) fn json_list<T: Serialize>(list: &[T]) -> Result<Option<String>, Fault> {
    if list.is_empty() {
        Ok(None)
    } else {
        json(list).map(Some)
    }
}

pub(super) fn json_option<T: Serialize>(value: Option<&T>) -> Result<Option<String>, Fault> {
    value.map(json).transpose()
}

pub(super) fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, Fault> {
    serde_json::from_str(text)
        .map_err(|error| Fault::Text(format!("a row of the store holds bad JSON: {error}")))
}

pub(super) fn from_json_list<T: DeserializeOwned>(text: Option<&str>) -> Result<Vec<T>, Fault> {
    text.map_or_else(|| Ok(Vec::new()), from_json)
}

pub(super) fn from_json_option<T: DeserializeOwned>(text: Option<&str>) -> Result<Option<T>, Fault> {
    text.map(from_json).transpose()
}

/// Sub-runs as an array of `[dag, run id, parameters, status]`; none is NULL.
pub(super) fn children(list: &[ChildView]) -> Result<Option<String>, Fault> {
    let rows: Vec<(&str, &str, &str, i64)> = list
        .iter()
        .map(|child| {
            let run = &child.run;
            (
                run.dag.as_str(),
                run.id.as_str(),
                child.params.as_str(),
                run_status(child.status),
            )
        })
        .collect();
    json_list(&rows)
}

pub(super) fn to_children(text: Option<&str>) -> Result<Vec<ChildView>, Fault> {
    let rows: Vec<(String, String, String, i64)> = from_json_list(text)?;
    let child = |(dag, id, params, status): (String, String, String, i64)| {
        Ok(ChildView {
            run: super::history::reference(&dag, id)?,
            params,
            status: to_run_status(status)?,
        })
    };
    rows.into_iter().map(child).collect()
}

/// A path inside `dir` is written without it, so that a step's row is small and the tree can be moved.
pub(super) fn shorten<'a>(dir: &str, path: &'a str) -> &'a str {
    path.strip_prefix(dir)
        .and_then(|rest| rest.strip_prefix('/'))
        .filter(|name| !name.is_empty() && !name.starts_with('/'))
        .unwrap_or(path)
}

pub(super) fn lengthen(dir: &str, path: &str) -> String {
    if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("{dir}/{path}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_on_disk_never_change() {
        let runs: Vec<i64> = RunStatus::ALL.iter().map(|s| run_status(*s)).collect();
        assert_eq!(runs, [0, 1, 2, 3, 4, 5, 6, 7, 8]);
        let steps: Vec<i64> = StepStatus::ALL.iter().map(|s| step_status(*s)).collect();
        assert_eq!(steps, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        let triggers: Vec<i64> = Trigger::ALL.iter().map(|t| trigger(*t)).collect();
        assert_eq!(triggers, [0, 1, 2, 3, 4]);
        let handlers: Vec<i64> = Handler::ALL.iter().map(|h| handler(*h)).collect();
        assert_eq!(handlers, [-1, -2, -3, -4, -5, -6]);
        assert_eq!(exit(Exit::Code(7)), 7);
        assert_eq!(
            exit(Exit::Signal {
                signal: 9,
                core: false
            }),
            0x1_0000_0009
        );
        assert_eq!(
            exit(Exit::Signal {
                signal: 11,
                core: true
            }),
            0x2_0000_000b
        );
    }

    #[test]
    fn every_code_is_read_back() {
        for status in RunStatus::ALL {
            assert_eq!(to_run_status(run_status(*status)).unwrap(), *status);
        }
        for status in StepStatus::ALL {
            assert_eq!(to_step_status(step_status(*status)).unwrap(), *status);
        }
        for value in Trigger::ALL {
            assert_eq!(to_trigger(trigger(*value)).unwrap(), *value);
        }
        for which in Handler::ALL {
            assert_eq!(to_node(node(Node::Handler(which))).unwrap(), Node::Handler(which));
        }
        assert_eq!(to_node(99_999).unwrap(), Node::Step(99_999));
        for number in [0, 1, 255, -1, i32::MIN, i32::MAX] {
            let ends = [
                Exit::Code(number),
                Exit::Signal {
                    signal: number,
                    core: false,
                },
                Exit::Signal {
                    signal: number,
                    core: true,
                },
            ];
            for end in ends {
                assert_eq!(to_exit(exit(end)).unwrap(), end);
            }
        }
    }

    #[test]
    fn unknown_codes_are_errors() {
        assert!(to_run_status(9).is_err());
        assert!(to_step_status(-1).is_err());
        assert!(to_trigger(5).is_err());
        assert!(to_node(-7).is_err());
        assert!(to_exit(3 << 32).is_err());
    }

    #[test]
    fn paths_are_short_only_inside_the_directory() {
        for path in [
            "/d/a.out",
            "/d/sub/a.out",
            "/d",
            "/d/",
            "/d//x",
            "/dx/a.out",
            "/elsewhere",
            "",
        ] {
            let short = shorten("/d", path);
            if !path.is_empty() {
                assert_eq!(lengthen("/d", short), path);
            }
        }
        assert_eq!(shorten("/d", "/d/a.out"), "a.out");
        assert_eq!(shorten("/d", "/dx/a.out"), "/dx/a.out");
    }
}

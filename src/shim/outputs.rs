//! How much the captured outputs of an attempt are together: what goes over the limit could not be recorded and told whole.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::model::Node;
use crate::model::limits::{OUTPUT_OVERHEAD, OUTPUTS_MAX};
use crate::model::view::{RunView, StepView};

/// Counts the captured outputs of an attempt.
#[derive(Debug, Default)]
pub(super) struct Outputs {
    counted: RefCell<Option<Counted>>,
}

#[derive(Debug)]
struct Counted {
    sizes: BTreeMap<(Node, String), usize>,
    total: usize,
}

impl Outputs {
    /// Counts the value that a node has captured now; an older one of the same name counts no more. `forms` is the value as
    /// it is kept and as it is recorded, of which the larger counts; `view` is how the attempt stands, for what was there before the first one.
    ///
    /// # Errors
    /// In words, if it does not fit. Then everything stays as it was.
    pub(super) fn add(&self, view: &RunView, node: Node, name: &str, forms: &[&str]) -> Result<(), String> {
        let mut counted = self.counted.borrow_mut();
        let counted = counted.get_or_insert_with(|| Counted::of(view));
        let key = (node, name.to_owned());
        let old = counted.sizes.get(&key).copied();
        let new = forms.iter().map(|value| size(name, value)).max().unwrap_or(0);
        let total = counted.total - old.unwrap_or(0) + new;
        if total > OUTPUTS_MAX {
            return Err(format!(
                "the captured outputs of the run have {total} bytes together, as JSON texts; at most {OUTPUTS_MAX} are \
                 allowed. Write what is large to a file in DAG_RUN_WORK_DIR, and capture its name"
            ));
        }
        counted.total = total;
        counted.sizes.insert(key, new);
        Ok(())
    }
}

impl Counted {
    fn of(view: &RunView) -> Self {
        let steps = (0..)
            .zip(&view.steps)
            .map(|(index, step)| (Node::Step(index), step));
        let handlers = view.handlers.iter();
        let handlers = handlers.map(|(handler, step)| (Node::Handler(*handler), step));
        let variables = |(node, step): (Node, &'_ StepView)| {
            let size = |(name, value): &(String, String)| ((node, name.clone()), size(name, value));
            step.variables.iter().map(size).collect::<Vec<_>>()
        };
        let sizes: BTreeMap<_, _> = steps.chain(handlers).flat_map(variables).collect();
        Self {
            total: sizes.values().sum(),
            sizes,
        }
    }
}

fn size(name: &str, value: &str) -> usize {
    json_len(name) + json_len(value) + OUTPUT_OVERHEAD
}

/// Length of a text in JSON, without its quotes.
fn json_len(text: &str) -> usize {
    let escaped = |byte: u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
        0..0x20 => 6,
        _ => 1,
    };
    text.bytes().map(escaped).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Header, Writer};
    use crate::model::limits::{FRAME_MAX, SPEC_MAX};
    use crate::model::{
        AttemptId, DagName, Fact, GroupName, Handler, RunId, RunRef, RunStatus, Time, Trigger,
    };
    use crate::wire::codec;
    use crate::wire::shim::StatusResponse;

    fn view(steps: usize) -> RunView {
        let run = RunRef {
            dag: DagName::new("x").unwrap(),
            id: RunId::new("r").unwrap(),
        };
        let group = GroupName::new("g").unwrap();
        RunView {
            attempt: Some(AttemptId::derive(&run, 1)),
            number: 1,
            status: RunStatus::Running,
            log_dir: String::from("/l"),
            steps: (0..steps).map(|n| StepView::new(&format!("step {n}"))).collect(),
            handlers: vec![(Handler::Exit, StepView::new("exit"))],
            ..RunView::new(run, group, 0, Trigger::Manual, Time(0))
        }
    }

    /// What is recorded, sent and taken over, of outputs up to the limit.
    fn expect_room(piece: &str, length: usize) {
        let mut view = view(2000);
        let outputs = Outputs::default();
        let file = tempfile::tempfile().unwrap();
        let run = view.run.clone();
        let header = Header::new(run.clone(), AttemptId::derive(&run, 1), 1, Time(0));
        let mut journal = Writer::create(file, header).unwrap();
        let value = piece.repeat(length);
        let mut record = |fact: Fact, view: &mut RunView| {
            let record = journal.append(Time(0), fact.clone()).unwrap();
            assert!(record.fact == fact, "{} bytes of {piece:?} were cut", value.len());
            view.apply(&record);
        };
        let mut collected = Vec::new();
        for index in 0..2000 {
            let (node, name) = (Node::Step(index), format!("OUT_{index}"));
            if outputs.add(&view, node, &name, &[&value]).is_err() {
                break;
            }
            collected.push((name.clone(), value.clone()));
            let value = value.clone();
            record(Fact::NodeOutput { node, name, value }, &mut view);
        }
        assert!(
            !collected.is_empty() && collected.len() < 2000,
            "{}",
            collected.len()
        );
        let resume = serde_json::to_string(&view.steps).unwrap();
        assert!(resume.len() * 4 < SPEC_MAX, "{} bytes", resume.len());
        let ended = Fact::Ended {
            status: RunStatus::Succeeded,
            error: None,
            outputs: collected,
            retry: false,
        };
        record(ended, &mut view);
        codec::encode(&StatusResponse::Status(Box::new(view)), FRAME_MAX).unwrap();
    }

    #[test]
    fn outputs_up_to_the_limit_fit_records_answers_and_specifications_whole() {
        expect_room("x", 2000);
        for piece in ["x", "\"", "\u{1}", "\u{20ac}"] {
            expect_room(piece, 500_000);
        }
    }

    #[test]
    fn what_counts_is_the_length_in_json() {
        let all: String = ('\0'..'\u{3000}').collect();
        let json = serde_json::to_string(&all).unwrap();
        assert_eq!(json_len(&all), json.len() - 2);
    }

    #[test]
    fn an_output_takes_the_place_of_the_one_before_and_what_is_taken_over_counts() {
        let mut view = view(2);
        let (half, node) = ("x".repeat(OUTPUTS_MAX / 2), Node::Step(1));
        view.steps[0].variables = vec![(String::from("OLD"), half.clone())];
        let outputs = Outputs::default();
        let error = outputs.add(&view, node, "NEW", &[&half]).unwrap_err();
        assert!(error.contains("DAG_RUN_WORK_DIR"), "{error}");
        for _ in 0..3 {
            outputs
                .add(&view, node, "NEW", &[&"x".repeat(OUTPUTS_MAX / 3)])
                .unwrap();
        }
        outputs.add(&view, Node::Step(0), "OLD", &[""]).unwrap();
        let exit = Node::Handler(Handler::Exit);
        outputs.add(&view, exit, "NEW", &[&half]).unwrap();
        outputs.add(&view, exit, "MORE", &["", &half]).unwrap_err();
    }
}

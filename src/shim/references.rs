//! Which steps a step can refer to by their ids (`${id.stdout}`): only those that its text names are made ready for its
//! evaluation, so that a DAG of ten thousand steps with ids costs each of them no more than its own text.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::dag::Dag;
use crate::dag::eval::StepRef;
use crate::dag::types::Step;
use crate::model::view::StepView;

/// Positions of the steps that have an id.
#[derive(Debug, Default)]
pub(super) struct References {
    ids: HashMap<String, usize>,
    /// Those that the DAG's own shell names: it is evaluated with every step.
    shell: Vec<(String, usize)>,
}

impl References {
    pub(super) fn of(dag: &Dag) -> Self {
        let ids = dag.steps.iter().enumerate();
        let mut references = Self {
            ids: ids
                .filter_map(|(at, step)| Some((step.id.clone()?, at)))
                .collect(),
            shell: Vec::new(),
        };
        references.shell = references.named(&dag.shell);
        references
    }

    /// The steps that this one names, as far as they have begun.
    pub(super) fn ready(&self, step: &Step, views: &[StepView]) -> Arc<BTreeMap<String, StepRef>> {
        let mut ready = BTreeMap::new();
        if self.ids.is_empty() {
            return Arc::new(ready);
        }
        for (id, at) in self.named(step).into_iter().chain(self.shell.iter().cloned()) {
            let reference = views.get(at).and_then(|view| {
                Some(StepRef {
                    stdout: view.stdout.clone()?,
                    stderr: view.stderr.clone()?,
                    exit_code: view.exit_code,
                })
            });
            ready.extend(reference.map(|reference| (id, reference)));
        }
        Arc::new(ready)
    }

    /// Every step whose id is a word in any text of this, with that id. That may be more than is referred to, and is
    /// never less.
    fn named(&self, text: &impl serde::Serialize) -> Vec<(String, usize)> {
        let text = serde_json::to_string(text).unwrap_or_default();
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        words
            .filter_map(|word| Some((word.to_owned(), *self.ids.get(word)?)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dag::types::{Action, Command, EnvVar, Shell};
    use crate::model::DagName;

    fn step(name: &str, id: Option<&str>, command: &str) -> Step {
        let command = Command {
            raw: command.to_owned(),
            program: "echo".to_owned(),
            args: Vec::new(),
        };
        Step {
            id: id.map(str::to_owned),
            ..Step::new(name, Action::Commands(vec![command]))
        }
    }

    fn view(name: &str, begun: bool) -> StepView {
        StepView {
            stdout: begun.then(|| format!("/l/{name}.out")),
            stderr: begun.then(|| format!("/l/{name}.err")),
            exit_code: begun.then_some(3),
            ..StepView::new(name)
        }
    }

    #[test]
    fn only_what_a_step_names_is_made_ready() {
        let mut last = step("d", None, "cat \"${one.stdout}\" $two.exit_code");
        last.env = vec![EnvVar {
            name: "E".to_owned(),
            value: "${three.stderr}".to_owned(),
        }];
        let mut dag = Dag::new(DagName::new("d").unwrap());
        dag.steps = vec![
            step("a", Some("one"), "x"),
            step("b", Some("two"), "x"),
            step("c", Some("three"), "x"),
            step("z", Some("unnamed"), "x"),
            last,
        ];
        let views = [
            view("a", true),
            view("b", true),
            view("c", false),
            view("z", true),
        ];
        let references = References::of(&dag);
        let ready = references.ready(&dag.steps[4], &views);
        assert_eq!(
            ready.keys().collect::<Vec<_>>(),
            ["one", "two"],
            "three has not begun"
        );
        assert_eq!(ready["one"].stdout, "/l/a.out");
        assert_eq!(ready["two"].exit_code, Some(3));
        let own = references.ready(&dag.steps[0], &views);
        assert_eq!(
            own.keys().collect::<Vec<_>>(),
            ["one"],
            "a step can refer to itself"
        );
        dag.shell = Some(Shell {
            program: "sh".to_owned(),
            args: vec!["${unnamed.stdout}".to_owned()],
        });
        let ready = References::of(&dag).ready(&dag.steps[0], &views);
        assert_eq!(
            ready.keys().collect::<Vec<_>>(),
            ["one", "unnamed"],
            "the shell is every step's"
        );
    }
}

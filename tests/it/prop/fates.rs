//! A job as the reference sees it. The DAG is made here and not by the loader, so that the loader is judged, too.

use proctor::dag::types::{Action, Condition, DagKind, Number, RepeatPolicy, RetryPolicy};
use proctor::dag::{Dag, Step};
use proctor::engine::attempt::Prepared;
use proctor::model::{DagName, Node};

use super::job::{Begin, Door, Job, Play, Test};
use super::reference::{Fates, Trial};

/// The DAG that the job's text has to mean.
pub(super) fn dag(job: &Job) -> Dag {
    Dag {
        kind: if job.chain.is_some() {
            DagKind::Chain
        } else {
            DagKind::Graph
        },
        steps: job.steps.iter().map(step).collect(),
        handlers: job
            .handlers
            .iter()
            .map(|(handler, play)| (*handler, step(play)))
            .collect(),
        ..Dag::new(DagName::new("prop").unwrap())
    }
}

fn step(play: &Play) -> Step {
    let known = |limit: u32| Number::Known(f64::from(limit));
    Step {
        depends: play.depends.clone(),
        continue_on: play.continue_on.clone(),
        output: play.output.clone(),
        retry: play.retry.as_ref().map(|retry| RetryPolicy {
            limit: known(retry.limit),
            interval_sec: known(0),
            exit_code: retry.codes.clone(),
            backoff: 0.0,
            max_interval_sec: 0.0,
        }),
        repeat: play.repeat.as_ref().map(|repeat| RepeatPolicy {
            mode: repeat.mode,
            interval_sec: known(0),
            limit: known(repeat.limit),
            condition: repeat.test.is_some().then(|| Condition {
                condition: String::new(),
                expected: None,
                negate: false,
            }),
            exit_code: repeat.codes.clone(),
            backoff: 0.0,
            max_interval_sec: 0.0,
        }),
        ..Step::new(&*play.name, Action::Nothing)
    }
}

impl Job {
    /// The step or handler.
    pub(super) fn play(&self, node: Node) -> &Play {
        match node {
            Node::Step(index) => &self.steps[usize::try_from(index).unwrap()],
            Node::Handler(wanted) => {
                let found = self.handlers.iter().find(|(handler, _)| *handler == wanted);
                &found.unwrap().1
            }
        }
    }
}

impl Fates for Job {
    fn initialise(&self) -> Result<Result<(), String>, String> {
        match self.begin {
            Begin::Well => Ok(Ok(())),
            Begin::Unmet => Ok(Err("not met".to_owned())),
            Begin::Broken => Err("the environment is broken".to_owned()),
        }
    }

    fn prepare(&self, node: Node) -> Result<Prepared, String> {
        let play = self.play(node);
        // In a broken environment no handler can be prepared either.
        if play.door == Door::Broken || self.begin == Begin::Broken {
            return Err("not a whole number".to_owned());
        }
        Ok(Prepared {
            retry_limit: play.retry.as_ref().map_or(0, |retry| retry.limit),
            retry_interval: 0.0,
            repeat_limit: play.repeat.as_ref().map_or(0, |repeat| repeat.limit),
            repeat_interval: 0.0,
            unmet: (play.door == Door::Unmet).then(|| "not met".to_owned()),
        })
    }

    fn trial(&self, node: Node, number: u32) -> Trial {
        let deed = self.play(node).deed(number);
        Trial {
            millis: 0,
            course: deed.course,
            output_matched: deed.says,
        }
    }

    fn repeat_check(&self, node: Node, tries: u32) -> Result<bool, String> {
        match self
            .play(node)
            .repeat
            .as_ref()
            .and_then(|repeat| repeat.test.as_ref())
        {
            Some(Test::After(met)) => Ok(met.contains(&tries)),
            Some(Test::Broken) | None => Err("no condition".to_owned()),
        }
    }
}

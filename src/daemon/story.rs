//! What a run's journal tells of its steps, for the log: with the events of the run and its attempts it is the run's story.

use crate::config::Config;
use crate::model::view::RunView;
use crate::model::{AttemptId, Fact, Node, StepStatus};
use crate::telemetry::events;

/// Logs a fact about a step. That one failed is always said, the rest if the configuration wants it.
pub(super) fn tell_step(config: &Config, view: &RunView, attempt: &AttemptId, fact: &Fact) {
    let run = &view.run;
    let name = |node: &Node| view.node(*node).map_or("", |step| step.name.as_str());
    match fact {
        Fact::NodeEnded {
            node,
            status: StepStatus::Failed,
            error,
            ..
        } => {
            let why = error.as_deref().unwrap_or("no reason given");
            events::step_failed(run, attempt, name(node), &why);
        }
        Fact::NodeStarted { node, .. } if config.log.steps => {
            events::step_started(run, attempt, name(node));
        }
        Fact::NodeRetrying {
            node,
            retry_count,
            error,
            ..
        } if config.log.steps => {
            events::step_retried(run, attempt, name(node), *retry_count, error);
        }
        Fact::NodeEnded {
            node, status, error, ..
        } if config.log.steps => {
            events::step_ended(run, attempt, name(node), *status, error.as_deref().unwrap_or(""));
        }
        _ => {}
    }
}

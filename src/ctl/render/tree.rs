//! A run as a small tree: the run, its steps, its handlers, what went wrong.

use anstyle::Style;
use unicode_width::UnicodeWidthStr;

use super::usage::sentence;
use super::{Line, elapsed, pending, run_style, step_style, time};
use crate::model::change::Caller;
use crate::model::view::{ChildView, RunView, StepView};
use crate::model::{Node, RunStatus, StepStatus, Time};

/// Room for the tree.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Room {
    /// Columns; none is as many as needed.
    pub(crate) width: Option<u16>,
    /// Rows; none is as many as needed. Steps that are done give way first.
    pub(crate) rows: Option<u16>,
}

/// Widest name that the columns are aligned to.
const NAME_MAX: usize = 40;

/// First line: which run, its status, how long it runs.
pub(crate) fn headline(view: &RunView, now: Time) -> Line {
    let mut line = Line::default();
    line.text(Style::new().bold(), &view.run.to_string()).plain("  ");
    line.text(run_style(view.status), view.status.as_str());
    if view.stalled {
        line.plain(" (stalled: its supervisor lives but does not move)");
    }
    if let Some(retry) = &view.retry {
        line.plain("; ").plain(&pending(retry, view.held, now));
        if !view.held {
            line.plain(&format!(" (at {} UTC)", time(retry.at)));
        }
    }
    let took = elapsed(view.started_at, view.finished_at, now);
    if !took.is_empty() {
        line.plain("  ").text(Style::new().dimmed(), &took);
    }
    line
}

/// The lines of a run's tree.
pub(crate) fn tree(view: &RunView, now: Time, room: Room) -> Vec<String> {
    let mut lines = vec![headline(view, now).fit(room.width)];
    let shown: Vec<(Node, &StepView)> = view
        .nodes()
        .filter(|(node, step)| matches!(node, Node::Step(_)) || step.status != StepStatus::NotStarted)
        .collect();
    let keep = room
        .rows
        .map_or(usize::MAX, |rows| usize::from(rows).saturating_sub(4).max(1));
    let (shown, hidden) = choose(&shown, keep);
    let name_width = shown
        .iter()
        .map(|(node, step)| title(*node, step).width())
        .max()
        .unwrap_or(0)
        .min(NAME_MAX);
    for (at, (node, step)) in shown.iter().enumerate() {
        let last = at + 1 == shown.len() && hidden == 0;
        lines.push(node_line(*node, step, now, name_width, last).fit(room.width));
    }
    if hidden > 0 {
        lines.push(
            Line::default()
                .text(Style::new().dimmed(), &format!("└ and {hidden} more"))
                .fit(room.width),
        );
    }
    if let Some(error) = view.error.as_deref().filter(|_| view.finished_at.is_some()) {
        lines.push(Line::default().plain("  error: ").plain(error).fit(room.width));
    }
    lines
}

/// The lines that `status` adds: where the run comes from and when.
pub(crate) fn details(view: &RunView) -> Vec<String> {
    let mut lines = Vec::new();
    let mut add = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            lines.push(
                Line::default()
                    .padded(Style::new().dimmed(), name, 10)
                    .plain(&value)
                    .fit(None),
            );
        }
    };
    let attempt = view.attempt.as_ref().map(|id| format!("{} ({id})", view.number));
    add("attempt", attempt);
    add("trigger", Some(view.trigger.to_string()));
    let caller = |caller: &Caller| format!("step {} of {}", caller.step, caller.run);
    add("called by", view.parent.as_ref().map(caller));
    add("owner", Some(format!("user id {}", view.owner)));
    add("queue", Some(view.group.to_string()));
    add("accepted", Some(format!("{} UTC", time(view.created_at))));
    add("started", view.started_at.map(|at| format!("{} UTC", time(at))));
    add("finished", view.finished_at.map(|at| format!("{} UTC", time(at))));
    add("stopped", view.stop.as_ref().map(ToString::to_string));
    add("used", sentence(&view.usage));
    add("lost", view.lost.as_ref().map(ToString::to_string));
    let params: Vec<String> = view.params.iter().map(|(k, v)| format!("{k}={v}")).collect();
    add("params", (!params.is_empty()).then(|| params.join(" ")));
    add("logs", (!view.log_dir.is_empty()).then(|| view.log_dir.clone()));
    lines
}

/// The nodes to show if there is room for `keep`, in their order, and how many are left out: what is live or went
/// wrong comes first, then what is still to come, then what is done.
fn choose<'a>(nodes: &[(Node, &'a StepView)], keep: usize) -> (Vec<(Node, &'a StepView)>, usize) {
    if nodes.len() <= keep {
        return (nodes.to_vec(), 0);
    }
    let weight = |status: StepStatus| match status {
        StepStatus::Running | StepStatus::Retrying | StepStatus::Waiting => 0,
        StepStatus::Failed | StepStatus::Aborted | StepStatus::Rejected => 1,
        StepStatus::NotStarted => 2,
        StepStatus::Succeeded | StepStatus::PartiallySucceeded | StepStatus::Skipped => 3,
    };
    let mut order: Vec<usize> = (0..nodes.len()).collect();
    order.sort_by_key(|at| nodes.get(*at).map(|(_, step)| weight(step.status)));
    order.truncate(keep);
    order.sort_unstable();
    let shown = order.iter().filter_map(|at| nodes.get(*at).copied()).collect();
    (shown, nodes.len() - keep)
}

/// One sub-run by name, many by number and status.
fn sub_runs(children: &[ChildView]) -> String {
    if let [only] = children {
        return format!("-> {} ({})", only.run, only.status);
    }
    let counts = RunStatus::ALL.iter().filter_map(|status| {
        let count = children.iter().filter(|child| child.status == *status).count();
        (count > 0).then(|| format!("{count} {status}"))
    });
    let counts: Vec<String> = counts.collect();
    format!("-> {} sub-runs: {}", children.len(), counts.join(", "))
}

fn title(node: Node, step: &StepView) -> String {
    match node {
        Node::Step(_) => step.name.clone(),
        Node::Handler(handler) => format!("on {}", handler.as_str()),
    }
}

fn node_line(node: Node, step: &StepView, now: Time, name_width: usize, last: bool) -> Line {
    let mut line = Line::default();
    line.text(Style::new().dimmed(), if last { "└ " } else { "├ " });
    line.padded(Style::new(), &title(node, step), name_width)
        .plain("  ");
    line.padded(step_style(step.status), step.status.as_str(), 11)
        .plain("  ");
    line.text(
        Style::new().dimmed(),
        &elapsed(step.started_at, step.finished_at, now),
    );
    let mut remark = |text: String| {
        line.plain("  ").plain(&text);
    };
    if step.retry_count > 0 {
        remark(format!("retry {}", step.retry_count));
    }
    if step.repeated {
        remark(format!("run {} times", step.done_count));
    }
    if step.status == StepStatus::Failed
        && let Some(code) = step.exit_code.filter(|code| *code > 0)
    {
        remark(format!("exit code {code}"));
    }
    if !step.children.is_empty() {
        remark(sub_runs(&step.children));
    }
    if let Some(error) = &step.error {
        remark(error.clone());
    }
    line
}

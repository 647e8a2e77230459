//! The verbs of `proctorctl`, one file each: its arguments, what it asks the daemon, what it answers.

pub(super) mod cleanup;
pub(super) mod completions;
pub(super) mod cron;
pub(super) mod decide;
pub(super) mod dequeue;
pub(super) mod doctor;
pub(super) mod dry_run;
pub(super) mod edit;
pub(super) mod enable;
pub(super) mod enqueue;
pub(super) mod graph;
pub(super) mod history;
pub(super) mod install;
pub(super) mod installed;
pub(super) mod logs;
pub(super) mod metrics;
pub(super) mod ps;
pub(super) mod queue;
pub(super) mod reload;
pub(super) mod restart;
pub(super) mod retry;
pub(super) mod run;
pub(super) mod schema;
pub(super) mod status;
pub(super) mod stop;
pub(super) mod validate;
pub(super) mod version;
pub(super) mod wait;
pub(super) mod why;

use super::Call;
use super::failure::Failure;
use super::render::table::{Column, Table, column};
use super::render::{elapsed, pending, run_style, time, usage};
use super::session::Session;
use crate::model::view::RunSummary;
use crate::model::{Priority, RunStatus, Time, Usage};
use crate::wire::control::{Request, Response, Selector};

/// The session of a verb that asks about one run. In a root that was never used there is no such run.
fn ask_about(call: &Call, selector: &Selector) -> Result<Session, Failure> {
    Session::open_to_ask(&call.place)?.ok_or_else(|| {
        let of = &selector.dag;
        Failure::new(
            super::exit::Exit::Negative,
            match &selector.run {
                Some(run) => format!("there is no run {of}:{run}"),
                None => format!("there is no run of {of}"),
            },
        )
    })
}

/// Asks a question that has one answer, and leaves the session.
fn ask_once(mut session: Session, request: &Request, call: &mut Call) -> Result<Response, Failure> {
    let answer = session.call(request);
    session.finish(None, None, &mut call.out);
    answer
}

/// What went wrong, and whether it is tried again.
fn remark(run: &RunSummary, now: Time) -> String {
    let retry = run.retry.as_ref().map(|retry| pending(retry, run.held, now));
    // One that has started is live like any other.
    let now = run.now && run.status == RunStatus::Queued;
    let now = now.then(|| "starts at once (--now)".to_owned());
    let parts = retry.into_iter().chain(now).chain(run.error.clone());
    parts.collect::<Vec<_>>().join("; ")
}

/// The columns of what was used, for tables whose `long` form has them.
fn usage_columns(long: bool) -> impl Iterator<Item = Column> {
    let titles = usage::TITLES.into_iter().filter(move |_| long);
    titles.map(|title| column(title, 3))
}

fn usage_cells(long: bool, used: &Usage) -> impl Iterator<Item = String> {
    usage::cells(used).into_iter().filter(move |_| long)
}

/// A table of runs; in its `long` form with what their newest attempts used.
fn run_table(runs: &[RunSummary], now: Time, width: Option<u16>, long: bool) -> Vec<String> {
    let columns = [
        column("DAG", 0),
        column("RUN ID", 0),
        column("STATUS", 0),
        column("STARTED (UTC)", 2),
        column("ELAPSED", 1),
        column("STEPS", 3),
        column("QUEUE", 5),
        column("PRIORITY", 5),
        column("OWNER", 6),
        column("PID", 7),
        column("CALLED BY", 8),
    ];
    let error = std::iter::once(column("ERROR", 4));
    // What is 0 everywhere is not worth a column.
    let prioritized = runs.iter().any(|run| run.priority != Priority::default());
    let columns: Vec<Column> = columns
        .into_iter()
        .filter(|column| prioritized || column.title != "PRIORITY")
        .chain(usage_columns(long))
        .chain(error)
        .collect();
    let mut table = Table::new(&columns, "STATUS");
    for run in runs {
        let (done, steps) = run.progress;
        let status = if run.stalled {
            "stalled"
        } else {
            run.status.as_str()
        };
        table.row(
            run_style(run.status),
            [
                run.run.dag.to_string(),
                run.run.id.to_string(),
                status.to_owned(),
                run.started_at.map(time).unwrap_or_default(),
                elapsed(run.started_at, run.finished_at, now),
                format!("{done}/{steps}"),
                run.group.to_string(),
            ]
            .into_iter()
            .chain(prioritized.then(|| run.priority.to_string()))
            .chain([
                run.owner.to_string(),
                run.pid.map(|pid| pid.to_string()).unwrap_or_default(),
                run.parent.as_ref().map(ToString::to_string).unwrap_or_default(),
            ])
            .chain(usage_cells(long, &run.usage))
            .chain([remark(run, now)]),
        );
    }
    table.lines(width)
}

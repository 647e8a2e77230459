//! Lists that people ask for: runs that are open, runs of the past, the attempts of a run.

use super::control::refusal;
use super::dispatcher::Dispatcher;
use super::live::LiveRun;
use super::requests::Asker;
use crate::model::view::{RunSummary, RunView};
use crate::store::Filter;
use crate::wire::control::{AttemptSummary, ErrorKind, HistoryFilter, Response};

impl Dispatcher {
    /// What is in memory and not over, and what waits for a person: that is only in the store.
    pub(super) fn list_live(&self, owner: Option<u32>, asker: Asker) {
        let reader = self.reader.clone();
        self.elsewhere(
            move || reader.waiting(owner),
            move |dispatcher, waiting| {
                let answer = match waiting {
                    Ok(waiting) => Response::Runs(dispatcher.live_runs(owner, waiting)),
                    Err(error) => refusal(
                        ErrorKind::Unavailable,
                        &format!("the store cannot be read: {error}"),
                    ),
                };
                dispatcher.answer(&asker.answers, answer);
            },
        );
    }

    fn live_runs(&self, owner: Option<u32>, waiting: Vec<RunSummary>) -> Vec<RunSummary> {
        let mine = |live: &&LiveRun| owner.is_none_or(|owner| live.new.owner == owner);
        // One that has ended holds its place until what it called is gone.
        let open = |live: &&LiveRun| !live.view.status.is_terminal() || !live.over;
        let mut runs: Vec<RunSummary> = waiting;
        // What is in memory is newer than what is in the store.
        runs.retain(|run| !self.runs.contains_key(&run.run));
        let live = self.runs.values().filter(mine).filter(open);
        runs.extend(live.map(|live| live.view.summary()));
        for summary in &mut runs {
            summary.stalled = summary
                .attempt
                .as_ref()
                .is_some_and(|attempt| self.is_stalled(attempt));
        }
        runs.sort_by(|a, b| (a.created_at, &a.run).cmp(&(b.created_at, &b.run)));
        runs
    }

    pub(super) fn history(&self, filter: HistoryFilter, owner: Option<u32>, asker: Asker) {
        let reader = self.reader.clone();
        let filter = Filter {
            dag: filter.dag,
            statuses: filter.statuses,
            from: filter.from,
            to: filter.to,
            owner,
            lost: filter.lost,
            limit: Some(filter.limit),
            before: None,
        };
        self.elsewhere(
            move || reader.history(&filter),
            move |dispatcher, page| {
                let answer = match page {
                    Ok(mut page) => {
                        // How far a live attempt is, and whether a retry is held back, only memory knows.
                        for run in &mut page.runs {
                            if let Some(live) = dispatcher.runs.get(&run.run) {
                                run.progress = live.view.summary().progress;
                                run.held = run.retry.is_some() && live.view.held;
                            }
                        }
                        Response::Runs(page.runs)
                    }
                    Err(error) => refusal(
                        ErrorKind::Unavailable,
                        &format!("the store cannot be read: {error}"),
                    ),
                };
                dispatcher.answer(&asker.answers, answer);
            },
        );
    }

    pub(super) fn attempts_of(&mut self, asker: Asker, view: RunView) {
        let reader = self.reader.clone();
        self.elsewhere(
            move || reader.attempts(&view.run),
            move |dispatcher, attempts| {
                let answer = match attempts {
                    Ok(attempts) => Response::Attempts(
                        attempts
                            .into_iter()
                            .map(|one| AttemptSummary {
                                number: one.number,
                                attempt: one.attempt,
                                status: one.status,
                                error: one.error,
                                lost: one.lost,
                                started_at: one.started_at,
                                finished_at: one.ended_at,
                                usage: one.usage,
                                cause: one.cause,
                            })
                            .collect(),
                    ),
                    Err(error) => refusal(
                        ErrorKind::Unavailable,
                        &format!("the store cannot be read: {error}"),
                    ),
                };
                dispatcher.answer(&asker.answers, answer);
            },
        );
    }
}

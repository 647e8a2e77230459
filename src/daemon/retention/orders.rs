//! What the thread has to do, and what comes next.

use std::collections::{BTreeSet, VecDeque};

use super::{Cleanup, Task};
use crate::store::{Series, SeriesPlace};

/// What is to be done, of each kind.
#[derive(Debug, Default)]
pub(super) struct Orders {
    /// Series of which runs have ended.
    ended: BTreeSet<Series>,
    /// Where the look at all series is, if it is under way.
    pub(super) all: Option<SeriesPlace>,
    cleanups: VecDeque<Cleanup>,
    /// Whether the last thing was done for somebody who asked.
    asked: bool,
}

/// One thing to do.
#[derive(Debug)]
pub(super) enum Next {
    /// What somebody asks for.
    Cleanup(Cleanup),
    /// A series of which a run has ended.
    Series(Series),
    /// The next of all series.
    All(SeriesPlace),
}

impl Orders {
    pub(super) fn take(&mut self, task: Task) {
        match task {
            Task::Ended(series) => {
                self.ended.insert(series);
            }
            Task::All => self.all = Some(SeriesPlace::default()),
            Task::Cleanup(cleanup) => self.cleanups.push_back(*cleanup),
        }
    }

    /// What comes next. Somebody waits for a cleanup, so it goes first; but after each one it is the turn of what nobody
    /// waits for, which would never come otherwise.
    pub(super) fn next(&mut self) -> Option<Next> {
        if !std::mem::replace(&mut self.asked, false)
            && let Some(cleanup) = self.cleanups.pop_front()
        {
            self.asked = true;
            return Some(Next::Cleanup(cleanup));
        }
        if let Some(series) = self.ended.pop_first() {
            return Some(Next::Series(series));
        }
        if let Some(place) = self.all.take() {
            return Some(Next::All(place));
        }
        let cleanup = self.cleanups.pop_front()?;
        self.asked = true;
        Some(Next::Cleanup(cleanup))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::DagName;

    #[test]
    fn cleanups_and_retention_take_turns() {
        let mut orders = Orders::default();
        for dag in ["a", "b"] {
            let dag = DagName::new(dag).unwrap();
            orders.take(Task::Ended(Series { dag, owner: 1 }));
        }
        orders.take(Task::All);
        for _ in 0..5 {
            orders.take(Task::Cleanup(Box::new(Cleanup {
                dag: None,
                keep_days: None,
                keep_runs: None,
                dry_run: true,
                owner: None,
                by: 1,
                answers: tokio::sync::mpsc::channel(1).0,
            })));
        }
        let mut seen = String::new();
        while let Some(next) = orders.next() {
            seen.push(match next {
                Next::Cleanup(_) => 'c',
                Next::Series(_) => 's',
                Next::All(_) => 'a',
            });
        }
        assert_eq!(seen, "cscscacc");
    }
}

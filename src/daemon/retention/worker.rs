//! The thread that finds what is old and removes directories.
//!
//! It begins with what was left by a crash: trees of which a part is removed, and directories that the store has noted.
//! Between two batches it looks for new orders, and what somebody waits for and what nobody waits for take turns.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use tokio::sync::mpsc::UnboundedSender;

use super::orders::{Next, Orders};
use super::policy::{self, Said};
use super::tally::{Removed, Tally};
use super::{Cleanup, Order, files};
use crate::config::Config;
use crate::daemon::control::refusal;
use crate::daemon::dispatcher::{Dispatcher, Msg, now};
use crate::model::{AttemptId, RunRef};
use crate::store::{self, Limits, Reader, Series, SeriesPlace};
use crate::sys::creds;
use crate::wire::control::{ErrorKind, Response};

/// Most runs that are looked for, and given to the store, at a time.
const BATCH: u32 = 100;
/// Most directories between two notes of the store that they are gone.
const DIRECTORIES: u32 = 256;
/// Entries of a directory after which others have their turn.
const ENTRIES: u32 = 1_000_000;
/// How many turns a directory has before it waits for the next day: somebody may fill it while it is emptied.
const TURNS: usize = 32;

/// What connects it to the dispatcher.
pub(super) struct Wires {
    pub(super) to_self: UnboundedSender<Msg>,
    pub(super) orders: mpsc::Receiver<Order>,
    pub(super) answers: mpsc::Receiver<Result<(), store::Error>>,
    /// What has gone, for the metrics.
    pub(super) removed: Arc<Mutex<Removed>>,
}

/// Why something was not done to its end.
enum Halt {
    /// The daemon leaves.
    Leaving,
    /// The store cannot be read or written.
    Trouble(String),
}

impl From<store::Error> for Halt {
    fn from(error: store::Error) -> Self {
        Self::Trouble(error.to_string())
    }
}

pub(super) struct Worker {
    config: Arc<Config>,
    reader: Reader,
    wires: Wires,
    leaving: Arc<AtomicBool>,
    orders: Orders,
    /// What each DAG said when it was last looked at, by the hash of the DAG.
    said: HashMap<Series, (String, Said)>,
    /// Directories that could not be removed: they are tried again once a day, or when somebody asks.
    failed: HashSet<AttemptId>,
}

impl Worker {
    pub(super) fn new(config: Arc<Config>, reader: Reader, wires: Wires, leaving: Arc<AtomicBool>) -> Self {
        Self {
            config,
            reader,
            wires,
            leaving,
            orders: Orders::default(),
            said: HashMap::new(),
            failed: HashSet::new(),
        }
    }

    pub(super) fn run(mut self) {
        if let Err(error) = creds::set_nice(10) {
            tracing::debug!(%error, "old runs are removed at the usual priority");
        }
        while let Ok(order) = self.wires.orders.recv() {
            self.take(order);
            while let Some(done) = self.next() {
                match done {
                    Ok(()) => {}
                    Err(Halt::Leaving) => return,
                    // The next end of a run, or the next day, tries again.
                    Err(Halt::Trouble(error)) => tracing::warn!(%error, "old runs are not removed now"),
                }
                while let Ok(order) = self.wires.orders.try_recv() {
                    self.take(order);
                }
            }
        }
    }

    fn take(&mut self, (task, config): Order) {
        self.config = config;
        self.orders.take(task);
    }

    /// Does the next thing; none if there is nothing to do.
    fn next(&mut self) -> Option<Result<(), Halt>> {
        if self.is_leaving() {
            return Some(Err(Halt::Leaving));
        }
        Some(match self.orders.next()? {
            Next::Cleanup(cleanup) => self.cleanup(&cleanup),
            Next::Series(series) => self.look_at(&series),
            Next::All(place) => self.look_at_next(place),
        })
    }

    fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed)
    }

    /// One series of all.
    fn look_at_next(&mut self, place: SeriesPlace) -> Result<(), Halt> {
        if place == SeriesPlace::default() {
            self.failed.clear();
            self.said.clear();
            let mut tally = Tally::default();
            self.finish_unfinished()?;
            self.remove_directories(&mut tally)?;
        }
        let series = self
            .config
            .retention
            .enabled
            .then(|| self.reader.next_series(place, None));
        match series.transpose()?.flatten() {
            Some((series, place)) => {
                // Also if this one fails, the others are looked at.
                self.orders.all = Some(place);
                self.look_at(&series)
            }
            None => {
                if let Err(error) = files::sweep_days(&self.config.paths, now().wall) {
                    tracing::debug!(%error, "empty directories of days stay");
                }
                Ok(())
            }
        }
    }

    /// Removes what is old by what DAG and configuration say.
    fn look_at(&mut self, series: &Series) -> Result<(), Halt> {
        if !self.config.retention.enabled {
            return Ok(());
        }
        let limits = self.limits(series)?;
        let mut tally = Tally::default();
        let done = self.remove_old(series, &limits, &mut tally);
        self.note(&tally);
        if tally.runs > 0 {
            tracing::info!(
                dag = %series.dag,
                owner = series.owner,
                runs = tally.runs,
                sub_runs = tally.sub_runs,
                bytes = tally.bytes,
                "removed old runs"
            );
        }
        done
    }

    /// For the metrics.
    fn note(&self, tally: &Tally) {
        let removed = self.wires.removed.lock();
        tally.note(&mut removed.unwrap_or_else(PoisonError::into_inner));
    }

    fn limits(&mut self, series: &Series) -> Result<Limits, Halt> {
        let known = self.said.get(series);
        let hash = known.map_or("", |(hash, _)| hash.as_str());
        let said = match (self.reader.newest_dag(series, hash)?, known) {
            (Some((hash, Some(dag))), _) => {
                let said = Said::of(&dag);
                self.said.insert(series.clone(), (hash, said));
                said
            }
            (Some((_, None)), Some((_, said))) => *said,
            (Some((_, None)), None) | (None, _) => Said::default(),
        };
        Ok(said.limits(&self.config.retention, now().wall))
    }

    /// Removes the old runs of a series, batch by batch, each with its directories: so little is left to do after a
    /// crash.
    fn remove_old(&mut self, series: &Series, limits: &Limits, tally: &mut Tally) -> Result<(), Halt> {
        let mut place = None;
        loop {
            let old = self.reader.old_runs(series, limits, place, BATCH)?;
            let Some(last) = old.last() else { return Ok(()) };
            place = Some(last.place);
            // The store takes a slice at a time; one that it refused would be given again and again.
            let mut rest: Vec<RunRef> = old.iter().map(|old| old.run.clone()).collect();
            loop {
                self.retire(rest.clone())?;
                self.finish_unfinished()?;
                let left = self.reader.present(&rest)?;
                if left.is_empty() || left.len() == rest.len() {
                    rest = left;
                    break;
                }
                rest = left;
            }
            let stay: HashSet<&RunRef> = rest.iter().collect();
            tally.add(old.iter().filter(|old| !stay.contains(&old.run)));
            self.remove_directories(tally)?;
        }
    }

    /// Goes on with trees of which a part is removed.
    fn finish_unfinished(&self) -> Result<(), Halt> {
        loop {
            let roots = self.reader.unfinished()?;
            if roots.is_empty() {
                return Ok(());
            }
            self.retire(roots)?;
        }
    }

    fn retire(&self, roots: Vec<RunRef>) -> Result<(), Halt> {
        self.ask(move |dispatcher| dispatcher.retire(roots))
    }

    /// Has the dispatcher give something to the store, and waits until that has it.
    fn ask(&self, what: impl FnOnce(&mut Dispatcher) + Send + 'static) -> Result<(), Halt> {
        if self.is_leaving() || self.wires.to_self.send(Msg::Then(Box::new(what))).is_err() {
            return Err(Halt::Leaving);
        }
        let answer = self.wires.answers.recv().map_err(|_| Halt::Leaving)?;
        Ok(answer?)
    }

    /// Removes the directories that the store has noted.
    fn remove_directories(&mut self, tally: &mut Tally) -> Result<(), Halt> {
        for _ in 0..TURNS {
            if !self.remove_directories_once(tally)? {
                break;
            }
        }
        Ok(())
    }

    /// True if one was too large for one turn.
    fn remove_directories_once(&mut self, tally: &mut Tally) -> Result<bool, Halt> {
        let (mut after, mut unfinished) = (String::new(), false);
        loop {
            let noted = self.reader.removals(&after, DIRECTORIES)?;
            let Some(last) = noted.last() else {
                return Ok(unfinished);
            };
            last.attempt.as_str().clone_into(&mut after);
            let mut gone = Vec::new();
            for directory in noted {
                if self.failed.contains(&directory.attempt) {
                    continue;
                }
                let (mut left, leaving) = (ENTRIES, &self.leaving);
                let removal = files::remove(&self.config.paths, &directory, &mut || {
                    left = left.saturating_sub(1);
                    left > 0 && !leaving.load(Ordering::Relaxed)
                });
                tally.bytes = tally.bytes.saturating_add(removal.bytes);
                match removal.failure {
                    None => gone.push(directory.attempt),
                    Some(_) if self.is_leaving() => return Err(Halt::Leaving),
                    Some(error) if error.kind() == io::ErrorKind::Interrupted => unfinished = true,
                    Some(error) => {
                        let place = files::place(&self.config.paths, &directory);
                        tracing::warn!(path = %place, %error, "a part of a removed run is left over");
                        tally.fails(format!("{place}: {error}"));
                        self.failed.insert(directory.attempt);
                    }
                }
            }
            if !gone.is_empty() {
                self.ask(move |dispatcher| dispatcher.removed(gone))?;
            }
        }
    }

    /// Does what somebody asks for, and answers.
    fn cleanup(&mut self, cleanup: &Cleanup) -> Result<(), Halt> {
        let mut tally = Tally::default();
        let done = self.clean_up(cleanup, &mut tally);
        if !cleanup.dry_run {
            self.note(&tally);
        }
        let answer = match &done {
            Ok(()) => Response::Cleaned(tally.report(cleanup.dry_run)),
            Err(Halt::Leaving) => refusal(
                ErrorKind::Unavailable,
                "the daemon is shutting down; what is begun goes on when it is back",
            ),
            Err(Halt::Trouble(error)) => refusal(
                ErrorKind::Unavailable,
                &format!("{} runs are removed, then the store failed: {error}", tally.runs),
            ),
        };
        let (by, answers) = (cleanup.by, cleanup.answers.clone());
        let give = move |dispatcher: &mut Dispatcher| dispatcher.cleaned_up(by, &answers, answer);
        // With the dispatcher gone there is nobody to answer.
        drop(self.wires.to_self.send(Msg::Then(Box::new(give))));
        match done {
            Err(Halt::Leaving) => Err(Halt::Leaving),
            _ => Ok(()),
        }
    }

    fn clean_up(&mut self, cleanup: &Cleanup, tally: &mut Tally) -> Result<(), Halt> {
        if !cleanup.dry_run {
            self.failed.clear();
            self.finish_unfinished()?;
            // What was left over before is tried again; its size is none of what goes now.
            self.remove_directories(tally)?;
            tally.bytes = 0;
            // It may be anybody's, and the places of others are none of theirs.
            if cleanup.owner.is_some() {
                tally.failures.clear();
            }
        }
        let mut place = SeriesPlace::default();
        while let Some((series, at)) = self.reader.next_series(place, cleanup.dag.as_ref())? {
            place = at;
            if cleanup.owner.is_some_and(|owner| owner != series.owner) {
                continue;
            }
            let limits = match policy::asked(cleanup.keep_days, cleanup.keep_runs, now().wall) {
                Some(limits) => limits,
                None => self.limits(&series)?,
            };
            if cleanup.dry_run {
                self.measure_old(&series, &limits, tally)?;
            } else {
                self.remove_old(&series, &limits, tally)?;
            }
        }
        if !cleanup.dry_run {
            drop(files::sweep_days(&self.config.paths, now().wall));
        }
        Ok(())
    }

    /// Adds up what would go.
    fn measure_old(&self, series: &Series, limits: &Limits, tally: &mut Tally) -> Result<(), Halt> {
        let mut place = None;
        loop {
            let old = self.reader.old_runs(series, limits, place, BATCH)?;
            let Some(last) = old.last() else { return Ok(()) };
            place = Some(last.place);
            tally.add(old.iter());
            for run in &old {
                for directory in self.reader.directories(&run.run)? {
                    let mut left = ENTRIES;
                    let (bytes, whole) = files::measure(&self.config.paths, &directory, &mut || {
                        left = left.saturating_sub(1);
                        left > 0 && !self.is_leaving()
                    });
                    tally.bytes = tally.bytes.saturating_add(bytes);
                    tally.partial |= !whole;
                }
                if self.is_leaving() {
                    return Err(Halt::Leaving);
                }
            }
        }
    }
}

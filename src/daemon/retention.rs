//! Retention: old runs go, with their logs, by age and by count.
//!
//! A thread of its own finds what is old and removes directories, at low priority and in small batches; it has none of the
//! dispatcher's state. What becomes of runs passes through here, so that a run that somebody retries is either
//! retried or removed.

mod files;
mod orders;
mod policy;
mod tally;
mod worker;

use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc::{Sender, UnboundedSender};

use super::control::refusal;
use super::dispatcher::{Dispatcher, Msg};
use super::requests::Asker;
use crate::config::Config;
use crate::model::change::{Change, NewRun};
use crate::model::{AttemptId, DagName, RunRef};
use crate::store::{self, Reader, Series};
use crate::sys::clock;
use crate::sys::epoll::TimerFd;
use crate::sys::reactor;
use crate::wire::control::{ErrorKind, Response};

/// Microseconds between two looks at all DAGs.
const DAY: u64 = 24 * 60 * 60 * 1_000_000;

/// How long leaving waits for the thread, which has a low priority on a machine that may be busy. What it is doing is
/// taken up at the next start anyway.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the thread is told to do, with the configuration that counts for it.
type Order = (Task, Arc<Config>);

/// What there is to do.
#[derive(Debug)]
enum Task {
    /// A run of this series has ended.
    Ended(Series),
    /// Look at all series, and finish what was begun before a crash.
    All,
    /// Somebody asks.
    Cleanup(Box<Cleanup>),
}

/// What somebody asks for.
#[derive(Debug)]
struct Cleanup {
    dag: Option<DagName>,
    keep_days: Option<u32>,
    keep_runs: Option<u32>,
    dry_run: bool,
    /// Only runs of this user.
    owner: Option<u32>,
    /// Who asks.
    by: u32,
    answers: Sender<Response>,
}

/// The thread, and its batch that is on its way to the store.
#[derive(Debug)]
pub(super) struct Retention {
    orders: Option<mpsc::Sender<Order>>,
    answers: Option<mpsc::Sender<Result<(), store::Error>>>,
    leaving: Arc<AtomicBool>,
    removed: Arc<Mutex<tally::Removed>>,
    thread: Option<JoinHandle<()>>,
    /// Closed when the thread is through.
    through: mpsc::Receiver<()>,
    batch: Option<u64>,
    retiring: BTreeSet<RunRef>,
    /// Who waits for a cleanup.
    cleaning: BTreeSet<u32>,
}

impl Retention {
    pub(super) fn start(
        config: &Arc<Config>,
        reader: Reader,
        to_self: UnboundedSender<Msg>,
    ) -> io::Result<Self> {
        let (orders, received) = mpsc::channel();
        let (answers, answered) = mpsc::channel();
        let (alive, through) = mpsc::channel();
        let leaving = Arc::new(AtomicBool::new(false));
        let removed = Arc::new(Mutex::default());
        let worker = worker::Worker::new(
            Arc::clone(config),
            reader,
            worker::Wires {
                to_self,
                orders: received,
                answers: answered,
                removed: Arc::clone(&removed),
            },
            Arc::clone(&leaving),
        );
        let thread = std::thread::Builder::new()
            .name("retention".to_owned())
            .spawn(move || {
                worker.run();
                drop(alive);
            })?;
        Ok(Self {
            orders: Some(orders),
            answers: Some(answers),
            leaving,
            removed,
            thread: Some(thread),
            through,
            batch: None,
            retiring: BTreeSet::new(),
            cleaning: BTreeSet::new(),
        })
    }

    /// What was removed since the daemon started.
    pub(super) fn removed(&self) -> tally::Removed {
        // Counting is never left half done.
        *self.removed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the run is being removed: it cannot be retried.
    pub(super) fn is_retiring(&self, run: &RunRef) -> bool {
        self.retiring.contains(run)
    }

    fn order(&self, task: Task, config: &Arc<Config>) {
        if let Some(orders) = &self.orders {
            // The thread ends only with this value, or by a panic, which was reported.
            drop(orders.send((task, Arc::clone(config))));
        }
    }

    fn answer(&self, result: Result<(), store::Error>) {
        if let Some(answers) = &self.answers {
            drop(answers.send(result));
        }
    }
}

impl Drop for Retention {
    /// Ends the thread before the store is closed, which it reads. What it has begun is taken up at the next start.
    fn drop(&mut self) {
        self.leaving.store(true, Ordering::Relaxed);
        self.orders = None;
        self.answers = None;
        let late = self.through.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout);
        if let Some(thread) = self.thread.take().filter(|_| !late) {
            // A panic of that thread was reported when it happened.
            drop(thread.join());
        }
    }
}

/// Has all DAGs looked at once a day. The first time is at the start.
pub(super) async fn daily(to_self: UnboundedSender<Msg>) {
    if let Err(error) = each_day(to_self).await {
        tracing::error!(%error, "old runs are removed after the ends of runs only: there is no timer");
    }
}

async fn each_day(to_self: UnboundedSender<Msg>) -> io::Result<()> {
    let timer = TimerFd::new()?;
    let waiting = reactor::readable(std::os::fd::AsFd::as_fd(&timer).try_clone_to_owned()?)?;
    let look = || -> Msg { Msg::Then(Box::new(|dispatcher| dispatcher.retain_all())) };
    while to_self.send(look()).is_ok() {
        timer.arm(clock::boot_micros().saturating_add(DAY))?;
        waiting.readable().await?.clear_ready();
        timer.take()?;
    }
    Ok(())
}

impl Dispatcher {
    /// A run has ended or has left memory: another one may be too many now.
    pub(super) fn retain(&self, run: &NewRun) {
        if self.config.retention.enabled && run.parent.is_none() {
            let series = Series {
                dag: run.run.dag.clone(),
                owner: run.owner,
            };
            self.retention.order(Task::Ended(series), &self.config);
        }
    }

    /// Has all DAGs looked at.
    pub(super) fn retain_all(&self) {
        self.retention.order(Task::All, &self.config);
    }

    pub(super) fn cleanup(
        &mut self,
        dag: Option<DagName>,
        keep_days: Option<u32>,
        keep_runs: Option<u32>,
        dry_run: bool,
        owner: Option<u32>,
        asker: Asker,
    ) {
        // One at a time: who asks again and again keeps nobody else waiting.
        if !self.retention.cleaning.insert(asker.peer.uid) {
            let text = "a cleanup that you asked for is under way; ask again when it has ended";
            return self.answer(&asker.answers, refusal(ErrorKind::Unavailable, text));
        }
        if !dry_run {
            tracing::info!(
                uid = asker.peer.uid,
                dag = dag.as_ref().map(DagName::as_str),
                keep_days,
                keep_runs,
                "somebody has old runs removed"
            );
        }
        let cleanup = Cleanup {
            dag,
            keep_days,
            keep_runs,
            dry_run,
            owner,
            by: asker.peer.uid,
            answers: asker.answers,
        };
        self.retention
            .order(Task::Cleanup(Box::new(cleanup)), &self.config);
    }

    /// A cleanup has ended.
    fn cleaned_up(&mut self, by: u32, answers: &Sender<Response>, answer: Response) {
        self.retention.cleaning.remove(&by);
        self.answer(answers, answer);
    }

    /// Has the store remove runs. Those in memory stay: one that is being retried is about to be queued.
    fn retire(&mut self, roots: Vec<RunRef>) {
        let roots: Vec<RunRef> = roots
            .into_iter()
            .filter(|root| !self.runs.contains_key(root))
            .collect();
        if roots.is_empty() {
            self.retention.answer(Ok(()));
            return;
        }
        self.retention.retiring = roots.iter().cloned().collect();
        self.commit_for_retention(Change::Retire { roots });
    }

    /// Tells the store which directories are gone.
    fn removed(&mut self, directories: Vec<AttemptId>) {
        self.commit_for_retention(Change::Removed { directories });
    }

    fn commit_for_retention(&mut self, change: Change) {
        let number = self.own_batch();
        self.retention.batch = Some(number);
        self.submit(number, vec![change]);
    }

    /// A batch is answered; if it was the thread's, it goes on.
    pub(super) fn retention_stored(&mut self, number: u64, result: &Result<(), store::Error>) {
        if self.retention.batch == Some(number) {
            self.retention.batch = None;
            self.retention.retiring.clear();
            self.retention.answer(result.clone());
        }
    }
}

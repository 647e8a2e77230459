//! Metrics: what is counted as it happens, and the page that is made of that and of what is in memory when somebody asks.
//!
//! A page costs what is live and which queues there are, never what is in the history. What is counted begins at 0 with the
//! daemon. Of what recovery finds, ends and losses count that no daemon has recorded; what the journals of attempts have told
//! by then (starts, steps, bytes) does not, since an earlier daemon has counted some of it. proctord(8) says so, too.

mod house;
mod outside;
mod page;
mod socket;
mod textfile;

use std::collections::{BTreeMap, HashMap};

use super::dispatcher::{Asking, Dispatcher, now};
use super::requests::Asker;
use crate::model::{Boot, Fact, LostCause, RunStatus, StepStatus, Time, Trigger};
use crate::telemetry::metrics::Histogram;
use crate::wire::control::Response;
pub(super) use outside::Outside;
pub(super) use socket::open as open_socket;

/// How long a batch takes from its submission to the store's answer, in microseconds: a committed one costs a wait for the
/// disk.
const COMMIT_BOUNDS: &[u64] = &[
    250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 5_000_000,
];

/// What is counted as it happens, besides what `doctor` shows.
#[derive(Debug)]
pub(super) struct Metrics {
    /// When the daemon started.
    since: Time,
    accepted: BTreeMap<Trigger, u64>,
    requeued: BTreeMap<&'static str, u64>,
    /// By status, and whether another run called it.
    over: BTreeMap<(RunStatus, bool), u64>,
    attempts_started: u64,
    attempts_ended: BTreeMap<RunStatus, u64>,
    attempts_lost: BTreeMap<&'static str, u64>,
    launches_failed: u64,
    pub(super) output_lost_bytes: u64,
    steps_started: u64,
    steps_retried: u64,
    steps_ended: BTreeMap<StepStatus, u64>,
    journal_bytes: u64,
    /// When each batch that has no answer was given to the store.
    submitted: HashMap<u64, Boot>,
    commits: Histogram,
    commits_failed: u64,
    changes: u64,
    reloads: u64,
    reloads_rejected: u64,
    textfile: textfile::Textfile,
}

impl Metrics {
    pub(super) fn new() -> Self {
        Self {
            since: now().wall,
            accepted: BTreeMap::new(),
            requeued: BTreeMap::new(),
            over: BTreeMap::new(),
            attempts_started: 0,
            attempts_ended: BTreeMap::new(),
            attempts_lost: BTreeMap::new(),
            launches_failed: 0,
            output_lost_bytes: 0,
            steps_started: 0,
            steps_retried: 0,
            steps_ended: BTreeMap::new(),
            journal_bytes: 0,
            submitted: HashMap::new(),
            commits: Histogram::new(COMMIT_BOUNDS),
            commits_failed: 0,
            changes: 0,
            reloads: 0,
            reloads_rejected: 0,
            textfile: textfile::Textfile::default(),
        }
    }

    /// A run was accepted.
    pub(super) fn accepted(&mut self, trigger: Trigger) {
        count(&mut self.accepted, trigger);
    }

    /// A run that has had attempts was accepted for a further one.
    pub(super) fn requeued(&mut self, asking: &Asking) {
        let by = match asking {
            Asking::Call(..) => "caller",
            Asking::Decision(_) => "decision",
            Asking::Client(_) | Asking::Nobody => "request",
        };
        count(&mut self.requeued, by);
    }

    /// A run will be tried again by itself.
    pub(super) fn retry_pending(&mut self) {
        count(&mut self.requeued, "policy");
    }

    /// A run is over.
    pub(super) fn over(&mut self, status: RunStatus, called: bool) {
        count(&mut self.over, (status, called));
    }

    /// The store has the end of an attempt.
    pub(super) fn attempt_ended(&mut self, status: RunStatus) {
        count(&mut self.attempts_ended, status);
    }

    /// An attempt is lost.
    pub(super) fn attempt_lost(&mut self, cause: &LostCause) {
        count(&mut self.attempts_lost, cause_word(cause));
    }

    /// An attempt could not be started.
    pub(super) fn launch_failed(&mut self) {
        self.launches_failed += 1;
    }

    /// The system's journal has not taken so much of what steps wrote.
    pub(super) fn output_lost(&mut self, bytes: u64) {
        self.output_lost_bytes = self.output_lost_bytes.saturating_add(bytes);
    }

    /// So much of a journal was read, with these facts.
    pub(super) fn journal_read(&mut self, bytes: u64) {
        self.journal_bytes = self.journal_bytes.saturating_add(bytes);
    }

    /// A journal says so.
    pub(super) fn fact(&mut self, fact: &Fact) {
        match fact {
            Fact::Started { .. } => self.attempts_started += 1,
            Fact::NodeStarted { .. } => self.steps_started += 1,
            Fact::NodeRetrying { .. } => self.steps_retried += 1,
            Fact::NodeEnded { status, .. } => count(&mut self.steps_ended, *status),
            _ => {}
        }
    }

    /// A batch is given to the store.
    pub(super) fn submitted(&mut self, number: u64, changes: usize) {
        self.submitted.insert(number, now().boot);
        let changes = u64::try_from(changes).unwrap_or(u64::MAX);
        self.changes = self.changes.saturating_add(changes);
    }

    /// The store has answered for a batch.
    pub(super) fn stored(&mut self, number: u64, well: bool) {
        if let Some(since) = self.submitted.remove(&number) {
            self.commits.observe(now().boot.micros_since(since));
        }
        self.commits_failed += u64::from(!well);
    }

    /// The configuration was read again.
    pub(super) fn reloaded(&mut self, well: bool) {
        self.reloads += u64::from(well);
        self.reloads_rejected += u64::from(!well);
    }
}

fn count<K: Ord>(counts: &mut BTreeMap<K, u64>, key: K) {
    *counts.entry(key).or_default() += 1;
}

/// The words for all causes of a loss.
const CAUSES: [&str; 6] = ["signal", "exit", "gone", "oom", "reboot", "journal"];

/// A cause in one word.
const fn cause_word(cause: &LostCause) -> &'static str {
    match cause {
        LostCause::SupervisorSignal(_) => "signal",
        LostCause::SupervisorExit(_) => "exit",
        LostCause::SupervisorGone => "gone",
        LostCause::OutOfMemory => "oom",
        LostCause::Reboot => "reboot",
        LostCause::JournalDamaged(_) => "journal",
    }
}

impl Dispatcher {
    /// Somebody asks for the metrics.
    pub(super) fn metrics_request(&self, asker: Asker) {
        self.with_metrics(move |dispatcher, text| {
            dispatcher.answer(&asker.answers, Response::Metrics(text));
        });
    }

    /// Makes a page, and goes on with it. What is outside of memory is looked at elsewhere.
    pub(super) fn with_metrics(&self, go_on: impl FnOnce(&mut Self, String) + Send + 'static) {
        let look = self.look_outside();
        self.elsewhere(look, move |dispatcher, outside: Outside| {
            let text = dispatcher.metrics_page(&outside);
            go_on(dispatcher, text);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_a_word_of_its_own_in_the_list() {
        let causes = [
            LostCause::SupervisorSignal(9),
            LostCause::SupervisorExit(1),
            LostCause::SupervisorGone,
            LostCause::OutOfMemory,
            LostCause::Reboot,
            LostCause::JournalDamaged(String::new()),
        ];
        assert_eq!(causes.each_ref().map(cause_word), CAUSES);
    }

    #[test]
    fn a_batch_is_measured_once() {
        let mut metrics = Metrics::new();
        metrics.submitted(1, 3);
        metrics.submitted(2, 1);
        metrics.stored(1, true);
        metrics.stored(2, false);
        metrics.stored(2, true);
        assert!(metrics.submitted.is_empty());
        assert_eq!((metrics.changes, metrics.commits_failed), (4, 1));
    }
}

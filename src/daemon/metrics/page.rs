//! The page: every metric with its name, meaning and value. proctord(8) lists the names; a test compares.

use super::{CAUSES, Outside};
use crate::daemon::dispatcher::Dispatcher;
use crate::engine::scheduler::stalled::Stage;
use crate::model::{GroupName, RunStatus, StepStatus, Trigger};
use crate::telemetry::metrics::Kind::{Counter, Gauge};
use crate::telemetry::metrics::{Page, seconds};

/// Most queues that are shown by name; the configured ones come first.
const QUEUES_MAX: usize = 1000;

impl Dispatcher {
    /// Everything as it stands.
    pub(super) fn metrics_page(&self, outside: &Outside) -> String {
        let mut page = Page::default();
        self.runs_on(&mut page);
        self.queues_on(&mut page);
        self.attempts_on(&mut page, outside);
        self.schedules_on(&mut page);
        self.store_on(&mut page, outside);
        self.daemon_on(&mut page);
        usage_on(&mut page, outside);
        self.process_on(&mut page, outside);
        page.into_text()
    }

    fn runs_on(&self, page: &mut Page) {
        let (counted, held) = (&self.metrics, self.engine.counts());
        let mut accepted = page.family(
            Counter,
            "proctor_runs_accepted_total",
            "Runs accepted, by what made them.",
        );
        for trigger in Trigger::ALL {
            let value = counted.accepted.get(trigger).copied().unwrap_or(0);
            accepted.sample(&[("trigger", trigger.as_str())], value);
        }
        let mut over = page.family(
            Counter,
            "proctor_runs_over_total",
            "Runs that are over, no retry follows by itself; by status, and whether another run called them.",
        );
        for status in RunStatus::ALL.iter().filter(|status| status.is_terminal()) {
            for (called, word) in [(false, "no"), (true, "yes")] {
                let value = counted.over.get(&(*status, called)).copied().unwrap_or(0);
                over.sample(&[("status", status.as_str()), ("called", word)], value);
            }
        }
        let help = "Runs queued again for a further attempt: by their retry policy, by request, by a decision about a \
                    step that waited, by the run that calls them.";
        let mut requeued = page.family(Counter, "proctor_runs_retried_total", help);
        for by in ["policy", "request", "decision", "caller"] {
            let value = counted.requeued.get(by).copied().unwrap_or(0);
            requeued.sample(&[("by", by)], value);
        }
        let queued = "Runs that wait in queues.";
        page.one(Gauge, "proctor_runs_queued", queued, held.queued);
        let retrying = "Runs that wait for a retry as a whole.";
        page.one(Gauge, "proctor_runs_retry_pending", retrying, held.retrying);
        let memory = "Runs in memory: queued, live, or ended and not cleaned up.";
        page.one(Gauge, "proctor_runs_in_memory", memory, held.runs);
    }

    /// Queues that are configured, hold runs or are paused.
    fn queues_on(&self, page: &mut Page) {
        let all: Vec<&GroupName> = self.engine.queues().collect();
        let (configured, others): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|queue| self.is_configured(queue));
        let queues: Vec<_> = configured
            .into_iter()
            .chain(others)
            .map(|queue| (queue, self.engine.queue(queue), self.engine.waiting_in(queue)))
            .filter(|(queue, state, waiting)| {
                self.is_configured(queue) || state.paused || state.live > 0 || *waiting > 0
            })
            .collect();
        let shown = queues.get(..queues.len().min(QUEUES_MAX)).unwrap_or_default();
        let mut family = page.family(Gauge, "proctor_queue_waiting", "Runs that wait in a queue.");
        for (queue, _, waiting) in shown {
            family.sample(&[("queue", queue.as_str())], *waiting);
        }
        let mut family = page.family(Gauge, "proctor_queue_live", "Live runs that count in a queue.");
        for (queue, state, _) in shown {
            family.sample(&[("queue", queue.as_str())], state.live);
        }
        let help = "Most live runs of a queue; 0 is no limit. In a queue that is not configured and has the name of a \
                    DAG, its runs count for each user.";
        let mut family = page.family(Gauge, "proctor_queue_capacity", help);
        for (queue, state, _) in shown {
            if let Some(capacity) = state.capacity {
                family.sample(&[("queue", queue.as_str())], capacity);
            }
        }
        let mut family = page.family(Gauge, "proctor_queue_paused", "Whether a queue starts nothing.");
        for (queue, state, _) in shown {
            family.sample(&[("queue", queue.as_str())], state.paused);
        }
        let help = "Queues beyond the first thousand, which have no metrics of their own.";
        page.one(Gauge, "proctor_queues_left_out", help, queues.len() - shown.len());
    }

    fn attempts_on(&self, page: &mut Page, outside: &Outside) {
        let (counted, counters) = (&self.metrics, &self.counters);
        let live = "Attempts that count as live.";
        page.one(Gauge, "proctor_attempts_live", live, self.engine.counts().live);
        let silent = |stage: &Stage| {
            matches!(
                stage,
                Stage::Stalled { .. } | Stage::Stopping { .. } | Stage::Killed
            )
        };
        let stalled = self.attempts.values().filter(|held| silent(&held.stage)).count();
        let help = "Live attempts that have not beaten for longer than proc.stale_after_sec.";
        page.one(Gauge, "proctor_attempts_stalled", help, stalled);
        let help = "Age of the oldest of the live attempts' newest heartbeats; there is none without a live attempt.";
        let oldest = outside.oldest_beat.map(seconds);
        page.known(Gauge, "proctor_heartbeat_age_max_seconds", help, oldest);
        let help = "Attempts whose supervisor was started.";
        page.one(
            Counter,
            "proctor_attempts_launched_total",
            help,
            counters.launched,
        );
        let help = "Attempts that passed the gate.";
        page.one(
            Counter,
            "proctor_attempts_started_total",
            help,
            counted.attempts_started,
        );
        let help = "Attempts that outlived an earlier daemon and were taken up.";
        page.one(Counter, "proctor_attempts_adopted_total", help, counters.adopted);
        let help = "Attempts that ended, by status; waiting is for a person's approval.";
        let mut ended = page.family(Counter, "proctor_attempts_ended_total", help);
        for status in RunStatus::ALL.iter().filter(|status| status.ends_attempt()) {
            let value = counted.attempts_ended.get(status).copied().unwrap_or(0);
            ended.sample(&[("status", status.as_str())], value);
        }
        let help =
            "Attempts that died without a final record, by cause; they are among the failed ones, too.";
        let mut lost = page.family(Counter, "proctor_attempts_lost_total", help);
        for cause in CAUSES {
            let value = counted.attempts_lost.get(cause).copied().unwrap_or(0);
            lost.sample(&[("cause", cause)], value);
        }
        let help = "Attempts that could not be started; nothing of them ran.";
        page.one(
            Counter,
            "proctor_launches_failed_total",
            help,
            counted.launches_failed,
        );
        let help = "What was done about silent attempts.";
        let mut silence = page.family(Counter, "proctor_stalls_total", help);
        for (what, value) in [
            ("reported", counters.stalled),
            ("recovered", counters.recovered),
            ("stopped", counters.stalled_stopped),
            ("killed", counters.stalled_killed),
        ] {
            silence.sample(&[("what", what)], value);
        }
        let help = "Tries of steps and handlers that began.";
        page.one(
            Counter,
            "proctor_steps_started_total",
            help,
            counted.steps_started,
        );
        let help = "Tries of steps that failed and are followed by another one.";
        page.one(
            Counter,
            "proctor_steps_retried_total",
            help,
            counted.steps_retried,
        );
        let help = "Steps and handlers that ended, by status.";
        let mut ended = page.family(Counter, "proctor_steps_ended_total", help);
        for status in StepStatus::ALL.iter().filter(|status| status.is_done()) {
            let value = counted.steps_ended.get(status).copied().unwrap_or(0);
            ended.sample(&[("status", status.as_str())], value);
        }
        let help = "Bytes of attempts' journals that were read.";
        page.one(
            Counter,
            "proctor_journal_read_bytes_total",
            help,
            counted.journal_bytes,
        );
    }

    fn schedules_on(&self, page: &mut Page) {
        let ticks = &self.counters.ticks;
        let help = "Scheduled times, by what became of them.";
        let mut family = page.family(Counter, "proctor_schedule_times_total", help);
        for (outcome, value) in [
            ("started", ticks.started),
            ("stopped", ticks.stopped),
            ("skipped", ticks.skipped),
            ("crowded", ticks.crowded),
            ("missed", ticks.missed),
            ("held_back", ticks.held_back),
        ] {
            family.sample(&[("outcome", outcome)], value);
        }
        let help =
            "Of the starts, those made up for because their time had passed while nothing could start.";
        page.one(Counter, "proctor_schedule_late_total", help, ticks.caught_up);
        let help = "Tries to act on a scheduled time that the store refused; each is tried again.";
        page.one(Counter, "proctor_schedule_delayed_total", help, ticks.delayed);
        let next = self.engine.next_due().map(|(_, due, ..)| due.secs());
        let next = next.and_then(|secs| u64::try_from(secs).ok());
        let help =
            "When the next scheduled time is due, in seconds since the epoch; there is none without one.";
        page.known(Gauge, "proctor_schedule_next_timestamp_seconds", help, next);
        let help = "Installed DAGs that are in force.";
        page.one(
            Gauge,
            "proctor_dags_installed",
            help,
            self.registry.in_force.len(),
        );
        let help = "Files of installed DAGs that have errors, or a name that is taken.";
        page.one(
            Gauge,
            "proctor_dags_with_errors",
            help,
            self.registry.with_errors(),
        );
        let hooks = &self.hooks.counters;
        let help =
            "Hooks for operators: those that ended well, failed, or were dropped because too many waited.";
        let mut family = page.family(Counter, "proctor_hooks_total", help);
        for (outcome, value) in [
            ("done", hooks.done),
            ("failed", hooks.failed),
            ("dropped", hooks.dropped),
        ] {
            family.sample(&[("outcome", outcome)], value);
        }
        let help = "Hooks that run or wait.";
        page.one(Gauge, "proctor_hooks_pending", help, self.hooks.pending());
    }
}

/// What the attempts use. What the machine does not tell is left out.
fn usage_on(page: &mut Page, outside: &Outside) {
    let Some(usage) = outside.attempts else { return };
    let help = "CPU time of all attempts, those that are gone included.";
    let cpu = usage.cpu_usec.map(seconds);
    page.known(Counter, "proctor_attempts_cpu_seconds_total", help, cpu);
    let help = "Memory that live attempts use.";
    page.known(Gauge, "proctor_attempts_memory_bytes", help, usage.memory);
    let help = "Processes and threads of live attempts.";
    page.known(Gauge, "proctor_attempts_pids", help, usage.pids);
    let help =
        "Processes of attempts that the out-of-memory killer took, since the attempts' cgroup was made.";
    page.known(Counter, "proctor_attempts_oom_kills_total", help, usage.oom_kills);
}

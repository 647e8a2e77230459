//! The page's part about the daemon itself: the store, who asks, what it did to keep order, its process.

use super::Outside;
use crate::daemon::dispatcher::Dispatcher;
use crate::telemetry::metrics::Kind::{Counter, Gauge};
use crate::telemetry::metrics::{Page, seconds};

impl Dispatcher {
    pub(super) fn store_on(&self, page: &mut Page, outside: &Outside) {
        let counted = &self.metrics;
        let help = "How long the store takes for a batch, from its submission to the answer.";
        page.histogram("proctor_store_commit_seconds", help, &counted.commits);
        let help = "Batches that the store did not commit; they are tried again.";
        page.one(
            Counter,
            "proctor_store_commits_failed_total",
            help,
            counted.commits_failed,
        );
        let help = "Changes given to the store.";
        page.one(Counter, "proctor_store_changes_total", help, counted.changes);
        let help = "Batches given to the store that it has not answered for.";
        page.one(
            Gauge,
            "proctor_store_batches_pending",
            help,
            counted.submitted.len(),
        );
        let help = "Whether the store takes batches.";
        page.one(
            Gauge,
            "proctor_store_writable",
            help,
            self.store_trouble.is_none(),
        );
        let help = "Size of the store's file.";
        page.known(Gauge, "proctor_store_bytes", help, outside.store);
        let help = "Size of the store's write-ahead log.";
        page.known(Gauge, "proctor_store_log_bytes", help, outside.store_log);
        let removed = self.retention.removed();
        let help = "Old runs that were removed; those that they called are counted, too.";
        page.one(Counter, "proctor_retention_runs_total", help, removed.runs);
        let help = "Bytes of logs and scratch directories that were removed with them.";
        page.one(Counter, "proctor_retention_bytes_total", help, removed.bytes);
        let help = "Directories of removed runs that could not be removed.";
        page.one(
            Counter,
            "proctor_retention_failures_total",
            help,
            removed.failures,
        );
    }

    pub(super) fn daemon_on(&self, page: &mut Page) {
        let (counted, counters) = (&self.metrics, &self.counters);
        let help = "Clients that are connected to the control socket.";
        page.one(Gauge, "proctor_clients", help, self.clients);
        let help = "Clients that follow a run.";
        page.one(Gauge, "proctor_followers", help, self.followers.len());
        let help = "Requests that were denied.";
        page.one(Counter, "proctor_requests_denied_total", help, counters.denied);
        let help = "Records of the log that were dropped because it was not read.";
        page.one(
            Counter,
            "proctor_log_dropped_total",
            help,
            self.telemetry.dropped(),
        );
        let help = "Bytes that steps wrote and the system's journal has not taken.";
        page.one(
            Counter,
            "proctor_step_output_lost_bytes_total",
            help,
            counted.output_lost_bytes,
        );
        let help = "Reloads of the configuration, by whether it was right.";
        let mut reloads = page.family(Counter, "proctor_config_reloads_total", help);
        reloads.sample(&[("result", "applied")], counted.reloads);
        reloads.sample(&[("result", "rejected")], counted.reloads_rejected);
        let help = "Proc entries that were missing or wrong and were made again, or damaged and put aside.";
        let mut entries = page.family(Counter, "proctor_entries_repaired_total", help);
        entries.sample(&[("what", "made_again")], counters.healed);
        entries.sample(&[("what", "put_aside")], counters.quarantined);
        let help = "Proc entries of other writers.";
        page.one(Gauge, "proctor_foreign_entries", help, self.foreign.len());
        let help = "Proc entries of other writers that were stale and were removed.";
        page.one(
            Counter,
            "proctor_foreign_entries_removed_total",
            help,
            self.foreign.removed,
        );
        let help = "Whether the daemon stops attempts in order to leave.";
        page.one(Gauge, "proctor_draining", help, self.draining);
        let help = "Whether attempts get cgroups.";
        page.one(Gauge, "proctor_cgroups", help, self.workshop.cgroups().is_some());
        let help = "The version of the daemon; the value is 1.";
        let mut build = page.family(Gauge, "proctor_build_info", help);
        build.sample(&[("version", env!("CARGO_PKG_VERSION"))], true);
    }

    /// Under the names that all programs use.
    pub(super) fn process_on(&self, page: &mut Page, outside: &Outside) {
        let process = &outside.process;
        let cpu = process.cpu_usec.map(seconds);
        page.known(
            Counter,
            "process_cpu_seconds_total",
            "CPU time of the daemon.",
            cpu,
        );
        let help = "Resident memory of the daemon.";
        page.known(Gauge, "process_resident_memory_bytes", help, process.resident);
        let help = "Size of the daemon's address space.";
        page.known(Gauge, "process_virtual_memory_bytes", help, process.virtual_size);
        let help = "Threads of the daemon.";
        page.known(Gauge, "process_threads", help, process.threads);
        let help = "Descriptors that the daemon has open.";
        page.known(Gauge, "process_open_fds", help, process.open_files);
        let help = "Most descriptors that the daemon may have open.";
        page.known(Gauge, "process_max_fds", help, process.open_files_max);
        let help = "When the daemon started, in seconds since the epoch.";
        let since = u64::try_from(self.metrics.since.secs()).ok();
        page.known(Gauge, "process_start_time_seconds", help, since);
    }
}

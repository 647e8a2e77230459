//! The events that operators watch for. Each has a `MESSAGE_ID` that never changes and fields with fixed names, so
//! that `journalctl MESSAGE_ID=...` and `journalctl DAG=...` find them; proctord(8) lists them.
//!
//! A call site is one line, and says what happened; level, wording and fields are decided here.

use std::fmt::Display;
use std::path::Path;

use tracing::Level;

use crate::model::access::Peer;
use crate::model::{AttemptId, DagName, GroupName, LostCause, PendingRetry, RunRef, RunStatus};
use crate::model::{StepStatus, StopReason, Time, Trigger};

/// A kind of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventKind {
    /// Name of the function that logs it.
    pub name: &'static str,
    /// Its `MESSAGE_ID`: 32 hexadecimal digits (systemd.journal-fields(7)). Never changed, never used again.
    pub message_id: &'static str,
    /// Its level.
    pub level: Level,
    /// What it means.
    pub meaning: &'static str,
}

macro_rules! events {
    ($(
        #[doc = $doc:literal]
        $macro:ident $level:ident $id:literal $name:ident($($arg:ident: $kind:ty),*) [$($fields:tt)*];
    )*) => {
        /// Every kind of event.
        pub const TABLE: &[EventKind] = &[$(EventKind {
            name: stringify!($name),
            message_id: $id,
            level: Level::$level,
            meaning: $doc.trim_ascii(),
        }),*];

        $(
            #[doc = $doc]
            pub fn $name($($arg: $kind),*) {
                tracing::$macro!(target: "proctor::event", MESSAGE_ID = $id, $($fields)*);
            }
        )*
    };
}

events! {
    /// The daemon serves: recovery is done and its sockets answer.
    info INFO "60589d658491125406c03e6bba9ad1a1"
    daemon_started(version: &str, adopted: usize) [
        VERSION = version, ADOPTED = adopted,
        "proctord {version} serves; {adopted} live attempts adopted"
    ];

    /// The daemon is leaving; attempts that are live run on unless it was told to stop them.
    info INFO "b519de66c587b64d55610577f480bf5a"
    daemon_stopping(reason: &str, live: usize) [
        LIVE = live,
        "proctord is leaving ({reason}); {live} attempts are live"
    ];

    /// The configuration was read again; some keys may wait for a restart.
    info INFO "cfeccf7bcff719bc7509a1721594f038"
    config_reloaded(applied: &str, needs_restart: &str) [
        APPLIED = applied, NEEDS_RESTART = needs_restart,
        "configuration read again; applied: {applied}; waiting for a restart: {needs_restart}"
    ];

    /// The configuration was read again and is wrong; the old one stays in force.
    error ERROR "6e80d67dc9a55e81ba718a5688ce4ea4"
    config_rejected(error: &dyn Display) [
        "the old configuration stays in force: {error}"
    ];

    /// A run was recorded durably; it will reach an end.
    info INFO "76c1511947875dbd8bc7b56000b3fc35"
    run_accepted(run: &RunRef, trigger: Trigger) [
        DAG = %run.dag, RUN_ID = %run.id, TRIGGER = %trigger,
        "run {run} accepted ({trigger})"
    ];

    /// A run that has had attempts is queued again, because somebody, the run that calls it or a decision wants it.
    info INFO "c4d1f6a07b8e4a2f9d35e1708b6c2f94"
    run_requeued(run: &RunRef, attempts: u32) [
        DAG = %run.dag, RUN_ID = %run.id, ATTEMPTS = attempts,
        "run {run} is queued again after {attempts} {}", if attempts == 1 { "attempt" } else { "attempts" }
    ];

    /// Somebody or something wants a run to stop.
    info INFO "7e2b94d0c15f4e6a8a03f5d9b1c76e48"
    stop_requested(run: &RunRef, reason: &StopReason) [
        DAG = %run.dag, RUN_ID = %run.id, REASON = %reason,
        "run {run} is to stop: {reason}"
    ];

    /// A run is over: no retry follows by itself.
    info INFO "e05a3c7d918b4f2c86d4a7f01b9e53c2"
    run_over(run: &RunRef, status: RunStatus, attempts: u32) [
        DAG = %run.dag, RUN_ID = %run.id, STATUS = %status, ATTEMPTS = attempts,
        "run {run} is over: {status}"
    ];

    /// A queue starts nothing more, or goes on.
    info INFO "2f9b61c8e47d4a03b5e8d06f1a7c9342"
    queue_paused(queue: &GroupName, paused: bool) [
        QUEUE = %queue, PAUSED = paused,
        "queue {queue} {}", if paused { "is paused" } else { "goes on" }
    ];

    /// A DAG is installed, or a new version of it is in force.
    info INFO "c9313e1ca88848d39c07bb0483aad844"
    dag_installed(dag: &DagName, file: &str, owner: u32, again: bool) [
        DAG = %dag, FILE = file, OWNER = owner, AGAIN = again,
        "DAG {dag} is in force as {file} has it now"
    ];

    /// A DAG is not installed any more; its runs and their history stay.
    info INFO "1ab6104e15534844a830804001059eb2"
    dag_uninstalled(dag: &DagName) [
        DAG = %dag,
        "DAG {dag} is not installed any more"
    ];

    /// An installed DAG's file has errors (its last good version stays in force, if there is one) or a name that is taken.
    error ERROR "50f7d171e2f2443f8bb96772e7d4d03b"
    dag_rejected(file: &Path, problems: &str, taken: bool, kept: bool) [
        FILE = %file.display(), KEPT = kept,
        "{} {}{}: {problems}", file.display(), if taken { "is not in force" } else { "has errors" }, if kept { "; its last good version stays in force" } else { "" }
    ];

    /// The base configuration of installed DAGs has errors; their last good versions stay in force.
    error ERROR "3c9a5e70f1d84b26a7e0d25b8f613c94"
    base_rejected(file: &Path, problems: &str, dags: usize) [
        FILE = %file.display(), COUNT = dags,
        "{} has errors, so the last good versions of {dags} DAGs stay in force: {problems}", file.display()
    ];

    /// The schedules of a DAG are held back, or in force again.
    info INFO "355da4ae294e43f58116ec344fda8bc9"
    dag_suspended(dag: &DagName, suspended: bool) [
        DAG = %dag, SUSPENDED = suspended,
        "the schedules of DAG {dag} are {}", if suspended { "held back" } else { "in force again" }
    ];

    /// A scheduled time made a run; late if it had passed while nothing could start.
    info INFO "052d56f5360242ef9bba26ea913ac581"
    schedule_started(run: &RunRef, at: Time, caught_up: bool) [
        DAG = %run.dag, RUN_ID = %run.id, SCHEDULED_FOR = %at.rfc3339(), CAUGHT_UP = caught_up,
        "run {run} is queued for its scheduled time {}", at.rfc3339()
    ];

    /// A scheduled time stopped what was live.
    info INFO "30be5cab5d86477dab4b74d9066960a8"
    schedule_stopped(dag: &DagName, at: Time, count: usize) [
        DAG = %dag, SCHEDULED_FOR = %at.rfc3339(), COUNT = count,
        "the schedule of DAG {dag} stopped {count} {} at its time {}",
        if count == 1 { "run" } else { "runs" }, at.rfc3339()
    ];

    /// At a scheduled time nothing was done, as the DAG or its schedule has it.
    info INFO "0536812be3c345c0ad04ca6d927a0e56"
    schedule_skipped(dag: &DagName, at: Time, why: &str) [
        DAG = %dag, SCHEDULED_FOR = %at.rfc3339(), REASON = why,
        "scheduled time {} of DAG {dag}: {why}", at.rfc3339()
    ];

    /// What is to be done for a scheduled time could not be stored; it is tried again.
    error ERROR "c3d6c82463564655ad942f9c04bd9c05"
    schedule_delayed(dag: &DagName, at: Time, why: &str) [
        DAG = %dag, SCHEDULED_FOR = %at.rfc3339(), REASON = why,
        "what is scheduled for {} of DAG {dag} cannot be done yet: {why}", at.rfc3339()
    ];

    /// The clock was ahead: a schedule does nothing until the clock has come to the times that are decided already.
    warn WARN "8e2f6c1d94b74a0fb35a70d2c9e81f46"
    schedule_ahead(dag: &DagName, until: Time) [
        DAG = %dag, UNTIL = %until.rfc3339(),
        "the schedules of DAG {dag} do nothing until {}: the clock was ahead, and what is scheduled until then is decided already",
        until.rfc3339()
    ];

    /// An attempt is live: its shim was let through the gate.
    info INFO "a6e92d78e716050715bcb6f6e03e697d"
    attempt_started(run: &RunRef, attempt: &AttemptId, pid: u32) [
        DAG = %run.dag, RUN_ID = %run.id, ATTEMPT_ID = %attempt, SHIM_PID = pid,
        "attempt {attempt} of {run} started, shim {pid}"
    ];

    /// A daemon that started found an attempt live and took it up.
    info INFO "921bb0213bc678ba1e94956e7879f6d7"
    attempt_adopted(run: &RunRef, attempt: &AttemptId, pid: u32) [
        DAG = %run.dag, RUN_ID = %run.id, ATTEMPT_ID = %attempt, SHIM_PID = pid,
        "attempt {attempt} of {run} adopted, shim {pid}"
    ];

    /// An attempt ended, and its journal says how.
    info INFO "2a74af9566067a780d711a90d6a25882"
    attempt_ended(run: &RunRef, attempt: &AttemptId, status: RunStatus) [
        DAG = %run.dag, RUN_ID = %run.id, ATTEMPT_ID = %attempt, STATUS = %status,
        "attempt {attempt} of {run} ended: {status}"
    ];

    /// An attempt died without a final record.
    error ERROR "cb663acb2bc6f8bfef8175ec1a7a3287"
    attempt_lost(run: &RunRef, attempt: &AttemptId, cause: &LostCause) [
        DAG = %run.dag, RUN_ID = %run.id, ATTEMPT_ID = %attempt, CAUSE = %cause,
        "attempt {attempt} of {run} is lost: {cause}"
    ];

    /// A run that failed or was lost will be tried again by itself.
    info INFO "5d1b8a0c7e5f4d3a9c26e0f1b74a8d92"
    retry_pending(run: &RunRef, retry: &PendingRetry) [
        DAG = %run.dag, RUN_ID = %run.id, AT = %retry.at.rfc3339(),
        "run {run} is tried again: {retry}, at {at}", at = retry.at.rfc3339()
    ];

    /// An attempt could not be started; nothing of it ran.
    error ERROR "1581d803ea86e07b1df281105a4e02bb"
    launch_failed(run: &RunRef, attempt: &AttemptId, error: &dyn Display) [
        DAG = %run.dag, RUN_ID = %run.id, ATTEMPT_ID = %attempt,
        "attempt {attempt} of {run} could not be started: {error}"
    ];

    /// An attempt starts without a limit that its DAG or the configuration wants, since that cannot be enforced here.
    warn WARN "7f4e2b6a90c14d5e8a3b1c6d2f905e78"
    limit_not_enforced(run: &RunRef, attempt: &AttemptId, why: &dyn Display) [
        DAG = %run.dag, RUN_ID = %run.id, ATTEMPT_ID = %attempt,
        "attempt {attempt} of {run} starts without a limit: {why}"
    ];

    /// A try of a step began (log.steps).
    info INFO "96c0e5b17f3a4d88a1f2c74b0d5e6938"
    step_started(run: &RunRef, attempt: &AttemptId, step: &str) [
        DAG = %run.dag, RUN_ID = %run.id, ATTEMPT_ID = %attempt, STEP = step,
        "step {step} of {run} started"
    ];

    /// A try of a step failed, and another one follows (log.steps).
    info INFO "b83d07f4a2c6415e9f60d1c58e7a2b49"
    step_retried(run: &RunRef, attempt: &AttemptId, step: &str, retry: u32, why: &str) [
        DAG = %run.dag, RUN_ID = %run.id, ATTEMPT_ID = %attempt, STEP = step, RETRY = retry,
        "step {step} of {run} is tried again, retry {retry}: {why}"
    ];

    /// A step ended, and did not fail (log.steps).
    info INFO "5a7fc2e91d084b36a4e9b07d3f6c81d5"
    step_ended(run: &RunRef, attempt: &AttemptId, step: &str, status: StepStatus, why: &str) [
        DAG = %run.dag, RUN_ID = %run.id, ATTEMPT_ID = %attempt, STEP = step, STATUS = %status,
        "step {step} of {run} ended: {status}{}{why}", if why.is_empty() { "" } else { ", " }
    ];

    /// A step failed for good.
    warn WARN "53c61b3bc2c4a0e87f2e5bc53d982975"
    step_failed(run: &RunRef, attempt: &AttemptId, step: &str, why: &dyn Display) [
        DAG = %run.dag, RUN_ID = %run.id, ATTEMPT_ID = %attempt, STEP = step,
        "step {step} of {run} failed: {why}"
    ];

    /// A person approved a step that waited; its run goes on.
    info INFO "4b7c1f0d2e9a4c3f8d5566b1a0e37f92"
    step_approved(run: &RunRef, attempt: &AttemptId, step: &str, uid: u32) [
        DAG = %run.dag, RUN_ID = %run.id, ATTEMPT_ID = %attempt, STEP = step, BY_UID = uid,
        "step {step} of {run} approved by uid {uid}"
    ];

    /// A person rejected a step that waited; its run ends.
    warn WARN "9d0e83a65b2f4871a3c4e7f6180b2d5c"
    step_rejected(run: &RunRef, attempt: &AttemptId, step: &str, uid: u32, reason: &str) [
        DAG = %run.dag, RUN_ID = %run.id, ATTEMPT_ID = %attempt, STEP = step, BY_UID = uid, REASON = reason,
        "step {step} of {run} rejected by uid {uid}: {reason}"
    ];

    /// A proc entry is damaged and was set aside; the scan went on.
    error ERROR "1af994f1fcdba7e7c44c2b3a82677f87"
    entry_quarantined(path: &Path, reason: &dyn Display) [
        ENTRY = %path.display(),
        "proc entry {} set aside: {reason}", path.display()
    ];

    /// A proc entry that was missing or wrong was made right from what else is known.
    warn WARN "1d47eaa3fef6c1c3c98077556e1ce45d"
    entry_healed(path: &Path, what: &dyn Display) [
        ENTRY = %path.display(),
        "proc entry {} made right: {what}", path.display()
    ];

    /// A live attempt has not beaten for longer than proc.stale_after_sec; it is not taken for dead.
    warn WARN "e0dcbf43536b485e66e4e48746e04c0e"
    attempt_stalled(run: &RunRef, attempt: &AttemptId, silent_secs: u64) [
        DAG = %run.dag, RUN_ID = %run.id, ATTEMPT_ID = %attempt, SILENT_SECS = silent_secs,
        "attempt {attempt} of {run} is stalled: its supervisor lives and has not beaten for {silent_secs} s"
    ];

    /// An attempt that was stalled beats again.
    info INFO "90b4459e85da373b989d13bc14ffaaed"
    attempt_recovered(run: &RunRef, attempt: &AttemptId) [
        DAG = %run.dag, RUN_ID = %run.id, ATTEMPT_ID = %attempt,
        "attempt {attempt} of {run} beats again"
    ];

    /// A stalled attempt is stopped, as proc.stop_stalled_after_sec wants.
    error ERROR "b0aabdd1e4143d51820bc193d62a5c05"
    stalled_stopped(run: &RunRef, attempt: &AttemptId, silent_secs: u64) [
        DAG = %run.dag, RUN_ID = %run.id, ATTEMPT_ID = %attempt, SILENT_SECS = silent_secs,
        "attempt {attempt} of {run} is stopped: it has been silent for {silent_secs} s"
    ];

    /// The supervisor of a stalled attempt that did not hear of its stop is killed; the attempt is lost then.
    error ERROR "01da70e90cb8feaeb3f80b489e1753d8"
    stalled_killed(run: &RunRef, attempt: &AttemptId) [
        DAG = %run.dag, RUN_ID = %run.id, ATTEMPT_ID = %attempt,
        "attempt {attempt} of {run} does not hear that it is to stop, so its supervisor is killed"
    ];

    /// A proc entry of another writer, which was stale, was removed.
    warn WARN "f813c569b00d50a52ca607ad9f5088af"
    foreign_removed(path: &Path, run: &RunRef, attempt: &AttemptId, reason: &str) [
        ENTRY = %path.display(), DAG = %run.dag, RUN_ID = %run.id, ATTEMPT_ID = %attempt,
        "proc entry {} of another writer removed: {reason}", path.display()
    ];

    /// A hook could not be started, failed, or was over its time; it is not tried again.
    error ERROR "6a06bb6ac34b3ceedfca58aa253185d6"
    hook_failed(run: &RunRef, event: &str, why: &str) [
        DAG = %run.dag, RUN_ID = %run.id, HOOK = event,
        "hooks.{event} for {run} failed: {why}"
    ];

    /// More notices wait than hooks.queue_max allows, so the oldest of the user who has most was dropped: its hook does not run.
    error ERROR "3df17ac2ba79f893629b4ebcae87ef0d"
    notice_dropped(run: &RunRef, event: &str, most: usize) [
        DAG = %run.dag, RUN_ID = %run.id, HOOK = event,
        "hooks.{event} for {run} dropped: more than {most} notices wait"
    ];

    /// A caller asked for something it may not do.
    warn WARN "a3eec94cf5569244123c6ccaf8f53dc6"
    request_denied(peer: Peer, exe: &str, verb: &str, target: &str) [
        PEER_PID = peer.pid, PEER_UID = peer.uid, PEER_EXE = exe, VERB = verb, OBJECT = target,
        "denied to uid {} (pid {}, {exe}): {target}", peer.uid, peer.pid
    ];

    /// The supervisor of an attempt says that it has denied a caller something on its status socket; 32 of an attempt at most.
    warn WARN "47e8cd3d676e496cb66a5ea37f525b66"
    status_denied(run: &RunRef, attempt: &AttemptId, peer: Peer, verb: &str) [
        DAG = %run.dag, RUN_ID = %run.id, ATTEMPT_ID = %attempt,
        PEER_PID = peer.pid, PEER_UID = peer.uid, VERB = verb,
        "the supervisor of {run} denied {verb} to uid {} (pid {})", peer.uid, peer.pid
    ];

    /// A client broke the protocol, was too slow, or was one too many.
    warn WARN "fa2484418f2a0a23a8ba274e62e618d4"
    client_dropped(peer: Peer, reason: &dyn Display) [
        PEER_PID = peer.pid, PEER_UID = peer.uid,
        "client of uid {} (pid {}) disconnected: {reason}", peer.uid, peer.pid
    ];

    /// The store cannot be read or written; nothing new is accepted until it can.
    error ERROR "553ca21a880a3d34e290d13adddcd7ac"
    store_trouble(operation: &str, error: &dyn Display) [
        OPERATION = operation,
        "store: {operation} failed: {error}"
    ];

    /// The store can be written again.
    info INFO "fd28a4d286b36b1ee440a110b33d2a42"
    store_recovered() [
        "the store can be written again"
    ];

    /// Attempts get no cgroups, so processes that leave their session outlive a stop.
    warn WARN "2f0999068931e700a8cd9dca422ca9fe"
    cgroup_unavailable(reason: &dyn Display) [
        "attempts get no cgroups: {reason}"
    ];

    /// The log was not read fast enough, so records were dropped.
    warn WARN "42ef87b06325acbe6018cb5bdfcaf43a"
    log_dropped(count: u64) [
        COUNT = count,
        "{count} log records were dropped, since the log was not read"
    ];
}

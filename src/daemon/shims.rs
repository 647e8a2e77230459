//! The shims: what they say, how their journals are read, how their deaths are seen and what is done then.

use std::fs::File;
use std::io;

use super::attempt::Attempt;
use super::channel::{watch_adopted, watch_child};
use super::dispatcher::{Dispatcher, Msg};
use super::follow::changed_children;
use super::launch::Launched;
use super::place::Failed;
use super::story::tell_step;
use super::tree::{self, Mark};
use crate::engine::scheduler::Event;
use crate::engine::scheduler::api::AttemptEnd;
use crate::model::access::Peer;
use crate::model::change::{AttemptIdentity, Change};
use crate::model::{AttemptId, Fact, Record};
use crate::sys::cgroup::Cgroup;
use crate::sys::identity::ProcessIdentity;
use crate::sys::pidfd::{PidFd, WaitStatus};
use crate::sys::reap;
use crate::telemetry::events;
use crate::wire::shim::{DENIALS_MAX, FromShim, StatusVerb};

/// Bytes read from a journal at a time.
const JOURNAL_PIECE: usize = 1024 * 1024;

/// What is known of an attempt's processes.
pub(super) fn identity(attempt: &Attempt, boot_id: &str) -> AttemptIdentity {
    let read = attempt
        .pidfd
        .as_ref()
        .and_then(|pidfd| ProcessIdentity::read(pidfd, attempt.pid).ok());
    AttemptIdentity {
        pid: attempt.pid,
        pidfs_inode: read.as_ref().and_then(|read| read.pidfs_inode),
        start_ticks: read.as_ref().and_then(|read| read.start_ticks),
        boot_id: boot_id.to_owned(),
        cgroup_id: attempt.cgroup.as_ref().map(Cgroup::id),
    }
}

impl Dispatcher {
    /// A launch was tried.
    pub(super) fn launched(&mut self, attempt: &AttemptId, result: Result<Box<Launched>, Failed>) {
        let Some(held) = self.attempts.get_mut(attempt) else {
            return;
        };
        let launched = match result {
            Ok(launched) => *launched,
            // It is not the attempt's fault: the next daemon finds that it never started, and starts it.
            Err(Failed::NoPlace(why)) => {
                self.leaving = Some(Err(why));
                return;
            }
            Err(Failed::Itself(why)) => {
                events::launch_failed(&held.run, attempt, &why);
                self.metrics.launch_failed();
                self.close_gate(attempt);
                self.tell(Event::LaunchFailed(attempt.clone(), why));
                return;
            }
        };
        held.pid = launched.pid;
        held.cgroup = launched.cgroup;
        // Once it was collected its number is free.
        let reaped = launched.pidfd.is_reaped().unwrap_or(false);
        let reaped = reaped.then(|| launched.pidfd.info().ok().and_then(|info| info.exit));
        if reaped.is_none() {
            self.by_pid.insert(launched.pid, attempt.clone());
        }
        match Self::open_journal(launched.journal, attempt) {
            Ok(journal) => held.journal = Some(journal),
            Err(why) => held.damaged = Some(why),
        }
        let watched = launched.pidfd.try_clone();
        held.pidfd = Some(launched.pidfd);
        held.proven = true;
        match watched {
            Ok(pidfd) => watch_child(attempt.clone(), pidfd, self.to_self.clone()),
            Err(error) => tracing::error!(ATTEMPT_ID = %attempt, %error, "the shim cannot be watched"),
        }
        self.take_channel(attempt, launched.channel);
        // One that died before it was known here was collected as nobody's child, and nothing tells of it again.
        if let Some(status) = reaped {
            return self.exited(attempt, status);
        }
        self.keep_soon(attempt);
    }

    pub(super) fn shim_says(&mut self, attempt: &AttemptId, message: FromShim) {
        match message {
            FromShim::Ready => {
                let Some(held) = self.attempts.get(attempt) else {
                    return;
                };
                let identity = identity(held, &self.boot_id);
                self.tell(Event::Ready(attempt.clone(), identity));
            }
            FromShim::Failed(why) => {
                // It exits now; what it said is the reason, its exit status is not.
                tracing::error!(ATTEMPT_ID = %attempt, why, "a supervisor could not get ready");
                if let Some(held) = self.attempts.get_mut(attempt) {
                    held.damaged = None;
                }
                self.failed_to_start(attempt, why);
            }
            FromShim::Poke => self.read_journal(attempt),
            FromShim::EntryReplaced => self.publish_healed(attempt),
            FromShim::Call(request) => self.call(attempt, *request),
            FromShim::StopCall(call) => self.stop_call(attempt, call, false),
            FromShim::KillCall(call) => self.stop_call(attempt, call, true),
            FromShim::GrantSlot(call) => self.grant_slot(attempt, call),
            FromShim::Slot(slot) => self.slot_used(attempt, slot),
            FromShim::OutputLost(bytes) => {
                let held = self.attempts.get_mut(attempt);
                let counted = held.map_or(0, |held| held.output_lost(bytes));
                self.metrics.output_lost(counted);
            }
            FromShim::Denied(peer, verb) => self.shim_denied(attempt, peer, verb),
        }
    }

    /// The shim has denied somebody something. It belongs to the job's user, so that is what it says and no more.
    fn shim_denied(&mut self, attempt: &AttemptId, peer: Peer, verb: StatusVerb) {
        let Some(held) = self.attempts.get_mut(attempt) else {
            return;
        };
        if held.denials < DENIALS_MAX {
            held.denials += 1;
            self.counters.denied += 1;
            events::status_denied(&held.run, attempt, peer, verb.as_str());
        }
    }

    /// The shim said why it cannot run: its process and objects are taken away, then the engine is told.
    fn failed_to_start(&mut self, attempt: &AttemptId, why: String) {
        self.close_gate(attempt);
        if let Some(held) = self.attempts.get_mut(attempt) {
            held.refusal = Some(why);
        }
    }

    /// Reads on in the journal of an attempt that may live: a piece now, and after whatever else has come the next one, so
    /// that no supervisor keeps others waiting by writing faster than this reads.
    pub(super) fn read_journal(&mut self, attempt: &AttemptId) {
        // One that is to be read on already is not read on twice.
        if self.attempts.get(attempt).is_none_or(|held| held.reads_on) || !self.read_journal_piece(attempt) {
            return;
        }
        if let Some(held) = self.attempts.get_mut(attempt) {
            held.reads_on = true;
        }
        let attempt = attempt.clone();
        let go_on = move |dispatcher: &mut Self| {
            if let Some(held) = dispatcher.attempts.get_mut(&attempt) {
                held.reads_on = false;
            }
            dispatcher.read_journal(&attempt);
        };
        drop(self.to_self.send(Msg::Then(Box::new(go_on))));
    }

    /// Reads what the journal has that was not read yet, and passes it on. False if there was nothing.
    fn read_journal_piece(&mut self, attempt: &AttemptId) -> bool {
        let Some(held) = self.attempts.get_mut(attempt) else {
            return false;
        };
        let Some(journal) = &mut held.journal else {
            return false;
        };
        let from = journal.offset();
        let records = match journal.read_new(JOURNAL_PIECE) {
            Ok(records) => records,
            Err(error) => {
                tracing::error!(ATTEMPT_ID = %attempt, %error, "the journal cannot be read on");
                held.damaged = Some(error.to_string());
                held.journal = None;
                return false;
            }
        };
        if records.is_empty() {
            return false;
        }
        let bytes = journal.offset().saturating_sub(from);
        self.metrics.journal_read(bytes);
        self.apply_records(attempt, &records);
        true
    }

    /// Applies records to the run's view, and tells store, engine and followers.
    fn apply_records(&mut self, attempt: &AttemptId, records: &[Record]) {
        let Some(run) = self.attempts.get(attempt).map(|held| held.run.clone()) else {
            return;
        };
        let mut news = Vec::new();
        let mut started_params = None;
        if let Some(live) = self.runs.get_mut(&run) {
            let mut changed = std::collections::BTreeSet::new();
            let mut children = std::collections::BTreeSet::new();
            for record in records {
                changed.extend(live.view.apply(record));
                changed_children(record, &mut children);
                self.metrics.fact(&record.fact);
                tell_step(&self.config, &live.view, attempt, &record.fact);
                match &record.fact {
                    Fact::Started { .. } => {
                        events::attempt_started(&run, attempt, live.view.pid.unwrap_or(0));
                        news.push(Event::Started(attempt.clone(), record.at, None));
                    }
                    Fact::Params { params } if *params != live.new.params => {
                        started_params = live.view.started_at.map(|at| (at, params.clone()));
                    }
                    Fact::Ended {
                        status,
                        error,
                        outputs,
                        retry,
                    } => {
                        let end = AttemptEnd {
                            status: *status,
                            error: error.clone(),
                            outputs: outputs.clone(),
                            timed_out: live.view.timed_out,
                            kill_escalated: live.view.kill_escalated,
                            retry: *retry,
                            at: record.at,
                        };
                        news.push(Event::Ended(attempt.clone(), end));
                    }
                    _ => {}
                }
            }
            live.unsaved.extend(changed.iter().copied());
            self.followers.update(&run, &live.view, &changed, &children);
        }
        for event in news {
            self.tell(event);
        }
        if let Some((at, params)) = started_params {
            let number = self.own_batch();
            let params = Some(params);
            self.submit(
                number,
                vec![Change::Start {
                    attempt: attempt.clone(),
                    at,
                    params,
                }],
            );
        }
    }

    /// A shim's process has exited. Its journal is read to the end, the rest of its tree is killed and seen empty.
    pub(super) fn exited(&mut self, attempt: &AttemptId, status: Option<WaitStatus>) {
        let Some(held) = self.attempts.get_mut(attempt) else {
            return;
        };
        if held.ending {
            return;
        }
        held.ending = true;
        held.exit = Some(status);
        // The number may be that of another's supervisor by now.
        if self.by_pid.get(&held.pid) == Some(attempt) {
            self.by_pid.remove(&held.pid);
        }
        self.unwatch_heartbeat(attempt);
        // Nobody writes to it any more.
        while self.read_journal_piece(attempt) {}
        let Some(held) = self.attempts.get(attempt) else {
            return;
        };
        let cgroup = held.cgroup.clone();
        if let Some(cgroup) = &cgroup
            && matches!(cgroup.is_populated(), Ok(false))
        {
            self.tree_empty(attempt);
            return;
        }
        // One whose run is not known any more is found by no mark; what has a cgroup is ended all the same.
        let owner = self.runs.get(&held.run).map_or(u32::MAX, |live| live.new.owner);
        self.end_in_background(self.workshop.mark(attempt, owner), cgroup);
    }

    /// Ends what an attempt has left, however long it takes, and tells when it is done.
    pub(super) fn end_in_background(&self, mark: Mark, cgroup: Option<Cgroup>) {
        let (attempt, to_self) = (mark.attempt.clone(), self.to_self.clone());
        tokio::spawn(async move {
            while let Err(error) = tree::end(cgroup.as_ref(), &mark).await {
                tracing::error!(ATTEMPT_ID = %attempt, %error, "what an attempt left cannot be ended; trying again");
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            }
            drop(to_self.send(Msg::TreeEmpty(attempt)));
        });
    }

    /// Nothing of the attempt lives any more.
    pub(super) fn tree_empty(&mut self, attempt: &AttemptId) {
        let Some(held) = self.attempts.get_mut(attempt) else {
            return;
        };
        // What it said last may still be on its way, and is the reason why it left.
        if held.is_heard() && held.entry.is_none() {
            held.last_word = true;
            return;
        }
        if let Some(why) = held.refusal.take() {
            return self.take_away(attempt, why);
        }
        let Some(cause) = self.account(attempt) else {
            return;
        };
        self.tell(Event::Gone(attempt.clone(), cause));
    }

    /// Collects every child that has exited: shims with their status, orphans without.
    pub(super) fn reap(&mut self) {
        while let Ok(Some(pid)) = reap::next_zombie() {
            let hook = self.hook_of(pid);
            self.hook_exits(pid);
            let status = match reap::reap_pid(pid) {
                Ok(status) => status,
                Err(error) => {
                    tracing::error!(pid, %error, "a child cannot be reaped");
                    return;
                }
            };
            if let Some(attempt) = self.by_pid.remove(&pid) {
                self.exited(&attempt, status);
            } else if let Some(hook) = hook {
                self.hook_exited(hook, status);
            }
        }
    }

    /// Takes up a shim that outlived the last daemon: recovery has verified it and holds its pidfd.
    pub(super) fn adopt(&mut self, attempt: &AttemptId) {
        let Some(held) = self.attempts.get(attempt) else {
            return;
        };
        if held.ending {
            // Its supervisor is dead; what it left is being ended.
            return;
        }
        self.counters.adopted += 1;
        events::attempt_adopted(&held.run, attempt, held.pid);
        if let Some(Ok(pidfd)) = held.pidfd.as_ref().map(PidFd::try_clone) {
            watch_adopted(attempt.clone(), pidfd, self.to_self.clone());
        }
        self.reach(attempt);
        self.watch_heartbeat(attempt);
        self.keep_soon(attempt);
    }
}

/// Opens the journal of an attempt that recovery found.
pub(super) fn journal_file(dir: &std::path::Path) -> io::Result<File> {
    crate::sys::files::Dir::open(dir)?.open_regular("journal")
}

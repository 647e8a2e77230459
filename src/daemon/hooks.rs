//! Hooks: operators are told of the ends of runs by commands of theirs.
//!
//! A notice is stored in the transaction of the end and taken away when its command has run, so each is given at least
//! once, over deaths of the daemon too. A bounded number of commands runs at a time, and a bounded number waits. A command
//! that fails is logged and counted, and not tried again.

mod end;
mod make;
mod tap;
mod waiting;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use tokio::task::AbortHandle;

use super::alarms::Alarm;
use super::dispatcher::{Dispatcher, now};
use super::place::Failed;
use crate::config::Hook;
use crate::model::change::Change;
use crate::model::{Boot, Notice, NoticeEvent, NoticeFacts, RunRef};
use crate::sys::cgroup::Cgroup;
use crate::sys::pidfd::PidFd;
use crate::telemetry::events;
use make::Made;
use tap::Tap;
use waiting::Waiting;

/// What begins the names of the hooks' cgroups.
pub(super) const CGROUP_PREFIX: &str = "hook-";

/// Notices from the moment in which they are decided to the end of their commands.
#[derive(Debug, Default)]
pub(super) struct Hooks {
    last_id: i64,
    /// Notices on their way to the store, by batch.
    storing: BTreeMap<u64, Vec<Notice>>,
    /// Stored ones that wait.
    waiting: Waiting,
    running: HashMap<i64, Running>,
    by_pid: HashMap<u32, i64>,
    /// Notices that are done with, and batches that say so to the store.
    forgetting: BTreeMap<u64, Vec<i64>>,
    /// Those of which the store could not be told; they go with the next batch.
    undone: Vec<i64>,
    pub(super) counters: HookCounters,
}

/// Counters for `doctor`.
#[derive(Debug, Default)]
pub(super) struct HookCounters {
    /// Commands that ended well.
    pub(super) done: u64,
    /// Commands that could not be started, failed or were over their time.
    pub(super) failed: u64,
    /// Notices that were dropped because too many waited.
    pub(super) dropped: u64,
}

/// A command from the decision to run it until nothing of it is left.
#[derive(Debug)]
struct Running {
    notice: Notice,
    hook: Hook,
    /// Its processes; none while it is being started.
    process: Option<Process>,
}

#[derive(Debug)]
struct Process {
    pid: u32,
    pidfd: PidFd,
    uid: u32,
    cgroup: Option<Cgroup>,
    tap: Arc<Mutex<Tap>>,
    listener: Option<AbortHandle>,
    /// When its time is over; none once it is.
    limit: Option<Boot>,
    /// Its first process has ended, and what is left of it is being ended.
    ending: bool,
}

impl Hooks {
    /// How many notices wait for their command or are being given.
    pub(super) fn pending(&self) -> usize {
        self.storing.values().map(Vec::len).sum::<usize>() + self.waiting.len() + self.running.len()
    }

    /// Whether a cgroup belongs to a running hook.
    pub(super) fn has_cgroup(&self, name: &str) -> bool {
        name.strip_prefix(CGROUP_PREFIX)
            .and_then(|id| id.parse().ok())
            .is_some_and(|id: i64| self.running.contains_key(&id))
    }
}

/// The runs that are over with these changes, several if a schedule ends them: the end of each is among them, and no
/// retry that comes by itself; or such a retry was cancelled, so that an end that is stored already is the last one.
fn over(changes: &[Change], run_of: impl Fn(&crate::model::AttemptId) -> Option<RunRef>) -> BTreeSet<RunRef> {
    let mut over = BTreeSet::new();
    for change in changes {
        match change {
            Change::End { attempt, status, .. } if status.is_terminal() => over.extend(run_of(attempt)),
            Change::EndQueued { run, status, .. } if status.is_terminal() => {
                over.insert(run.clone());
            }
            Change::RetryLater { run, .. } => {
                over.remove(run);
            }
            Change::CancelRetry { run, .. } => {
                over.insert(run.clone());
            }
            _ => {}
        }
    }
    over
}

impl Dispatcher {
    /// Adds a notice to a batch for each root run that is over with it, if there is a hook for that. The view has the end
    /// already.
    pub(super) fn add_notice(&mut self, number: u64, batch: &mut Vec<Change>) {
        let attempts = &self.attempts;
        let runs = over(batch, |attempt| {
            attempts.get(attempt).map(|held| held.run.clone())
        });
        for run in runs {
            if let Some(notice) = self.notice_of(run) {
                let storing = self.hooks.storing.entry(number).or_default();
                storing.push(notice.clone());
                batch.push(Change::Notify(Box::new(notice)));
            }
        }
    }

    fn notice_of(&mut self, run: RunRef) -> Option<Notice> {
        let live = self.runs.get(&run).filter(|live| live.new.parent.is_none())?;
        let event = NoticeEvent::of(live.view.status, live.view.lost.is_some())?;
        self.config.hooks.wanted(event, &run.dag)?;
        self.hooks.last_id += 1;
        Some(Notice {
            id: self.hooks.last_id,
            run,
            event,
            at: now().wall,
            facts: NoticeFacts::of(&live.view, live.view.lost.clone()),
        })
    }

    /// The store has answered for a batch.
    pub(super) fn notice_stored(&mut self, number: u64, stored: bool) {
        // One that is not in the store comes again with the next try of its batch.
        for notice in self.hooks.storing.remove(&number).into_iter().flatten() {
            if stored {
                self.hooks.waiting.push(notice);
            }
        }
        if stored {
            self.run_hooks();
        }
        if let Some(ids) = self.hooks.forgetting.remove(&number).filter(|_| !stored) {
            self.hooks.undone.extend(ids);
        }
    }

    /// Takes up what an earlier daemon has not given, and ends what it has left running.
    pub(super) async fn recover_hooks(&mut self) -> Result<(), String> {
        let notices = self
            .reader
            .notices()
            .map_err(|error| format!("recovery: the store cannot be read: {error}"))?;
        self.hooks.last_id = notices.last().map_or(0, |notice| notice.id);
        self.end_left_hooks(&notices).await;
        for notice in notices {
            self.hooks.waiting.push(notice);
        }
        self.run_hooks();
        Ok(())
    }

    /// Starts commands as long as fewer than the limit run, after dropping what is too much.
    pub(super) fn run_hooks(&mut self) {
        let config = Arc::clone(&self.config);
        let most = usize::try_from(config.hooks.queue_max).unwrap_or(usize::MAX);
        let parallel = usize::try_from(config.hooks.max_parallel).unwrap_or(1);
        let mut gone = Vec::new();
        while self.hooks.running.len() < parallel
            && let Some(notice) = self.hooks.waiting.pop()
        {
            match config.hooks.wanted(notice.event, &notice.run.dag) {
                Some(hook) => self.start_hook(notice, hook.clone()),
                // The configuration has changed since.
                None => gone.push(notice.id),
            }
        }
        while self.hooks.waiting.len() > most
            && let Some(notice) = self.hooks.waiting.drop_one()
        {
            self.hooks.counters.dropped += 1;
            events::notice_dropped(&notice.run, notice.event.as_str(), most);
            self.acted("notice dropped", format!("{} of {}", notice.event, notice.run));
            gone.push(notice.id);
        }
        self.forget_notices(gone);
    }

    fn start_hook(&mut self, notice: Notice, hook: Hook) {
        let id = notice.id;
        let job = make::Job {
            notice: notice.clone(),
            hook: hook.clone(),
            config: Arc::clone(&self.config),
            workshop: Arc::clone(&self.workshop),
        };
        let process = None;
        self.hooks.running.insert(
            id,
            Running {
                notice,
                hook,
                process,
            },
        );
        self.elsewhere(
            move || make::make(&job),
            move |dispatcher, made| match made {
                Ok(made) => dispatcher.hook_made(id, made),
                Err(Failed::Itself(why)) => dispatcher.hook_over(id, Err(why), None),
                // It is not the command's fault: the notice stays in the store, and the next daemon gives it.
                Err(Failed::NoPlace(why)) => dispatcher.leaving = Some(Err(why)),
            },
        );
    }

    /// The process is there and waits for what it is to do.
    fn hook_made(&mut self, id: i64, made: Made) {
        let Some(running) = self.hooks.running.get_mut(&id) else {
            return;
        };
        let limit = now().boot.after_secs(f64::from(running.hook.timeout_sec));
        let tap = Arc::new(Mutex::new(made.tap));
        let process = Process {
            pid: made.pid,
            pidfd: made.pidfd,
            uid: made.uid,
            cgroup: made.cgroup,
            listener: tap::listen(&tap),
            tap,
            limit: Some(limit),
            ending: false,
        };
        self.hooks.by_pid.insert(made.pid, id);
        let killed = process.pidfd.is_reaped().unwrap_or(false);
        running.process = Some(process);
        if killed {
            // Somebody killed it before it was known here.
            self.hook_exited(id, None);
            return;
        }
        self.alarms.set(limit, Alarm::Hook(id));
        self.arm();
        let (channel, spec) = (made.channel, made.spec);
        // Whether it is heard or not, the process ends, and that tells.
        self.elsewhere(move || drop(make::tell(channel, &spec)), |_, ()| {});
    }

    /// Tells the store that these notices are done with.
    fn forget_notices(&mut self, ids: Vec<i64>) {
        let mut all = std::mem::take(&mut self.hooks.undone);
        all.extend(ids);
        if all.is_empty() {
            return;
        }
        let number = self.own_batch();
        let changes = all.iter().map(|id| Change::Notified { id: *id }).collect();
        self.hooks.forgetting.insert(number, all);
        self.submit(number, changes);
    }
}

#[cfg(test)]
mod tests;

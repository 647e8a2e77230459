//! The end of a hook: by itself, at its time limit, or with the daemon. Whatever it has started ends with it.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::make::{mark, user_of};
use super::{Alarm, CGROUP_PREFIX, Process};
use crate::config::Config;
use crate::daemon::dispatcher::{Dispatcher, Msg};
use crate::daemon::tree;
use crate::model::{Notice, NoticeEvent};
use crate::sys::cgroup::Cgroup;
use crate::sys::pidfd::WaitStatus;
use crate::telemetry::events;

/// How long what a hook has left may take to end before its place is given to another one.
const END_PATIENCE: Duration = Duration::from_secs(5);
/// Most hooks that run at a time, whatever the configuration says or said.
const PARALLEL_MAX: usize = 64;

impl Process {
    /// Kills it and what it has started: all of it where there are cgroups, else its process group. It must not have been
    /// reaped.
    fn kill(&self) {
        let killed = match &self.cgroup {
            Some(cgroup) => cgroup.kill(),
            None => self.pidfd.signal_group(self.pid, libc::SIGKILL),
        };
        if let Err(error) = killed
            && error.raw_os_error() != Some(libc::ESRCH)
        {
            tracing::error!(pid = self.pid, %error, "a hook cannot be killed");
        }
    }
}

impl Dispatcher {
    /// The time of a hook is over.
    pub(in crate::daemon) fn hook_late(&mut self, id: i64) {
        if let Some(running) = self.hooks.running.get_mut(&id)
            && let Some(process) = running.process.as_mut().filter(|process| !process.ending)
        {
            process.limit = None;
            process.kill();
        }
    }

    /// A child has exited and is not reaped yet: if it is a hook's, the rest of its process group ends with it.
    pub(in crate::daemon) fn hook_exits(&self, pid: u32) {
        let running = self
            .hooks
            .by_pid
            .get(&pid)
            .and_then(|id| self.hooks.running.get(id));
        if let Some(process) = running.and_then(|running| running.process.as_ref()) {
            process.kill();
        }
    }

    /// The number of the hook whose first process has this number.
    pub(in crate::daemon) fn hook_of(&self, pid: u32) -> Option<i64> {
        self.hooks.by_pid.get(&pid).copied()
    }

    /// The first process of a hook has exited, with this status if it is known.
    pub(in crate::daemon) fn hook_exited(&mut self, id: i64, status: Option<WaitStatus>) {
        let Some(running) = self.hooks.running.get_mut(&id) else {
            return;
        };
        let timeout = running.hook.timeout_sec;
        let Some(process) = running.process.as_mut().filter(|process| !process.ending) else {
            return;
        };
        process.ending = true;
        self.hooks.by_pid.remove(&process.pid);
        let result = match (process.limit, status) {
            (None, _) => Err(format!("it did not end within {timeout} s and was killed")),
            (_, Some(WaitStatus::Code(0))) => Ok(()),
            (_, Some(WaitStatus::Code(code))) => Err(format!("exit code {code}")),
            (_, Some(WaitStatus::Signal { signal, .. })) => Err(format!(
                "killed by {}",
                crate::model::outcome::signal_name(signal)
            )),
            (_, None) => Err(String::from("it was killed before it began")),
        };
        if let Some(listener) = process.listener.take() {
            listener.abort();
        }
        let output = {
            let mut tap = process.tap.lock().unwrap_or_else(PoisonError::into_inner);
            tap.drain();
            Some(tap.text()).filter(|text| !text.is_empty())
        };
        let (cgroup, uid) = (process.cgroup.clone(), process.uid);
        self.alarms.cancel(&Alarm::Hook(id));
        let mark = entry(&mark(&self.workshop, id));
        let to_self = self.to_self.clone();
        tokio::spawn(async move {
            end_all(cgroup, mark, &[uid]).await;
            let over = move |dispatcher: &mut Self| dispatcher.hook_over(id, result, output);
            drop(to_self.send(Msg::Then(Box::new(over))));
        });
    }

    /// Nothing of a hook is left: its notice is done with, however it went.
    pub(super) fn hook_over(&mut self, id: i64, result: Result<(), String>, output: Option<String>) {
        let Some(running) = self.hooks.running.remove(&id) else {
            return;
        };
        let Notice { run, event, .. } = &running.notice;
        let wrote = output.map_or_else(String::new, |output| format!("; it wrote: {output}"));
        match result {
            Ok(()) => {
                self.hooks.counters.done += 1;
                tracing::info!(DAG = %run.dag, RUN_ID = %run.id, HOOK = %event, "hooks.{event} for {run} has run{wrote}");
                self.acted("hook run", format!("{event} of {run}"));
            }
            Err(why) => {
                self.hooks.counters.failed += 1;
                events::hook_failed(run, event.as_str(), &format!("{why}{wrote}"));
                self.acted("hook failed", format!("{event} of {run}: {why}"));
            }
        }
        self.forget_notices(vec![id]);
        self.run_hooks();
    }

    /// Ends every hook that runs: the daemon leaves. Their notices are kept and given again by the next daemon.
    pub(in crate::daemon) async fn end_hooks(&mut self) {
        for (id, running) in std::mem::take(&mut self.hooks.running) {
            let Some(process) = running.process else { continue };
            if !process.pidfd.is_reaped().unwrap_or(true) {
                process.kill();
            }
            end_all(process.cgroup, entry(&mark(&self.workshop, id)), &[process.uid]).await;
        }
    }

    /// Ends what an earlier daemon has left running; those notices are given again.
    pub(super) async fn end_left_hooks(&self, notices: &[Notice]) {
        if let Some(cgroups) = self.workshop.cgroups() {
            let names = cgroups.list().unwrap_or_default();
            for name in names.iter().filter(|name| name.starts_with(CGROUP_PREFIX)) {
                if let Ok(Some(cgroup)) = cgroups.open(name) {
                    end_all(Some(cgroup), String::new(), &[]).await;
                }
            }
        } else if !notices.is_empty() {
            // A directory service may be slow.
            let config = Arc::clone(&self.config);
            let users = tokio::task::spawn_blocking(move || users_of(&config)).await;
            let users = users.unwrap_or_default();
            // Those that ran are the oldest.
            for notice in notices.iter().take(PARALLEL_MAX) {
                end_all(None, entry(&mark(&self.workshop, notice.id)), &users).await;
            }
        }
    }
}

/// A variable as it stands in an environment.
fn entry((name, value): &(&'static str, String)) -> String {
    format!("{name}={value}")
}

/// The users that hooks run as.
fn users_of(config: &Config) -> Vec<u32> {
    let all = NoticeEvent::ALL.iter().map(|event| config.hooks.of(*event));
    all.filter(|hook| !hook.command.is_empty())
        .filter_map(|hook| user_of(&hook.user).ok())
        .map(|user| user.uid)
        .collect()
}

/// Ends all processes of a hook, and removes its cgroup.
async fn end_all(cgroup: Option<Cgroup>, mark: String, users: &[u32]) {
    let ended =
        tokio::time::timeout(END_PATIENCE, tree::end_processes(cgroup.as_ref(), &[mark], users)).await;
    let trouble = match ended {
        Ok(ended) => ended.err(),
        Err(_) => Some(std::io::ErrorKind::TimedOut.into()),
    };
    let trouble = trouble.or_else(|| cgroup.and_then(|cgroup| cgroup.remove().err()));
    if let Some(error) = trouble {
        tracing::warn!(%error, "something of a hook is left; the next start of the daemon ends it");
    }
}

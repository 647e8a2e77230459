//! `doctor`: the invariants between entry, lock, cgroup, socket, process and record, checked now, and repaired on
//! request (P25). A repair only removes what certainly belongs to nothing.

use std::collections::BTreeSet;

use super::dispatcher::{Dispatcher, now};
use super::requests::Asker;
use crate::model::{AttemptId, Time};
use crate::proc::LockState;
use crate::sys::cgroup::Controller;
use crate::sys::features::Features;
use crate::wire::control::{Action, DoctorReport, Finding, Response};

impl Dispatcher {
    /// Checks everything and answers.
    pub(super) fn doctor(&mut self, repair: bool, asker: Asker) {
        let reader = self.reader.clone();
        self.elsewhere(
            move || {
                (
                    Features::detect(),
                    reader.integrity_check(),
                    reader.counts(),
                    reader.schema_version(),
                )
            },
            move |dispatcher, (features, integrity, counts, schema)| {
                let mut findings = Vec::new();
                let problems = integrity.unwrap_or_else(|error| vec![error.to_string()]);
                let detail = if problems.is_empty() {
                    format!("sound, schema version {}", schema.unwrap_or(0))
                } else {
                    problems.join("; ")
                };
                findings.push(finding("store", problems.is_empty(), detail));
                let mut trouble = dispatcher.store_trouble.clone();
                let writable = trouble
                    .take()
                    .unwrap_or_else(|| String::from("batches are committed"));
                findings.push(finding(
                    "store writable",
                    dispatcher.store_trouble.is_none(),
                    writable,
                ));
                dispatcher.check_attempts(&mut findings);
                dispatcher.check_entries(repair, &mut findings);
                dispatcher.check_cgroups(repair, &mut findings);
                dispatcher.check_sockets(repair, &mut findings);
                let report = DoctorReport {
                    findings,
                    features: dispatcher.features(&features),
                    counters: dispatcher.count(counts.ok()),
                    actions: dispatcher.last_actions(),
                };
                dispatcher.answer(&asker.answers, Response::Doctor(report));
            },
        );
    }

    /// Every live attempt has entry, lock, process, cgroup and socket.
    fn check_attempts(&mut self, findings: &mut Vec<Finding>) {
        let at = now().wall;
        let mut checked = 0;
        for (attempt, held) in &self.attempts {
            let Some(entry) = &held.entry else { continue };
            checked += 1;
            let mut wrong = Vec::new();
            // A supervisor that has recorded the end leaves, which may not be noticed yet.
            let live = self.runs.get(&held.run);
            let leaving = held.ending || live.is_some_and(|live| live.view.status.ends_attempt());
            match self.proc.read_again(entry, at) {
                Ok(Some(entry)) if entry.lock == LockState::Free && !leaving => {
                    wrong.push("its lock is free");
                }
                Ok(Some(_)) => {}
                Ok(None) => wrong.push("its entry is missing"),
                Err(_) => wrong.push("its entry cannot be read"),
            }
            if held
                .pidfd
                .as_ref()
                .is_none_or(|pidfd| pidfd.is_exited().unwrap_or(true))
                && !leaving
            {
                wrong.push("its supervisor is gone");
            }
            if self.workshop.cgroups().is_some() && held.cgroup.is_none() {
                wrong.push("its cgroup is missing");
            }
            if !self.config.paths.socket(attempt).exists() {
                wrong.push("its status socket is missing");
            }
            if held.channel.is_none() && !leaving {
                wrong.push("its supervisor is not connected");
            }
            if !wrong.is_empty() {
                findings.push(finding(&format!("attempt {attempt}"), false, wrong.join(", ")));
            }
        }
        findings.push(finding("live attempts", true, format!("{checked} checked")));
    }

    /// Every entry belongs to a live attempt, or to another writer.
    fn check_entries(&mut self, repair: bool, findings: &mut Vec<Finding>) {
        let at = now().wall;
        let scan = match self.proc.scan(at) {
            Ok(scan) => scan,
            Err(error) => {
                findings.push(finding("proc directory", false, error.to_string()));
                return;
            }
        };
        for bad in &scan.bad {
            let mut found = finding("proc entry", false, bad.to_string());
            if repair {
                found.repaired = matches!(self.proc.quarantine(bad, at), Ok(Some(_)));
            }
            findings.push(found);
        }
        for entry in &scan.entries {
            let known = self.attempts.contains_key(&entry.meta.attempt);
            if known || entry.owner.is_none() {
                continue;
            }
            let path = entry.path.display();
            let mut found = finding("proc entry", false, format!("{path} belongs to no live attempt"));
            if repair && entry.lock == LockState::Free {
                found.repaired = self.proc.remove(entry).is_ok();
            }
            findings.push(found);
        }
        let foreign = scan.entries.iter().filter(|entry| entry.owner.is_none()).count();
        findings.push(finding(
            "proc directory",
            true,
            format!("{} entries, {foreign} of other writers", scan.entries.len()),
        ));
    }

    /// Every cgroup below ours belongs to an attempt.
    fn check_cgroups(&mut self, repair: bool, findings: &mut Vec<Finding>) {
        let Some(cgroups) = self.workshop.cgroups() else {
            return;
        };
        let names = match cgroups.list() {
            Ok(names) => names,
            Err(error) => {
                findings.push(finding("cgroups", false, error.to_string()));
                return;
            }
        };
        let count = names.len();
        for name in names {
            let of_attempt =
                |name| AttemptId::new(name).is_ok_and(|attempt| self.attempts.contains_key(&attempt));
            if self.hooks.has_cgroup(&name) || of_attempt(name.clone()) {
                continue;
            }
            let mut found = finding(
                "cgroup",
                false,
                format!("{name} belongs to no attempt and no hook"),
            );
            if repair && let Ok(Some(cgroup)) = cgroups.open(&name) {
                // Only an empty one: what lives in it may be an attempt that a restored store does not know.
                found.repaired = matches!(cgroup.is_populated(), Ok(false)) && cgroup.remove().is_ok();
            }
            findings.push(found);
        }
        findings.push(finding(
            "cgroups",
            true,
            format!("{count} below {}", cgroups.path().display()),
        ));
    }

    /// Every status socket belongs to an attempt.
    fn check_sockets(&self, repair: bool, findings: &mut Vec<Finding>) {
        let dir = match crate::sys::files::Dir::open(self.config.paths.sockets()) {
            Ok(dir) => dir,
            Err(error) => {
                findings.push(finding("status sockets", false, error.to_string()));
                return;
            }
        };
        let known: BTreeSet<String> = self
            .attempts
            .keys()
            .map(|attempt| format!("{attempt}.sock"))
            .collect();
        let mut count = 0;
        for entry in dir.list().unwrap_or_default() {
            let name = entry.name.to_string_lossy().into_owned();
            if known.contains(&name) {
                count += 1;
                continue;
            }
            let mut found = finding("status socket", false, format!("{name} belongs to no attempt"));
            let path = self.config.paths.sockets().join(&entry.name);
            // One that somebody listens on is in use, whoever that is.
            if repair && crate::sys::socket::connect(&path).is_err() {
                found.repaired = dir.remove_file(&entry.name).is_ok();
            }
            findings.push(found);
        }
        findings.push(finding("status sockets", true, format!("{count} in use")));
    }

    fn features(&self, features: &Features) -> Vec<(String, String)> {
        let yes = |found: bool, why: &str| {
            if found {
                String::from("yes")
            } else {
                format!("no: {why}")
            }
        };
        let tracking = match self.workshop.cgroups() {
            Some(cgroups) => format!("one cgroup for each attempt, below {}", cgroups.path().display()),
            None => String::from(
                "process groups, the subreaper and a mark in the environment; a process that detaches and wipes \
                 its environment is not found",
            ),
        };
        vec![
            (String::from("kernel"), features.kernel_release.clone()),
            (String::from("tracking of processes"), tracking),
            (String::from("cgroup"), features.cgroup.clone()),
            (String::from("limits of attempts"), self.controllers()),
            (
                String::from("cgroup.kill"),
                yes(
                    features.cgroup_kill,
                    "processes are killed one by one (Linux 5.14 has it)",
                ),
            ),
            (
                String::from("start inside a cgroup"),
                yes(
                    features.clone3_into_cgroup,
                    "processes enter it before they run (Linux 5.7 has it)",
                ),
            ),
            (
                String::from("process identity"),
                yes(
                    features.pidfs_inode,
                    "by start time and cgroup (Linux 6.9 has unique inodes)",
                ),
            ),
            (
                String::from("exit status of adopted attempts"),
                yes(
                    features.pidfd_exit_info,
                    "a lost one's signal is not known (Linux 6.15 tells it)",
                ),
            ),
            (
                String::from("locks of open file descriptions"),
                yes(features.ofd_locks, "required"),
            ),
        ]
    }

    /// What cgroups can limit, and why not the rest.
    fn controllers(&self) -> String {
        let controllers = self.workshop.place.controllers();
        let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
        for controller in Controller::ALL {
            let Some(why) = controllers.lacks(controller) else {
                continue;
            };
            match reasons.iter_mut().find(|(known, _)| *known == why) {
                Some((_, of)) => of.push(controller.as_str()),
                None => reasons.push((why, vec![controller.as_str()])),
            }
        }
        let on: Vec<&str> = controllers.on().map(Controller::as_str).collect();
        let on = if on.is_empty() {
            String::from("none of their cgroups")
        } else {
            on.join(", ")
        };
        let lacks = reasons
            .into_iter()
            .map(|(why, of)| format!("; no {}: {why}", of.join(", ")));
        std::iter::once(on).chain(lacks).collect()
    }

    /// Notes for [`DoctorReport::actions`] that something was done.
    pub(super) fn acted(&mut self, what: &'static str, about: String) {
        self.actions.insert(what, (now().wall, about));
    }

    fn last_actions(&self) -> Vec<Action> {
        let action = |(what, (at, about)): (&&str, &(Time, String))| Action {
            what: (*what).to_owned(),
            at: *at,
            about: about.clone(),
        };
        self.actions.iter().map(action).collect()
    }

    fn count(&self, stored: Option<crate::store::Counts>) -> Vec<(String, u64)> {
        let held = self.engine.counts();
        let n = |value: usize| u64::try_from(value).unwrap_or(u64::MAX);
        let stalled = self
            .attempts
            .keys()
            .filter(|attempt| self.is_stalled(attempt))
            .count();
        let mut counters = vec![
            ("live", u64::from(held.live)),
            ("queued", n(held.queued)),
            ("stalled", n(stalled)),
            ("followers", n(self.followers.len())),
            ("clients", n(self.clients)),
            ("launched", self.counters.launched),
            ("adopted", self.counters.adopted),
            ("ended", self.counters.ended),
            ("lost", self.counters.lost),
            ("entries made again", self.counters.healed),
            ("entries put aside", self.counters.quarantined),
            ("requests denied", self.counters.denied),
            ("stalls reported", self.counters.stalled),
            ("stalls recovered", self.counters.recovered),
            ("stalled attempts stopped", self.counters.stalled_stopped),
            ("stalled supervisors killed", self.counters.stalled_killed),
            ("foreign entries", n(self.foreign.len())),
            ("foreign entries removed", self.foreign.removed),
            ("hooks run", self.hooks.counters.done),
            ("hooks failed", self.hooks.counters.failed),
            ("notices pending", n(self.hooks.pending())),
            ("notices dropped", self.hooks.counters.dropped),
        ];
        counters.push(("installed DAGs", n(self.registry.in_force.len())));
        counters.push(("installed DAGs with errors", n(self.registry.with_errors())));
        counters.extend(self.counters.ticks.named());
        counters.extend(super::account::named(&self.counters.used));
        if let Some(stored) = stored {
            counters.push(("not cleaned up", stored.not_cleaned));
        }
        counters
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }
}

fn finding(check: &str, ok: bool, detail: String) -> Finding {
    Finding {
        check: check.to_owned(),
        ok,
        detail,
        repaired: false,
    }
}

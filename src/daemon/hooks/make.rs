//! The start of a hook: its user, its environment, its cgroup, its process.

use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use super::CGROUP_PREFIX;
use super::tap::Tap;
use crate::config::{Config, Hook};
use crate::daemon::launch::Workshop;
use crate::daemon::place::Failed;
use crate::model::{Notice, Time};
use crate::sys::cgroup::Cgroup;
use crate::sys::creds::{self, User};
use crate::sys::pidfd::PidFd;
use crate::sys::spawn::Spawn;
use crate::sys::{fdpass, pipe};
use crate::wire::shim::{HookSpec, SpecUser};

/// What a start needs.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) notice: Notice,
    pub(super) hook: Hook,
    pub(super) config: Arc<Config>,
    pub(super) workshop: Arc<Workshop>,
}

/// A process that waits to be told what to do.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) pid: u32,
    pub(super) pidfd: PidFd,
    /// User id it runs as.
    pub(super) uid: u32,
    pub(super) cgroup: Option<Cgroup>,
    pub(super) tap: Tap,
    pub(super) channel: OwnedFd,
    pub(super) spec: Vec<u8>,
}

/// What every process of a hook has in its environment, so that it is found where there are no cgroups.
pub(super) fn mark(workshop: &Workshop, id: i64) -> (&'static str, String) {
    ("PROCTOR_HOOK_ID", format!("{}-{id}", workshop.daemon_id))
}

/// The name of a hook's cgroup.
pub(super) fn cgroup_name(id: i64) -> String {
    format!("{CGROUP_PREFIX}{id}")
}

/// Makes the process. It does nothing before it is told to by [`tell`].
pub(super) fn make(job: &Job) -> Result<Made, Failed> {
    let place = &job.workshop.place;
    place.within(&job.config, || make_once(job))
}

fn make_once(job: &Job) -> Result<Made, String> {
    let user = user_of(&job.hook.user)?;
    let id = job.notice.id;
    let mark = mark(&job.workshop, id);
    let spec = HookSpec {
        user: (creds::effective_uid() == 0).then(|| SpecUser {
            name: user.name.clone(),
            uid: user.uid,
            gid: user.gid,
            groups: user.groups.clone(),
            home: user.home.display().to_string(),
            shell: user.shell.display().to_string(),
        }),
        command: job.hook.command.clone(),
        env: environment(&job.config, &user, &job.notice, &mark),
        open_files: job.workshop.open_files,
    };
    let spec = serde_json::to_vec(&spec).map_err(|error| format!("what is to be done: {error}"))?;
    let (reader, writer) = pipe::pipe().map_err(|error| format!("the pipe of its output: {error}"))?;
    let (ours, theirs) = fdpass::socketpair().map_err(|error| format!("its channel: {error}"))?;
    let cgroup = cgroup(&job.workshop, id)?;
    let spawned = Spawn {
        program_fd: Some(job.workshop.shim.as_fd()),
        argv: vec![OsString::from("proctor-shim"), OsString::from("--hook")],
        env: vec![(mark.0.into(), mark.1.into())],
        stdin: Some(theirs.as_fd()),
        stdout: Some(writer.as_fd()),
        stderr: Some(writer.as_fd()),
        new_session: true,
        cgroup: cgroup.as_ref(),
        ..Spawn::new(&job.workshop.shim_path)
    }
    .spawn();
    match spawned {
        Ok(spawned) => Ok(Made {
            pid: spawned.pid,
            pidfd: spawned.pidfd,
            uid: user.uid,
            cgroup,
            tap: Tap::new(reader),
            channel: ours,
            spec,
        }),
        Err(error) => {
            // It is empty, and the next start of the daemon removes one that stays.
            drop(cgroup.map(|cgroup| cgroup.remove()));
            Err(error.to_string())
        }
    }
}

/// Tells the process what to do. Waits until it has taken all, or is gone.
pub(super) fn tell(channel: OwnedFd, spec: &[u8]) -> std::io::Result<()> {
    let told = fdpass::send_with_fds(channel.as_fd(), spec, &[]);
    // The end of the stream says that it was all.
    drop(channel);
    told
}

/// The user a hook runs as: looked up before anything is made, and never guessed.
pub(in crate::daemon) fn user_of(name: &str) -> Result<User, String> {
    if name.is_empty() {
        return User::current().map_err(|error| error.to_string());
    }
    let user = User::by_name(name).map_err(|error| error.to_string())?;
    match creds::effective_uid() {
        0 => Ok(user),
        own if own == user.uid => User::current().map_err(|error| error.to_string()),
        own => Err(format!("user id {own} cannot run hooks as {name}")),
    }
}

fn cgroup(workshop: &Workshop, id: i64) -> Result<Option<Cgroup>, String> {
    let Some(cgroups) = workshop.cgroups() else {
        return Ok(None);
    };
    let name = cgroup_name(id);
    let make = || {
        if let Some(old) = cgroups.open(&name)? {
            old.remove()?;
        }
        cgroups.create(&name)
    };
    make()
        .map(Some)
        .map_err(|error| format!("the hook's cgroup: {error}"))
}

/// The whole environment of a hook. Nothing of the daemon's own is in it, nor what jobs are given.
fn environment(
    config: &Config,
    user: &User,
    notice: &Notice,
    mark: &(&'static str, String),
) -> Vec<(String, String)> {
    let facts = &notice.facts;
    let time = |at: Option<Time>| at.map(Time::rfc3339).unwrap_or_default();
    let owner = User::by_uid(facts.owner).map_or_else(|_| facts.owner.to_string(), |owner| owner.name);
    let attempt = facts.attempt.as_ref().map(ToString::to_string);
    let lost = facts.lost.as_ref().map(ToString::to_string);
    let pairs = [
        ("PATH", config.job.path.clone()),
        ("HOME", user.home.display().to_string()),
        ("USER", user.name.clone()),
        ("LOGNAME", user.name.clone()),
        ("SHELL", user.shell.display().to_string()),
        ("PROCTOR_EVENT", notice.event.to_string()),
        ("PROCTOR_DAG", notice.run.dag.to_string()),
        ("PROCTOR_RUN_ID", notice.run.id.to_string()),
        ("PROCTOR_ATTEMPT_ID", attempt.unwrap_or_default()),
        ("PROCTOR_ATTEMPTS", facts.attempts.to_string()),
        ("PROCTOR_STATUS", facts.status.to_string()),
        ("PROCTOR_ERROR", facts.error.clone().unwrap_or_default()),
        ("PROCTOR_LOST", lost.unwrap_or_default()),
        ("PROCTOR_OWNER", owner),
        ("PROCTOR_TRIGGER", facts.trigger.to_string()),
        ("PROCTOR_STARTED_AT", time(facts.started_at)),
        ("PROCTOR_FINISHED_AT", time(facts.finished_at)),
        ("PROCTOR_LOG_DIR", facts.log_dir.clone()),
        (mark.0, mark.1.clone()),
    ];
    pairs
        .into_iter()
        // No variable can hold a NUL character.
        .map(|(name, value)| (name.to_owned(), value.replace('\0', "\u{fffd}")))
        .collect()
}

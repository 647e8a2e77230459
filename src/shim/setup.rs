//! From the daemon's process to the job's: limits, attributes and identity, in the order of DESIGN §9.
//!
//! Every step that fails ends the shim with the step's name: a job never runs with more than it was given.

use std::fmt;
use std::io;

use crate::model::Rlimit;
use crate::sys::creds::{self, Limit};
use crate::sys::inherited;
use crate::wire::shim::{ShimSpec, SpecLimits, SpecUser};

fn because(what: impl fmt::Display) -> impl FnOnce(io::Error) -> String {
    move |error| format!("{what}: {error}")
}

/// Gives up what the job must not have.
pub(super) fn become_job_user(spec: &ShimSpec) -> Result<(), String> {
    let user = spec.become_user.then_some(&spec.user);
    leave_privileges(user, spec.open_files, spec.umask, &spec.limits)?;
    if spec.no_new_privs {
        creds::set_no_new_privs().map_err(because("no_new_privs"))?;
    }
    std::env::set_current_dir("/").map_err(because("changing to /"))
}

/// Becomes another user, if one is named, and gets the usual limits.
pub(super) fn leave_privileges(
    user: Option<&SpecUser>,
    open_files: Option<u64>,
    umask: u32,
    limits: &SpecLimits,
) -> Result<(), String> {
    creds::reset_oom_score_adj().map_err(because("resetting the OOM score"))?;
    if let Some(soft) = open_files {
        let limit = Limit::OpenFiles;
        let (_, hard) = creds::get_rlimit(limit).map_err(because("reading the limit of open files"))?;
        creds::set_rlimit(limit, soft.min(hard), hard).map_err(because("the limit of open files"))?;
    }
    if let Some(user) = user {
        inherited::reset(user.uid).map_err(|(what, error)| format!("{what}: {error}"))?;
    }
    for (limit, soft, hard) in &limits.rlimits {
        make_room(*limit, *soft, *hard)?;
    }
    if let Some(nice) = limits.nice {
        creds::set_nice(nice).map_err(because(format_args!("the nice value {nice}")))?;
    }
    creds::set_umask(umask);
    if let Some(user) = user {
        let user = creds::User {
            name: user.name.clone(),
            uid: user.uid,
            gid: user.gid,
            groups: user.groups.clone(),
            home: user.home.clone().into(),
            shell: user.shell.clone().into(),
        };
        creds::apply(&user).map_err(|error| format!("becoming {}: {error}", user.name))?;
        inherited::take_session_keyring().map_err(because("a session keyring"))?;
    }
    Ok(())
}

/// Sees to it that what the shim starts can have these values. The shim itself keeps what it has, so that no limit of the
/// job hits it while it writes the journal; only the number of processes of the user counts when it makes one.
fn make_room(limit: Rlimit, soft: u64, hard: u64) -> Result<(), String> {
    let name = limit.as_str();
    let failed = |error: io::Error| format!("the limit rlimits.{name}: {error}");
    let (own_soft, own_hard) = creds::get_rlimit(limit).map_err(failed)?;
    let wanted = match limit {
        Limit::Processes => (soft, hard),
        _ if hard > own_hard => (own_soft, hard),
        _ => return Ok(()),
    };
    creds::set_rlimit(limit, wanted.0, wanted.1).map_err(|error| {
        format!(
            "the limit rlimits.{name}: {error}; only a daemon of root, with CAP_SYS_RESOURCE, can raise the hard one above \
             {own_hard}"
        )
    })
}

/// What it means that no further process could be made, for the error of a step.
pub(super) fn crowded(spec: &ShimSpec) -> String {
    let mut found = Vec::new();
    let nproc = spec
        .limits
        .rlimits
        .iter()
        .find(|(limit, ..)| *limit == Limit::Processes);
    if let Some((_, soft, _)) = nproc.filter(|_| spec.user.uid != 0) {
        found.push(format!("user {} may have {soft} (rlimits.nproc)", spec.user.name));
    }
    if let Some(most) = spec.limits.pids_max {
        found.push(format!(
            "the attempt may have {most}, its supervisor included (limits.pids_max)"
        ));
    }
    if found.is_empty() {
        found.push(String::from(
            "of the user (RLIMIT_NPROC), of a cgroup above, or of the machine (pid_max)",
        ));
    }
    format!("a limit of processes is reached: {}", found.join(", "))
}

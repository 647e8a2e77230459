//! What confines an attempt: its cgroup with its limits, and the limits that its shim sets.

use std::io;

use super::{Job, Made, Workshop, because};
use crate::daemon::limits::{self, Effective};
use crate::dag::types::Execution;
use crate::model::{Amount, Rlimit};
use crate::sys::cgroup::Cgroup;
use crate::sys::creds::{self, User};
use crate::telemetry::events;
use crate::wire::shim::{ShimSpec, SpecLimits};

/// Name of the cgroup of an attempt's steps, below the attempt's own.
const STEPS: &str = "steps";

/// What the attempt may use.
pub(super) fn wanted(workshop: &Workshop, job: &Job, execution: &Execution) -> Effective {
    let bounded = limits::is_bounded(job.new.owner, execution);
    let inherited = |limit| match (limits::own(limit), workshop.open_files) {
        ((_, hard), Some(soft)) if limit == Rlimit::OpenFiles => (soft.min(hard), hard),
        (own, _) => own,
    };
    limits::effective(
        &execution.limits,
        &job.config.job.limits,
        bounded,
        &inherited,
        creds::open_files_max(),
    )
}

/// Tells the shim what it has to set itself.
pub(super) fn tell(spec: &mut ShimSpec, limits: Effective) {
    spec.umask = limits.resources.umask.unwrap_or(spec.umask);
    spec.limits = SpecLimits {
        nice: limits.resources.nice,
        rlimits: limits.rlimits,
        pids_max: limits.resources.pids_max.and_then(Amount::number),
    };
}

/// Makes the attempt's cgroup with its limits, and the one of its steps below it. The job's user may move processes
/// between the two and kill those of the steps; the attempt's own stays the daemon's, and so do its limits.
pub(super) fn cgroups(
    workshop: &Workshop,
    job: &Job,
    user: &User,
    limits: &Effective,
    made: &mut Made<'_>,
) -> Result<Option<Cgroup>, String> {
    let enforce = |cgroup: Option<&Cgroup>| -> Result<(), String> {
        let needed = Cgroup::needs(&limits.resources).map(|(_, controller)| controller);
        let controllers = workshop.place.controllers_for(needed);
        let require = job.config.cgroup.require_limits;
        let unmet = limits::enforce(cgroup, &controllers, &limits.resources, require)?;
        for why in unmet {
            events::limit_not_enforced(&job.new.run, &job.attempt, &why);
        }
        Ok(())
    };
    let Some(cgroups) = workshop.cgroups() else {
        enforce(None)?;
        return Ok(None);
    };
    let mut make = || -> io::Result<Cgroup> {
        // One that is left from an earlier launch has been killed from, and a new child would die of that.
        if let Some(old) = cgroups.open(job.attempt.as_str())? {
            old.remove()?;
        }
        let cgroup = cgroups.create(job.attempt.as_str())?;
        made.cgroup = Some(cgroup.clone());
        Ok(cgroup)
    };
    let cgroup = make().map_err(because("the attempt's cgroup"))?;
    // Before anything is in it.
    enforce(Some(&cgroup))?;
    let make = || -> io::Result<Cgroup> {
        let steps = cgroup.child(STEPS)?;
        if creds::effective_uid() == 0 && user.uid != 0 {
            cgroup.give_to(user.uid, user.gid, false)?;
            steps.give_to(user.uid, user.gid, true)?;
        }
        Ok(steps)
    };
    make()
        .map(Some)
        .map_err(because("the cgroup of the attempt's steps"))
}

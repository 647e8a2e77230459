//! From the text of an installed DAG to what is in force: loaded, checked, and made ready for its schedules.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::super::admission::{About, Snapshot, group_of, new_run, problem};
use super::super::privileges::{lower, lowered_when_scheduled, owner_goes_first};
use super::super::{limits, run_as};
use super::place::Owner;
use super::zone::DefaultZone;
use crate::config::Config;
use crate::dag::cron::{Schedule, Zone};
use crate::dag::scheduling::Calendar;
use crate::dag::{BaseConfig, Dag, LoadOptions, ParamInput, Source, load};
use crate::engine::scheduler::api::Installed;
use crate::model::change::{InstalledDag, NewRun};
use crate::model::hash::hex;
use crate::model::{DagName, RunId, Time, Trigger};
use crate::wire::control::{Problem, Response};

/// What a version is made with, beside its texts.
#[derive(Debug, Clone)]
pub(in crate::daemon) struct Context {
    pub(in crate::daemon) config: Arc<Config>,
    /// Zone of schedules that name none.
    pub(in crate::daemon) zone: DefaultZone,
}

/// A version of an installed DAG that is good.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::daemon) struct Version {
    /// The texts it is made from.
    pub(in crate::daemon) record: Arc<InstalledDag>,
    /// SHA-256 of the DAG's text in hexadecimal.
    pub(in crate::daemon) hash: String,
    pub(in crate::daemon) description: Option<String>,
    /// `start`, `stop`, `restart` or `at`, and the expression.
    pub(in crate::daemon) schedules: Vec<(String, String)>,
    pub(in crate::daemon) warnings: Vec<Problem>,
    /// User id its runs belong to.
    pub(in crate::daemon) owner: u32,
    /// Whether it names that user itself.
    pub(in crate::daemon) run_as: bool,
    /// What the engine acts on. None if it has no schedule and needs parameters: then only people start it.
    pub(in crate::daemon) plan: Option<Plan>,
}

/// What the engine acts on, but for what is decided of it.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::daemon) struct Plan {
    starts: Vec<Schedule>,
    stops: Vec<Schedule>,
    restarts: Vec<Schedule>,
    zone: Zone,
    dag: Dag,
    template: Arc<NewRun>,
}

impl Plan {
    /// Whether the time of the last success matters.
    pub(in crate::daemon) const fn skips_if_successful(&self) -> bool {
        self.dag.scheduling.skip_if_successful
    }

    /// The event's content, with what is decided so far.
    pub(in crate::daemon) fn installed(
        &self,
        suspended: bool,
        watermark: Option<Time>,
        last_success: Option<Time>,
    ) -> Installed {
        Installed {
            dag: self.dag.name.clone(),
            starts: self.starts.clone(),
            stops: self.stops.clone(),
            restarts: self.restarts.clone(),
            zone: self.zone,
            jitter_sec: self.dag.schedule.jitter_sec,
            overlap: self.dag.scheduling.overlap_policy,
            catchup_sec: self.dag.scheduling.catchup_window_sec,
            skip_if_successful: self.dag.scheduling.skip_if_successful,
            template: Arc::clone(&self.template),
            suspended,
            watermark,
            last_success,
        }
    }
}

/// The SHA-256 of a text in hexadecimal.
pub(in crate::daemon) fn hash_of(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

/// Why no version can be made.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::daemon) struct Wrong {
    /// Everything that is wrong with the texts.
    pub(in crate::daemon) problems: Vec<Problem>,
    /// Whether nothing but that the user whom they name is not known now, which may pass without a change of them.
    pub(in crate::daemon) may_pass: bool,
}

impl From<Vec<Problem>> for Wrong {
    fn from(problems: Vec<Problem>) -> Self {
        Self {
            problems,
            may_pass: false,
        }
    }
}

/// Makes a version of the texts.
///
/// # Errors
/// Everything that is wrong with them.
pub(in crate::daemon) fn make(
    context: &Context,
    owner: &Owner,
    path: &str,
    stem: &str,
    mut record: InstalledDag,
) -> Result<Version, Wrong> {
    let source = Source {
        text: record.source.as_bytes(),
        file: path,
        stem,
    };
    let base_file = context.config.paths.base.display().to_string();
    let base = record.base.as_ref().map(|text| BaseConfig {
        text: text.as_bytes(),
        file: &base_file,
    });
    let options = LoadOptions {
        // A user's DAG is called as its file is: `install` has named it, maybe otherwise than its text.
        name: record.owner.map(|_| stem),
        base,
        schemas: &record.schemas,
        ..LoadOptions::default()
    };
    let loaded =
        load(&source, &options).map_err(|errors| errors.into_iter().map(problem).collect::<Vec<_>>())?;
    let mut dag = loaded.dag;
    let mut warnings: Vec<Problem> = loaded.warnings.into_iter().map(problem).collect();
    let of_system = record.owner.is_none();
    dag.execution.of_system = of_system;
    let uid = run_as::owner(&dag.execution, owner.uid, of_system).map_err(|unfit| Wrong {
        may_pass: unfit.may_pass,
        problems: vec![of_file(unfit.message, Some(unfit.hint), path)],
    })?;
    warnings.extend(limits::lowered(&dag.execution, uid, &context.config, path));
    if !owner_goes_first(owner.uid) {
        warnings.extend(lower(&mut dag, path).map(lowered_when_scheduled));
    }
    record.dag = dag.name.clone();
    let mut schedules = Vec::new();
    let lists = [
        ("start", dag.schedule.start.as_slice()),
        ("stop", dag.schedule.stop.as_slice()),
        ("restart", dag.schedule.restart.as_slice()),
        ("at", dag.schedule.at.as_slice()),
    ];
    for (kind, list) in lists {
        schedules.extend(list.iter().map(|text| (kind.to_owned(), text.clone())));
    }
    Ok(Version {
        hash: hash_of(&record.source),
        description: Some(dag.description.clone()).filter(|text| !text.is_empty()),
        warnings,
        owner: uid,
        run_as: dag.execution.run_as.is_some(),
        plan: plan(context, owner, uid, path, dag, !schedules.is_empty())?,
        schedules,
        record: Arc::new(record),
    })
}

/// What the engine acts on. A DAG that a schedule is to start must need nothing that only a person can give.
fn plan(
    context: &Context,
    owner: &Owner,
    uid: u32,
    path: &str,
    dag: Dag,
    scheduled: bool,
) -> Result<Option<Plan>, Vec<Problem>> {
    let own = |message, hint| of_file(message, hint, path);
    let zone = match &context.zone {
        Ok(zone) => *zone,
        Err(why) => match dag.schedule.without_zone() {
            Some(schedule) => {
                return Err(vec![own(
                    format!("the schedule {schedule:?} names no time zone, and {why}"),
                    Some(format!(
                        "set schedule.time_zone in {}, or write the zone before it: `TZ=Europe/Berlin {schedule}`",
                        context.config.paths.config.display()
                    )),
                )]);
            }
            // It is asked of none.
            None => Zone::UTC,
        },
    };
    let Calendar {
        starts,
        stops,
        restarts,
    } = dag.schedule.calendar(zone).map_err(|errors| told(errors, path))?;
    let snapshot = Snapshot::of(dag).map_err(|refused| problems_of(*refused, path))?;
    let id = RunId::new("template").map_err(|error| vec![own(error.to_string(), None)])?;
    let about = About {
        id,
        group: group_of(&context.config, &snapshot.dag, None),
        owner: uid,
        trigger: Trigger::Scheduler,
        at: Time(0),
        base_dir: owner.base_dir.clone(),
        parent: None,
        priority: snapshot.dag.scheduling.priority,
        now: false,
    };
    match new_run(&snapshot, &ParamInput::default(), about) {
        Ok(template) => Ok(Some(Plan {
            starts,
            stops,
            restarts,
            zone,
            template: Arc::from(template),
            dag: snapshot.dag,
        })),
        Err(refused) if scheduled => {
            let mut problems = vec![own(
                "its schedule cannot start it: nobody is there to give its parameters".to_owned(),
                Some("give each parameter a default, or leave out `schedule`".to_owned()),
            )];
            problems.extend(problems_of(*refused, path));
            Err(problems)
        }
        Err(_) => Ok(None),
    }
}

fn told(errors: Vec<crate::dag::cron::CronError>, path: &str) -> Vec<Problem> {
    let told = errors.into_iter().map(crate::dag::Diagnostic::from).map(problem);
    told.map(|problem| Problem {
        file: Some(path.to_owned()),
        ..problem
    })
    .collect()
}

/// What a refusal says, as problems of a file.
pub(in crate::daemon) fn problems_of(refused: Response, path: &str) -> Vec<Problem> {
    match refused {
        Response::Error { problems, .. } if !problems.is_empty() => problems,
        Response::Error { message, hint, .. } => vec![of_file(message, hint, path)],
        _ => vec![of_file("it is refused".to_owned(), None, path)],
    }
}

/// A problem of a file as a whole.
pub(in crate::daemon) fn of_file(message: String, hint: Option<String>, path: &str) -> Problem {
    Problem {
        message,
        file: Some(path.to_owned()),
        line: None,
        column: None,
        hint,
    }
}

/// A name for a file that no version tells the name of: as its stem, with what no name may have replaced.
pub(in crate::daemon) fn name_for(stem: &str) -> Option<DagName> {
    let plain: String = stem
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || "-_.".contains(c) {
                c
            } else {
                '_'
            }
        })
        .take(crate::model::limits::DAG_NAME_MAX)
        .collect();
    DagName::new(plain).ok()
}

#[cfg(test)]
mod tests;

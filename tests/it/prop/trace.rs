//! What the steps wrote: a line `b NAME` when a try begins and a line `e NAME` when it ends, in the order in which it happened.

use std::path::Path;

use proctor::model::Handler;

use super::job::{Begin, Door, Job, Play};
use super::reference::Summary;

/// The lines.
pub(super) fn read(dir: &Path) -> String {
    crate::helper::read(&dir.join("trace"))
}

/// Checks that there are as many tries as the summary tells, that nothing begins before what it depends on is over, and that no
/// more steps run at a time than may. Says what is wrong.
pub(super) fn check(job: &Job, summary: &Summary, trace: &str) -> Result<(), String> {
    let lines: Vec<(&str, &str)> = trace.lines().filter_map(|line| line.split_once(' ')).collect();
    let of = |name: &str, what: &str| {
        let at =
            |(at, (kind, whose)): (usize, &(&str, &str))| (*kind == what && *whose == name).then_some(at);
        lines.iter().enumerate().filter_map(at).collect::<Vec<_>>()
    };
    let tries = |play: &Play, expected: usize| {
        let expected = if play.never_starts() { 0 } else { expected };
        let (begun, ended) = (of(&play.name, "b").len(), of(&play.name, "e").len());
        if begun == expected && ended == expected {
            Ok(())
        } else {
            Err(format!(
                "{} has {begun} begins and {ended} ends, not {expected}",
                play.name
            ))
        }
    };
    let mut known = 0;
    for (play, (_, done, retries, _)) in job.steps.iter().zip(&summary.steps) {
        tries(play, usize::try_from(done + retries).unwrap())?;
        let first = of(&play.name, "b").first().copied();
        for dependency in &play.depends {
            let before = &job.steps[usize::try_from(*dependency).unwrap()].name;
            if let (Some(first), Some(last)) = (first, of(before, "e").last().copied())
                && last > first
            {
                return Err(format!("{} begins before {before} is over", play.name));
            }
        }
        known += 2 * of(&play.name, "b").len();
    }
    for (handler, play) in &job.handlers {
        let status = summary.handlers.iter().find(|(known, _)| known == handler);
        let executed = status.is_some() && play.door == Door::Open && job.begin != Begin::Broken;
        tries(play, usize::from(executed))?;
        known += 2 * of(&play.name, "b").len();
        let Some(first) = of(&play.name, "b").first().copied() else {
            continue;
        };
        // Those of one run are in the order of the list, and all but the first are after the steps.
        let wrong = lines.iter().enumerate().any(|(at, (_, name))| {
            let other = job
                .handlers
                .iter()
                .find(|(_, play)| play.name == *name)
                .map(|(other, _)| *other);
            let before = match other {
                Some(other) if other == *handler => return false,
                Some(other) => other < *handler,
                None => *handler != Handler::Init,
            };
            before != (at < first)
        });
        if wrong {
            return Err(format!("{} is out of order", play.name));
        }
    }
    if known != lines.len() {
        return Err("somebody else wrote a line".to_owned());
    }
    at_a_time(job, &lines)
}

fn at_a_time(job: &Job, lines: &[(&str, &str)]) -> Result<(), String> {
    let mut active = 0_usize;
    for (kind, name) in lines {
        if !job.steps.iter().any(|step| step.name == *name) {
            continue;
        }
        active = if *kind == "b" { active + 1 } else { active - 1 };
        if job.max_active_steps > 0 && active > job.max_active_steps {
            return Err(format!("{active} steps at a time"));
        }
    }
    Ok(())
}

//! Installed DAGs and what their schedules will do.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::json::problems;
use super::table::{Table, column};
use super::{changed_style, problem, run_style, time};
use crate::dag::cron::Zone;
use crate::model::Time;
use crate::wire::control::Problem;
use crate::wire::manage::{Action, DagSummary, Upcoming};

/// Most expressions of a DAG in its row; JSON has all.
const SCHEDULES_SHOWN: usize = 3;

/// Most characters of what became of the last time in a row, since it pads those of all others.
const LAST_SHOWN: usize = 72;

/// What is said of schedules that this daemon does not act on.
const IDLE: &str =
    "no schedule starts anything: this daemon leaves when it is idle; run proctord without --embedded";

/// A scheduled time as JSON.
pub(crate) fn upcoming(next: &Upcoming) -> Value {
    json!({
        "dag": next.dag,
        "action": action(next.action),
        "at": next.at.rfc3339(),
        "due": next.due.rfc3339(),
        "local": next.local,
        "zone": next.zone,
        "note": next.note,
        "enabled": !next.suspended,
        "decided_ahead": next.decided_ahead.map(Time::rfc3339),
        "idle": next.idle,
        "barred": next.barred,
    })
}

/// An installed DAG as JSON.
pub(crate) fn dag(dag: &DagSummary) -> Value {
    let schedules: Vec<Value> = dag
        .schedules
        .iter()
        .map(|(kind, text)| json!({ "kind": kind, "expression": text }))
        .collect();
    json!({
        "dag": dag.dag,
        "file": dag.file,
        "owner": dag.owner,
        "system": dag.system,
        "description": dag.description,
        "schedules": schedules,
        "enabled": !dag.suspended,
        "in_force": dag.in_force,
        "problems": problems(&dag.problems),
        "next": dag.next.as_ref().map(upcoming),
        "last": dag.last,
        "newest": dag.newest.as_ref().map(|(run, status)| json!({ "run_id": run.id, "status": status })),
    })
}

/// An installed DAG that something was done to.
pub(crate) fn changed(summary: &DagSummary, warnings: &[Problem]) -> Value {
    let mut value = dag(summary);
    value["warnings"] = problems(warnings);
    value
}

const fn action(action: Action) -> &'static str {
    match action {
        Action::Start => "start",
        Action::Stop => "stop",
        Action::Restart => "restart",
    }
}

/// How a DAG stands, in a word.
fn state(dag: &DagSummary) -> &'static str {
    match (dag.in_force, dag.problems.is_empty(), dag.suspended) {
        (false, ..) => "error",
        (true, false, _) => "last good",
        (true, true, true) => "disabled",
        (true, true, false) if dag.schedules.is_empty() => "by hand",
        // A schedule of fields always has a next time: it is a list of single times that is used up.
        (true, true, false) if dag.next.is_none() => "past",
        (true, true, false) if barred(dag).is_some() => "barred",
        (true, true, false) if is_idle(dag) => "idle",
        (true, true, false) => "enabled",
    }
}

/// Why its schedules start nothing, if its user may start nothing.
fn barred(dag: &DagSummary) -> Option<&str> {
    dag.next.as_ref().and_then(|next| next.barred.as_deref())
}

/// Whether the daemon acts on no schedules.
fn is_idle(dag: &DagSummary) -> bool {
    dag.next.as_ref().is_some_and(|next| next.idle)
}

/// The last scheduled time and what became of it, in the zone of the next one, which stands beside it. JSON has all of it,
/// and in UTC.
fn last(dag: &DagSummary) -> String {
    let last = dag.last.as_deref().unwrap_or_default();
    let zone = dag.next.as_ref().and_then(|next| Zone::named(&next.zone).ok());
    let zoned = last.split_once(": ").and_then(|(at, words)| {
        let at = Time::from_rfc3339(at)?;
        let at = match zone {
            Some(zone) => zone.local(at).to_string(),
            None => format!("{} UTC", time(at)),
        };
        Some(format!("{at}: {words}"))
    });
    let text = zoned.unwrap_or_else(|| last.to_owned());
    match text.char_indices().nth(LAST_SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// A table of installed DAGs, then what is wrong with their files.
pub(crate) fn dags(dags: &[DagSummary], width: Option<u16>) -> Vec<String> {
    let columns = [
        column("DAG", 0),
        column("STATE", 0),
        column("SCHEDULE", 1),
        column("NEXT", 2),
        column("NEWEST RUN", 3),
        column("LAST TIME", 6),
        column("OWNER", 4),
        column("FILE", 5),
    ];
    let mut table = Table::new(&columns, "STATE");
    for dag in dags {
        let mut schedules: Vec<String> = dag
            .schedules
            .iter()
            .take(SCHEDULES_SHOWN)
            .map(|(kind, text)| {
                if kind == "start" {
                    text.clone()
                } else {
                    format!("{kind} {text}")
                }
            })
            .collect();
        if let Some(more @ 1..) = dag.schedules.len().checked_sub(SCHEDULES_SHOWN) {
            schedules.push(format!("… {more} more"));
        }
        let next = dag.next.as_ref();
        let next = next.filter(|next| !next.suspended && !next.idle && next.barred.is_none());
        let newest = dag.newest.as_ref();
        let style = match (state(dag), newest) {
            ("error" | "last good", _) => run_style(crate::model::RunStatus::Failed),
            (_, Some((_, status))) => run_style(*status),
            _ => anstyle::Style::new(),
        };
        table.row(
            style,
            [
                dag.dag.to_string(),
                state(dag).to_owned(),
                schedules.join("; "),
                next.map(|next| next.local.clone()).unwrap_or_default(),
                newest
                    .map(|(run, status)| format!("{status} {}", run.id))
                    .unwrap_or_default(),
                last(dag),
                if dag.system {
                    "system".to_owned()
                } else {
                    dag.owner.to_string()
                },
                dag.file.clone(),
            ],
        );
    }
    let mut lines = table.lines(width);
    let mut told = BTreeSet::new();
    for dag in dags {
        // Those of the base configuration are the same for all.
        let problems = dag.problems.iter().map(problem);
        lines.extend(problems.filter(|problem| told.insert(problem.clone())));
        let until = dag.next.as_ref().and_then(|next| next.decided_ahead);
        lines.extend(until.map(|until| format!("{}: {}", dag.dag, ahead(until))));
        lines.extend(barred(dag).map(|why| format!("{}: its user may start nothing: {why}", dag.dag)));
    }
    if dags.iter().any(is_idle) {
        lines.push(IDLE.to_owned());
    }
    lines
}

/// Why nothing happens before a time.
fn ahead(until: Time) -> String {
    format!("nothing until {} UTC: the clock was ahead", time(until))
}

/// A table of scheduled times.
pub(crate) fn times(next: &[Upcoming], width: Option<u16>) -> Vec<String> {
    let columns = [
        column("LOCAL TIME", 0),
        column("ZONE", 2),
        column("DAG", 0),
        column("ACTION", 1),
        column("NOTE", 0),
    ];
    let mut table = Table::new(&columns, "ACTION");
    for next in next {
        let mut notes: Vec<String> = next.note.iter().map(|note| format!("DST: {note}")).collect();
        if next.suspended {
            notes.push("disabled".to_owned());
        }
        if next.idle {
            notes.push("not by this daemon, it leaves when idle".to_owned());
        }
        notes.extend(next.barred.iter().map(|why| format!("not started: {why}")));
        notes.extend(next.decided_ahead.map(ahead));
        let late = next.due.secs().saturating_sub(next.at.secs());
        if late > 0 {
            notes.push(format!("{late} s later (jitter)"));
        }
        let style = if next.note.is_some() {
            changed_style()
        } else {
            anstyle::Style::new()
        };
        table.row(
            style,
            [
                next.local.clone(),
                next.zone.clone(),
                next.dag.to_string(),
                action(next.action).to_owned(),
                notes.join("; "),
            ],
        );
    }
    table.lines(width)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{DagName, Time};

    fn a_dag() -> DagSummary {
        DagSummary {
            dag: DagName::new("backup").unwrap(),
            file: "/etc/proctor/dags/backup.yaml".to_owned(),
            owner: 0,
            system: true,
            description: None,
            schedules: vec![("start".to_owned(), "0 3 * * *".to_owned())],
            suspended: false,
            problems: Vec::new(),
            in_force: true,
            next: Some(a_time()),
            last: None,
            newest: None,
        }
    }

    fn a_time() -> Upcoming {
        Upcoming {
            dag: DagName::new("backup").unwrap(),
            action: Action::Start,
            at: Time::from_secs(0),
            due: Time::from_secs(7),
            local: "1970-01-01 01:00 +01:00".to_owned(),
            zone: "Europe/Berlin".to_owned(),
            note: Some("the first of the two".to_owned()),
            suspended: false,
            decided_ahead: Some(Time::from_secs(3600)),
            idle: false,
            barred: None,
        }
    }

    #[test]
    fn a_table_tells_how_a_dag_stands_and_what_is_wrong_with_its_file() {
        let mut dag = a_dag();
        let text = dags(&[dag.clone()], None).join("\n");
        assert!(text.contains("enabled") && text.contains("0 3 * * *"), "{text}");
        assert!(text.contains("1970-01-01 01:00 +01:00"), "{text}");
        assert!(
            text.contains("backup: nothing until 1970-01-01 01:00:00 UTC: the clock was ahead"),
            "{text}"
        );
        dag.next = None;
        let text = dags(&[dag.clone()], None).join("\n");
        assert!(text.contains("past") && !text.contains("enabled"), "{text}");
        dag.suspended = true;
        dag.next = Some(Upcoming {
            suspended: true,
            ..a_time()
        });
        let text = dags(&[dag.clone()], None).join("\n");
        assert!(text.contains("disabled") && !text.contains("+01:00"), "{text}");
        dag.problems.push(Problem {
            message: "it is wrong".to_owned(),
            file: Some(dag.file.clone()),
            line: Some(3),
            column: Some(1),
            hint: None,
        });
        let text = dags(&[dag.clone()], None).join("\n");
        assert!(
            text.contains("last good") && text.contains("backup.yaml:3:1"),
            "{text}"
        );
        let text = dags(&[dag.clone(), dag.clone()], None).join("\n");
        assert_eq!(text.matches("it is wrong").count(), 1, "{text}");
        dag.in_force = false;
        assert!(dags(&[dag], None).join("\n").contains("error"));
    }

    #[test]
    fn a_row_shows_a_few_of_many_schedules() {
        let mut many = a_dag();
        let hour = |hour: usize| ("at".to_owned(), format!("2099-01-01 {hour:02}:00"));
        many.schedules = (0..3).map(hour).collect();
        let text = dags(&[many.clone()], None).join("\n");
        assert!(text.contains("02:00") && !text.contains("more"), "{text}");
        many.schedules = (0..1000).map(hour).collect();
        let text = dags(&[many.clone()], None).join("\n");
        assert!(text.contains("02:00; … 997 more"), "{text}");
        assert!(text.lines().all(|line| line.len() < 300), "{text}");
        assert_eq!(dag(&many)["schedules"].as_array().unwrap().len(), 1000);
    }

    #[test]
    fn the_last_time_is_in_the_zone_of_the_next_one_and_short() {
        let mut dag = a_dag();
        dag.last = Some("1970-01-01T00:00:00.000Z: run sched-1 was queued".to_owned());
        let text = dags(&[dag.clone()], None).join("\n");
        assert!(
            text.contains("1970-01-01 01:00: run sched-1 was queued"),
            "{text}"
        );
        dag.next = None;
        let text = dags(&[dag.clone()], None).join("\n");
        assert!(text.contains("1970-01-01 00:00:00 UTC: run sched-1"), "{text}");
        dag.last = Some(format!(
            "1970-01-01T00:00:00.000Z: not started yet: {}",
            "é".repeat(200)
        ));
        let text = dags(&[dag.clone()], None).join("\n");
        assert!(
            text.contains("é…") && text.lines().all(|line| line.chars().count() < 230),
            "{text}"
        );
        assert_eq!(super::dag(&dag)["last"], dag.last.unwrap());
    }

    #[test]
    fn a_time_has_its_zone_and_what_is_unusual_about_it() {
        let text = times(&[a_time()], None).join("\n");
        for part in [
            "Europe/Berlin",
            "DST: the first of the two",
            "7 s later (jitter)",
            "nothing until 1970-01-01 01:00:00 UTC: the clock was ahead",
            "start",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let value = upcoming(&a_time());
        assert_eq!(value["at"], "1970-01-01T00:00:00.000Z");
        assert_eq!(value["enabled"], true);
    }
}

//! `cleanup`: old runs go, with their logs.

use std::io::{self, BufRead};

use super::ask_once;
use crate::ctl::Call;
use crate::ctl::exit::Exit;
use crate::ctl::failure::Failure;
use crate::ctl::out::Out;
use crate::ctl::render::escape::escape;
use crate::ctl::render::json;
use crate::ctl::render::words::count;
use crate::ctl::session::Session;
use crate::model::DagName;
use crate::wire::control::{Request, Response};
use crate::wire::manage::CleanupReport;

/// Arguments of `cleanup`.
#[derive(Debug, clap::Args)]
pub(in crate::ctl) struct Args {
    /// Only runs of this DAG
    #[arg(value_name = "NAME")]
    name: Option<String>,

    /// Remove what ended more than so many days ago, whatever the DAGs and the configuration say; 0 removes all
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=36_500))]
    keep_days: Option<u32>,

    /// Remove all ended runs but the newest so many of each DAG, whatever the DAGs and the configuration say
    #[arg(long, value_name = "N")]
    keep_runs: Option<u32>,

    /// Only show what would be removed
    #[arg(long)]
    dry_run: bool,

    /// Do not ask for confirmation; needed where nobody can be asked
    #[arg(long, short)]
    yes: bool,
}

pub(in crate::ctl) fn run(args: &Args, call: &mut Call) -> Result<Exit, Failure> {
    let dag = args.name.as_deref().map(DagName::new).transpose()?;
    let request = |dry_run| Request::Cleanup {
        dag: dag.clone(),
        keep_days: args.keep_days,
        keep_runs: args.keep_runs,
        dry_run,
    };
    if !args.dry_run && !args.yes && !call.out.can_ask {
        return Err(Failure::usage(
            "removed runs cannot be brought back, and there is no terminal to ask at",
        )
        .with_hint("add --yes to remove them, or --dry-run to see what would go"));
    }
    if args.dry_run || !args.yes {
        let report = ask(&request(true), call)?;
        show(&report, call);
        if args.dry_run || report.runs == 0 {
            return Ok(exit(&report));
        }
        if !confirmed(&report, &mut call.out)? {
            call.out.note("nothing was removed");
            return Ok(Exit::Negative);
        }
    }
    let report = ask(&request(false), call)?;
    show(&report, call);
    Ok(exit(&report))
}

fn ask(request: &Request, call: &mut Call) -> Result<CleanupReport, Failure> {
    let Some(session) = Session::open_to_ask(&call.place)? else {
        let dry_run = matches!(request, Request::Cleanup { dry_run: true, .. });
        return Ok(CleanupReport {
            runs: 0,
            sub_runs: 0,
            bytes: Some(0),
            first: Vec::new(),
            failures: Vec::new(),
            dry_run,
        });
    };
    match ask_once(session, request, call)? {
        Response::Cleaned(report) => Ok(report),
        _ => Err(Failure::unexpected()),
    }
}

fn exit(report: &CleanupReport) -> Exit {
    if report.failures.is_empty() {
        Exit::Ok
    } else {
        Exit::Negative
    }
}

fn show(report: &CleanupReport, call: &mut Call) {
    if call.out.json {
        call.out.object(&json::cleanup(report));
    } else {
        call.out.lines(lines(report));
    }
}

fn lines(report: &CleanupReport) -> Vec<String> {
    let mut lines = Vec::new();
    if report.dry_run {
        lines.extend(report.first.iter().map(|run| format!("  {run}")));
        let named = u64::try_from(report.first.len()).unwrap_or(u64::MAX);
        if report.runs > named {
            lines.push(format!("  and {} more", report.runs - named));
        }
    }
    lines.push(match (report.runs, report.dry_run) {
        (0, true) => "nothing would be removed".to_owned(),
        (0, false) => "nothing was removed".to_owned(),
        (1, false) => format!("{} was removed", what(report)),
        (_, true) => format!("{} would be removed", what(report)),
        (_, false) => format!("{} were removed", what(report)),
    });
    let failures = report.failures.iter();
    lines.extend(failures.map(|failure| format!("left over: {}", escape(failure))));
    lines
}

/// What goes, in words.
fn what(report: &CleanupReport) -> String {
    let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    let mut text = count(number(report.runs), "run");
    if report.sub_runs > 0 {
        text += &format!(" with {}", count(number(report.sub_runs), "sub-run"));
    }
    match report.bytes {
        Some(bytes) => text + &format!(" ({} of logs and scratch files)", size(bytes)),
        None => text + " (the size of their files cannot be told)",
    }
}

/// A number of bytes in the largest unit of which there is at least one.
fn size(bytes: u64) -> String {
    let units = [
        (1u64 << 40, "TiB"),
        (1 << 30, "GiB"),
        (1 << 20, "MiB"),
        (1 << 10, "KiB"),
    ];
    units.into_iter().find(|(unit, _)| bytes >= *unit).map_or_else(
        || format!("{bytes} B"),
        |(unit, name)| format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit),
    )
}

/// Puts the question and waits for the answer; the end of the input is a no.
fn confirmed(report: &CleanupReport, out: &mut Out) -> Result<bool, Failure> {
    out.raw(format!("Remove {}? [y/N] ", count_of(report)).as_bytes());
    let mut answer = String::new();
    io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(|error| Failure::system("cannot read the answer", &error))?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

fn count_of(report: &CleanupReport) -> String {
    match report.runs {
        1 => "this run".to_owned(),
        runs => format!("these {runs} runs"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{RunId, RunRef};

    fn report(runs: u64, dry_run: bool) -> CleanupReport {
        CleanupReport {
            runs,
            sub_runs: 0,
            bytes: Some(1536),
            first: vec![RunRef {
                dag: DagName::new("etl").unwrap(),
                id: RunId::new("r1").unwrap(),
            }],
            failures: Vec::new(),
            dry_run,
        }
    }

    #[test]
    fn what_goes_is_told_with_its_size() {
        assert_eq!(
            lines(&report(3, true)),
            [
                "  etl:r1",
                "  and 2 more",
                "3 runs (1.5 KiB of logs and scratch files) would be removed"
            ]
        );
        assert_eq!(
            lines(&CleanupReport {
                sub_runs: 1,
                bytes: None,
                failures: vec!["/x/\u{1b}y: is busy".to_owned()],
                ..report(1, false)
            }),
            [
                "1 run with 1 sub-run (the size of their files cannot be told) was removed",
                "left over: /x/\\x1by: is busy"
            ]
        );
        assert_eq!(
            lines(&CleanupReport {
                first: Vec::new(),
                ..report(0, false)
            }),
            ["nothing was removed"]
        );
    }

    #[test]
    fn sizes() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1_048_575, "1023.9 KiB"),
            (5 << 30, "5.0 GiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }
}

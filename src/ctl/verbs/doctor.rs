//! `doctor`: check that everything that belongs to an attempt agrees, and what the machine offers.

use anstyle::{AnsiColor, Style};

use super::ask_once;
use crate::ctl::Call;
use crate::ctl::exit::Exit;
use crate::ctl::failure::Failure;
use crate::ctl::render::escape::escape;
use crate::ctl::render::{Line, json};
use crate::ctl::session::Session;
use crate::wire::control::{DoctorReport, Request, Response};

/// Arguments of `doctor`.
#[derive(Debug, clap::Args)]
pub(in crate::ctl) struct Args {
    /// Repair what can be repaired
    #[arg(long)]
    repair: bool,
}

pub(in crate::ctl) fn run(args: &Args, call: &mut Call) -> Result<Exit, Failure> {
    // Also of a root that was never used: only a daemon can say what is in order.
    let session = Session::open(&call.place)?;
    let request = Request::Doctor { repair: args.repair };
    let Response::Doctor(report) = ask_once(session, &request, call)? else {
        return Err(Failure::unexpected());
    };
    let healthy = report
        .findings
        .iter()
        .all(|finding| finding.ok || finding.repaired);
    if call.out.json {
        call.out.object(&json::doctor(&report));
    } else {
        let lines = report_lines(&report);
        call.out.lines(lines);
        if !healthy && !args.repair {
            call.out
                .note("some checks failed; --repair repairs what can be repaired");
        }
    }
    Ok(if healthy { Exit::Ok } else { Exit::Negative })
}

fn report_lines(report: &DoctorReport) -> Vec<String> {
    let colour = |colour: AnsiColor| Style::new().fg_color(Some(colour.into()));
    let mut lines = Vec::new();
    for finding in &report.findings {
        let (style, word) = match (finding.ok, finding.repaired) {
            (true, _) => (colour(AnsiColor::Green), "ok"),
            (false, true) => (colour(AnsiColor::Yellow), "repaired"),
            (false, false) => (colour(AnsiColor::Red), "failed"),
        };
        let mut line = Line::default();
        line.padded(style, word, 9)
            .plain(&finding.check)
            .plain(": ")
            .plain(&finding.detail);
        lines.push(line.fit(None));
    }
    for (title, pairs) in [
        ("Machine", report.features.clone()),
        (
            "Counters",
            report
                .counters
                .iter()
                .map(|(name, count)| (name.clone(), count.to_string()))
                .collect(),
        ),
        (
            "Last actions",
            report
                .actions
                .iter()
                .map(|action| {
                    (
                        action.what.clone(),
                        format!("{}, {}", action.at.rfc3339(), action.about),
                    )
                })
                .collect(),
        ),
    ] {
        if !pairs.is_empty() {
            lines.push(String::new());
            lines.push(title.to_owned());
            lines.extend(
                pairs
                    .iter()
                    .map(|(name, value)| format!("  {}: {}", escape(name), escape(value))),
            );
        }
    }
    lines
}

//! `history`: runs of the past and present, or the attempts of one of them.

use chrono::{NaiveDate, NaiveDateTime};

use super::{ask_about, ask_once, ps, usage_cells, usage_columns};
use crate::ctl::Call;
use crate::ctl::cli::selector;
use crate::ctl::exit::Exit;
use crate::ctl::failure::Failure;
use crate::ctl::follow::now;
use crate::ctl::render::table::{Column, Table, column};
use crate::ctl::render::{elapsed, json, run_style, time};
use crate::ctl::session::Session;
use crate::model::{DagName, RunRef, RunStatus, Time};
use crate::wire::control::{AttemptSummary, HistoryFilter, Request, Response, Selector};

/// Arguments of `history`.
#[derive(Debug, clap::Args)]
pub(in crate::ctl) struct Args {
    /// Only runs of this DAG
    #[arg(value_name = "NAME")]
    name: Option<String>,

    /// The attempts of this run
    #[arg(long, value_name = "ID", requires = "name", conflicts_with_all = ["last", "from", "to", "status", "limit"])]
    run_id: Option<String>,

    /// Only the last 30m, 24h, 7d, 2w
    #[arg(long, value_name = "SPAN", value_parser = span, conflicts_with = "from")]
    last: Option<i64>,

    /// Only runs accepted at or after: 2026-11-23, 2026-11-23T08:30, in UTC, or RFC 3339
    #[arg(long, value_name = "TIME", value_parser = moment)]
    from: Option<Time>,

    /// Only runs accepted before
    #[arg(long, value_name = "TIME", value_parser = moment)]
    to: Option<Time>,

    /// Only runs with one of these statuses
    #[arg(long, value_name = "STATUS", value_delimiter = ',', value_parser = status)]
    status: Vec<Wanted>,

    /// At most so many, the newest first
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,

    /// Also show what the runs used: CPU time, memory, IO and tasks
    #[arg(long)]
    long: bool,
}

pub(in crate::ctl) fn run(args: &Args, call: &mut Call) -> Result<Exit, Failure> {
    let name = args.name.as_deref();
    if let Some(name) = name.filter(|name| args.run_id.is_some() || name.contains(':')) {
        return attempts(selector(name, args.run_id.as_deref())?, args.long, call);
    }
    let filter = HistoryFilter {
        dag: name.map(DagName::new).transpose()?,
        statuses: args.status.iter().filter_map(|wanted| wanted.status()).collect(),
        from: args
            .last
            .map(|micros| Time(now().0.saturating_sub(micros)))
            .or(args.from),
        to: args.to,
        limit: args.limit,
        lost: args.status.contains(&Wanted::Lost),
    };
    let runs = match Session::open_to_ask(&call.place)? {
        None => Vec::new(),
        Some(session) => match ask_once(session, &Request::History(filter), call)? {
            Response::Runs(runs) => runs,
            _ => return Err(Failure::unexpected()),
        },
    };
    ps::show(&runs, args.long, "no such runs", call);
    Ok(Exit::Ok)
}

fn attempts(selector: Selector, long: bool, call: &mut Call) -> Result<Exit, Failure> {
    let session = ask_about(call, &selector)?;
    let run = selector.run.clone().map(|id| RunRef {
        dag: selector.dag.clone(),
        id,
    });
    let answer = ask_once(session, &Request::Attempts(selector), call)?;
    let (Response::Attempts(attempts), Some(run)) = (answer, run) else {
        return Err(Failure::unexpected());
    };
    if call.out.json {
        call.out.object(&json::attempts(&run, &attempts));
    } else {
        let lines = attempt_table(&attempts, now(), call.out.width(), long);
        call.out.lines(lines);
    }
    Ok(Exit::Ok)
}

fn attempt_table(attempts: &[AttemptSummary], now: Time, width: Option<u16>, long: bool) -> Vec<String> {
    let columns = [
        column("ATTEMPT", 0),
        column("ID", 3),
        column("STATUS", 0),
        column("STARTED (UTC)", 2),
        column("ELAPSED", 1),
    ];
    let error = std::iter::once(column("ERROR", 4));
    let columns: Vec<Column> = columns
        .into_iter()
        .chain(usage_columns(long))
        .chain(error)
        .collect();
    let mut table = Table::new(&columns, "STATUS");
    for attempt in attempts {
        table.row(
            run_style(attempt.status),
            [
                attempt.number.to_string(),
                attempt.attempt.to_string(),
                attempt.status.to_string(),
                attempt.started_at.map(time).unwrap_or_default(),
                elapsed(attempt.started_at, attempt.finished_at, now),
            ]
            .into_iter()
            .chain(usage_cells(long, &attempt.usage))
            .chain([attempt.error.clone().unwrap_or_default()]),
        );
    }
    table.lines(width)
}

/// A span of time in microseconds.
fn span(text: &str) -> Result<i64, String> {
    let wrong = || "a span is a number and one of s, m, h, d, w, for example 24h".to_owned();
    let unit = text.chars().next_back().ok_or_else(wrong)?;
    let seconds: i64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return Err(wrong()),
    };
    let number: u32 = text.trim_end_matches(unit).parse().map_err(|_| wrong())?;
    Ok(i64::from(number)
        .saturating_mul(seconds)
        .saturating_mul(1_000_000))
}

/// A point in time; without an offset it is in UTC.
fn moment(text: &str) -> Result<Time, String> {
    if let Some(at) = Time::from_rfc3339(text) {
        return Ok(at);
    }
    let forms = [
        "%Y-%m-%dT%H:%M:%S",
        "%Y-%m-%d %H:%M:%S",
        "%Y-%m-%dT%H:%M",
        "%Y-%m-%d %H:%M",
    ];
    let with_time = forms
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
    let midnight = || {
        NaiveDate::parse_from_str(text, "%Y-%m-%d")
            .ok()?
            .and_hms_opt(0, 0, 0)
    };
    with_time
        .or_else(midnight)
        .map(|at| Time(at.and_utc().timestamp_micros()))
        .ok_or_else(|| "a time is 2026-11-23, 2026-11-23T08:30, or RFC 3339".to_owned())
}

/// What runs are asked for by `--status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// Those with this status.
    Status(RunStatus),
    /// Those that failed because they are lost.
    Lost,
}

impl Wanted {
    const fn status(self) -> Option<RunStatus> {
        match self {
            Self::Status(status) => Some(status),
            Self::Lost => None,
        }
    }
}

/// A status by its word or by a usual other name for it.
fn status(text: &str) -> Result<Wanted, String> {
    let word = match text {
        "lost" => return Ok(Wanted::Lost),
        "success" => "succeeded",
        "failure" | "error" => "failed",
        "canceled" | "cancelled" | "stopped" => "aborted",
        "partial" => "partially_succeeded",
        other => other,
    };
    RunStatus::from_word(word).map(Wanted::Status).ok_or_else(|| {
        let words: Vec<&str> = RunStatus::ALL.iter().map(|status| status.as_str()).collect();
        format!("a status is one of {}, lost", words.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans() {
        assert_eq!(span("30s"), Ok(30_000_000));
        assert_eq!(span("2w"), Ok(1_209_600_000_000));
        for wrong in ["", "d", "7", "-1d", "7y", "1.5h", "7é", "99999999999d"] {
            assert!(span(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn moments() {
        assert_eq!(moment("1970-01-02"), Ok(Time::from_secs(86_400)));
        assert_eq!(moment("1970-01-01T00:01"), Ok(Time::from_secs(60)));
        assert_eq!(moment("1970-01-01 00:00:01"), Ok(Time::from_secs(1)));
        assert_eq!(moment("1970-01-01T02:00:00+02:00"), Ok(Time(0)));
        assert!(moment("yesterday").is_err());
        assert!(moment("2026-02-30").is_err());
    }

    #[test]
    fn statuses_have_other_names() {
        assert_eq!(status("success"), Ok(Wanted::Status(RunStatus::Succeeded)));
        assert_eq!(status("canceled"), Ok(Wanted::Status(RunStatus::Aborted)));
        assert_eq!(status("waiting"), Ok(Wanted::Status(RunStatus::Waiting)));
        assert_eq!(status("lost"), Ok(Wanted::Lost));
        assert!(status("Failed").unwrap_err().contains("partially_succeeded"));
    }
}

//! `cron`: check a cron expression and tell when it is due, here and without a daemon.

use serde_json::json;

use crate::ctl::Call;
use crate::ctl::exit::Exit;
use crate::ctl::failure::Failure;
use crate::ctl::follow::now;
use crate::ctl::local::problems;
use crate::ctl::render::escape::escape;
use crate::ctl::render::table::{Table, column};
use crate::ctl::render::{changed_style, json as as_json};
use crate::ctl::zone::{self, ZoneEnv};
use crate::dag::cron::{Activation, Cron, CronError, Zone};
use crate::dag::{Diagnostic, render};
use crate::model::Time;

/// Most activations of one call.
const COUNT_MAX: i64 = 1_000;
/// How many are told if nobody says: the next one to programs, a few to people.
const COUNT_JSON: usize = 1;
const COUNT_PEOPLE: usize = 5;

/// Arguments of `cron`.
#[derive(Debug, clap::Args)]
pub(in crate::ctl) struct Args {
    /// The expression, in quotes: minute, hour, day of month, month, day of week
    ///
    /// `TZ=ZONE` or `CRON_TZ=ZONE` may stand before the five fields. proctor-dag(5) has all about them.
    #[arg(value_name = "EXPR")]
    expression: String,

    /// Time zone that it is meant in, unless it names one itself; without it, yours
    ///
    /// Yours is the one that TZ in the environment names, else that of the machine.
    #[arg(long, value_name = "ZONE")]
    tz: Option<String>,

    /// Activations after this time, in RFC 3339: 2026-11-23T08:30:00Z; without it, after now
    #[arg(long, value_name = "TIME", value_parser = moment)]
    from: Option<Time>,

    /// How many activations, 1 to 1000; without it 5, and 1 with --json
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=COUNT_MAX))]
    count: Option<u16>,
}

pub(in crate::ctl) fn run(args: &Args, call: &mut Call) -> Result<Exit, Failure> {
    let given = args.tz.as_deref().map(zone::given).transpose()?;
    let cron = match Cron::parse(&args.expression) {
        Ok(cron) => cron,
        Err(errors) => {
            refuse(errors, &args.expression, call);
            return Ok(Exit::Negative);
        }
    };
    let zone = match cron.zone().or(given) {
        Some(zone) => zone,
        None => ZoneEnv::of_process().zone()?,
    };
    let from = args.from.unwrap_or_else(now);
    let usual = if call.out.json { COUNT_JSON } else { COUNT_PEOPLE };
    let next: Vec<Activation> = cron
        .after(from, zone)
        .take(args.count.map_or(usual, usize::from))
        .collect();
    if call.out.json {
        let times: Vec<String> = next.iter().map(Activation::rfc3339).collect();
        call.out
            .object(&json!({ "valid": true, "next": times, "zone": zone.name() }));
        return Ok(Exit::Ok);
    }
    let what = format!("`{}` in {zone}", args.expression.trim());
    if next.is_empty() {
        let why = if cron.never_matches() {
            "never comes: none of its months has such a day"
        } else {
            "does not come again"
        };
        call.out.line(&escape(&format!("{what} {why}")));
        return Ok(Exit::Ok);
    }
    call.out.line(&escape(&what));
    let lines = table(&next, from, zone).lines(call.out.width());
    call.out.lines(lines);
    Ok(Exit::Ok)
}

/// Tells what is wrong: to programs as `validate` does, to people with a mark below the place.
fn refuse(errors: Vec<CronError>, expression: &str, call: &mut Call) {
    let mut errors: Vec<Diagnostic> = errors.into_iter().map(Diagnostic::from).collect();
    if call.out.json {
        let errors = as_json::problems(&problems(&errors));
        call.out.object(&json!({ "valid": false, "errors": errors }));
        return;
    }
    let name = "expression";
    for error in &mut errors {
        error.file = Some(name.to_owned());
        error.line = Some(1);
    }
    let text = render(&errors, &[(name, expression.as_bytes())], true);
    call.out.diagnostics(&text);
    call.out.note("the expression is not valid");
}

fn table(next: &[Activation], from: Time, zone: Zone) -> Table {
    let columns = [
        column("DAY", 0),
        column("LOCAL TIME", 0),
        column("OFFSET", 2),
        column("AWAY", 1),
        column("NOTE", 0),
    ];
    let mut table = Table::new(&columns, "NOTE");
    let mut offset = zone.offset_sec(from);
    for activation in next {
        let changed = offset != activation.offset_sec;
        offset = activation.offset_sec;
        table.row(
            changed_style(),
            [
                activation.local.weekday(),
                activation.local.to_string(),
                activation.offset(),
                away(from, activation.at),
                if changed { "DST" } else { "" }.to_owned(),
            ],
        );
    }
    table
}

/// How long it is until then, in the two largest units.
fn away(from: Time, at: Time) -> String {
    let secs = at.secs().saturating_sub(from.secs()).max(0);
    let units = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    let mut rest = secs;
    let parts = units.map(|(length, unit)| {
        let number = rest / length;
        rest %= length;
        (number, unit)
    });
    let first = parts
        .iter()
        .position(|(number, _)| *number > 0)
        .unwrap_or(parts.len() - 1);
    let told: Vec<String> = parts
        .iter()
        .enumerate()
        .skip(first)
        .take(2)
        .filter(|(place, (number, _))| *place == first || *number > 0)
        .map(|(_, (number, unit))| format!("{number} {unit}"))
        .collect();
    format!("in {}", told.join(" "))
}

fn moment(text: &str) -> Result<Time, String> {
    Time::from_rfc3339(text).ok_or_else(|| {
        "a time is RFC 3339, with its offset: 2026-11-23T08:30:00Z or 2026-11-23T08:30:00+01:00".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_have_two_units() {
        for (secs, told) in [
            (0, "in 0 s"),
            (59, "in 59 s"),
            (60, "in 1 m"),
            (90, "in 1 m 30 s"),
            (3_600, "in 1 h"),
            (3_605, "in 1 h"),
            (3 * 3_600 + 12 * 60 + 5, "in 3 h 12 m"),
            (86_400 * 731 + 3_600, "in 731 d 1 h"),
        ] {
            assert_eq!(away(Time(999_999), Time::from_secs(secs)), told);
        }
    }

    #[test]
    fn a_moment_has_an_offset() {
        assert_eq!(moment("1970-01-01T01:00:00+01:00"), Ok(Time(0)));
        assert_eq!(moment("1970-01-01T00:00:00.5Z"), Ok(Time(500_000)));
        for wrong in ["", "1970-01-01", "1970-01-01T00:00:00", "2026-02-30T00:00:00Z"] {
            assert!(moment(wrong).unwrap_err().contains("RFC 3339"), "{wrong}");
        }
    }
}

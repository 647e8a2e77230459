//! `cron`: check an expression for `schedule` and tell when it is due, here and without a daemon.

use serde_json::{Value, json};

use crate::ctl::Call;
use crate::ctl::exit::Exit;
use crate::ctl::failure::Failure;
use crate::ctl::follow::now;
use crate::ctl::local::problems;
use crate::ctl::render::escape::escape;
use crate::ctl::render::table::{Table, column};
use crate::ctl::render::{changed_style, json as as_json};
use crate::ctl::zone::{self, ZoneEnv};
use crate::dag::cron::{Activation, Cron, CronError, Dst, Fire, Schedule, Zone};
use crate::dag::{Diagnostic, render};
use crate::model::Time;

/// Most times of one call.
const COUNT_MAX: i64 = 1_000;
/// How many are told if nobody says: the next one to programs, a few to people.
const COUNT_JSON: usize = 1;
const COUNT_PEOPLE: usize = 5;

/// Arguments of `cron`.
#[derive(Debug, clap::Args)]
pub(in crate::ctl) struct Args {
    /// The expression, in quotes: minute, hour, day of month, month, day of week
    ///
    /// Or six fields, the seconds first, or a word such as `@daily`; before them `TZ=ZONE` or `CRON_TZ=ZONE`, if wanted.
    /// proctor-dag(5) has all about them.
    #[arg(value_name = "EXPR")]
    expression: String,

    /// Time zone that it is meant in, unless it names one itself; without it, yours
    ///
    /// Yours is the one that TZ in the environment names, else that of the machine.
    #[arg(long, value_name = "ZONE")]
    tz: Option<String>,

    /// Times after this one, in RFC 3339: 2026-11-23T08:30:00Z; without it, after now
    #[arg(long, value_name = "TIME", value_parser = moment)]
    from: Option<Time>,

    /// How many times, 1 to 1000; without it 5, and 1 with --json
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=COUNT_MAX))]
    count: Option<u16>,
}

pub(in crate::ctl) fn run(args: &Args, call: &mut Call) -> Result<Exit, Failure> {
    let given = args.tz.as_deref().map(zone::given).transpose()?;
    let schedule = match Schedule::parse(&args.expression) {
        Ok(schedule) => schedule,
        Err(errors) => {
            refuse(errors, &args.expression, call);
            return Ok(Exit::Negative);
        }
    };
    let zone = match schedule.zone().or(given) {
        Some(zone) => zone,
        None => ZoneEnv::of_process().zone()?,
    };
    let from = args.from.unwrap_or_else(now);
    let usual = if call.out.json { COUNT_JSON } else { COUNT_PEOPLE };
    let count = args.count.map_or(usual, usize::from);
    let fires: Vec<Fire> = schedule.after(from, zone).take(count).collect();
    if call.out.json {
        return Ok(tell_programs(&args.expression, &fires, (from, zone, count), call));
    }
    let what = format!("`{}` in {zone}", args.expression.trim());
    if fires.is_empty() {
        let why = if schedule.never_comes() {
            "never comes: none of its months has such a day"
        } else {
            "does not come again"
        };
        call.out.line(&escape(&format!("{what} {why}")));
        return Ok(Exit::Ok);
    }
    call.out.line(&escape(&what));
    let lines = table(&fires, from, zone).lines(call.out.width());
    call.out.lines(lines);
    Ok(Exit::Ok)
}

/// Programs are told both: what the expression means as five fields alone, activation by activation, and when a DAG
/// with this schedule starts.
fn tell_programs(
    expression: &str,
    fires: &[Fire],
    (from, zone, count): (Time, Zone, usize),
    call: &mut Call,
) -> Exit {
    let fires: Vec<Value> = fires.iter().map(fire).collect();
    let (exit, mut answer) = match Cron::parse(expression) {
        Ok(cron) => {
            let next: Vec<String> = cron
                .after(from, zone)
                .take(count)
                .map(|activation| Activation::rfc3339(&activation))
                .collect();
            (Exit::Ok, json!({ "valid": true, "next": next }))
        }
        Err(errors) => {
            let answer = json!({ "valid": false, "errors": told(errors), "next": [] });
            (Exit::Negative, answer)
        }
    };
    if let Some(answer) = answer.as_object_mut() {
        answer.insert("schedule".to_owned(), true.into());
        answer.insert("fires".to_owned(), fires.into());
        answer.insert("zone".to_owned(), zone.name().into());
    }
    call.out.object(&answer);
    exit
}

fn fire(fire: &Fire) -> Value {
    let wanted = match fire.dst {
        Dst::Moved { wanted } => Some(wanted.iso()),
        Dst::Usual | Dst::First => None,
    };
    json!({ "at": fire.rfc3339(), "local": fire.local.iso(), "dst": fire.dst.word(), "wanted": wanted })
}

fn told(errors: Vec<CronError>) -> Value {
    let errors: Vec<Diagnostic> = errors.into_iter().map(Diagnostic::from).collect();
    json!(as_json::problems(&problems(&errors)))
}

/// Tells what is wrong: to programs as `validate` does, to people with a mark below the place.
fn refuse(errors: Vec<CronError>, expression: &str, call: &mut Call) {
    if call.out.json {
        call.out
            .object(&json!({ "valid": false, "schedule": false, "errors": told(errors) }));
        return;
    }
    let name = "expression";
    let mut errors: Vec<Diagnostic> = errors.into_iter().map(Diagnostic::from).collect();
    for error in &mut errors {
        error.file = Some(name.to_owned());
        error.line = Some(1);
    }
    let text = render(&errors, &[(name, expression.as_bytes())], true);
    call.out.diagnostics(&text);
    call.out.note("the expression is not valid");
}

fn table(fires: &[Fire], from: Time, zone: Zone) -> Table {
    let columns = [
        column("DAY", 0),
        column("LOCAL TIME", 0),
        column("OFFSET", 2),
        column("AWAY", 1),
        column("NOTE", 0),
    ];
    let mut table = Table::new(&columns, "NOTE");
    let mut offset = zone.offset_sec(from);
    for fire in fires {
        let changed = offset != fire.offset_sec;
        offset = fire.offset_sec;
        table.row(
            changed_style(),
            [
                fire.local.weekday(),
                fire.local.to_string(),
                fire.offset(),
                away(from, fire.at),
                note(fire.dst, changed),
            ],
        );
    }
    table
}

/// What a change of the clock has to do with it.
fn note(dst: Dst, changed: bool) -> String {
    match dst {
        Dst::Moved { wanted } => format!("DST: in place of {wanted}"),
        Dst::First => "DST: shown twice, counts once".to_owned(),
        Dst::Usual if changed => "DST".to_owned(),
        Dst::Usual => String::new(),
    }
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

//! The program: `systemd-analyze calendar`.

use chrono::{DateTime, NaiveDateTime};
use chrono_tz::Tz;
use proctor::dag::cron::Dst;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use crate::{YEAR, changes, ours};

/// Expressions, and what means the same there. Days of month and weekdays together are left out: there, a day has to
/// match both.
const PAIRS: [(&str, &str); 40] = [
    ("0 0 * * *", "*-*-* 00:00:00"),
    ("30 2 * * *", "*-*-* 02:30:00"),
    ("0 2 * * *", "*-*-* 02:00:00"),
    ("59 2 * * *", "*-*-* 02:59:00"),
    ("0 3 * * *", "*-*-* 03:00:00"),
    ("1 3 * * *", "*-*-* 03:01:00"),
    ("59 1 * * *", "*-*-* 01:59:00"),
    ("15 1,13 * * *", "*-*-* 01,13:15:00"),
    ("0 */6 * * *", "*-*-* 00/6:00:00"),
    ("0 1-5 * * *", "*-*-* 01..05:00:00"),
    ("*/15 2 * * *", "*-*-* 02:00/15:00"),
    ("*/20 8-18 * * 1-5", "Mon..Fri *-*-* 08..18:00/20:00"),
    ("5/25 9 * * *", "*-*-* 09:05/25:00"),
    ("10-40/10 4 * * *", "*-*-* 04:10,20,30,40:00"),
    ("0 9-17/4 * * mon,wed,fri", "Mon,Wed,Fri *-*-* 09,13,17:00:00"),
    ("0 12 * * sun", "Sun *-*-* 12:00:00"),
    ("30 2 * * 0", "Sun *-*-* 02:30:00"),
    ("0 7 * * sat", "Sat *-*-* 07:00:00"),
    ("0 7 * * 0,6", "Sat,Sun *-*-* 07:00:00"),
    ("45 23 * * tue-thu", "Tue..Thu *-*-* 23:45:00"),
    ("0 6 * * */3", "Sun,Wed,Sat *-*-* 06:00:00"),
    ("0 0 1 * *", "*-*-01 00:00:00"),
    ("30 4 1,15 * *", "*-*-01,15 04:30:00"),
    ("0 5 */10 * *", "*-*-01/10 05:00:00"),
    ("0 5 28-31 * *", "*-*-28..31 05:00:00"),
    ("0 5 31 * *", "*-*-31 05:00:00"),
    ("0 0 1 jan,jul *", "*-01,07-01 00:00:00"),
    ("0 0 1 */3 *", "*-01,04,07,10-01 00:00:00"),
    ("15 10 29 2-4 *", "*-02..04-29 10:15:00"),
    ("30 2 25-31 3,10 *", "*-03,10-25..31 02:30:00"),
    ("0 4 * 6-8 mon", "Mon *-06..08-* 04:00:00"),
    ("0 4 24 dec ?", "*-12-24 04:00:00"),
    ("30 2 29 mar *", "*-03-29 02:30:00"),
    ("30 2 25 oct *", "*-10-25 02:30:00"),
    ("0 * * * *", "*-*-* *:00:00"),
    ("30 * * * *", "*-*-* *:30:00"),
    ("*/20 * * * *", "*-*-* *:00/20:00"),
    ("5,35 * * * 6", "Sat *-*-* *:05,35:00"),
    ("7 * 1-7 * *", "*-*-01..07 *:07:00"),
    ("15 30 6 * * 1-5", "Mon..Fri *-*-* 06:30:15"),
];

/// Where the program reads the rules of the zones. A zone that is not there would be UTC for it.
const RULES: &str = "/usr/share/zoneinfo";

/// When the program says that it is due, after the begin of the year: so many times, or as often as it still is.
fn theirs(calendar: &str, tz: Tz, count: usize) -> Result<Vec<i64>, String> {
    let rules = Path::new(RULES).join(tz.name());
    if tz != Tz::UTC && !rules.exists() {
        return Err(format!("there is no {}", rules.display()));
    }
    let base = DateTime::from_timestamp(YEAR.0, 0).unwrap();
    let out = Command::new("systemd-analyze")
        .args(["calendar", &format!("--iterations={count}")])
        .arg(format!("--base-time={}", base.format("%Y-%m-%d %H:%M:%S UTC")))
        // With the zone behind the expression it starts a process for each answer.
        .arg(calendar)
        .envs([("LC_ALL", "C"), ("TZ", tz.name())])
        .output();
    let out = match out {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(error.to_string()),
        out => out.unwrap(),
    };
    assert!(
        out.status.success(),
        "{calendar}: {}",
        String::from_utf8_lossy(&out.stderr).trim()
    );
    // `Next elapse: Thu 2026-01-01 01:30:00 CET`, or `Iter. #2: ` and the like, and then `(in UTC): ` with the same, unless
    // it was UTC. The lines `From now: ` do not end in the name of a zone.
    let time = |line: &str| {
        let (_, when) = line.split_once(": ")?;
        let when = when.trim().strip_suffix(" UTC")?;
        let time = NaiveDateTime::parse_from_str(when, "%a %Y-%m-%d %H:%M:%S").unwrap();
        Some(time.and_utc().timestamp())
    };
    Ok(String::from_utf8(out.stdout)
        .unwrap()
        .lines()
        .filter_map(time)
        .collect())
}

#[test]
fn a_year_of_expressions_is_what_systemd_says() {
    for tz in [Tz::UTC, Tz::Europe__Berlin] {
        if let Err(error) = theirs(PAIRS[0].1, tz, 1) {
            println!("skipped: systemd-analyze cannot be asked about {tz}: {error}");
            continue;
        }
        let changes = changes(tz);
        // The program leaves out what the clock leaps over, where we have it at the end of the gap, and knows only the
        // first of two hours, where an interval has both. So these fires of ours are not compared; all others are.
        let (mut compared, mut on_days_of_change, mut moved, mut again) = (0, 0, 0, 0);
        for (cron, calendar) in PAIRS {
            let fires = ours(cron, tz, YEAR.0, YEAR.1);
            let is_interval = cron.split(' ').rev().nth(3) == Some("*");
            let is_again = |at: i64| {
                let mut back = changes.iter().filter(|change| !change.is_forward);
                is_interval && back.any(|change| (change.at..change.at + 3_600).contains(&at))
            };
            let mut agreed = BTreeSet::new();
            for fire in &fires {
                match (fire.at.secs(), fire.dst) {
                    (_, Dst::Moved { .. }) => moved += 1,
                    (at, _) if is_again(at) => again += 1,
                    (at, _) => drop(agreed.insert(at)),
                }
            }
            let mut expected: BTreeSet<i64> = theirs(calendar, tz, fires.len() + 1)
                .unwrap()
                .into_iter()
                .filter(|at| *at < YEAR.1)
                .collect();
            assert_eq!(agreed, expected, "{cron} in {tz}");
            compared += expected.len();
            expected.retain(|at| changes.iter().any(|change| change.is_near(tz, *at)));
            on_days_of_change += expected.len();
        }
        println!(
            "{tz}: {compared} fires compared, {on_days_of_change} of them on days of a change; not compared: {moved} \
             moved, {again} of a second hour"
        );
        assert!(compared > 50_000, "{compared} are too few to mean anything");
        if tz != Tz::UTC {
            assert!(
                on_days_of_change > 200,
                "{on_days_of_change} are too few to mean anything"
            );
            assert!(moved > 2 && again > 2, "{moved} {again}");
        }
    }
}

//! A year of random schedules against judges that have not read our code: the library `croner`, and the program
//! `systemd-analyze`.
//!
//! What the library means otherwise it is not asked:
//! - It knows `7`, `L`, `W`, `#` and a list with nothing between two commas, which are errors here.
//! - `sun` at the end of a range is 7 there, so that `sun-sun` is the whole week; here it is 0.
//! - `*/1` and a list that holds `*`, in a field for days, restrict nothing here, but do there.
//! - On days when the clock changes it takes only an expression with one minute and one hour for a fixed time, the manual
//!   page every one whose hour is not every hour. It is asked about each minute and hour of such an expression one by one,
//!   which it takes for fixed times; together they are what the manual page says.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "all of it is a test: what must hold is asserted where it happens"
)]

#[path = "cron_oracle/expressions.rs"]
mod expressions;
#[path = "cron_oracle/library.rs"]
mod library;
#[path = "cron_oracle/program.rs"]
mod program;
#[path = "sim_scheduler/rng.rs"]
mod rng;

use chrono::{DateTime, NaiveDate, Offset, TimeZone};
use chrono_tz::Tz;
use proctor::dag::cron::{Fire, Schedule, Zone};
use proctor::model::Time;

/// The year 2026 in UTC: from and to, in seconds since the Unix epoch.
const YEAR: (i64, i64) = (1_767_225_600, 1_798_761_600);

/// When we say that an expression is due, after `from` and before `to`.
fn ours(text: &str, tz: Tz, from: i64, to: i64) -> Vec<Fire> {
    let schedule = Schedule::parse(text).unwrap_or_else(|errors| panic!("{text}: {errors:?}"));
    schedule
        .after(Time::from_secs(from), Zone::named(tz.name()).unwrap())
        .take_while(|fire| fire.at.secs() < to)
        .collect()
}

/// What the clock of a zone shows.
fn shown(tz: Tz, at: i64) -> DateTime<Tz> {
    tz.from_utc_datetime(&DateTime::from_timestamp(at, 0).unwrap().naive_utc())
}

/// A change of a clock.
struct Change {
    /// The first instant with the new offset.
    at: i64,
    /// The local days that it belongs to: two, if the clock leaps over midnight.
    days: [NaiveDate; 2],
    /// Whether it leaps over something.
    is_forward: bool,
}

impl Change {
    /// An instant before its days and one after them.
    const fn around(&self) -> (i64, i64) {
        (self.at - 27 * 3_600, self.at + 27 * 3_600)
    }

    fn is_near(&self, tz: Tz, at: i64) -> bool {
        self.days.contains(&shown(tz, at).date_naive())
    }
}

/// All changes of the year. In this one they all come at full quarters of an hour.
fn changes(tz: Tz) -> Vec<Change> {
    let offset = |at: i64| shown(tz, at).offset().fix().local_minus_utc();
    (YEAR.0..YEAR.1)
        .step_by(900)
        .filter(|at| offset(*at) != offset(at - 900))
        .map(|at| Change {
            at,
            days: [at - 1, at].map(|at| shown(tz, at).date_naive()),
            is_forward: offset(at) > offset(at - 1),
        })
        .collect()
}

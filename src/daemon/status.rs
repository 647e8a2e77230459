//! The line that `systemctl status` shows: what is live, what waits, what comes next.
//!
//! It is told when it has changed, and not more than once a second. Without a service manager nothing is done for it.

use super::alarms::Alarm;
use super::dispatcher::{Dispatcher, now};
use super::registry::Place;
use crate::dag::cron::LocalTime;
use crate::engine::scheduler::TickKind;
use crate::model::{Boot, DagName, Time};
use crate::telemetry::notify;

/// Seconds between two lines.
const PAUSE: f64 = 1.0;
/// Microseconds within which a time needs no date.
const DAY: i64 = 24 * 60 * 60 * 1_000_000;

/// What the line is made of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Standing {
    live: u32,
    queued: usize,
    /// When the next scheduled time is due, and whose it is.
    next: Option<(Time, DagName)>,
    draining: bool,
    trouble: bool,
}

/// What the service manager knows.
#[derive(Debug, Default)]
pub(super) struct Status {
    /// Whether there is one, once the daemon serves.
    managed: bool,
    told: Standing,
    told_at: Boot,
}

/// The next scheduled time, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Next {
    /// Whose it is; none if that is not for everybody to see.
    dag: Option<DagName>,
    stops: bool,
    local: LocalTime,
    /// Whether it is so far off that the date counts.
    far: bool,
}

impl Dispatcher {
    /// The daemon serves.
    pub(super) fn first_status(&mut self, adopted: usize) {
        let line = self.status_line();
        drop(notify::ready(&format!(
            "serving; {adopted} attempts adopted; {line}"
        )));
        self.status = Status {
            managed: notify::is_listening(),
            told: self.standing(),
            told_at: now().boot,
        };
    }

    /// Something has happened: if the line is another one now it is told, or will be.
    pub(super) fn tell_status(&mut self) {
        if !self.status.managed || !self.has_changed() || self.alarms.is_set(&Alarm::Status) {
            return;
        }
        let (at, due) = (now().boot, self.status.told_at.after_secs(PAUSE));
        if at < due {
            self.alarms.set(due, Alarm::Status);
            self.arm();
            return;
        }
        // Without the manager's ear nothing can be done.
        drop(notify::status(&self.status_line()));
        self.status.told = self.standing();
        self.status.told_at = at;
    }

    /// The pause is over.
    pub(super) fn status_due(&mut self) {
        self.tell_status();
    }

    /// This comes with every message, so nothing is copied.
    fn has_changed(&self) -> bool {
        let (told, counts) = (&self.status.told, self.engine.counts());
        let next = self.engine.next_due().map(|(dag, due, ..)| (due, dag));
        told.live != counts.live
            || told.queued != counts.queued
            || told.draining != self.draining
            || told.trouble != self.store_trouble.is_some()
            || told.next.as_ref().map(|(due, dag)| (*due, dag)) != next
    }

    fn standing(&self) -> Standing {
        let counts = self.engine.counts();
        Standing {
            live: counts.live,
            queued: counts.queued,
            next: self.engine.next_due().map(|(dag, due, ..)| (due, dag.clone())),
            draining: self.draining,
            trouble: self.store_trouble.is_some(),
        }
    }

    fn status_line(&self) -> String {
        let next = self.engine.next_due().map(|(dag, due, kind, fire)| {
            // Everybody sees the line, and nobody but administrators sees the DAGs of other users.
            let force = self.registry.in_force.get(dag);
            let public = force.is_some_and(|force| force.file.place == Place::System);
            Next {
                dag: public.then(|| dag.clone()),
                stops: kind == TickKind::Stop,
                local: fire.local,
                far: due.0.saturating_sub(now().wall.0) >= DAY,
            }
        });
        line(&self.standing(), next.as_ref())
    }
}

fn line(standing: &Standing, next: Option<&Next>) -> String {
    let Standing {
        live,
        queued,
        draining,
        trouble,
        ..
    } = standing;
    let mut line = String::new();
    if *trouble {
        line.push_str("the store cannot be written; ");
    }
    if *draining {
        line.push_str("stopping attempts in order to leave; ");
    }
    line += &format!("{live} live, {queued} queued");
    if let Some(next) = next {
        let what = match (&next.dag, next.stops) {
            (Some(dag), false) => dag.to_string(),
            (Some(dag), true) => format!("stop of {dag}"),
            (None, false) => String::from("start"),
            (None, true) => String::from("stop"),
        };
        let local = next.local.to_string();
        let time = local.split_once(' ').filter(|_| !next.far);
        line += &format!(", next {what} {}", time.map_or(local.as_str(), |(_, time)| time));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_what_is_live_what_waits_and_what_comes() {
        let mut standing = Standing {
            live: 3,
            queued: 12,
            ..Standing::default()
        };
        assert_eq!(line(&standing, None), "3 live, 12 queued");
        let mut next = Next {
            dag: Some(DagName::new("nightly").unwrap()),
            stops: false,
            local: LocalTime::new(2026, 11, 29, 2, 0).unwrap(),
            far: false,
        };
        assert_eq!(
            line(&standing, Some(&next)),
            "3 live, 12 queued, next nightly 02:00"
        );
        next.far = true;
        next.stops = true;
        let told = line(&standing, Some(&next));
        assert_eq!(told, "3 live, 12 queued, next stop of nightly 2026-11-29 02:00");
        next.dag = None;
        next.far = false;
        standing.trouble = true;
        standing.draining = true;
        let told = line(&standing, Some(&next));
        let wanted = "the store cannot be written; stopping attempts in order to leave; 3 live, 12 queued, next stop 02:00";
        assert_eq!(told, wanted);
    }
}

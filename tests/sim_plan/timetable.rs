//! When things are due, in plain arithmetic: nothing of the engine's calendar, and nothing of its delays.

use crate::rng::Rng;
use proctor::engine::scheduler::TickKind;
use proctor::model::{DagName, Time};
use sha2::{Digest, Sha256};

/// Zones without summer time, and by how many minutes their clocks are ahead.
pub(crate) const ZONES: [(&str, i64); 4] = [
    ("UTC", 0),
    ("Asia/Kolkata", 330),
    ("Asia/Tokyo", 540),
    ("America/Phoenix", -420),
];

/// Every so many minutes of the day, from that minute on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Every {
    minutes: i64,
    from: i64,
}

impl Every {
    fn random(rng: &mut Rng) -> Self {
        let minutes = [5, 10, 15, 30, 60, 120, 360, 1440][rng.below(8)];
        let from = i64::try_from(rng.below(usize::try_from(minutes).unwrap())).unwrap();
        Self { minutes, from }
    }

    const fn is_due(self, local_minute: i64) -> bool {
        local_minute.rem_euclid(self.minutes) == self.from
    }

    fn expression(self) -> String {
        let Self { minutes, from } = self;
        if minutes < 60 {
            format!("{from}-59/{minutes} * * * *")
        } else if minutes == 1440 {
            format!("{} {} * * *", from % 60, from / 60)
        } else {
            let (hours, hour) = (minutes / 60, from / 60);
            format!("{} {hour}-23/{hours} * * *", from % 60)
        }
    }
}

/// The schedules of a DAG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Timetable {
    starts: Vec<Every>,
    stops: Vec<Every>,
    restarts: Vec<Every>,
    /// Which of [`ZONES`].
    pub(crate) zone: usize,
    pub(crate) jitter_sec: u32,
}

impl Timetable {
    pub(crate) fn random(rng: &mut Rng) -> Self {
        let mut every = |most: usize| -> Vec<Every> {
            let count = rng.below(most + 1);
            (0..count).map(|_| Every::random(rng)).collect()
        };
        let (starts, stops, restarts) = (every(3), every(1), every(1));
        Self {
            starts,
            stops,
            restarts,
            zone: if rng.percent(50) {
                0
            } else {
                rng.below(ZONES.len())
            },
            jitter_sec: [0, 0, 0, 40, 200, 3_600][rng.below(6)],
        }
    }

    /// Whether it says the same as another one, but for how long things are put off.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let jitter_sec = other.jitter_sec;
        Self {
            jitter_sec,
            ..self.clone()
        } == *other
    }

    /// Expressions of starts, stops and restarts.
    pub(crate) fn expressions(&self) -> [Vec<String>; 3] {
        [&self.starts, &self.stops, &self.restarts]
            .map(|list| list.iter().map(|every| every.expression()).collect())
    }

    /// What is to happen in a minute since the epoch.
    pub(crate) fn kind(&self, minute: i64) -> Option<TickKind> {
        let local = minute + ZONES[self.zone].1;
        let due = |list: &[Every]| list.iter().any(|every| every.is_due(local));
        match (due(&self.starts), due(&self.stops), due(&self.restarts)) {
            (false, false, false) => None,
            (true, false, false) => Some(TickKind::Start),
            (false, true, false) => Some(TickKind::Stop),
            _ => Some(TickKind::Restart),
        }
    }

    /// Whether a start is scheduled for a minute since the epoch.
    pub(crate) fn starts_at(&self, minute: i64) -> bool {
        let local = minute + ZONES[self.zone].1;
        self.starts.iter().any(|every| every.is_due(local))
    }

    /// By how many seconds what is scheduled for a time is put off: by what a hash of DAG and time says, but not up to
    /// whatever comes next. A stop is not put off.
    pub(crate) fn wait_sec(&self, dag: &DagName, at: Time) -> i64 {
        let minute = at.secs().div_euclid(60);
        if self.jitter_sec == 0 || self.kind(minute) == Some(TickKind::Stop) {
            return 0;
        }
        let mut hash = Sha256::new();
        for part in ["jitter", dag.as_str(), &at.0.to_string()] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let hash = hash.finalize();
        let number = hash[..7]
            .iter()
            .fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        let wait = i64::try_from(number % (u64::from(self.jitter_sec) + 1)).unwrap();
        let next = (minute + 1..=minute + 61).find(|minute| self.kind(*minute).is_some());
        next.map_or(wait, |next| wait.min((next - minute) * 60 - 1))
    }
}

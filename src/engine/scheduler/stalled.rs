//! Attempts that exist and are silent: reported, and after a time that the administrator sets stopped, first by the stop
//! that everybody may ask for and then by the end of their supervisor. Silence alone is never death (P14).

use crate::model::Boot;

/// What is known and was done about the silence of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Stage {
    /// It was heard at the last look.
    #[default]
    Beating,
    /// It was silent at a look that came late: the machine may have slept, and the supervisor with it.
    Doubted,
    /// It was reported as stalled.
    Stalled {
        /// When.
        since: Boot,
    },
    /// It was asked to stop.
    Stopping {
        /// When.
        since: Boot,
    },
    /// Its supervisor was killed. Its death is told by the kernel.
    Killed,
}

/// One look at a heartbeat. Durations are in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Now.
    pub at: Boot,
    /// When the look was due.
    pub due: Boot,
    /// Age of the last beat; none if it cannot be told, or if the attempt does not exist any more.
    pub age: Option<u64>,
    /// Age from which on a beat is stale; greater than 0.
    pub stale_after: u64,
    /// Time from the report to the stop; 0 is never.
    pub stop_after: u64,
    /// Time that a stop may take before the supervisor is killed.
    pub grace: u64,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Act {
    /// Report that it is stalled.
    Report,
    /// Report that it beats again.
    Recovered,
    /// Have it stopped.
    Stop,
    /// Kill its supervisor.
    Kill,
}

const fn after(at: Boot, micros: u64) -> Boot {
    Boot(at.0.saturating_add(micros))
}

impl Stage {
    /// What a look leads to: the next stage, what is to be done, and when to look again; none is never.
    #[must_use]
    pub fn look(self, look: &Look) -> (Self, Option<Act>, Option<Boot>) {
        let Look { at, stale_after, .. } = *look;
        let usual = after(at, stale_after);
        let half = stale_after / 2;
        let Some(age) = look.age else {
            return (self, None, Some(usual));
        };
        if age < stale_after {
            let act = match self {
                Self::Beating | Self::Doubted => None,
                Self::Stalled { .. } | Self::Stopping { .. } | Self::Killed => Some(Act::Recovered),
            };
            // When this beat would be stale; but never in a hurry.
            let next = after(at, (stale_after - age).max(half));
            return (Self::Beating, act, Some(next));
        }
        let late = at.micros_since(look.due) >= half.max(1);
        let stop_at = |since: Boot| Some(after(since, look.stop_after)).filter(|_| look.stop_after > 0);
        match self {
            Self::Beating if late => (Self::Doubted, None, Some(after(at, half))),
            Self::Beating | Self::Doubted => {
                let next = stop_at(at).map_or(usual, |stop| stop.min(usual));
                (Self::Stalled { since: at }, Some(Act::Report), Some(next))
            }
            Self::Stalled { since } => match stop_at(since) {
                Some(stop) if stop <= at => {
                    let next = after(at, look.grace);
                    (Self::Stopping { since: at }, Some(Act::Stop), Some(next))
                }
                stop => (self, None, Some(stop.map_or(usual, |stop| stop.min(usual)))),
            },
            Self::Stopping { since } if after(since, look.grace) <= at => {
                (Self::Killed, Some(Act::Kill), None)
            }
            Self::Stopping { since } => (self, None, Some(after(since, look.grace))),
            Self::Killed => (self, None, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGUN: Boot = Boot(1_000);

    fn look(at: u64, age: Option<u64>, stop_after: u64) -> Look {
        Look {
            at: Boot(at),
            due: Boot(at),
            age,
            stale_after: 90,
            stop_after,
            grace: 20,
        }
    }

    /// Every stage with every kind of look: unheard of, fresh, stale in time, stale and late.
    #[test]
    fn every_combination_has_its_consequence() {
        let stalled = Stage::Stalled { since: BEGUN };
        let stopping = Stage::Stopping { since: BEGUN };
        let stages = [Stage::Beating, Stage::Doubted, stalled, stopping, Stage::Killed];
        // Nothing is concluded from what cannot be read.
        for stage in stages {
            let (next, act, again) = stage.look(&look(1_500, None, 30));
            assert_eq!((next, act, again), (stage, None, Some(Boot(1_590))), "{stage:?}");
        }
        // One that is heard is well, and that is told if anything else was.
        for stage in stages {
            let (next, act, again) = stage.look(&look(1_500, Some(5), 30));
            let told = !matches!(stage, Stage::Beating | Stage::Doubted);
            assert_eq!(next, Stage::Beating, "{stage:?}");
            assert_eq!(act, told.then_some(Act::Recovered), "{stage:?}");
            assert_eq!(again, Some(Boot(1_585)), "{stage:?}");
        }
        let silent = |at| look(at, Some(90), 300);
        let reported = Stage::Stalled { since: Boot(1_500) };
        for stage in [Stage::Beating, Stage::Doubted] {
            let expected = (reported, Some(Act::Report), Some(Boot(1_590)));
            assert_eq!(stage.look(&silent(1_500)), expected);
        }
        assert_eq!(
            stalled.look(&silent(1_299)),
            (stalled, None, Some(Boot(1_300))),
            "not yet"
        );
        let asked = Stage::Stopping { since: Boot(1_300) };
        assert_eq!(
            stalled.look(&silent(1_300)),
            (asked, Some(Act::Stop), Some(Boot(1_320)))
        );
        assert_eq!(stopping.look(&silent(1_019)), (stopping, None, Some(Boot(1_020))));
        assert_eq!(
            stopping.look(&silent(1_020)),
            (Stage::Killed, Some(Act::Kill), None)
        );
        assert_eq!(Stage::Killed.look(&silent(1_500)), (Stage::Killed, None, None));
        // Only what was heard before gets the benefit of the doubt when the look is late, and only once.
        for stage in stages {
            let late = Look {
                due: Boot(1_455),
                ..silent(1_500)
            };
            let expected = if stage == Stage::Beating {
                (Stage::Doubted, None, Some(Boot(1_545)))
            } else {
                stage.look(&silent(1_500))
            };
            assert_eq!(stage.look(&late), expected, "{stage:?}");
        }
    }

    #[test]
    fn without_an_order_a_silent_attempt_is_never_stopped() {
        let mut stage = Stage::Beating;
        let mut at = 1_000;
        let mut acts = Vec::new();
        for _ in 0..1_000 {
            let (next, act, again) = stage.look(&look(at, Some(at), 0));
            acts.extend(act);
            let again = again.unwrap().0;
            assert!(again >= at + 90, "not more often than that");
            (stage, at) = (next, again);
        }
        assert_eq!(acts, [Act::Report]);
    }

    #[test]
    fn with_an_order_it_is_reported_stopped_and_killed_in_time() {
        let mut stage = Stage::Beating;
        let (mut at, mut acts) = (1_000, Vec::new());
        loop {
            let (next, act, again) = stage.look(&look(at, Some(at), 300));
            acts.extend(act.map(|act| (act, at)));
            stage = next;
            let Some(again) = again else { break };
            at = again.0;
        }
        let expected = [(Act::Report, 1_000), (Act::Stop, 1_300), (Act::Kill, 1_320)];
        assert_eq!(acts, expected);
    }

    #[test]
    fn a_beat_that_is_nearly_stale_is_not_looked_at_in_a_hurry() {
        let (_, _, again) = Stage::Beating.look(&look(1_000, Some(89), 0));
        assert_eq!(again, Some(Boot(1_045)));
    }
}

//! How long runs are kept: what the DAG says, else what the configuration says, else what somebody asks for.

use serde::Deserialize;

use crate::config::types::Retention;
use crate::model::Time;
use crate::store::Limits;

/// Microseconds of a day.
const DAY: i64 = 24 * 60 * 60 * 1_000_000;

/// What a DAG says about its runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub(super) struct Said {
    /// Days; negative is for ever. 0 is as good as nothing said.
    #[serde(default)]
    hist_retention_days: Option<i64>,
    #[serde(default)]
    scheduling: SaidOfRuns,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
struct SaidOfRuns {
    /// The newest so many; 0 is no limit.
    #[serde(default)]
    hist_retention_runs: Option<u32>,
}

impl Said {
    /// Reads it from a DAG as it is stored with its runs. A DAG that cannot be read keeps all: better too much than too
    /// little.
    pub(super) fn of(dag: &str) -> Self {
        serde_json::from_str(dag).unwrap_or(Self {
            hist_retention_days: Some(-1),
            scheduling: SaidOfRuns {
                hist_retention_runs: Some(0),
            },
        })
    }

    /// What is old at a time.
    pub(super) fn limits(self, otherwise: &Retention, now: Time) -> Limits {
        let days = match self.hist_retention_days {
            None | Some(0) => Some(i64::from(otherwise.days)).filter(|days| *days > 0),
            Some(days) => Some(days).filter(|days| *days > 0),
        };
        let runs = self.scheduling.hist_retention_runs.unwrap_or(otherwise.runs);
        Limits {
            ended_before: days.map(|days| before(days, now)),
            keep: Some(runs).filter(|runs| *runs > 0),
            notices_since: before(1, now),
        }
    }
}

/// What is old if somebody names the limits; none if nothing is named. Zero keeps nothing here.
pub(super) fn asked(keep_days: Option<u32>, keep_runs: Option<u32>, now: Time) -> Option<Limits> {
    (keep_days.is_some() || keep_runs.is_some()).then(|| Limits {
        ended_before: keep_days.map(|days| before(i64::from(days), now)),
        keep: keep_runs,
        notices_since: before(1, now),
    })
}

fn before(days: i64, now: Time) -> Time {
    Time(now.0.saturating_sub(days.saturating_mul(DAY)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dag::types::Dag;

    const NOW: Time = Time(100 * DAY);

    fn limits(dag: &str, days: u32, runs: u32) -> (Option<i64>, Option<u32>) {
        let otherwise = Retention {
            enabled: true,
            days,
            runs,
        };
        let limits = Said::of(dag).limits(&otherwise, NOW);
        (limits.ended_before.map(|at| 100 - at.0 / DAY), limits.keep)
    }

    #[test]
    fn a_dag_decides_and_the_configuration_where_it_says_nothing() {
        assert_eq!(limits("{}", 30, 0), (Some(30), None));
        assert_eq!(limits("{}", 0, 9), (None, Some(9)));
        let dag = |days: &str, runs: &str| {
            format!("{{\"hist_retention_days\":{days},\"scheduling\":{{\"hist_retention_runs\":{runs}}}}}")
        };
        assert_eq!(limits(&dag("7", "5"), 30, 9), (Some(7), Some(5)));
        assert_eq!(limits(&dag("0", "0"), 30, 9), (Some(30), None));
        assert_eq!(limits(&dag("-1", "null"), 30, 9), (None, Some(9)));
        assert_eq!(limits(&dag("null", "null"), 30, 0), (Some(30), None));
        assert_eq!(limits(&dag("9223372036854775807", "1"), 30, 0).1, Some(1));
        assert_eq!(limits("no JSON", 30, 9), (None, None));
    }

    #[test]
    fn the_keys_are_where_a_stored_dag_has_them() {
        let mut dag = Dag::new(crate::model::DagName::new("d").unwrap());
        dag.hist_retention_days = Some(3);
        let text = serde_json::to_string(&dag).unwrap();
        assert_eq!(limits(&text, 30, 0), (Some(3), None));
    }

    #[test]
    fn a_written_zero_keeps_every_run_whatever_is_configured() {
        let limits = |line: &str| {
            let text = format!("{line}\nsteps: [x]\n");
            let source = crate::dag::Source {
                text: text.as_bytes(),
                file: "d.yaml",
                stem: "d",
            };
            let loaded = crate::dag::load(&source, &crate::dag::LoadOptions::default()).unwrap();
            limits(&serde_json::to_string(&loaded.dag).unwrap(), 30, 9).1
        };
        assert_eq!(limits("hist_retention_runs: 0"), None);
        assert_eq!(limits("hist_retention_runs: 5"), Some(5));
        assert_eq!(limits("hist_retention_runs:"), Some(9));
        assert_eq!(limits("group: g"), Some(9));
    }

    #[test]
    fn who_names_a_limit_means_that_one_only() {
        assert_eq!(asked(None, None, NOW), None);
        let days = asked(Some(0), None, NOW).unwrap();
        assert_eq!((days.ended_before, days.keep), (Some(NOW), None));
        let runs = asked(None, Some(0), NOW).unwrap();
        assert_eq!((runs.ended_before, runs.keep), (None, Some(0)));
    }
}

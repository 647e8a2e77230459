//! The DAGs of a history, and the reference for when they are due: plain arithmetic, nothing of the engine's calendar.

use crate::rng::Rng;
use proctor::dag::cron::{Schedule, Zone};
use proctor::dag::types::OverlapPolicy;
use proctor::engine::scheduler::{Installed, TickKind};
use proctor::model::change::NewRun;
use proctor::model::{DagName, Priority, RetryPolicy, RetryRule, RunRef, Time, Trigger};
use std::sync::Arc;

/// Every so many minutes of the day, from that minute on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Every {
    pub(crate) minutes: i64,
    pub(crate) from: i64,
}

impl Every {
    fn is_due(self, minute: i64) -> bool {
        minute.rem_euclid(self.minutes) == self.from
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

fn policy(rng: &mut Rng) -> RetryPolicy {
    let rule = RetryRule {
        limit: u32::try_from(1 + rng.below(3)).unwrap(),
        interval_sec: [1, 45, 600, 7_200][rng.below(4)],
        backoff: 0.0,
        max_interval_sec: 7_200,
    };
    RetryPolicy {
        failed: Some(rule),
        exit_codes: Vec::new(),
        lost: Some(rule).filter(|_| rng.percent(50)),
        shared: rng.percent(50),
    }
}

/// A DAG and its policies.
#[derive(Debug, Clone)]
pub(crate) struct Dag {
    pub(crate) name: DagName,
    pub(crate) starts: Vec<Every>,
    pub(crate) stops: Vec<Every>,
    pub(crate) restarts: Vec<Every>,
    pub(crate) overlap: OverlapPolicy,
    pub(crate) catchup_sec: i64,
    pub(crate) skip_if_successful: bool,
    pub(crate) capacity: u32,
    pub(crate) retry: Option<RetryPolicy>,
}

impl Dag {
    pub(crate) fn random(number: usize, rng: &mut Rng) -> Self {
        let mut every = |most: usize| -> Vec<Every> {
            (0..rng.below(most + 1))
                .map(|_| {
                    let minutes = [5, 10, 15, 30, 60, 120, 360, 1440][rng.below(8)];
                    let from = i64::try_from(rng.below(usize::try_from(minutes).unwrap())).unwrap();
                    Every { minutes, from }
                })
                .collect()
        };
        let (starts, stops, restarts) = (every(3), every(1), every(1));
        Self {
            name: format!("dag{number}").parse().unwrap(),
            starts,
            stops,
            restarts,
            overlap: [
                OverlapPolicy::Skip,
                OverlapPolicy::All,
                OverlapPolicy::Latest,
                OverlapPolicy::CancelOther,
            ][rng.below(4)],
            catchup_sec: [0, 0, 1800, 7200, 86_400][rng.below(5)],
            skip_if_successful: rng.percent(15),
            capacity: u32::try_from(rng.below(4)).unwrap(),
            retry: rng.percent(60).then(|| policy(rng)),
        }
    }

    /// What is to happen in a minute.
    pub(crate) fn kind(&self, minute: i64) -> Option<TickKind> {
        let due = |list: &[Every]| list.iter().any(|every| every.is_due(minute));
        match (due(&self.starts), due(&self.stops), due(&self.restarts)) {
            (false, false, false) => None,
            (true, false, false) => Some(TickKind::Start),
            (false, true, false) => Some(TickKind::Stop),
            _ => Some(TickKind::Restart),
        }
    }

    /// Whether a start is scheduled for a minute.
    pub(crate) fn starts_at(&self, minute: i64) -> bool {
        self.starts.iter().any(|every| every.is_due(minute))
    }

    /// All that is scheduled after one time and up to another.
    pub(crate) fn ticks(
        &self,
        after: Time,
        to: Time,
    ) -> impl DoubleEndedIterator<Item = (Time, TickKind)> + '_ {
        let minutes = after.secs().div_euclid(60) + 1..=to.secs().div_euclid(60);
        let minutes = minutes.start().to_owned()..minutes.end() + 1;
        minutes.filter_map(|minute| Some((Time::from_secs(minute * 60), self.kind(minute)?)))
    }

    pub(crate) fn new_run(&self, id: &str, at: Time) -> NewRun {
        NewRun {
            run: RunRef {
                dag: self.name.clone(),
                id: id.parse().unwrap(),
            },
            group: (&self.name).into(),
            capacity: self.capacity,
            owner: 1000,
            trigger: Trigger::Manual,
            created_at: at,
            dag_hash: String::new(),
            dag: "".into(),
            steps: Vec::new(),
            handlers: Vec::new(),
            params: Vec::new(),
            params_json: String::new(),
            base_dir: String::new(),
            parent: None,
            priority: Priority::default(),
            now: false,
            dag_limit: 0,
            scheduled_for: None,
            retry: self.retry.clone(),
        }
    }

    pub(crate) fn installed(&self) -> Installed {
        let compile = |list: &[Every]| {
            list.iter()
                .map(|every| Schedule::parse(&every.expression()).unwrap())
                .collect()
        };
        Installed {
            dag: self.name.clone(),
            starts: compile(&self.starts),
            stops: compile(&self.stops),
            restarts: compile(&self.restarts),
            zone: Zone::UTC,
            jitter_sec: 0,
            overlap: self.overlap,
            catchup_sec: self.catchup_sec.unsigned_abs(),
            skip_if_successful: self.skip_if_successful,
            template: Arc::new(self.new_run("template", Time::default())),
            suspended: false,
            watermark: None,
            last_success: None,
        }
    }
}

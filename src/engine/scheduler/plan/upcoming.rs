//! What the schedules will do, for people who ask.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::backlog::{Plan, is_far_ahead};
use super::ticks::{self, Tick};
use crate::dag::cron::{Fire, Zone};
use crate::engine::scheduler::Scheduler;
use crate::engine::scheduler::api::TickKind;
use crate::model::{DagName, Time};

/// A scheduled time that comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upcoming {
    /// Whose it is.
    pub dag: DagName,
    /// The scheduled time.
    pub at: Time,
    /// When it is acted upon: later than scheduled by the jitter.
    pub due: Time,
    /// What happens then.
    pub kind: TickKind,
    /// What the clock shows then, and what is unusual about it.
    pub fire: Fire,
    /// Whose clock that is.
    pub zone: Zone,
    /// Whether nothing happens as long as the DAG is held back.
    pub suspended: bool,
    /// Nothing happens up to this time, since the clock was ahead and the times until then are decided already.
    pub decided_ahead: Option<Time>,
    /// Whether nothing happens at all: [`Scheduler::without_schedules`].
    pub idle: bool,
}

impl Scheduler {
    /// Up to when the schedules of a DAG do nothing because the clock was ahead, if that is later than `now`.
    #[must_use]
    pub fn decided_ahead(&self, dag: &DagName, now: Time) -> Option<Time> {
        let plan = self.plans.by_dag.get(dag)?;
        plan.installed.as_ref().and_then(|_| plan.decided_ahead(now))
    }

    /// The next scheduled time that something is done at, without a look at any later one: whose it is, when it is due, what
    /// is done, and what the clock shows at the scheduled time. What is held back is passed over, and so are starts of users
    /// who may start nothing.
    #[must_use]
    pub fn next_due(&self) -> Option<(&DagName, Time, TickKind, Fire)> {
        self.plans.agenda.iter().find_map(|(_, dag)| {
            let tick = self.plans.by_dag.get(dag)?.next?;
            let barred = tick.kind != TickKind::Stop && self.plans.barred.contains(dag);
            (!barred).then_some((dag, tick.due, tick.kind, tick.fire))
        })
    }

    /// The next scheduled times after a time, at most `count`, the earliest first; of one DAG or of all. One that is put
    /// off beyond that time by its jitter is among them. Those that are decided already do not come again, even if the
    /// clock was put back.
    #[must_use]
    pub fn upcoming(&self, dag: Option<&DagName>, after: Time, count: usize) -> Vec<Upcoming> {
        let next =
            |plan: &Plan, after: Time| -> Option<Tick> { ticks::next(plan.installed.as_ref()?, after) };
        let plans: Vec<(&DagName, &Plan)> = match dag {
            Some(dag) => self.plans.by_dag.get_key_value(dag).into_iter().collect(),
            None => self.plans.by_dag.iter().collect(),
        };
        let mut coming: BinaryHeap<Reverse<(Time, usize)>> = BinaryHeap::new();
        let mut heads: Vec<Option<Tick>> = Vec::with_capacity(plans.len());
        for (index, (_, plan)) in plans.iter().enumerate() {
            let far = is_far_ahead(plan.watermark, after);
            let decided = if far { Time(i64::MIN) } else { plan.watermark };
            let put_off = plan.put_off(after, decided);
            let head = put_off.or_else(|| next(plan, after.max(decided)));
            coming.extend(head.map(|tick| Reverse((tick.at, index))));
            heads.push(head);
        }
        let mut found = Vec::new();
        while found.len() < count
            && let Some(Reverse((_, index))) = coming.pop()
        {
            let (Some((dag, plan)), Some(head)) = (plans.get(index), heads.get_mut(index)) else {
                continue;
            };
            let Some(tick) = head.take() else { continue };
            found.push(Upcoming {
                dag: (*dag).clone(),
                at: tick.at,
                due: tick.due,
                kind: tick.kind,
                fire: tick.fire,
                zone: tick.zone,
                suspended: plan.suspended,
                decided_ahead: plan.decided_ahead(after),
                idle: self.plans.idle,
            });
            *head = next(plan, tick.at);
            coming.extend(head.map(|tick| Reverse((tick.at, index))));
        }
        found
    }
}

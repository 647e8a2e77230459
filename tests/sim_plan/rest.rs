//! What must hold of those that wait: nobody lives beyond what there is room for, and in a quiet world everybody waits for
//! something that can be named.

use crate::dags::SHARED;
use crate::store::Row;
use crate::world::World;
use proctor::dag::types::OverlapPolicy;
use proctor::model::{AttemptId, GroupName, RunRef, StopReason};

impl World {
    /// Attempts that live, and their runs.
    fn living(&self) -> impl Iterator<Item = (&RunRef, &Row)> {
        let live = self.shims.values().filter(|shim| !shim.gone);
        live.filter_map(|shim| Some((&shim.run, self.store.rows.get(&shim.run)?)))
    }

    /// How many runs may live in a queue at a time; 0 is no limit.
    fn room(&self, queue: &GroupName, row: &Row) -> u32 {
        if queue.as_str() == SHARED {
            self.config.queues[queue]
        } else {
            row.capacity
        }
    }

    /// A run is about to live: there is room for it. Says whether there is none left then.
    pub(crate) fn check_room(&self, run: &RunRef) -> bool {
        let row = &self.store.rows[run];
        let within = |most: u32, others: usize| most == 0 || others < usize::try_from(most).unwrap();
        let all = self.living().count();
        assert!(within(self.config.max_live, all), "{run}: the daemon is full");
        // In the queue of a DAG's own name each user has the whole room.
        let shared = row.group.as_str() == SHARED;
        let in_queue = self
            .living()
            .filter(|(_, other)| other.group == row.group && (shared || other.owner == row.owner))
            .count();
        let room = self.room(&row.group, row);
        assert!(within(room, in_queue), "{run}: its queue is full");
        let of_dag = self
            .living()
            .filter(|(other, of)| other.dag == run.dag && of.owner == row.owner);
        assert!(within(row.dag_limit, of_dag.count()), "{run}: its DAG has enough");
        !within(room, in_queue + 1)
    }

    /// Whether only the newest scheduled run of the DAG counts, and this one waits or is tried again beside a newer one.
    pub(crate) fn gives_way(&self, run: &RunRef) -> bool {
        let number = self.dags.iter().position(|dag| dag.name == run.dag).unwrap();
        let (dag, row) = (&self.dags[number], &self.store.rows[run]);
        let counts = matches!(dag.overlap, OverlapPolicy::Latest | OverlapPolicy::CancelOther);
        // That it has ended may be known before the store has it.
        let over = |id: &AttemptId| {
            let shim = self.shims.get(id);
            shim.is_some_and(|shim| shim.ended || (shim.started && shim.gone))
        };
        let newer = |(other, of): (&RunRef, &Row)| {
            let same = other.dag == run.dag && of.owner == row.owner;
            let lives = of.live.as_ref().is_some_and(|(id, _)| !over(id)) && of.status.is_none();
            let waits = of.queued.is_some() || of.retry.due.is_some() || lives;
            same && waits && of.stop.is_none() && of.scheduled_for > row.scheduled_for
        };
        counts
            && row.scheduled_for.is_some()
            && dag.owner == row.owner
            && !self.away.contains(&number)
            && self.store.rows.iter().any(newer)
    }

    /// At rest everything that is due is decided, and every run is over or waits for something.
    pub(crate) fn check_rest(&self) {
        let installed = (0..self.dags.len()).filter(|number| !self.away.contains(number));
        for dag in installed.map(|number| &self.dags[number]) {
            if self.held.contains(&dag.name) {
                continue;
            }
            let watermark = self.store.watermarks.get(&dag.name).copied();
            let Some(watermark) = watermark else {
                panic!("{}: no watermark at the end", dag.name);
            };
            let watermark = watermark.max(dag.vague);
            let due = |(at, _): &(_, _)| dag.due(*at) <= self.now.wall;
            if let Some((at, kind)) = dag.ticks(watermark, self.now.wall).rfind(due) {
                panic!("{} {kind:?} {} was not decided", dag.name, at.rfc3339());
            }
        }
        for (run, row) in &self.store.rows {
            assert!(row.live.is_none(), "{run} lives: {row:?}");
            if row.status.is_none() {
                assert_eq!(row.stop, None, "{run} was stopped and is not over");
                let paused = self.store.paused.contains(&row.group);
                assert!(paused, "{run} waits for nothing: {row:?}");
            }
            if let Some(due) = &row.retry.due {
                assert!(
                    !self.gives_way(run),
                    "{run} waits for its retry behind a newer one"
                );
                assert_ne!(
                    row.stop,
                    Some(StopReason::Superseded),
                    "{run} made way, and is not over"
                );
                let held = self.held.contains(&run.dag);
                assert!(
                    held || due.boot > self.now.boot,
                    "{run} waits for its retry for ever: {row:?}"
                );
            }
        }
    }
}

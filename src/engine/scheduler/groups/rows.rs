//! How queues stand, for people to see.

use super::{Groups, Load};
use crate::model::{DagName, GroupName};

impl Groups {
    /// How a queue stands. Runs of the DAG that has the queue's name have a limit for each user: those of each are a row
    /// of their own, with the user. A queue that is configured is one for all.
    pub(in crate::engine::scheduler) fn rows(&self, name: &GroupName) -> Vec<(Option<u32>, Load)> {
        let whole = self.load(name);
        let group = self.groups.get(name);
        let Some(group) = group.filter(|group| group.own_members > 0 && !self.named.contains_key(name))
        else {
            return vec![(None, whole)];
        };
        let shared = (group.members > group.own_members).then(|| {
            let live = group.live.saturating_sub(group.own_live);
            let capacity = Some(group.capacity);
            (
                None,
                Load {
                    capacity,
                    live,
                    ..whole
                },
            )
        });
        let dag = DagName::new(name.as_str()).ok();
        let own = dag.iter().flat_map(|dag| self.jobs.own_of(dag));
        let own = own.map(|(user, capacity, live)| {
            let capacity = Some(capacity);
            (
                Some(user),
                Load {
                    capacity,
                    live,
                    ..whole
                },
            )
        });
        shared.into_iter().chain(own).collect()
    }
}

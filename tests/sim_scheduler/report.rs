//! Counts of what happened, to see that something did.

/// What happened in a history, or in many.
#[derive(Debug, Default, Clone)]
pub(crate) struct Report {
    pub(crate) effects: u64,
    pub(crate) crashes: u64,
    pub(crate) reboots: u64,
    pub(crate) accepted: u64,
    pub(crate) refused: u64,
    pub(crate) failed_commits: u64,
    pub(crate) launches: u64,
    pub(crate) relaunches: u64,
    pub(crate) adoptions: u64,
    pub(crate) lost: u64,
    pub(crate) retries: u64,
    pub(crate) stops: u64,
    pub(crate) waits: u64,
    pub(crate) decisions: u64,
    pub(crate) ended_waiting: u64,
    pub(crate) kills: u64,
    pub(crate) waits_at_capacity: u64,
    /// Launches of runs that others called.
    pub(crate) calls: u64,
    /// Calls that were refused because the caller was over.
    pub(crate) orphans: u64,
    /// Retries as a whole that came by themselves.
    pub(crate) again: u64,
    pub(crate) cancelled_retries: u64,
    pub(crate) pauses: u64,
    pub(crate) moves: u64,
    pub(crate) dequeued: u64,
    /// Launches beyond the limits.
    pub(crate) at_once: u64,
    /// Waits of runs for the limit of their DAG.
    pub(crate) waits_for_dag: u64,
    pub(crate) trace_hash: u64,
}

impl Report {
    pub(crate) fn counts(&self) -> [(&'static str, u64); 26] {
        [
            ("effects", self.effects),
            ("crashes", self.crashes),
            ("reboots", self.reboots),
            ("accepted", self.accepted),
            ("refused", self.refused),
            ("failed commits", self.failed_commits),
            ("launches", self.launches),
            ("relaunches", self.relaunches),
            ("adoptions", self.adoptions),
            ("lost", self.lost),
            ("retries", self.retries),
            ("stops", self.stops),
            ("runs that wait for a person", self.waits),
            ("decisions", self.decisions),
            ("runs that are stopped while they wait", self.ended_waiting),
            ("kills", self.kills),
            ("waits at capacity", self.waits_at_capacity),
            ("calls", self.calls),
            ("refused calls", self.orphans),
            ("retries that came by themselves", self.again),
            ("cancelled retries", self.cancelled_retries),
            ("pauses", self.pauses),
            ("moves", self.moves),
            ("runs taken out of the queue", self.dequeued),
            ("launches beyond the limits", self.at_once),
            ("waits for the limit of a DAG", self.waits_for_dag),
        ]
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.effects += other.effects;
        self.crashes += other.crashes;
        self.reboots += other.reboots;
        self.accepted += other.accepted;
        self.refused += other.refused;
        self.failed_commits += other.failed_commits;
        self.launches += other.launches;
        self.relaunches += other.relaunches;
        self.adoptions += other.adoptions;
        self.lost += other.lost;
        self.retries += other.retries;
        self.stops += other.stops;
        self.waits += other.waits;
        self.decisions += other.decisions;
        self.ended_waiting += other.ended_waiting;
        self.kills += other.kills;
        self.waits_at_capacity += other.waits_at_capacity;
        self.calls += other.calls;
        self.orphans += other.orphans;
        self.again += other.again;
        self.cancelled_retries += other.cancelled_retries;
        self.pauses += other.pauses;
        self.moves += other.moves;
        self.dequeued += other.dequeued;
        self.at_once += other.at_once;
        self.waits_for_dag += other.waits_for_dag;
    }
}

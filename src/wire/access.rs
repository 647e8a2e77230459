//! Who may do what: one table of role and verb (DESIGN §8).
//!
//! The peer is known by the credentials the kernel gives for its socket. Its role is relative to what the request
//! is about: the run for a verb on one run, the daemon itself for all others.

use super::control::Request;

/// What the peer is to the thing the request is about. Made by [`role`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// User id 0.
    Root,
    /// A member of the configured admin group.
    Admin,
    /// The user the run belongs to; for verbs about the daemon or all runs, the user the daemon runs as.
    Owner,
    /// Anybody else.
    Other,
}

/// What a request does, as far as permission is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Ask who is there.
    Ping,
    /// Start a run of one's own.
    Submit,
    /// List live and queued runs.
    Ps,
    /// List runs.
    History,
    /// See a run.
    Status,
    /// See a run until it ends.
    Follow,
    /// Ask why a run is in its state.
    Why,
    /// See the attempts of a run.
    Attempts,
    /// Stop a run.
    Stop,
    /// Start a new attempt of a run.
    Retry,
    /// Start a new run from an earlier one.
    Rerun,
    /// Approve a step of a run.
    Approve,
    /// Reject a step of a run.
    Reject,
    /// Check the daemon and the machine.
    Doctor,
    /// Repair what the check found.
    Repair,
    /// Read the configuration again.
    Reload,
    /// List installed DAGs and what their schedules will do.
    Dags,
    /// Install a DAG of one's own.
    Install,
    /// Remove an installed DAG.
    Remove,
    /// See the text of an installed DAG.
    Source,
    /// Hold back the schedules of an installed DAG, or not any more.
    Enable,
    /// List queues and what waits in them.
    Queues,
    /// Pause a queue, or have it go on.
    PauseQueue,
    /// Give a queued run another place.
    Move,
    /// Take a run out of the queue.
    Dequeue,
    /// Remove old runs.
    Cleanup,
}

/// The table's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// Allowed.
    Yes,
    /// Allowed, but the list holds only the peer's own runs.
    OwnOnly,
    /// Refused.
    No,
}

/// Number of verbs.
const VERBS: usize = 26;

/// The permit table. One row for each verb; columns: root, admin, owner, other.
const TABLE: [(Verb, [Grant; 4]); VERBS] = {
    use Grant::{No, OwnOnly, Yes};
    [
        (Verb::Ping, [Yes, Yes, Yes, Yes]),
        (Verb::Submit, [Yes, Yes, Yes, Yes]),
        (Verb::Ps, [Yes, Yes, Yes, OwnOnly]),
        (Verb::History, [Yes, Yes, Yes, OwnOnly]),
        (Verb::Status, [Yes, Yes, Yes, No]),
        (Verb::Follow, [Yes, Yes, Yes, No]),
        (Verb::Why, [Yes, Yes, Yes, No]),
        (Verb::Attempts, [Yes, Yes, Yes, No]),
        (Verb::Stop, [Yes, Yes, Yes, No]),
        (Verb::Retry, [Yes, Yes, Yes, No]),
        (Verb::Rerun, [Yes, Yes, Yes, No]),
        (Verb::Approve, [Yes, Yes, Yes, No]),
        (Verb::Reject, [Yes, Yes, Yes, No]),
        (Verb::Doctor, [Yes, Yes, Yes, No]),
        (Verb::Repair, [Yes, No, Yes, No]),
        (Verb::Reload, [Yes, No, Yes, No]),
        (Verb::Dags, [Yes, Yes, Yes, OwnOnly]),
        (Verb::Install, [Yes, Yes, Yes, Yes]),
        (Verb::Remove, [Yes, Yes, Yes, OwnOnly]),
        (Verb::Source, [Yes, Yes, Yes, OwnOnly]),
        (Verb::Enable, [Yes, Yes, Yes, OwnOnly]),
        (Verb::Queues, [Yes, Yes, Yes, OwnOnly]),
        (Verb::PauseQueue, [Yes, Yes, Yes, No]),
        (Verb::Move, [Yes, Yes, Yes, No]),
        (Verb::Dequeue, [Yes, Yes, Yes, No]),
        (Verb::Cleanup, [Yes, Yes, Yes, OwnOnly]),
    ]
};

/// The role of a peer. `owner` is the user id that the run belongs to, or for verbs about the daemon or all runs
/// ([`Verb::is_about_a_run`] is false) the one the daemon runs as. Where several roles fit, the widest one counts.
#[must_use]
pub const fn role(peer_uid: u32, is_admin: bool, owner: u32) -> Role {
    if peer_uid == 0 {
        Role::Root
    } else if is_admin && peer_uid != owner {
        Role::Admin
    } else if peer_uid == owner {
        Role::Owner
    } else {
        Role::Other
    }
}

/// What the table says. A verb that is not in it is refused; a test sees to it that all are.
#[must_use]
pub fn grant(role: Role, verb: Verb) -> Grant {
    let column = match role {
        Role::Root => 0,
        Role::Admin => 1,
        Role::Owner => 2,
        Role::Other => 3,
    };
    TABLE
        .iter()
        .find(|(row, _)| *row == verb)
        .map_or(Grant::No, |(_, grants)| grants[column])
}

/// Whether a request brings work: something runs that would not run without it. Such requests the lists of the
/// configuration (`allow_users` and the like) may refuse, beside the table.
#[must_use]
pub const fn brings_work(request: &Request) -> bool {
    match request {
        Request::Submit(_)
        | Request::Install(_)
        | Request::Enable { on: true, .. }
        | Request::Retry(_)
        | Request::Rerun(_)
        | Request::Approve { .. }
        | Request::Reject { .. } => true,
        Request::Ping
        | Request::Follow(_)
        | Request::Status(_)
        | Request::Ps
        | Request::Stop { .. }
        | Request::History(_)
        | Request::Attempts(_)
        | Request::Why(_)
        | Request::Doctor { .. }
        | Request::Reload
        | Request::Dags
        | Request::Next { .. }
        | Request::Remove(_)
        | Request::Source(_)
        | Request::Enable { on: false, .. }
        | Request::Queues
        | Request::Queue(_)
        | Request::PauseQueue { .. }
        | Request::Move { .. }
        | Request::Dequeue(_)
        | Request::Cleanup { .. } => false,
    }
}

impl Verb {
    /// Every verb, in the order of the table.
    #[must_use]
    pub fn all() -> [Self; VERBS] {
        TABLE.map(|(verb, _)| verb)
    }

    /// The verb of a request.
    #[must_use]
    pub const fn of(request: &Request) -> Self {
        match request {
            Request::Ping => Self::Ping,
            Request::Submit(_) => Self::Submit,
            Request::Follow(_) => Self::Follow,
            Request::Status(_) => Self::Status,
            Request::Ps => Self::Ps,
            Request::Stop { .. } => Self::Stop,
            Request::Retry(_) => Self::Retry,
            Request::Rerun(_) => Self::Rerun,
            Request::History(_) => Self::History,
            Request::Attempts(_) => Self::Attempts,
            Request::Why(_) => Self::Why,
            Request::Doctor { repair: false } => Self::Doctor,
            Request::Doctor { repair: true } => Self::Repair,
            Request::Reload => Self::Reload,
            Request::Approve { .. } => Self::Approve,
            Request::Reject { .. } => Self::Reject,
            Request::Dags | Request::Next { .. } => Self::Dags,
            Request::Install(_) => Self::Install,
            Request::Remove(_) => Self::Remove,
            Request::Source(_) => Self::Source,
            Request::Enable { .. } => Self::Enable,
            Request::Queues | Request::Queue(_) => Self::Queues,
            Request::PauseQueue { .. } => Self::PauseQueue,
            Request::Move { .. } => Self::Move,
            Request::Dequeue(_) => Self::Dequeue,
            Request::Cleanup { .. } => Self::Cleanup,
        }
    }

    /// Whether the owner that counts is the run's and not the daemon's. Not for a move: who goes before others is not for
    /// those others to say.
    #[must_use]
    pub const fn is_about_a_run(self) -> bool {
        matches!(
            self,
            Self::Status
                | Self::Follow
                | Self::Why
                | Self::Attempts
                | Self::Stop
                | Self::Retry
                | Self::Rerun
                | Self::Approve
                | Self::Reject
                | Self::Dequeue
        )
    }

    /// The word for it in messages and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ping => "ping",
            Self::Submit => "submit",
            Self::Ps => "ps",
            Self::History => "history",
            Self::Status => "status",
            Self::Follow => "follow",
            Self::Why => "why",
            Self::Attempts => "attempts",
            Self::Stop => "stop",
            Self::Retry => "retry",
            Self::Rerun => "rerun",
            Self::Approve => "approve",
            Self::Reject => "reject",
            Self::Doctor => "doctor",
            Self::Repair => "repair",
            Self::Reload => "reload",
            Self::Dags => "dags",
            Self::Install => "install",
            Self::Remove => "remove",
            Self::Source => "source",
            Self::Enable => "enable",
            Self::Queues => "queues",
            Self::PauseQueue => "pause-queue",
            Self::Move => "move",
            Self::Dequeue => "dequeue",
            Self::Cleanup => "cleanup",
        }
    }

    /// What somebody does who asks for it, in words that follow "may not". A run follows where it is about one.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Ping => "ask who is there",
            Self::Submit => "submit a run",
            Self::Ps => "list live runs",
            Self::History => "list runs",
            Self::Status | Self::Follow | Self::Why | Self::Attempts => "see",
            Self::Stop => "stop",
            Self::Retry => "retry",
            Self::Rerun => "rerun",
            Self::Approve => "approve a step of",
            Self::Reject => "reject a step of",
            Self::Doctor => "check this daemon",
            Self::Repair => "have this daemon repair anything",
            Self::Reload => "have this daemon read its configuration again",
            Self::Dags => "list DAGs",
            Self::Install => "install a DAG",
            Self::Remove => "remove a DAG",
            Self::Source => "see the text of a DAG",
            Self::Enable => "enable or disable a DAG",
            Self::Queues => "list queues",
            Self::PauseQueue => "pause a queue or have it go on",
            Self::Move => "give queued runs another place",
            Self::Dequeue => "dequeue",
            Self::Cleanup => "remove old runs",
        }
    }
}

#[cfg(test)]
mod tests;

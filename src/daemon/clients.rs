//! Who may be connected: how many clients at a time, and how many of them may be one user's.
//!
//! Everybody may connect, so nobody may take all the room: users without privileges share three quarters of it,
//! and one of them has a quarter at most. Root and the daemon's own user always find a place before the rest is full.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::config::Config;
use crate::sys::creds;

/// Limits of the control socket. A reload changes them for those who come afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    /// Most clients at a time.
    pub(super) clients: usize,
    /// How long a client may take for its opening, and to read an answer.
    pub(super) patience: Duration,
    /// Members of this group are admins.
    pub(super) admin_gid: Option<u32>,
    /// Members of this group may read metrics from their socket.
    pub(super) metrics_gid: Option<u32>,
}

impl Limits {
    /// What the configuration says. A group that does not exist has no members.
    pub(super) fn of(config: &Config) -> Self {
        let gid = |group: &String| {
            Some(group)
                .filter(|group| !group.is_empty())
                .and_then(|group| creds::group_gid(group).ok())
        };
        Self {
            clients: usize::try_from(config.control.max_clients).unwrap_or(usize::MAX),
            patience: Duration::from_secs_f64(config.control.client_timeout_sec),
            admin_gid: gid(&config.access.admin_group),
            metrics_gid: gid(&config.metrics.group),
        }
    }
}

/// Most clients that are told that there is no room; further ones are just closed.
const TURNED_AWAY: usize = 64;

#[derive(Debug, Default)]
struct Counts {
    by_user: HashMap<u32, usize>,
    all: usize,
    privileged: usize,
    turned_away: usize,
}

/// The clients that are connected.
#[derive(Debug)]
pub(super) struct Clients {
    limits: watch::Receiver<Limits>,
    /// The daemon's own user, which has privileges here as root has.
    own: u32,
    counts: Mutex<Counts>,
}

/// A client's place, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    clients: Arc<Clients>,
    uid: u32,
    /// False if there is no room, and the client is only told so.
    pub(super) admitted: bool,
}

impl Clients {
    pub(super) fn new(limits: watch::Receiver<Limits>, own: u32) -> Arc<Self> {
        Arc::new(Self {
            limits,
            own,
            counts: Mutex::default(),
        })
    }

    pub(super) fn limits(&self) -> Limits {
        *self.limits.borrow()
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        // Counting is never left half done, so what a panicking holder left is right.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_privileged(&self, uid: u32) -> bool {
        uid == 0 || uid == self.own
    }

    /// A place for a client of this user; none if not even a refusal is owed.
    pub(super) fn enter(self: &Arc<Self>, uid: u32) -> Option<Place> {
        let limit = self.limits().clients;
        let share = (limit / 4).max(1);
        let mut counts = self.counts();
        let theirs = counts.by_user.get(&uid).copied().unwrap_or(0);
        let admitted = counts.all < limit
            && (self.is_privileged(uid)
                || (theirs < share && counts.all - counts.privileged < limit - limit / 4));
        if admitted {
            counts.all += 1;
            counts.privileged += usize::from(self.is_privileged(uid));
            counts.by_user.insert(uid, theirs + 1);
        } else if counts.turned_away < TURNED_AWAY {
            counts.turned_away += 1;
        } else {
            return None;
        }
        drop(counts);
        Some(Place {
            clients: Arc::clone(self),
            uid,
            admitted,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.clients.counts();
        if !self.admitted {
            counts.turned_away -= 1;
            return;
        }
        counts.all -= 1;
        counts.privileged -= usize::from(self.clients.is_privileged(self.uid));
        if let Some(theirs) = counts.by_user.get_mut(&self.uid) {
            *theirs -= 1;
            if *theirs == 0 {
                counts.by_user.remove(&self.uid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room_for(clients: usize) -> (watch::Sender<Limits>, Arc<Clients>) {
        let limits = Limits {
            clients,
            patience: Duration::from_secs(1),
            admin_gid: None,
            metrics_gid: None,
        };
        let (sender, receiver) = watch::channel(limits);
        (sender, Clients::new(receiver, 500))
    }

    /// Lets a user connect until it is refused.
    fn fill(clients: &Arc<Clients>, uid: u32) -> Vec<Place> {
        std::iter::from_fn(|| clients.enter(uid).filter(|place| place.admitted)).collect()
    }

    #[test]
    fn no_user_takes_all_the_room_and_privileges_find_some() {
        let (_limits, clients) = room_for(8);
        let one = fill(&clients, 1000);
        assert_eq!(one.len(), 2);
        let others: Vec<Place> = (1001..1010).flat_map(|uid| fill(&clients, uid)).collect();
        assert_eq!(others.len(), 4);
        assert_eq!(fill(&clients, 0).len(), 2);
        drop(one);
        assert_eq!(fill(&clients, 500).len(), 4);
        assert!(clients.counts().all > 0);
        drop(others);
        assert_eq!(clients.counts().all, 0);
        assert!(clients.counts().by_user.is_empty());
    }

    #[test]
    fn a_small_room_is_still_one() {
        for (limit, theirs) in [(1, 1), (2, 1), (4, 1)] {
            let (_limits, clients) = room_for(limit);
            assert_eq!(fill(&clients, 1000).len(), theirs, "{limit}");
        }
    }

    #[test]
    fn a_new_limit_counts_at_once() {
        let (limits, clients) = room_for(4);
        let held = fill(&clients, 0);
        assert_eq!(held.len(), 4);
        limits.send_modify(|limits| limits.clients = 5);
        assert_eq!(fill(&clients, 0).len(), 1);
    }

    #[test]
    fn those_who_are_turned_away_are_few() {
        let (_limits, clients) = room_for(1);
        let _held = fill(&clients, 0);
        let away: Vec<Place> = std::iter::from_fn(|| clients.enter(0)).take(1000).collect();
        assert_eq!(away.len(), TURNED_AWAY);
    }
}

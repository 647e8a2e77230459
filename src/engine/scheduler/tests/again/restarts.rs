//! Pending retries and a new daemon, in the same boot or in another one.

use super::super::recover::{live, lost, queued, recorded};
use super::super::{Bed, end, run};
use super::{AttemptEnd, Boot, Event, Now, PendingRetry, Retries, RunStatus, Scheduler, Time, policy};
use crate::engine::scheduler::Config;
use crate::engine::scheduler::api::{DueRetry, Evidence, Recovered, Retrying};

fn pending(item: Recovered, at: i64, boot: u64, boot_id: &str) -> Recovered {
    Recovered {
        queued: None,
        retry: Retrying {
            policy: Some(policy()),
            so_far: Retries { failed: 1, lost: 0 },
            due: Some(DueRetry {
                retry: PendingRetry {
                    number: 1,
                    limit: 2,
                    at: Time::from_secs(at),
                },
                boot: Boot(boot * 1_000_000),
                boot_id: boot_id.to_owned(),
            }),
        },
        ..item
    }
}

/// A daemon that starts 100 s after the boot `now`, at 1000 s by the wall clock.
fn restarted() -> Bed {
    let mut bed = Bed::new();
    bed.engine = Scheduler::new(Config::default()).in_boot("now".into());
    bed.now = Now {
        wall: Time::from_secs(1000),
        boot: Boot(100_000_000),
    };
    bed
}

#[test]
fn a_restart_keeps_the_pending_retry_and_its_deadline() {
    for (at, boot, boot_id, wait) in [
        // In the same boot the wall clock may have been set meanwhile.
        (5000, 104, "now", 4),
        (1004, 90, "now", 0),
        // In another one it is what counts, up to the longest that the policy has.
        (1004, 7_000, "before", 4),
        (900, 7_000, "before", 0),
        (99_000, 7_000, "before", 10),
    ] {
        let mut bed = restarted();
        let item = Recovered {
            attempts: 1,
            ..pending(queued("a", 0), at, boot, boot_id)
        };
        let armed = format!("arm +{}", wait * 1000);
        assert_eq!(bed.give(Event::Recover(vec![item.clone()])), armed);
        assert_eq!(bed.give(Event::Recover(vec![item])), "", "taken up twice");
        let due = 100_000 + wait * 1000;
        bed.play(&[
            (&format!("tick {due}"), "commit 1 requeue"),
            ("ok 1", "changed, commit 2 intend a2"),
        ]);
    }
    let mut bed = restarted();
    bed.give(Event::Recover(vec![pending(queued("a", 0), 1004, 104, "now")]));
    bed.play(&[("stop a", "commit 1 cancel-retry"), ("ok 1", "yes 1, over, idle")]);
}

#[test]
fn a_restart_goes_on_where_the_end_was_stored_and_decides_where_it_was_not() {
    let mut bed = restarted();
    let item = pending(live("a", recorded(false)), 1004, 104, "now");
    assert_eq!(bed.give(Event::Recover(vec![item])), "clean");
    bed.play(&[
        ("cleaned a1", "commit 1 clean"),
        ("ok 1", "arm +4000"),
        ("tick 104000", "commit 2 requeue"),
    ]);
    let unstored = |evidence| Recovered {
        retry: Retrying {
            policy: Some(policy()),
            so_far: Retries { failed: 1, lost: 0 },
            due: None,
        },
        ..live("a", evidence)
    };
    let mut bed = restarted();
    let told = bed.give(Event::Recover(vec![unstored(lost())]));
    assert_eq!(told, "commit 1 end-failed-lost+retry-later 2");
    let failed = AttemptEnd {
        retry: true,
        // The time since then counts.
        at: Time::from_secs(993),
        ..end(RunStatus::Failed)
    };
    let mut bed = restarted();
    let told = bed.give(Event::Recover(vec![unstored(Evidence::Ended(failed))]));
    assert_eq!(told, "commit 1 end-failed+retry-later 2");
    bed.play(&[
        ("ok 1", "changed, clean"),
        ("cleaned a1", "commit 2 clean"),
        ("ok 2", "arm +3000"),
    ]);
    // One that was queued again keeps its count.
    let mut bed = restarted();
    let mut again = pending(queued("a", 1), 1004, 104, "now");
    again.queued = Some(1);
    again.retry.due = None;
    again.retry.so_far.lost = 1;
    assert_eq!(bed.give(Event::Recover(vec![again])), "commit 1 intend a1");
    assert_eq!(bed.engine.retried_on(&run("a")), None);
}
